"""Safe decoding of image files to the one image convention: uint8 RGB in sRGB, 0..255.

Every kind of file becomes [height, width, 3] in 8 bits: gray is repeated, palettes are looked up,
transparency is laid over white, colors are converted to sRGB by the file's profile, CMYK without
one by Pillow, 16-bit gray is scaled by 1/257 and rounded (Pillow itself keeps the high byte of
16-bit RGB), EXIF orientation is applied, and of animations the first frame counts. What loses
something is said, once for each kind. Damaged metadata are said and passed over; damaged pixels are
an error.
"""

from __future__ import annotations

import dataclasses
import io
import logging
import os
import pathlib
import stat
from collections.abc import Callable
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from lossylab.core.errors import ImageError
from lossylab.data.formats import containers, kinds
from lossylab.data.formats.planes import Planes
from lossylab.data.jpeg import Coding

PathLike = str | pathlib.Path

SUFFIXES = frozenset(
    {
        *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff"),
        *(".webp", ".ppm", ".pgm", ".pbm", ".pnm", ".gif", ".jp2", ".j2k", ".jpx", ".avif"),
    }
)
# An image of more pixels must have a byte for so many: files that blow up fill the memory.
_ALWAYS, _PIXELS_OF_A_BYTE = 2**24, 1024
_HEAD = 2**16  # bytes that tell what a file is
_ADOBE = "R03"  # of EXIF's interoperability data, as DCF 2.0 names Adobe RGB
# How a viewer turns the stored image, by EXIF orientation.
_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}

log = logging.getLogger("lossylab")
_said: set[str] = set()


@dataclasses.dataclass(frozen=True)
class DecodedFile:
    """What one look into an image file gives.

    Attributes:
      pixels: uint8 [H, W, 3], RGB, or [H, W, 1] of a gray file.
      coding: how a JPEG file's planes are coded; None for other formats.
      upright: whether the image is shown as it is stored: no EXIF orientation turned it.
      profile: the color profile that the pixel values are of; None for sRGB.
    """

    pixels: np.ndarray
    coding: Coding | None
    upright: bool
    profile: bytes | None = None


def decode_image(
    path: PathLike, max_pixels: int | None = None, keep_profile: bool = False
) -> DecodedFile:
    """Decodes one file, gray files as one plane.

    Args:
      path: an image file: PNG, JPEG, TIFF, BMP, GIF, WebP, PPM, JPEG 2000 or AVIF.
      max_pixels: larger ones are refused before they are decoded.
      keep_profile: leave the pixel values as they are, and give the profile that they are of.

    Raises:
      ImageError: if the file is missing, empty, no image, damaged, of a kind that is not read,
        larger than `max_pixels` or than Pillow's decompression-bomb limit (178,956,970 pixels), or
        larger than a file of its length can well be.
    """
    with _named_errors(path), open(path, "rb") as file:
        data = file.read() if _starts(file, containers.PNG) else None
        if data is not None:
            _check_size(*_png_size(data), len(data), max_pixels)
            png = containers.checked_png(data)
            if png.fault:
                say_once("fault", path, f"the file {png.fault}, which is passed over")
            file = io.BytesIO(png.data)
        reading = _Reading(path, os.path.getsize(path), max_pixels, keep_profile)
        try:
            return reading.decoded(file)
        except (ImageError, kinds.UnsupportedError, MemoryError):
            raise
        # Whatever Pillow makes of metadata.
        except Exception as error:
            file.seek(0)
            if (unread := kinds.name_of(file.read(_HEAD))) is not None:
                raise unread from error
            for rest in _without_metadata(file):
                try:
                    decoded = reading.decoded(io.BytesIO(rest))
                except (OSError, SyntaxError, ValueError, IndexError, KeyError):
                    continue
                say_once("metadata", path, f"damage beside its pixels is passed over ({error})")
                return decoded
            raise


