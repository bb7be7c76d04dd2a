"""Comparison grids of a degradation model: clean, degraded and drawn images (Fig. 5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tqdm

from lossylab.core.files import make_folder
from lossylab.data.patch_pairs import noise_seed
from lossylab.eval.report import crop_grid
from lossylab.inference.export.degradation import Degradation
from lossylab.inference.export.sampler import draw_uniforms, sample_wavefront

_DRAWN = 2  # samples of each image


def write(
    folder: str,
    title: str,
    model: Degradation,
    names: Sequence[str],
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
) -> None:
    """Writes crops and their index, of which `plots.grid` makes a figure.

    Args:
      folder: to write to.
      title: of the figure: the model's budget.
      model: what draws and judges.
      names: of the images.
      pairs: clean and degraded images, uint8 [H, W, 3].

    Raises:
      OutputError: if the folder cannot be written.
    """
    out, images = make_folder(folder), {}
    for name, (clean, degraded) in zip(names, tqdm.tqdm(pairs, unit="image", desc="drawing")):
        entries = [
            crop_grid.Tile(clean, "original"),
            _judged("degraded", model, degraded, clean),
        ]
        for seed in range(_DRAWN):
            height, width, _ = clean.shape
            own = (noise_seed(name) + seed) % 2**32  # other numbers for each image
            uniforms = draw_uniforms(own, 1, height, width, model.network().options["mixtures"])
            drawn = sample_wavefront(model.network(), clean[None], uniforms)[0]
            entries.append(_judged(f"drawn, seed {seed}", model, drawn, clean))
        images[name] = entries
    crop_grid.write(out, title, images)


def _judged(
    label: str, model: Degradation, degraded: np.ndarray, clean: np.ndarray
) -> crop_grid.Tile:
    """An image whose label has its likelihood."""
    batches = (tf.constant(image[None], tf.float32) for image in (degraded, clean))
    bits = float(model.nll(*batches)[0])
    return crop_grid.Tile(degraded, f"{label}\n{bits:.2f} bits/dim")
