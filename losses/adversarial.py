"""Adversarial losses, means over the samples of a batch."""

import tensorflow as tf


def least_squares_discriminator(true: tf.Tensor, restored: tf.Tensor) -> tf.Tensor:
    """LSGAN (Mao et al. 2017): scores of true samples towards 1, of made ones towards 0.

    This is WCDGAN's Eq. 20, whose print D(I - 1)^2 is taken for (D(I) - 1)^2.

    Args:
      true: scores [B] of true samples.
      restored: scores [B] of the generator's.

    Returns:
      A scalar.
    """
    return tf.reduce_mean(tf.square(true - 1.0)) + tf.reduce_mean(tf.square(restored))


def least_squares_generator(restored: tf.Tensor) -> tf.Tensor:
    """The generator's side, WCDGAN's Eq. 21 likewise: scores [B] towards 1; a scalar."""
    return tf.reduce_mean(tf.square(restored - 1.0))
