"""Synthetic distortions at discrete severities, as image-quality data sets have them.

ProxIQA (Sec. III-C, Fig. 5b) pre-trains a proxy on such images to show that it then
misjudges what a codec makes.
"""

import warnings

import tensorflow as tf

from lossylab.data.schedule import Stream

NOISE_LEVELS = (4.0, 8.0, 16.0, 24.0, 32.0)  # standard deviation, pixel values
BLUR_LEVELS = (0.7, 1.0, 1.5, 2.5, 4.0)  # standard deviation, pixels
JPEG_LEVELS = (70, 40, 20, 10, 5)  # quality, 4:2:0
_BLUR_KERNEL_SIZE = 25


def distort(images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
    """Gives each image one distortion at one severity, drawn from its seed.

    Args:
      images: float32 [B, H, W, 3], pixel values 0..255.
      seeds: int64 [B, 2].

    Returns:
      float32 [B, H, W, 3], pixel values 0..255, rounded.
    """
    return tf.map_fn(
        lambda pair: _distort_one(*pair), (images, seeds), fn_output_signature=tf.float32
    )


def _distort_one(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    stream = tf.random.fold_in(seed, int(Stream.PROXY_DISTORTION))
    kind, level = tf.unstack(tf.random.stateless_uniform((2,), stream, 0, 15, tf.int32))
    kind, level = kind % 3, level % 5
    distorted = tf.switch_case(
        kind,
        (
            lambda: _white_noise(image, tf.gather(NOISE_LEVELS, level), seed),
            lambda: _blur(image, level),
            lambda: _jpeg(image, tf.gather(JPEG_LEVELS, level)),
        ),
    )
    return tf.ensure_shape(tf.round(tf.clip_by_value(distorted, 0.0, 255.0)), image.shape)


def _white_noise(image: tf.Tensor, std: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    stream = tf.random.fold_in(seed, int(Stream.PROXY_NOISE))
    return image + std * tf.random.stateless_normal(tf.shape(image), stream)


def _blur(image: tf.Tensor, level: tf.Tensor) -> tf.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its announcement that development has ended
        from tensorflow_addons.image import gaussian_filter2d
    filters = [
        lambda std=std: gaussian_filter2d(image, _BLUR_KERNEL_SIZE, std) for std in BLUR_LEVELS
    ]
    return tf.switch_case(level, filters)


def _jpeg(image: tf.Tensor, quality: tf.Tensor) -> tf.Tensor:
    pixels = tf.saturate_cast(tf.round(image), tf.uint8)
    decoded = tf.image.adjust_jpeg_quality(pixels, quality)
    return tf.cast(decoded, tf.float32)
