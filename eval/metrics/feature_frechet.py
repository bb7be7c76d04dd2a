"""A distance of two sets of images like FID, by the features of a VGG-16.

FID is of Inception-v3's features of 299x299 pixels; these are means over the pixels of two layers
of VGG-16, of images as they are. Values are comparable with each other under one `label`, not with
published ones; random weights see colors and edges, no contents.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from lossylab.eval.metrics.frechet import frechet_distance
from lossylab.models.backbones import vgg

_LAYERS = ("block3_conv3", "block4_conv3")  # 256 and 512 channels
_AT_ONCE, _MAX_PIXELS = 64, 2**20  # images, and pixels of them, that the network sees at once


class FeatureFrechet:
    """Frechet distances of sets of images.

    Attributes:
      label: what a reader calls the features, such as 'VGG-16 (HED)'.
    """

    def __init__(self, weights: str = "random") -> None:
        """Loads the network; see `models.backbones.vgg` for `weights` and errors."""
        self.label = vgg.label("vgg16", weights)
        self._network = tf.function(vgg.VGG("vgg16", weights, _LAYERS), reduce_retracing=True)

    def features(self, images: Iterable[np.ndarray]) -> np.ndarray:
        """Of images, uint8 [R, R, 3], all of one size: float64 [images, features]."""
        left, found = iter(images), []
        for first in left:
            more = min(_AT_ONCE, _MAX_PIXELS // first.shape[0] ** 2) - 1
            batch = [first, *itertools.islice(left, max(more, 0))]
            seen = self._network(tf.constant(np.stack(batch), tf.float32))
            layers = [tf.reduce_mean(layer, (1, 2)) for layer in seen]
            found.append(tf.concat(layers, 1).numpy().astype(np.float64))
        return np.concatenate(found)

    def __call__(self, one: Iterable[np.ndarray], other: Iterable[np.ndarray]) -> float:
        """The distance between two sets, at least 0, lower is better; two images each at least."""
        return frechet_distance(self.features(one), self.features(other))
