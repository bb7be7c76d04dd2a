"""What several papers' losses have in common: errors of pixels, and gradients that stay finite."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

NORMS = ("l1", "l2")


def pixel_error(reference: tf.Tensor, distorted: tf.Tensor, norm: str) -> tf.Tensor:
    """Error of each pixel, of the images' shape.

    Args:
      reference: float32 [B, H, W, C], pixel values 0..255.
      distorted: the same shape, unclipped.
      norm: 'l1' for absolute, 'l2' for squared errors.

    Raises:
      ValueError: for another norm.
    """
    if norm == "l1":
        return tf.abs(reference - distorted)
    if norm == "l2":
        return tf.math.squared_difference(reference, distorted)
    raise ValueError(f"norm must be 'l1' or 'l2', got '{norm}'")


@tf.custom_gradient
def finite_gradient(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """x, with gradients that are not finite set to 0.

    MS-SSIM needs it: a scale of negative structure makes the score 0, whose power has the gradient
    0 * infinity.
    """
    return tf.identity(x), lambda dx: tf.where(tf.math.is_finite(dx), dx, tf.zeros_like(dx))
