"""Layers of the restoration networks: convolutions that keep the size, and small wrappers."""

from __future__ import annotations

import tensorflow as tf

from lossylab.models.layers.conv import downsample

SMALL = 1e-4  # gain of a last layer whose output is added to the image: begins with hardly any


class Conv2D(tf.Module):
    """A convolution with padding k // 2 times the dilation, so that stride 1 keeps the size.

    Attributes:
      kernel: variable [taps, taps, inputs, outputs].
      bias: variable [outputs], or None.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        taps: int,
        stride: int = 1,
        dilation: int = 1,
        bias: bool = True,
        replicate: bool = False,
        gain: float = 2.0,
        offset: float = 0.0,
        passing: int = 0,
        name: str = "conv",
    ):
        """Creates the layer.

        Args:
          inputs: channels of the input.
          outputs: channels of the output.
          taps: kernel height and width, odd.
          stride: sampling factor.
          dilation: distance of the taps in pixels; 1 unless the stride is 1.
          bias: whether to add one.
          replicate: pad with the nearest pixel instead of zeros.
          gain: of the initial normal kernel of variance gain / fan-in: 2 keeps the variance
            through ReLUs (He et al. 2015).
          offset: initial bias.
          passing: so many first channels begin by passing the input's unchanged.
          name: name of the layer.
        """
        super().__init__(name=name)
        fan_in = taps * taps * inputs
        initial = tf.random.normal((taps, taps, inputs, outputs), stddev=(gain / fan_in) ** 0.5)
        if passing:
            identity = tf.eye(inputs, outputs) * tf.cast(tf.range(outputs) < passing, tf.float32)
            middle = tf.one_hot(taps // 2, taps)
            taps_of_one = (middle[:, None] * middle)[..., None, None]
            initial *= 1.0 - tf.cast(tf.range(outputs) < passing, tf.float32)
            initial += taps_of_one * identity
        self.kernel = tf.Variable(initial, name="kernel")
        self.bias = tf.Variable(tf.fill([outputs], offset), name="bias") if bias else None
        self._stride, self._dilation, self._replicate = stride, dilation, replicate

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """Filters x, float32 [B, H, W, inputs]."""
        if self._replicate:
            pad = self.kernel.shape[0] // 2
            y = tf.nn.conv2d(replicate_pad(x, pad), self.kernel, 1, "VALID")
        elif self._stride > 1:  # TensorFlow's SAME would shift by a pixel
            y = downsample(x, self.kernel, self._stride)
        else:
            y = tf.nn.conv2d(x, self.kernel, 1, "SAME", dilations=self._dilation)
        return y if self.bias is None else tf.nn.bias_add(y, self.bias)


class BNReLUConv(tf.Module):
    """Batch normalization, ReLU and a convolution without bias, in this order."""

    def __init__(
        self, inputs: int, outputs: int, taps: int, gain: float = 2.0, name: str = "bn_relu_conv"
    ):
        """Creates the layer; arguments as for `Conv2D`."""
        super().__init__(name=name)
        self.norm = batch_norm(inputs)
        self.conv = Conv2D(inputs, outputs, taps, bias=False, gain=gain)

    def __call__(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        """Filters x; `training` normalizes by the batch and updates the moving moments."""
        return self.conv(tf.nn.relu(self.norm(x, training=training)))


def batch_norm(channels: int) -> tf.keras.layers.BatchNormalization:
    """Keras's layer with PyTorch's constants, which the papers' codes use."""
    layer = tf.keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    layer.build((None, None, None, channels))
    return layer


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
