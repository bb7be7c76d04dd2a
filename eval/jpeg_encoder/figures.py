"""The JPEG encoder's figures: curves (5, 7, 8, 10, 15), times (11, 12), steps (13, 14), crops."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from lossylab.eval.jpeg_encoder.evidence import FLAT, HUFFMAN, JPEG, Evidence
from lossylab.eval.report import plots
from lossylab.eval.report.names import published_label, published_name
from lossylab.eval.report.paper import Draw
from lossylab.eval.schemas import COMPETITORS

# Name -> heading and curves; those that were not measured are left out.
_CURVES = {
    "fig05_ms_ssim_in_the_loss": (
        "Fig. 5: MS-SSIM in the loss",
        (FLAT, "tables", "vgg", "vgg_ms_ssim"),
    ),
    "others": (
        "Encoders that standard decoders read",
        ("jpegli", "mozjpeg", "mozjpeg444", "tables", "tables_bits", "vgg16_bits"),
    ),
    "attention": (
        "Attention by trained and by random features",
        ("tables", "vgg", "vgg16", "vgg16_random", "vgg16_ms_ssim", "tables_bits", "vgg16_bits"),
    ),
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
    "lstm_range": (
        "LSTMs whose attention reaches 0..1",
        ("vgg16", "lstm", "bilstm", "lstm_minmax", "lstm_logits", "bilstm_logits"),
    ),
}
# An encoder has the same color in all figures; those of one figure have different ones.
_STYLES = {
    **{"vgg": 0, "vgg_ms_ssim": 1, "tables": 2, "resnet": 3, "resnet_ms_ssim": 4, "lstm": 5},
    **{"bilstm": 6, "vgg_no_lpips": 2, "vgg_half_weights": 3, "resnet_block1": 4},
    **{FLAT: 5, "lstm_tanh": 1, "lstm_minmax": 2, "lstm_logits": 0, "bilstm_logits": 1},
    **{"vgg16": 4, "vgg16_ms_ssim": 6, "vgg16_bits": 1, "tables_bits": 3, "vgg16_random": 5},
    **{"jpegli": 4, "mozjpeg": 5, "mozjpeg444": 6},
}
_PANELS = {
    "mse": "MSE",
    "ms_ssim_db": "MS-SSIM, dB: -10 log10(1 - MS-SSIM)",
    "lpips": "LPIPS",
    "vmaf": "VMAF",
}
# Curves without which a figure says nothing.
_FEWEST = {"fig07_weights": 3, "others": 3, "attention": 4, "lstm_range": 4}
_RANGE = 1.25  # times the highest rate of the learned encoders
GRIDS = {
    "fig06_crops": "Fig. 6: JPEG, the baseline and MS-SSIM in the loss",
    "fig09_crops": "Fig. 9: attention by VGG-19 and by ResNet-152",
}
_TIMES = {
    "training step": ("fig11_training_speed", "Fig. 11: training steps a second"),
    "encode": ("fig12_times", "Fig. 12: seconds from an image to its file, BLS and back"),
}
_STEPS = {
    "with": (
        "fig13_steps_with_attention",
        "Fig. 13: training with attention, of learned tables",
    ),
    "without": ("fig14_steps_without_attention", "Fig. 14: training tables alone"),
}


def figures(evidence: Evidence) -> dict[str, Draw]:
    """What draws each figure that there may be numbers for."""
    found: dict[str, Draw] = {}
    for name, (heading, wanted) in _CURVES.items():
        models = [model for model in wanted if model in evidence.models]
        if len(set(models) - {FLAT}) >= _FEWEST.get(name, 1):
            found[name] = partial(_curves, evidence, heading, [JPEG, *models])
    for work, (name, heading) in _TIMES.items():
        found[name] = partial(_times, evidence, work, heading)
    for kind, table in evidence.training.items():
        name, heading = _STEPS[kind]
        found[name] = partial(_steps, table, heading)
    return found


def _curves(evidence: Evidence, heading: str, models: Sequence[str], path: pathlib.Path) -> bool:
    """Mean quality over mean rate, one panel a measure, one row a kind of Huffman codes."""
    panels = {m: label for m, label in _PANELS.items() if evidence.table[m].notna().any()}
    if evidence.random_lpips:
        panels.pop("lpips", None)  # its distances decide nothing
    shape = len(HUFFMAN), len(panels)
    size = (4.2 * len(panels), 0.8 + 2.9 * len(HUFFMAN))
    with plots.figure(path, heading, *shape, size, note=evidence.title) as axes:
        for line, (huffman, rate) in zip(axes, HUFFMAN.items()):
            learned = [model for model in models if model not in (JPEG, FLAT, *COMPETITORS)]
            most = _RANGE * max(evidence.curve(model)[rate].max() for model in learned)
            for axis, (measure, label) in zip(line, panels.items()):
                for model in models:
                    curve = evidence.curve(model)
                    curve = curve[curve[rate] <= most]
                    style = plots.BASELINE if model == JPEG else plots.style(_STYLES[model])
                    axis.plot(curve[rate], curve[measure], label=published_name(model), **style)
                axis.set(xlabel=f"bits per pixel, {huffman} Huffman codes", ylabel=label)
        axes[0, 0].legend()
    return True


def _times(evidence: Evidence, work: str, heading: str, path: pathlib.Path) -> bool:
    """Bars with standard errors of everything that does the work."""
    mine = {n: row for (n, w), row in evidence.timing.items() if w.startswith(work)}
    if not mine:
        return False
    machine = next(iter(mine.values()))["machine"]
    speeds = work == "training step"
    size = (6.4, 1.2 + 0.32 * len(mine))
    with plots.figure(path, heading, 1, 1, size, note=f"Timed on {machine}") as axes:
        axis = axes[0, 0]
        seconds = np.array([row["seconds"] for row in mine.values()])
        errors = np.array([row["standard_error"] for row in mine.values()])
        values = 1 / seconds if speeds else seconds
        spreads = errors / seconds**2 if speeds else errors
        axis.barh(range(len(mine)), values, 0.7, xerr=spreads, error_kw={"lw": 1, "capsize": 3})
        axis.set_yticks(range(len(mine)), map(published_label, mine))
        axis.invert_yaxis()
        axis.set(xlabel=f"{'steps a second' if speeds else 'seconds'}; lines: ± standard error")
        axis.grid(visible=False, axis="y")
    return True


def _steps(table: pd.DataFrame, title: str, path: pathlib.Path) -> bool:
    """Rate, MSE and MS-SSIM over the steps, each stretched to 0..1 as the paper does."""
    with plots.figure(path, title, 1, 1, (5.6, 3.6)) as axes:
        axis = axes[0, 0]
        for name, label in (("bpp", "bits per pixel"), ("mse", "MSE"), ("ms_ssim", "MS-SSIM")):
            if name not in table:  # too small for MS-SSIM
                continue
            values = table[name]
            low, high = values.min(), values.max()
            scaled = (values - low) / max(high - low, 1e-12)
            axis.plot(table.step, scaled, label=f"{label}: {low:.4g} to {high:.4g}")
        axis.set(xlabel="steps", ylabel="stretched from least to most")
        axis.legend()
    return True
