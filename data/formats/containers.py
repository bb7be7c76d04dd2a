"""Image files without what is not needed for their pixels, and without an end that is missing.

Text, profiles, orientation, checksums of what may be left out, and end markers must not decide
whether an image can be read. Pixels must be all there and, where a format has checksums, as they
were written.
"""

from __future__ import annotations

import dataclasses
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_PIXELS = (b"IHDR", b"PLTE", b"IDAT", b"tRNS")
# Chunks that pixels do not need, of the standard and its extensions.
_BESIDE = frozenset(
    b"IEND tEXt zTXt iTXt eXIf pHYs tIME gAMA cHRM sRGB iCCP cICP mDCV cLLI bKGD hIST sBIT sPLT "
    b"acTL fcTL fdAT oFFs pCAL sCAL sTER gIFg gIFx gIFt dSIG vpAg caNv orNT iDOT".split()
)
_COLOR = (b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"eXIf")
_LONGEST = 2**20  # bytes of a chunk of color or orientation; profiles of printers have half of it
_SEGMENT = 2**16 - 17  # bytes of a profile in one segment of JPEG
_PIECE = 2**20  # bytes that are inflated at a time
_SCANS = 64  # of a JPEG file; usual progressive files have 10
_MOST_WORK = 2**28  # pixels times scans of one with more


class DamagedError(ValueError):
    """A file whose pixels are not all there, or not as they were written."""


@dataclasses.dataclass(frozen=True)
class Png:
    """A PNG file, its chunks looked at.

    Attributes:
      data: what to decode.
      fault: what is wrong with the rest of it; empty if nothing is.
    """

    data: bytes
    fault: str = ""


def checked_png(data: bytes) -> Png:
    """A PNG file whose pixels have the checksums that they were written with.

    Args:
      data: the file.

    Returns:
      The same, or rebuilt without ancillary chunks that are damaged and with the end it lacks.

    Raises:
      DamagedError: if a checksum of the pixels, palette or transparency does not fit.
    """
    faults, tail = [], b""
    for kind, body, fits in _chunks(data):
        if kind == b"":
            faults.append("has no end marker")
            tail = body
        elif not fits and kind in _PIXELS:
            raise DamagedError(f"the checksum of its {kind.decode()} chunk does not fit")
        elif not fits and kind not in _BESIDE:  # one of the others, with another name?
            raise DamagedError("it has a damaged chunk of no known kind")
        elif not fits:
            faults.append(f"has a damaged {kind.decode(errors='replace')} chunk")
        elif kind[:1].isupper() and kind not in _CRITICAL:
            raise DamagedError(f"it has an unknown chunk '{kind.decode(errors='replace')}'")
    if not faults:
        return Png(data)
    if tail and not _whole(data, tail):
        raise DamagedError("its pixels end too early")
    return Png(bare_png(data), faults[0])


def bare_png(data: bytes, color: bool = True) -> bytes:
    """A PNG file without text, and without color profile and orientation unless `color`."""
    kept = (*_PIXELS, *(_COLOR if color else ()))
    parts = [PNG]
    for kind, body, fits in _chunks(data):
        if kind == b"":
            if body:
                parts.append(_chunk(b"IDAT", body))
        elif kind in kept and fits and (kind in _PIXELS or len(body) <= _LONGEST):
            parts.append(_chunk(kind, body))
    return b"".join([*parts, _chunk(b"IEND", b"")])


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Kind, contents and whether the checksum fits; at last b"" and what is there of cut pixels.

    Nothing comes at last where the file has its end marker.
    """
    view, place = memoryview(data), len(PNG)
    while place + 12 <= len(data):
        length, kind = struct.unpack(">I4s", view[place : place + 8])
        end = place + 8 + length
        if end + 4 > len(data):
            break
        body = view[place + 8 : end]
        (stated,) = struct.unpack(">I", view[end : end + 4])
        yield kind, body, zlib.crc32(view[place + 4 : end]) == stated  # type: ignore[misc]
        if kind == b"IEND":
            return
        place = end + 4
    rest = bytes(view[place:])
    yield b"", rest[8:] if rest[4:8] == b"IDAT" else b"", True


def _whole(data: bytes, tail: bytes) -> bool:
    """Whether the pixels' stream ends, with its checksum, although the file is cut inside it."""
    bodies = [bytes(body) for kind, body, _ in _chunks(data) if kind == b"IDAT"]
    return _inflates([*bodies, tail])