def read_image(path: PathLike, max_pixels: int | None = None) -> np.ndarray:
    """Decodes one file as RGB, uint8 [H, W, 3], gray repeated; raises as `decode_image`."""
    return as_rgb(decode_image(path, max_pixels).pixels)


def as_rgb(image: np.ndarray) -> np.ndarray:
    """An image [..., 1 or 3] as [..., 3], gray three times."""
    return image if image.shape[-1] == 3 else np.repeat(image, 3, -1)


def stored_size(path: PathLike) -> tuple[int, int]:
    """Height and width of an image in pixels as it is stored, from its header alone.

    The image that is shown has them exchanged where the EXIF orientation turns it, for which Pillow
    would have to decode some files.

    Raises:
      ImageError: as `decode_image`, as far as the header shows.
    """
    with _named_errors(path), open(path, "rb") as file:
        if _starts(file, containers.PNG):
            size = _png_size(file.read(24))
        else:
            with _opened(file) as image:
                size = image.height, image.width
        _check_size(*size, os.path.getsize(path), None)
        return size


def smaller_side(path: PathLike) -> int:
    """The smaller of height and width, whatever the orientation; see `stored_size`."""
    return min(stored_size(path))


@dataclasses.dataclass(frozen=True)
class _Reading:
    """How one file is read.

    Attributes:
      path: for messages.
      length: of the file in bytes.
      max_pixels: see `decode_image`.
      keep_profile: likewise.
    """

    path: PathLike
    length: int
    max_pixels: int | None
    keep_profile: bool

    def decoded(self, file: BinaryIO) -> DecodedFile:
        """Decodes what may be another file's pixels only."""
        file.seek(0)
        with _opened(file) as image:
            _check_size(image.height, image.width, self.length, self.max_pixels)
            kinds.check(image)
            if image.format in ("JPEG", "MPO"):
                self._check_scans(file, image)
            elif deflated := kinds.deflated(image):
                containers.check_deflated(file, *deflated)
            planes = Planes(image, self.keep_profile)
            image.load()
            pixels = planes.pixels()
            for kind, text in planes.notes.items():
                say_once(kind, self.path, text)
            orientation = self._orientation(image)
            if orientation in _TURNS:
                pixels = np.ascontiguousarray(_TURNS[orientation](pixels))
            return DecodedFile(pixels, _coding(image), orientation == 1, planes.kept_profile)

    def _orientation(self, image: Image.Image) -> int:
        try:
            exif = image.getexif()
            orientation = exif.get(ExifTags.Base.Orientation, 1)
            bare = bool(exif) and not image.info.get("icc_profile")
            if bare and exif.get_ifd(ExifTags.IFD.Interop).get(1) == _ADOBE:
                text = "it says Adobe RGB and has no profile: taken as sRGB"
                say_once("adobe", self.path, text)
        except Exception as error:  # noqa: BLE001 - Pillow raises all kinds for damaged EXIF
            say_once(
                "exif", self.path, f"its EXIF data are damaged ({error}): shown as it is stored"
            )
            return 1
        return orientation if orientation in _TURNS else 1

    def _check_scans(self, file: BinaryIO, image: Image.Image) -> None:
        place = file.tell()
        file.seek(0)
        if containers.too_many_scans(file.read(), image.width * image.height):
            raise ImageError(f"{self.path}: refused, it has so many scans that decoding never ends")
        file.seek(place)


def _without_metadata(file: BinaryIO) -> list[bytes]:
    """The file without what its pixels do not need, in ways to be tried; none if that is not known.

    Raises:
      DamagedError: if the pixels are not all there.
    """
    file.seek(0)
    data = file.read()
    if data.startswith(containers.PNG):
        return [containers.bare_png(data), containers.bare_png(data, color=False)]
    if not data.startswith(containers.JPEG):
        return []
    jpeg = containers.bare_jpeg(data)
    if not jpeg.ended and not (jpeg.complete and _ends_whole(jpeg.data)):
        raise containers.DamagedError("its pixels end too early")
    return [jpeg.data + b"\xff\xd9"]


