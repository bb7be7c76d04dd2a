"""How well a proxy tells its metric on held-out patches: what a codec may rely on."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from lossylab.train.score_gradient import Score, step_along, with_gradient


def proxy_quality(
    proxy: Score,
    metric: Score,
    pairs: Iterable[tuple[tf.Tensor, tf.Tensor]],
    differentiable: Score | None = None,
) -> dict[str, float]:
    """Compares scores, and what a codec would learn from them.

    Args:
      proxy: predicts the scores of pairs.
      metric: gives the true ones.
      pairs: reference and distorted patches, float32 [B, H, W, 3], pixel values 0..255.
      differentiable: a form of the metric that gradients can be taken of.

    Returns:
      proxy_correlation: Pearson's, over the patches; 0 if one of both is constant.
      proxy_rmse: of the predicted scores.
      score_std: of the true ones. A constant would have rmse = std.
      proxy_rise: mean change of the true score where each distorted patch moves by one level (root
        mean square) along the proxy's gradient: whether a codec learns the metric from it.
      proxy_cosine: mean cosine of the gradients by the distorted pixels of the proxy and of the
        differentiable form, if there is one.
    """
    predicted, true, risen, cosines = [], [], [], []
    for reference, distorted in pairs:
        guess, gradient = with_gradient(proxy, reference, distorted)
        predicted.append(guess)
        true.append(metric(reference, distorted))
        risen.append(metric(reference, step_along(gradient, distorted, tf.ones(len(gradient)))))
        if differentiable is not None:
            cosines.append(
                _cosine(gradient, with_gradient(differentiable, reference, distorted)[1])
            )
    guesses, scores = np.concatenate(predicted), np.concatenate(true)
    constant = guesses.std() == 0 or scores.std() == 0
    found = {
        "proxy_correlation": 0.0 if constant else float(np.corrcoef(guesses, scores)[0, 1]),
        "proxy_rmse": float(np.sqrt(np.mean((guesses - scores) ** 2))),
        "score_std": float(scores.std()),
        "proxy_rise": float(np.mean(np.concatenate(risen) - scores)),
    }
    return found | ({"proxy_cosine": float(np.mean(np.concatenate(cosines)))} if cosines else {})


def _cosine(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    a, b = (tf.math.l2_normalize(tf.reshape(each, (each.shape[0], -1)), 1) for each in (a, b))
    return tf.reduce_sum(a * b, 1)


def weighted_std(values: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Standard deviation over the global batch, divided by the number of devices.

    Args:
      values: of this device's share, float32 [B].
      weights: of them; over all devices their sum is 1.
    """
    replica = tf.distribute.get_replica_context()
    mean = replica.all_reduce("sum", tf.reduce_sum(weights * values))
    variance = replica.all_reduce("sum", tf.reduce_sum(weights * tf.square(values - mean)))
    return tf.sqrt(variance) / replica.num_replicas_in_sync
