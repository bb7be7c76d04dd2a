"""Training patches of images and of their distorted versions.

Every image has one distorted version, made whole ("Learning to Distort Images Using Generative
Adversarial Networks", Sec. III-A); patches are cut from both at the same random position.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import zlib

import numpy as np
import tensorflow as tf

from lossylab.data.decode import read_image
from lossylab.data.decoded import Decoded
from lossylab.data.distortions import distort
from lossylab.data.patches import check_crops, crop_at_random, read_whole, split_pair
from lossylab.data.schedule import Schedule, Stream


@dataclasses.dataclass(frozen=True)
class DistortedOptions:
    """What a pair of patches is.

    Attributes:
      distortion: one of `distortions.DISTORTIONS`.
      severity: of it.
      size: height and width in pixels.
      grid: patches begin at its multiples, pixels; 16 keeps JPEG's blocks where they are: its
        colors are sub-sampled, 4:2:0.
      cache_mb: decoded images kept in memory, MiB.
    """

    distortion: str
    severity: float
    size: int = 256
    grid: int = 1
    cache_mb: int = 1024

    def __post_init__(self):
        """Checks the ranges; raises ValueError."""
        check_crops(self, "size", "grid")


def noise_seed(path: str) -> int:
    """The seed of an image's noise, of its name alone: the same wherever it lies."""
    return zlib.crc32(pathlib.Path(path).stem.encode())


def distorted_patches(
    paths: list[str], options: DistortedOptions, schedule: Schedule
) -> tf.data.Dataset:
    """Endless batches of pairs.

    Args:
      paths: image files.
      options: what a pair is.
      schedule: which pairs, and in which order.

    Returns:
      Data set of (reference, distorted), each float32 [device_batch, size, size, 3], pixel values
      0..255.
    """
    # Both versions in one array, so that they are kept and forgotten together.
    kind = ("distorted", options.distortion, options.severity)
    load = functools.partial(_load, options=options)
    images = Decoded(paths, load, options.cache_mb, kind)

    def pair(number: tf.Tensor) -> tf.Tensor:
        index = schedule.image_index(number, len(paths))
        both = read_whole(images, paths, index, options.size, (2, None, None, 3))
        key = schedule.key(number, Stream.PAIR_POSITION)
        patch = crop_at_random(both, options.size, key, options.grid)
        return tf.ensure_shape(patch, (2, options.size, options.size, 3))

    return schedule.batches(pair).map(split_pair).prefetch(4)


def _load(path: str, options: DistortedOptions) -> np.ndarray:
    image = read_image(path)
    distorted = distort(image, options.distortion, options.severity, noise_seed(path))
    return np.stack([image, distorted])
