"""StyleGAN2's discriminator (Karras et al., CVPR 2020), architecture 'resnet'."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import tensorflow as tf

from lossylab.models.layers import precision
from lossylab.models.layers.base import Network
from lossylab.models.layers.stylegan_base import SLOPE, filter_separably

_GAIN = 2.0**0.5  # of the leaky ReLU; moved into what comes before it
_LOW_PASS = (0.125, 0.375, 0.375, 0.125)
_SPREAD_FLOOR = 1e-8  # added to the variance in a group


@tf.keras.saving.register_keras_serializable("lossylab")
class StyleGAN2Discriminator(Network):
    """Scores images: the higher, the more like those that are trained with.

    Attributes:
      resolution: height and width of its images.
      named_weights: variables by their official names; kernels are [k, k, a, b], of std 1, and are
        scaled where they are used.
    """

    model_id = "stylegan2_discriminator"

    def __init__(
        self, channels: Sequence[int], group: int = 4, name: str = "stylegan2_discriminator"
    ) -> None:
        """Creates the network with its official initial values.

        Args:
          channels: of the feature maps at 4, 8, 16, ... pixels, as the generator's.
          group: images of a batch whose spread is seen together.
          name: of the model.

        Raises:
          ValueError: without channels, or if a number is below 1.
        """
        super().__init__(name=name)
        if not channels or min(*channels, group) < 1:
            raise ValueError(f"channels and group must be at least 1, got {channels} and {group}")
        self.resolution, self._group = 4 << (len(channels) - 1), group
        with self.scope():
            self.named_weights = {
                key: tf.Variable(
                    tf.zeros(shape) if key.endswith("bias") else tf.random.normal(shape), name=key
                )
                for key, shape in _shapes(channels)
            }

    def call(self, image: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Scores of images.

        Args:
          image: float32 [B, R, R, 3], RGB in 0..255. The spread of groups of the batch is seen, if
            the group's size divides it.
          training: of no effect.

        Returns:
          float32 [B].
        """
        del training
        side = self.resolution
        x = self._layer(f"{side}x{side}/FromRGB", image / 127.5 - 1.0)
        while side > 4:
            here = f"{side}x{side}"
            skipped = self._linear(f"{here}/Skip", filter_separably(x, _LOW_PASS), 2)
            x = self._layer(f"{here}/Conv0", x)
            x = self._layer(f"{here}/Conv1_down", filter_separably(x, _LOW_PASS, 2), 2)
            x, side = (x + skipped) * 0.5**0.5, side // 2
        x = self._layer("4x4/Conv", self._with_spread(x))
        x = self._layer("4x4/Dense0", tf.reshape(x, (-1, 1, 1, 16 * x.shape[-1])))
        x = self._linear("Output", x) + self.named_weights["Output/bias"]
        return x[:, 0, 0, 0]

    def _layer(self, name: str, x: tf.Tensor, stride: int = 1) -> tf.Tensor:
        x = self._linear(name, x, stride, _GAIN)
        x = tf.nn.bias_add(x, _GAIN * self.named_weights[f"{name}/bias"])
        return tf.nn.leaky_relu(x, SLOPE)

    def _linear(self, name: str, x: tf.Tensor, stride: int = 1, gain: float = 1.0) -> tf.Tensor:
        kernel = self.named_weights[f"{name}/weight"]
        kernel = kernel * (gain * kernel.shape[:3].num_elements() ** -0.5)
        return precision.conv2d(x, kernel, stride, "SAME" if stride == 1 else "VALID")

    def _with_spread(self, x: tf.Tensor) -> tf.Tensor:
        """One more channel: the mean std of features within each group of the batch."""
        batch, height, width, channels = (x.shape[i] or tf.shape(x)[i] for i in range(4))
        group = tf.minimum(self._group, batch)
        group = tf.where(batch % group == 0, group, 1)
        grouped = tf.reshape(x, (-1, group, height, width, channels))
        variance = tf.math.reduce_variance(grouped, 1)
        spread = tf.reduce_mean(tf.sqrt(variance + _SPREAD_FLOOR), (1, 2, 3))
        spread = tf.repeat(spread, group)[:, None, None, None]
        return tf.concat([x, tf.broadcast_to(spread, (batch, height, width, 1))], -1)


def _shapes(channels: Sequence[int]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the variables, from the image on."""
    side, layers = 4 << (len(channels) - 1), []
    layers.append((f"{side}x{side}/FromRGB", 1, 3, channels[-1]))
    for outer, inner in itertools.pairwise(reversed(channels)):
        here = f"{side}x{side}"
        layers += [(f"{here}/Conv0", 3, outer, outer), (f"{here}/Conv1_down", 3, outer, inner)]
        layers.append((f"{here}/Skip", 1, outer, inner))
        side //= 2
    deep = channels[0]
    layers += [("4x4/Conv", 3, deep + 1, deep), ("4x4/Dense0", 1, 16 * deep, deep)]
    layers.append(("Output", 1, deep, 1))
    for name, size, inputs, outputs in layers:
        yield f"{name}/weight", (size, size, inputs, outputs)
        if not name.endswith("Skip"):
            yield f"{name}/bias", (outputs,)
