"""JPEG degradation with Pillow's encoder, and the tables it uses."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
from PIL import Image, JpegImagePlugin

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

_ADOBE_OWN = 0  # Adobe's marker: planes are what the image has, RGB or CMYK, not YCbCr
_OWN_IDS = b"RGB"  # names of planes that say so where no marker does, as libjpeg


@dataclasses.dataclass(frozen=True)
class Coding:
    """How the planes of a JPEG file are coded.

    Attributes:
      tables: the quantization table of each plane, int64 [8, 8].
      areas: pixels that a sample of each plane stands for: 1, 4, 4 for 4:2:0.
      has_luma: whether the first plane is luma, and the others, if any, are colors; else each is a
        channel of RGB or CMYK.
    """

    tables: tuple[np.ndarray, ...]
    areas: tuple[float, ...]
    has_luma: bool = True

    @property
    def full_colors(self) -> bool:
        """Whether colors are coded beside luma and as large as it: 4:4:4."""
        return self.has_luma and len(self.areas) > 1 and max(self.areas) == 1.0

    @classmethod
    def of(cls, image: JpegImagePlugin.JpegImageFile) -> Coding:
        """What the headers of an opened file say: which table is whose says the frame header."""
        _, horizontal, vertical, tables = zip(*image.layer)
        largest = max(horizontal) * max(vertical)
        return cls(
            tuple(np.reshape(image.quantization[index], (8, 8)) for index in tables),
            tuple(largest / (across * down) for across, down in zip(horizontal, vertical)),
            _has_luma(image),
        )

    @classmethod
    def by_quality(cls, quality: int, channels: int, subsampling: str = "4:2:0") -> Coding:
        """That of files that `encode` writes of images with 1 or 3 channels."""
        if channels == 1:
            return cls((luminance_table(quality),), (1.0,))
        luminance, chrominance = luminance_table(quality), chrominance_table(quality)
        area = {"4:4:4": 1.0, "4:2:2": 2.0, "4:2:0": 4.0}[subsampling]
        return cls((luminance, chrominance, chrominance), (1.0, area, area))


def _has_luma(image: JpegImagePlugin.JpegImageFile) -> bool:
    """Whether a file's planes are Y, YCbCr or YCCK, as libjpeg decides."""
    if image.layers == 1 or "jfif" in image.info:
        return True
    if "adobe_transform" in image.info:
        return image.info["adobe_transform"] != _ADOBE_OWN
    return image.layers == 3 and bytes(layer[0] for layer in image.layer) != _OWN_IDS


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


def encode(image: np.ndarray, quality: int, subsampling: str = "4:2:0") -> bytes:
    """An image's JPEG file.

    Args:
      image: uint8 [H, W, 1] (coded as a gray file) or [H, W, 3] RGB.
      quality: 1..100.
      subsampling: of the colors.

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
    return file.getvalue()


def degrade(image: np.ndarray, quality: int, subsampling: str = "4:2:0") -> np.ndarray:
    """What decoding the image's JPEG file gives, uint8 of the same shape; as `encode`."""
    decoded = np.asarray(Image.open(io.BytesIO(encode(image, quality, subsampling))))
    return decoded[..., None] if decoded.ndim == 2 else decoded


def _check(quality: int) -> None:
    if quality not in QUALITIES:
        raise ValueError(f"JPEG quality must lie in 1..100, got {quality}")
