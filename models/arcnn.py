"""ARCNN (Dong, Deng, Loy, Tang, ICCV 2015): four convolutions that predict the image."""

from __future__ import annotations

import tensorflow as tf

from lossylab.models.layers import precision
from lossylab.models.layers.base import Network
from lossylab.models.layers.blocks import Conv2D


@tf.keras.saving.register_keras_serializable("lossylab")
class ARCNN(Network):
    """9x9x64, 7x7x32, 1x1x16 with ReLUs, 5x5 without; edges are replicated, as in their code.

    It begins by giving the image back (ours): without an input skip it would have to learn that.
    """

    model_id = "arcnn"

    def __init__(self, channels: int = 1, name: str = "arcnn"):
        """Creates the network.

        Args:
          channels: 1 for luma, as published; 3 for RGB.
          name: name of the model.
        """
        super().__init__(name=name)
        self.channels = channels
        self.receptive_field_radius = 4 + 3 + 0 + 2
        shapes = ((channels, 64, 9), (64, 32, 7), (32, 16, 1), (16, channels, 5))
        with self.scope():
            self.convs = [
                Conv2D(*shape, replicate=True, identity=channels, name=f"conv{i}")
                for i, shape in enumerate(shapes)
            ]

    def call(self, image: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Restores an image, float32 [B, H, W, channels] in pixel values; not clipped."""
        del training
        x = image / 255.0
        for conv in self.convs[:-1]:
            x = precision.behind_cast(tf.nn.relu, conv(x))
        return self.convs[-1](x) * 255.0
