"""Color conversion by BT.601: limited (studio) range as ffmpeg and MATLAB, full range as JPEG.

ProxIQA measured with ffmpeg and libvmaf, which see Y in 16..235 and Cb, Cr in 16..240; papers on
JPEG restoration measure MATLAB's luma, the same range.
"""

import numpy as np
import tensorflow as tf

from lossylab.core.options import require_known

LUMA_CONVENTIONS = ("studio", "full")
_ROWS = (
    (65.481, 128.553, 24.966),
    (-37.797, -74.203, 112.0),
    (112.0, -93.786, -18.214),
)
_JFIF = (
    (0.299, 0.587, 0.114),
    (-0.168736, -0.331264, 0.5),
    (0.5, -0.418688, -0.081312),
)
_OFFSETS = (16.0, 128.0, 128.0)


def ycbcr(image: tf.Tensor) -> tf.Tensor:
    """Y, Cb and Cr, unrounded.

    Args:
      image: [..., 3], RGB, pixel values 0..255.

    Returns:
      float32 [..., 3].
    """
    matrix = tf.constant(_ROWS) / 255.0
    return tf.tensordot(tf.cast(image, tf.float32), matrix, ((-1,), (1,))) + _OFFSETS


def luma(image: tf.Tensor) -> tf.Tensor:
    """Y of an image [..., 3] of pixel values, unrounded, float32 [..., 1]."""
    return ycbcr(image)[..., :1]


def studio_luma(image: np.ndarray) -> np.ndarray:
    """Y of uint8 RGB [H, W, 3] as MATLAB's rgb2ycbcr rounds it: uint8 [H, W, 1], 16..235."""
    luma = 16 + (image.astype(np.float64) @ np.array(_ROWS[0])) / 255
    return np.floor(luma + 0.5).astype(np.uint8)[..., None]


def luma_by(image: np.ndarray, convention: str) -> np.ndarray:
    """Y of RGB by the name of a convention; values of one are not comparable with the other's.

    Args:
      image: uint8 [H, W, 3].
      convention: 'studio' (16..235, MATLAB's rgb2ycbcr, papers on restoration) or 'full' (0..255,
        JPEG's, OpenCV's and Pillow's).

    Returns:
      uint8 [H, W, 1].

    Raises:
      UsageError: for other conventions.
    """
    require_known("convention", [convention], LUMA_CONVENTIONS)
    if convention == "studio":
        return studio_luma(image)
    return np.floor(image.astype(np.float64) @ np.array(_JFIF[0]) + 0.5).astype(np.uint8)[..., None]


def is_gray(image: np.ndarray) -> np.ndarray:
    """Whether images [..., H, W, 3] have no color at all, R = G = B everywhere: bool [...]."""
    return np.all(image[..., 1:] == image[..., :1], axis=(-3, -2, -1))


def jpeg_ycbcr(image: np.ndarray) -> np.ndarray:
    """Planes of JPEG files (JFIF: BT.601, full range), unrounded, of RGB [H, W, 3]; float64."""
    planes = image.astype(np.float64) @ np.array(_JFIF).T
    return planes + np.array((0.0, 128.0, 128.0))


def jpeg_rgb(planes: np.ndarray) -> np.ndarray:
    """RGB of JFIF's planes [H, W, 3], rounded and clipped: uint8 [H, W, 3]."""
    rgb = (planes - (0.0, 128.0, 128.0)) @ np.linalg.inv(np.array(_JFIF)).T
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


def gray_mean(image: np.ndarray) -> np.ndarray:
    """Mean of the channels of uint8 [H, W, 3], rounded: uint8 [H, W, 1]."""
    return np.rint(image.mean(2, keepdims=True)).astype(np.uint8)
