"""Fréchet distance of two sets of feature vectors, taken for normal distributions."""

from __future__ import annotations

import numpy as np
import scipy.linalg


def frechet_distance(one: np.ndarray, other: np.ndarray) -> float:
    """The distance, at least 0, lower is better.

    Args:
      one: float64 [samples, features].
      other: likewise, of as many features.

    Raises:
      ValueError: if a set has fewer than two samples.
    """
    if min(len(one), len(other)) < 2:
        raise ValueError("a Fréchet distance needs at least two samples in each set")
    means = [samples.mean(0) for samples in (one, other)]
    roots = [_covariance_root(samples) for samples in (one, other)]
    traces = [np.sum(root**2) for root in roots]
    # With C = R'R, the trace of the root of C1 C2 is the sum of the singular values of R1 R2'.
    # R has as many rows as samples where these are fewer than features: small, and exact.
    shared = np.sum(scipy.linalg.svdvals(roots[0] @ roots[1].T))
    distance = np.sum((means[0] - means[1]) ** 2) + sum(traces) - 2 * shared
    return max(0.0, float(distance))  # the rest is rounding


def _covariance_root(samples: np.ndarray) -> np.ndarray:
    """A matrix R [min(samples, features), features] whose R'R is the samples' covariance."""
    centered = (samples - samples.mean(0)) / (len(samples) - 1) ** 0.5
    if len(samples) <= samples.shape[1]:
        return centered
    return np.asarray(np.linalg.qr(centered, mode="r"))
