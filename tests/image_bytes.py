"""Image files by their specifications, of kinds that Pillow does not write."""

import struct
import zlib

import numpy as np


def chunk(kind, data):
    """One chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(samples, depth, color_type, before=(), after=(), end=True):
    """A PNG file of samples [H, W] or [H, W, C], not interlaced, without filters.

    `before` and `after` the pixels are chunks, (kind, data) each.
    """
    height, width = samples.shape[:2]
    if depth == 16:
        rows = [row.astype(">u2").tobytes() for row in samples]
    else:
        rows = [packed_bits(row.ravel(), depth) for row in samples]
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [(b"IHDR", header), *before, (b"IDAT", pixels), *after]
    body = b"".join(chunk(*part) for part in parts)
    return b"\x89PNG\r\n\x1a\n" + body + (chunk(b"IEND", b"") if end else b"")


def packed_bits(row, depth):
    """A row of samples of 1 to 8 bits, most significant first, as bytes."""
    bits = (row.astype(int)[:, None] >> np.arange(depth - 1, -1, -1)) & 1
    return np.packbits(bits.ravel().astype(np.uint8)).tobytes()


def tiff(samples, depth, photometric, *, planar=1, order="<", deflate=False, kind=1, more=()):
    """A TIFF file of samples [H, W, C] in one strip, or in one for each plane.

    `kind` is the sample format: 1 unsigned, 2 signed, 3 float. `more` are tags, (number, type,
    values) each.
    """
    planes = np.moveaxis(samples, -1, 0) if planar == 2 else [samples]
    strips = []
    for plane in planes:
        if depth >= 8:
            letter = {1: "u", 2: "i", 3: "f"}[kind]
            data = plane.astype(f"{order}{letter}{depth // 8}").tobytes()
        else:
            data = b"".join(packed_bits(row.ravel(), depth) for row in plane)
        strips.append(zlib.compress(data) if deflate else data)
    count = samples.shape[2]
    offsets = np.cumsum([8, *map(len, strips)]).tolist()
    tags = [
        (256, 4, [samples.shape[1]]),
        (257, 4, [samples.shape[0]]),
        (258, 3, [depth] * count),
        (259, 3, [8 if deflate else 1]),
        (262, 3, [photometric]),
        (273, 4, offsets[:-1]),
        (277, 3, [count]),
        (278, 4, [samples.shape[0]]),
        (279, 4, [len(strip) for strip in strips]),
        (284, 3, [planar]),
        (339, 3, [kind] * count),
        *more,
    ]
    body = b"".join(strips)
    body += b"\0" * (len(body) % 2)
    place = 8 + len(body)
    beyond = place + 2 + 12 * len(tags) + 4
    entries, extra = b"", b""
    for number, letter, values in sorted(tags):
        data = struct.pack(f"{order}{len(values)}{'H' if letter == 3 else 'I'}", *values)
        if len(data) > 4:
            data, extra = struct.pack(order + "I", beyond + len(extra)), extra + data
        entries += struct.pack(order + "HHI", number, letter, len(values)) + data.ljust(4, b"\0")
    start = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, place)
    return start + body + struct.pack(order + "H", len(tags)) + entries + bytes(4) + extra


def bmp(samples, masks=None):
    """A BMP file of samples [H, W, 3 or 4], bottom row first; `masks` of R, G, B, A: version 5."""
    height, width, planes = samples.shape
    order = [2, 1, 0, 3][:planes]
    row = -(-width * planes // 4) * 4
    rows = [line[:, order].tobytes().ljust(row, b"\0") for line in samples[::-1]]
    size = 124 if masks else 40
    header = struct.pack(
        "<IiiHHIIiiII",
        size,
        width,
        height,
        1,
        8 * planes,
        3 if masks else 0,
        row * height,
        2835,
        2835,
        0,
        0,
    )
    if masks:
        header += struct.pack("<4I", *masks) + b"BGRs" + bytes(64)
    start = 14 + size
    return (
        struct.pack("<2sIHHI", b"BM", start + row * height, 0, 0, start) + header + b"".join(rows)
    )


def _tag_data(values):
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def icc(space, tags):
    """A profile of version 2, by its specification."""
    table, body, place = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        data = data.ljust(-(-len(data) // 4) * 4, b"\0")
        table += name + struct.pack(">II", place + len(body), len(data))
        body += data
    size = place + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"\0\0\0\0", 0x02400000, b"mntr", space, b"XYZ ")
    head = (head + bytes(12) + b"acsp").ljust(68, b"\0") + _tag_data((0.9642, 1.0, 0.8249))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _curve(gamma):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def gray_profile(gamma):
    """A profile of gray with one gamma."""
    white = b"XYZ \0\0\0\0" + _tag_data((0.9642, 1.0, 0.8249))
    return icc(b"GRAY", {b"wtpt": white, b"kTRC": _curve(gamma)})


def rgb_profile(primaries, gamma):
    """Primaries as columns of a matrix to D50, one gamma."""
    tags = {b"wtpt": b"XYZ \0\0\0\0" + _tag_data((0.9642, 1.0, 0.8249))}
    for letter, column in zip(b"rgb", np.transpose(primaries)):
        tags[bytes([letter]) + b"XYZ"] = b"XYZ \0\0\0\0" + _tag_data(column)
        tags[bytes([letter]) + b"TRC"] = _curve(gamma)
    return icc(b"RGB ", tags)


# Of Adobe RGB (1998), adapted to D50.
ADOBE = [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
