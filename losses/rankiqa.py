"""Losses of RankIQA: a hinge on pairs of known order, then a squared error of scores."""

import tensorflow as tf

MARGIN = 10.0  # of the authors' code


def ranking_hinge(
    scores: tf.Tensor, distortions: int = 4, levels: int = 6, margin: float = MARGIN
) -> tf.Tensor:
    """Sum over pairs of max(0, margin - (score of the worse - score of the better)), by samples.

    All pairs of different levels of one distortion count, of different images too. At the hinge
    itself, where the authors' code and TensorFlow could differ, the gradient is 0.

    Args:
      scores: float32 [B] or [B, 1], larger is worse; ordered by distortion, then level from the
        strongest to the weakest, then image.
      distortions: in the batch.
      levels: of each, the reference included.
      margin: by how much a worse image's score has to be larger.

    Returns:
      Scalar: the sum, divided by B.

    Raises:
      ValueError: if the scores are not a whole number of images at all levels.
    """
    count = scores.shape.num_elements()
    if not count or count % (distortions * levels):
        raise ValueError(
            f"expected a multiple of {distortions} distortions x {levels} levels scores, got "
            f"{scores.shape}"
        )
    ranked = tf.reshape(scores, (distortions, levels, -1))
    # By distortion, level and image of the worse, level and image of the better.
    excess = ranked[:, :, :, None, None] - ranked[:, None, None, :, :]
    worse = 1.0 - tf.linalg.band_part(tf.ones((levels, levels)), -1, 0)
    return tf.reduce_sum(tf.nn.relu(margin - excess) * worse[None, :, None, :, None]) / count


def euclidean(scores: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Caffe's Euclidean loss: the sum of squared differences by twice the number of samples.

    Args:
      scores: float32 [B].
      targets: float32 [B].
    """
    return tf.reduce_mean(tf.math.squared_difference(scores, targets)) / 2.0