def _inflates(parts: list[bytes]) -> bool:
    """Whether a zlib stream ends; raises DamagedError if it does not decode or fit its checksum."""
    stream = zlib.decompressobj()
    try:
        for part in parts:
            rest = part
            while rest and not stream.eof:
                stream.decompress(rest, _PIECE)
                rest = stream.unconsumed_tail
    except zlib.error as error:
        raise DamagedError(str(error)) from error
    return stream.eof


def check_deflated(file: BinaryIO, offsets: Sequence[int], lengths: Sequence[int]) -> None:
    """Checks the streams of a TIFF file, whose checksums libtiff does not look at.

    Raises:
      DamagedError: if one does not end or has another checksum.
    """
    for offset, length in zip(offsets, lengths):
        file.seek(offset)
        if not _inflates([file.read(length)]):
            raise DamagedError("its pixels end too early")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return b"".join(
        [
            struct.pack(">I4s", len(body), kind),
            body,
            struct.pack(">I", zlib.crc32(body, zlib.crc32(kind))),
        ]
    )


@dataclasses.dataclass(frozen=True)
class Jpeg:
    """A JPEG file without what its pixels do not need.

    Attributes:
      data: the file up to the end marker, without it.
      ended: whether it had one.
      complete: whether its scans bring all coefficients of all components.
    """

    data: bytes
    ended: bool
    complete: bool


def bare_jpeg(data: bytes) -> Jpeg:
    """A JPEG file without text, thumbnails and orientation; raises DamagedError if it is none."""
    parts, place, ended = [data[:2]], 2, False
    missing: dict[int, set[int]] = {}  # coefficients that have not all their bits, by component
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            raise DamagedError("a marker is missing")
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        if marker == 0xD9:
            ended = True
            break
        (length,) = struct.unpack(">H", data[place + 2 : place + 4])
        segment = data[place : place + 2 + length]
        place += 2 + length
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            missing = {segment[10 + 3 * i]: set(range(64)) for i in range(segment[9])}
        if marker == 0xDA:
            end = _end_of_scan(data, place)
            _tick_off(missing, segment)
            segment, place = segment + data[place:end], end
        if _is_needed(marker, segment):
            parts.append(segment)
    ended = ended or data[place : place + 2] == b"\xff\xd9"
    return Jpeg(b"".join(parts), ended, bool(missing) and not any(missing.values()))


def jpeg_with_profile(data: bytes, profile: bytes) -> bytes:
    """A JPEG file that begins with a JFIF segment, and after it a color profile (ICC.1, B.4)."""
    (length,) = struct.unpack(">H", data[4:6])
    place = 4 + length
    parts = [profile[first : first + _SEGMENT] for first in range(0, len(profile), _SEGMENT)]
    segments = [
        b"\xff\xe2"
        + struct.pack(">H", 16 + len(part))
        + b"ICC_PROFILE\0"
        + bytes([number, len(parts)])
        + part
        for number, part in enumerate(parts, 1)
    ]
    return b"".join([data[:place], *segments, data[place:]])


def too_many_scans(data: bytes, pixels: int) -> bool:
    """Whether a JPEG file would keep a decoder busy: each scan goes through all pixels."""
    scans = data.count(b"\xff\xda")
    return scans > _SCANS and scans * pixels > _MOST_WORK


def _is_needed(marker: int, segment: bytes) -> bool:
    if marker == 0xE2:
        return segment[4:15] == b"ICC_PROFILE"
    return marker in (0xE0, 0xEE) or not (0xE0 <= marker <= 0xEF or marker == 0xFE)


def _end_of_scan(data: bytes, place: int) -> int:
    """Where the next marker is that does not belong to a scan's coded data."""
    while True:
        place = data.find(b"\xff", place)
        if place < 0:
            return len(data)
        after = place + 1
        while data[after : after + 1] == b"\xff":
            after += 1
        code = data[after] if after < len(data) else None
        if code is None:
            return place  # fill bytes up to the end
        if code == 0 or 0xD0 <= code <= 0xD7:
            place = after + 1
        else:
            return place


def _tick_off(missing: dict[int, set[int]], segment: bytes) -> None:
    """Takes off what a scan completes (T.81 B.2.3): first, last coefficient and lowest bit."""
    count = segment[4]
    first, last, bits = segment[5 + 2 * count : 8 + 2 * count]
    if bits & 15:
        return
    for index in range(count):
        missing.get(segment[5 + 2 * index], set()).difference_update(range(first, last + 1))
