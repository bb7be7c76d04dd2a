"""Down- and up-sampling convolutions with symmetric padding k // 2.

This is tfc's 'same_zeros' padding, which the published codecs use; TensorFlow's 'SAME'
shifts strided convolutions by a pixel.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from lossylab.models.layers import precision
from lossylab.models.layers.base import Layer
from lossylab.models.layers.rdft import RDFTKernel

_TRUNCATED_STD = 0.87962566103423978  # of a unit normal that is cut off at 2
_FEW = 16  # channels: RGB, not a hidden layer's
_plain: contextvars.ContextVar[bool] = contextvars.ContextVar("plain", default=False)


@contextlib.contextmanager
def only_plain() -> Iterator[None]:
    """In it, up-sampling is traced without transposed convolutions, for converters of graphs.

    They mistake what such a convolution pads, or do not know it; plain ones that compute phases
    take up to 1.5 times as many products.
    """
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


def downsample(x: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    """Correlates x [B, H, W, a] with kernel [k, k, a, b], then keeps every stride-th sample.

    Returns:
      float32 [B, ceil(H / stride), ceil(W / stride), b].
    """
    pad = kernel.shape[0] // 2
    if _by_phases(kernel, stride):
        kernel = _kernel_of_phases(kernel, stride)
        return precision.conv2d(_phases(x, stride), kernel, 1, "SAME")
    x = tf.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    return precision.conv2d(x, kernel, stride, "VALID")


def upsample(x: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    """Inserts stride - 1 zeros between samples of x [B, H, W, b], then convolves.

    The kernel is [k, k, a, b]: this is the transpose of `downsample` with the same kernel.

    Returns:
      float32 [B, H * stride, W * stride, a].
    """
    if _by_phases(kernel, stride, _plain.get()):
        turned = tf.transpose(_kernel_of_phases(kernel, stride)[::-1, ::-1], (0, 1, 3, 2))
        return tf.nn.depth_to_space(precision.conv2d(x, turned, 1, "SAME"), stride)
    size = kernel.shape[0]
    before = size // 2
    after = size - stride - before

    @tf.custom_gradient
    def transposed(x, kernel):
        y = _transposed_conv(x, kernel, stride, before, after)

        # Written out because the automatic gradient of the crop is a slow scatter.
        def grad(dy):
            dy = tf.pad(dy, ((0, 0), (before, after), (before, after), (0, 0)))
            dx = tf.nn.conv2d(dy, kernel, stride, "VALID")
            dkernel = tf.raw_ops.Conv2DBackpropFilter(
                input=dy,
                filter_sizes=kernel.shape,
                out_backprop=x,
                strides=(1, stride, stride, 1),
                padding="VALID",
            )
            return dx, dkernel

        return y, grad

    return tf.cast(transposed(*precision.narrowed(x, kernel)), x.dtype)


def _by_phases(kernel: tf.Tensor, stride: int, always: bool = False) -> bool:
    """Whether the image's phases are channels: twice as fast for RGB in narrow types, not float32.

    oneDNN's transposed convolution with few outputs takes 25 times as long in bfloat16.
    """
    size, channels = kernel.shape[0], kernel.shape[2]
    narrow = precision.compute_dtype() != tf.float32
    wanted = always or (narrow and channels <= _FEW)
    return wanted and stride > 1 and size // 2 <= stride


def _phases(x: tf.Tensor, stride: int) -> tf.Tensor:
    """x [B, H, W, C] as [B, ceil(H / stride), ceil(W / stride), stride * stride * C]."""
    after = [(0, -tf.shape(x)[axis] % stride) for axis in (1, 2)]
    return tf.nn.space_to_depth(tf.pad(x, ((0, 0), *after, (0, 0))), stride)


def _kernel_of_phases(kernel: tf.Tensor, stride: int) -> tf.Tensor:
    """The kernel [k, k, a, b] for phases of its input: [3, 3, stride * stride * a, b]."""
    size, _, a, b = kernel.shape
    before = stride - size // 2  # pixels of the first phase that the kernel does not reach
    pads = (before, 3 * stride - size - before)
    kernel = tf.reshape(tf.pad(kernel, (pads, pads, (0, 0), (0, 0))), (3, stride, 3, stride, a, b))
    return tf.reshape(tf.transpose(kernel, (0, 2, 1, 3, 4, 5)), (3, 3, -1, b))


def _variance_scaled(shape: tuple[int, int, int, int]) -> tf.Tensor:
    """tfc's initial kernels: a normal of variance 1 / fan-in, cut off at 2 of its std."""
    fan_in = shape[0] * shape[1] * shape[2]
    # Keras's initializer draws its seed from Python's generator; TensorFlow's seed decides here.
    return tf.random.truncated_normal(shape, stddev=fan_in**-0.5 / _TRUNCATED_STD)


