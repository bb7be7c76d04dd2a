"""Which sample comes when: training data as a pure function of (seed, step).

Samples are numbered through the whole training; those of a step are shared by workers and their
devices in order. What is drawn for a sample depends on the seed and its number alone, by stateless
operations, so a run that is killed and resumed sees the same samples, as do devices that share a
batch.
"""

from __future__ import annotations

import dataclasses
import enum
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf


class Stream(enum.IntEnum):
    """What is drawn for a sample or a step, told from all else that is drawn for the same.

    Equal values never meet: they belong to pipelines that are not used together, or one to samples
    and one to steps.
    """

    PATCH_WINDOW = 1  # scale and position of `random_patches`
    PATCH_NOISE = 2
    PAIR_POSITION = 3  # of `distorted_patches`
    PROXY_DISTORTION = 3  # kind and level in `proxy_distortions`
    PROXY_NOISE = 4
    LATENT_NOISE = 5  # of a codec in training, by step
    RANKED_POSITION = 5  # of `ranked_crops`
    SCALED_POSITION = 5  # of `degraded_crops`
    SCALED_SIZE = 6  # of the crops of a step
    RATED_POSITION = 6  # of `rated_crops`
    IDENTICAL_PAIR = 6  # which pair of a step is replaced for the proxy
    HYPER_LATENT_NOISE = 7  # of a codec in training, by step
    ERROR_SCALE = 8  # of the proxy's pairs, by step
    SHARPENING = 9  # of the proxy's pairs, by step
    ADVERSARIAL = 10  # how far the proxy's pairs go along its gradient, by step
    DROPOUT = 7  # of RankIQA, by step
    GENERATOR_NOISE = 4  # that a generator of distortions sees, by step
    MIRROR = 3  # which of `square_images` are mirrored
    GENERATED = 4  # latents and noise of a generator in training, by step


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Which samples a worker makes, and for which of its devices.

    Attributes:
      batch: samples of a step, those of all workers and devices together.
      seed: of everything that is drawn.
      first_step: step at which to begin.
      shard: index of this worker, 0..shards - 1.
      shards: number of workers.
      replicas: devices of this worker; each step is one element a device, in order.
    """

    batch: int
    seed: int
    first_step: int = 0
    shard: int = 0
    shards: int = 1
    replicas: int = 1

    def __post_init__(self):
        """Checks the numbers; raises ValueError."""
        share_of_device(self.batch, self.shards * self.replicas)
        if not 0 <= self.shard < self.shards:
            raise ValueError(f"shard must lie in 0..{self.shards - 1}, got {self.shard}")
        if self.first_step < 0:
            raise ValueError(f"first_step must be at least 0, got {self.first_step}")

    @property
    def device_batch(self) -> int:
        """Samples that each device gets a step."""
        return self.batch // (self.shards * self.replicas)

    def first_number(self, element: int | tf.Tensor) -> Any:
        """Number of the first of the `device_batch` samples of an element.

        Args:
          element: counts the batches of this worker's devices since step 0.
        """
        step, replica = element // self.replicas, element % self.replicas
        device = self.shard * self.replicas + replica
        return step * self.batch + device * self.device_batch

    def elements(self, offset: int = 0, every: int = 1) -> tf.data.Dataset:
        """Endless numbers of elements, int64, from the first step on: every so many of them."""
        first = self.first_step * self.replicas + offset
        return tf.data.Dataset.range(first, np.iinfo(np.int64).max, every)

    def batches(
        self, sample: Callable[[tf.Tensor], Any], offset: int = 0, every: int = 1
    ) -> tf.data.Dataset:
        """Endless batches of samples, one an element.

        Args:
          sample: from the number of a sample, int64, to a tensor or a tuple of tensors.
          offset: elements that are left out in the beginning.
          every: of the others, only every so many are made.

        Returns:
          Data set of what `sample` returns, each with a first dimension of `device_batch`.
        """
        local, plain = self.device_batch, tf.autograph.experimental.do_not_convert

        @plain
        def numbers(element: tf.Tensor) -> tf.data.Dataset:
            first = self.first_number(element)
            return tf.data.Dataset.from_tensor_slices(first + tf.range(local, dtype=tf.int64))

        return (
            self.elements(offset, every)
            .flat_map(numbers)
            .map(plain(sample), num_parallel_calls=os.cpu_count(), deterministic=True)
            .batch(local, drop_remainder=True)
        )

    def image_index(self, number: tf.Tensor, count: int) -> tf.Tensor:
        """Index of the image, of `count`, that gives a sample; see the function `image_index`."""
        return image_index(self.seed, number, count)

    def key(self, number: tf.Tensor, stream: Stream) -> tf.Tensor:
        """Key of what is drawn for a sample or a step; see `stream_key`."""
        return stream_key(self.seed, number, stream)


def share_of_device(batch: int, devices: int) -> int:
    """Samples that each device gets of a global batch; raises ValueError if it cannot be shared."""
    if batch < 1 or devices < 1 or batch % devices:
        raise ValueError(f"a batch of {batch} cannot be shared by {devices} devices")
    return batch // devices


def image_index(seed: int, number: tf.Tensor, count: int) -> tf.Tensor:
    """Index of the image that gives sample `number`: a new permutation every epoch.

    Args:
      seed: the run's seed.
      number: of the sample in the whole training, int64.
      count: number of images.

    Returns:
      int64 in 0..count - 1.
    """
    epoch, position = number // count, number % count
    key = tf.stack([tf.cast(seed, tf.int64), epoch])
    index = tf.random.experimental.index_shuffle(
        tf.cast(position, tf.uint64), tf.cast(key, tf.uint32), tf.cast(count - 1, tf.uint64)
    )
    return tf.cast(index, tf.int64)


def stream_key(seed: int, number: tf.Tensor, stream: Stream) -> tf.Tensor:
    """Key int64 [2] of a stream of random numbers.

    Args:
      seed: the run's seed.
      number: of the sample, or of the step, in the whole training, int64.
      stream: what is drawn.
    """
    return tf.random.fold_in(tf.stack([tf.cast(seed, tf.int64), number]), int(stream))


def paths_of_step(paths: list[str], batch: int, seed: int, step: int) -> list[str]:
    """Files whose samples make up the global batch of a step."""
    numbers = tf.range(step * batch, (step + 1) * batch, dtype=tf.int64)
    return [paths[int(image_index(seed, number, len(paths)))] for number in numbers]
