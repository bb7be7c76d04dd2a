"""Mixed precision, in Keras's terms: convolutions in the global policy's compute type.

  with precision.policy("mixed_bfloat16"):
      reconstruction, bits = codec(image)  # float32, of convolutions in bfloat16

All else, parameters among it, stays float32: a CPU computes nothing but products faster in
bfloat16, and losses, densities and what decides bytes need float32. Unlike in Keras's own layers
the policy counts when a network is called: exports of a network that was trained so are float32
unless they are asked for in bfloat16.
"""

from __future__ import annotations

import contextlib
import contextvars
import pathlib
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

_CPU_FLAGS = {"avx512_bf16", "amx_bf16"}  # of Linux, for processors that multiply bfloat16
_BFLOAT16_GPU, _FLOAT16_GPU = (8, 0), (7, 0)  # first compute capabilities with such products


# Whether biases and activations, too, are narrow where convolutions surround them.
_chained: contextvars.ContextVar[bool] = contextvars.ContextVar("chained", default=False)


@contextlib.contextmanager
def policy(name: str, chained: bool = False) -> Iterator[None]:
    """Sets Keras's global policy for what is called or traced inside.

    Args:
      name: float32, mixed_bfloat16 or mixed_float16.
      chained: in graphs, leave what convolutions give narrow through `bias_add` and `behind_cast`
        up to the next convolution: oneDNN makes one operation of it, and nothing is cast. For
        inference: sums of gradients would be narrow, too.
    """
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(name)
    token = _chained.set(chained)
    try:
        yield
    finally:
        _chained.reset(token)
        tf.keras.mixed_precision.set_global_policy(before)


def compute_dtype() -> tf.DType:
    """The type that convolutions compute in under the global policy."""
    return tf.as_dtype(tf.keras.mixed_precision.global_policy().compute_dtype)


def conv2d(
    x: tf.Tensor, kernel: tf.Tensor, strides: int, padding: str | Sequence[Sequence[int]]
) -> tf.Tensor:
    """`tf.nn.conv2d` in the policy's type; the result has the type of x."""
    return tf.cast(tf.nn.conv2d(*narrowed(x, kernel), strides, padding), x.dtype)


def dilated_conv2d(x: tf.Tensor, kernel: tf.Tensor, distance: int) -> tf.Tensor:
    """A convolution of stride 1 in the policy's type; the result has the size and type of x.

    TensorFlow has no gradient of dilated convolutions on CPUs without oneDNN; this one has.

    Args:
      x: [B, H, W, inputs].
      kernel: [height, width, inputs, outputs], of odd sides.
      distance: of the kernel's weights in pixels, at least 1.
    """

    @tf.custom_gradient
    def filtered(x: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        def gradient(above: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # Each of the distance ** 2 grids of pixels is an image, filtered without dilation.
            size = tf.shape(x)[1:3]
            grids = (distance, distance), tf.stack([tf.zeros_like(size), -size % distance], 1)
            inputs, above = tf.space_to_batch(x, *grids), tf.space_to_batch(above, *grids)
            by_x = tf.nn.conv2d_transpose(above, kernel, tf.shape(inputs), 1, "SAME")
            by_kernel = tf.raw_ops.Conv2DBackpropFilter(
                input=inputs,
                filter_sizes=kernel.shape,
                out_backprop=above,
                strides=[1] * 4,
                padding="SAME",
            )
            return tf.batch_to_space(by_x, *grids), by_kernel

        return tf.nn.conv2d(x, kernel, 1, "SAME", dilations=distance), gradient

    return tf.cast(filtered(*narrowed(x, kernel)), x.dtype)


def conv2d_transpose(
    x: tf.Tensor, kernel: tf.Tensor, shape: Sequence[int | tf.Tensor], strides: int, padding: str
) -> tf.Tensor:
    """`tf.nn.conv2d_transpose` in the policy's type; the result has the type of x."""
    operands = narrowed(x, kernel)
    return tf.cast(tf.nn.conv2d_transpose(*operands, shape, strides, padding), x.dtype)


def narrowed(*tensors: tf.Tensor) -> list[tf.Tensor]:
    """Tensors in the policy's type if they are float32, others as they are."""
    dtype = compute_dtype()
    return [
        each if each.dtype != tf.float32 else tf.cast(each, dtype) if source is None else source
        for each, source in ((each, _before_cast(each)) for each in tensors)
    ]


def bias_add(x: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """`tf.nn.bias_add`, see `behind_cast`."""
    return behind_cast(lambda y: tf.nn.bias_add(y, tf.cast(bias, y.dtype)), x)


def behind_cast(function: Callable[..., tf.Tensor], *tensors: tf.Tensor) -> tf.Tensor:
    """A function of tensors; of what they were cast from, then cast, if the policy is chained."""
    sources = [_before_cast(each) for each in tensors]
    if any(source is None for source in sources):
        return function(*tensors)
    return tf.cast(function(*sources), tensors[0].dtype)


def _before_cast(x: tf.Tensor) -> tf.Tensor | None:
    """What x was cast from, if that is of the policy's type and the policy is chained."""
    if not (_chained.get() and tf.is_symbolic_tensor(x) and x.op.type == "Cast"):
        return None
    (source,) = x.op.inputs
    return source if source.dtype == compute_dtype() != x.dtype else None


def fastest() -> str:
    """The policy that suits this machine's GPU or, without one, its processor."""
    devices = tf.config.list_physical_devices("GPU")
    if devices:
        details = tf.config.experimental.get_device_details(devices[0])
        capability = details.get("compute_capability", (0, 0))
        if capability >= _BFLOAT16_GPU:
            return "mixed_bfloat16"
        return "mixed_float16" if capability >= _FLOAT16_GPU else "float32"
    try:
        words = set(pathlib.Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return "float32"
    return "mixed_bfloat16" if words & _CPU_FLAGS else "float32"
