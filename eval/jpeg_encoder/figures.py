"""The JPEG encoder's figures: curves (5, 7, 8, 10, 15), times (11, 12), steps (13, 14), crops."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from lossylab.eval.jpeg_encoder.evidence import HUFFMAN, JPEG, Evidence
from lossylab.eval.report import plots
from lossylab.eval.report.paper import Draw

# Name -> heading and curves; those that were not measured are left out.
_CURVES = {
    "fig05_ms_ssim_in_the_loss": ("Fig. 5: MS-SSIM in the loss", ("tables", "vgg", "vgg_ms_ssim")),
    "fig07_weights": (
        "Fig. 7: weights of LPIPS and MS-SSIM",
        ("vgg", "vgg_ms_ssim", "vgg_no_lpips", "vgg_half_weights"),
    ),
    "fig08_resnet": ("Fig. 8: VGG and ResNet", ("vgg", "resnet", "resnet_block1")),
    "fig10_resnet_ms_ssim": (
        "Fig. 10: VGG and ResNet with MS-SSIM",
        ("vgg_ms_ssim", "resnet_ms_ssim"),
    ),
    "fig15_lstm": (
        "Fig. 15: LSTMs",
        ("vgg", "lstm", "bilstm", "lstm_tanh", "lstm_minmax"),
    ),
}
_PANELS = {
    "mse": "MSE",
    "ms_ssim_db": "MS-SSIM, dB: -10 log10(1 - MS-SSIM)",
    "lpips": "LPIPS",
}
_FEWEST = {"fig07_weights": 3}  # curves without which a figure says nothing
_RANGE = 1.25  # times the highest rate of the learned encoders
_TIMES = {
    "training step": ("fig11_training_speed", "Fig. 11: training steps a second"),
    "encode": ("fig12_times", "Fig. 12: seconds from an image to its file, BLS and back"),
}
_STEPS = {
    "with": ("fig13_steps_with_attention", "Fig. 13: with attention"),
    "without": ("fig14_steps_without_attention", "Fig. 14: tables alone"),
}


def figures(evidence: Evidence) -> dict[str, Draw]:
    """What draws each figure that there may be numbers for."""
    found: dict[str, Draw] = {}
    for name, (heading, wanted) in _CURVES.items():
        models = [model for model in wanted if model in evidence.models]
        if len(models) >= _FEWEST.get(name, 1):
            for huffman, suffix in (("standard", ""), ("optimized", "_optimized")):
                curves = [JPEG, *models]
                found[name + suffix] = partial(_curves, evidence, heading, curves, huffman)
    for work, (name, heading) in _TIMES.items():
        found[name] = partial(_times, evidence, work, heading)
    for kind, table in evidence.training.items():
        name, heading = _STEPS[kind]
        found[name] = partial(_steps, table, heading)
    return found


def _curves(
    evidence: Evidence, heading: str, models: Sequence[str], huffman: str, path: pathlib.Path
) -> bool:
    """Mean quality over mean rate, one panel a measure."""
    rate = HUFFMAN[huffman]
    most = _RANGE * max(evidence.curve(model)[rate].max() for model in models[1:])
    panels = {m: label for m, label in _PANELS.items() if evidence.table[m].notna().any()}
    title = f"{heading}; {huffman} Huffman codes on both sides"
    with plots.figure(path, title, 1, len(panels), (4.6 * len(panels), 4.4)) as axes:
        for axis, (measure, label) in zip(axes[0], panels.items()):
            for model in models:
                curve = evidence.curve(model)
                curve = curve[curve[rate] <= most]
                style = {"color": "0.5", "linestyle": "--"} if model == JPEG else {}
                axis.plot(curve[rate], curve[measure], marker="o", ms=4, label=model, **style)
            axis.set(xlabel="bits per pixel, of the files", ylabel=label)
            if measure == "lpips":
                axis.set_ylabel(f"LPIPS ({evidence.about['lpips'].split(', ')[-1]})")
            axis.grid(alpha=0.3)
        axes[0, 0].legend(fontsize=8)
    return True


def _times(evidence: Evidence, work: str, heading: str, path: pathlib.Path) -> bool:
    """Bars with standard errors of everything that does the work."""
    mine = {n: row for (n, w), row in evidence.timing.items() if w.startswith(work)}
    if not mine:
        return False
    machine = next(iter(mine.values()))["machine"]
    speeds = work == "training step"
    with plots.figure(path, f"{heading}; {machine}", 1, 1, (7, 1.4 + 0.4 * len(mine))) as axes:
        axis = axes[0, 0]
        seconds = np.array([row["seconds"] for row in mine.values()])
        errors = np.array([row["standard_error"] for row in mine.values()])
        values = 1 / seconds if speeds else seconds
        axis.barh(range(len(mine)), values, xerr=errors / seconds**2 if speeds else errors)
        axis.set_yticks(range(len(mine)), list(mine))
        axis.invert_yaxis()
        axis.set(xlabel="steps a second" if speeds else "seconds; bars: standard error")
        if not speeds:
            axis.set_xscale("log")
        axis.grid(alpha=0.3, axis="x")
    return True


def _steps(table: pd.DataFrame, title: str, path: pathlib.Path) -> bool:
    """Rate, MSE and MS-SSIM over the steps, each stretched to 0..1 as the paper does."""
    with plots.figure(path, title, 1, 1, (7, 4.5)) as axes:
        axis = axes[0, 0]
        for name, label in (("bpp", "bits per pixel"), ("mse", "MSE"), ("ms_ssim", "MS-SSIM")):
            if name not in table:  # too small for MS-SSIM
                continue
            values = table[name]
            low, high = values.min(), values.max()
            scaled = (values - low) / max(high - low, 1e-12)
            axis.plot(
                table.step, scaled, marker="o", ms=4, label=f"{label}: {low:.4g} to {high:.4g}"
            )
        axis.set(xlabel="steps", ylabel="stretched from least to most")
        axis.grid(alpha=0.3)
        axis.legend()
    return True
