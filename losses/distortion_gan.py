"""Losses of the distortion GAN beside the adversarial ones (Sec. II-B, III-D)."""

import tensorflow as tf


def sparsity(pristine: tf.Tensor, made: tf.Tensor) -> tf.Tensor:
    """Mean absolute residual in levels, scalar (Eq. 2).

    Args:
      pristine: float32 [B, H, W, 3] in levels.
      made: what the generator makes of them.
    """
    return tf.reduce_mean(tf.abs(made - pristine))


def pixel_loss(distorted: tf.Tensor, made: tf.Tensor, norm: str) -> tf.Tensor:
    """Mean error between true and made distortion, scalar: 'l1' absolute, 'l2' squared levels.

    Raises:
      ValueError: for another norm.
    """
    if norm == "l1":
        return tf.reduce_mean(tf.abs(made - distorted))
    if norm == "l2":
        return tf.reduce_mean(tf.math.squared_difference(made, distorted))
    raise ValueError(f"norm must be l1 or l2, got '{norm}'")
