"""Training crops of clean images and of their degraded versions, both scaled down alike.

Every image is degraded whole, then both versions are scaled by one factor ("Perceptual Image
Restoration with High-Quality Priori and Degradation Learning", Sec. 4.3), and crops are cut from
both at the same random position. The crops of a step share a random size.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from lossylab.core.errors import ImageError
from lossylab.data.decode import read_image
from lossylab.data.decoded import Decoded
from lossylab.data.distortions import distort
from lossylab.data.patch_pairs import noise_seed
from lossylab.data.patches import crop_at_random, split_pair
from lossylab.data.scaling import scaled
from lossylab.data.schedule import Schedule, Stream

SIZE_STEP = 8  # pixels: sizes of crops are the smallest and multiples of this more


@dataclasses.dataclass(frozen=True)
class DegradedOptions:
    """What a pair of crops is.

    Attributes:
      distortion: one of `distortions.DISTORTIONS`.
      severity: of it, such as JPEG's quality.
      factor: both versions are scaled down by, bicubically.
      smallest: height and width of the smallest crops in pixels, after scaling.
      largest: of the largest, a multiple of `SIZE_STEP` more.
      grid: crops begin at its multiples, pixels after scaling.
      cache_mb: decoded images kept in memory, MiB.
    """

    distortion: str = "jpeg"
    severity: float = 5
    factor: int = 4
    smallest: int = 64
    largest: int = 96
    grid: int = 1
    cache_mb: int = 1024

    def __post_init__(self):
        """Checks the ranges; raises ValueError."""
        for name in ("factor", "smallest", "grid"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.largest < self.smallest:
            raise ValueError(
                f"the largest crops of {self.largest} pixels must not be smaller than the "
                f"smallest of {self.smallest}"
            )
        if (self.largest - self.smallest) % SIZE_STEP:
            raise ValueError(
                f"the largest crops must be a multiple of {SIZE_STEP} pixels larger than the "
                f"smallest of {self.smallest}, got {self.largest}: no others are drawn"
            )


def degraded_pair(path: str, options: DegradedOptions) -> tuple[np.ndarray, np.ndarray]:
    """An image file, scaled down, and its degraded version.

    Returns:
      Two arrays uint8 [H // factor, W // factor, 3]: clean, degraded.

    Raises:
      ImageError: if the file is no image or smaller than the factor.
    """
    image = read_image(path)
    factor = options.factor
    height, width = (side // factor for side in image.shape[:2])
    if not (height and width):
        raise ImageError(f"{path}: smaller than {factor} pixels, the factor that it is scaled by")
    # What is left at the right and at the bottom would shift the pixels.
    image = image[: factor * height, : factor * width]
    degraded = distort(image, options.distortion, options.severity, noise_seed(path))
    return scaled(image, height, width), scaled(degraded, height, width)


def centered_pairs(
    paths: list[str], options: DegradedOptions, crop: int = 0
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The middle of each image and of its degraded version, all of one size.

    So each degraded image can be compared with the clean version of another.

    Args:
      paths: image files.
      options: what a pair is; windows begin at multiples of its grid.
      crop: side of the windows in pixels; 0 for the largest that all images have.

    Returns:
      For each image two arrays uint8 [H, W, 3]: clean, degraded.

    Raises:
      ImageError: if an image is smaller than the windows.
    """
    pairs = [degraded_pair(path, options) for path in paths]
    size = (crop, crop) if crop else np.min([clean.shape[:2] for clean, _ in pairs], 0)
    for path, (clean, _) in zip(paths, pairs):
        if min(clean.shape[:2]) < crop:
            raise ImageError(
                f"{path}: {clean.shape[0]}x{clean.shape[1]} pixels after scaling, smaller than "
                f"windows of {crop}x{crop}"
            )
    return [
        (_center(clean, size, options.grid), _center(degraded, size, options.grid))
        for clean, degraded in pairs
    ]


def _center(image: np.ndarray, size: tuple[int, int], grid: int) -> np.ndarray:
    top, left = ((side - n) // 2 // grid * grid for side, n in zip(image.shape, size))
    return image[top : top + size[0], left : left + size[1]]


def degraded_crops(
    paths: list[str], options: DegradedOptions, schedule: Schedule
) -> tf.data.Dataset:
    """Endless batches of pairs.

    Args:
      paths: image files.
      options: what a pair is.
      schedule: which pairs, and in which order.

    Returns:
      Data set of (clean, degraded), each float32 [device_batch, size, size, 3], pixel values
      0..255.

    Raises:
      ValueError: if there are no paths.
    """
    if not paths:
        raise ValueError("no images to cut crops from")
    # Both versions in one array, so that they are kept and forgotten together.
    kind = ("degraded", options.distortion, options.severity, options.factor)
    load = functools.partial(_load, options=options)
    images = Decoded(paths, load, options.cache_mb, kind)

    def read(index: np.int64) -> np.ndarray:
        both = images.read(index)
        # Here, not where they are made: what is kept is shared by pipelines of other crops.
        _check_size(paths[index], both[0], options.largest)
        return both

    def pair(number: tf.Tensor) -> tf.Tensor:
        index = schedule.image_index(number, len(paths))
        both = tf.numpy_function(read, [index], tf.uint8)
        both.set_shape((2, None, None, 3))
        size = _size(schedule, number // schedule.batch, options)
        key = schedule.key(number, Stream.SCALED_POSITION)
        return crop_at_random(both, size, key, options.grid)

    return schedule.batches(pair).map(split_pair).prefetch(4)


def _size(schedule: Schedule, step: tf.Tensor, options: DegradedOptions) -> tf.Tensor:
    """Side of the crops of a step."""
    count = (options.largest - options.smallest) // SIZE_STEP + 1
    key = schedule.key(step, Stream.SCALED_SIZE)
    draw = tf.random.stateless_uniform((), key, maxval=count, dtype=tf.int32)
    return options.smallest + SIZE_STEP * draw


def _check_size(path: str, image: np.ndarray, size: int) -> None:
    if min(image.shape[:2]) < size:
        raise ImageError(
            f"{path}: {image.shape[0]}x{image.shape[1]} pixels after scaling, smaller than "
            f"the crops of {size}x{size}"
        )


def _load(path: str, options: DegradedOptions) -> np.ndarray:
    return np.stack(degraded_pair(path, options))
