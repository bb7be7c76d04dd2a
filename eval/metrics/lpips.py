"""LPIPS (Zhang et al. 2018), version 0.1 with AlexNet."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from lossylab.eval.metrics.psnr import check_same_shape
from lossylab.models.backbones import AlexNetFeatures

_SHIFT = (-0.030, -0.088, -0.188)  # of RGB in [-1, 1], the authors' normalisation
_SCALE = (0.458, 0.448, 0.450)
_EPSILON = 1e-10
SMALLEST = 32  # pixels, for AlexNet's strides


class LPIPS:
    """The distance, at least 0, lower is better."""

    def __init__(self, weights: str):
        """Loads the weights.

        Args:
          weights: a NumPy archive with the authors' names (features.0.weight ... of torchvision's
            AlexNet and lin0.weight ... lin4.weight), or 'random'.

        Raises:
          BackboneError: if the file is missing or lacks an array.
        """
        self._network = AlexNetFeatures(weights)

    def __call__(self, reference: np.ndarray, distorted: np.ndarray) -> float:
        """Distance of two pictures, uint8 [H, W, 1 or 3], at least 32x32 pixels."""
        return float(self.per_layer(reference, distorted).sum())

    def per_layer(self, reference: np.ndarray, distorted: np.ndarray) -> np.ndarray:
        """The five layers' parts, float64 [5]."""
        check_same_shape(reference, distorted)
        sides = []
        for picture in (reference, distorted):
            colour = np.broadcast_to(picture, (*picture.shape[:2], 3)).astype(np.float32)
            scaled = (colour / 127.5 - 1 - _SHIFT) / _SCALE
            sides.append(self._network(tf.constant(scaled[None], tf.float32)))
        parts = []
        for one, other, weight in zip(*sides, self._network.linear):
            difference = tf.math.squared_difference(_unit(one), _unit(other))
            parts.append(tf.reduce_mean(tf.reduce_sum(difference * weight, -1)))
        return np.array([float(part) for part in parts])


def _unit(features: tf.Tensor) -> tf.Tensor:
    norm = tf.sqrt(tf.reduce_sum(tf.square(features), -1, keepdims=True))
    return features / (norm + _EPSILON)
