"""A restoration network ready to be stored as a SavedModel.

Signatures of all:

  restore(image uint8 [H, W, C])   -> image uint8 [H, W, C]
  describe()                         -> info, JSON text

WCDGAN weighs channels by their means over the whole image. To restore an image piece by piece,
as exactly as at once, it can be run a block at a time, each block over all pieces:

  enter(image)                     -> features [H, W, F]: all before the first attention
  next(index, features, mean [F])    -> features: attention of block `index`, then the next block
  leave(image, features, mean)     -> image
"""

from __future__ import annotations

import tensorflow as tf

from lossylab.inference.export.served import ServedNetwork
from lossylab.models.wcdgan import WCDGAN

SIGNATURES = ("describe", "restore")


class ServedRestorer(ServedNetwork):
    """Restores single images of any size."""

    def __init__(self, network: tf.Module, options: dict):
        """Wraps a network.

        Args:
          network: one of `restorers.NETWORKS`.
          options: how it was trained, JSON values; stored with the model.
        """
        image = tf.TensorSpec((None, None, network.channels), tf.uint8, name="image")

        @tf.function(input_signature=[image])
        def restore(image):
            return {"image": _levels(network(_batch(image)))}

        functions, info = {"restore": restore}, {}
        if isinstance(network, WCDGAN):
            functions |= _pieces(network, image)
            info["blocks"] = len(network.blocks)
        multiple = getattr(network, "multiple", 1)
        info |= {
            "channels": network.channels,
            "multiple": multiple,
            "receptive_field_radius": network.receptive_field_radius,
        }
        super().__init__(network, options, functions, info)


def _pieces(network: WCDGAN, image: tf.TensorSpec) -> dict:
    """The functions that run a block at a time."""
    width = network.reconstruction[0].kernel.shape[2]
    features = tf.TensorSpec((None, None, width), tf.float32, name="features")
    mean = tf.TensorSpec((width,), tf.float32, name="mean")
    index = tf.TensorSpec((), tf.int32, name="index")

    @tf.function(input_signature=[image])
    def enter(image):
        return {"features": network.blocks[0].dense(network.extract(_batch(image)))[0]}

    @tf.function(input_signature=[index, features, mean])
    def next_block(index, features, mean):
        def step(one, other):
            return lambda: other.dense(one.attend(features[None], mean[None, None, None]))[0]

        branches = [step(*pair) for pair in zip(network.blocks, network.blocks[1:])]
        return {"features": tf.switch_case(index, branches or [lambda: features])}

    @tf.function(input_signature=[image, features, mean])
    def leave(image, features, mean):
        deep = network.blocks[-1].attend(features[None], mean[None, None, None])
        shallow = network.extract(_batch(image))
        return {"image": _levels(network.reconstruct(deep + shallow))}

    return {"enter": enter, "next": next_block, "leave": leave}


def _batch(image: tf.Tensor) -> tf.Tensor:
    return tf.cast(image[None], tf.float32)


def _levels(restored: tf.Tensor) -> tf.Tensor:
    return tf.saturate_cast(tf.round(restored[0]), tf.uint8)
