"""Distortions at levels of growing strength, and training batches of them, for RankIQA.

X. Liu, J. van de Weijer, A. D. Bagdanov: "RankIQA: Learning from Rankings for No-reference Image
Quality Assessment", ICCV 2017: images are blurred, made noisy or compressed at five levels each,
and which of two levels is worse is known without any rater. The levels are those of the authors'
generator; noise is a function of the images' names.
"""

from __future__ import annotations

import dataclasses
import functools
import zlib
from collections.abc import Callable

import numpy as np
import scipy.fft
import tensorflow as tf

from lossylab.data import jpeg
from lossylab.data.decode import read_image
from lossylab.data.decoded import Decoded
from lossylab.data.distortions import DISTORTIONS
from lossylab.data.patch_pairs import noise_seed
from lossylab.data.patches import CropOptions, check_sizes
from lossylab.data.schedule import Schedule, Stream, share_of_device


@dataclasses.dataclass(frozen=True)
class DistortionLevels:
    """A kind of distortion at levels of growing strength.

    Attributes:
      apply: from (uint8 [H, W, 3], severity, seed) to the distorted image, the same shape.
      unit: what a severity is.
      trained: severities that are trained with, weakest first.
      held_out: severities between those, to measure with.
    """

    apply: Callable[[np.ndarray, float, int], np.ndarray]
    unit: str
    trained: tuple[float, ...]
    held_out: tuple[float, ...]


def _blur(image: np.ndarray, kernel_size: float, seed: int) -> np.ndarray:
    """By a Gaussian of std kernel_size / 6 that is cut off, mirrored at the edges.

    An image mirrored without end times a symmetric window is a product of cosine transforms, which
    takes no longer for windows of 199 pixels than for small ones. tensorflow-addons' filter gives
    the same but for 6 values in 100,000 and takes 14 times as long for 39 pixels (512x768, CPU).
    """
    del seed
    spectrum = np.asarray(scipy.fft.dctn(image.astype(np.float32), axes=(0, 1)))
    rows, columns = (_response(side, int(kernel_size)) for side in image.shape[:2])
    product = spectrum * rows[:, None, None] * columns[:, None]
    blurred = np.asarray(scipy.fft.idctn(product, axes=(0, 1)))
    return np.rint(blurred).astype(np.uint8)


