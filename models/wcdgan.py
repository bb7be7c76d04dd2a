"""The generator and the discriminator of WCDGAN (Xie, Zhang, Jung 2021).

  image -> 5x5 -> 5x5 -> 8 weakly connected dense blocks, + F0 -> 3x3 -> 3x3 -> image

The discriminator's widths are not printed (Fig. 3 is a drawing): 64, doubled at each stride of
two, so that 80x80 patches end as 5x5 features.
"""

from __future__ import annotations

import tensorflow as tf

from lossylab.models.layers import precision
from lossylab.models.layers.base import Layer, Network
from lossylab.models.layers.blocks import Conv2D, batch_norm

SLOPE = 0.02  # of LeakyReLU below zero, Sec. II-B
_DILATIONS = (1, 2, 4, 8)
_REDUCTION = 4  # r of Fig. 6
# The paper gives no initial values. Gates that begin half closed would leave 4^-8 of a signal that
# passes 8 blocks; these begin open.
_OPEN = 3.0
# Channels and strides of the discriminator's nine convolutions.
_DISCRIMINATOR = ((1, 1), (1, 1), (2, 2), (2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2))


def _leaky(x: tf.Tensor) -> tf.Tensor:
    return precision.behind_cast(lambda y: tf.nn.leaky_relu(y, SLOPE), x)


def _beside(*features: tf.Tensor) -> tf.Tensor:
    return precision.behind_cast(lambda *parts: tf.concat(parts, -1), *features)


