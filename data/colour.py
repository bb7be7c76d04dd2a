"""Colour conversion as ffmpeg does it by default: BT.601, limited (studio) range.

ProxIQA measured with ffmpeg and libvmaf, which see Y in 16..235 and Cb, Cr in 16..240.
"""

import tensorflow as tf

_ROWS = (
    (65.481, 128.553, 24.966),
    (-37.797, -74.203, 112.0),
    (112.0, -93.786, -18.214),
)
_OFFSETS = (16.0, 128.0, 128.0)


def ycbcr(picture: tf.Tensor) -> tf.Tensor:
    """Y, Cb and Cr, unrounded.

    Args:
      picture: [..., 3], RGB in levels 0..255.

    Returns:
      float32 [..., 3].
    """
    matrix = tf.constant(_ROWS) / 255.0
    return tf.tensordot(tf.cast(picture, tf.float32), matrix, ((-1,), (1,))) + _OFFSETS


def luma(picture: tf.Tensor) -> tf.Tensor:
    """Y of a picture [..., 3] in levels, unrounded, float32 [..., 1]."""
    return ycbcr(picture)[..., :1]
