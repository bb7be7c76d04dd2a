"""JPEG files of exact coefficients and tables, by jpeglib; and what is inside a file.

The files are baseline JFIF without chroma sub-sampling, which every decoder reads. jpeglib's
libjpeg 6b writes them: the coefficients go through no further transform.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
import threading
from collections.abc import Iterator

import jpeglib
import numpy as np

from lossylab.core.errors import WorkError
from lossylab.models.names import LARGEST_AC, SMALLEST_DC

HUFFMAN = ("standard", "optimized")
LARGEST_SIDE = 65_500  # pixels, libjpeg's limit
_LIBRARY = "6b"
_SPACES = ("JCS_GRAYSCALE", "JCS_YCbCr")  # that files are written in
_guard = threading.Lock()  # jpeglib keeps its library in a global variable


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a baseline JPEG file holds.

    Attributes:
      coefficients: int16 [planes, ceil(height / 8), ceil(width / 8), 8, 8], of 1 or 3 planes.
      tables: steps of luminance and chrominance, whole numbers [2, 8, 8], 1..255.
      height: of the image in pixels.
      width: likewise.
    """

    coefficients: np.ndarray
    tables: np.ndarray
    height: int
    width: int


def to_bytes(contents: Contents, huffman: str = "standard") -> bytes:
    """The file.

    Args:
      contents: what to write; one plane makes a gray file.
      huffman: 'standard' codes (T.81, Annex K), or 'optimized' for this image.

    Raises:
      WorkError: if the image is too large for a JPEG file, or writing fails.
      ValueError: if the contents have other shapes or types, or values that do not fit into a
        baseline file: AC outside -1023..1023, DC outside -1024..1023, steps outside 1..255.
    """
    _check(contents, huffman)
    planes = [np.ascontiguousarray(plane) for plane in contents.coefficients]
    tables = contents.tables[: min(len(planes), 2)].astype(np.uint16)
    flags = ["+OPTIMIZE_CODING"] if huffman == "optimized" else ["-OPTIMIZE_CODING"]
    with _scratch() as path, _guard:
        try:
            with jpeglib.version(_LIBRARY):
                file = jpeglib.from_dct(*planes, qt=tables)
                file.height, file.width = contents.height, contents.width
                file.write_dct(path, flags=flags)
            with open(path, "rb") as written:
                return written.read()
        except OSError as error:
            raise WorkError(f"the JPEG file cannot be written: {error}") from error


def contents_of(data: bytes) -> Contents:
    """What a file without chroma sub-sampling holds; both tables of a gray one are luminance's.

    Raises:
      WorkError: if it is no such JPEG file, has other planes than Y or Y, Cb and Cr, or Cb and Cr
        have different tables.
    """
    with _scratch() as path, _guard:
        try:
            with open(path, "wb") as file:
                file.write(data)
            with jpeglib.version(_LIBRARY):
                read = jpeglib.read_dct(path)
                space = read.jpeg_color_space.name
                if space not in _SPACES:
                    raise WorkError(
                        f"a JPEG file of {space.removeprefix('JCS_')}, expected YCbCr or gray"
                    )
                planes = [plane for plane in (read.Y, read.Cb, read.Cr) if plane is not None]
                tables = [np.array(read.get_component_qt(i)) for i in range(len(planes))]
        except OSError as error:
            raise WorkError(f"no JPEG file that can be read: {error}") from error
    if any(plane.shape != planes[0].shape for plane in planes):
        raise WorkError("a JPEG file with chroma sub-sampling, expected 4:4:4")
    if any(not np.array_equal(table, tables[-1]) for table in tables[1:]):
        raise WorkError("a JPEG file whose colors have a table each, expected one of both")
    tables = np.stack([tables[0], tables[-1]])
    return Contents(np.stack(planes), tables, int(read.height), int(read.width))


def optimized(data: bytes) -> bytes:
    """The same image, coefficient for coefficient, with Huffman codes of its own.

    Raises:
      WorkError: as `contents_of`, or if it holds values that no baseline file does.
    """
    try:
        return to_bytes(contents_of(data), "optimized")
    except ValueError as error:
        raise WorkError(f"no baseline JPEG file: {error}") from error


def check_size(height: int, width: int) -> None:
    """Raises WorkError if an image of this size does not fit into a JPEG file."""
    if max(height, width) > LARGEST_SIDE:
        raise WorkError(
            f"a JPEG file has at most {LARGEST_SIDE} pixels a side, the image is {width}x{height}"
        )


def _check(contents: Contents, huffman: str) -> None:
    if huffman not in HUFFMAN:
        raise ValueError(f"huffman must be one of {', '.join(HUFFMAN)}, got '{huffman}'")
    check_size(contents.height, contents.width)
    coefficients, tables = contents.coefficients, contents.tables
    if tables.shape != (2, 8, 8) or not np.issubdtype(tables.dtype, np.integer):
        raise ValueError(
            f"expected tables of whole numbers [2, 8, 8], got {tables.dtype} {list(tables.shape)}"
        )
    if tables.min() < 1 or tables.max() > 255:
        raise ValueError("steps of baseline tables lie in 1..255")
    shape = coefficients.shape
    if len(shape) != 5 or shape[3:] != (8, 8) or coefficients.dtype != np.int16:
        raise ValueError(
            "expected coefficients int16 [planes, rows, columns, 8, 8], got "
            f"{coefficients.dtype} {list(shape)}"
        )
    planes, rows, columns = shape[:3]
    expected = (-(-contents.height // 8), -(-contents.width // 8))
    if planes not in (1, 3) or (rows, columns) != expected:
        raise ValueError(
            f"expected 1 or 3 planes of {expected[0]}x{expected[1]} blocks, got {planes} of "
            f"{rows}x{columns}"
        )
    lowest = (coefficients == SMALLEST_DC).sum()  # DC alone may be so low
    if (
        coefficients.min() < SMALLEST_DC
        or coefficients.max() > LARGEST_AC
        or lowest > (coefficients[..., 0, 0] == SMALLEST_DC).sum()
    ):
        raise ValueError(
            "coefficients of baseline files: AC within -1023..1023, DC within -1024..1023"
        )


@contextlib.contextmanager
def _scratch() -> Iterator[str]:
    """A temporary file's path: jpeglib reads and writes files only."""
    try:
        handle, path = tempfile.mkstemp(suffix=".jpg")
    except OSError as error:
        raise WorkError(f"no room for a temporary file: {error}") from error
    os.close(handle)
    try:
        yield path
    finally:
        os.unlink(path)
