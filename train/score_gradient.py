"""The gradient of a score by the distorted images: what a codec learns from a proxy."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

Score = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # of pairs [B, H, W, 3]: float32 [B]


def with_gradient(
    score: Score, reference: tf.Tensor, distorted: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Scores [B] of pairs, and their gradient by the distorted images, of their shape."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(distorted)
        scores = score(reference, distorted)
    return scores, tape.gradient(scores, distorted)


def step_along(gradient: tf.Tensor, image: tf.Tensor, levels: tf.Tensor) -> tf.Tensor:
    """Images [B, H, W, 3] moved along gradients of that shape by levels [B] (root mean square)."""
    size = tf.sqrt(tf.reduce_mean(tf.square(gradient), (1, 2, 3), keepdims=True))
    change = levels[:, None, None, None] * tf.math.divide_no_nan(gradient, size)
    return tf.clip_by_value(image + change, 0.0, 255.0)
