"""WCDGAN's figures: crops side by side (7 to 13), and gains over JPEG (Table 1)."""

from __future__ import annotations

import pathlib
import textwrap
from functools import partial

import numpy as np

from lossylab.eval.report import plots
from lossylab.eval.report.claims import repetitions
from lossylab.eval.report.names import published_name
from lossylab.eval.report.paper import Draw
from lossylab.eval.wcdgan.evidence import CONTINUED, Evidence

GRIDS = {
    "fig07_luma_q5": "As Fig. 7: luma, JPEG q = 5, PSNR / SSIM",
    "fig08_luma_q10": "As Fig. 8: luma, JPEG q = 10, PSNR / SSIM",
    "fig09_color_q5": "As Fig. 9 and 10: color, JPEG q = 5, PSNR / SSIM",
    "fig11_color_q10": "As Fig. 11 and 12: color, JPEG q = 10, PSNR / SSIM",
    "fig13_losses": "As Fig. 13: without and with perceptual and adversarial loss, PSNR / SSIM",
}
_OTHER_LOSSES = ("wcdgan_perceptual", "wcdgan_adversarial", CONTINUED)  # have a table of their own
_NAME = 40  # characters of a method's name in a line


def figures(evidence: Evidence) -> dict[str, Draw]:
    """What draws each figure: the gains by quality, beside crops."""
    return {"gains": partial(_gains, evidence)}


def _gains(evidence: Evidence, path: pathlib.Path) -> bool:
    """PSNR over JPEG of every method, over all of its trainings, by quality and set."""
    table = evidence.table
    table = table[(table.channels == "y") & (table.method != "jpeg")]
    names, sets = list(dict.fromkeys(table.method)), list(dict.fromkeys(table.data))
    again = {other for name in names for other in repetitions(names, name) if other != name}
    methods = [name for name in names if name not in {*again, *_OTHER_LOSSES}]
    qualities = sorted(set(table.quality))
    if not methods:
        return False
    title = "Table 1 as gains: PSNR over JPEG, luma, with 95 % intervals"
    size = (3.2 + 2.6 * len(qualities), 1.3 + 0.36 * len(methods))
    with plots.figure(
        path, title, 1, len(qualities), size, note=evidence.title, sharey=True
    ) as axes:
        for axis, quality in zip(axes[0], qualities):
            for index, data in enumerate(sets):
                gains = [evidence.difference(m, "jpeg", "psnr", data, quality) for m in methods]
                heights = np.arange(len(methods)) + 0.8 * (index + 0.5) / len(sets) - 0.4
                axis.barh(
                    heights,
                    [gain.mean if gain else np.nan for gain in gains],
                    0.75 / len(sets),
                    xerr=[gain.margin if gain else np.nan for gain in gains],
                    error_kw={"lw": 1},
                    color=plots.COLORS[(0, 4)[index % 2]],
                    label=published_name(data),
                )
            axis.set(title=f"q = {quality}", xlabel="gain, dB")
            axis.grid(visible=False, axis="y")
        names = [textwrap.fill(published_name(method), _NAME) for method in methods]
        axes[0, 0].set_yticks(range(len(methods)), names)
        axes[0, 0].invert_yaxis()
        axes[0, 0].legend(loc="center")
    return True
