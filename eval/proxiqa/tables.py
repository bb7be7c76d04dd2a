"""ProxIQA's Tables I to V from measured rows, beside the published values."""

from __future__ import annotations

import dataclasses
import logging
import math
import pathlib

import numpy as np
import pandas as pd

from lossylab.core import rows
from lossylab.core.errors import WorkError
from lossylab.core.options import require
from lossylab.eval.metrics import bd_rate
from lossylab.eval.report import published, rd_report
from lossylab.eval.report.comparison import Cell
from lossylab.eval.report.tables import Line, number
from lossylab.eval.sweep import COLUMNS, TEXT

log = logging.getLogger("lossylab")

STEM = "proxiqa"
ANCHOR = "bls_mse"  # baseline of all the paper's BD-rates

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


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Everything measured for the paper.

    Attributes:
      table: rows of rate and quality.
      about: what made them; 'title' states the budget.
      timing: rows measured one at a time, for Table V and Fig. 12; may be empty.
      training: tables of step, proxy and score by run name, for Fig. 7; may be empty.
    """

    table: pd.DataFrame
    about: dict
    timing: pd.DataFrame
    training: dict[str, pd.DataFrame]
    _found: dict = dataclasses.field(default_factory=dict, repr=False)

    @property
    def title(self) -> str:
        """The budget of what was trained here."""
        return self.about["title"]

    def bd(
        self, test: str, metric: str, anchor: str = ANCHOR, method: str = "cubic"
    ) -> tuple[float, float, int]:
        """Mean, standard deviation and number of BD-rates over images, in per cent.

        The deviation divides by n: so do those of Table II, as Table I shows.
        """
        values = self.per_image(test, metric, anchor, method).values()
        known = [value.percent for value in values if not value.reason]
        if not known:
            return math.nan, math.nan, 0
        return float(np.mean(known)), float(np.std(known)), len(known)

    def per_image(
        self, test: str, metric: str, anchor: str = ANCHOR, method: str = "cubic"
    ) -> dict[str, bd_rate.BDRate]:
        """BD-rate by image, see `bd_rate.per_image`; each is computed once."""
        key = (test, metric, anchor, method)
        if key not in self._found:
            self._found[key] = bd_rate.per_image(self.table, anchor, test, metric, method)
        return self._found[key]


def load(folder: str) -> Evidence:
    """Reads a results folder.

    Raises:
      WorkError: if it is damaged.
      UsageError: if it has no rows of the codec that BD-rates compare with.
    """
    table, about = rd_report.load(folder)
    require(
        ANCHOR in set(table.codec),
        f"{folder} has no rows of {ANCHOR}, the baseline of the paper's BD-rates",
    )
    timing = table[:0]
    path = pathlib.Path(folder) / "timing" / "rows.csv"
    if path.exists():
        timing = rows.frame(rows.read(path, COLUMNS), TEXT)
        old = ~timing.identity.isin(table.identity)
        if old.any():
            log.warning("%d times are of other weights or versions: left out", old.sum())
        timing = timing[~old]
    training = sorted((pathlib.Path(folder) / "training").glob("*.csv"))
    return Evidence(
        table=table,
        about=about,
        timing=timing,
        training={path.stem: _training(path) for path in training},
    )


def _training(path: pathlib.Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)[["step", "proxy", "score"]].astype(float)
    except (OSError, ValueError, KeyError) as error:
        raise WorkError(f"{path} is no table of step, proxy and score: {error}") from error


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
    """Table II: mean and deviation of BD-rates of all codecs on one of the paper's data sets."""
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
        mine = ours.get(names.get(row), {}).get("version", "not measured")
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