def _ends_whole(data: bytes) -> bool:
    """Whether a JPEG file without end marker has all pixels: no matter what follows, they stay."""
    shown = None
    for tail in (b"", b"\x35\xca\x59\x96\xe1" * 64, b"\xd2\x0f\xb4\x6a" * 64, bytes(256)):
        with Image.open(io.BytesIO(data + tail + b"\xff\xd9"), formats=["JPEG"]) as image:
            found = image.tobytes()
        if shown is not None and found != shown:
            return False
        shown = found
    return True


def _coding(image: Image.Image) -> Coding | None:
    return Coding.of(image) if isinstance(image, JpegImageFile) else None


def _opened(file: BinaryIO) -> Image.Image:
    """A file opened by Pillow, of the formats that are known."""
    try:
        return Image.open(file, formats=kinds.FORMATS)
    except UnidentifiedImageError as error:
        file.seek(0)
        raise kinds.name_of(file.read(_HEAD)) or error from error


def _starts(file: BinaryIO, start: bytes) -> bool:
    found = file.read(len(start))
    file.seek(0)
    return found == start


def _png_size(head: bytes) -> tuple[int, int]:
    if head[12:16] != b"IHDR" or len(head) < 24:
        raise containers.DamagedError("it has no header")
    return int.from_bytes(head[20:24], "big"), int.from_bytes(head[16:20], "big")


def _check_size(height: int, width: int, length: int, max_pixels: int | None) -> None:
    pixels, most = height * width, 2 * (Image.MAX_IMAGE_PIXELS or 2**62)
    if max_pixels is not None and pixels > max_pixels:
        raise kinds.UnsupportedError(
            f"an image of {width}x{height} pixels is too large, limit {max_pixels}"
        )
    if pixels > most:
        raise Image.DecompressionBombError(f"{width}x{height} pixels, at most {most} in all")
    if pixels > max(_ALWAYS, _PIXELS_OF_A_BYTE * length):
        raise Image.DecompressionBombError(f"{width}x{height} pixels in {length} bytes")


def say_once(kind: str, path: PathLike, text: str) -> None:
    """Says what happens to a file, the first time that it happens to any."""
    if kind not in _said:
        _said.add(kind)
        log.warning("%s: %s (said once)", path, text)


def require_file(path: PathLike) -> None:
    """Refuses what is no file with contents: reading from a pipe would wait for ever.

    Raises:
      ImageError: that names it and says what it is.
    """
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:  # a name too long, or with a NUL
        said = getattr(error, "strerror", None) or error
        raise ImageError(f"{path!r}: cannot be opened ({said})") from error
    if stat.S_ISDIR(found.st_mode):
        raise ImageError(f"{path}: expected an image file, found a folder")
    if not stat.S_ISREG(found.st_mode):
        raise ImageError(f"{path}: no regular file")
    if found.st_size == 0:
        raise ImageError(f"{path}: the file is empty")


class _named_errors:  # noqa: N801 - reads as a statement
    """Turns what Pillow raises for a bad file into an ImageError."""

    def __init__(self, path: PathLike) -> None:
        self._path = path

    def __enter__(self) -> None:
        require_file(self._path)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ImageError) or not isinstance(error, Exception):
            return
        if isinstance(error, UnidentifiedImageError):
            reason = "not an image in a known format"
        elif isinstance(error, kinds.UnsupportedError):
            reason = str(error)
        elif isinstance(error, Image.DecompressionBombError):
            reason = f"refused, too large to decode safely ({error})"
        elif isinstance(error, PermissionError):
            reason = "no permission to read it"
        elif isinstance(error, MemoryError):
            reason = "not enough memory to decode it"
        else:
            reason = f"cannot be decoded, is it damaged? ({error})"
        raise ImageError(f"{self._path}: {reason}") from error
