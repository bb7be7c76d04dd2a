"""What a study of latent restoration restores: images, some of known latents, degraded."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from lossylab.core.options import require, require_distinct
from lossylab.data import jpeg
from lossylab.data.decode import read_image, stored_size
from lossylab.data.scaling import scaled
from lossylab.inference.latent.latents import Latents, renderer
from lossylab.inference.latent.prior import normal
from lossylab.models.layers.bicubic import downscale
from lossylab.models.layers.stylegan_base import StyleGAN

JPEG, DOWNSCALE = TASKS = ("jpeg", "downscale")


@dataclasses.dataclass(frozen=True)
class Case:
    """An image to restore.

    Attributes:
      name: for the rows.
      clean: uint8 [R, R, 3].
      styles: float32 [L, D] that made it, or None.
    """

    name: str
    clean: np.ndarray
    styles: np.ndarray | None = None


def generated(generator: StyleGAN, count: int, seed: int, psi: float) -> Iterator[Case]:
    """Makes images of a generator, with noise of their own, one style for all layers.

    Args:
      generator: makes them.
      count: of images.
      seed: of latents and noise.
      psi: truncation of the styles of all layers.
    """
    image = renderer(generator)
    for index, latents in enumerate(drawn(generator, count, seed, psi)):
        yield Case(f"{index:03d}", image(latents), latents.styles)


def drawn(
    generator: StyleGAN, count: int, seed: int, psi: float, cutoff: int | None = None
) -> Iterator[Latents]:
    """What such images are made of.

    Args:
      generator: makes them.
      count: of images.
      seed: of latents and noise.
      psi: truncation of the styles.
      cutoff: only the first so many layers are truncated; None for all.
    """
    for index in range(count):
        latent = normal((1, generator.latent), "truth", seed, index)
        noise = [
            normal(stored.shape, "noise of a truth", seed, index, layer)
            for layer, stored in enumerate(generator.noise)
        ]
        yield Latents(_styles(generator, latent, psi, cutoff), noise)


def officially_drawn(
    generator: StyleGAN, seeds: Iterable[int], psi: float, cutoff: int | None
) -> Iterator[Latents]:
    """What run_generator.py of StyleGAN2's authors makes images of.

    One stream of numpy.random.RandomState(seed).randn gives the latent, then the noise maps in
    the order of the layers.

    Args:
      generator: makes the images.
      seeds: one an image.
      psi: truncation of the styles.
      cutoff: only the first so many layers are truncated; None for all.
    """
    for seed in seeds:
        random = np.random.RandomState(seed)
        latent = tf.constant(random.randn(1, generator.latent), tf.float32)
        noise = [random.randn(*stored.shape).astype(np.float32) for stored in generator.noise]
        yield Latents(_styles(generator, latent, psi, cutoff), noise)


def _styles(
    generator: StyleGAN, latent: tf.Tensor, psi: float, cutoff: int | None = None
) -> np.ndarray:
    """The styles [L, D] of a latent [1, D'] in all layers."""
    styles = tf.repeat(generator.map(latent)[:, None], generator.num_layers, 1)
    return generator.truncate(styles, psi, cutoff)[0].numpy()


def photographed(paths: Sequence[str], resolution: int) -> list[Case]:
    """Square images, scaled to the generator's resolution.

    Raises:
      UsageError: if one is not square, or smaller, or two have one name.
    """
    require_distinct("images", [pathlib.Path(path).stem for path in paths])
    for path in paths:
        height, width = stored_size(path)
        require(
            height == width >= resolution,
            f"{path} is {width}x{height}: squares of at least {resolution} pixels are needed",
        )
    return [Case(pathlib.Path(path).stem, scaled(read_image(path), resolution)) for path in paths]


def degrade(clean: np.ndarray, task: str, quality: int, factor: int) -> np.ndarray:
    """The image to restore: JPEG with halved chroma at full size, then smaller; or only smaller.

    After JPEG as degradation models learn it (Sec. 4.3), by Pillow; else as the search scales what
    it finds, by PULSE's bicubic, so that the original itself has no error but that of rounding.

    Args:
      clean: uint8 [R, R, 3].
      task: 'jpeg' or 'downscale'.
      quality: of JPEG.
      factor: R divided by the side of the result.

    Returns:
      uint8 [R / factor, R / factor, 3].
    """
    if task == JPEG:
        return scaled(jpeg.degrade(clean, quality), clean.shape[0] // factor)
    small = downscale(tf.constant(clean[None], tf.float32), factor)[0].numpy()
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)


def enlarged(image: np.ndarray, side: int) -> np.ndarray:
    """A square uint8 image with its pixels repeated, for show."""
    times = side // len(image)
    return np.repeat(np.repeat(image, times, 0), times, 1)
