"""Training patches: random windows of images, scaled down and with noise where asked for."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from lossylab.core.errors import ImageError
from lossylab.data import served
from lossylab.data.checking import leave_out
from lossylab.data.decode import read_image, smaller_side
from lossylab.data.decoded import Decoded
from lossylab.data.schedule import Schedule, Stream

# Headers of this many files are checked before training starts: the rest when they are read.
HEADERS_CHECKED = 20_000


@dataclasses.dataclass(frozen=True)
class CropOptions:
    """What crops at random positions are, where nothing else is done to them.

    Attributes:
      size: height and width in pixels.
      cache_mb: images kept in memory, MiB.
    """

    size: int = 224
    cache_mb: int = 1024

    def __post_init__(self):
        """Checks the ranges; raises ValueError."""
        check_crops(self, "size")


def check_crops(options: Any, *names: str) -> None:
    """Raises ValueError if one of the named options is below 1 pixel, or `cache_mb` below 0."""
    for name in names:
        if getattr(options, name) < 1:
            raise ValueError(f"{name} must be at least 1 pixel, got {getattr(options, name)}")
    if options.cache_mb < 0:
        raise ValueError(f"cache_mb must be at least 0 MiB, got {options.cache_mb}")


@dataclasses.dataclass(frozen=True)
class PatchOptions:
    """What a patch is.

    Attributes:
      size: height and width in pixels.
      min_scale: images are scaled down by a random factor in [min_scale, 1]; 1 switches
        it off. The factor is raised where the image would become smaller than the patch.
      noise: width of uniform noise in pixel values, added before scaling (ProxIQA Sec. III-D adds
        "small amounts", BLS likewise); 0 switches it off.
      cache_mb: decoded images kept in memory, in MiB.
    """

    size: int = 128
    min_scale: float = 1.0
    noise: float = 0.0
    cache_mb: int = 1024

    def __post_init__(self):
        """Checks the ranges; raises ValueError."""
        check_crops(self, "size")
        if not 0 < self.min_scale <= 1:
            raise ValueError(f"min_scale must lie in (0, 1], got {self.min_scale}")
        if not 0 <= self.noise <= 255:
            raise ValueError(f"noise must lie in 0..255 pixel values, got {self.noise}")


def check_sizes(
    paths: list[str], size: int, needed_by: str = "the patch", skip: bool | None = None
) -> list[str]:
    """Refuses images that are smaller than a patch, by their headers, or leaves them out.

    Args:
      paths: image files; of more than `HEADERS_CHECKED` a regular sample is checked.
      size: smallest height and width in pixels.
      needed_by: what needs that size, for the message.
      skip: whether they are left out, and counted, for which all are checked; None if users have
        no such option.

    Returns:
      The paths of the others.

    Raises:
      ImageError: naming the first such files, and how many there are; and if none is left.
    """
    every = 1 if skip else max(1, -(-len(paths) // HEADERS_CHECKED))
    small = [(p, side) for p in paths[::every] if (side := smaller_side(p)) < size]
    leave_out(small, len(paths), size, needed_by, skip)
    left_out = {path for path, _ in small}
    left = [path for path in paths if path not in left_out]
    if paths and not left:
        raise ImageError(f"all {len(paths)} images are smaller than {needed_by}, {size} pixels")
    return left


def crop_at_random(
    image: tf.Tensor, size: int | tf.Tensor, key: tf.Tensor, grid: int = 1
) -> tf.Tensor:
    """A square of an image at a random position, all positions alike.

    Args:
      image: [..., H, W, C], not smaller than the square.
      size: its height and width in pixels.
      key: of the position, int64 [2].
      grid: positions are its multiples, pixels.

    Returns:
      The square, [..., size, size, C].
    """
    draws = tf.random.stateless_uniform((2,), key)
    rooms = (tf.shape(image)[-3:-1] - size) // grid + 1
    top, left = tf.unstack(grid * tf.cast(draws * tf.cast(rooms, tf.float32), tf.int32))
    return image[..., top : top + size, left : left + size, :]


def random_patches(
    paths: list[str], options: PatchOptions, schedule: Schedule, services: Sequence[str] = ()
) -> tf.data.Dataset:
    """Endless batches of patches.

    Args:
      paths: image files.
      options: what a patch is.
      schedule: which patches, and in which order.
      services: data workers that make them, see `served.merged`; none makes them here, where
        decoded images are kept in memory.

    Returns:
      Data set of float32 [device_batch, size, size, 3], pixel values 0..255.

    Raises:
      ValueError: if there are no paths.
    """
    if not paths:
        raise ValueError("no images to draw patches from")
    read = _reader(paths, options, bool(services))

    def patches(offset: int, every: int) -> tf.data.Dataset:
        def patch(number: tf.Tensor) -> tf.Tensor:
            image = read(schedule.image_index(number, len(paths)))
            return _crop(image, options, schedule, number)

        return schedule.batches(patch, offset, every)

    return served.merged(services, patches).prefetch(4)


def _reader(
    paths: list[str], options: PatchOptions, elsewhere: bool
) -> Callable[[tf.Tensor], tf.Tensor]:
    """What reads the image of an index inside a pipeline: of this process, or of any."""
    if elsewhere:
        names = tf.constant([os.path.abspath(path) for path in paths])
        return lambda index: served.read(names[index])
    # A plain closure, not a tensor: a graph with a million paths would be slow to build.
    images = Decoded(paths, read_image, options.cache_mb)
    return lambda index: read_whole(images, paths, index, options.size, (None, None, 3))


def split_pair(both: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A batch of pairs [B, 2, H, W, C] as two of float32 [B, H, W, C]."""
    first, second = tf.unstack(both, axis=1)
    return tf.cast(first, tf.float32), tf.cast(second, tf.float32)


def read_whole(
    images: Decoded, paths: list[str], index: tf.Tensor, size: int, shape: tuple[int | None, ...]
) -> tf.Tensor:
    """An image that patches are cut from, inside a pipeline.

    Args:
      images: reads them.
      paths: their files, for messages.
      index: which.
      size: of the patches in pixels; the pipeline fails by name where an image is smaller.
      shape: of what is read, [H, W, 3] or [2, H, W, 3], as far as it is known.

    Returns:
      uint8 of that shape.
    """

    def read(index: np.int64) -> np.ndarray:
        image = images.read(index)
        if min(image.shape[-3:-1]) < size:
            check_sizes([paths[index]], size)
        return image

    image = tf.numpy_function(read, [index], tf.uint8)
    image.set_shape(shape)
    return image


def _crop(
    image: tf.Tensor, options: PatchOptions, schedule: Schedule, number: tf.Tensor
) -> tf.Tensor:
    """Scales and crops in one go: only the window that becomes the patch is resized."""
    size = options.size
    draws = tf.random.stateless_uniform((3,), schedule.key(number, Stream.PATCH_WINDOW))
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
        half, stream = options.noise / 2, schedule.key(number, Stream.PATCH_NOISE)
        crop += tf.random.stateless_uniform(tf.shape(crop), stream, -half, half)
    if options.min_scale < 1:
        crop = tf.image.resize(crop, (size, size), antialias=True)
    if options.noise:
        crop = tf.clip_by_value(crop, 0.0, 255.0)
    return tf.ensure_shape(crop, (size, size, 3))
