"""Safe decoding of image files to the one image convention: uint8 RGB, 0..255.

Every kind of file becomes [height, width, 3] in 8 bits: gray is repeated, palettes are
looked up, transparency is laid over white, CMYK is converted by Pillow, 16-bit gray is
scaled by 1/257 and rounded (Pillow itself keeps the high byte of 16-bit RGB), EXIF
orientation is applied, and of animations the first frame counts.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from lossylab.core.errors import ImageError
from lossylab.data.jpeg import Coding

PathLike = str | pathlib.Path

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})


@dataclasses.dataclass(frozen=True)
class DecodedFile:
    """What one look into an image file gives.

    Attributes:
      pixels: uint8 [H, W, 3], RGB, or [H, W, 1] of a gray file.
      coding: how a JPEG file's planes are coded; None for other formats.
      upright: whether the image is shown as it is stored: no EXIF orientation turned it.
    """

    pixels: np.ndarray
    coding: Coding | None
    upright: bool


def decode_image(path: PathLike) -> DecodedFile:
    """Decodes one file, gray files as one plane.

    Args:
      path: an image file in any format that Pillow reads.

    Raises:
      ImageError: if the file is missing, empty, no image, damaged, of an unsupported
        mode, or larger than Pillow's decompression-bomb limit (178,956,970 pixels).
    """
    with _pillow_errors(path), Image.open(path) as image:
        image.load()
        gray = image.mode == "1" or (image.mode[0] in "LI" and "A" not in image.mode)
        coding = Coding.of(image) if isinstance(image, JpegImageFile) else None
        upright = image.getexif().get(ExifTags.Base.Orientation, 1) == 1
        pixels = np.array(_to_rgb(ImageOps.exif_transpose(image), path))
    return DecodedFile(
        pixels[..., :1] if gray else pixels,
        coding,
        upright,
    )


def read_image(path: PathLike) -> np.ndarray:
    """Decodes one file as RGB, uint8 [H, W, 3], gray repeated; raises as `decode_image`."""
    pixels = decode_image(path).pixels
    return pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, -1)


def stored_size(path: PathLike) -> tuple[int, int]:
    """Height and width of an image in pixels as it is stored, from its header alone.

    The image that is shown has them exchanged where the EXIF orientation turns it, for which Pillow
    would have to decode some files.

    Raises:
      ImageError: as `decode_image`, as far as the header shows.
    """
    with _pillow_errors(path), Image.open(path) as image:
        return image.height, image.width


def smaller_side(path: PathLike) -> int:
    """The smaller of height and width, whatever the orientation; see `stored_size`."""
    return min(stored_size(path))


class _pillow_errors:  # noqa: N801 - reads as a statement
    """Turns what Pillow raises for a bad file into an ImageError."""

    def __init__(self, path: PathLike) -> None:
        self._path = path

    def __enter__(self) -> None:
        path = self._path
        if os.path.isdir(path):
            raise ImageError(f"{path}: expected an image file, found a folder")
        if not os.path.exists(path):
            raise ImageError(f"{path}: no such file")
        if os.path.getsize(path) == 0:
            raise ImageError(f"{path}: the file is empty")

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
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


def _to_rgb(image: Image.Image, path: PathLike) -> Image.Image:
    mode = image.mode
    if mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ImageError(f"{path}: integer values outside 0..65535 (Pillow mode {mode})")
        shown = ((values + 128) // 257).astype(np.uint8)
        if "transparency" in image.info:
            shown[values == image.info["transparency"]] = 255
        return Image.fromarray(shown).convert("RGB")
    if mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    if mode in ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV"):
        return image.convert("RGB")
    raise ImageError(f"{path}: unsupported image mode {mode}; convert it to 8-bit RGB first")
