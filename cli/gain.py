"""What a file gains over a plain JPEG file of as many bytes, in a line."""

from __future__ import annotations

import bisect
import functools
import io
import math

import numpy as np
from PIL import Image

from lossylab.eval.metrics.psnr import psnr

_SUBSAMPLINGS = (0, 2)  # 4:4:4 and 4:2:0, whichever serves JPEG better


def beside_jpeg(
    image: np.ndarray, decoded: np.ndarray, size: int, profile: bytes | None = None
) -> str:
    """Rate and PSNR of RGB beside those of JPEG with optimized Huffman codes.

    Args:
      image: uint8 [H, W, 1 or 3].
      decoded: likewise.
      size: bytes of its file.
      profile: color profile that the file has; JPEG's has it too.

    Returns:
      One line. JPEG's file is the smallest that has at least as many bytes, so it never loses
      by having fewer.
    """
    bpp = 8 * size / (image.shape[0] * image.shape[1])
    ours, jpeg = psnr(image, decoded), best_jpeg(image, size, profile)
    line = f"{bpp:.3f} bits per pixel, {ours:.2f} dB"
    if math.isnan(jpeg):
        return f"{line}; no JPEG file is as large"
    return f"{line}; JPEG of as many bytes {jpeg:.2f} dB ({ours - jpeg:+.2f})"


def best_jpeg(image: np.ndarray, size: int, profile: bytes | None = None) -> float:
    """PSNR, dB, of the better one of JPEG's samplings at `size` bytes; NaN if it never has them."""
    found = [_jpeg(image, size, subsampling, profile) for subsampling in _SUBSAMPLINGS]
    return max((each for each in found if not math.isnan(each)), default=math.nan)


def _jpeg(image: np.ndarray, size: int, subsampling: int, profile: bytes | None) -> float:
    code = functools.cache(functools.partial(_coded, image, subsampling, profile))
    quality = 1 + bisect.bisect_left(range(1, 101), size, key=lambda quality: len(code(quality)))
    if quality > 100:
        return math.nan
    shown = Image.open(io.BytesIO(code(quality))).convert("L" if image.shape[2] == 1 else "RGB")
    return psnr(image, np.asarray(shown).reshape(image.shape))


def _coded(image: np.ndarray, subsampling: int, profile: bytes | None, quality: int) -> bytes:
    file = io.BytesIO()
    shown = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    options = {"quality": quality, "subsampling": subsampling, "icc_profile": profile}
    shown.save(file, "JPEG", optimize=True, **options)
    return file.getvalue()
