"""What a study of latent restoration restores: images, some of known latents, degraded."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from lossylab.core.options import require, require_distinct
from lossylab.data import jpeg
from lossylab.data.decode import read_image, stored_size
from lossylab.data.scaling import scaled
from lossylab.inference.latent.prior import normal
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
      psi: truncation of the styles.
    """
    synthesize = tf.function(generator.synthesis, autograph=False)
    for index in range(count):
        latent = normal((1, generator.latent), "truth", seed, index)
        styles = tf.repeat(generator.map(latent)[:, None], generator.num_layers, 1)
        styles = generator.truncate(styles, psi)
        noise = [
            normal(stored.shape, "noise of a truth", seed, index, layer)
            for layer, stored in enumerate(generator.noise)
        ]
        image = synthesize(styles, noise)[0].numpy()
        clean = np.clip(np.rint(image), 0, 255).astype(np.uint8)
        yield Case(f"{index:03d}", clean, styles[0].numpy())


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
    """The image to restore: JPEG with halved chroma at full size (Sec. 4.3), then smaller.

    Args:
      clean: uint8 [R, R, 3].
      task: 'jpeg', or 'downscale' for the second part alone.
      quality: of JPEG.
      factor: R divided by the side of the result.

    Returns:
      uint8 [R / factor, R / factor, 3].
    """
    if task == JPEG:
        clean = jpeg.degrade(clean, quality)
    return scaled(clean, clean.shape[0] // factor)


def enlarged(image: np.ndarray, side: int) -> np.ndarray:
    """A square uint8 image with its pixels repeated, for show."""
    times = side // len(image)
    return np.repeat(np.repeat(image, times, 0), times, 1)
