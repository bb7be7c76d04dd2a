"""The learned JPEG encoder: attention and quantization tables, for standard decoders.

R. Liu, Y. Liu, S. Mantravadi: "Deep Neural Network Based Image Compression Encoders", after
Y. Struempler, R. Yang, R. Timofte: "Learning to Improve Image Compression without Changing the
Standard Decoder", 2020. Eq. 4-6: quantized = round(DCT * attention / table).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from lossylab.models.layers import dct as jpeg
from lossylab.models.layers.attention import Attention
from lossylab.models.layers.base import Network
from lossylab.models.layers.blocks import pad_to_multiple

TABLE_SCALE = 1e-5  # Sec. 6.2: the variables are this much smaller than the tables' entries


class Coded(NamedTuple):
    """What coding a batch gives.

    Attributes:
      decoded: float32 [B, H, W, 3], pixel values, neither rounded nor clipped.
      attention: of luminance and chrominance, each float32 [B, H / 8, W / 8, 8, 8], 0..1; empty
        without an attention network.
      quantized: coefficients, float32 [B, 3, H / 8, W / 8, 64], whole numbers.
      weighted: the same before their division by the tables.
    """

    decoded: tf.Tensor
    attention: tuple[tf.Tensor, ...]
    quantized: tf.Tensor
    weighted: tf.Tensor


@tf.keras.saving.register_keras_serializable("lossylab")
class JPEGEncoder(Network):
    """Encoder with learned tables and, unless told otherwise, attention.

    Attributes:
      attention: the network that weighs coefficients, or None.
      scaled_tables: variable [2, 8, 8], luminance and chrominance: entries times the table scale.
    """

    model_id = "jpeg_encoder"

    def __init__(
        self,
        attention: Attention | None = None,
        table_scale: float = TABLE_SCALE,
        name: str = "jpeg_encoder",
    ):
        """Creates the tables, uniform in 1..2 (Sec. 6.2).

        Args:
          attention: the network that weighs coefficients; None leaves them as they are.
          table_scale: s of Sec. 6.2: one step of Adam moves a table by learning rate / s.
          name: name of the model.

        Raises:
          ValueError: if the scale is not positive.
        """
        super().__init__(name=name)
        if not table_scale > 0:
            raise ValueError(f"table_scale must be above 0, got {table_scale}")
        self.attention, self._scale = attention, table_scale
        low, high = table_scale, table_scale * jpeg.LARGEST_STEP
        with self.scope():
            self.scaled_tables = tf.Variable(
                tf.random.uniform((2, jpeg.BLOCK, jpeg.BLOCK), low, 2 * low),
                constraint=lambda value: tf.clip_by_value(value, low, high),
                name="tables",
            )

    @property
    def tables(self) -> tf.Tensor:
        """Step sizes of luminance and chrominance, float32 [2, 8, 8], 1..255, not rounded."""
        return self.scaled_tables / self._scale

    @property
    def receptive_field_radius(self) -> int | None:
        """Pixels around a block that its code depends on; None for the whole image."""
        return 0 if self.attention is None else self.attention.receptive_field_radius

    def set_tables(self, tables: np.ndarray) -> None:
        """Begins with these step sizes [2, 8, 8], 1..255."""
        self.scaled_tables.assign(tf.cast(tables, tf.float32) * self._scale)

    def call(self, image: tf.Tensor, training: bool = False) -> Coded:
        """Codes and decodes with the tables as they are.

        Args:
          image: float32 [B, H, W, 3], RGB in pixel values 0..255, any size.
          training: of no effect.
        """
        del training
        tables = self.tables
        weighted, attention = self.weigh(image)
        quantized = jpeg.quantize(weighted, tables)
        height, width = tf.unstack(tf.shape(image)[1:3])
        decoded = jpeg.reconstruction(jpeg.dequantize(quantized, tables), height, width)
        return Coded(tf.ensure_shape(decoded, image.shape), attention, quantized, weighted)

    def encode(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """What a file holds: quantized coefficients and rounded tables.

        Args:
          image: float32 [B, H, W, 3], RGB in pixel values 0..255, any size.

        Returns:
          int16 [B, 3, ceil(H / 8), ceil(W / 8), 8, 8] and int32 [2, 8, 8], 1..255.
        """
        tables = self.rounded_tables()
        coded = jpeg.quantize(self.weigh(image)[0], tables)
        shape = tf.concat([tf.shape(coded)[:-1], (jpeg.BLOCK, jpeg.BLOCK)], 0)
        return tf.cast(tf.reshape(coded, shape), tf.int16), tf.cast(tables, tf.int32)

    def rounded_tables(self) -> tf.Tensor:
        """The tables of files, float32 [2, 8, 8]."""
        return tf.clip_by_value(tf.round(self.tables), 1.0, float(jpeg.LARGEST_STEP))

    def weigh(self, image: tf.Tensor) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        """Coefficients times attention, and the attention, as in `Coded` (Eq. 4-6)."""
        found = jpeg.coefficients(image)
        if self.attention is None:
            return found, ()
        luma, chroma = self.attention(pad_to_multiple(image, jpeg.BLOCK), found)
        weights = tf.stack([luma, chroma, chroma], 1)
        weights = tf.reshape(weights, tf.shape(found))
        return found * weights, (luma, chroma)
