"""WCDGAN's Tables 1 to 6 from measured rows."""

from __future__ import annotations

import dataclasses
import fnmatch
import json
import math
import pathlib

import pandas as pd

from lossylab.core import rows
from lossylab.core.errors import WorkError
from lossylab.eval import restoration
from lossylab.eval.report import published
from lossylab.eval.report.tables import Line, number

SETS = {"Classic5": "classic5", "LIVE1": "live1", "DIV2K": "div2k_val"}
# What stands for a column of the paper: the first that was measured.
SOURCES = {
    "JPEG": ("jpeg",),
    "ARCNN": ("arcnn_official", "arcnn"),
    "TNRD": ("tnrd",),
    "DnCNN": ("dncnn3_official", "dncnn"),
    "MemNet": ("memnet",),
    "MWCNN": ("mwcnn",),
    "WCDGAN": ("wcdgan",),
}
CONTENT = "wcdgan_content"
ABLATIONS = {
    "proposed": CONTENT,
    "without mixed convolution": f"{CONTENT}_no_mixed_conv",
    "without mixed attention": f"{CONTENT}_no_mixed_attention",
}
GAN_ABLATION = {"proposed": "wcdgan", "without perceptual loss and GAN": CONTENT}
_ELSEWHERE = {"SA-DCT": "sadct", "ARCNN": "arcnn_official", "DnCNN-3": "dncnn3_official"}
_DECIBEL, _SIMILARITY = 0.01, 1e-3  # what counts as reproduced
_ROUNDING = 0.005 + 1e-9
_SMALL = "small budget"  # in the titles of such trainings
_WITHOUT_BUDGET = (restoration.OFFICIAL, restoration.UNTRAINED)
_WINDOWS = {"ssim_uniform": "uniform 8", "ssim": "Gaussian 11"}


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What was measured.

    Attributes:
      table: rows of `lossylab eval restoration`.
      timing: rows of `lossylab benchmark --sections=restoration`, by network.
      sets: Inception Score and FID of sets, rows of `lossylab eval restoration --inception`.
    """

    table: pd.DataFrame
    timing: dict[str, dict]
    sets: pd.DataFrame

    @property
    def title(self) -> str:
        """The budgets of what was trained here."""
        budgets = dict.fromkeys(self.table.budget)
        return "; ".join(b for b in budgets if b not in ("", *_WITHOUT_BUDGET))

    def mean(self, method: str, data: str, quality: int, channels: str = "y") -> pd.Series | None:
        """Means of a method over a set, or None."""
        mine = self.images(method, data, quality, channels)
        return mine[list(restoration.MEASURED)].mean() if len(mine) else None

    def images(self, method: str, data: str, quality: int, channels: str = "y") -> pd.DataFrame:
        """Rows of a method and set, by image."""
        t = self.table
        mine = t[(t.method == method) & (t.data == data) & (t.channels == channels)]
        return mine[mine.quality == quality].set_index("image").sort_index()

    def source(self, column: str, data: str, quality: int, channels: str = "y") -> str | None:
        """The method that stands for a column of the paper."""
        for method in SOURCES[column]:
            if len(self.images(method, data, quality, channels)):
                return method
        return None

    def budget(self, method: str, data: str, quality: int, channels: str = "y") -> str:
        """What a method was trained with; '' if it was not measured."""
        mine = self.images(method, data, quality, channels)
        return "; ".join(dict.fromkeys(mine.budget))


def load(folder: str) -> Evidence:
    """Reads a results folder; raises WorkError if its rows are missing or damaged."""
    place = pathlib.Path(folder)
    measured = rows.read(place / "rows.csv", restoration.COLUMNS)
    if not measured:
        raise WorkError(
            f"{place / 'rows.csv'} has no rows: measure with `lossylab eval restoration`"
        )
    table = rows.frame(measured, restoration.TEXT)
    columns = restoration.SET_COLUMNS
    sets = pd.DataFrame(columns=columns)
    if (place / "sets.csv").exists():
        text = ("method", "channels", "data", "weights", "budget", "version", "identity")
        sets = rows.frame(rows.read(place / "sets.csv", columns), text)
    timing = {}
    if (place / "timing.jsonl").exists():
        lines = (place / "timing.jsonl").read_text().splitlines()
        timing = {row["network"]: row for row in map(json.loads, lines)}
    return Evidence(table, timing, sets)


def doubt(table: str, row: str, column: str) -> str:
    """Why a published cell is not one to be reproduced; '' if nothing speaks against it."""
    reasons = published.reference("wcdgan_doubts")
    found = [
        entry.reason
        for entry in reasons.itertuples()
        if entry.table == table
        and fnmatch.fnmatch(row, entry.row)
        and fnmatch.fnmatch(column, entry.column)
    ]
    return "; ".join(found)


def comparison_table(evidence: Evidence, table: str, channels: str) -> list[Line]:
    """Table 1 (luma) or 2 (RGB): a line for each published pair of PSNR and SSIM."""
    values = published.numbers("wcdgan", table)
    lines = []
    for (row, column, _), decibel in values.items():
        method, measure = column.split("/")
        if measure != "PSNR":
            continue
        data, quality = row.split("/")
        source = evidence.source(method, SETS[data], int(quality), channels)
        similarity = values[row, f"{method}/SSIM", "value"]
        lines.append(
            {
                **{"set": data, "q": quality, "method": method},
                "ours is": source or "",
                **_pair(evidence, source, SETS[data], int(quality), channels, decibel, similarity),
                "doubts": _doubts(table, row, method),
            }
        )
    return lines


def _pair(evidence, source, data, quality, channels, decibel, similarity) -> dict[str, str]:
    """Paper's and our values of one cell, and the verdict."""
    mean = evidence.mean(source, data, quality, channels) if source else None
    budget = evidence.budget(source, data, quality, channels) if source else ""
    if mean is None:
        mean = pd.Series(math.nan, list(restoration.MEASURED))
    return {
        "paper, dB": number(decibel, 2),
        "ours, dB": number(mean.psnr, 2),
        "difference, dB": number(mean.psnr - decibel, 2, "+"),
        "paper, SSIM": number(similarity, 4),
        "ours, uniform 8": number(mean.ssim_uniform, 4),
        "ours, Gaussian 11": number(mean.ssim, 4),
        "verdict": verdict(mean, decibel, similarity, budget),
    }


