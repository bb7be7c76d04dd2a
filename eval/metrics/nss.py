"""Natural scene statistics: MSCN coefficients, their diagonal products, and how two sets differ.

Mittal, Moorthy, Bovik: "No-reference image quality assessment in the spatial domain", 2012, as
"Learning to Distort Images Using Generative Adversarial Networks" compares distortions by them
(Eq. 5, 6): histograms of products of diagonally adjacent coefficients and the Jensen-Shannon
divergence of these.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

_RADIUS, _STD = 3, 7 / 6  # pixels, of the Gaussian window
_CONSTANT = 1.0  # of Eq. 5, pixel values
BINS, LIMIT = 100, 2.0  # of the histograms: products outside count as the limit
PROTOCOL = (
    f"BT.601 luma, Gaussian window {2 * _RADIUS + 1}x{2 * _RADIUS + 1} of standard deviation 7/6, "
    f"edges repeated, constant {_CONSTANT:g}, {BINS} bins on [-{LIMIT:g}, {LIMIT:g}], clipped, "
    "base 2"
)
_LUMA = np.array((0.299, 0.587, 0.114))


def luma(image: np.ndarray) -> np.ndarray:
    """Full-range luma, unrounded, float64 [H, W], of RGB [H, W, 3] in 0..255."""
    return image.astype(np.float64) @ _LUMA


def mscn(plane: np.ndarray) -> np.ndarray:
    """Mean-subtracted, contrast-normalized coefficients (Eq. 5).

    Args:
      plane: float [H, W], pixel values 0..255; beyond its edges the nearest pixel counts.

    Returns:
      float64 [H, W].
    """
    plane = plane.astype(np.float64)
    mean = _blur(plane)
    # The variance is a difference of large numbers: rounding may turn it negative.
    variance = np.maximum(_blur(plane * plane) - mean * mean, 0)
    return (plane - mean) / (np.sqrt(variance) + _CONSTANT)


def _blur(plane: np.ndarray) -> np.ndarray:
    places = np.arange(-_RADIUS, _RADIUS + 1)
    window = np.exp(-(places**2) / (2 * _STD**2))
    window /= window.sum()
    rows = ndimage.correlate1d(plane, window, 0, mode="nearest")
    return ndimage.correlate1d(rows, window, 1, mode="nearest")


def diagonal_products(coefficients: np.ndarray) -> np.ndarray:
    """Products of each coefficient with its neighbor below and to the right (Eq. 6).

    Args:
      coefficients: [H, W], from 2x2.

    Returns:
      [H - 1, W - 1].
    """
    return coefficients[:-1, :-1] * coefficients[1:, 1:]


def histogram(image: np.ndarray) -> np.ndarray:
    """Fractions of an image's diagonal products by bin, float64 [100], their sum is 1.

    Args:
      image: RGB [H, W, 3] in 0..255, from 2x2 pixels.

    Raises:
      ValueError: if it is smaller.
    """
    if min(image.shape[:2]) < 2:
        raise ValueError(f"expected at least 2x2 pixels, got {image.shape[1]}x{image.shape[0]}")
    products = np.clip(diagonal_products(mscn(luma(image))), -LIMIT, LIMIT)
    counts, _ = np.histogram(products, BINS, (-LIMIT, LIMIT))
    return counts / counts.sum()


def jensen_shannon(one: np.ndarray, other: np.ndarray) -> float:
    """Divergence of two distributions, in bits: 0 if equal, 1 if they never meet; symmetric.

    Args:
      one: fractions whose sum is 1.
      other: likewise, of the same shape.
    """
    both = one + other  # halving it could lose the smallest fractions

    def divergence(fractions: np.ndarray) -> float:
        there = fractions > 0
        return float(np.sum(fractions[there] * np.log2(2 * fractions[there] / both[there])))

    return (divergence(one) + divergence(other)) / 2
