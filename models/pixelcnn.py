"""Conditional PixelCNN++: the probability of a degraded image given a clean one.

"Perceptual Image Restoration with High-Quality Priori and Degradation Learning", Sec. 3: PixelCNN++
without its down- and up-sampling, so that the receptive field stays small, and with the clean
image given to every block. Of each pixel it sees rows above and pixels to the left of the
degraded image, and all of the clean one around.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from lossylab.models.layers.base import Layer, Network
from lossylab.models.layers.pixelcnn_layers import (
    GatedBlock,
    WeightNormConv,
    down_shift,
    right_shift,
)
from lossylab.models.names import PIXEL_DISTRIBUTIONS as FAMILIES

LOG_SCALE_FLOOR = -7.0  # of the components, below which log scales count as this
_COLORS = 3


class ConditionEncoder(Layer):
    """Features of the condition: convolutions that see all around, and the image itself."""

    def __init__(self, filters: int, dilations: Sequence[int], phase: int, name: str = "encoder"):
        """Creates the network; arguments as for `ConditionalPixelCNN`."""
        super().__init__(name=name, autocast=False)
        self._phase = phase
        inputs = _COLORS + 2 * phase
        self.channels = filters + inputs  # of the features
        with self.scope():
            self.convs = [
                WeightNormConv(
                    filters if i else inputs, filters, (3, 3), dilation=d, name=f"conv{i}"
                )
                for i, d in enumerate(dilations)
            ]

    def call(self, condition: tf.Tensor) -> tf.Tensor:
        """Features [B, H, W, channels] of an image [B, H, W, 3] in pixel values."""
        image = condition / 127.5 - 1.0
        if self._phase:
            image = tf.concat([image, _phases(image, self._phase)], -1)
        x = image
        for conv in self.convs:
            x = tf.nn.elu(conv(x))
        return tf.concat([x, image], -1)


@tf.keras.saving.register_keras_serializable("lossylab")
class ConditionalPixelCNN(Network):
    """Parameters of the mixtures that a degraded image's pixels are drawn from.

    Attributes:
      slope: pixels that a row must be ahead of the one below, to draw both at once.
      encoder: of the condition, or None.
      u: blocks of the stream that sees the rows above; empty if the streams are merged.
      ul: blocks of the stream that also sees the pixels to the left.
    """

    model_id = "conditional_pixelcnn"

    def __init__(
        self,
        filters: int = 100,
        blocks: int = 6,
        mixtures: int = 10,
        dropout: float = 0.5,
        merged: bool = False,
        family: str = "logistic",
        condition_filters: int = 64,
        dilations: Sequence[int] = (1, 1, 1),
        phase: int = 0,
        scale_limit: float = 0.0,
        name: str = "pixelcnn",
    ):
        """Creates the network; defaults are the paper's (Sec. 4.1) or PixelCNN++'s.

        Args:
          filters: of the streams.
          blocks: conditional blocks.
          mixtures: components of a pixel's mixture.
          dropout: fraction dropped in training, below 1.
          merged: add both streams first and give only their sum to the blocks.
          family: of the components, 'logistic' or 'gaussian'.
          condition_filters: of the condition's encoder; 0 for a network without condition.
          dilations: of its 3x3 convolutions, which see 1 + 2 sum(dilations) pixels.
          phase: tell the encoder the position of each pixel modulo so many; 0 does not.
          scale_limit: no component is wider, in pixel values; 0 limits nothing.
          name: name of the model.

        Raises:
          ValueError: if a size, the dropout, the limit or the family is impossible.
        """
        super().__init__(name=name, autocast=False)
        _check(self.options)
        self._dropout, self.encoder, features = dropout, None, 0
        self._log_limit = math.log(scale_limit / 127.5) if scale_limit else None
        self._is_scale = _scales(mixtures)
        if condition_filters:
            with self.scope():
                self.encoder = ConditionEncoder(condition_filters, dilations, phase)
            features = self.encoder.channels
        self.slope = 2 if merged else 2 * blocks + 2
        inputs = _COLORS + 1  # and a channel of ones, which tells where the image ends
        common = {"condition": features, "dropout": dropout}
        with self.scope():
            self.above = WeightNormConv(inputs, filters, (2, 3), "down", name="above")
            self.row = WeightNormConv(inputs, filters, (1, 3), "down", name="row")
            self.column = WeightNormConv(inputs, filters, (2, 1), "down_right", name="column")
            self.u, self.ul = _streams(filters, blocks, merged, common)
            self.out = WeightNormConv(filters, 10 * mixtures, name="out")

    def call(
        self,
        degraded: tf.Tensor,
        condition: tf.Tensor | None = None,
        training: bool = False,
        seed: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Parameters of all pixels at once; those of a pixel see only pixels before it.

        Args:
          degraded: float32 or float64 [B, H, W, 3], RGB in whole pixel values; decides the type.
          condition: the clean image, the same shape; None in a network without condition.
          training: whether to drop values.
          seed: int [2], what is dropped; needed for that.

        Returns:
          [B, H, W, 10 mixtures], see `losses.pixelcnn`.

        Raises:
          ValueError: if condition or seed are missing, or a condition is given to a network
            without.
        """
        seeds = self._seeds(training, seed)
        features = self.features(condition, degraded.dtype)
        u, ul = self.begin(degraded)
        for i, block in enumerate(self.ul):
            if self.u:
                u = self.u[i](u, None, features, seeds[2 * i])
            ul = block(ul, u if self.u else None, features, seeds[2 * i + 1])
        return self.bounded(self.out(tf.nn.elu(ul)))

    def bounded(self, parameters: tf.Tensor) -> tf.Tensor:
        """Parameters [..., 10 mixtures] with log scales softly below the limit, if there is one."""
        if self._log_limit is None:
            return parameters
        below = self._log_limit - tf.nn.softplus(self._log_limit - parameters)
        return tf.where(self._is_scale, below, parameters)

    @property
    def options(self) -> dict:
        """The constructor's arguments but the name, JSON values."""
        config = self.get_config()
        del config["name"]
        return config

    def features(self, condition: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor | None:
        """What the blocks see of a condition [B, H, W, 3]; None in a network without."""
        if (condition is None) != (self.encoder is None):
            raise ValueError(
                "a condition is needed: the clean image"
                if condition is None
                else "this network was made without condition (condition_filters=0)"
            )
        return None if self.encoder is None else self.encoder(tf.cast(condition, dtype))

    def begin(self, degraded: tf.Tensor) -> tuple[tf.Tensor | None, tf.Tensor]:
        """Both streams before the first block, [B, H, W, channels]; merged ones as (None, sum)."""
        x = degraded / 127.5 - 1.0
        x = tf.concat([x, tf.ones_like(x[..., :1])], -1)
        u = down_shift(self.above(x))
        ul = down_shift(self.row(x)) + right_shift(self.column(x))
        return (u, ul) if self.u else (None, u + ul)

    def initialize(
        self, degraded: tf.Tensor, condition: tf.Tensor | None = None, seed: tf.Tensor | None = None
    ) -> None:
        """Sets lengths and biases by a batch, layer by layer from the input on; eager.

        Each layer is set by what the layers before, already set, make of the batch.

        Args:
          degraded: float32 [B, H, W, 3]; this and the others as for a call.
          condition: the clean images.
          seed: of the dropout, as in training; None drops nothing.
        """
        layers = [m for m in self.submodules if isinstance(m, WeightNormConv)]
        for layer in layers:
            layer.pending = True
        try:
            self(degraded, condition, training=seed is not None, seed=seed)
        finally:
            for layer in layers:
                layer.pending = False

    def _seeds(self, training: bool, seed: tf.Tensor | None) -> list[tf.Tensor | None]:
        """A seed for each block of both streams."""
        count = 2 * len(self.ul)
        if not training or not self._dropout:
            return [None] * count
        if seed is None:
            raise ValueError("a seed is needed in training: it decides what is dropped")
        return [tf.random.fold_in(seed, i) for i in range(count)]


def _streams(
    filters: int, blocks: int, merged: bool, common: dict
) -> tuple[list[GatedBlock], list[GatedBlock]]:
    """Blocks of both streams; none of the first if they are merged."""
    u = [
        GatedBlock(filters, (2, 3), "down", **common, name=f"u{i}")
        for i in range(0 if merged else blocks)
    ]
    ul = [
        GatedBlock(filters, (2, 2), "down_right", 0 if merged else filters, **common, name=f"ul{i}")
        for i in range(blocks)
    ]
    return u, ul


def _check(options: dict) -> None:
    for name in ("filters", "blocks", "mixtures"):
        if options[name] < 1:
            raise ValueError(f"{name} must be at least 1, got {options[name]}")
    for name in ("condition_filters", "phase"):
        if options[name] < 0:
            raise ValueError(f"{name} must be at least 0, got {options[name]}")
    if not 0 <= options["dropout"] < 1:
        raise ValueError(f"dropout must lie in [0, 1), got {options['dropout']}")
    if options["scale_limit"] < 0:
        raise ValueError(f"scale_limit must be at least 0, got {options['scale_limit']}")
    if options["family"] not in FAMILIES:
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}, got '{options['family']}'")
    if not options["dilations"] or min(options["dilations"]) < 1:
        raise ValueError(f"dilations must be whole numbers from 1, got {options['dilations']}")


def _phases(image: tf.Tensor, phase: int) -> tf.Tensor:
    """Row and column modulo `phase` as ones among zeros, [B, H, W, 2 phase]."""
    batch, height, width, _ = tf.unstack(tf.shape(image))
    rows = tf.one_hot(tf.range(height) % phase, phase, dtype=image.dtype)
    columns = tf.one_hot(tf.range(width) % phase, phase, dtype=image.dtype)
    shape = (batch, height, width, phase)
    both = (rows[:, None], columns[None])
    return tf.concat([tf.broadcast_to(each, shape) for each in both], -1)


def _scales(mixtures: int) -> np.ndarray:
    """Which of a pixel's parameters are log scales, [10 mixtures]."""
    of_a_color = np.repeat([False, True, False], mixtures)
    return np.concatenate([np.zeros(mixtures, bool), *[of_a_color] * _COLORS])
