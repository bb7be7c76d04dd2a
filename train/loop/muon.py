"""Muon: momentum whose matrices are made orthogonal, for kernels; Adam for all else.

K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024. A step moves
all directions of a kernel equally far, which trains the codecs in a fraction of Adam's steps.
"""

from __future__ import annotations

import tensorflow as tf

# Five of these polynomials take singular values of .001 and more to .7 .. 1.2 (Jordan et al.).
_FAST = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_ADAM_RMS = 0.2  # of a usual step of Adam over its rate (Liu et al. 2025, Sec. 2.2)


def orthogonalized(matrix: tf.Tensor) -> tf.Tensor:
    """Nearly U V^T of a matrix U S V^T [m, n], float32: singular values within .7 .. 1.2.

    The iterations run on the Gram matrix of the shorter side, so that a kernel of many rows costs
    two products of its own size instead of ten. Directions below a thousandth of the norm stay
    smaller.
    """
    wide = matrix.shape[0] < matrix.shape[1]
    tall = tf.transpose(matrix) if wide else matrix
    tall /= tf.norm(tall) + 1e-12
    gram = tf.matmul(tall, tall, transpose_a=True)
    one = tf.eye(gram.shape[0])
    factor = one
    for _ in range(_ITERATIONS):
        a, b, c = _FAST
        square = tf.matmul(factor, tf.matmul(gram, factor), transpose_a=True)
        factor = tf.matmul(factor, a * one + b * square + c * tf.matmul(square, square))
    found = tf.matmul(tall, factor)
    return tf.transpose(found) if wide else found


class Muon(tf.keras.optimizers.legacy.Adam):
    """Muon for variables named `kernel` of at least two axes, Adam for the others.

    Axes but the last are the rows of the matrix: [height, width, in, out] and the Fourier
    coefficients [frequencies, in, out] of a codec's kernel alike. The step's root mean square is
    .2 of the rate, about Adam's, so that one rate fits both.
    """

    def __init__(
        self, learning_rate, momentum: float = 0.95, name: str = "Muon", **adam: float
    ) -> None:
        """Creates the optimizer.

        Args:
          learning_rate: a number or a schedule.
          momentum: of the kernels, with Nesterov's look ahead.
          name: of the optimizer.
          **adam: beta_1, beta_2 and epsilon of the other variables.
        """
        super().__init__(learning_rate, name=name, **adam)
        self._momentum = momentum

    def get_config(self) -> dict:
        """The arguments, as `from_config` takes them."""
        return {**super().get_config(), "momentum": self._momentum}

    def _resource_apply_dense(
        self, grad: tf.Tensor, var: tf.Variable, apply_state: dict | None = None
    ) -> tf.Operation:
        if not _is_kernel(var):
            return super()._resource_apply_dense(grad, var, apply_state)
        mean = self.get_slot(var, "m")
        mean = mean.assign_add((1.0 - self._momentum) * (grad - mean))
        ahead = self._momentum * mean + (1.0 - self._momentum) * grad
        matrix = tf.reshape(ahead, (-1, var.shape[-1]))
        size = _ADAM_RMS * max(matrix.shape) ** 0.5
        rate = (apply_state or {})[(var.device, var.dtype.base_dtype)]["lr_t"]
        change = size * orthogonalized(matrix)
        return var.assign_sub(rate * tf.reshape(change, var.shape))


def _is_kernel(var: tf.Variable) -> bool:
    return "kernel" in var.name and var.shape.rank > 1
