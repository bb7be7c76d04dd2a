"""RankIQA's network ready to be stored as a SavedModel.

Signatures:

  score(crops uint8 [N, patch, patch, 3])  -> scores float32 [N], larger is worse
  describe()                               -> info, JSON text; 'patch' among it
"""

from __future__ import annotations

import json

import tensorflow as tf

from lossylab.models.rankiqa import RankIQA
from lossylab.models.serving import weights_hash

SIGNATURES = ("describe", "score")


class ServedRankIQA(tf.Module):
    """Scores crops."""

    def __init__(self, network: RankIQA, options: dict):
        """Wraps a network.

        Args:
          network: the network.
          options: how it was trained, JSON values; stored with the model.
        """
        super().__init__(name="served")
        info = {
            "model": network.model_id,
            "patch": network.patch,
            "weights": weights_hash(network),
            "parameters": sum(v.shape.num_elements() for v in network.trainable_variables),
            "options": options,
        }
        text = json.dumps(info, sort_keys=True)
        self._network = network
        crops = tf.TensorSpec((None, network.patch, network.patch, 3), tf.uint8, name="crops")

        @tf.function(input_signature=[crops])
        def score(crops):
            return {"scores": network(tf.cast(crops, tf.float32))}

        @tf.function(input_signature=[])
        def describe():
            return {"info": tf.constant(text)}

        self._signatures = {
            name: function.get_concrete_function()
            for name, function in (("score", score), ("describe", describe))
        }

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The functions by signature name, for `tf.saved_model.save`."""
        return self._signatures
