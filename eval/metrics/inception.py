"""Inception Score (Salimans et al. 2016) and FID (Heusel et al. 2017) of sets of images.

By Keras's Inception-v3, whose ImageNet weights are not those of the original implementations:
values are comparable with each other, not with published ones. Both need thousands of images.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable

import numpy as np
import scipy.linalg
import tensorflow as tf

from lossylab.data.decode import as_rgb
from lossylab.eval.schemas import ENOUGH_IMAGES
from lossylab.models.backbones.applications import InceptionFeatures

log = logging.getLogger("lossylab")

_SIDE = 299


@dataclasses.dataclass(frozen=True)
class Features:
    """What the network says of a set.

    Attributes:
      pooled: features, float64 [images, 2048].
      classes: probabilities, float64 [images, 1000].
    """

    pooled: np.ndarray
    classes: np.ndarray


class Inception:
    """Features of images of any size."""

    def __init__(self, weights: str):
        """Loads the network; see `models.backbones` for `weights` and errors."""
        self._network = InceptionFeatures(weights)

    def __call__(self, images: Iterable[np.ndarray]) -> Features:
        """Of images, uint8 [H, W, 1 or 3], each scaled to 299x299."""
        found = [self._one(image) for image in images]
        pooled, classes = (np.concatenate(part).astype(np.float64) for part in zip(*found))
        return Features(pooled, classes)

    def _one(self, image: np.ndarray):
        color = as_rgb(image).astype(np.float32)
        scaled = tf.image.resize(color[None], (_SIDE, _SIDE), antialias=True)
        return [part.numpy() for part in self._network(scaled)]


def score(features: Features) -> float:
    """Inception Score, at least 1, higher is better: exp of the mean KL divergence, one split."""
    p = np.maximum(features.classes, 1e-16)
    divergence = np.sum(p * (np.log(p) - np.log(p.mean(0))), 1)
    return float(np.exp(divergence.mean()))


def frechet_distance(one: Features, other: Features) -> float:
    """FID between two sets, at least 0, lower is better; needs two images each.

    Raises:
      ValueError: if a set has fewer.
    """
    if min(len(one.pooled), len(other.pooled)) < 2:
        raise ValueError("FID needs at least two images in each set")
    means = [f.pooled.mean(0) for f in (one, other)]
    roots = [_covariance_root(f.pooled) for f in (one, other)]
    traces = [np.sum(root**2) for root in roots]
    # With C = R'R, the trace of the root of C1 C2 is the sum of the singular values of R1 R2'.
    # R has as many rows as images where these are fewer than features: small, and exact.
    shared = np.sum(scipy.linalg.svdvals(roots[0] @ roots[1].T))
    distance = np.sum((means[0] - means[1]) ** 2) + sum(traces) - 2 * shared
    return max(0.0, float(distance))  # the rest is rounding


def _covariance_root(samples: np.ndarray) -> np.ndarray:
    """A matrix R [min(images, features), features] whose R'R is the samples' covariance."""
    centered = (samples - samples.mean(0)) / (len(samples) - 1) ** 0.5
    if len(samples) <= samples.shape[1]:
        return centered
    return np.asarray(np.linalg.qr(centered, mode="r"))


def warn_if_few(count: int) -> None:
    """Says so when a set is too small for either measure to mean much."""
    if count < ENOUGH_IMAGES:
        log.warning(
            "%d images: Inception Score and FID mean little below %d, and FID is biased upwards",
            count,
            ENOUGH_IMAGES,
        )