def verdict(mean: pd.Series, decibel: float, similarity: float, budget: str) -> str:
    """How a cell compares, in words."""
    if not math.isfinite(mean.psnr):
        return "not measured"
    agrees = abs(mean.psnr - decibel) <= _DECIBEL + _ROUNDING
    windows = [name for key, name in _WINDOWS.items() if abs(mean[key] - similarity) <= _SIMILARITY]
    if agrees and windows:
        return f"reproduced, SSIM {windows[0]}"
    if agrees:
        return "PSNR reproduced, SSIM not"
    return "small budget" if _SMALL in budget.lower() else "not reproduced"


def _doubts(table: str, row: str, method: str) -> str:
    found = [doubt(table, row, f"{method}/{measure}") for measure in ("PSNR", "SSIM")]
    return "; ".join(dict.fromkeys(text for text in found if text))


def elsewhere(evidence: Evidence) -> list[Line]:
    """Methods that need no training here, against what their own papers and codes publish."""
    lines = []
    for entry in published.reference("wcdgan_elsewhere").itertuples():
        source = _ELSEWHERE.get(entry.method)
        mean = evidence.mean(source, entry.data, int(entry.quality)) if source else None
        if mean is None:
            continue
        key = next(key for key, name in _WINDOWS.items() if name == entry.window)
        lines.append(
            {
                **{"set": entry.data, "q": entry.quality, "method": entry.method},
                **{"published by": entry.source, "published, dB": entry.psnr},
                "ours, dB": number(mean.psnr, 2),
                "difference, dB": number(mean.psnr - float(entry.psnr), 2, "+"),
                f"published, SSIM ({'/'.join(_WINDOWS.values())})": f"{entry.ssim} {entry.window}",
                "ours, SSIM": number(mean[key], 4),
                "verdict": verdict(mean, float(entry.psnr), float(entry.ssim), ""),
            }
        )
    return lines


