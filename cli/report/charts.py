"""The charts of each paper's rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import pandas as pd

from lossylab.cli.report.blocks import Chart, Panel, Table
from lossylab.cli.report.curves import dots_panel, rate_panels
from lossylab.eval.latent_rows import ROWS
from lossylab.eval.metrics import bd_rate
from lossylab.eval.options.distortions import REAL
from lossylab.eval.report import rd_report, rd_tables
from lossylab.eval.report.names import published_name
from lossylab.eval.schemas import LIBVMAF_MEASURES, SHORT

_RATES = "Rate and quality"
_MEANS = (
    "Means over the images, in their order; bars are 95 % intervals. Only methods that were "
    "measured on all images."
)
# Heading by column, and whether the axis is logarithmic.
_COLOR = {
    "ms_ssim_rgb": ("MS-SSIM", False),
    "mse": ("MSE", True),
    "psnr_rgb": ("PSNR of RGB, dB", False),
    "lpips": ("LPIPS", True),
}
_RESTORED = {
    "psnr": "PSNR, dB",
    "ssim": "SSIM, Gaussian 11",
    "ssim_uniform": "SSIM, uniform 8",
    "psnr_b": "PSNR-B, dB",
}
_LATENT = {
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "latent": "distance of styles from the true ones",
    "mmd": "MMD",
    "nll": "likelihood of the given image, bits/dim",
}


def _codecs(evidence: Any) -> Iterator[Chart | Table]:
    anchor = evidence.about["anchor"]
    first = ("vmaf", *(name for name in LIBVMAF_MEASURES if name != "vmaf"))
    measures = {name: (rd_report.LABELS[name], False) for name in first}
    panels, numbers = rate_panels(evidence.table, measures, anchor)
    yield Chart(_RATES, panels, "Means over the images.", numbers)
    yield from _bd_rates(evidence.table, anchor)


def _bd_rates(table: pd.DataFrame, anchor: str) -> Iterator[Table]:
    """BD-rates of whatever was measured, a table for each data set."""
    sets = {str(data): mine for data, mine in table.groupby("data", sort=False)}
    for data, mine in sets.items():
        others = [name for name in mine.codec.unique() if name != anchor]
        if not others or anchor not in set(mine.codec):
            continue
        lines, missing = rd_tables.bd_rate_lines(mine, anchor, others, "pchip")
        shown = [
            {rd_report.LABELS.get(head, head): cell for head, cell in line.items()}
            | {"codec": published_name(line["codec"])}
            for line in lines
        ]
        place = f" on {data}" if len(sets) > 1 else ""
        note = (
            f"Per cent of the rate of {published_name(anchor)} that a codec needs more (+) or less "
            "(-) at equal quality, mean over images ± standard deviation; in brackets the number "
            "of images and the share of both curves that is compared. By pchip. A star: fewer "
            f"than {bd_rate.ENOUGH} rates a curve."
        )
        if missing:
            note += f" {len(missing)} pairs of curves cannot be compared."
        yield Table(f"BD-rate against {published_name(anchor)}{place}", shown, note, folded=True)


def _jpeg(evidence: Any) -> Iterator[Chart]:
    panels, numbers = rate_panels(evidence.table, _COLOR, "jpeg")
    yield Chart(_RATES, panels, "Means over the images; standard Huffman codes.", numbers)


def _restoration(evidence: Any) -> Iterator[Chart]:
    panels: list[Panel | None] = []
    found = evidence.table.groupby(["channels", "data", "quality"], sort=False)
    groups = sorted(found, key=lambda group: -group[1].method.nunique())
    for measure, title in _RESTORED.items():
        for key, mine in groups:
            channels, data, quality = cast("tuple[str, str, int]", key)
            label = f"{title}: {published_name(data)}, {_channels(channels)}, quality {quality}"
            panels.append(dots_panel(label, f"{title}, more than JPEG", _gains(mine, measure)))
    yield from _dots("What restoring gains", panels)


def _gains(table: pd.DataFrame, measure: str) -> Mapping[str, pd.Series]:
    """By method, what each image has more of a measure than as JPEG."""
    by_image = table.pivot_table(index="image", columns="method", values=measure, sort=False)
    if "jpeg" not in by_image:
        return {}
    return {str(name): by_image[name] - by_image["jpeg"] for name in by_image if name != "jpeg"}


def _channels(word: str) -> str:
    return {"y": "luma", "rgb": "RGB", "file": "color files"}.get(word, word)


def _distortions(evidence: Any) -> Iterator[Chart]:
    panels = [
        dots_panel(
            f"against real {published_name(real)}",
            "Jensen-Shannon divergence, bit",
            _by(mine[mine.generated != f"{REAL}{real}"], "generated", "jsd"),
            log=True,
        )
        for real, mine in evidence.table.groupby("reference", sort=False)
        if real in SHORT
    ]
    yield from _dots("Generated and real distortions", panels)


def _latent(evidence: Any) -> Iterator[Chart]:
    panels: list[Panel | None] = []
    study = evidence.study
    if len(study):
        plain = study[study.variant == ""]
        for measure, title in _LATENT.items():
            for task, mine in plain.groupby("task", sort=False):
                means = mine.groupby(["row", "image"], sort=False)[measure].mean().reset_index()
                label = f"{title}: {task}"
                by_row = _by(means, "row", measure)
                named = {ROWS[n].label if n in ROWS else n: each for n, each in by_row.items()}
                panels.append(dots_panel(label, title, named, log=True))
    yield from _dots("Searches of Table 2", panels)


def _by(table: pd.DataFrame, method: str, measure: str) -> Mapping[str, pd.Series]:
    return {str(name): mine[measure] for name, mine in table.groupby(method, sort=False)}


def _dots(heading: str, panels: list[Panel | None]) -> Iterator[Chart]:
    """A chart of the panels that there are numbers for, its numbers as a table."""
    known = [panel for panel in panels if panel and len(panel.series[0].x) > 1]
    if not known:
        return
    lines = [
        {"of": panel.label, "method": str(y), "mean": f"{x:g}", "± half of 95 %": f"{m:g}"}
        for panel in known
        for series in panel.series
        for x, y, m in zip(series.x, series.y, series.margins)
    ]
    yield Chart(heading, known, _MEANS, Table("Numbers of the chart", lines))


CHARTS: Mapping[str, Callable[[Any], Iterator[Chart | Table]]] = {
    "proxiqa": _codecs,
    "jpeg_encoder": _jpeg,
    "wcdgan": _restoration,
    "distortion_gan": _distortions,
    "mmd_restoration": _latent,
}
