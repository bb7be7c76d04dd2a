"""Generalised divisive normalization (GDN), the original form of Balle et al. 2016.

y_i = x_i / sqrt(beta_i + sum_j gamma_ji x_j^2); the inverse (IGDN) multiplies instead.
"""

from __future__ import annotations

import tensorflow as tf

from lossylab.models.layers.base import Layer
from lossylab.models.layers.compression import tfc


def _flat(x: tf.Tensor) -> tf.Tensor:
    return tf.reshape(x, (-1, x.shape[-1]))


@tf.custom_gradient
def gdn(x: tf.Tensor, beta: tf.Tensor, gamma: tf.Tensor):
    """GDN of x [..., C] with beta [C] and gamma [C (input), C (output)], float32.

    The gradient is written out because it reuses y and the reciprocal root, which
    automatic differentiation would compute again.
    """
    flat = _flat(x)
    scale = tf.math.rsqrt(tf.matmul(tf.square(flat), gamma) + beta)
    y = flat * scale

    def grad(dy):
        scaled = _flat(dy) * scale
        pooled = -scaled * y * scale
        dx = scaled + flat * tf.matmul(pooled, gamma, transpose_b=True)
        return tf.reshape(dx, tf.shape(x)), *_parameter_gradients(flat, pooled)

    return tf.reshape(y, tf.shape(x)), grad


@tf.custom_gradient
def igdn(x: tf.Tensor, beta: tf.Tensor, gamma: tf.Tensor):
    """Inverse GDN; arguments as for `gdn`."""
    flat = _flat(x)
    norm = tf.matmul(tf.square(flat), gamma) + beta
    inverse_root = tf.math.rsqrt(norm)
    scale = norm * inverse_root
    y = flat * scale

    def grad(dy):
        dy = _flat(dy)
        pooled = dy * flat * inverse_root
        dx = dy * scale + flat * tf.matmul(pooled, gamma, transpose_b=True)
        return tf.reshape(dx, tf.shape(x)), *_parameter_gradients(flat, pooled)

    return tf.reshape(y, tf.shape(x)), grad


def _parameter_gradients(flat, pooled):
    dbeta = 0.5 * tf.reduce_sum(pooled, 0)
    dgamma = 0.5 * tf.matmul(tf.square(flat), pooled, transpose_a=True)
    return dbeta, dgamma


class GDN(Layer):
    """GDN layer with tfc's non-negative parameters.

    Equal to `tfc.GDN(inverse, alpha_parameter=2, epsilon_parameter=.5)`; the default of
    tfc 2.14 (alpha = epsilon = 1) is another function.
    """

    def __init__(self, channels: int, inverse: bool = False, name: str = "gdn"):
        """Initializes beta to 1 (at least 1e-6) and gamma to 0.1 * identity (at least 0)."""
        super().__init__(name=name)
        self._function = igdn if inverse else gdn
        with self.scope():
            self.beta = tfc.GDNParameter(tf.ones([channels]), minimum=1e-6, name="beta")
            self.gamma = tfc.GDNParameter(0.1 * tf.eye(channels), name="gamma")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Normalizes x, float32 [..., channels]."""
        return self._function(x, self.beta(), self.gamma())
