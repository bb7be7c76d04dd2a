"""Kinds of image files that Pillow reads right, and names for those that are not read.

A reader that does not know a file's layout may return wrong pixels without a word (Pillow does for
16-bit planes stored apart, for 8-bit signed samples, for 16-bit samples where 0 is white): only
what tests have compared with files made by the formats' specifications is let through.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from PIL import Image, TiffImagePlugin

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "DIB", "GIF", "WEBP", "PPM", "JPEG2000", "AVIF")

_PHOTOMETRIC = {
    0: "gray, 0 is white",
    1: "gray",
    2: "RGB",
    3: "palette",
    5: "CMYK",
    6: "YCbCr",
    8: "Lab",
    32803: "raw sensor values",
    34892: "linear raw",
}
_UNSIGNED, _SIGNED = 1, 2
_CONTIGUOUS, _SEPARATE = 1, 2
_RAW, _OLD_JPEG, _JPEG = 1, 6, 7
_DEFLATE = (8, 32946)
# Of TIFF: (photometric, bits of the samples, planar configuration), samples unsigned.
_TIFF = {
    *((photometric, (bits,), _CONTIGUOUS) for photometric in (0, 1, 3) for bits in (1, 2, 4, 8)),
    (1, (16,), _CONTIGUOUS),
    (1, (8, 8), _CONTIGUOUS),  # gray and alpha
    (6, (8, 8, 8), _CONTIGUOUS),
    *((2, (8,) * count, planar) for count in (3, 4) for planar in (_CONTIGUOUS, _SEPARATE)),
    (5, (8, 8, 8, 8), _CONTIGUOUS),
    (5, (8, 8, 8, 8), _SEPARATE),
    (2, (16, 16, 16), _CONTIGUOUS),
    (2, (16, 16, 16, 16), _CONTIGUOUS),
    (5, (16, 16, 16, 16), _CONTIGUOUS),
}
_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV")

# What the first bytes say of files that are known, but not read.
_KNOWN = (
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"II\xbc\x01", "JPEG XR"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"8BPS", "Photoshop"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"SIMPLE  =", "FITS"),
    (b"BPG\xfb", "BPG"),
    (b"FLIF", "FLIF"),
    (b"\x93NUMPY", "NumPy"),
    (b"DICM", "DICOM"),
    (b"II+\x00", "BigTIFF"),
    (b"MM\x00+", "BigTIFF"),
    (b"<svg", "SVG"),
)
_HEIF = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_UNREAD_FRAMES = {
    0xC3: "lossless JPEG",
    0xC5: "differential JPEG",
    0xC7: "lossless JPEG",
    0xCB: "lossless JPEG",
    0xF7: "JPEG-LS",
}


class UnsupportedError(ValueError):
    """A file of a kind that is known and not read; the message names it."""


def check(image: Image.Image) -> None:
    """Refuses what Pillow has opened and may not read right.

    Args:
      image: opened, before its pixels are loaded.

    Raises:
      UnsupportedError: naming the kind.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile) and not _right_tiff(image):
        if image.mode not in _MODES and not image.mode.startswith("I"):
            raise UnsupportedError(_mode(image.mode))
        raise UnsupportedError(
            f"TIFF of this kind is not read ({_described(image.tag_v2)}): convert it to 8-bit PNG "
            "first"
        )
    if image.mode not in _MODES and not image.mode.startswith("I"):
        raise UnsupportedError(_mode(image.mode))
    if image.mode == "RGB" and _deep(image) and "transparency" in image.info:
        raise UnsupportedError(
            "16-bit RGB with a transparent color is not read: convert it to 8-bit PNG first"
        )


def reduced(image: Image.Image) -> bool:
    """Whether an image, before it is loaded, has 16 bits a sample, of which 8 are kept."""
    return image.mode.startswith("I") or _deep(image)


def is_gray_png(image: Image.Image) -> bool:
    """Whether a PNG file, before it is loaded, has gray and transparency."""
    tiles = getattr(image, "tile", ())
    return image.format == "PNG" and any(tile[3] in ("LA", "LA;16B") for tile in tiles)


