"""Makes images with a StyleGAN's generator."""

from __future__ import annotations

import json
import math
import pathlib
import sys
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tqdm
from PIL import Image

from lossylab.cli.options.generate import GenerateOptions
from lossylab.core import command
from lossylab.core.files import make_folder, replacing, require_new
from lossylab.core.options import naming, require
from lossylab.data.collections import find_images
from lossylab.data.squares import read_square
from lossylab.inference.latent import cases as latent_cases
from lossylab.inference.latent.cases import Case
from lossylab.inference.latent.generator import find_generator
from lossylab.models.layers.stylegan_base import StyleGAN


def generate(options: GenerateOptions) -> None:
    """Makes the images.

    Raises:
      UsageError: if outputs exist, or the generator's file is none.
      OutputError: if images cannot be written.
    """
    digits = max(3, len(str(options.count - 1)))
    out = pathlib.Path(options.output)
    paths = [out / f"{index:0{digits}d}.png" for index in range(options.count)]
    more = {"sheet": out / "sheet.png", "interpolation": out / "interpolation.png"}
    asked = {"sheet": options.sheet, "interpolation": options.interpolate > 0}
    require_new([*paths, *(more[name] for name in more if asked[name])], options.overwrite)
    with naming("generator"):
        generator = find_generator(options.generator)
    others = _others(options, generator.resolution)
    make_folder(out)
    kept: list[Case] = []
    cases = latent_cases.generated(generator, options.count, options.seed, options.psi)
    for path, case in zip(tqdm.tqdm(paths, unit="image"), cases):
        _write(path, case.clean)
        if any(asked.values()) or others:
            kept.append(case)
    if options.sheet:
        _write(more["sheet"], tiled([case.clean for case in kept], math.isqrt(len(kept) - 1) + 1))
    if options.interpolate:
        line = _between(generator, kept, options.interpolate)
        _write(more["interpolation"], tiled(line, options.interpolate + 2))
    if others:
        _compare(options, [case.clean for case in kept], others)
    also = "".join(f", {more[name].name}" for name in more if asked[name])
    command.written(out, f"{options.count} images{also}")


def tiled(images: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Images [R, R, 3] of one size side by side, white where there are too few."""
    rows = -(-len(images) // columns)
    side = images[0].shape[0]
    sheet = np.full((rows * side, columns * side, 3), 255, np.uint8)
    for index, image in enumerate(images):
        top, left = side * (index // columns), side * (index % columns)
        sheet[top : top + side, left : left + side] = image
    return sheet


def _between(generator: StyleGAN, cases: list[Case], steps: int) -> list[np.ndarray]:
    """Images of styles from each case's to the next's, ends included, with the stored noise."""
    made = []
    for one, other in zip(cases, cases[1:]):
        for share in np.linspace(0, 1, steps + 2, dtype=np.float32):
            styles = (1 - share) * np.asarray(one.styles) + share * np.asarray(other.styles)
            image = generator.synthesis(tf.constant(styles[None]))[0].numpy()
            made.append(np.clip(np.rint(image), 0, 255).astype(np.uint8))
    return made


def _others(options: GenerateOptions, side: int) -> list[np.ndarray]:
    """What the images are compared with."""
    if options.compare_with is None:
        return []
    with naming("compare_with"):
        paths = find_images(options.compare_with)
    require(len(paths) > 1, "`compare_with` needs two images at least")
    return [read_square(path, side) for path in paths]


def _compare(options: GenerateOptions, made: list[np.ndarray], others: list[np.ndarray]) -> None:
    # Its features need TensorFlow's networks: only where it is asked for.
    from lossylab.eval.metrics.feature_frechet import FeatureFrechet
    from lossylab.eval.metrics.inception import frechet_distance
    from lossylab.eval.metrics.kernel_distance import kernel_distance

    distance = FeatureFrechet(options.features)
    sets = [distance.features(images) for images in (made, others)]
    found = {
        "frechet_distance": round(frechet_distance(*sets), 4),
        "kernel_distance": float(f"{kernel_distance(*(each.pooled for each in sets)):.4g}"),
        "features": distance.label,
        "generated": len(made),
        "compared_with": len(others),
    }
    sys.stdout.write(json.dumps(found) + "\n")


def _write(path: pathlib.Path, image: np.ndarray) -> None:
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary)
