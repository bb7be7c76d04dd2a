"""Maximum mean discrepancy between styles and samples of the prior (Han et al., Eq. 6-7)."""

from __future__ import annotations

import numpy as np
import scipy.spatial.distance
import tensorflow as tf

from lossylab.models.names import MMD_GAMMA, MMD_POWERS


def squared_mmd(
    styles: tf.Tensor,
    samples: tf.Tensor,
    prior: float,
    gamma: float = MMD_GAMMA,
    power: int = 1,
) -> tf.Tensor:
    """Biased estimate of the squared discrepancy (Eq. 7), differentiable in the styles.

    Equal styles, with which a search from the mean begins, have a gradient of 0 on each other.

    Args:
      styles: [B, k, D], what is searched for.
      samples: [n, D] of the prior, of the same type.
      prior: the mean kernel among the samples, from `prior_term` with the same gamma and power.
      gamma: bandwidth.
      power: of the Euclidean distance in the kernel exp(-distance^power / gamma).

    Returns:
      [B], at least 0 but for rounding.
    """
    # Not by norms and products: what is left of their difference is too coarse in float32.
    within = _kernel(styles[:, :, None] - styles[:, None], gamma, power)
    across = _kernel(styles[:, :, None] - samples, gamma, power)
    prior = tf.constant(prior, styles.dtype)
    return tf.reduce_mean(within, (1, 2)) + prior - 2 * tf.reduce_mean(across, (1, 2))


def _kernel(differences: tf.Tensor, gamma: float, power: int) -> tf.Tensor:
    squares = tf.reduce_sum(tf.square(differences), -1)
    if power == 2:
        return tf.exp(-squares / gamma)
    same = tf.equal(squares, 0)
    distances = tf.sqrt(tf.where(same, tf.ones_like(squares), squares))
    return tf.where(same, tf.ones_like(squares), tf.exp(-distances / gamma))


def prior_term(samples: np.ndarray, gamma: float = MMD_GAMMA, power: int = 1) -> float:
    """The mean kernel among samples [n, D] of the prior, itself included: constant in a search.

    Raises:
      ValueError: for fewer than two samples, a bandwidth that is not above 0 or another power.
    """
    if len(samples) < 2:
        raise ValueError(f"at least two samples of the prior are needed, got {len(samples)}")
    if not gamma > 0:
        raise ValueError(f"gamma must be above 0, got {gamma}")
    if power not in MMD_POWERS:
        raise ValueError(f"power must be 1 or 2, got {power}")
    distances = scipy.spatial.distance.pdist(np.asarray(samples, np.float64))
    pairs = np.exp(-(distances**power) / gamma).sum()
    return float((2 * pairs + len(samples)) / len(samples) ** 2)
