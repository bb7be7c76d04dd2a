"""Sheets of a degradation model: good, truly degraded and drawn images side by side (Fig. 5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tqdm

from lossylab.core.files import make_folder
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
      pairs: good and degraded images, uint8 [H, W, 3].

    Raises:
      OutputError: if the folder cannot be written.
    """
    out, images = make_folder(folder), {}
    for name, (good, degraded) in zip(names, tqdm.tqdm(pairs, unit="image", desc="drawing")):
        entries = [
            crop_grid.write(out, f"{name}_original.png", good, "original"),
            _judged(out, f"{name}_degraded.png", "degraded", model, degraded, good),
        ]
        for seed in range(_DRAWN):
            uniforms = draw_uniforms(seed, 1, *good.shape[:2], model.network.options["mixtures"])
            drawn = sample_wavefront(model.network, good[None], uniforms)[0]
            label = f"drawn, seed {seed}"
            entries.append(_judged(out, f"{name}_drawn{seed}.png", label, model, drawn, good))
        images[name] = entries
    crop_grid.write_index(out, title, images)


def _judged(out, file, label, model, degraded, good) -> dict[str, str]:
    """Writes an image; its label has its likelihood."""
    sides = (tf.constant(side[None], tf.float32) for side in (degraded, good))
    bits = float(model.nll(*sides)[0])
    return crop_grid.write(out, file, degraded, f"{label}\n{bits:.2f} bits/dim")