def _transposed_conv(x, kernel, stride, before, after):
    """Adjoint of a strided convolution that pads by (before, after)."""
    batch, height, width = tf.unstack(tf.shape(x)[:3])
    height, width, channels = height * stride, width * stride, kernel.shape[2]
    if channels <= _FEW:  # oneDNN crops inside the convolution: 2.5 times faster for RGB outputs,
        pads = ((0, 0), (before, after), (before, after), (0, 0))
        return tf.nn.conv2d_transpose(x, kernel, (batch, height, width, channels), stride, pads)
    # but 1.6 times slower for wide ones.
    full = (batch, height + before + after, width + before + after, channels)
    y = tf.nn.conv2d_transpose(x, kernel, full, stride, "VALID")
    return y[:, before : before + height, before : before + width]


class Chain(Layer):
    """Layers applied one after the other.

    Attributes:
      layers: what is applied.
    """

    def __init__(self, layers: Sequence[Callable[[tf.Tensor], tf.Tensor]], name: str):
        """Keeps `layers`, Keras layers or functions from tensor to tensor."""
        super().__init__(name=name)
        self.layers = list(layers)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Applies the layers to x."""
        for layer in self.layers:
            x = layer(x)
        return x


class PlainKernel(tf.Module):
    """A convolution kernel stored as it is; call it for the kernel."""

    def __init__(self, initial_value: tf.Tensor, name: str = "kernel"):
        """Stores `initial_value` [height, width, a, b]."""
        super().__init__(name=name)
        self.weight = tf.Variable(initial_value, name=name)

    def __call__(self) -> tf.Tensor:
        """The kernel, float32 [height, width, a, b]."""
        return self.weight.read_value()

    def in_float64(self) -> np.ndarray:
        """The same, as `RDFTKernel.in_float64`."""
        return self.weight.numpy().astype(np.float64)


class SignalConv(Layer):
    """A strided convolution with an optional bias; its kernel is RDFT coefficients or plain.

    Attributes:
      stride: sampling factor.
      up: whether it up-samples.
      kernel: call it for the kernel, float32 [k, k, a, b].
      bias: variable, or None.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int,
        stride: int,
        up: bool = False,
        bias: bool = True,
        rdft: bool = True,
        name: str = "conv",
    ):
        """Creates the layer.

        Args:
          inputs: channels of the input.
          outputs: channels of the output.
          kernel_size: height and width of the kernel, odd.
          stride: sampling factor.
          up: whether to up-sample by `stride` instead of down-sampling.
          bias: whether to add a bias, initially 0.
          rdft: whether the kernel is stored as RDFT coefficients.
          name: name of the layer.
        """
        super().__init__(name=name)
        self.stride, self.up = stride, up
        self._resample = upsample if up else downsample
        kernel = _variance_scaled((kernel_size, kernel_size, inputs, outputs))
        if up:
            kernel = tf.transpose(kernel, (0, 1, 3, 2))
        with self.scope():
            self.kernel = RDFTKernel(kernel) if rdft else PlainKernel(kernel)
            self.bias = tf.Variable(tf.zeros([outputs]), name="bias") if bias else None

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Filters x, float32 [B, H, W, inputs]."""
        y = self._resample(x, self.kernel(), self.stride)
        return y if self.bias is None else tf.nn.bias_add(y, self.bias)
