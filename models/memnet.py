"""MemNet (Tai, Yang, Liu, Xu, ICCV 2017): memory blocks of recursions, joined by gates.

With weights of their own for every recursion, which is what the 2.9 M weights of WCDGAN's
Table 3 count; MemNet itself shares them. The one output is supervised.
"""

from __future__ import annotations

import itertools

import tensorflow as tf

from lossylab.models.layers.base import Layer, Network
from lossylab.models.layers.blocks import SMALL, BNReLUConv


class _Residual(Layer):
    """x plus two pre-activated convolutions of it."""

    def __init__(self, filters: int, name: str):
        super().__init__(name=name)
        with self.scope():
            self.convs = [BNReLUConv(filters, filters, 3, name=f"conv{i}") for i in range(2)]

    def call(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        y = x
        for conv in self.convs:
            y = conv(y, training)
        return x + y


@tf.keras.saving.register_keras_serializable("lossylab")
class MemNet(Network):
    """M memory blocks of R recursions."""

    model_id = "memnet"

    def __init__(
        self,
        channels: int = 1,
        filters: int = 64,
        blocks: int = 6,
        recursions: int = 6,
        name: str = "memnet",
    ):
        """Creates the network.

        Args:
          channels: 1 for luma, as published; 3 for RGB.
          filters: of all inner layers.
          blocks: M.
          recursions: R.
          name: name of the model.
        """
        super().__init__(name=name)
        self.channels = channels
        self.receptive_field_radius = 2 * blocks * recursions + 2
        self._recursions = recursions
        with self.scope():
            self.extractor = BNReLUConv(channels, filters, 3, name="extractor")
            self.units = [
                _Residual(filters, name=f"block{block}_unit{i}")
                for block in range(blocks)
                for i in range(recursions)
            ]
            self.gates = [
                BNReLUConv((recursions + 1 + block) * filters, filters, 1, name=f"gate{block}")
                for block in range(blocks)
            ]
            self.reconstructor = BNReLUConv(filters, channels, 3, gain=SMALL, name="reconstructor")

    def call(self, image: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Restores an image, float32 [B, H, W, channels] in pixel values; not clipped."""
        x = self.extractor(image / 255.0, training)
        long_term = [x]
        units = iter(self.units)
        for gate in self.gates:
            short_term = []
            for unit in itertools.islice(units, self._recursions):
                x = unit(x, training)
                short_term.append(x)
            x = gate(tf.concat(short_term + long_term, -1), training)
            long_term.append(x)
        return image + self.reconstructor(x, training) * 255.0
