"""Random numbers of ProxIQA's steps: the same for a sample on whichever device it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from lossylab.data.proxy_distortions import distort
from lossylab.data.schedule import Stream, stream_key
from lossylab.train.loop.parts import place
from lossylab.train.score_gradient import step_along

_LATENT_STREAMS = (Stream.LATENT_NOISE, Stream.HYPER_LATENT_NOISE)

_GRID = 4  # each way, of a strength that varies over a patch
_BINOMIAL = np.array([1, 4, 6, 4, 1], np.float32) / 16


class Draws:
    """What is drawn for the samples of a device in a step."""

    def __init__(self, seed: int, batch: int) -> None:
        """Names the draws.

        Args:
          seed: of the training.
          batch: samples in the global batch.
        """
        self._seed, self._batch = seed, batch

    def latent_noise(
        self, shapes: Sequence[tuple[int, ...]], image: tf.Tensor, step: tf.Tensor
    ) -> list[tf.Tensor]:
        """Uniform noise in -0.5..0.5 for latents of these shapes, without batch."""
        return [
            self._local(
                tf.random.stateless_uniform(
                    (self._batch, *shape), stream_key(self._seed, step, stream), -0.5, 0.5
                ),
                image,
            )
            for shape, stream in zip(shapes, _LATENT_STREAMS)
        ]

    def identical(self, image: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """Which pairs of this device are of equal patches, bool [B].

        One pair of the global batch is, with probability 1/2.
        """
        chosen = tf.random.stateless_uniform(
            (), stream_key(self._seed, step, Stream.IDENTICAL_PAIR), 0, 2 * self._batch, tf.int32
        )
        return self._local(tf.range(self._batch), image) == chosen

    def is_altered(
        self, stream: Stream, image: tf.Tensor, step: tf.Tensor, share: float
    ) -> tf.Tensor:
        """Which pairs of this device one of the three kinds changes, bool [B].

        Args:
          stream: ERROR_SCALE for `scaled`, SHARPENING for `sharpened`, ADVERSARIAL for
            `adversarial`.
          image: of this device.
          step: of the training.
          share: of the pairs.
        """
        return self._local(self._drawn(step, stream)[:, 0] < share, image)

    def scaled(
        self, image: tf.Tensor, distorted: tf.Tensor, step: tf.Tensor, largest: float, share: float
    ) -> tf.Tensor:
        """A share of the pairs with larger or smaller errors, by a strength that varies over each.

        a of distorted + a (distorted - image) is uniform in -largest..largest on a grid of 4x4 and
        linear between.
        """
        strength = self._strength(distorted, step, Stream.ERROR_SCALE, largest, share)
        return tf.clip_by_value(distorted + strength * (distorted - image), 0.0, 255.0)

    def sharpened(
        self, image: tf.Tensor, step: tf.Tensor, largest: float, share: float
    ) -> tf.Tensor:
        """A share of the images sharpened or blurred, by a strength that varies over each.

        a of image + a (image - its binomial mean of 5x5) is as that of `scaled`.
        """
        strength = self._strength(image, step, Stream.SHARPENING, largest, share)
        return tf.clip_by_value(image + strength * (image - _mean(image)), 0.0, 255.0)

    def adversarial(
        self, image: tf.Tensor, gradient: tf.Tensor, step: tf.Tensor, largest: float, share: float
    ) -> tf.Tensor:
        """A share of the images moved along a gradient by a levels, root mean square.

        a is uniform in -largest..largest.
        """
        drawn = self._drawn(step, Stream.ADVERSARIAL)
        levels = tf.where(drawn[:, 0] < share, largest * (2.0 * drawn[:, 1] - 1.0), 0.0)
        return step_along(gradient, image, self._local(levels, image))

    def _strength(
        self, image: tf.Tensor, step: tf.Tensor, stream: Stream, largest: float, share: float
    ) -> tf.Tensor:
        """What varies over each image of this device, [B, H, W, 1]; 0 for those not chosen."""
        drawn = self._drawn(step, stream)
        strength = tf.where(drawn[:, :1] < share, largest * (2.0 * drawn[:, 1:] - 1.0), 0.0)
        strength = tf.reshape(self._local(strength, image), (-1, _GRID, _GRID, 1))
        return tf.image.resize(strength, image.shape[1:3])

    def _drawn(self, step: tf.Tensor, stream: Stream) -> tf.Tensor:
        """Numbers in 0..1, of the global batch: what chooses a sample, and its strengths."""
        key = stream_key(self._seed, step, stream)
        return tf.random.stateless_uniform((self._batch, 1 + _GRID**2), key)

    def distorted(self, image: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """The images with synthetic distortions."""
        numbers = step * self._batch + tf.range(self._batch, dtype=tf.int64)
        seeds = tf.stack([tf.fill(numbers.shape, tf.constant(self._seed, tf.int64)), numbers], 1)
        return distort(image, self._local(seeds, image))

    def _local(self, values: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
        """A part's rows of something that has one for each sample of the global batch."""
        local, index = image.shape[0], place().index
        rows = values[index * local : (index + 1) * local]
        return tf.ensure_shape(rows, (local, *values.shape[1:]))


def _mean(image: tf.Tensor) -> tf.Tensor:
    """The binomial mean of 5x5, mirrored at edges."""
    padded = tf.pad(image, [[0, 0], [2, 2], [2, 2], [0, 0]], "SYMMETRIC")
    kernel = np.outer(_BINOMIAL, _BINOMIAL)[..., None, None]
    kernel = np.tile(kernel, (1, 1, image.shape[-1], 1))
    return tf.nn.depthwise_conv2d(padded, kernel, [1, 1, 1, 1], "VALID")
