"""Adversarial losses, means over the samples of a batch."""

import tensorflow as tf


def least_squares_discriminator(real: tf.Tensor, generated: tf.Tensor) -> tf.Tensor:
    """LSGAN (Mao et al. 2017): scores of real samples toward 1, of generated ones toward 0.

    This is WCDGAN's Eq. 20, whose print D(I - 1)^2 is taken for (D(I) - 1)^2.

    Args:
      real: scores [B] of real samples.
      generated: scores [B] of the generator's.

    Returns:
      A scalar.
    """
    return tf.reduce_mean(tf.square(real - 1.0)) + tf.reduce_mean(tf.square(generated))


def least_squares_generator(generated: tf.Tensor) -> tf.Tensor:
    """The generator's side, WCDGAN's Eq. 21 read alike: scores [B] toward 1; a scalar."""
    return tf.reduce_mean(tf.square(generated - 1.0))


def hinge_discriminator(real: tf.Tensor, generated: tf.Tensor) -> tf.Tensor:
    """Hinge loss (Lim and Ye 2017): scores of real samples above 1, of generated ones below -1.

    The distortion GAN's Eq. 4, whose print min(0, 1 + D(x, y)) + min(0, 1 - D(x, G(x))) has no
    lower bound.

    Args:
      real: scores of real samples, of any shape.
      generated: scores of the generator's.

    Returns:
      A scalar, at least 0.
    """
    return tf.reduce_mean(tf.nn.relu(1.0 - real)) + tf.reduce_mean(tf.nn.relu(1.0 + generated))


def hinge_generator(generated: tf.Tensor) -> tf.Tensor:
    """The generator's side, the distortion GAN's Eq. 1: scores as high as can be; a scalar."""
    return -tf.reduce_mean(generated)


def logistic_discriminator(real: tf.Tensor, generated: tf.Tensor) -> tf.Tensor:
    """Logistic loss (Goodfellow et al. 2014): the cross-entropy of telling the two apart, nats.

    Args:
      real: scores of real samples, of any shape.
      generated: scores of the generator's.

    Returns:
      A scalar, 2 ln 2 where all scores are 0.
    """
    return tf.reduce_mean(tf.nn.softplus(-real)) + logistic_generator(-generated)


def logistic_generator(generated: tf.Tensor) -> tf.Tensor:
    """The generator's side, which does not saturate: scores as high as can be; a scalar, nats."""
    return tf.reduce_mean(tf.nn.softplus(-generated))


def gradient_penalty(slope: tf.Tensor) -> tf.Tensor:
    """Squared slope of a discriminator at real samples, as R1 (Mescheder et al. 2018).

    R1 is gamma / 2 times the squared norm of the gradient. This is the number of entries times
    that norm, so that its scale is the same for all sizes: a weight w is gamma = 2 n w.

    Args:
      slope: gradient to the samples u [B, ...] of the batch's mean score.

    Returns:
      A scalar: the mean square of n ds/du, where n are the entries of a sample and s is its score
      (normalization by the batch lets other samples' scores count as well).
    """
    return tf.reduce_mean(tf.square(tf.cast(tf.size(slope), slope.dtype) * slope))
