"""Damaged images of many formats: the exact image or one typed error, soon and in little memory."""

import collections
import io
import json
import resource
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
from image_bytes import bmp, chunk, png, tiff
from PIL import Image

from lossylab.core.errors import ImageError
from lossylab.data.decode import read_image

pytestmark = pytest.mark.long

CASES = 500
SECONDS, MEMORY = 1.0, 2**30
SIZE = (48, 64)
# Files whose pixels have checksums: whatever happens to them, other pixels are noticed.
CHECKED = ("png", "png16", "palette", "deflated")


def _image():
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    noise = np.random.default_rng(5).integers(0, 40, (*SIZE, 3))
    return (np.stack([3 * x, 4 * y, 2 * x + 2 * y], -1) % 200 + noise).astype(np.uint8)


def _by_pillow(kind, image=None, **options):
    file = io.BytesIO()
    (Image.fromarray(_image()) if image is None else image).save(file, kind, **options)
    return file.getvalue()


def files():
    """Sound files of one image, by kind."""
    image = _image()
    exif = Image.Exif()
    exif[0x010E] = "a description"
    more = [(b"tEXt", b"Comment\0hello"), (b"pHYs", bytes(9))]
    return {
        "png": png(image, 8, 2, before=more),
        "png16": png(image.astype(int) * 257, 16, 2, before=more),
        "palette": _by_pillow("PNG", Image.fromarray(image).quantize(200)),
        "jpeg": _by_pillow("JPEG", quality=90, exif=exif),
        "progressive": _by_pillow("JPEG", quality=90, progressive=True, exif=exif),
        "tiff": tiff(image, 8, 2),
        "deflated": tiff(image, 8, 2, deflate=True),
        "planar": tiff(image, 8, 2, planar=2),
        "lzw": _by_pillow("TIFF", compression="tiff_lzw"),
        "bmp": bmp(image),
        "ppm": _by_pillow("PPM"),
        "gif": _by_pillow("GIF", Image.fromarray(image).quantize(200)),
        "webp": _by_pillow("WEBP", lossless=True, exif=exif),
        "jp2": _by_pillow("JPEG2000"),
        "avif": _by_pillow("AVIF", quality=90, exif=exif),
    }


def _bit(data, random):
    place = random.integers(len(data))
    return data[:place] + bytes([data[place] ^ (1 << random.integers(8))]) + data[place + 1 :]


def _bytes(data, random):
    changed = bytearray(data)
    for _ in range(random.integers(2, 20)):
        changed[random.integers(len(data))] = random.integers(256)
    return bytes(changed)


def _header(data, random):
    changed = bytearray(data)
    for _ in range(random.integers(1, 5)):
        changed[random.integers(min(64, len(data)))] = random.choice([0, 1, 127, 128, 255])
    return bytes(changed)


def _cut(data, random):
    return data[: random.integers(1, len(data))]


def _hole(data, random):
    first, last = sorted(random.integers(0, len(data), 2))
    return data[:first] + data[last:]


def _zeros(data, random):
    first, last = sorted(random.integers(0, len(data), 2))
    return data[:first] + bytes(last - first) + data[last:]


def _twice(data, random):
    first, last = sorted(random.integers(0, len(data), 2))
    return data[:last] + data[first:last] + data[last:]


def _appended(data, random):
    return data + random.bytes(random.integers(1, 1000))


DAMAGES = (_bit, _bytes, _header, _cut, _hole, _zeros, _twice, _appended)


