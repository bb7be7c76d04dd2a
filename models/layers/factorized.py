"""Rate of a latent under tfc's fully factorized, learned density.

The density is `tfc.NoisyDeepFactorized` (Balle et al. 2018, appendix 6.1): each channel has
a small monotone network c whose sigmoid is the cumulative distribution. tfc evaluates the
network four times per value; the identity

  sigmoid(u) - sigmoid(l) = sigmoid(u) sigmoid(-l) (1 - exp(l - u)),  u = c(y+.5), l = c(y-.5)

needs two evaluations and has no cancellation in the tails.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from lossylab.models.layers.compression import tfc

# Smallest difference u - l whose logarithm is taken: beyond it float32 has lost both.
_SMALLEST_STEP = 1e-12


class _Density(tfc.NoisyDeepFactorized):
    """tfc's, with its searches for medians and tails as graphs: an eighth of the time."""

    def _quantization_offset(self) -> tf.Tensor:
        return _in_a_graph(super()._quantization_offset)

    def _lower_tail(self, tail_mass: float) -> tf.Tensor:
        return _in_a_graph(super()._lower_tail, tail_mass)

    def _upper_tail(self, tail_mass: float) -> tf.Tensor:
        return _in_a_graph(super()._upper_tail, tail_mass)


def _in_a_graph(search: Callable[..., tf.Tensor], *arguments: float) -> tf.Tensor:
    return tf.function(lambda: search(*arguments), autograph=False)()


def widths(filters: int, latent_filters: int | None) -> tuple[int, int]:
    """N and M, channels of a codec's layers and of its latent; None is as many.

    Raises:
      ValueError: if one is below 1.
    """
    found = filters, filters if latent_filters is None else latent_filters
    if min(found) < 1:
        raise ValueError(f"filters must be at least 1, got {min(found)}")
    return found


def make_prior(channels: int) -> tfc.NoisyDeepFactorized:
    """The prior of tfc 1.x: three hidden layers of three units, initial scale 10."""
    return _Density(batch_shape=(channels,), num_filters=(3, 3, 3), init_scale=10)


def noisy(latent: tf.Tensor, training: bool, noise: tf.Tensor | None = None) -> tf.Tensor:
    """A latent with noise that stands for quantization, or rounded to whole numbers.

    Args:
      latent: float32, any shape.
      training: whether to draw noise, uniform in [-.5, .5), if none is given.
      noise: added whatever `training` is; None for none of one's own.
    """
    if noise is None:
        if not training:
            return tf.round(latent)
        noise = tf.random.uniform(tf.shape(latent), -0.5, 0.5)
    return latent + noise


def bits(prior: tfc.NoisyDeepFactorized, latent: tf.Tensor) -> tf.Tensor:
    """Information of each sample in bits, -log2 p (ProxIQA Eq. 6).

    Args:
      prior: the density, one distribution per channel.
      latent: float32 [B, h, w, channels].

    Returns:
      float32 [B].
    """
    channels = latent.shape[-1]
    columns = tf.transpose(tf.reshape(latent, (-1, channels)))[:, None, :]
    upper, lower = tf.split(
        _logits(prior.base, tf.concat([columns + 0.5, columns - 0.5], 2)), 2, axis=2
    )
    step = tf.maximum(upper - lower, _SMALLEST_STEP)
    log_prob = (
        tf.math.log_sigmoid(upper)
        + tf.math.log_sigmoid(-lower)
        + tf.math.log(-tf.math.expm1(-step))
    )
    per_sample = tf.reshape(log_prob, (channels, tf.shape(latent)[0], -1))
    return tf.reduce_sum(per_sample, (0, 2)) / -tf.math.log(2.0)


def _logits(density: tfc.DeepFactorized, x: tf.Tensor) -> tf.Tensor:
    """The monotone networks of all channels at x [C, 1, P]."""
    # tfc keeps the parameters private, but computes nothing else from them.
    matrices, biases, factors = density._matrices, density._biases, density._factors
    for i, (matrix, bias) in enumerate(zip(matrices, biases)):
        x = tf.matmul(tf.nn.softplus(matrix), x) + bias
        if i < len(factors):
            x += tf.math.tanh(factors[i]) * tf.math.tanh(x)
    return x


def quantization_offset(prior: tfc.NoisyDeepFactorized) -> tf.Tensor:
    """Medians of the channels, float32 [C]: latents are rounded relative to these.

    Found by an iterative search: once per validation, not per image.
    """
    return tfc.quantization_offset(prior)
