"""Losses of the learned JPEG encoder (Sec. 5.1, Eq. 7-9)."""

from __future__ import annotations

import math

import tensorflow as tf

from lossylab.losses.pixels import finite_gradient
from lossylab.models.layers.dct import BLOCK, of_planes

_RANGE = 255.0
_NEIGHBORHOOD = 4  # blocks on a side
_LEAST_SCALE, _TINY = 1e-3, 1e-6


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


def coefficient_rate(weighted: tf.Tensor, tables: tf.Tensor) -> tf.Tensor:
    """Bits a pixel of quantized coefficients, scalar: an estimate in the place of Eq. 9.

    Each frequency has a Laplacian distribution in each neighborhood of 4x4 blocks, whose scale is
    the mean magnitude there; of DC its difference from the block before counts, as in files. What
    is summed is the entropy of these distributions after quantization, with gradients to tables and
    attention. Tables that are best by it need less rate at equal MSE than those by Eq. 9.

    Args:
      weighted: coefficients before their division by the tables, float32 [B, 3, h, w, 64].
      tables: quantization step sizes [2, 8, 8], 1..255.
    """
    dc = weighted[..., :1]
    before = tf.concat([dc[:, :, :, :1], dc[:, :, :, :-1]], 3)
    magnitudes = tf.abs(tf.concat([dc - before, weighted[..., 1:]], -1))
    batch, planes, rows, columns, frequencies = tf.unstack(tf.shape(weighted))
    flat = tf.reshape(magnitudes, (batch * planes, rows, columns, frequencies))
    local = tf.nn.avg_pool2d(flat, _NEIGHBORHOOD, _NEIGHBORHOOD, "SAME")
    scales = tf.reshape(local, (batch, planes, -1, frequencies))
    ratios = of_planes(tables)[:, 0] / tf.maximum(scales, _LEAST_SCALE)
    some = tf.exp(-ratios / 2.0)  # probability of not 0
    more = tf.square(some)  # ratio of the probabilities of neighboring magnitudes
    bits = _bits(some) + some * (1.0 + _bits(more) / (1.0 - tf.minimum(more, 1.0 - _TINY)))
    return tf.reduce_sum(tf.reduce_mean(bits, (0, 2))) / BLOCK**2


def _bits(chance: tf.Tensor) -> tf.Tensor:
    """Entropy of a coin, bits."""
    p = tf.clip_by_value(chance, _TINY, 1.0 - _TINY)
    return -(p * tf.math.log(p) + (1.0 - p) * tf.math.log(1.0 - p)) / math.log(2.0)


def attention_rate(attention: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """The rate of the attention, scalar: the means of both maps added (Eq. 9, second part)."""
    return tf.add_n([tf.reduce_mean(each) for each in attention])