class MixedConv(Layer):
    """Standard and dilated 3x3 convolution side by side, then 1x1 (Eq. 8, Fig. 5)."""

    def __init__(self, filters: int, dilation: int, name: str = "mixed_conv"):
        """Creates the layer; each branch has half of `filters`, the only split with 1.7 M weights.

        Args:
          filters: channels of input and output.
          dilation: d.
          name: name of the layer.
        """
        super().__init__(name=name)
        with self.scope():
            self.standard = Conv2D(filters, filters // 2, 3, name="standard")
            self.dilated = Conv2D(filters, filters // 2, 3, dilation=dilation, name="dilated")
            self.compress = Conv2D(filters, filters, 1, gain=1.0, name="compress")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Filters x [B, H, W, filters]."""
        return self.compress(_leaky(_beside(self.standard(x), self.dilated(x))))


class StandardConv(Layer):
    """What stands for a mixed convolution in Table 4: 3x3 and LeakyReLU."""

    def __init__(self, filters: int, name: str = "standard_conv"):
        """Creates the layer."""
        super().__init__(name=name)
        with self.scope():
            self.conv = Conv2D(filters, filters, 3)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Filters x [B, H, W, filters]."""
        return _leaky(self.conv(x))


class MixedAttention(Layer):
    """Channel attention, then spatial attention (Eq. 15-17, Fig. 6)."""

    def __init__(self, filters: int, name: str = "mixed_attention"):
        """Creates the layer."""
        super().__init__(name=name)
        few = filters // _REDUCTION
        with self.scope():
            self.channel = [
                Conv2D(filters, few, 1, name="channel0"),
                Conv2D(few, few, 1, name="channel1"),
                Conv2D(few, filters, 1, gain=0.1, offset=_OPEN, name="channel2"),
            ]
            self.spatial = [
                Conv2D(filters, filters, 1, gain=1.0, name="spatial0"),
                Conv2D(filters, 1, 5, gain=0.1, offset=_OPEN, name="spatial1"),
            ]

    def call(self, x: tf.Tensor, mean: tf.Tensor) -> tf.Tensor:
        """Weighs channels, then places.

        Args:
          x: [B, H, W, filters].
          mean: of x over the whole image, [B, 1, 1, filters] (Eq. 15); x may be a part of it.
        """
        weight = mean
        for conv in self.channel[:-1]:
            weight = _leaky(conv(weight))
        x *= tf.sigmoid(self.channel[-1](weight))
        attention = x
        for conv in self.spatial:
            attention = conv(attention)
        return x * tf.sigmoid(attention)


class WCDB(Layer):
    """A weakly connected dense block (Eq. 9-14, Fig. 4)."""

    def __init__(self, filters: int, mixed_conv: bool, mixed_attention: bool, name: str = "wcdb"):
        """Creates the block; the switches are the ablations of Table 4."""
        super().__init__(name=name)
        inputs = filters * (1 + len(_DILATIONS))
        with self.scope():
            self.convs = [
                MixedConv(filters, dilation, name=f"mixed_conv{dilation}")
                if mixed_conv
                else StandardConv(filters, name=f"standard_conv{i}")
                for i, dilation in enumerate(_DILATIONS)
            ]
            self.compress = Conv2D(inputs, filters, 1, gain=0.1, name="compress")
            self.attention = MixedAttention(filters) if mixed_attention else None

    def dense(self, x: tf.Tensor) -> tf.Tensor:
        """Eq. 9-13: everything before the attention, which alone looks at the whole image."""
        features = [x]
        for conv in self.convs:
            features.append(conv(features[-1]))
        return self.compress(_beside(*features)) + x

    def attend(self, x: tf.Tensor, mean: tf.Tensor) -> tf.Tensor:
        """Eq. 14, given the mean of x over the whole image."""
        return x if self.attention is None else self.attention(x, mean)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Filters x [B, H, W, filters]."""
        x = self.dense(x)
        return self.attend(x, tf.reduce_mean(x, (1, 2), keepdims=True))


@tf.keras.saving.register_keras_serializable("lossylab")
class WCDGAN(Network):
    """The generator: restores images of any size."""

    model_id = "wcdgan"
    # What lies between two means over the image looks so far: shallow features and a dense
    # block; attention and the next block; attention and reconstruction, or the shallow features.
    receptive_field_radius = {
        "enter": 4 + sum(_DILATIONS),
        "next": 2 + sum(_DILATIONS),
        "leave": 4 + 2,
    }

    def __init__(
        self,
        channels: int = 3,
        filters: int = 64,
        blocks: int = 8,
        mixed_conv: bool = True,
        mixed_attention: bool = True,
        name: str = "wcdgan",
    ):
        """Creates the generator.

        Args:
          channels: 3 for RGB, 1 for luma.
          filters: of all layers (64 in Sec. III-A), a multiple of 4.
          blocks: WCDBs in chain (8 in Fig. 2).
          mixed_conv: False puts standard convolutions in their place (Table 4).
          mixed_attention: False leaves it out (Table 4).
          name: name of the model.

        Raises:
          ValueError: if a number does not fit.
        """
        super().__init__(name=name)
        if filters < _REDUCTION or filters % _REDUCTION:
            raise ValueError(f"filters must be a multiple of {_REDUCTION}, got {filters}")
        if blocks < 1:
            raise ValueError(f"blocks must be at least 1, got {blocks}")
        self.channels = channels
        with self.scope():
            self.shallow = [
                Conv2D(channels, filters, 5, gain=1.0, identity=channels, name="shallow0"),
                Conv2D(filters, filters, 5, identity=channels, name="shallow1"),
            ]
            self.blocks = [
                WCDB(filters, mixed_conv, mixed_attention, name=f"block{i}") for i in range(blocks)
            ]
            self.reconstruction = [
                Conv2D(filters, filters, 3, identity=channels, name="reconstruction0"),
                Conv2D(filters, channels, 3, identity=channels, name="reconstruction1"),
            ]
        # Blocks begin without adding to the channels that carry the image: what eight of them add
        # would make it darker or brighter by up to tens of levels, by the draw.
        others = tf.cast(tf.range(filters) >= channels, tf.float32)
        for block in self.blocks:
            block.compress.kernel.assign(block.compress.kernel * others)
        # F1 begins as F0 plus what the gates let through of it.
        passed = 1.0 + (tf.sigmoid(_OPEN) ** (2 * blocks) if mixed_attention else 1.0)
        kernel = self.reconstruction[-1].kernel
        kernel.assign(kernel / passed)

    def extract(self, image: tf.Tensor) -> tf.Tensor:
        """Eq. 5: shallow features F0 [B, H, W, filters] of an image in pixel values."""
        first, second = self.shallow
        return _leaky(second(first(image / 255.0)))

    def reconstruct(self, features: tf.Tensor) -> tf.Tensor:
        """Eq. 7: the image in pixel values, unclipped, of F1."""
        first, second = self.reconstruction
        return second(_leaky(first(features))) * 255.0

    def call(self, image: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Restores an image.

        Args:
          image: float32 [B, H, W, channels], pixel values 0..255.
          training: of no effect.

        Returns:
          float32 of the same shape, unclipped pixel values.
        """
        del training
        shallow = deep = self.extract(image)
        for block in self.blocks:
            deep = block(deep)
        return self.reconstruct(deep + shallow)


@tf.keras.saving.register_keras_serializable("lossylab")
class Discriminator(Network):
    """Tells restored patches from real ones (Sec. II-A, Fig. 3).

    All convolutions but the first have batch normalization (assumed), by the patches of a call:
    real and restored ones, which are scored apart, are normalized apart.
    """

    def __init__(
        self,
        channels: int = 3,
        patch: int = 80,
        filters: int = 64,
        hidden: int = 1024,
        name: str = "discriminator",
    ):
        """Creates the discriminator.

        Args:
          channels: of the patches.
          patch: their height and width in pixels.
          filters: of the first layer.
          hidden: units of the first fully connected layer (assumed).
          name: name of the model.
        """
        super().__init__(name=name)
        inputs, side = channels, patch
        convs = []
        with self.scope():
            for i, (factor, stride) in enumerate(_DISCRIMINATOR):
                convs.append(Conv2D(inputs, factor * filters, 3, stride, name=f"conv{i}"))
                inputs, side = factor * filters, -(-side // stride)
            self.convs = convs
            self.norms = [
                batch_norm(conv.kernel.shape[-1], f"norm{i}") for i, conv in enumerate(convs[1:], 1)
            ]
            features = side * side * inputs
            # A fully connected layer is a convolution over all that is left.
            initial = tf.random.normal((features, hidden), stddev=(2 / side**2 / inputs) ** 0.5)
            self.hidden = tf.Variable(initial, name="hidden")
            self.hidden_bias = tf.Variable(tf.zeros([hidden]), name="hidden_bias")
            initial = tf.random.normal((hidden, 1), stddev=hidden**-0.5)
            self.score = tf.Variable(initial, name="score")
            self.score_bias = tf.Variable(tf.zeros([1]), name="score_bias")

    def call(self, patch: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Scores [B] of patches [B, patch, patch, channels], pixel values; 1 is real (Eq. 20)."""
        x = tf.nn.relu(self.convs[0](patch / 255.0))
        for conv, norm in zip(self.convs[1:], self.norms):
            x = norm(tf.nn.relu(conv(x)), training=training)
        x = tf.reshape(x, (tf.shape(x)[0], self.hidden.shape[0]))
        x = tf.nn.relu(x @ self.hidden + self.hidden_bias)
        return (x @ self.score + self.score_bias)[:, 0]
