"""The distortion GAN's figures: grids with histograms (2, 3, 4), divergences, lambda (3)."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from functools import partial

import numpy as np

from lossylab.data.distortions import DISTORTIONS
from lossylab.eval.distortion_gan.evidence import Evidence
from lossylab.eval.distortion_gan.tables import LAMBDAS
from lossylab.eval.metrics import nss, residuals
from lossylab.eval.options.distortions import REAL
from lossylab.eval.report import crop_grid, plots, published
from lossylab.eval.report.differences import margin
from lossylab.eval.report.names import published_name
from lossylab.eval.report.paper import Draw
from lossylab.eval.report.tables import number
from lossylab.eval.schemas import SHORT

_HEADINGS = {
    "fig02_distortions": "Fig. 2: real and generated distortions",
    "fig03_sparsity": "Fig. 3: JPEG by weight of the sparsity",
    "fig04_pixel_losses": "Fig. 4: JPEG by pixel losses",
}

_SEVERITY = re.compile(r"(\w+), severity ([\d.]+)")  # labels of crops of version 0.1.0
_NOISE, _OCTAVES = ("white", "pink"), (32, 16, 8, 4, 2)
_LEAST, _MOST = -3.5, -0.5  # logarithms of divergences that colors tell apart


def figures(evidence: Evidence) -> dict[str, Draw]:
    """What draws each figure."""
    return {
        "table1": partial(_matrix, evidence),
        "fig03_lambda": partial(_lambdas, evidence),
        "spectra": partial(_spectra, evidence),
        **{name: partial(_grid, folder) for name, folder in evidence.grids.items()},
    }


def _matrix(evidence: Evidence, path: pathlib.Path) -> bool:
    """Divergences of four distortions from four real ones: the paper's, ours, of real ones."""
    values = published.numbers("distortion_gan", "I")
    paper = np.array([[values[a, b, "mean"] for b in SHORT.values()] for a in SHORT.values()])
    maps = {"paper, generated": paper}
    for prefix, words in (("", "ours, generated"), (REAL, "real, other noise")):
        if any(prefix + name in evidence.methods for name in SHORT):
            found = [[evidence.mean(prefix + m, t) for t in SHORT] for m in SHORT]
            maps[words] = np.array(found)
    if len(maps) < 2:
        return False
    title = "Table I: JSD of distortions (lines) from real ones (columns), bit"
    size = (3.0 * len(maps), 3.6)
    with plots.figure(path, title, 1, len(maps), size, note=evidence.title) as axes:
        for axis, (words, found) in zip(axes[0], maps.items()):
            shown = np.log10(np.maximum(found, 10**_LEAST))
            axis.imshow(shown, cmap="viridis", vmin=_LEAST, vmax=_MOST)
            for (y, x), value in np.ndenumerate(found):
                color = "black" if shown[y, x] > (_LEAST + _MOST) / 2 else "white"
                text = number(value, 4)
                axis.text(x, y, text, ha="center", va="center", color=color, fontsize=8)
            axis.set_xticks(range(len(SHORT)), SHORT.values())
            axis.set_yticks(range(len(SHORT)), SHORT.values())
            axis.set(title=words)
            axis.grid(visible=False)
    return True


def _lambdas(evidence: Evidence, path: pathlib.Path) -> bool:
    """Divergence from real JPEG and mean residual over lambda."""
    there = {value: name for name, value in LAMBDAS.items() if name in evidence.methods}
    if len(there) < 2:
        return False
    title = "Fig. 3: weight of the sparsity; means over the images with 95 % intervals"
    with plots.figure(path, title, 1, 2, (7.6, 3.4), note=evidence.title) as axes:
        positions = range(len(there))
        for axis, measure, label in (
            (axes[0, 0], "jsd", "JSD to real JPEG, bit"),
            (axes[0, 1], "residual", "mean absolute residual, pixel values"),
        ):
            values = [evidence.measure(name, "jpeg", measure) for name in there.values()]
            means, margins = [v.mean() for v in values], [margin(v) for v in values]
            axis.errorbar(positions, means, margins, capsize=3, label="generated")
            axis.set_xticks(positions, [f"{value:g}" for value in there])
            axis.set(xlabel=r"$\lambda$", ylabel=label)
        real = evidence.mean(REAL + "jpeg", "jpeg", "residual")
        axes[0, 1].axhline(real, color="0.55", linestyle="--", label="real JPEG")
        axes[0, 1].legend()
    return True


def _spectra(evidence: Evidence, path: pathlib.Path) -> bool:
    """What generators of noise add by frequency, beside real noise."""
    curves = {kind: _noise_curves(evidence, kind) for kind in _NOISE}
    if not any(len(each) > 1 for each in curves.values()):
        return False
    title = "Can the generator make noise without seeing any? Spectra of what is added"
    with plots.figure(path, title, 1, len(_NOISE), (8.0, 3.4), note=evidence.title) as axes:
        for axis, (kind, found) in zip(axes[0], curves.items()):
            for name, decibels in found.items():
                style = plots.BASELINE if name.startswith(REAL) else {}
                axis.semilogx(residuals.BANDS, decibels, label=published_name(name), **style)
            axis.set(xlabel="cycles a pixel", ylabel="power of the residual, dB")
            axis.set_xticks([1 / n for n in _OCTAVES], [f"1/{n}" for n in _OCTAVES])
            axis.minorticks_off()
            axis.set_title(published_name(kind))
            axis.legend()
    return True


def _noise_curves(evidence: Evidence, kind: str) -> dict[str, np.ndarray]:
    """Mean spectra in dB by method: the real noise, the generator, that with a noise input."""
    found = {}
    for method in (REAL + kind, kind, f"{kind}_noise_input"):
        texts = evidence.images(method, kind).bands if method in evidence.methods else ()
        rows = [np.array(text.split(), float) for text in texts if text]
        if rows and len(rows) == evidence.table.image.nunique():
            found[method] = np.mean(rows, 0)
    return found


def _words(figure: str, label: str) -> str:
    """A tile's label: severities by their units, and where lambda differs, also what it is."""
    if (old := _SEVERITY.fullmatch(label)) and old[1] in DISTORTIONS:
        return f"{old[1]}, {DISTORTIONS[old[1]].said(float(old[2]))}"
    if figure != "fig03_sparsity":
        return label
    return re.sub(r"^jpeg\n", f"JPEG (lambda = {LAMBDAS['jpeg']:g})\n", label)


def _grid(folder: pathlib.Path, path: pathlib.Path) -> bool:
    """Original, real, generated, residual and histograms side by side, a line a model."""
    page = crop_grid.read(folder)
    images = page.images
    size = (1.75 * 5, 0.7 + 1.85 * len(images))
    edges = np.linspace(-nss.LIMIT, nss.LIMIT, nss.BINS + 1)
    middles = (edges[:-1] + edges[1:]) / 2
    title = _HEADINGS.get(folder.name, folder.name)
    with plots.figure(path, title, len(images), 5, size, note=page.title, images=True) as axes:
        for line, items in zip(axes, images.values()):
            for axis, item in zip(line, items):
                plots.show(axis, dataclasses.replace(item, label=_words(folder.name, item.label)))
            for values, label in zip(items[2].facts["histograms"], ("real", "generated")):
                line[4].semilogy(middles, np.maximum(values, 1e-5), lw=1, marker="", label=label)
            line[4].set_title("products of adjacent MSCN", fontsize=7)
            line[4].tick_params(labelsize=6)
            line[4].legend(fontsize=6)
    return True
