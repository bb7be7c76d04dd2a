"""Attention of the learned JPEG encoder: how much of every DCT coefficient is kept.

Features of a backbone (`backbones`) become, by a 1x1 convolution, 128 numbers a block: 8x8 for
luminance and 8x8 for chrominance (Eq. 1, 2). A sigmoid ends there (Sec. 3.2), or the blocks go in
raster order through an LSTM for each of the two (Sec. 5.3).
"""

from __future__ import annotations

import abc
from collections.abc import Sequence

import tensorflow as tf

from lossylab.models.layers.base import Layer
from lossylab.models.layers.blocks import Conv2D
from lossylab.models.names import ATTENTION_RANGES

_UNITS = 64  # coefficients of a block
_EPSILON = 1e-6
_DCT_RANGE = 1024.0  # largest coefficient

Maps = tuple[tf.Tensor, tf.Tensor]


class Attention(Layer, abc.ABC):
    """What every attention network does.

    Called with images, float32 [B, H, W, 3] in pixel values, sides multiples of 8, and their DCT
    coefficients [B, 3, H / 8, W / 8, 64], it returns attention of luminance and of chrominance,
    each float32 [B, H / 8, W / 8, 8, 8].

    Attributes:
      receptive_field_radius: pixels around a block that matter to it; None: all.
    """

    receptive_field_radius: int | None = None

    @abc.abstractmethod
    def call(self, image: tf.Tensor, coefficients: tf.Tensor) -> Maps:
        """Looks at the image; arguments and result as above."""


@tf.keras.saving.register_keras_serializable("lossylab")
class ConvAttention(Attention):
    """Backbone, 1x1 convolution, sigmoid (Sec. 3.2)."""

    def __init__(
        self,
        backbone: Layer,
        gain: float = 1.0,
        offset: float = 0.0,
        feature_scale: float = 1.0,
        name: str = "attention",
    ):
        """Creates the convolution.

        Args:
          backbone: gives the features, see `backbones.block_features`.
          gain: of the initial kernel of variance gain / inputs.
          offset: initial bias: attention begins near sigmoid(offset).
          feature_scale: what the features are divided by.
          name: name of the module.
        """
        super().__init__(name=name)
        self.backbone, self.receptive_field_radius = backbone, backbone.receptive_field_radius
        self._feature_scale = feature_scale
        with self.scope():
            self.conv = Conv2D(backbone.channels, 2 * _UNITS, 1, gain=gain, offset=offset)

    def call(self, image: tf.Tensor, coefficients: tf.Tensor) -> Maps:
        """Looks at the image; see `Attention`."""
        logits = self.conv(self.backbone(image) / self._feature_scale)
        return _maps(tf.sigmoid(logits[..., :_UNITS]), tf.sigmoid(logits[..., _UNITS:]))


