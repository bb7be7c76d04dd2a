"""Makes images with a StyleGAN's generator."""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
import math
import os
import pathlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import tqdm
from PIL import Image

from lossylab.cli import jobs
from lossylab.cli.journal import Journal
from lossylab.cli.options.generate import GenerateOptions
from lossylab.core import command
from lossylab.core.digest import file_digest
from lossylab.core.files import make_folder, refuse_existing, remove_rests, replacing
from lossylab.core.options import naming, require
from lossylab.core.rows import identity
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.data.squares import read_square
from lossylab.eval.metrics.feature_frechet import FeatureFrechet
from lossylab.eval.metrics.frechet import frechet_distance
from lossylab.eval.metrics.kernel_distance import kernel_distance
from lossylab.inference.importers import stylegan_files
from lossylab.inference.latent import cases as latent_cases
from lossylab.inference.latent import latents as latent_files
from lossylab.inference.latent.generator import find_generator
from lossylab.inference.latent.latents import Latents, renderer
from lossylab.models.layers.stylegan_base import StyleGAN

log = logging.getLogger("lossylab")


@dataclasses.dataclass(frozen=True)
class _File:
    """An image to write.

    Attributes:
      path: of the file.
      identity: names what it is of.
    """

    path: pathlib.Path
    identity: str


def generate(options: GenerateOptions) -> None:
    """Makes the images that are not there yet.

    Raises:
      UsageError: if there are outputs of something else, or the generator's file is none.
      OutputError: if images cannot be written.
    """
    generator = _generator(options.generator)
    others, distance = _others(options, generator.resolution), _distance(options)
    psi, cutoff = _truncation(options, generator)
    latents = _latents(options, generator, psi, cutoff)
    files = _files(options, identity(stylegan_files.fingerprint(generator), psi, cutoff))
    out, whole = pathlib.Path(options.output), [file.identity for file in files]
    asked = {"sheet": options.sheet, "interpolation": options.interpolate}
    more = {
        name: _File(out / f"{name}.png", identity(number, whole))
        for name, number in asked.items()
        if number
    }
    writer = _Writer(out, [*files, *more.values()], options.overwrite)
    render = renderer(generator)
    images, styles = _made(writer, files, latents, render, bool(more or others))
    if "sheet" in more:
        writer.write(more["sheet"], lambda: tiled(images, math.isqrt(len(images) - 1) + 1))
    if "interpolation" in more:
        writer.write(
            more["interpolation"],
            lambda: tiled(
                [render(each) for each in _between(generator, styles, options.interpolate)],
                options.interpolate + 2,
            ),
        )
    if distance is not None:
        _compare(distance, psi, images, others)
    also = "".join(f", {file.path.name}" for file in more.values())
    command.written(out, f"{len(files)} images{also}")


