"""How near two images are to a trained VGG, by layers that WCDGAN's loss does not use."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from lossylab.data.decode import as_rgb
from lossylab.eval.metrics.frechet import frechet_distance
from lossylab.eval.metrics.psnr import check_same_shape
from lossylab.losses.features import distance_of
from lossylab.models.backbones import vgg

SMALLEST = 32  # pixels, so that the last layer has several places
_BLOCKS = (1, 2, 3, 4)  # whose last convolutions are compared; the loss sees the fifth block's


class FeatureJudge:
    """Two distances of a pair of images, at least 0, lower is better.

    `feature_distance` is `losses.FeatureDistance` of the last convolutions of blocks 1 to 4.
    `feature_frechet` compares what there is, not where: the Fréchet distance of the fourth block's
    features over all places of the one image and of the other, as SinGAN's single-image FID
    (Shaham et al. 2019). Numbers of other weights are not comparable.

    Attributes:
      label: what a reader calls the network, such as 'VGG-16 (HED)'.
    """

    def __init__(self, weights: str, network: str = "vgg16"):
        """Loads the network; arguments and errors as for `models.backbones.vgg.VGG`."""
        self.label = vgg.label(network, weights)
        layers = [vgg.last_conv(network, block) for block in _BLOCKS]
        features = vgg.VGG(network, weights, layers)
        self._features = tf.function(lambda x: features(x), autograph=False, reduce_retracing=True)

    def __call__(self, reference: np.ndarray, distorted: np.ndarray) -> dict[str, float]:
        """Both of a pair, uint8 [H, W, 1 or 3], at least 32x32 pixels."""
        check_same_shape(reference, distorted)
        found = [
            self._features(tf.constant(as_rgb(image), tf.float32)[None])
            for image in (reference, distorted)
        ]
        last = [
            tf.reshape(each[-1], (-1, each[-1].shape[-1])).numpy().astype(np.float64)
            for each in found
        ]
        return {
            "feature_distance": float(tf.reduce_mean(distance_of(*found))),
            "feature_frechet": frechet_distance(*last),
        }
