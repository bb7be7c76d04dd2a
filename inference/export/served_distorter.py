"""A distortion generator ready to be stored as a SavedModel.

Signatures:

  distort(image uint8 [H, W, 3])   -> image uint8 [H, W, 3]
  describe()                         -> info, JSON text
"""

from __future__ import annotations

import tensorflow as tf

from lossylab.inference.export.served import ServedNetwork
from lossylab.models.unet import ResidualUNet

SIGNATURES = ("describe", "distort")


class ServedDistorter(ServedNetwork):
    """Distorts single images of any size."""

    def __init__(self, generator: ResidualUNet, options: dict):
        """Wraps a generator.

        Args:
          generator: the network.
          options: how it was trained, JSON values; stored with the model.
        """

        @tf.function(input_signature=[tf.TensorSpec((None, None, 3), tf.uint8, name="image")])
        def distort(image):
            made = generator(tf.cast(image[None], tf.float32))
            return {"image": tf.saturate_cast(tf.round(made[0]), tf.uint8)}

        super().__init__(generator, options, {"distort": distort})