def everything(evidence: Evidence) -> list[Line]:
    """Every method at every set and quality, with its gain over JPEG."""
    lines = []
    groups = evidence.table.groupby(["channels", "data", "quality"], sort=True)
    for (channels, data, quality), mine in groups:
        plain = evidence.mean("jpeg", data, quality, channels)
        for method in dict.fromkeys(mine.method):
            mean = evidence.mean(method, data, quality, channels)
            gain = mean.psnr - plain.psnr if plain is not None else math.nan
            lines.append(
                {
                    **{"set": data, "channels": channels, "q": str(quality), "method": method},
                    "PSNR, dB": number(mean.psnr, 2),
                    "gain, dB": number(gain, 2, "+"),
                    "SSIM, uniform 8": number(mean.ssim_uniform, 4),
                    "SSIM, Gaussian 11": number(mean.ssim, 4),
                    "PSNR-B, dB": number(mean.psnr_b, 2),
                    "budget": evidence.budget(method, data, quality, channels),
                }
            )
    return lines


def complexity(evidence: Evidence) -> list[Line]:
    """Table 3: model size and run time."""
    values = published.numbers("wcdgan", "3")
    lines = []
    for name in ("ARCNN", "DnCNN", "MemNet", "MWCNN", "WCDGAN"):
        timing = evidence.timing.get(f"{name.lower()}_rgb", {})
        size = timing.get("parameters", math.nan) / 1e6
        published_size = values["model size", name, "value"]
        same = abs(size - published_size) <= 0.05 + 1e-9
        lines.append(
            {
                "method": name,
                "paper, M": number(published_size, 1),
                "ours, M": number(size, 2),
                "size": ("same" if same else "differs") if timing else "not measured",
                "paper, s": number(values["runtime", name, "value"], 4),
                "ours, s": number(timing.get("seconds", math.nan), 2),
                "ours, WCDGAN = 1": _ratio(evidence, name),
            }
        )
    return lines


def _ratio(evidence: Evidence, name: str) -> str:
    one, ours = (evidence.timing.get(f"{n}_rgb") for n in (name.lower(), "wcdgan"))
    return number(one["seconds"] / ours["seconds"], 2) if one and ours else number(math.nan, 2)


def ablation(evidence: Evidence, table: str) -> list[Line]:
    """Table 4 or 5: changes of PSNR and SSIM against the proposed network, paper's and ours."""
    variants = ABLATIONS if table == "4" else GAN_ABLATION
    values = published.numbers("wcdgan", table)
    lines = []
    for row in dict.fromkeys(row for row, _, _ in values):
        data, quality = row.split("/")
        first, *others = variants
        place = SETS[data], int(quality)
        base = evidence.mean(variants[first], *place)
        small = _SMALL in evidence.budget(variants[first], *place).lower()
        for column in others:
            mean = evidence.mean(variants[column], *place)
            known = base is not None and mean is not None
            line = {"set": data, "q": quality, "variant": column}
            for measure, key, digits in (("PSNR", "psnr", 3), ("SSIM", "ssim", 4)):
                unit = ", dB" if measure == "PSNR" else ""
                printed = [values[row, f"{c}/{measure}", "value"] for c in (first, column)]
                line[f"paper, {measure}{unit}"] = number(printed[1] - printed[0], digits, "+")
                ours = mean[key] - base[key] if known else math.nan
                line[f"ours, {measure}{unit}"] = number(ours, digits, "+")
            verdict_of_it = (_SMALL if small else "measured") if known else "not measured"
            doubts = _doubts(table, row, first)
            lines.append({**line, "verdict": verdict_of_it, "doubts": doubts})
    return lines


def realism(evidence: Evidence) -> list[Line]:
    """Table 6: Inception Score and FID."""
    lines = []
    for (row, column, _), value in published.numbers("wcdgan", "6").items():
        data, quality = row.split("/")
        variant, measure = column.split("/")
        found = set_measures(evidence, GAN_ABLATION[variant], SETS[data], int(quality), "rgb")
        ours = found[{"IS": "inception_score", "FID": "fid"}[measure]] if found else math.nan
        lines.append(
            {
                **{"set": data, "q": quality, "variant": variant, "measure": measure},
                **{"paper": number(value, 4), "ours": number(ours, 4)},
                "weights": found["weights"] if found else "",
                "doubts": doubt("6", row, column),
            }
        )
    return lines


def set_measures(evidence, method: str, data: str, quality: int, channels: str) -> dict | None:
    """The row of a whole set, or None."""
    wanted = {"method": method, "data": data, "quality": quality, "channels": channels}
    for row in evidence.sets.to_dict("records"):
        if wanted.items() <= row.items():
            return row
    return None
