"""RankIQA's network ready to be stored as a SavedModel.

Signatures:

  score(crops uint8 [N, patch, patch, 3])  -> scores float32 [N], larger is worse
  describe()                               -> info, JSON text; 'patch' among it
"""

from __future__ import annotations

import tensorflow as tf

from lossylab.inference.export.served import ServedNetwork
from lossylab.models.rankiqa import RankIQA

SIGNATURES = ("describe", "score")


class ServedRankIQA(ServedNetwork):
    """Scores crops."""

    def __init__(self, network: RankIQA, options: dict):
        """Wraps a network.

        Args:
          network: the network.
          options: how it was trained, JSON values; stored with the model.
        """
        shape = (None, network.patch, network.patch, 3)

        @tf.function(input_signature=[tf.TensorSpec(shape, tf.uint8, name="crops")])
        def score(crops):
            return {"scores": network(tf.cast(crops, tf.float32))}

        super().__init__(network, options, {"score": score}, {"patch": network.patch})
