"""Training patches of images and of their JPEG files, on a lattice (WCDGAN Sec. III-A).

An image is coded whole, then patches are cut from both at equal positions, `stride` apart. An epoch
has every patch once: images come in groups, in a new order each epoch, and the patches of a
group are mixed, so that each image is decoded and coded once an epoch however many there are,
if a group fits into memory.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import logging
import os

import numpy as np
import tensorflow as tf

from lossylab.data.color import studio_luma
from lossylab.data.decode import decode_image, read_image, stored_size
from lossylab.data.decoded import Decoded
from lossylab.data.jpeg import degrade
from lossylab.data.patches import check_crops, split_pair
from lossylab.data.schedule import Schedule

log = logging.getLogger("lossylab")

CHANNELS = {"rgb": 3, "y": 1}  # of the protocols
_GROUP = 32  # images whose patches are mixed; 550 MiB of DIV2K with their JPEG versions


@dataclasses.dataclass(frozen=True)
class LatticeOptions:
    """What a pair of patches is.

    Attributes:
      size: height and width in pixels.
      stride: distance of the patches in pixels.
      quality: of the JPEG file, 1..100.
      best_quality: with it, each file has a quality between `quality` and it, another each epoch,
        in which it is decoded and coded anew.
      channels: 1 for luma in studio range (gray files as they are), 3 for RGB with 4:2:0.
      cache_mb: decoded images kept in memory, MiB.
    """

    size: int = 80
    stride: int = 75
    quality: int = 10
    channels: int = 3
    cache_mb: int = 1024
    best_quality: int | None = None

    def __post_init__(self):
        """Checks the ranges; raises ValueError."""
        check_crops(self, "size", "stride")
        if self.best_quality is not None and not self.quality <= self.best_quality <= 100:
            raise ValueError(
                f"best_quality must be in {self.quality} (quality) .. 100, got {self.best_quality}"
            )
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, got {self.channels}")


def read_planes(path: str, channels: int) -> np.ndarray:
    """An image file as luma or RGB, uint8 [H, W, channels]; raises ImageError.

    Luma is MATLAB's studio range; the plane of a gray file is taken as it is.
    """
    if channels == 3:
        return read_image(path)
    image = decode_image(path).pixels
    return image if image.shape[2] == 1 else studio_luma(image)


class Lattice:
    """Which patch is which: a function of the seed and the patch's number.

    Attributes:
      paths: image files.
      options: what a pair is.
      total: patches in an epoch.
      group_mb: memory that the images of a group take, MiB.
    """

    def __init__(self, paths: list[str], options: LatticeOptions) -> None:
        """Reads the headers of all images.

        Raises:
          ImageError: if a file is no image.
          ValueError: if no image holds a patch.
        """
        # Turning an image by its EXIF orientation does not change its number of patches.
        self.paths, self.options = paths, options
        sizes = [stored_size(path) for path in paths]
        self._counts = np.array([self._count(size, options) for size in sizes])
        pixels = np.mean([height * width for height, width in sizes]) * min(_GROUP, len(paths))
        self.group_mb = int(2 * options.channels * pixels / 2**20)
        self.total = int(self._counts.sum())
        if not self.total:
            raise ValueError("no image is as large as a patch")

    @staticmethod
    def _count(size: tuple[int, int], options: LatticeOptions) -> int:
        return int(np.prod([max(0, (s - options.size) // options.stride + 1) for s in size]))

    def locate(self, seed: int, number: int) -> tuple[int, int]:
        """Index of the image, and of the patch in it, of the patch that is `number`-th."""
        epoch, offset = divmod(number, self.total)
        starts, groups = self._epoch(seed, epoch)
        group = bisect.bisect_right(starts, offset) - 1
        patch = self._mixed(seed, epoch, group)[offset - starts[group]]
        counts = np.cumsum(self._counts[groups[group]])
        member = int(np.searchsorted(counts, patch, side="right"))
        before = counts[member - 1] if member else 0
        return int(groups[group][member]), int(patch - before)

    def quality(self, seed: int, number: int, image: int) -> int:
        """Of the file of an image in the epoch that a patch's number is of."""
        return int(self._qualities(seed, number // self.total)[image])

    def pairs(self, schedule: Schedule) -> tf.data.Dataset:
        """Endless batches of pairs.

        Args:
          schedule: which pairs, and in which order.

        Returns:
          Data set of (clean, degraded), each float32 [device_batch, size, size, channels], pixel
          values 0..255.
        """
        options = self.options
        if self.group_mb > options.cache_mb:
            log.warning(
                "%d images and their JPEG versions take %d MiB, `cache_mb` is %d: they will be "
                "decoded again and again",
                min(_GROUP, len(self.paths)),
                self.group_mb,
                options.cache_mb,
            )
        # Both versions in one array, so that they are kept and forgotten together.
        images = Decoded(self.paths, _load, options.cache_mb, ("pair",))

        def patch(number: int) -> np.ndarray:
            image, position = self.locate(schedule.seed, number)
            quality = self.quality(schedule.seed, number, image)
            return _window(images.read(image, quality, options.channels), position, options)

        def cut(first: np.int64) -> np.ndarray:
            return np.stack([patch(int(first) + i) for i in range(schedule.device_batch)])

        def batch(element: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            both = tf.numpy_function(cut, [schedule.first_number(element)], tf.uint8)
            shape = (schedule.device_batch, 2, options.size, options.size, options.channels)
            return split_pair(tf.ensure_shape(both, shape))

        batches = schedule.elements().map(
            batch, num_parallel_calls=os.cpu_count(), deterministic=True
        )
        return batches.prefetch(4)

    @functools.lru_cache(maxsize=2)  # noqa: B019 - lives as long as the pipeline
    def _epoch(self, seed: int, epoch: int) -> tuple[list[int], list[np.ndarray]]:
        """The groups of an epoch, and the number of patches before each."""
        order = _generator(seed, epoch, 0).permutation(len(self._counts))
        groups = [order[i : i + _GROUP] for i in range(0, len(order), _GROUP)]
        sizes = [int(self._counts[group].sum()) for group in groups]
        return [0, *np.cumsum(sizes)[:-1].tolist()], groups

    @functools.lru_cache(maxsize=2)  # noqa: B019
    def _qualities(self, seed: int, epoch: int) -> np.ndarray:
        """Of all images in an epoch."""
        least, best = self.options.quality, self.options.best_quality
        count = len(self._counts)
        if best is None:
            return np.full(count, least)
        return _generator(seed, epoch, 0, 1).integers(least, best, count, endpoint=True)

    @functools.lru_cache(maxsize=4)  # noqa: B019
    def _mixed(self, seed: int, epoch: int, group: int) -> np.ndarray:
        groups = self._epoch(seed, epoch)[1]
        count = int(self._counts[groups[group]].sum())
        return _generator(seed, epoch, 1 + group).permutation(count)


def lattice_patches(
    paths: list[str], options: LatticeOptions, schedule: Schedule
) -> tf.data.Dataset:
    """Endless batches of pairs, see `Lattice` and `Lattice.pairs`."""
    return Lattice(paths, options).pairs(schedule)


def _load(path: str, quality: int, channels: int) -> np.ndarray:
    image = read_planes(path, channels)
    return np.stack([image, degrade(image, quality)])


def _window(pair: np.ndarray, patch: int, options: LatticeOptions) -> np.ndarray:
    columns = (pair.shape[2] - options.size) // options.stride + 1
    top, left = (options.stride * index for index in divmod(patch, columns))
    return pair[:, top : top + options.size, left : left + options.size]


def _generator(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