@tf.keras.saving.register_keras_serializable("lossylab")
class LSTMAttention(Attention):
    """LSTMs over the blocks in raster order, one for luminance and one for chrominance."""

    def __init__(
        self,
        backbone: Layer | None,
        both_ways: bool = False,
        outputs: str = "sigmoid",
        gain: float = 1.0,
        offset: float = 0.0,
        feature_scale: float = 1.0,
        name: str = "attention",
    ):
        """Creates the LSTMs.

        Args:
          backbone: gives the features, see `backbones.block_features`; None feeds the DCT
            coefficients instead, divided by 1024, for chrominance the mean of Cb's and Cr's.
          both_ways: also from the end to the beginning; the mean of the two counts.
          outputs: from the LSTM's outputs in -1..1 to attention: 'sigmoid' of them, which stays
            within 0.27..0.73, 'tanh' as they are, 'minmax', stretched to 0..1 in each image and
            plane, or 'sigmoid_logits', the sigmoid of a 1x1 convolution of each plane's, which
            reaches all of 0..1.
          gain: of that convolution's initial kernel of variance gain / inputs.
          offset: its initial bias: attention begins near sigmoid(offset).
          feature_scale: what the features are divided by.
          name: name of the module.

        Raises:
          ValueError: for other outputs.
        """
        super().__init__(name=name)
        if outputs not in ATTENTION_RANGES:
            raise ValueError(
                f"outputs must be one of {', '.join(ATTENTION_RANGES)}, got '{outputs}'"
            )
        self.backbone, self._range, self._feature_scale = backbone, outputs, feature_scale
        self._directions, self.conv, self.logits = 1 + both_ways, None, []
        with self.scope():
            if backbone is not None:
                self.conv = Conv2D(backbone.channels, 2 * _UNITS, 1, gain=1.0)
            self.cells = [
                LSTM(_UNITS, _UNITS, name=f"{plane}{i}")
                for plane in ("luma", "chroma")
                for i in range(self._directions)
            ]
            if outputs == "sigmoid_logits":
                self.logits = [
                    Conv2D(_UNITS, _UNITS, 1, gain=gain, offset=offset, name=f"{plane}_logits")
                    for plane in ("luma", "chroma")
                ]

    def call(self, image: tf.Tensor, coefficients: tf.Tensor) -> Maps:
        """Looks at the image; see `Attention`."""
        maps, count = [], self._directions
        cells_of_planes = self.cells[:count], self.cells[count:]
        planes = zip(cells_of_planes, self._blocks(image, coefficients))
        for plane, (cells, blocks) in enumerate(planes):
            batch, rows, columns = tf.unstack(tf.shape(blocks)[:3])
            sequence = tf.reshape(blocks, (batch, rows * columns, _UNITS))
            found = cells[0](sequence)
            if len(cells) > 1:
                found = (found + cells[1](sequence[:, ::-1])[:, ::-1]) / 2.0
            found = tf.reshape(found, tf.shape(blocks))
            if self.logits:
                found = self.logits[plane](found)
            maps.append(self._in_range(found))
        return _maps(*maps)

    def _blocks(self, image: tf.Tensor, coefficients: tf.Tensor) -> Sequence[tf.Tensor]:
        if self.backbone is None or self.conv is None:
            luma, chroma = coefficients[:, 0], tf.reduce_mean(coefficients[:, 1:], 1)
            return luma / _DCT_RANGE, chroma / _DCT_RANGE
        return tf.split(self.conv(self.backbone(image) / self._feature_scale), 2, -1)

    def _in_range(self, found: tf.Tensor) -> tf.Tensor:
        if self._range in ("sigmoid", "sigmoid_logits"):
            return tf.sigmoid(found)
        if self._range == "minmax":
            low = tf.reduce_min(found, (1, 2, 3), keepdims=True)
            high = tf.reduce_max(found, (1, 2, 3), keepdims=True)
            return (found - low) / (high - low + _EPSILON)
        return found


class LSTM(Layer):
    """A layer of long short-term memory, the whole sequence as one operation."""

    def __init__(self, inputs: int, units: int, name: str = "lstm"):
        """Creates the weights.

        Args:
          inputs: numbers a step.
          units: of the state; forgetting begins with a bias of 1.
          name: name of the layer.
        """
        super().__init__(name=name)
        limit = (6.0 / (inputs + units)) ** 0.5
        gates = [tf.random.uniform((inputs + units, units), -limit, limit) for _ in range(4)]
        with self.scope():
            self.kernel = tf.Variable(tf.concat(gates, 1), name="kernel")  # gates i, c, f, o
            self.bias = tf.Variable(tf.repeat((0.0, 0.0, 1.0, 0.0), units), name="bias")
        self._units = units

    def call(self, sequence: tf.Tensor) -> tf.Tensor:
        """States [B, T, units], each in -1..1, of a sequence [B, T, inputs]."""
        x = tf.transpose(sequence, (1, 0, 2))
        steps, batch = tf.unstack(tf.shape(x)[:2])
        nothing = tf.zeros((batch, self._units))
        peepholes = tf.zeros(self._units)
        # Not BlockLSTMV2: its gradient is that of this one, which has the gates in another order.
        found = tf.raw_ops.BlockLSTM(
            seq_len_max=tf.cast(steps, tf.int64),
            x=x,
            cs_prev=nothing,
            h_prev=nothing,
            w=self.kernel,
            b=self.bias,
            wci=peepholes,
            wcf=peepholes,
            wco=peepholes,
            forget_bias=0.0,
            cell_clip=-1.0,
        )
        return tf.transpose(found.h, (1, 0, 2))


def _maps(luma: tf.Tensor, chroma: tf.Tensor) -> Maps:
    shape = tf.concat([tf.shape(luma)[:-1], (8, 8)], 0)
    return tf.reshape(luma, shape), tf.reshape(chroma, shape)
