"""DnCNN (Zhang, Zuo, Chen, Meng, Zhang 2017): a chain of 3x3 convolutions predicts the error."""

from __future__ import annotations

import tensorflow as tf

from lossylab.models.layers import precision
from lossylab.models.layers.base import Network
from lossylab.models.layers.blocks import SMALL, Conv2D, batch_norm


@tf.keras.saving.register_keras_serializable("lossylab")
class DnCNN(Network):
    """DnCNN-S with 17 layers and batch normalization, or DnCNN-3 with 20 layers without.

    DnCNN-3 was trained with batch normalization; its published weights have it merged into the
    convolutions.
    """

    model_id = "dncnn"

    def __init__(
        self,
        channels: int = 1,
        layers: int = 17,
        batch_normalization: bool = True,
        filters: int = 64,
        name: str = "dncnn",
    ):
        """Creates the network.

        Args:
          channels: 1 for luma, as published; 3 for RGB.
          layers: convolutions in all, at least 2.
          batch_normalization: normalize between the layers, which then have no bias, but for the
            first.
          filters: of the inner layers.
          name: name of the model.

        Raises:
          ValueError: if there are fewer than 2 layers.
        """
        super().__init__(name=name)
        if layers < 2:
            raise ValueError(f"layers must be at least 2, got {layers}")
        self.channels = channels
        self.receptive_field_radius = layers
        plain = not batch_normalization
        inner = range(1, layers - 1)
        with self.scope():
            self.convs = [
                Conv2D(channels, filters, 3, name="conv0"),
                *(Conv2D(filters, filters, 3, bias=plain, name=f"conv{i}") for i in inner),
                Conv2D(filters, channels, 3, bias=plain, gain=SMALL, name=f"conv{layers - 1}"),
            ]
            self.norms = [None if plain else batch_norm(filters, f"norm{i}") for i in inner]

    def call(self, image: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Restores an image, float32 [B, H, W, channels] in pixel values; not clipped."""
        x = precision.behind_cast(tf.nn.relu, self.convs[0](image / 255.0))
        for conv, norm in zip(self.convs[1:-1], self.norms):
            x = conv(x)
            x = x if norm is None else norm(x, training=training)
            x = precision.behind_cast(tf.nn.relu, x)
        return image - self.convs[-1](x) * 255.0
