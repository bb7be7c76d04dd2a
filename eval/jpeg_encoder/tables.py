"""The JPEG encoder's evidence: measured rows, curves and tables."""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib

import numpy as np
import pandas as pd
from scipy import interpolate

from lossylab.core import rows
from lossylab.core.errors import WorkError
from lossylab.eval.measures import Color
from lossylab.eval.metrics import bd_rate
from lossylab.eval.report import published
from lossylab.eval.report.comparison import Cell
from lossylab.eval.report.differences import Difference, mean_difference
from lossylab.eval.report.tables import Line, number
from lossylab.eval.sweep import columns, text_columns

JPEG = "jpeg"
LOW, HIGH = 0.25, 0.42  # bits per pixel, the range of Fig. 5
HUFFMAN = {"standard": "bpp", "optimized": "bpp_optimized"}
# Column -> heading, digits, whether more is better.
MEASURED = {
    "mse": ("MSE", 2, False),
    "psnr_rgb": ("PSNR of RGB, dB", 2, True),
    "ms_ssim_rgb": ("MS-SSIM", 4, True),
    "lpips": ("LPIPS", 5, False),
}
# What curves are compared by at equal quality: each rises with the rate.
# Measures where curves over the logarithm of the rate are nearly straight, and back.
_STRAIGHT = {
    "mse": (np.log, np.exp),
    "psnr_rgb": (np.asarray, np.asarray),
    "ms_ssim_rgb": (lambda value: -np.log(1 - value), lambda value: 1 - np.exp(-value)),
    "lpips": (np.log, np.exp),
}
_RATES = 33  # at which curves are compared
QUALITIES = {"psnr_rgb": "MSE", "ms_ssim_db": "MS-SSIM", "lpips_quality": "LPIPS"}


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What was measured.

    Attributes:
      table: rows of rate and quality, one an image and point.
      about: protocol, and what the models were trained with.
      timing: mean seconds and standard errors by (network, work).
      training: rate and quality by step, by 'with' and 'without' attention.
    """

    table: pd.DataFrame
    about: dict
    timing: dict[tuple[str, str], dict]
    training: dict[str, pd.DataFrame]

    @property
    def title(self) -> str:
        """What the models were trained with, in words."""
        options = [each for model in self.about["models"].values() for each in model.values()]
        if not options:
            return "no learned encoder measured"

        def said(name, default="none"):
            found = {str(each.get(name, default)) for each in options if name in each}
            return "/".join(sorted(found)) or default

        small = "" if said("steps") == "20000" else "small budget: "
        tables = " after tables alone" if any("tables_from" in each for each in options) else ""
        lpips = said("lpips_weight")
        without = ", no LPIPS in the loss" if lpips == "0.0" else f", LPIPS weighs {lpips}"
        return (
            f"{small}{said('steps')} steps of {said('batch')} crops of {said('patch')} pixels from "
            f"{said('train_data')}{tables}, backbones {said('weights')}{without}; measured on "
            f"{self.about['data']}, {self.about['lpips']}"
        )

    @property
    def models(self) -> list[str]:
        """Names of the curves, standard JPEG first."""
        return [JPEG, *sorted(set(self.table.codec) - {JPEG})]

    def curve(self, model: str) -> pd.DataFrame:
        """Means over the images by point, rising rate."""
        mine = self.table[self.table.codec == model]
        means = mine.groupby("setting").mean(numeric_only=True)
        return means.sort_values("bpp")


def load(folder: str) -> Evidence:
    """Reads a results folder; raises WorkError if its rows are missing or damaged."""
    place = pathlib.Path(folder)
    measured = rows.read(place / "rows.csv", columns(Color))
    if not measured:
        raise WorkError(f"{place / 'rows.csv'} has no rows: measure with `lossylab eval jpeg_rd`")
    table = rows.frame(measured, text_columns(Color))
    pixels = table.width * table.height
    table["bpp"] = table.bpp_file
    table["bpp_optimized"] = 8 * table.bytes_optimized / pixels
    table["ms_ssim_db"] = -10 * np.log10(1 - table.ms_ssim_rgb)
    table["lpips_quality"] = -table.lpips
    try:
        about = json.loads((place / "about.json").read_text())
        for key in ("data", "lpips", "models"):
            about[key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkError(f"{place} has no usable about.json: {error}") from error
    timing = {}
    if (place / "timing.jsonl").exists():
        try:
            for line in (place / "timing.jsonl").read_text().splitlines():
                row = json.loads(line)
                timing[row["network"], row["work"]] = row
        except (ValueError, KeyError, TypeError) as error:
            raise WorkError(f"{place / 'timing.jsonl'} is damaged: {error}") from error
    training = {
        name: pd.read_csv(path)
        for name in ("with", "without")
        if (path := place / "training" / f"{name}_attention.csv").exists()
    }
    return Evidence(table, about, timing, training)


def points(evidence: Evidence) -> list[Line]:
    """Every point of every curve: means over the images."""
    lines = []
    for model in evidence.models:
        for setting, means in evidence.curve(model).iterrows():
            lines.append(
                {
                    "encoder": model,
                    "point": str(setting).removeprefix(f"{model}_"),
                    "images": str((evidence.table.setting == setting).sum()),
                    "bpp": number(means.bpp, 4),
                    "bpp, optimized": number(means.bpp_optimized, 4),
                    **{
                        heading: number(means[name], digits)
                        for name, (heading, digits, _) in MEASURED.items()
                    },
                }
            )
    return lines


def compared(evidence: Evidence, huffman: str) -> pd.DataFrame:
    """The rows with the rate of one kind of Huffman codes as `bpp_file`."""
    return evidence.table.assign(bpp_file=evidence.table[HUFFMAN[huffman]])


def bd_rates(evidence: Evidence, anchor: str = JPEG) -> list[Line]:
    """BD-rates of every encoder against standard JPEG, both with the same Huffman codes."""
    lines = []
    for huffman in HUFFMAN:
        table = compared(evidence, huffman)
        for model in evidence.models:
            if model == anchor:
                continue
            line = {"encoder": model, "Huffman codes": huffman}
            for quality, name in QUALITIES.items():
                found = bd_rate.over_images(table, anchor, model, quality, "pchip")
                line[f"{name}, %"] = (
                    f"{number(found.mean, 1)} ± {number(found.std, 1)} ({found.compared})"
                    if found.compared
                    else "n/a"
                )
            lines.append(line)
    return lines


@dataclasses.dataclass(frozen=True)
class AtEqualRate(Difference):
    """Of two encoders.

    Attributes:
      level: mean of the other encoder's measure at these rates.
    """

    level: float


def at_equal_rate(
    evidence: Evidence,
    model: str,
    other: str,
    measure: str,
    huffman: str = "standard",
    low: float = LOW,
    high: float = HIGH,
) -> AtEqualRate | None:
    """A measure of one encoder minus that of another at the same rates.

    Both curves of an image are interpolated in the same way, by pchip over the logarithm of the
    rate where they are nearly straight (`_STRAIGHT`), at rates that both reach: the other way
    round gives the opposite.

    Args:
      evidence: the rows.
      model: name of the one.
      other: name of the other.
      measure: column of the rows.
      huffman: whose rate.
      low: least bits per pixel.
      high: most.

    Returns:
      None if there are fewer than two images to compare.
    """
    rate, differences, levels = HUFFMAN[huffman], [], []
    bend, back = _STRAIGHT[measure]
    for _, group in evidence.table.groupby("image"):
        curves = [
            group[group.codec == name].sort_values(rate).drop_duplicates(rate)
            for name in (model, other)
        ]
        if min(map(len, curves)) < 2 or any(curve[measure].isna().any() for curve in curves):
            continue
        least = max(low, *(curve[rate].min() for curve in curves))
        most = min(high, *(curve[rate].max() for curve in curves))
        if least >= most:
            continue
        rates = np.linspace(np.log(least), np.log(most), _RATES)
        mine, theirs = (
            back(interpolate.PchipInterpolator(np.log(curve[rate]), bend(curve[measure]))(rates))
            for curve in curves
        )
        differences.append(float(np.mean(mine - theirs)))
        levels.append(float(np.mean(theirs)))
    found = mean_difference(pd.Series(differences, dtype=float))
    return found and AtEqualRate(found.mean, found.error, found.count, float(np.mean(levels)))


def equal_rate(evidence: Evidence) -> list[Line]:
    """Differences from standard JPEG at equal rate, low range and whole."""
    lines = []
    for name, (low, high) in {f"{LOW} to {HIGH}": (LOW, HIGH), "all": (0, math.inf)}.items():
        for huffman in HUFFMAN:
            for model in evidence.models[1:]:
                line = {"bits per pixel": name, "Huffman codes": huffman, "encoder": model}
                for measure, (heading, digits, _) in MEASURED.items():
                    found = at_equal_rate(evidence, model, JPEG, measure, huffman, low, high)
                    line[heading] = (
                        f"{number(found.mean, digits, '+')} ± {number(found.error, digits)} "
                        f"({found.count})"
                        if found
                        else "n/a"
                    )
                lines.append(line)
    return lines


def printed(evidence: Evidence) -> list[Line]:
    """The few numbers that the paper prints, and ours."""
    lines = []
    for cell in cells(evidence):
        line = cell.line()
        paper, ours = (line[f"{side}, {cell.unit}"] for side in ("paper", "ours"))
        lines.append(
            {
                **{"what": cell.row, "of": cell.column, "unit": cell.unit},
                **{"paper": paper, "ours": ours},
                **{"difference": line["difference"], "verdict": line["verdict"]},
            }
        )
    return lines


def cells(evidence: Evidence) -> list[Cell]:
    """The same as numbers."""
    values = published.numbers("jpeg_encoder", "text")
    ours = {}
    vgg, bls = (_timed(evidence, name) for name in ("vgg19", "bls2017"))
    if vgg and bls:
        ours["inference time", "ours", "mean"] = vgg["seconds"]
        ours["inference time", "ours", "standard error"] = vgg["standard_error"]
        ours["inference time", "BLS", "mean"] = bls["seconds"]
        ours["inference time", "BLS", "standard error"] = bls["standard_error"]
    steps = [
        evidence.timing.get((name, "training step"), {}).get("steps_per_second")
        for name in ("resnet152", "vgg19")
    ]
    if all(steps):
        ours["training speed", "ResNet over VGG", "value"] = 100 * (steps[0] / steps[1] - 1)
    units = {"value": "%", "mean": "s", "standard error": "s"}
    return [
        Cell(
            row=f"{row}, {statistic}" if statistic != "value" else row,
            column=column,
            paper=value,
            ours=ours.get((row, column, statistic), math.nan),
            unit=units[statistic],
            digits=0 if statistic == "value" else 3,
        )
        for (row, column, statistic), value in values.items()
    ]


def _timed(evidence: Evidence, name: str) -> dict | None:
    """The timing of files of an encoder, or of the widest BLS codec."""
    found = [
        row
        for (network, work), row in evidence.timing.items()
        if network.startswith(name) and work.startswith("encode") and "block1" not in network
    ]
    return max(found, key=lambda row: row["seconds"]) if found else None


def timing(evidence: Evidence) -> list[Line]:
    """Everything timed: mean and standard error."""
    return [
        {
            "network": network,
            "work": work,
            "of": row["image"],
            "seconds": f"{number(row['seconds'], 4)} ± {number(row['standard_error'], 4)}",
            "times": str(row["times"]),
            "machine": row["machine"],
        }
        for (network, work), row in evidence.timing.items()
    ]
