"""ProxIQA's Tables I to V from measured rows, beside the published values."""

from __future__ import annotations

import math

from lossylab.eval.metrics import bd_rate
from lossylab.eval.proxiqa.evidence import ANCHOR, Evidence
from lossylab.eval.report import published
from lossylab.eval.report.comparison import Cell
from lossylab.eval.report.tables import Line, number

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


def table_1(evidence: Evidence) -> list[Cell]:
    """Table I: BD-rate of every Kodak image for three optimizations and four metrics."""
    cells = []
    for (row, column, _), value in published.numbers(STEM, "I").items():
        optimization, metric = column.split("/")
        found = evidence.per_image(CODECS[f"BLS {optimization}"], METRICS[metric])
        ours = found.get(row.lower(), bd_rate.BDRate(math.nan)).percent
        cells.append(Cell(row, f"{optimization} {metric}", value, ours))
    return cells


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
        ours = (math.nan, math.nan)
        if evidence.about["data"] == collection.lower():
            ours = evidence.bd(CODECS[row], METRICS[metric])
        cells.append(
            Cell(
                row,
                metric,
                value,
                ours[0],
                digits=2,
                spread=values[row, column, "std"],
                our_spread=ours[1],
            )
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
        mine = ours.get(names.get(str(row)), {}).get("version", "not measured")
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
        Cell(f"{row} BD-rate", column, value, mean, digits=2, our_spread=std)
        for (row, column, _), value in published.numbers(STEM, "IV").items()
        for mean, std, _ in [evidence.bd(_SSIM_VARIANTS[column], METRICS[row])]
    ]


def table_5(evidence: Evidence) -> list[Cell]:
    """Table V: mean encoding and decoding times over images and rates."""
    cells = []
    for (row, column, _), value in published.numbers(STEM, "V").items():
        mine = evidence.timing[evidence.timing.codec == _TIMED.get(row)]
        ours = mine[f"{column.lower()}_ms"].mean() if len(mine) else math.nan
        cells.append(Cell(row, column, value, ours, unit="ms", digits=1))
    return cells


def definitions(evidence: Evidence) -> list[Line]:
    """How far BD-rates move with the method and with VIF's definition, all codecs."""
    lines = []
    for name in [n for n in evidence.table.codec.unique() if n != ANCHOR]:
        line = {"codec": name}
        for metric in METRICS.values():
            cubic, pchip = (evidence.bd(name, metric, method=m)[0] for m in bd_rate.METHODS)
            line[f"{metric}: pchip - cubic"] = number(pchip - cubic, 1, "+")
        scale0 = evidence.bd(name, "vif_scale0")[0] - evidence.bd(name, "vif")[0]
        line["vif_scale0 - vif"] = number(scale0, 1, "+")
        lines.append(line)
    return lines
