"""Convolution kernels parameterised by their real-input Fourier transform (RDFT).

Adam on the Fourier coefficients of a kernel is preconditioned for smooth kernels;
the learned codecs of Balle et al. are trained this way. tensorflow-compression computes
each kernel by an inverse FFT; the same linear map is one product with a constant matrix,
which on a CPU takes a few per cent of a training step instead of most of it.
"""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf


@functools.cache
def rdft_basis(height: int, width: int) -> np.ndarray:
    """Matrix that maps RDFT coefficients to a kernel.

    Equal to `tfc.layers.RDFTParameter`: rows of coefficients are the real parts, then the
    imaginary parts, of the half plane [height, width // 2 + 1], scaled by
    sqrt(height * width).

    Args:
      height: height of the kernel.
      width: width of the kernel.

    Returns:
      float32 array [height * width, 2 * height * (width // 2 + 1)].
    """
    half = height * (width // 2 + 1)
    unit = np.eye(half).reshape(half, height, width // 2 + 1)
    parts = [np.fft.irfft2(unit, (height, width)), np.fft.irfft2(1j * unit, (height, width))]
    basis = np.concatenate(parts).reshape(2 * half, height * width).T
    return (basis * np.sqrt(height * width)).astype(np.float32)


class RDFTKernel(tf.Module):
    """A convolution kernel stored as RDFT coefficients; call it for the kernel."""

    def __init__(self, initial_value: tf.Tensor, name: str = "kernel"):
        """Stores `initial_value` [height, width, a, b] as coefficients."""
        super().__init__(name=name)
        self.shape = initial_value.shape
        height, width, *channels = self.shape
        spectrum = tf.signal.rfft2d(tf.transpose(initial_value, (2, 3, 0, 1)))
        spectrum = tf.reshape(spectrum, (*channels, -1)) / np.sqrt(height * width)
        parts = tf.concat([tf.math.real(spectrum), tf.math.imag(spectrum)], -1)
        self.coefficients = tf.Variable(tf.transpose(parts, (2, 0, 1)), name=f"{name}_rdft")

    def __call__(self) -> tf.Tensor:
        """The kernel, float32 [height, width, a, b]."""
        basis = tf.constant(rdft_basis(*self.shape[:2]))
        flat = tf.reshape(self.coefficients, (basis.shape[1], -1))
        return tf.reshape(tf.matmul(basis, flat), self.shape)

    def in_float64(self) -> np.ndarray:
        """The kernel, so precisely that no machine rounds it to another grid point."""
        basis = rdft_basis(*self.shape[:2]).astype(np.float64)
        flat = self.coefficients.numpy().reshape(basis.shape[1], -1)
        return (basis @ flat.astype(np.float64)).reshape(self.shape)
