"""Inception Score (Salimans et al. 2016) and FID (Heusel et al. 2017) of sets of images.

By Keras's Inception-v3, whose ImageNet weights are not those of the original implementations:
values are comparable with each other, not with published ones. Both need thousands of images.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from lossylab.data.decode import as_rgb
from lossylab.eval.metrics import frechet
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
    return frechet.frechet_distance(one.pooled, other.pooled)


def warn_if_few(count: int) -> None:
    """Says so when a set is too small for either measure to mean much."""
    if count < ENOUGH_IMAGES:
        log.warning(
            "%d images: Inception Score and FID mean little below %d, and FID is biased upwards",
            count,
            ENOUGH_IMAGES,
        )
