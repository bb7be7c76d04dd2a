"""Losses of PULSE (Menon et al. 2020), by which latents are searched for."""

from __future__ import annotations

import tensorflow as tf

_TINY = 1e-9  # under roots, whose gradient at 0 is not finite
EPSILON = 2e-3  # squared error at which PULSE is content


def squared_error(degraded: tf.Tensor, generated: tf.Tensor) -> tf.Tensor:
    """Mean squared error by image, of pixel values divided by 255.

    PULSE's loss is its maximum with `EPSILON`: what is below has no gradient.

    Args:
      degraded: the images to restore, float32 [B, H, W, 3], pixel values 0..255.
      generated: images of the generator, degraded as those were.

    Returns:
      [B].
    """
    return tf.reduce_mean(tf.square((generated - degraded) / 255.0), (1, 2, 3))


def geocross(latents: tf.Tensor) -> tf.Tensor:
    """How far an image's latents are from each other on the sphere (GEOCROSS).

    Args:
      latents: [B, L, D], measured about the origin. The official code has L = 18 and D = 512
        written into it; here they are those of the latents.

    Returns:
      [B]: mean over all ordered pairs, a latent with itself included, of D * angle^2 / 8.
    """
    one, other = latents[:, :, None], latents[:, None]
    difference = tf.sqrt(tf.reduce_sum(tf.square(one - other), -1) + _TINY)
    total = tf.sqrt(tf.reduce_sum(tf.square(one + other), -1) + _TINY)
    angles = 2 * tf.atan2(difference, total)
    size = tf.cast(tf.shape(latents)[-1], latents.dtype)
    return tf.reduce_mean(tf.square(angles) * size / 8, (1, 2))
