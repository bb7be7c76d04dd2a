"""JPEG degradation with Pillow's encoder, and the tables it uses."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

QUALITIES = range(1, 101)
SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")

# ITU-T T.81, Table K.1: luminance.
_LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
# Table K.2: chrominance, 99 but for this corner.
_CHROMINANCE = np.full((8, 8), 99)
_CHROMINANCE[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]


def luminance_table(quality: int) -> np.ndarray:
    """libjpeg's luma table for a quality 1..100, int64 [8, 8], entries 1..255.

    Raises:
      ValueError: if the quality is outside.
    """
    return _scaled(_LUMINANCE, quality)


def chrominance_table(quality: int) -> np.ndarray:
    """The same for the colors."""
    return _scaled(_CHROMINANCE, quality)


def nearest_quality(table: np.ndarray) -> int:
    """The quality whose luminance table comes nearest to `table` [8, 8]."""
    distance = [np.abs(luminance_table(quality) - table).sum() for quality in QUALITIES]
    return QUALITIES[int(np.argmin(distance))]


def _scaled(table: np.ndarray, quality: int) -> np.ndarray:
    _check(quality)
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return np.clip((table * scale + 50) // 100, 1, 255)


def degrade(image: np.ndarray, quality: int, subsampling: str = "4:2:0") -> np.ndarray:
    """What decoding the image's JPEG file gives.

    Args:
      image: uint8 [H, W, 1] (coded as a gray file) or [H, W, 3] RGB.
      quality: 1..100.
      subsampling: of the colors.

    Returns:
      uint8, the same shape.

    Raises:
      ValueError: if the quality is outside or the shape is no image's.
    """
    _check(quality)
    if image.ndim != 3 or image.shape[2] not in (1, 3):
        raise ValueError(f"expected an image [H, W, 1] or [H, W, 3], got {image.shape}")
    gray = image.shape[2] == 1
    file = io.BytesIO()
    options = {} if gray else {"subsampling": subsampling}
    Image.fromarray(image[..., 0] if gray else image).save(file, "JPEG", quality=quality, **options)
    decoded = np.asarray(Image.open(file))
    return decoded[..., None] if gray else decoded


def _check(quality: int) -> None:
    if quality not in QUALITIES:
        raise ValueError(f"JPEG quality must lie in 1..100, got {quality}")
