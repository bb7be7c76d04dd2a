"""DnCNN (Zhang, Zuo, Chen, Meng, Zhang 2017): a chain of 3x3 convolutions predicts the error."""

from __future__ import annotations

import tensorflow as tf

from lossylab.models.layers.blocks import SMALL, Conv2D, batch_norm


class DnCNN(tf.Module):
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
          name: name of the module.

        Raises:
          ValueError: if there are fewer than 2 layers.
        """
        super().__init__(name=name)
        if layers < 2:
            raise ValueError(f"layers must be at least 2, got {layers}")
        self.channels = channels
        self.receptive_field_radius = layers
        plain = not batch_normalization
        self.convs = [
            Conv2D(channels, filters, 3),
            *(Conv2D(filters, filters, 3, bias=plain) for _ in range(layers - 2)),
            Conv2D(filters, channels, 3, bias=plain, gain=SMALL),
        ]
        self.norms = [None if plain else batch_norm(filters) for _ in range(layers - 2)]

    def __call__(self, image: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Restores an image, float32 [B, H, W, channels] in levels; the result is unclipped."""
        x = tf.nn.relu(self.convs[0](image / 255.0))
        for conv, norm in zip(self.convs[1:-1], self.norms):
            x = conv(x)
            x = tf.nn.relu(x if norm is None else norm(x, training=training))
        return image - self.convs[-1](x) * 255.0
