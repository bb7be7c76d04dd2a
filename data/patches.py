"""Training patches as a pure function of (seed, step).

Which image, where the crop lies, how far it is scaled down and the noise are drawn with
stateless operations from the seed and the patch's number, so a run that is killed and
resumed sees the same patches, as do two devices that share a batch.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from lossylab.core.errors import ImageError
from lossylab.data.decode import read_image, smaller_side
from lossylab.data.decoded import Decoded

# Headers of this many files are checked before training starts: the rest when they are read.
HEADERS_CHECKED = 20_000

# Streams of random numbers of one patch.
_CROP_STREAM, _NOISE_STREAM = 1, 2


@dataclasses.dataclass(frozen=True)
class PatchOptions:
    """What a patch is.

    Attributes:
      size: height and width in pixels.
      min_scale: images are scaled down by a random factor in [min_scale, 1]; 1 switches
        it off. The factor is raised where the image would become smaller than the patch.
      noise: width in levels of uniform noise added before scaling (ProxIQA Sec. III-D adds
        "small amounts", BLS likewise); 0 switches it off.
      cache_mb: decoded images kept in memory, in MiB.
    """

    size: int = 128
    min_scale: float = 1.0
    noise: float = 0.0
    cache_mb: int = 1024

    def __post_init__(self):
        """Checks the ranges; raises ValueError."""
        if self.size < 1:
            raise ValueError(f"patch size must be at least 1 pixel, got {self.size}")
        if not 0 < self.min_scale <= 1:
            raise ValueError(f"min_scale must lie in (0, 1], got {self.min_scale}")
        if not 0 <= self.noise <= 255:
            raise ValueError(f"noise must lie in 0..255 levels, got {self.noise}")
        if self.cache_mb < 0:
            raise ValueError(f"cache_mb must be at least 0 MiB, got {self.cache_mb}")


def check_sizes(paths: list[str], size: int, needed_by: str = "the patch") -> None:
    """Refuses images that are smaller than a patch, by their headers.

    Args:
      paths: image files; of more than `HEADERS_CHECKED` a regular sample is checked.
      size: smallest height and width in pixels.
      needed_by: what needs that size, for the message.

    Raises:
      ImageError: naming the first such files, and how many there are.
    """
    every = max(1, -(-len(paths) // HEADERS_CHECKED))
    small = [
        f"{path} ({side} pixels)" for path in paths[::every] if (side := smaller_side(path)) < size
    ]
    if small:
        raise ImageError(
            f"{len(small)} images are smaller than {needed_by} of {size}x{size} pixels: "
            f"{', '.join(small[:3])}{', ...' if len(small) > 3 else ''}; remove them or choose "
            "something smaller"
        )


def image_index(seed: int, number: tf.Tensor, count: int) -> tf.Tensor:
    """Index of the image that gives patch `number`: a new permutation every epoch."""
    epoch, position = number // count, number % count
    key = tf.stack([tf.cast(seed, tf.int64), epoch])
    index = tf.random.experimental.index_shuffle(
        tf.cast(position, tf.uint64), tf.cast(key, tf.uint32), tf.cast(count - 1, tf.uint64)
    )
    return tf.cast(index, tf.int64)


def stream_key(seed: int, number: tf.Tensor, stream: int) -> tf.Tensor:
    """Key int64 [2] of a stream of the random numbers of a patch.

    Args:
      seed: the run's seed.
      number: of the patch in the whole training, int64.
      stream: tells what is drawn from all else that is drawn for the same patch.
    """
    return tf.random.fold_in(tf.stack([tf.cast(seed, tf.int64), number]), stream)


def crop_at_random(
    image: tf.Tensor, size: int | tf.Tensor, key: tf.Tensor, grid: int = 1
) -> tf.Tensor:
    """A square of an image at a random place, all places alike.

    Args:
      image: [H, W, C], not smaller than the square.
      size: its height and width in pixels.
      key: of the place, int64 [2].
      grid: places are its multiples, pixels.

    Returns:
      The square, [size, size, C].
    """
    draws = tf.random.stateless_uniform((2,), key)
    rooms = (tf.shape(image)[:2] - size) // grid + 1
    top, left = tf.unstack(grid * tf.cast(draws * tf.cast(rooms, tf.float32), tf.int32))
    return image[top : top + size, left : left + size]


def patches(
    paths: list[str],
    options: PatchOptions,
    batch: int,
    seed: int,
    first_step: int = 0,
    shard: int = 0,
    shards: int = 1,
    replicas: int = 1,
) -> tf.data.Dataset:
    """Endless batches, one a step.

    Args:
      paths: image files.
      options: what a patch is.
      batch: patches in the global batch.
      seed: the run's seed.
      first_step: step at which to begin.
      shard: which part of each global batch this worker gets.
      shards: number of workers.
      replicas: devices of this worker; each step is one element a device, in order.

    Returns:
      Data set of float32 [batch / shards / replicas, size, size, 3], levels 0..255.

    Raises:
      ValueError: if there are no paths or the devices do not divide `batch`.
    """
    if not paths:
        raise ValueError("no images to draw patches from")
    # A plain closure, not a tensor: a graph with a million paths would be slow to build.
    images = Decoded(paths, read_image, options.cache_mb)

    def patch(number):
        index = image_index(seed, number, len(paths))
        image = read_whole(images, paths, index, options.size, 3)
        return _crop(image, options, seed, number)

    return numbered(patch, batch, first_step, shard, shards, replicas).prefetch(4)


def read_whole(
    images: Decoded, paths: list[str], index: tf.Tensor, size: int, channels: int
) -> tf.Tensor:
    """An image that patches are cut from, inside a pipeline.

    Args:
      images: reads them.
      paths: their files, for messages.
      index: which.
      size: of the patches in pixels; the pipeline fails by name where an image is smaller.
      channels: of what is read.

    Returns:
      uint8 [H, W, channels].
    """

    def read(index):
        image = images.read(index)
        if min(image.shape[:2]) < size:
            check_sizes([paths[index]], size)
        return image

    image = tf.numpy_function(read, [index], tf.uint8)
    image.set_shape((None, None, channels))
    return image


def numbered(
    patch: Callable[[tf.Tensor], tf.Tensor],
    batch: int,
    first_step: int = 0,
    shard: int = 0,
    shards: int = 1,
    replicas: int = 1,
) -> tf.data.Dataset:
    """Endless batches of patches that are functions of their numbers; arguments as `patches`.

    Args:
      patch: from the number of a patch in the whole training to the patch.

    Raises:
      ValueError: if the devices do not divide `batch`.
    """
    local = replicas * device_batch(batch, shards * replicas)

    def numbers(step):
        return step * batch + shard * local + tf.range(local, dtype=tf.int64)

    steps = tf.data.Dataset.range(first_step, np.iinfo(np.int64).max)
    return (
        steps.flat_map(lambda step: tf.data.Dataset.from_tensor_slices(numbers(step)))
        .map(patch, num_parallel_calls=os.cpu_count(), deterministic=True)
        .batch(local // replicas, drop_remainder=True)
    )


def device_batch(batch: int, devices: int) -> int:
    """Samples that each device gets of a global batch; raises ValueError if it cannot be shared."""
    if batch < 1 or batch % devices:
        raise ValueError(f"a batch of {batch} cannot be shared by {devices} devices")
    return batch // devices


def paths_of_step(paths: list[str], batch: int, seed: int, step: int) -> list[str]:
    """Files whose patches make up the global batch of a step."""
    numbers = tf.range(step * batch, (step + 1) * batch, dtype=tf.int64)
    return [paths[int(image_index(seed, number, len(paths)))] for number in numbers]


def _crop(image: tf.Tensor, options: PatchOptions, seed: int, number: tf.Tensor) -> tf.Tensor:
    """Scales and crops in one go: only the window that becomes the patch is resized."""
    size = options.size
    draws = tf.random.stateless_uniform((3,), stream_key(seed, number, _CROP_STREAM))
    height, width = tf.unstack(tf.shape(image)[:2])
    if options.min_scale < 1:
        smallest = tf.cast(size, tf.float32) / tf.cast(tf.minimum(height, width), tf.float32)
        low = tf.minimum(tf.maximum(options.min_scale, smallest), 1.0)
        scale = low + (1.0 - low) * draws[2]
        window = tf.cast(tf.math.floor(tf.cast(size, tf.float32) / scale), tf.int32)
        window = tf.minimum(window, tf.minimum(height, width))
    else:
        window = tf.constant(size)
    top = tf.cast(draws[0] * tf.cast(height - window + 1, tf.float32), tf.int32)
    left = tf.cast(draws[1] * tf.cast(width - window + 1, tf.float32), tf.int32)
    crop = tf.cast(image[top : top + window, left : left + window], tf.float32)
    if options.noise:
        half, stream = options.noise / 2, stream_key(seed, number, _NOISE_STREAM)
        crop += tf.random.stateless_uniform(tf.shape(crop), stream, -half, half)
    if options.min_scale < 1:
        crop = tf.image.resize(crop, (size, size), antialias=True)
    if options.noise:
        crop = tf.clip_by_value(crop, 0.0, 255.0)
    return tf.ensure_shape(crop, (size, size, 3))
