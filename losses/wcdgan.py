"""The losses of WCDGAN (Sec. II-E, Eq. 18-23), means over pixels, channels and batch.

Images are in levels 0..255.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


def content_loss(true: tf.Tensor, restored: tf.Tensor, norm: str = "l1") -> tf.Tensor:
    """Eq. 18 in levels, or the mean squared error that the other methods minimize.

    Args:
      true: float32 [B, H, W, C], levels.
      restored: likewise, unclipped.
      norm: 'l1' or 'l2'.

    Returns:
      A scalar.

    Raises:
      ValueError: for another norm.
    """
    if norm == "l1":
        return tf.reduce_mean(tf.abs(true - restored))
    if norm == "l2":
        return tf.reduce_mean(tf.math.squared_difference(true, restored))
    raise ValueError(f"norm must be 'l1' or 'l2', got '{norm}'")


def perceptual_loss(
    true: tf.Tensor, restored: tf.Tensor, features: Callable[[tf.Tensor], tf.Tensor]
) -> tf.Tensor:
    """Eq. 19: L1 distance of VGG-19's features, see `models.backbones`; a scalar.

    Args:
      true: float32 [B, H, W, 1 or 3], levels; luma is shown as gray.
      restored: likewise.
      features: from RGB in levels to features.
    """
    true, restored = (tf.broadcast_to(x, (*x.shape[:-1], 3)) for x in (true, restored))
    return tf.reduce_mean(tf.abs(features(true) - features(restored)))


def total_variation(restored: tf.Tensor) -> tf.Tensor:
    """Eq. 22 in levels: |dx + dy| by forward differences, as printed; a scalar.

    Args:
      restored: float32 [B, H, W, C], levels.
    """
    here = restored[:, :-1, :-1]
    across, down = restored[:, :-1, 1:] - here, restored[:, 1:, :-1] - here
    return tf.reduce_mean(tf.abs(across + down))
