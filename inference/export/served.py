"""What networks share that are stored as SavedModels: a description beside their functions."""

from __future__ import annotations

import json
from collections.abc import Mapping

import tensorflow as tf

from lossylab.inference.export.hashing import weights_hash


class ServedNetwork(tf.Module):
    """A network with the functions that it is exported with.

    Beside them it has describe() -> info, JSON text.

    Attributes:
      network: the network; its variables are stored under this name.
    """

    def __init__(
        self,
        network: tf.Module,
        options: dict,
        functions: Mapping[str, tf.types.experimental.GenericFunction],
        info: Mapping[str, object] | None = None,
    ):
        """Wraps a network.

        Args:
          network: the network, with a `model_id`.
          options: how it was trained, JSON values; stored with the model.
          functions: with input signatures, by name.
          info: more to tell of the network, JSON values.
        """
        super().__init__(name="served")
        self.network = network
        told = {
            "model": network.model_id,
            "weights": weights_hash(network),
            "parameters": sum(v.shape.num_elements() for v in network.trainable_variables),
            "options": options,
            **(info or {}),
        }
        text = json.dumps(told, sort_keys=True)

        @tf.function(input_signature=[])
        def describe():
            return {"info": tf.constant(text)}

        made = {**functions, "describe": describe}
        self._signatures = {name: made[name].get_concrete_function() for name in made}

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The functions by signature name, for `tf.saved_model.save`."""
        return self._signatures
