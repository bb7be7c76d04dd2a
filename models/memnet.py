"""MemNet (Tai, Yang, Liu, Xu, ICCV 2017): memory blocks of recursions, joined by gates.

With weights of their own for every recursion and one output, which is what the 2.9 M weights of
WCDGAN's Table 3 count. The authors' recursions share their convolutions, every block has an output
that is supervised, and convolutions have biases: all by arguments.
"""

from __future__ import annotations

import itertools

import tensorflow as tf

from lossylab.models.layers.base import Layer, Network
from lossylab.models.layers.blocks import SMALL, BNReLUConv


class _Residual(Layer):
    """x plus two pre-activated convolutions of it."""

    def __init__(self, filters: int, bias: bool, shared: _Residual | None, name: str):
        super().__init__(name=name)
        lent = shared.convs if shared else (None, None)
        with self.scope():
            self.convs = [
                BNReLUConv(filters, filters, 3, bias=bias, shared=conv, name=f"conv{i}")
                for i, conv in enumerate(lent)
            ]

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
        shared_recursions: bool = False,
        multiple_outputs: bool = False,
        biases: bool = False,
        name: str = "memnet",
    ):
        """Creates the network.

        Args:
          channels: 1 for luma, as published; 3 for RGB.
          filters: of all inner layers.
          blocks: M.
          recursions: R.
          shared_recursions: whether those of a block have the same convolutions; never the same
            batch normalization.
          multiple_outputs: whether each block has an output, by the same convolution, and the image
            is their learned sum.
          biases: of the convolutions.
          name: name of the model.
        """
        super().__init__(name=name)
        self.channels = channels
        self.receptive_field_radius = 2 * blocks * recursions + 2
        self._recursions = recursions
        with self.scope():
            self.extractor = BNReLUConv(channels, filters, 3, bias=biases, name="extractor")
            self.units = _units(filters, blocks, recursions, shared_recursions, biases)
            self.gates = [
                BNReLUConv(
                    (recursions + 1 + block) * filters, filters, 1, bias=biases, name=f"gate{block}"
                )
                for block in range(blocks)
            ]
            self.reconstructor = BNReLUConv(
                filters, channels, 3, gain=SMALL, bias=biases, name="reconstructor"
            )
            self.outputs_before, self.output_weights = [], None
            if multiple_outputs:
                last = self.reconstructor
                self.outputs_before = [
                    BNReLUConv(filters, channels, 3, shared=last, name=f"output{block}")
                    for block in range(blocks - 1)
                ]
                self.output_weights = tf.Variable(tf.fill([blocks], 1.0 / blocks), name="weights")

    def call(self, image: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Restores an image, float32 [B, H, W, channels] in pixel values; not clipped."""
        return self.supervised(image, training)[0]

    def supervised(self, image: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
        """What a loss shall see: the restored image and, if there are several, the outputs."""
        *memories, last = self._memories(image, training)
        found = image + self.reconstructor(last, training) * 255.0
        if self.output_weights is None:
            return [found]
        before = zip(self.outputs_before, memories)
        outputs = [image + output(memory, training) * 255.0 for output, memory in before]
        outputs.append(found)
        weighted = zip(tf.unstack(self.output_weights), outputs)
        return [tf.add_n([weight * output for weight, output in weighted]), *outputs]

    def _memories(self, image: tf.Tensor, training: bool) -> list[tf.Tensor]:
        """What leaves each block, [B, H, W, filters]."""
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
        return long_term[1:]


def _units(filters: int, blocks: int, recursions: int, shared: bool, bias: bool) -> list[_Residual]:
    """The residual units of all blocks; shared convolutions are those of a block's first unit."""
    units = []
    for block in range(blocks):
        first = None
        for i in range(recursions):
            units.append(_Residual(filters, bias, first, name=f"block{block}_unit{i}"))
            first = units[-1] if shared and first is None else first
    return units
