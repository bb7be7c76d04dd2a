"""A learned JPEG encoder ready to be stored as a SavedModel.

Signatures:

  encode(image uint8 [H, W, 3])    -> coefficients int16 [3, ceil(H / 8), ceil(W / 8), 8, 8],
                                        tables int32 [2, 8, 8]
  decode(coefficients, tables, height, width) -> image uint8: what a decoder shows of them
  describe()                         -> info, JSON text
"""

from __future__ import annotations

import tensorflow as tf

from lossylab.inference.export.served import ServedNetwork
from lossylab.models.jpeg_encoder import JPEGEncoder
from lossylab.models.layers import dct as jpeg

SIGNATURES = ("decode", "describe", "encode")


class ServedJPEG(ServedNetwork):
    """Encodes single images of any size."""

    def __init__(self, encoder: JPEGEncoder, options: dict):
        """Wraps an encoder.

        Args:
          encoder: the encoder.
          options: how it was trained, JSON values; stored with the model.
        """
        blocks = (3, None, None, jpeg.BLOCK, jpeg.BLOCK)
        tables = (2, jpeg.BLOCK, jpeg.BLOCK)

        @tf.function(input_signature=[tf.TensorSpec((None, None, 3), tf.uint8, name="image")])
        def encode(image):
            coefficients, steps = encoder.encode(tf.cast(image[None], tf.float32))
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
            quantized = tf.reshape(tf.cast(coefficients, tf.float32), flat)
            found = jpeg.dequantize(quantized, tf.cast(tables, tf.float32))
            return {"image": tf.cast(jpeg.image(found, height, width)[0], tf.uint8)}

        functions = {"encode": encode, "decode": decode}
        super().__init__(
            encoder, options, functions, {"receptive_field_radius": encoder.receptive_field_radius}
        )
