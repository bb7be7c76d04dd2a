"""The losses of ProxIQA (Sec. III-B, Eq. 6-14), one value per sample of the batch.

Images are of pixel values 0..255 and scores on 0..100, so every constant is used as printed.
The training step averages over the global batch.
"""

import tensorflow as tf

from lossylab.data.color import luma
from lossylab.losses.pixels import finite_gradient, pixel_error

UPPER_BOUND = 100.0  # M-bar of Eq. 9: every metric is scaled to 0..100

# MS-SSIM with five scales and the usual window of 11 pixels needs 161 pixels; patches have 128.
MS_SSIM_TRAINING_WINDOW = 7
_RANGE = 255.0


def rate_loss(bits: tf.Tensor, pixels: int) -> tf.Tensor:
    """Eq. 6 in bits per pixel: bits [B] over the pixels of one patch."""
    return bits / tf.cast(pixels, bits.dtype)


def pixel_loss(image: tf.Tensor, reconstruction: tf.Tensor, norm: str = "l2") -> tf.Tensor:
    """Eq. 7, the mean over pixels and channels.

    Args:
      image: float32 [B, H, W, 3], pixel values 0..255.
      reconstruction: of the same shape, unclipped.
      norm: 'l2' for squared, 'l1' for absolute errors.

    Returns:
      float32 [B].

    Raises:
      ValueError: for another norm.
    """
    return tf.reduce_mean(pixel_error(image, reconstruction, norm), (1, 2, 3))


def proxy_loss(proxy_score: tf.Tensor, mean: tf.Tensor | None = None) -> tf.Tensor:
    """Eq. 9: how far the proxy's scores are below the metric's upper bound, float32 [B].

    As printed it has no lower end: the codec gains by any score above 100, which no true metric
    gives. The authors' code minimizes |100 - mean score|, which turns there.

    Args:
      proxy_score: [B].
      mean: of the scores of the global batch, for the authors' form: the mean of the result is
        then |100 - mean|, with its gradient.
    """
    distance = UPPER_BOUND - proxy_score
    return distance if mean is None else distance * tf.sign(UPPER_BOUND - tf.stop_gradient(mean))


def metric_loss(proxy_score: tf.Tensor, true_score: tf.Tensor) -> tf.Tensor:
    """Eq. 11: squared error of the proxy's scores [B]."""
    return tf.math.squared_difference(proxy_score, true_score)


def coarser(image: tf.Tensor, scale: int) -> tf.Tensor:
    """Means of squares of `scale` pixels: what libvmaf's SSIM is of where images are large.

    As libvmaf's, they begin half a square before the image, which is mirrored there.

    Args:
      image: float32 [B, H, W, C].
      scale: side of the squares; 1 leaves the image as it is.

    Returns:
      float32 [B, (H + scale // 2) // scale, (W + scale // 2) // scale, C].
    """
    if scale == 1:
        return image
    before = [scale // 2, 0]
    image = tf.pad(image, [[0, 0], before, before, [0, 0]], "SYMMETRIC")
    return tf.nn.avg_pool2d(image, scale, scale, "VALID")


def ssim_loss(image: tf.Tensor, reconstruction: tf.Tensor, channels: str = "rgb") -> tf.Tensor:
    """Eq. 14 times 100 as all scores: 100 - 100 SSIM, float32 [B].

    Args:
      image: float32 [B, H, W, 3].
      reconstruction: of the same shape.
      channels: 'rgb' for the mean over the channels, as the authors' code has it (in a comment);
        'luma' for luma alone, which leaves the colors to themselves.
    """
    if channels == "luma":
        image, reconstruction = luma(image), luma(reconstruction)
    return UPPER_BOUND * (1.0 - tf.image.ssim(image, reconstruction, _RANGE))


def ms_ssim_loss(image: tf.Tensor, reconstruction: tf.Tensor, channels: str = "rgb") -> tf.Tensor:
    """Eq. 14 with MS-SSIM in place of SSIM; a window of 7, so patches above 96 pixels do.

    Arguments and result are those of `ssim_loss`.
    """
    return UPPER_BOUND - _ms_ssim(image, reconstruction, channels)


def ms_ssim_training_score(image: tf.Tensor, reconstruction: tf.Tensor) -> tf.Tensor:
    """MS-SSIM of luma on 0..100 with five scales and a window of 7 pixels, float32 [B].

    For training only: libvmaf's MS-SSIM, with which results are measured, needs 176 pixels.
    """
    return _ms_ssim(image, reconstruction, "luma")


def _ms_ssim(image: tf.Tensor, reconstruction: tf.Tensor, channels: str) -> tf.Tensor:
    reconstruction = finite_gradient(reconstruction)
    if channels == "luma":
        image, reconstruction = luma(image), luma(reconstruction)
    score = tf.image.ssim_multiscale(
        image, reconstruction, _RANGE, filter_size=MS_SSIM_TRAINING_WINDOW
    )
    return UPPER_BOUND * score


def rate_distortion_loss(rate: tf.Tensor, pixel: tf.Tensor, weight: float) -> tf.Tensor:
    """Eq. 8: lambda L_d + L_r, all float32 [B]."""
    return weight * pixel + rate


def total_loss(
    rate: tf.Tensor, pixel: tf.Tensor, perceptual: tf.Tensor, weight: float, alpha: float
) -> tf.Tensor:
    """Eq. 10 and, with the SSIM loss for `perceptual`, Eq. 13.

    Args:
      rate: L_r in bits per pixel, float32 [B].
      pixel: L_d, float32 [B].
      perceptual: L_p or L_SSIM on 0..100, float32 [B].
      weight: lambda.
      alpha: weight of the perceptual loss, 0..1.

    Returns:
      lambda [alpha L_p + (1 - alpha) L_d] + L_r, float32 [B].
    """
    return weight * (alpha * perceptual + (1.0 - alpha) * pixel) + rate
