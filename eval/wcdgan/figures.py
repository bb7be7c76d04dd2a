"""WCDGAN's figures: crops side by side (7 to 13), and gains over JPEG."""

from __future__ import annotations

import pathlib
from functools import partial

import numpy as np

from lossylab.eval.report import plots
from lossylab.eval.report.paper import Draw
from lossylab.eval.wcdgan.evidence import Evidence


def figures(evidence: Evidence) -> dict[str, Draw]:
    """What draws each figure: the gains by quality, beside crops."""
    qualities = sorted(set(evidence.table.quality))
    return {f"gains_q{quality}": partial(_gains, evidence, quality) for quality in qualities}


def _gains(evidence: Evidence, quality: int, path: pathlib.Path) -> bool:
    """PSNR over JPEG of every method, by set, with 95 % intervals over the images."""
    table = evidence.table
    mine = table[(table.quality == quality) & (table.channels == "y") & (table.method != "jpeg")]
    methods, sets = list(dict.fromkeys(mine.method)), list(dict.fromkeys(mine.data))
    if not methods:
        return False
    title = f"PSNR over JPEG, luma, q = {quality}"
    with plots.figure(path, title, 1, 1, (8, 1.2 + 0.4 * len(methods))) as axes:
        axis = axes[0, 0]
        for index, data in enumerate(sets):
            gains = [evidence.difference(m, "jpeg", "psnr", data, quality) for m in methods]
            means = [gain.mean if gain else np.nan for gain in gains]
            errors = [gain.margin if gain else np.nan for gain in gains]
            heights = np.arange(len(methods)) + 0.8 * (index + 0.5) / len(sets) - 0.4
            axis.barh(heights, means, 0.75 / len(sets), xerr=errors, label=data)
        axis.set_yticks(range(len(methods)), methods)
        axis.invert_yaxis()
        axis.set(xlabel="dB; bars: 95 % interval over images")
        axis.grid(alpha=0.3, axis="x")
        axis.legend()
    return True
