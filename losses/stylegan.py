"""StyleGAN2's regularization (Karras et al., CVPR 2020): R1 and path lengths."""

from __future__ import annotations

import tensorflow as tf


def r1(slope: tf.Tensor) -> tf.Tensor:
    """Mean squared slope of a discriminator at real images (Mescheder et al. 2018).

    Args:
      slope: gradient of the sum of scores to the images [B, R, R, 3], scaled to -1..1.

    Returns:
      A scalar; its weight is gamma / 2.
    """
    return tf.reduce_mean(tf.reduce_sum(tf.square(slope), (1, 2, 3)))


def path_lengths(slope: tf.Tensor) -> tf.Tensor:
    """How far images move when styles do, in a random direction of the space of images.

    Args:
      slope: gradient to the styles [B, L, D] of the sum of images [B, R, R, 3], scaled to -1..1,
        times normal noise of std 1 / R.

    Returns:
      Root mean square, over the L, of the norms of the slopes, [B].
    """
    return tf.sqrt(tf.reduce_mean(tf.reduce_sum(tf.square(slope), 2), 1))