@functools.lru_cache(maxsize=64)
def _response(side: int, kernel_size: int) -> np.ndarray:
    """What the window makes of each of the `side` cosines."""
    offsets = np.arange(-(kernel_size // 2), kernel_size // 2 + 1)
    window = np.exp(-0.5 * (offsets / (kernel_size / 6)) ** 2)
    waves = np.cos(np.pi / side * np.outer(np.arange(side), offsets))
    return (waves @ (window / window.sum())).astype(np.float32)


def _noise(image: np.ndarray, variance: float, seed: int) -> np.ndarray:
    return DISTORTIONS["white"].apply(image, 255.0 * variance**0.5, seed)


def _jpeg(image: np.ndarray, quality: float, seed: int) -> np.ndarray:
    del seed
    return jpeg.degrade(image, max(int(quality), 1))  # libjpeg takes 0 for 1


DISTORTION_LEVELS = {
    "blur": DistortionLevels(
        _blur,
        "kernel size of a Gaussian, six std",
        (7, 15, 39, 91, 199),
        (11, 25, 59, 135),
    ),
    "noise": DistortionLevels(
        _noise,
        "variance in [0, 1]",
        (2**-10, 2**-7.5, 2**-5.5, 2**-3.5, 1),
        (2**-8.75, 2**-6.5, 2**-4.5, 2**-1.75),
    ),
    "jpeg": DistortionLevels(_jpeg, "JPEG quality", (43, 12, 7, 4, 0), (27, 9, 5, 3)),
    "jpeg2000": DistortionLevels(
        DISTORTIONS["jpeg2000"].apply,
        "compression ratio",
        tuple(24 / bpp for bpp in (0.46, 0.16, 0.07, 0.04, 0.02)),
        tuple(24 / bpp for bpp in (0.27, 0.11, 0.053, 0.028)),
    ),
}
LEVELS = 6  # in training: five, and the reference
SMALLEST_BATCH = len(DISTORTION_LEVELS) * LEVELS


def versions(image: np.ndarray, name: str, seed: int, held_out: bool = False) -> np.ndarray:
    """An image at all levels of a distortion.

    Args:
      image: uint8 [H, W, 3].
      name: one of `DISTORTION_LEVELS`.
      seed: of the noise, which is another one at each level.
      held_out: the levels between the trained ones instead.

    Returns:
      uint8 [levels + 1, H, W, 3], the strongest first, the image itself last. A JPEG 2000
      file takes some 180 bytes at least: below 70,000 pixels the strongest levels are alike.

    Raises:
      ValueError: for an unknown name.
    """
    if name not in DISTORTION_LEVELS:
        raise ValueError(f"distortion must be one of {', '.join(DISTORTION_LEVELS)}, got '{name}'")
    kind = DISTORTION_LEVELS[name]
    severities = kind.held_out if held_out else kind.trained
    distorted = [
        kind.apply(image, severity, zlib.crc32(f"{seed} {severity:g}".encode()))
        for severity in reversed(severities)
    ]
    return np.stack([*distorted, image])


def ranked_crops(paths: list[str], options: CropOptions, schedule: Schedule) -> tf.data.Dataset:
    """Endless batches of images at all distortion levels.

    A device's part is (4 distortions) x (6 levels, strongest first, reference last) x (images),
    the same images for all distortions. Images are distorted whole; each version has a crop
    at a position of its own (assumed: as in the authors' code).

    Args:
      paths: image files.
      options: what crops are.
      schedule: which crops, and in which order; its batch is a multiple of `SMALLEST_BATCH` a
        device.

    Returns:
      Data set of float32 [device_batch, size, size, 3], pixel values 0..255.

    Raises:
      ValueError: if the devices do not get all distortion levels.
    """
    slots = images_of_device(schedule.batch, schedule.shards * schedule.replicas)
    groups = dataclasses.replace(schedule, batch=schedule.batch // LEVELS)
    kept = [
        Decoded(paths, functools.partial(_load, name=name), options.cache_mb, ("levels", name))
        for name in DISTORTION_LEVELS
    ]

    def cut(index: np.int64, kind: np.int64, draws: np.ndarray) -> np.ndarray:
        versions = kept[kind].read(index)
        if min(versions.shape[1:3]) < options.size:
            check_sizes([paths[index]], options.size)
        return _crop_each(versions, draws, options.size)

    def group_of_crops(number: tf.Tensor) -> tf.Tensor:
        """All levels of one distortion of one image."""
        step, group = number // groups.batch, number % groups.batch
        device, group = group // groups.device_batch, group % groups.device_batch
        image = step * (schedule.batch // SMALLEST_BATCH) + device * slots + group % slots
        key = schedule.key(number, Stream.RANKED_POSITION)
        draws = tf.random.stateless_uniform((LEVELS, 2), key)
        index = schedule.image_index(image, len(paths))
        crops = tf.numpy_function(cut, [index, group // slots, draws], tf.uint8)
        return tf.ensure_shape(crops, (LEVELS, options.size, options.size, 3))

    return groups.batches(group_of_crops).map(_by_level).prefetch(4)


def _crop_each(versions: np.ndarray, draws: np.ndarray, size: int) -> np.ndarray:
    """A square of each version, at the position that its draws [2] in [0, 1) tell."""
    rooms = np.array(versions.shape[1:3]) - size + 1
    positions = (draws * rooms).astype(int)
    return np.stack(
        [
            version[top : top + size, left : left + size]
            for version, (top, left) in zip(versions, positions)
        ]
    )


def _by_level(groups: tf.Tensor) -> tf.Tensor:
    """Crops [distortions x images, levels, ...] as float32 [distortions x levels x images, ...]."""
    shape = groups.shape[2:]
    crops = tf.reshape(tf.cast(groups, tf.float32), (len(DISTORTION_LEVELS), -1, LEVELS, *shape))
    return tf.reshape(tf.transpose(crops, (0, 2, 1, 3, 4, 5)), (-1, *shape))


def images_of_device(batch: int, devices: int) -> int:
    """Images in a device's part of a batch of crops; raises ValueError if it is not whole."""
    local = share_of_device(batch, devices)
    if local % SMALLEST_BATCH:
        raise ValueError(
            f"a batch of {local} crops a device is no multiple of {SMALLEST_BATCH}: "
            f"{len(DISTORTION_LEVELS)} distortions at {LEVELS} levels"
        )
    return local // SMALLEST_BATCH


def _load(path: str, name: str) -> np.ndarray:
    return versions(read_image(path), name, noise_seed(path))
