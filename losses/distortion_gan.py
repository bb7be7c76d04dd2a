"""Losses of the distortion GAN beside the adversarial ones (Sec. II-B, III-D)."""

import tensorflow as tf

from lossylab.losses.pixels import pixel_error


def sparsity(reference: tf.Tensor, generated: tf.Tensor) -> tf.Tensor:
    """Mean absolute residual in pixel values, scalar (Eq. 2).

    Args:
      reference: float32 [B, H, W, 3], pixel values 0..255.
      generated: what the generator makes of them.
    """
    return tf.reduce_mean(pixel_error(reference, generated, "l1"))


def pixel_loss(distorted: tf.Tensor, generated: tf.Tensor, norm: str) -> tf.Tensor:
    """Mean error between real and generated distortion, scalar; see `pixels.pixel_error`."""
    return tf.reduce_mean(pixel_error(distorted, generated, norm))
