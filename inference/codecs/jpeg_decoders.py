"""What independent decoders make of a JPEG file: Pillow's libjpeg-turbo and ffmpeg's own."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from lossylab.core import ffmpeg


def by_pillow(data: bytes) -> np.ndarray:
    """The image of a file, uint8 [H, W, 3], RGB."""
    with Image.open(io.BytesIO(data)) as image:
        return np.array(image.convert("RGB"))


def planes_by_pillow(data: bytes) -> np.ndarray:
    """Y, Cb, Cr as they are stored, uint8 [H, W, 3], or Y alone, [H, W, 1]."""
    with Image.open(io.BytesIO(data)) as image:
        if image.mode == "RGB":
            image.draft("YCbCr", image.size)
        planes = np.array(image)
    return planes[..., None] if planes.ndim == 2 else planes


def planes_by_ffmpeg(data: bytes) -> np.ndarray:
    """The same of a 4:4:4 or gray file by ffmpeg; raises FFmpegError if it cannot decode it."""
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        planes, kind = (1, "gray") if image.mode == "L" else (3, "yuvj444p")
    arguments = ["-v", "error", "-f", "mjpeg", "-i", "pipe:0", "-f", "rawvideo"]
    # As the file has it: asked for another range ffmpeg would convert.
    raw = ffmpeg.run([*arguments, "-pix_fmt", kind, "pipe:1"], data)
    found = np.frombuffer(raw, np.uint8)
    if found.size != planes * height * width:
        raise ffmpeg.FFmpegError(
            f"ffmpeg decoded {found.size} samples, expected {planes} x {height} x {width}"
        )
    return np.moveaxis(found.reshape(planes, height, width), 0, -1)


def apart(data: bytes) -> int:
    """Largest difference of the two decoders' planes, levels; raises FFmpegError."""
    return int(np.abs(planes_by_pillow(data).astype(int) - planes_by_ffmpeg(data)).max())