def forged():
    """Files that want more memory or time than they may have."""

    def huge_png(width, height, depth=8, color=2):
        header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
        rows = zlib.compress(bytes(20_000_000), 9)
        parts = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
        return b"\x89PNG\r\n\x1a\n" + parts

    scans = _by_pillow("JPEG", Image.new("RGB", (4000, 4000)), progressive=True)
    last = scans.rindex(b"\xff\xda")
    wide = bytearray(bmp(_image()))
    wide[18:26] = struct.pack("<ii", 30_000, 30_000)
    tall = bytearray(bmp(_image()))
    tall[18:26] = struct.pack("<ii", 2**31 - 1, 2**31 - 1)
    frame = _by_pillow("JPEG")
    place = frame.index(b"\xff\xc0")
    gif = _by_pillow("GIF", Image.fromarray(_image()).quantize(200))
    text = [(b"zTXt", b"a\0\0" + zlib.compress(bytes(50_000_000), 9))]
    return {
        "png of 13376x13376": huge_png(13376, 13376, 1, 0),
        "png of 65535x65535": huge_png(65535, 65535),
        "png of 4000x4000 with rows for some": huge_png(4000, 4000),
        "text of 50 MB": png(_image(), 8, 2, before=text),
        "profile of 50 MB": png(_image(), 8, 2, before=[(b"iCCP", text[0][1])]),
        "a thousand scans": scans[:-2] + 1000 * scans[last:-2] + b"\xff\xd9",
        "bmp of 30000x30000": bytes(wide),
        "bmp of 2^31": bytes(tall),
        "jpeg of 65500x65500": frame[: place + 5] + b"\xff\xdc\xff\xdc" + frame[place + 9 :],
        "gif of 65535x65535": gif[:6] + b"\xff\xff\xff\xff" + gif[10:],
        "ppm of 10^9": b"P6 1000000000 1 255\n" + bytes(100),
        "ppm of many digits": b"P6 " + b"9" * 100_000 + b" 1 255\n",
        "tiff of 2^32": tiff(_image(), 8, 2).replace(struct.pack("<I", 64), b"\xff\xff\xff\xff"),
    }


def cases():
    """Name, contents and the kind of the file that was damaged."""
    random = np.random.default_rng(11)
    sound = files()
    for name, data in forged().items():
        yield f"forged: {name}", data, "png"  # those that are sound beside a bomb show it
    for number in range(CASES - len(forged())):
        kind = list(sound)[number % len(sound)]
        damage = DAMAGES[random.integers(len(DAMAGES))]
        yield f"{kind}: {damage.__name__[1:]} {number}", damage(sound[kind], random), kind


def judge(folder):
    """Reads every case and writes, as JSON, how each kind ended and what went wrong.

    It runs as a program: the peak of its memory is that of reading alone.
    """
    path = f"{folder}/image"
    sound = {}
    for kind, data in files().items():
        _write(path, data)
        sound[kind] = read_image(path)
    counts, wrong = collections.Counter(), []
    begun = _peak()
    for name, data, kind in cases():
        _write(path, data)
        start = time.monotonic()
        try:
            read = read_image(path)
            ended = "the exact image"
            if not np.array_equal(read, sound[kind]):
                ended = "another image"
                if kind in CHECKED or name.split()[1] in ("appended", "cut"):
                    wrong.append(f"{name}: other pixels")
        except ImageError:
            ended = "the typed error"
        except Exception as error:  # what must not be
            ended = "another error"
            wrong.append(f"{name}: {type(error).__name__}: {error}")
        seconds = time.monotonic() - start
        if seconds > SECONDS:
            wrong.append(f"{name}: {seconds:.1f} s")
        if _peak() - begun > MEMORY:
            wrong.append(f"{name}: {(_peak() - begun) / 2**20:.0f} MiB")
        counts[f"{name.split(':')[0]}: {ended}"] += 1
    found = {"counts": counts, "wrong": wrong, "mib": (_peak() - begun) // 2**20}
    sys.stdout.write(json.dumps(found) + "\n")


def _write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def _peak():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_damaged_images_end_in_the_exact_image_or_one_error(tmp_path):
    words = [sys.executable, "-W", "ignore", __file__, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    counts = "".join(f"{count:4} {name}\n" for name, count in sorted(found["counts"].items()))
    cases = sum(found["counts"].values())
    sys.stdout.write(f"\n{counts}{cases} cases, {found['mib']} MiB at most\n")
    assert sum(found["counts"].values()) == CASES
    assert not found["wrong"]


if __name__ == "__main__":
    judge(sys.argv[1])
