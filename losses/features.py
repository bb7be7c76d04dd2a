"""A distance of images by features of a trained network, without weights of channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from lossylab.losses.lpips import unit_difference

Features = Callable[[tf.Tensor], Sequence[tf.Tensor]]


class FeatureDistance(tf.Module):
    """LPIPS's form (Zhang et al. 2018) with equal weights, for networks that have none of its own.

    At each place of each layer the features become vectors of length 1, whose squared difference
    is 2 - 2 cos of the angle between them; this is averaged over places, then over layers. It is 0
    of equal images, at most 4, at most 2 after ReLUs, lower is better; with gradients. Numbers of
    different networks or layers, or LPIPS's, are not comparable.
    """

    def __init__(self, features: Features, name: str = "feature_distance") -> None:
        """Keeps the network.

        Args:
          features: from RGB [B, H, W, 3] in pixel values to features [B, h, w, C] of some layers,
            such as `models.backbones.vgg.VGG`.
          name: name of the module.
        """
        super().__init__(name=name)
        self._features = features

    def __call__(self, reference: tf.Tensor, distorted: tf.Tensor) -> tf.Tensor:
        """Distances [B] of images, float32 [B, H, W, 3], pixel values 0..255."""
        return tf.reduce_mean(self.per_layer(reference, distorted), -1)

    def per_layer(self, reference: tf.Tensor, distorted: tf.Tensor) -> tf.Tensor:
        """The layers' distances, float32 [B, layers]; arguments as above."""
        features = self._features(tf.concat([reference, distorted], 0))
        return distance_of(*zip(*(tf.split(each, 2) for each in features)))


def distance_of(one: Sequence[tf.Tensor], other: Sequence[tf.Tensor]) -> tf.Tensor:
    """The distances of each layer's features [B, h, w, C], float32 [B, layers]."""
    parts = [unit_difference(*pair) for pair in zip(one, other)]
    return tf.stack([tf.reduce_mean(tf.reduce_sum(part, -1), (1, 2)) for part in parts], -1)
