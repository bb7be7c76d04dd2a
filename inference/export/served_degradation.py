"""A degradation model ready to be stored as a SavedModel.

Signatures, for images in levels, float32 [B, H, W, 3]:

  nll(degraded, condition)           -> bits, float32 [B]: for each number of an image
  parameters(degraded, condition)    -> parameters, float32 [B, H, W, 10 mixtures]
  describe()                         -> info, JSON text

Gradients pass through the loaded functions, to the condition above all.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from lossylab.inference.export.served import ServedNetwork
from lossylab.models.pixelcnn import ConditionalPixelCNN

SIGNATURES = ("describe", "nll", "parameters")


class ServedDegradation(ServedNetwork):
    """Likelihoods of degraded images of any size, given good ones."""

    def __init__(
        self,
        network: ConditionalPixelCNN,
        bits: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
        options: dict,
    ):
        """Wraps a network.

        Args:
          network: the network, with a condition.
          bits: from degraded images and parameters to bits per number, [B].
          options: how it was trained, JSON values; stored with the model.
        """
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

        functions = {"nll": nll, "parameters": parameters}
        super().__init__(network, options, functions, {"network": network.options})
