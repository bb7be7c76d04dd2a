"""A degradation model ready to be stored as a SavedModel.

Signatures, for pictures in levels, float32 [B, H, W, 3]:

  nll(degraded, condition)           -> bits, float32 [B]: for each number of a picture
  parameters(degraded, condition)    -> parameters, float32 [B, H, W, 10 mixtures]
  describe()                         -> info, JSON text

Gradients pass through the loaded functions, to the condition above all.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import tensorflow as tf

from lossylab.models.pixelcnn import ConditionalPixelCNN
from lossylab.models.serving import weights_hash

SIGNATURES = ("describe", "nll", "parameters")


class ServedDegradation(tf.Module):
    """Likelihoods of degraded pictures of any size, given good ones.

    Attributes:
      network: the network, whose variables are stored under this name.
    """

    def __init__(
        self,
        network: ConditionalPixelCNN,
        bits: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
        options: dict,
    ):
        """Wraps a network.

        Args:
          network: the network, with a condition.
          bits: from degraded pictures and parameters to bits per number, [B].
          options: how it was trained, JSON values; stored with the model.
        """
        super().__init__(name="served")
        info = {
            "model": network.model_id,
            "network": network.options,
            "weights": weights_hash(network),
            "parameters": sum(v.shape.num_elements() for v in network.trainable_variables),
            "options": options,
        }
        text = json.dumps(info, sort_keys=True)
        self.network = network
        spec = [
            tf.TensorSpec((None, None, None, 3), tf.float32, name=name)
            for name in ("degraded", "condition")
        ]

        @tf.function(input_signature=spec)
        def nll(degraded, condition):
            return {"bits": bits(degraded, network(degraded, condition))}

        @tf.function(input_signature=spec)
        def parameters(degraded, condition):
            return {"parameters": network(degraded, condition)}

        @tf.function(input_signature=[])
        def describe():
            return {"info": tf.constant(text)}

        self._signatures = {
            name: function.get_concrete_function()
            for name, function in (("nll", nll), ("parameters", parameters), ("describe", describe))
        }

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The functions by signature name, for `tf.saved_model.save`."""
        return self._signatures
