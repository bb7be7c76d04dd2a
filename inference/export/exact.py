"""A hyper-synthesis whose results are equal bit for bit on every machine.

Encoder and decoder derive the range coder's tables from the hyper-latent. If one of them rounds
a single deviation differently (other threads, other instructions, another library), everything
after it decodes to noise. Here kernels, biases and activations lie on binary grids so coarse
that every product and every partial sum is exact in float64; then neither the order of a sum
nor fused multiplication can change it. Deviations are compared with the table, not put
through a logarithm, whose last bit also differs between libraries.
"""

import numpy as np
import tensorflow as tf

from lossylab.models.layers import gaussian
from lossylab.models.layers.conv import Chain, SignalConv, downsample, upsample

_KERNEL_GRID = 2.0**-18
_VALUE_GRID = 2.0**-12
_LARGEST_VALUE = 2.0**12  # of any activation; beyond it they are cut off
_MANTISSA = 2.0**53


class ExactHyperSynthesis(tf.Module):
    """A trained hyper-synthesis on binary grids, in float64."""

    def __init__(self, trained: Chain, name: str = "exact_hyper_synthesis"):
        """Copies a trained hyper-synthesis.

        Args:
          trained: convolutions and ReLUs, as `BMSHJ2018.hyper_synthesis_transform`.
          name: name of the module.

        Raises:
          ValueError: if weights are so large that sums would not be exact.
        """
        super().__init__(name=name)
        self._table = tf.constant(gaussian.scale_table())
        self._layers = []
        for i, layer in enumerate(trained.layers):
            if isinstance(layer, SignalConv) != (i % 2 == 0):
                raise ValueError("convolutions and ReLUs must take turns")
            if isinstance(layer, SignalConv):
                kernel = _on_grid(layer.kernel.in_float64(), _KERNEL_GRID)
                if layer.bias is None:
                    raise ValueError("convolutions must have biases")
                bias = _on_grid(layer.bias.numpy().astype(np.float64), _KERNEL_GRID)
                _check_exact(kernel, bias, layer.up)
                variables = [tf.Variable(value, trainable=False) for value in (kernel, bias)]
                self._layers.append((layer.up, layer.stride, *variables))

    def indexes(self, hyper: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
        """Indexes of the scale table.

        Args:
          hyper: quantized hyper-latent, float32 [1, h, w, N].
          height: of the latent, at most 4h.
          width: likewise.

        Returns:
          int32 [1, height, width, N], 0..63: of the next scale that is not smaller.
        """
        with tf.device("CPU:0"):  # sums directly; a GPU library may transform first
            return self._indexes(tf.cast(hyper, tf.float64), height, width)

    def _indexes(self, x: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
        for i, (up, stride, kernel, bias) in enumerate(self._layers):
            low = -_LARGEST_VALUE if i == 0 else 0.0  # ReLUs lie between the convolutions
            x = tf.clip_by_value(x, low, _LARGEST_VALUE)
            x = tf.round(x / _VALUE_GRID) * _VALUE_GRID
            x = (upsample if up else downsample)(x, kernel, stride) + bias
        scales = x[:, :height, :width]
        index = tf.searchsorted(self._table, tf.reshape(scales, (-1,)))
        index = tf.minimum(index, gaussian.NUM_SCALES - 1)
        return tf.reshape(index, tf.shape(scales))


def _on_grid(values: np.ndarray, grid: float) -> np.ndarray:
    return np.round(values / grid) * grid


def _check_exact(kernel: np.ndarray, bias: np.ndarray, up: bool) -> None:
    """Refuses weights whose sums might need more than the 53 bits of a float64's mantissa."""
    inputs = (0, 1, 3) if up else (0, 1, 2)
    largest = (np.abs(kernel).sum(inputs) * _LARGEST_VALUE + np.abs(bias)).max()
    if not largest < _MANTISSA * _KERNEL_GRID * _VALUE_GRID:
        raise ValueError(f"hyper-synthesis sums up to {largest:g} are not exact in float64")
