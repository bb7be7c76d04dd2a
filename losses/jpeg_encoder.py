"""Losses of the learned JPEG encoder (Sec. 5.1, Eq. 7-9)."""

from __future__ import annotations

import tensorflow as tf

from lossylab.losses.pixels import finite_gradient

_RANGE = 255.0


def mse(image: tf.Tensor, reconstruction: tf.Tensor) -> tf.Tensor:
    """Mean squared error, scalar, of images [B, H, W, 3], pixel values 0..255 (Eq. 10)."""
    return tf.reduce_mean(tf.math.squared_difference(image, reconstruction))


def ms_ssim_loss(image: tf.Tensor, reconstruction: tf.Tensor) -> tf.Tensor:
    """1 - MS-SSIM by TensorFlow's default, scalar, mean over the batch (Eq. 8).

    Where contrast and structure of an image's channel agree negatively at some scale, its MS-SSIM
    is 0 and TensorFlow's gradient is not a number: there it counts as 0.

    Args:
      image: float32 [B, H, W, 3], pixel values 0..255, from 161x161 pixels.
      reconstruction: what is decoded of its file, of the same shape.
    """
    similarity = tf.image.ssim_multiscale(image, finite_gradient(reconstruction), _RANGE)
    return 1.0 - tf.reduce_mean(similarity)


def table_rate(tables: tf.Tensor) -> tf.Tensor:
    """The rate of the tables, scalar in 0..128: the sum of 1 / step size (Eq. 9, first part).

    Args:
      tables: quantization step sizes [2, 8, 8], 1..255.
    """
    return tf.reduce_sum(1.0 / tables)


def attention_rate(attention: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """The rate of the attention, scalar: the means of both maps added (Eq. 9, second part)."""
    return tf.add_n([tf.reduce_mean(each) for each in attention])
