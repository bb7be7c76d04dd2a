"""Exported distortion generators.

distort(image uint8 [H, W, 3])   -> distorted uint8 [H, W, 3], of any size
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from lossylab.inference.export.base import Export, Served
from lossylab.models.unet import ResidualUNet


class Distorter(Export):
    """A loaded export: uint8 images in, distorted ones out."""

    kind = "distorter"
    signatures = ("distort",)

    @classmethod
    def serve(cls, network: ResidualUNet) -> Served:
        """The function that distorts."""

        @tf.function(
            autograph=False,
            input_signature=[tf.TensorSpec((None, None, 3), tf.uint8, name="image")],
        )
        def distort(image: tf.Tensor) -> dict[str, tf.Tensor]:
            distorted = network(tf.cast(image[None], tf.float32))
            return {"distorted": tf.saturate_cast(tf.round(distorted[0]), tf.uint8)}

        return Served(network, {"distort": distort})

    def distort(self, image: np.ndarray) -> np.ndarray:
        """Distorts an image, uint8 [H, W, 3] of any size; the same image in the same way."""
        return self._only("distort", image=image).numpy()
