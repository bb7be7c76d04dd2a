"""A restoration network ready to be stored as a SavedModel.

Signatures of all:

  restore(picture uint8 [H, W, C])   -> picture uint8 [H, W, C]
  describe()                         -> info, JSON text

WCDGAN weighs channels by their means over the whole picture. To restore a picture piece by piece,
as exactly as at once, it can be run a block at a time, each block over all pieces:

  enter(picture)                     -> features [H, W, F]: all before the first attention
  next(index, features, mean [F])    -> features: attention of block `index`, then the next block
  leave(picture, features, mean)     -> picture
"""

from __future__ import annotations

import json

import tensorflow as tf

from lossylab.models.serving import weights_hash
from lossylab.models.wcdgan import WCDGAN

SIGNATURES = ("describe", "restore")


class ServedRestorer(tf.Module):
    """Restores single pictures of any size."""

    def __init__(self, network: tf.Module, options: dict):
        """Wraps a network.

        Args:
          network: one of `restorers.NETWORKS`.
          options: how it was trained, JSON values; stored with the model.
        """
        super().__init__(name="served")
        self._network = network
        self._piecewise = isinstance(network, WCDGAN)
        info = {
            "model": network.model_id,
            "channels": network.channels,
            "weights": weights_hash(network),
            "parameters": sum(v.shape.num_elements() for v in network.trainable_variables),
            "multiple": getattr(network, "multiple", 1),
            "reach": network.reach,
            "options": options,
        }
        if self._piecewise:
            info["blocks"] = len(network.blocks)
        self._info = json.dumps(info, sort_keys=True)
        self._signatures = self._make()

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The functions by signature name, for `tf.saved_model.save`."""
        return self._signatures

    def _make(self):
        network, channels = self._network, self._network.channels
        picture = tf.TensorSpec((None, None, channels), tf.uint8, name="picture")

        @tf.function(input_signature=[picture])
        def restore(picture):
            return {"picture": _levels(network(_batch(picture)))}

        @tf.function(input_signature=[])
        def describe():
            return {"info": tf.constant(self._info)}

        made = {"restore": restore, "describe": describe}
        if self._piecewise:
            made |= self._pieces(picture)
        return {name: function.get_concrete_function() for name, function in made.items()}

    def _pieces(self, picture):
        network = self._network
        width = network.reconstruction[0].kernel.shape[2]
        features = tf.TensorSpec((None, None, width), tf.float32, name="features")
        mean = tf.TensorSpec((width,), tf.float32, name="mean")
        index = tf.TensorSpec((), tf.int32, name="index")

        @tf.function(input_signature=[picture])
        def enter(picture):
            return {"features": network.blocks[0].dense(network.extract(_batch(picture)))[0]}

        @tf.function(input_signature=[index, features, mean])
        def next_block(index, features, mean):
            def step(one, other):
                return lambda: other.dense(one.attend(features[None], mean[None, None, None]))[0]

            branches = [step(*pair) for pair in zip(network.blocks, network.blocks[1:])]
            return {"features": tf.switch_case(index, branches or [lambda: features])}

        @tf.function(input_signature=[picture, features, mean])
        def leave(picture, features, mean):
            deep = network.blocks[-1].attend(features[None], mean[None, None, None])
            shallow = network.extract(_batch(picture))
            return {"picture": _levels(network.reconstruct(deep + shallow))}

        return {"enter": enter, "next": next_block, "leave": leave}


def _batch(picture: tf.Tensor) -> tf.Tensor:
    return tf.cast(picture[None], tf.float32)


def _levels(restored: tf.Tensor) -> tf.Tensor:
    return tf.saturate_cast(tf.round(restored[0]), tf.uint8)
