"""Safe decoding of image files to the one image convention: uint8 RGB.

Every kind of file becomes [height, width, 3] in 8-bit levels: gray is repeated, palettes are
looked up, transparency is laid over white, CMYK is converted by Pillow, 16-bit gray is
scaled by 1/257 and rounded (Pillow itself keeps the high byte of 16-bit RGB), EXIF
orientation is applied, and of animations the first frame counts.
"""

from __future__ import annotations

import os
import pathlib

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from lossylab.core.errors import ImageError

PathLike = str | pathlib.Path

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})


def read_image(path: PathLike) -> np.ndarray:
    """Decodes one file.

    Args:
      path: an image file in any format that Pillow reads.

    Returns:
      uint8 [height, width, 3], RGB.

    Raises:
      ImageError: if the file is missing, empty, no image, damaged, of an unsupported
        mode, or larger than Pillow's decompression-bomb limit (178,956,970 pixels).
    """
    with _pillow_errors(path), Image.open(path) as image:
        image.load()
        return np.array(_to_rgb(ImageOps.exif_transpose(image), path))


def read_as_coded(path: PathLike) -> np.ndarray:
    """Decodes one file, gray files as one plane.

    Returns:
      uint8 [height, width, 1] of a gray file, else [height, width, 3] as `read_image`.

    Raises:
      ImageError: as `read_image`.
    """
    with _pillow_errors(path), Image.open(path) as image:
        image.load()
        gray = image.mode == "1" or image.mode[0] in "LI" and "A" not in image.mode
        image = np.array(_to_rgb(ImageOps.exif_transpose(image), path))
        return image[..., :1] if gray else image


def smaller_side(path: PathLike) -> int:
    """The smaller of an image file's height and width in pixels, from its header alone.

    Which is which would depend on the EXIF orientation, for which Pillow decodes some files.

    Raises:
      ImageError: as `read_image`, as far as the header shows.
    """
    return min(sides(path))


class _pillow_errors:  # noqa: N801 - reads as a statement
    """Turns what Pillow raises for a bad file into a ImageError."""

    def __init__(self, path: PathLike):
        self._path = path

    def __enter__(self) -> None:
        path = self._path
        if os.path.isdir(path):
            raise ImageError(f"{path}: expected an image file, found a folder")
        if not os.path.exists(path):
            raise ImageError(f"{path}: no such file")
        if os.path.getsize(path) == 0:
            raise ImageError(f"{path}: the file is empty")

    def __exit__(self, kind, error, trace) -> None:
        if isinstance(error, ImageError) or not isinstance(error, Exception):
            return
        if isinstance(error, UnidentifiedImageError):
            reason = "not an image in a known format"
        elif isinstance(error, Image.DecompressionBombError):
            reason = f"refused, too large to decode safely ({error})"
        elif isinstance(error, PermissionError):
            reason = "no permission to read it"
        else:
            reason = f"cannot be decoded, is it damaged? ({error})"
        raise ImageError(f"{self._path}: {reason}") from error


def sides(path: PathLike) -> tuple[int, int]:
    """An image file's sides in pixels from its header, width first unless EXIF turns it.

    Raises:
      ImageError: as `read_image`, as far as the header shows.
    """
    with _pillow_errors(path), Image.open(path) as image:
        return image.size


def quantization_tables(path: PathLike) -> list[np.ndarray] | None:
    """The tables of a JPEG file, luminance first, int64 [8, 8]; None for other formats.

    Raises:
      ImageError: as `read_image`, as far as the header shows.
    """
    with _pillow_errors(path), Image.open(path) as image:
        tables = getattr(image, "quantization", None)
        return [np.reshape(table, (8, 8)) for table in tables.values()] if tables else None


def upright(path: PathLike) -> bool:
    """Whether an image is shown as it is stored; raises ImageError as `read_image`."""
    with _pillow_errors(path), Image.open(path) as image:
        return image.getexif().get(ExifTags.Base.Orientation, 1) == 1


def _to_rgb(image: Image.Image, path: PathLike) -> Image.Image:
    mode = image.mode
    if mode.startswith("I"):
        levels = np.asarray(image).astype(np.int64)
        if levels.min() < 0 or levels.max() > 65535:
            raise ImageError(f"{path}: integer levels outside 0..65535 (Pillow mode {mode})")
        shown = ((levels + 128) // 257).astype(np.uint8)
        if "transparency" in image.info:
            shown[levels == image.info["transparency"]] = 255
        return Image.fromarray(shown).convert("RGB")
    if mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    if mode in ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV"):
        return image.convert("RGB")
    raise ImageError(f"{path}: unsupported image mode {mode}; convert it to 8-bit RGB first")
