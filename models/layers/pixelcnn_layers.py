"""Layers of PixelCNN++ (Salimans, Karpathy, Chen, Kingma 2017): weight normalization and gates.

All compute in the type of what they are given: float64 images give float64 results of the same
float32 weights, which the samplers need. tensorflow-addons' WeightNormalization gives float32 for
float64 inputs (tried) and has no padding that hides what follows.
"""

from __future__ import annotations

import tensorflow as tf

from lossylab.models.layers import precision
from lossylab.models.layers.base import Layer

_STD = 0.05  # of the initial directions
_VARIANCE_FLOOR = 1e-10
PADDINGS = ("same", "down", "down_right")


class WeightNormConv(Layer):
    """A convolution of stride 1 with kernel g V / |V| and a bias; keeps the size.

    Attributes:
      v: directions, variable [height, width, inputs, outputs].
      g: lengths of the kernels, variable [outputs].
      b: bias, variable [outputs].
      padding: see the constructor.
      pending: whether the next call, which must be eager, first sets g and b by its input.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: tuple[int, int] = (1, 1),
        padding: str = "same",
        init_scale: float = 1.0,
        dilation: int = 1,
        name: str = "conv",
    ):
        """Creates the layer.

        Args:
          inputs: channels of the input.
          outputs: channels of the output.
          kernel_size: height and width of the kernel; odd if the padding is 'same'.
          padding: with zeros, 'same' on all sides; 'down' on top, left and right, so that a
            result sees no row below; 'down_right' on top and left, so that it sees no column to
            the right either.
          init_scale: std of the outputs after `initialize`.
          dilation: distance of the kernel's weights in pixels; 1 unless the padding is 'same'.
          name: name of the layer.

        Raises:
          ValueError: for another kind of padding, or a size or dilation that does not go with it.
        """
        super().__init__(name=name, autocast=False)
        if padding not in PADDINGS:
            raise ValueError(f"padding must be one of {', '.join(PADDINGS)}, got '{padding}'")
        if padding == "same" and not all(n % 2 for n in kernel_size):
            raise ValueError(
                f"padding 'same' keeps the size for odd kernels only, got {kernel_size}"
            )
        if padding == "down" and not kernel_size[1] % 2:
            raise ValueError(
                f"padding 'down' keeps the size for an odd width only, got {kernel_size}"
            )
        if padding != "same" and dilation != 1:
            raise ValueError(f"dilation {dilation} needs padding 'same', got '{padding}'")
        directions = tf.random.normal((*kernel_size, inputs, outputs), stddev=_STD)
        with self.scope():
            self.v = tf.Variable(directions, name="v")
            self.g = tf.Variable(tf.ones(outputs), name="g")
            self.b = tf.Variable(tf.zeros(outputs), name="b")
        self.padding, self._init_scale, self._dilation = padding, init_scale, dilation
        self._pads = _pads(kernel_size, padding)
        self.pending = False

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Filters x, float [B, H, W, inputs]."""
        if self.pending:
            self.initialize(x)
        return tf.nn.bias_add(self._filter(x, self.kernel(x.dtype)), tf.cast(self.b, x.dtype))

    def kernel(self, dtype: tf.DType = tf.float32) -> tf.Tensor:
        """The kernel [height, width, inputs, outputs] in that type."""
        return tf.cast(self.g, dtype) * self._unit(dtype)

    def initialize(self, x: tf.Tensor) -> None:
        """Sets lengths and bias so that the outputs for x have mean 0 and equal std."""
        mean, variance = tf.nn.moments(self._filter(x, self._unit(x.dtype)), (0, 1, 2))
        scale = self._init_scale * tf.math.rsqrt(variance + _VARIANCE_FLOOR)
        self.g.assign(scale)
        self.b.assign(-mean * scale)

    def _unit(self, dtype: tf.DType) -> tf.Tensor:
        return tf.nn.l2_normalize(tf.cast(self.v, dtype), (0, 1, 2))

    def _filter(self, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        if self._dilation > 1:
            return precision.dilated_conv2d(x, kernel, self._dilation)
        return precision.conv2d(x, kernel, 1, self._pads)


class GatedBlock(Layer):
    """A residual block: x + a sigmoid(b), where a and b come from two convolutions.

    Attributes:
      first: convolution from 2 C channels to C.
      second: convolution from 2 C channels to a and b, 2 C.
      aux: 1x1 convolution of the other stream, or None.
      condition: variable [condition channels, 2 C] that the features of the condition are
        multiplied by, or None.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: tuple[int, int],
        padding: str,
        aux: int = 0,
        condition: int = 0,
        dropout: float = 0.0,
        name: str = "block",
    ):
        """Creates the block.

        Args:
          channels: C, of its input and output.
          kernel_size: height and width of its kernels.
          padding: as for `WeightNormConv`.
          aux: channels of the other stream; 0 is none.
          condition: channels of the condition's features; 0 is none.
          dropout: fraction of the values between the convolutions that are dropped in training.
          name: name of the block.
        """
        super().__init__(name=name, autocast=False)
        twice, self.condition = 2 * channels, None
        with self.scope():
            self.first = WeightNormConv(twice, channels, kernel_size, padding, name="first")
            self.aux = WeightNormConv(2 * aux, channels, name="aux") if aux else None
            self.second = WeightNormConv(
                twice, twice, kernel_size, padding, init_scale=0.1, name="second"
            )
            if condition:
                initial = tf.random.normal((condition, twice), stddev=_STD)
                self.condition = tf.Variable(initial, name="condition")
        self._dropout = dropout

    def call(
        self,
        x: tf.Tensor,
        aux: tf.Tensor | None = None,
        condition: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """What follows x.

        Args:
          x: float [B, H, W, C].
          aux: the other stream, [B, H, W, aux channels].
          condition: features of the condition, [B, H, W, condition channels].
          seed: of the dropout, int [2]; None drops nothing.
        """
        y = self.first(concat_elu(x))
        if self.aux is not None:
            y += self.aux(concat_elu(aux))
        y = concat_elu(y)
        if seed is not None and self._dropout:
            y = tf.nn.experimental.stateless_dropout(y, self._dropout, seed)
        y = self.second(y)
        if self.condition is not None:
            y += tf.linalg.matmul(condition, tf.cast(self.condition, x.dtype))
        a, b = tf.split(y, 2, -1)
        return x + a * tf.sigmoid(b)


def concat_elu(x: tf.Tensor) -> tf.Tensor:
    """ELU of x and of -x, [..., 2 C]."""
    return tf.nn.elu(tf.concat([x, -x], -1))


def down_shift(x: tf.Tensor) -> tf.Tensor:
    """x [B, H, W, C] a row further down, zeros on top."""
    return tf.pad(x[:, :-1], ((0, 0), (1, 0), (0, 0), (0, 0)))


def right_shift(x: tf.Tensor) -> tf.Tensor:
    """x [B, H, W, C] a column further right, zeros on the left."""
    return tf.pad(x[:, :, :-1], ((0, 0), (0, 0), (1, 0), (0, 0)))


def _pads(kernel_size: tuple[int, int], padding: str) -> list[list[int]]:
    height, width = (n - 1 for n in kernel_size)
    rows = [height // 2] * 2 if padding == "same" else [height, 0]
    columns = [width, 0] if padding == "down_right" else [width // 2] * 2
    return [[0, 0], rows, columns, [0, 0]]
