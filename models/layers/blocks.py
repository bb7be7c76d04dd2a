"""Layers of the restoration networks: convolutions that keep the size, and small wrappers."""

from __future__ import annotations

import tensorflow as tf

from lossylab.models.layers import precision
from lossylab.models.layers.base import BatchNorm, Layer
from lossylab.models.layers.conv import downsample

SMALL = 1e-4  # gain of a last layer whose output is added to the image: begins with hardly any


class Conv2D(Layer):
    """A convolution with padding k // 2 times the dilation, so that stride 1 keeps the size.

    Attributes:
      kernel: variable [kernel_size, kernel_size, inputs, outputs].
      bias: variable [outputs], or None.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int,
        stride: int = 1,
        dilation: int = 1,
        bias: bool = True,
        replicate: bool = False,
        gain: float = 2.0,
        offset: float = 0.0,
        identity: int = 0,
        name: str = "conv",
    ):
        """Creates the layer.

        Args:
          inputs: channels of the input.
          outputs: channels of the output.
          kernel_size: height and width of the kernel, odd.
          stride: sampling factor.
          dilation: distance of the kernel's weights in pixels; 1 with strides and `replicate`.
          bias: whether to add one.
          replicate: pad with the nearest pixel instead of zeros.
          gain: of the initial normal kernel of variance gain / fan-in: 2 keeps the variance
            through ReLUs (He et al. 2015).
          offset: initial bias.
          identity: so many first channels begin as the input's, unchanged.
          name: name of the layer.

        Raises:
          ValueError: for a dilation with a stride or `replicate`.
        """
        super().__init__(name=name)
        if dilation > 1 and (stride > 1 or replicate):
            raise ValueError(f"dilation {dilation} needs stride 1 and zeros around")
        fan_in = kernel_size * kernel_size * inputs
        shape = (kernel_size, kernel_size, inputs, outputs)
        initial = tf.random.normal(shape, stddev=(gain / fan_in) ** 0.5)
        if identity:
            copied = tf.cast(tf.range(outputs) < identity, tf.float32)
            middle = tf.one_hot(kernel_size // 2, kernel_size)
            impulse = (middle[:, None] * middle)[..., None, None]
            initial = initial * (1.0 - copied) + impulse * (tf.eye(inputs, outputs) * copied)
        with self.scope():
            self.kernel = tf.Variable(initial, name="kernel")
            self.bias = tf.Variable(tf.fill([outputs], offset), name="bias") if bias else None
        self._stride, self._dilation, self._replicate = stride, dilation, replicate

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Filters x, float32 [B, H, W, inputs]."""
        if self._replicate:
            pad = self.kernel.shape[0] // 2
            y = precision.conv2d(replicate_pad(x, pad), self.kernel, 1, "VALID")
        elif self._stride > 1:  # TensorFlow's SAME would shift by a pixel
            y = downsample(x, self.kernel, self._stride)
        elif self._dilation > 1:
            y = precision.dilated_conv2d(x, self.kernel, self._dilation)
        else:
            y = precision.conv2d(x, self.kernel, 1, "SAME")
        return y if self.bias is None else precision.bias_add(y, self.bias)


class BNReLUConv(Layer):
    """Batch normalization, ReLU and a convolution, in this order."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int,
        gain: float = 2.0,
        bias: bool = False,
        shared: BNReLUConv | None = None,
        name: str = "bn_relu_conv",
    ):
        """Creates the layer; `shared` lends its convolution, other arguments as for `Conv2D`."""
        super().__init__(name=name)
        with self.scope():
            self.norm = batch_norm(inputs)
            self.conv = (
                Conv2D(inputs, outputs, kernel_size, bias=bias, gain=gain)
                if shared is None
                else shared.conv
            )

    def call(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        """Filters x; `training` normalizes by the batch and updates the moving moments."""
        return self.conv(tf.nn.relu(self.norm(x, training=training)))


def batch_norm(channels: int, name: str = "norm") -> BatchNorm:
    """Batch normalization with PyTorch's constants, which the papers' codes use."""
    return BatchNorm(channels, momentum=0.9, epsilon=1e-5, name=name)


def replicate_pad(x: tf.Tensor, pad: int) -> tf.Tensor:
    """Repeats the outermost pixels of x [B, H, W, C] `pad` times on each side."""
    for axis in (1, 2):
        last = tf.shape(x)[axis] - 1
        index = tf.clip_by_value(tf.range(-pad, last + 1 + pad), 0, last)
        x = tf.gather(x, index, axis=axis)
    return x


def pad_to_multiple(x: tf.Tensor, multiple: int) -> tf.Tensor:
    """Repeats the last row and column of x [B, H, W, C] until both sides are multiples."""
    for axis in (1, 2):
        size = tf.shape(x)[axis]
        index = tf.minimum(tf.range(-(-size // multiple) * multiple), size - 1)
        x = tf.gather(x, index, axis=axis)
    return x
