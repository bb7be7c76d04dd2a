"""PSNR-B (Yim and Bovik 2011): PSNR that also counts the steps at borders of JPEG's blocks."""

from __future__ import annotations

import math

import numpy as np

from lossylab.eval.metrics.psnr import check_same_shape

_PEAK = 255.0
_BLOCK = 8
SMALLEST = 2 * _BLOCK  # pixels: there must be a border


def psnr_b(reference: np.ndarray, distorted: np.ndarray) -> float:
    """PSNR-B in dB of one image; of RGB the mean over its channels.

    Args:
      reference: [H, W, C], pixel values 0..255.
      distorted: likewise; its own blocking is counted.

    Returns:
      dB; infinity for equal images without blocking.
    """
    check_same_shape(reference, distorted)
    values = []
    for channel in range(reference.shape[2]):
        plane = distorted[..., channel].astype(np.float64)
        error = np.mean(np.square(plane - reference[..., channel])) + blocking_effect(plane)
        values.append(10 * math.log10(_PEAK**2 / error) if error else math.inf)
    return float(np.mean(values))


def blocking_effect(plane: np.ndarray) -> float:
    """The blocking effect factor of a plane [H, W], at least 16x16, in squared pixel values."""
    height, width = plane.shape
    total, at_border = 0.0, 0.0
    for axis in (0, 1):
        steps = np.square(np.diff(plane.astype(np.float64), axis=axis))
        total += steps.sum()
        at_border += np.take(steps, range(_BLOCK - 1, steps.shape[axis], _BLOCK), axis).sum()
    # The numbers of pairs are the paper's, though a side of n blocks has only n - 1 borders.
    borders = 2 * height * width / _BLOCK - 2
    others = height * (width - 1) + width * (height - 1) - borders
    excess = at_border / borders - (total - at_border) / others
    return max(0.0, excess) * math.log2(_BLOCK) / math.log2(min(height, width))
