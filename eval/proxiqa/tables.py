"""ProxIQA's Tables I to V from measured rows, beside the published values."""

from __future__ import annotations

import math

import pandas as pd

from lossylab.eval.metrics import bd_rate
from lossylab.eval.proxiqa.evidence import ANCHOR, Evidence
from lossylab.eval.report import published
from lossylab.eval.report.comparison import Cell
from lossylab.eval.report.tables import NOT_MEASURED, Line, number

STEM = "proxiqa"

# The paper's names -> those of our rows.
METRICS = {"PSNR": "psnr", "SSIM": "ssim", "MSIM": "ms_ssim", "VIF": "vif", "VMAF": "vmaf"}
CODECS = {
    "JPEG": "jpeg",
    "JPEG2000": "jpeg2000",
    "HEVC 4:4:4": "hevc444",
    "HEVC 4:2:0": "hevc420",
    "BLS SSIM_p": "bls_ssim_p",
    "BLS MSIM_p": "bls_ms_ssim_p",
    "BLS VMAF_p": "bls_vmaf_p",
    "BMSHJ MSE": "bmshj_mse",
    "BMSHJ VMAF_p": "bmshj_vmaf_p",
}
_SSIM_VARIANTS = {"SSIM": "bls_ssim", "SSIM_p": "bls_ssim_p", "SSIM+L_d": "bls_ssim_mse"}
_TIMED = {
    "JPEG/CPU": "jpeg",
    "JPEG2000/CPU": "jpeg2000",
    "HEVC/CPU": "hevc444",
    "BLS MSE/CPU": "bls_mse",
    "BLS VMAF_p/CPU": "bls_vmaf_p",
}

_CUBIC = "ours by cubic, %"
_SMALL_OVERLAP = 0.5  # below it a mean BD-rate says what share of the qualities it is of


def table_1(evidence: Evidence) -> list[Cell]:
    """Table I: BD-rate of every Kodak image for three optimizations and four metrics."""
    cells = []
    for (row, column, _), value in published.numbers(STEM, "I").items():
        optimization, metric = column.split("/")
        pchip, cubic = (
            evidence.per_image(CODECS[f"BLS {optimization}"], METRICS[metric], method=method).get(
                row.lower(), bd_rate.BDRate(math.nan)
            )
            for method in bd_rate.METHODS
        )
        beside = _CUBIC, number(cubic.percent, 1)
        cells.append(Cell(row, f"{optimization} {metric}", value, pchip.percent, beside=beside))
    return cells


def mean_cell(
    evidence: Evidence, row: str, column: str, paper: float, codec: str, metric: str, spread: float
) -> Cell:
    """A mean BD-rate over all images, by pchip and by cubic."""
    mean, std = evidence.bd(codec, metric)
    found = evidence.per_image(codec, metric)
    known = [value for value in found.values() if not value.reason]
    few = known and min(value.rates for value in known) < bd_rate.ENOUGH
    mark = "*" if few else ""
    overlap = sum(value.overlap for value in known) / max(len(known), 1)
    if known and overlap < _SMALL_OVERLAP:
        mark += f" ({overlap:.0%})"
    if 0 < len(known) < len(found):
        mark = f" ({len(known)} of {len(found)} images compare)"
    beside = _CUBIC, _by_cubic(evidence, codec, metric)
    return Cell(row, column, paper, mean, "%", 2, spread, std, mark, beside)


def _by_cubic(evidence: Evidence, codec: str, metric: str) -> str:
    """The mean by cubics, or on how many images they are refused."""
    values = evidence.percents(codec, metric, method="cubic")
    reasons = [value.reason for value in evidence.per_image(codec, metric, method="cubic").values()]
    refused = sum(bool(each) and not each.startswith(bd_rate.MISSING) for each in reasons)
    if refused or values.isna().any() or values.empty:
        return f"n/a ({refused} of {len(values)} refused)" if refused else "n/a"
    return f"{number(values.mean(), 2)} ± {number(values.std(ddof=0), 2)}"


def table_1_by_image(evidence: Evidence) -> list[Line]:
    """Table I with a line an image: the page would be long otherwise."""
    lines: dict[str, Line] = {}
    for cell in table_1(evidence):
        pair = f"{number(cell.paper, 1)} / {number(cell.ours, 1)}"
        lines.setdefault(cell.row, {"image": cell.row})[cell.column] = pair
    return list(lines.values())


def table_2(evidence: Evidence, data: str = "Kodak") -> list[Cell]:
    """Table II: BD-rates of all codecs on one of the paper's data sets, mean and deviation."""
    values = published.numbers(STEM, "II")
    cells = []
    for (row, column, statistic), value in values.items():
        collection, metric = column.split("/")
        if statistic != "mean" or collection != data:
            continue
        if evidence.about["data"] == collection.lower():
            spread = values[row, column, "std"]
            cells.append(
                mean_cell(evidence, row, metric, value, CODECS[row], METRICS[metric], spread)
            )
    return cells


def table_3(evidence: Evidence) -> list[Line]:
    """Table III: software and versions, ours as the encoders report them."""
    ours = evidence.about["codecs"]
    tfc = f"tensorflow-compression {evidence.about['packages']['tensorflow-compression']}"
    names = {"JPEG": "jpeg", "JPEG2000": "jpeg2000", "HEVC": "hevc444"}
    values = published.load(STEM, "III")
    lines = []
    for row, group in values.groupby("row", sort=False):
        paper = " ".join(group.value)
        mine = ours.get(names.get(str(row)), {}).get("version", NOT_MEASURED)
        lines.append(
            {
                "codec": row,
                "paper": paper,
                "ours": mine if row in names else tfc,
                "verdict": "later release, own layers" if row not in names else "another encoder",
            }
        )
    return lines


def table_4(evidence: Evidence) -> list[Cell]:
    """Table IV: SSIM alone (Eq. 14), through the proxy, and beside the pixel loss (Eq. 13)."""
    return [
        mean_cell(evidence, f"{row} BD-rate", column, value, _SSIM_VARIANTS[column], METRICS[row],
                  math.nan)
        for (row, column, _), value in published.numbers(STEM, "IV").items()
    ]  # fmt: skip


def table_5(evidence: Evidence) -> list[Cell]:
    """Table V: mean encoding and decoding times over images and rates."""
    cells = []
    for (row, column, _), value in published.numbers(STEM, "V").items():
        mine = evidence.timing[evidence.timing.codec == _TIMED.get(row)]
        whole = mine.image.nunique() == evidence.timing.image.nunique()
        ours = mine[f"{column.lower()}_ms"].mean() if len(mine) and whole else math.nan
        cells.append(Cell(row, column, value, ours, unit="ms", digits=1))
    return cells


def definitions(evidence: Evidence) -> list[Line]:
    """How far BD-rates move with the method and with VIF's definition, all codecs."""
    lines = []
    for name in [n for n in evidence.names if n != ANCHOR]:
        line = {"codec": name}
        for metric in METRICS.values():
            pchip, cubic = (evidence.percents(name, metric, method=m) for m in bd_rate.METHODS)
            line[f"{metric}: cubic - pchip"] = _moved(cubic - pchip)
        moved = evidence.percents(name, "vif_scale0") - evidence.percents(name, "vif")
        lines.append({**line, "vif_scale0 - vif": _moved(moved)})
    return lines


def _moved(gaps: pd.Series) -> str:
    """The mean over the images that have both, and how many these are."""
    known = gaps.dropna()
    return f"{number(known.mean(), 1, '+')} ({len(known)})" if len(known) else "n/a"
