"""Negative log-likelihood of images under PixelCNN++'s discretized mixtures.

The parameters of a pixel, 10 m numbers for m components, are m logits, then for each of red, green
and blue m means, m log scales and m coefficients: those of red tell how green's mean follows
red, those of green how blue's follows red, those of blue how blue's follows green. Pixel values
are scaled to x / 127.5 - 1; a value has the probability of the interval around it, the outermost
values that of all beyond.
"""

from __future__ import annotations

import math

import tensorflow as tf

from lossylab.models.pixelcnn import FAMILIES, LOG_SCALE_FLOOR

_HALF_BIN = 1.0 / 255.0
_LOG_BINS = math.log(127.5)  # of a unit of x
_DELTA_FLOOR = 1e-5  # probability of a bin below which the density at its middle is taken
_EDGE = 0.999
_TAIL = -5.0  # standard deviations, beyond which log Phi is computed by its series


def discretized_mixture_nll(
    image: tf.Tensor, parameters: tf.Tensor, family: str = "logistic"
) -> tf.Tensor:
    """Nats that each pixel costs.

    Args:
      image: float [B, H, W, 3], RGB in whole pixel values 0..255.
      parameters: float [B, H, W, 10 m] of the same type.
      family: of the components, 'logistic' as PixelCNN++ or 'gaussian' as the paper writes.

    Returns:
      [B, H, W], for the three colors of a pixel together.

    Raises:
      ValueError: for another family, or parameters whose number is no multiple of 10.
    """
    if family not in FAMILIES:
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}, got '{family}'")
    mixtures, rest = divmod(parameters.shape[-1], 10)
    if rest or not mixtures:
        raise ValueError(
            f"expected 10 parameters for each component, got {parameters.shape[-1]} in all"
        )
    x = image[..., None] / 127.5 - 1.0  # [B, H, W, 3, 1]
    logits = parameters[..., :mixtures]
    shape = tf.concat([tf.shape(image), [3 * mixtures]], 0)
    means, log_scales, coefficients = tf.split(tf.reshape(parameters[..., mixtures:], shape), 3, -1)
    log_scales = tf.maximum(log_scales, LOG_SCALE_FLOOR)
    offset = x - means - _from_colors_before(x, tf.tanh(coefficients))
    log_bins = _LOGS[family](x, offset, log_scales)
    joint = tf.reduce_sum(log_bins, -2) + tf.nn.log_softmax(logits)
    return -tf.reduce_logsumexp(joint, -1)


def bits_per_dim(image: tf.Tensor, parameters: tf.Tensor, family: str = "logistic") -> tf.Tensor:
    """Bits for each number of an image, its mean over pixels and colors: [B].

    Arguments and errors as `discretized_mixture_nll`.
    """
    nats = discretized_mixture_nll(image, parameters, family)
    return tf.reduce_mean(nats, (1, 2)) / (3 * math.log(2))


def _from_colors_before(x: tf.Tensor, coefficients: tf.Tensor) -> tf.Tensor:
    """What is added to the means, [B, H, W, 3, m]."""
    red, green = x[..., 0, :], x[..., 1, :]
    first, second, third = tf.unstack(coefficients, axis=-2)
    return tf.stack([tf.zeros_like(first), first * red, second * red + third * green], -2)


def _log_logistic(x: tf.Tensor, offset: tf.Tensor, log_scales: tf.Tensor) -> tf.Tensor:
    rate = tf.exp(-log_scales)
    middle, above, below = (rate * (offset + shift) for shift in (0, _HALF_BIN, -_HALF_BIN))
    density = middle - log_scales - 2.0 * tf.nn.softplus(middle)
    return _choose(
        x,
        lowest=above - tf.nn.softplus(above),
        highest=-tf.nn.softplus(below),
        delta=tf.sigmoid(above) - tf.sigmoid(below),
        density=density,
    )


def _log_gaussian(x: tf.Tensor, offset: tf.Tensor, log_scales: tf.Tensor) -> tf.Tensor:
    rate = tf.exp(-log_scales)
    middle, above, below = (rate * (offset + shift) for shift in (0, _HALF_BIN, -_HALF_BIN))
    root = math.sqrt(0.5)
    return _choose(
        x,
        lowest=_log_phi(above),
        highest=_log_phi(-below),
        delta=0.5 * (tf.math.erf(root * above) - tf.math.erf(root * below)),
        density=-0.5 * middle**2 - log_scales - 0.5 * math.log(2 * math.pi),
    )


def _choose(
    x: tf.Tensor, lowest: tf.Tensor, highest: tf.Tensor, delta: tf.Tensor, density: tf.Tensor
) -> tf.Tensor:
    """Logarithms of the bins' probabilities; a floor keeps gradients of those not taken finite."""
    inner = tf.where(
        delta > _DELTA_FLOOR, tf.math.log(tf.maximum(delta, 1e-12)), density - _LOG_BINS
    )
    return tf.where(x < -_EDGE, lowest, tf.where(x > _EDGE, highest, inner))


def _log_phi(z: tf.Tensor) -> tf.Tensor:
    """Logarithm of the normal distribution function, also far below 0."""
    near = tf.math.log(0.5 * tf.math.erfc(-math.sqrt(0.5) * tf.maximum(z, _TAIL)))
    far = tf.minimum(z, _TAIL)  # each branch sees only numbers that it is right for
    inverse = 1.0 / far**2
    series = tf.math.log1p(-inverse * (1.0 - 3.0 * inverse * (1.0 - 5.0 * inverse)))
    tail = -0.5 * far**2 - tf.math.log(-far) - 0.5 * math.log(2 * math.pi) + series
    return tf.where(z > _TAIL, near, tail)


_LOGS = {"logistic": _log_logistic, "gaussian": _log_gaussian}
