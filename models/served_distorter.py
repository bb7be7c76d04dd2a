"""A distortion generator ready to be stored as a SavedModel.

Signatures:

  distort(picture uint8 [H, W, 3])   -> picture uint8 [H, W, 3]
  describe()                         -> info, JSON text
"""

from __future__ import annotations

import json

import tensorflow as tf

from lossylab.models.serving import weights_hash
from lossylab.models.unet import ResidualUNet

SIGNATURES = ("describe", "distort")


class ServedDistorter(tf.Module):
    """Distorts single pictures of any size."""

    def __init__(self, generator: ResidualUNet, options: dict):
        """Wraps a generator.

        Args:
          generator: the network.
          options: how it was trained, JSON values; stored with the model.
        """
        super().__init__(name="served")
        info = {
            "model": generator.model_id,
            "weights": weights_hash(generator),
            "parameters": sum(v.shape.num_elements() for v in generator.trainable_variables),
            "options": options,
        }
        text = json.dumps(info, sort_keys=True)
        self._generator = generator

        @tf.function(input_signature=[tf.TensorSpec((None, None, 3), tf.uint8, name="picture")])
        def distort(picture):
            made = generator(tf.cast(picture[None], tf.float32))
            return {"picture": tf.saturate_cast(tf.round(made[0]), tf.uint8)}

        @tf.function(input_signature=[])
        def describe():
            return {"info": tf.constant(text)}

        self._signatures = {
            name: function.get_concrete_function()
            for name, function in (("distort", distort), ("describe", describe))
        }

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The functions by signature name, for `tf.saved_model.save`."""
        return self._signatures
