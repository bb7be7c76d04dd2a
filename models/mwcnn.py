"""MWCNN (Liu, Zhang, Lian, Zuo, IEEE Access 2019): a U-Net with wavelets for its pooling.

Three levels of Haar transforms; every level has three convolutions with ReLUs down and three up,
dilated as in the authors' code, and no batch normalization.
"""

from __future__ import annotations

import tensorflow as tf

from lossylab.models.layers import precision
from lossylab.models.layers.base import Layer, Network
from lossylab.models.layers.blocks import SMALL, Conv2D, pad_to_multiple

_MULTIPLE = 8  # three levels


def haar(x: tf.Tensor) -> tf.Tensor:
    """Orthonormal Haar transform of [B, 2h, 2w, C]: [B, h, w, 4C], sub-bands LL, HL, LH, HH."""
    half = x / 2.0
    a, b = half[:, 0::2, 0::2], half[:, 1::2, 0::2]
    c, d = half[:, 0::2, 1::2], half[:, 1::2, 1::2]
    return tf.concat([a + b + c + d, -a - b + c + d, -a + b - c + d, a - b - c + d], -1)


def inverse_haar(bands: tf.Tensor) -> tf.Tensor:
    """The inverse of `haar`: [B, h, w, 4C] to [B, 2h, 2w, C]."""
    low, hl, lh, hh = tf.split(bands / 2.0, 4, -1)
    a, b = low - hl - lh + hh, low - hl + lh - hh
    c, d = low + hl - lh - hh, low + hl + lh + hh
    return tf.nn.depth_to_space(tf.concat([a, c, b, d], -1), 2)


class _Stack(Layer):
    """3x3 convolutions with ReLUs."""

    def __init__(self, widths: tuple[int, ...], dilations: tuple[int, ...], name: str):
        super().__init__(name=name)
        plan = enumerate(zip(widths, widths[1:], dilations))
        with self.scope():
            self.convs = [
                Conv2D(inputs, outputs, 3, dilation=dilation, name=f"conv{i}")
                for i, (inputs, outputs, dilation) in plan
            ]

    def call(self, x: tf.Tensor) -> tf.Tensor:
        for conv in self.convs:
            x = precision.behind_cast(tf.nn.relu, conv(x))
        return x


@tf.keras.saving.register_keras_serializable("lossylab")
class MWCNN(Network):
    """The network of the journal paper, 24.9 M weights."""

    model_id = "mwcnn"
    multiple = _MULTIPLE

    def __init__(self, channels: int = 1, filters: int = 64, name: str = "mwcnn"):
        """Creates the network.

        Args:
          channels: 1 for luma; 3 for RGB.
          filters: of the first level; twice, four and eight times as many follow.
          name: name of the model.
        """
        super().__init__(name=name)
        self.channels = channels
        # Four pixels down and four up at each level of 1, 2, 4, twelve at 8, and what the
        # wavelets of a block of eight see.
        self.receptive_field_radius = 8 * (1 + 2 + 4) + 8 * 12 + 8
        n = filters
        with self.scope():
            self.down = [
                _Stack((channels, n, n, n), (1, 2, 1), name="down0"),
                _Stack((4 * n, 2 * n, 2 * n, 2 * n), (1, 2, 1), name="down1"),
                _Stack((8 * n, 4 * n, 4 * n, 4 * n), (1, 2, 1), name="down2"),
            ]
            self.center = _Stack((16 * n, *5 * (8 * n,), 16 * n), (1, 2, 3, 3, 2, 1), name="center")
            self.up = [
                _Stack((4 * n, 4 * n, 4 * n, 8 * n), (2, 1, 1), name="up0"),
                _Stack((2 * n, 2 * n, 2 * n, 4 * n), (2, 1, 1), name="up1"),
                _Stack((n, n, n), (2, 1), name="up2"),
            ]
            self.tail = Conv2D(n, channels, 3, gain=SMALL, name="tail")

    def call(self, image: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Restores an image, float32 [B, H, W, channels] in pixel values; the result is unclipped.

        Sides that are no multiples of 8 are extended by their last rows and columns, then cut.
        """
        del training
        height, width = tf.unstack(tf.shape(image)[1:3])
        x = pad_to_multiple(image, _MULTIPLE) / 255.0
        kept = []
        for index, stack in enumerate(self.down):
            x = stack(haar(x) if index else x)
            kept.append(x)
        x = self.center(haar(x))
        for stack, skip in zip(self.up, reversed(kept)):
            x = stack(inverse_haar(x) + skip)
        return image + self.tail(x)[:, :height, :width] * 255.0
