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
import pathlib
from collections.abc import Iterator, Sequence

import tensorflow as tf

_CPU_FLAGS = {"avx512_bf16", "amx_bf16"}  # of Linux, for processors that multiply bfloat16
_BFLOAT16_GPU, _FLOAT16_GPU = (8, 0), (7, 0)  # first compute capabilities with such products


@contextlib.contextmanager
def policy(name: str) -> Iterator[None]:
    """Sets Keras's global policy for what is called or traced inside.

    Args:
      name: float32, mixed_bfloat16 or mixed_float16.
    """
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(name)
    try:
        yield
    finally:
        tf.keras.mixed_precision.set_global_policy(before)


def compute_dtype() -> tf.DType:
    """The type that convolutions compute in under the global policy."""
    return tf.as_dtype(tf.keras.mixed_precision.global_policy().compute_dtype)


def conv2d(
    x: tf.Tensor,
    kernel: tf.Tensor,
    strides: int,
    padding: str | Sequence[Sequence[int]],
    dilations: int = 1,
) -> tf.Tensor:
    """`tf.nn.conv2d` in the policy's type; the result has the type of x."""
    operands = narrowed(x, kernel)
    return tf.cast(tf.nn.conv2d(*operands, strides, padding, dilations=dilations), x.dtype)


def conv2d_transpose(
    x: tf.Tensor, kernel: tf.Tensor, shape: Sequence[int | tf.Tensor], strides: int, padding: str
) -> tf.Tensor:
    """`tf.nn.conv2d_transpose` in the policy's type; the result has the type of x."""
    operands = narrowed(x, kernel)
    return tf.cast(tf.nn.conv2d_transpose(*operands, shape, strides, padding), x.dtype)


def narrowed(*tensors: tf.Tensor) -> list[tf.Tensor]:
    """Tensors in the policy's type if they are float32, others as they are."""
    dtype = compute_dtype()
    return [tf.cast(each, dtype) if each.dtype == tf.float32 else each for each in tensors]


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
