"""What was measured for the JPEG encoder: rows, curves, differences at equal rate."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib

import numpy as np
import pandas as pd
from scipy import interpolate

from lossylab.core.errors import WorkError
from lossylab.eval.measures import Color
from lossylab.eval.report import folder as results
from lossylab.eval.report import rd_report
from lossylab.eval.report.differences import Difference, mean_difference
from lossylab.eval.sweep import columns, text_columns, without_data

JPEG = "jpeg"


LOW, HIGH = 0.25, 0.42  # bits per pixel, the range of Fig. 5


HUFFMAN = {"standard": "bpp", "optimized": "bpp_optimized"}


# Measures where curves over the logarithm of the rate are nearly straight, and back.
_STRAIGHT = {
    "mse": (np.log, np.exp),
    "psnr_rgb": (np.asarray, np.asarray),
    "ms_ssim_rgb": (lambda value: -np.log(1 - value), lambda value: 1 - np.exp(-value)),
    "lpips": (np.log, np.exp),
}


_RATES = 33  # at which curves are compared


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

        def said(name: str, default: str = "none") -> str:
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

    def curves(self, model: str, rate: str) -> dict[str, pd.DataFrame]:
        """Rows of one encoder by image, empty where it has none, rising rate, each rate once."""
        if (model, rate) not in self._curves:
            self._curves[model, rate] = {
                str(image): group[group.codec == model].sort_values(rate).drop_duplicates(rate)
                for image, group in self.table.groupby("image")
            }
        return self._curves[model, rate]

    @functools.cached_property
    def _curves(self) -> dict[tuple[str, str], dict[str, pd.DataFrame]]:
        return {}


def load(folder: str) -> Evidence:
    """Reads a results folder; raises WorkError if its rows are missing or damaged."""
    root = pathlib.Path(folder)
    table = results.table(
        root / "rows.csv",
        columns(Color),
        text_columns(Color),
        "lossylab eval jpeg_rd",
        without_data(root),
    )
    pixels = table.width * table.height
    table["bpp"] = table.bpp_file
    table["bpp_optimized"] = 8 * table.bytes_optimized / pixels
    table["ms_ssim_db"] = -10 * np.log10(1 - table.ms_ssim_rgb)
    table["lpips_quality"] = -table.lpips
    try:
        about = json.loads((root / "about.json").read_text())
        for key in ("data", "lpips", "models"):
            about[key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkError(f"{root} has no usable about.json: {error}") from error
    table = rd_report.of_newest(table, about)
    timing = {(row["network"], row.get("work", "")): row for row in results.timings(root)}
    training = {
        name: pd.read_csv(path)
        for name in ("with", "without")
        if (path := root / "training" / f"{name}_attention.csv").exists()
    }
    return Evidence(table, about, timing, training)


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
    both = [evidence.curves(name, rate) for name in (model, other)]
    for curves in zip(*(each.values() for each in both)):  # the same images in the same order
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
