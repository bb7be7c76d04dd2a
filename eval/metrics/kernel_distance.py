"""The kernel distance of two sets of features, as KID has it (Binkowski et al. 2018).

KID proper is of Inception-v3's features: of any others it is named by these.
"""

from __future__ import annotations

import numpy as np


def kernel_distance(one: np.ndarray, other: np.ndarray) -> float:
    """The unbiased estimate of the squared MMD with the kernel (x y / features + 1)^3.

    Of all pairs, not of random subsets: equal sets give below 0, samples of one distribution 0 on
    the mean, lower is better.

    Args:
      one: float64 [samples, features].
      other: likewise, of as many features.

    Raises:
      ValueError: if a set has fewer than two samples.
    """
    if min(len(one), len(other)) < 2:
        raise ValueError("a kernel distance needs at least two samples in each set")
    return _within(one) + _within(other) - 2 * float(_kernel(one, other).mean())


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _within(x: np.ndarray) -> float:
    """Mean over the pairs of different samples."""
    found = _kernel(x, x)
    return float((found.sum() - np.trace(found)) / (len(x) * (len(x) - 1)))