def deflated(image: Image.Image) -> tuple[Sequence[int], Sequence[int]] | None:
    """Where the deflated strips or tiles of a TIFF file lie: offsets and lengths in bytes."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return None
    tags = image.tag_v2
    if tags.get(259) not in _DEFLATE:
        return None
    offsets, lengths = (273, 279) if 273 in tags else (324, 325)
    return tags.get(offsets, ()), tags.get(lengths, ())


def name_of(head: bytes) -> UnsupportedError | None:
    """What a file is that could not be opened, by its first bytes; None if that is not known."""
    for start, name in _KNOWN:
        if head.lstrip(b" \r\n\t").startswith(start):
            return UnsupportedError(f"{name} files are not read: convert it to PNG first")
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF:
        return UnsupportedError("HEIF files are not read: convert it to PNG first")
    if head.startswith(b"\xff\xd8"):
        return _jpeg_frame(head)
    return None


def _right_tiff(image: TiffImagePlugin.TiffImageFile) -> bool:
    tags = image.tag_v2
    photometric = tags.get(262)
    bits: tuple[int, ...] = tuple(tags.get(258, (1,)))
    planar = tags.get(284, _CONTIGUOUS) if len(bits) > 1 else _CONTIGUOUS
    formats, extra = set(tags.get(339, (_UNSIGNED,))), tuple(tags.get(338, ()))
    compression = tags.get(259, _RAW)
    if compression == _OLD_JPEG or (photometric == 6 and compression != _JPEG):
        return False
    if photometric == 1 and bits == (32,) and formats <= {_UNSIGNED, _SIGNED}:
        return tags.prefix == b"II"  # values beyond 16 bits are refused when they are seen
    if photometric == 2 and len(bits) == 4 and planar == _SEPARATE and extra not in ((), (2,)):
        return False
    return formats <= {_UNSIGNED} and (photometric, bits, planar) in _TIFF


def _described(tags: TiffImagePlugin.ImageFileDirectory_v2) -> str:
    bits: Any = tags.get(258, (1,))
    kinds = {1: "", 2: " signed", 3: " floating-point"}
    sign = kinds.get(next(iter(tags.get(339, (1,)))), "")
    planes = " in separate planes" if tags.get(284) == _SEPARATE and len(bits) > 1 else ""
    coded = " by old-style JPEG" if tags.get(259) == _OLD_JPEG else ""
    photometric = _PHOTOMETRIC.get(tags.get(262, -1), f"photometric {tags.get(262)}")
    return f"{photometric}, {len(bits)} x {bits[0]} bits{sign}{planes}{coded}"


def _mode(mode: str) -> str:
    return f"unsupported image mode {mode}; convert it to 8-bit RGB first"


def _deep(image: Image.Image) -> bool:
    """Whether its samples have 16 bits, of what the plugin says of them."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return max(image.tag_v2.get(258, (1,))) > 8
    tile = getattr(image, "tile", None)
    return bool(tile) and ";16" in str(tile[0][3]) and image.format == "PNG"


def _jpeg_frame(head: bytes) -> UnsupportedError | None:
    """What is not read of a JPEG file, by its frame header (T.81 B.2.2)."""
    place = 2
    while place + 10 <= len(head) and head[place] == 0xFF:
        marker, (length,) = head[place + 1], struct.unpack(">H", head[place + 2 : place + 4])
        if marker in _UNREAD_FRAMES:
            return UnsupportedError(
                f"{_UNREAD_FRAMES[marker]} is not read: convert it to PNG first"
            )
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            precision, planes = head[place + 4], head[place + 9]
            if precision != 8:
                return UnsupportedError(
                    f"JPEG of {precision} bits a sample is not read, only of 8: convert it first"
                )
            if planes not in (1, 3, 4):
                return UnsupportedError(f"JPEG of {planes} components is not read")
            return None
        place += 2 + length
    return None