def _made(
    writer: _Writer,
    files: Sequence[_File],
    latents: Iterable[Latents],
    render: Callable[[Latents], np.ndarray],
    keep: bool,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Makes the images that are missing; returns all, and their styles, if they are to be kept."""
    images, styles = [], []
    for file, each in zip(tqdm.tqdm(files, unit="image"), latents):
        made = writer.write(file, functools.partial(render, each))
        if keep:
            images.append(read_image(str(file.path)) if made is None else made)
            styles.append(each.styles)
    return images, styles


def _generator(path: str | None) -> StyleGAN:
    """The generator of a path or name, or the first that has a name."""
    with naming("generator"):
        return find_generator(jobs.generator_of(path))


def _truncation(options: GenerateOptions, generator: StyleGAN) -> tuple[float, int | None]:
    """Psi, and how many layers it is for; the authors' metrics are of images without truncation."""
    sizes = generator.sizes
    if options.psi is not None:
        return options.psi, sizes.truncated or None
    return 1.0 if options.compare_with is not None else sizes.psi, sizes.truncated


def _latents(
    options: GenerateOptions, generator: StyleGAN, psi: float, cutoff: int | None
) -> Iterable[Latents]:
    """What the images are made of, in order."""
    if options.styles is not None:
        with naming("styles"):
            return [latent_files.load(options.styles, generator)]
    if options.seeds:
        return latent_cases.officially_drawn(generator, options.official_seeds(), psi, cutoff)
    return latent_cases.drawn(generator, options.count, options.seed, psi, cutoff)


def _files(options: GenerateOptions, decides: str) -> list[_File]:
    """The images' files; how many images are made does not count for one of them."""
    out = pathlib.Path(options.output)
    if options.styles is not None:
        name = pathlib.Path(options.styles).stem
        return [_File(out / f"{name}.png", identity(decides, file_digest(options.styles)))]
    if options.seeds:
        return [
            _File(out / f"seed{seed:04d}.png", identity(decides, "official", seed))
            for seed in options.official_seeds()
        ]
    digits = max(3, len(str(options.count - 1)))
    return [
        _File(out / f"{index:0{digits}d}.png", identity(decides, options.seed, index))
        for index in range(options.count)
    ]


class _Writer:
    """Writes the files that are not finished, and notes in their folder what they are of."""

    def __init__(self, folder: pathlib.Path, files: Sequence[_File], overwrite: bool) -> None:
        """Looks what is there; raises UsageError if files of something else are."""
        self._journal = Journal(make_folder(folder))
        remove_rests(folder)
        states = {
            file.path: self._journal.state(str(file.path), file.identity)
            for file in files
            if not overwrite and os.path.lexists(file.path)
        }
        strange = [path for path, state in states.items() if state == "other"]
        refuse_existing(strange, ", of another generator or options, or changed since")
        self._finished = {path for path, state in states.items() if state == "finished"}
        if self._finished:
            log.info("%d of %d files are finished and left out", len(self._finished), len(files))

    def write(self, file: _File, make: Callable[[], np.ndarray]) -> np.ndarray | None:
        """Makes an image, uint8 [H, W, 3], and writes it; None if that is done already.

        Raises:
          OutputError: if it cannot be written.
        """
        if file.path in self._finished:
            return None
        image = make()
        self._journal.begin(str(file.path), file.identity)
        with replacing(file.path) as temporary:
            Image.fromarray(image).save(temporary)
        self._journal.end(str(file.path), file.identity)
        return image


def tiled(images: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Images [R, R, 3] of one size side by side, white where there are too few."""
    rows = -(-len(images) // columns)
    side = images[0].shape[0]
    sheet = np.full((rows * side, columns * side, 3), 255, np.uint8)
    for index, image in enumerate(images):
        top, left = side * (index // columns), side * (index % columns)
        sheet[top : top + side, left : left + side] = image
    return sheet


def _between(generator: StyleGAN, styles: Sequence[np.ndarray], steps: int) -> Iterator[Latents]:
    """Styles from each to the next, ends included, with the stored noise."""
    for one, other in zip(styles, styles[1:]):
        for share in np.linspace(0, 1, steps + 2, dtype=np.float32):
            yield Latents((1 - share) * one + share * other, generator.noise)


def _others(options: GenerateOptions, side: int) -> list[np.ndarray]:
    """What the images are compared with."""
    if options.compare_with is None:
        return []
    with naming("compare_with"):
        paths = find_images(options.compare_with)
    require(len(paths) > 1, "`compare_with` needs two images at least")
    return [read_square(path, side) for path in paths]


def _distance(options: GenerateOptions) -> FeatureFrechet | None:
    """What images are compared by; its features need a network, only where that is asked for."""
    if options.compare_with is None:
        return None
    with naming("features"):
        return FeatureFrechet(options.features)


def _compare(
    distance: FeatureFrechet, psi: float, made: list[np.ndarray], others: list[np.ndarray]
) -> None:
    sets = [distance.features(images) for images in (made, others)]
    found = {
        "frechet_distance": round(frechet_distance(*sets), 4),
        "kernel_distance": float(f"{kernel_distance(*sets):.4g}"),
        "features": distance.label,
        "psi": psi,
        "generated": len(made),
        "compared_with": len(others),
    }
    sys.stdout.write(json.dumps(found) + "\n")
