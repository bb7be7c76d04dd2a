"""The distortion GAN's figures: grids with histograms (2, 3, 4), divergences, lambda (3)."""

from __future__ import annotations

import pathlib
from functools import partial

import numpy as np

from lossylab.eval.distortion_gan.evidence import Evidence
from lossylab.eval.distortion_gan.tables import LAMBDAS
from lossylab.eval.distortions import REAL
from lossylab.eval.metrics import nss
from lossylab.eval.report import crop_grid, plots
from lossylab.eval.report.paper import Draw
from lossylab.eval.severity_search import SHORT

_HEADINGS = {
    "fig02_distortions": "Fig. 2: real and generated distortions",
    "fig03_sparsity": "Fig. 3: JPEG by weight of the sparsity",
    "fig04_pixel_losses": "Fig. 4: JPEG by pixel losses",
}


def figures(evidence: Evidence) -> dict[str, Draw]:
    """What draws each figure."""
    return {
        "table1": partial(_matrix, evidence, ""),
        "real_distortions": partial(_matrix, evidence, REAL),
        "fig03_lambda": partial(_lambdas, evidence),
        **{name: partial(_grid, folder) for name, folder in evidence.grids.items()},
    }


def _matrix(evidence: Evidence, prefix: str, path: pathlib.Path) -> bool:
    """Divergences of four generated from the four real distortions, as a map."""
    methods = [name for name in SHORT if prefix + name in evidence.methods]
    if not methods:
        return False
    what = "real distortions, other noise," if prefix else "generated"
    title = f"{'' if prefix else 'Table I: '}JSD of {what} and real distortions, bit"
    with plots.figure(path, title, 1, 1, (5.4, 5.0)) as axes:
        axis = axes[0, 0]
        values = np.array([[evidence.mean(prefix + m, t) for t in SHORT] for m in methods])
        axis.imshow(np.log10(np.maximum(values, 1e-4)), cmap="viridis", vmin=-3.5, vmax=-0.5)
        for (y, x), value in np.ndenumerate(values):
            axis.text(x, y, f"{value:.4f}", ha="center", va="center", color="red")
        axis.set_xticks(range(len(SHORT)), SHORT.values())
        axis.set_yticks(range(len(methods)), [SHORT[name] for name in methods])
        axis.set(xlabel="real", ylabel=what)
    return True


def _lambdas(evidence: Evidence, path: pathlib.Path) -> bool:
    """Divergence from real JPEG and mean residual over lambda."""
    there = {value: name for name, value in LAMBDAS.items() if name in evidence.methods}
    if len(there) < 2:
        return False
    title = "Fig. 3: weight of the sparsity"
    with plots.figure(path, title, 1, 2, (9.5, 4.2)) as axes:
        positions = range(len(there))
        for axis, measure, label in (
            (axes[0, 0], "jsd", "JSD to real JPEG, bit"),
            (axes[0, 1], "residual", "mean absolute residual, pixel values"),
        ):
            values = [evidence.mean(name, "jpeg", measure) for name in there.values()]
            axis.plot(positions, values, marker="o", label="generated")
            axis.set_xticks(positions, [f"{value:g}" for value in there])
            axis.set(xlabel="lambda", ylabel=label)
            axis.grid(alpha=0.3)
        real = evidence.mean(REAL + "jpeg", "jpeg", "residual")
        axes[0, 1].axhline(real, color="0.5", linestyle="--", label="real JPEG")
        axes[0, 1].legend()
    return True


def _grid(folder: pathlib.Path, path: pathlib.Path) -> bool:
    """Original, real, generated, residual and histograms side by side, a line a model."""
    images = crop_grid.read(folder).images
    size = (12.5, 0.7 + 2.6 * len(images))
    edges = np.linspace(-nss.LIMIT, nss.LIMIT, nss.BINS + 1)
    middles = (edges[:-1] + edges[1:]) / 2
    with plots.figure(
        path, _HEADINGS.get(folder.name, folder.name), len(images), 5, size, images=True
    ) as axes:
        for line, items in zip(axes, images.values()):
            for axis, item in zip(line, items):
                axis.imshow(item.pixels, interpolation="nearest")
                axis.set_title(item.label, fontsize=8)
                axis.axis("off")
            for values, label in zip(items[2].facts["histograms"], ("real", "generated")):
                line[4].semilogy(middles, np.maximum(values, 1e-5), lw=1, label=label)
            line[4].set_title("products of adjacent MSCN", fontsize=8)
            line[4].tick_params(labelsize=7)
            line[4].legend(fontsize=7)
    return True
