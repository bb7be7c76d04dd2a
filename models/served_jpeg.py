"""A learned JPEG encoder ready to be stored as a SavedModel.

Signatures:

  encode(picture uint8 [H, W, 3])    -> coefficients int16 [3, ceil(H / 8), ceil(W / 8), 8, 8],
                                        tables int32 [2, 8, 8]
  decode(coefficients, tables, height, width) -> picture uint8: what a decoder shows of them
  describe()                         -> info, JSON text
"""

from __future__ import annotations

import json

import tensorflow as tf

from lossylab.models import jpeg
from lossylab.models.jpeg_encoder import JPEGEncoder
from lossylab.models.serving import weights_hash

SIGNATURES = ("decode", "describe", "encode")


class ServedJPEG(tf.Module):
    """Encodes single pictures of any size."""

    def __init__(self, encoder: JPEGEncoder, options: dict):
        """Wraps an encoder.

        Args:
          encoder: the encoder.
          options: how it was trained, JSON values; stored with the model.
        """
        super().__init__(name="served")
        self._encoder = encoder
        self._info = json.dumps(
            {
                "model": encoder.model_id,
                "weights": weights_hash(encoder),
                "parameters": sum(v.shape.num_elements() for v in encoder.trainable_variables),
                "reach": encoder.reach,
                "options": options,
            },
            sort_keys=True,
        )
        self._signatures = self._make()

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The functions by signature name, for `tf.saved_model.save`."""
        return self._signatures

    def _make(self):
        blocks = (3, None, None, jpeg.BLOCK, jpeg.BLOCK)
        tables = (2, jpeg.BLOCK, jpeg.BLOCK)

        @tf.function(input_signature=[tf.TensorSpec((None, None, 3), tf.uint8, name="picture")])
        def encode(picture):
            coefficients, steps = self._encoder.encode(tf.cast(picture[None], tf.float32))
            return {"coefficients": coefficients[0], "tables": steps}

        @tf.function(
            input_signature=[
                tf.TensorSpec(blocks, tf.int16, name="coefficients"),
                tf.TensorSpec(tables, tf.int32, name="tables"),
                tf.TensorSpec((), tf.int32, name="height"),
                tf.TensorSpec((), tf.int32, name="width"),
            ]
        )
        def decode(coefficients, tables, height, width):
            flat = tf.concat([(1,), tf.shape(coefficients)[:3], (jpeg.BLOCK**2,)], 0)
            quantised = tf.reshape(tf.cast(coefficients, tf.float32), flat)
            found = jpeg.dequantise(quantised, tf.cast(tables, tf.float32))
            return {"picture": tf.cast(jpeg.picture(found, height, width)[0], tf.uint8)}

        @tf.function(input_signature=[])
        def describe():
            return {"info": tf.constant(self._info)}

        made = {"encode": encode, "decode": decode, "describe": describe}
        return {name: function.get_concrete_function() for name, function in made.items()}
