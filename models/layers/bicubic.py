"""PULSE's down-scaling (Menon et al., CVPR 2020), which the search for an image goes through.

A cubic kernel, a = -1/2, as wide as the factor asks for; beyond the edges the image is mirrored.
It is what `tf.image.resize` does with antialias=True but for the outermost two pixels, where that
one weighs the pixels inside higher instead.
"""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

_A = -0.5


def downscale(image: tf.Tensor, factor: int) -> tf.Tensor:
    """The image at a fraction of its size.

    Args:
      image: float32 [B, H, W, 3] in pixel values, or with any channels and range.
      factor: H and W are multiples of it; 1 keeps the image.

    Returns:
      float32 [B, H / factor, W / factor, 3], not clipped.

    Raises:
      ValueError: if a side is unknown, no multiple of the factor, or too short to be mirrored.
    """
    batch, (height, width, channels) = tf.shape(image)[0], image.shape[1:]
    if factor == 1:
        return image
    down, across = _weights(height, factor), _weights(width, factor)
    x = tf.matmul(down, tf.reshape(image, (batch, height, width * channels)))
    x = tf.matmul(across, tf.reshape(x, (-1, width, channels)))
    return tf.reshape(x, (batch, height // factor, width // factor, channels))


def kernel(factor: int) -> np.ndarray:
    """The 4 * factor weights of neighboring pixels, float64; their sum is 1."""
    size = 4 * factor
    x = np.abs((np.arange(size) - size // 2 + 0.5) / factor)
    near = (_A + 2) * x**3 - (_A + 3) * x**2 + 1
    far = _A * x**3 - 5 * _A * x**2 + 8 * _A * x - 4 * _A
    values = np.where(x <= 1, near, np.where(x < 2, far, 0))
    return values / values.sum()


@functools.lru_cache(maxsize=16)
def _weights(side: int | None, factor: int) -> np.ndarray:
    """The matrix [side / factor, side] of one direction."""
    before = 3 * factor // 2
    shortest = 3 * factor - before + 1  # mirroring needs a pixel more than it adds
    if side is None or factor < 1 or side % factor or side < shortest:
        raise ValueError(
            f"sides must be multiples of the factor {factor}, at least {shortest}, got {side}"
        )
    weights = np.zeros((side // factor, side))
    for row, start in enumerate(range(-before, side - before, factor)):
        places = np.abs(np.arange(start, start + 4 * factor))
        places = np.minimum(places, 2 * (side - 1) - places)
        np.add.at(weights[row], places, kernel(factor))
    return weights.astype(np.float32)
