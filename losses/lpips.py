"""LPIPS (Zhang et al. 2018), version 0.1: distance of images by a network's features."""

from __future__ import annotations

import tensorflow as tf

from lossylab.models.backbones.lpips import LPIPSFeatures

_SHIFT = (-0.030, -0.088, -0.188)  # of RGB in [-1, 1], the authors' normalization
_SCALE = (0.458, 0.448, 0.450)
_EPSILON = 1e-10
SMALLEST = 32  # pixels, for the networks' strides


class LPIPS(tf.Module):
    """The distance, at least 0, lower is better; with gradients."""

    def __init__(self, weights: str, network: str = "alex", name: str = "lpips") -> None:
        """Loads the weights.

        Args:
          weights: a NumPy archive, or 'random'; see `models.backbones.lpips`.
          network: 'alex', 'vgg' or 'squeeze'.
          name: name of the module.

        Raises:
          BackboneError: if the file is missing or does not fit.
        """
        super().__init__(name=name)
        self._network = LPIPSFeatures(network, weights)

    @property
    def arrays(self) -> dict[str, tf.Variable]:
        """The weights by their names in the archive."""
        return self._network.arrays

    def __call__(self, reference: tf.Tensor, distorted: tf.Tensor) -> tf.Tensor:
        """Distances [B] of images, float32 [B, H, W, 3], pixel values 0..255, from 32x32 pixels."""
        return tf.reduce_sum(self.per_layer(reference, distorted), -1)

    def per_layer(self, reference: tf.Tensor, distorted: tf.Tensor) -> tf.Tensor:
        """The layers' parts, float32 [B, layers]; arguments as above."""
        both = tf.concat([reference, distorted], 0) / 127.5 - 1.0
        parts = []
        for features, weight in zip(self._network((both - _SHIFT) / _SCALE), self._network.linear):
            difference = unit_difference(*tf.split(features, 2))
            parts.append(tf.reduce_mean(tf.linalg.matvec(difference, weight), (1, 2)))
        return tf.stack(parts, -1)


def unit_difference(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Squared differences of features [B, h, w, C] whose vectors become of length 1."""
    return tf.math.squared_difference(_unit(one), _unit(other))


def _unit(features: tf.Tensor) -> tf.Tensor:
    squares = tf.reduce_sum(tf.square(features), -1, keepdims=True)
    # The root of 0 has no gradient; added inside it is below float32's resolution elsewhere.
    return features / (tf.sqrt(squares + _EPSILON**2) + _EPSILON)
