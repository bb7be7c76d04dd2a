"""What was measured for the JPEG encoder: rows, curves, differences at equal rate."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy.stats
from scipy import interpolate

from lossylab.core.errors import WorkError
from lossylab.eval.measurements import without_data
from lossylab.eval.report import budgets, rd_report
from lossylab.eval.report import folder as results
from lossylab.eval.report.claims import by_seed
from lossylab.eval.report.differences import Difference, over_trainings, pairs_of_trainings
from lossylab.eval.schemas import CODED_COLOR

STEM = "jpeg_encoder"
JPEG = "jpeg"
FLAT = "jpeg_flat"  # one step for all frequencies


LOW, HIGH = 0.25, 0.42  # bits per pixel, the range of Fig. 5


HUFFMAN = {"standard": "bpp", "optimized": "bpp_optimized"}


# Measures where curves over the logarithm of the rate are nearly straight, and back.
_STRAIGHT = {
    "mse": (np.log, np.exp),
    "psnr_rgb": (np.asarray, np.asarray),
    "ms_ssim_rgb": (lambda value: -np.log(1 - value), lambda value: 1 - np.exp(-value)),
    "lpips": (np.log, np.exp),
    "vmaf": (np.asarray, np.asarray),
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

        small = "small budget: " if self.smaller else ""
        tables = " after tables alone" if any("tables_from" in each for each in options) else ""
        lpips, distance = said("lpips_weight"), "LPIPS"
        if said("perceptual", "lpips") != "lpips":
            distance = f"the distance of {said('perceptual_weights')}'s features in LPIPS's place"
        without = ", no LPIPS in the loss" if lpips == "0.0" else f", {distance} weighs {lpips}"
        return (
            f"{small}{said('steps')} steps of {said('batch')} crops of {said('patch')} pixels from "
            f"{said('train_data')}{tables}, backbones {said('weights')}{without}; measured on "
            f"{self.about['data']}, {self.about['lpips']}"
        )

    @property
    def smaller(self) -> str:
        """Why the encoders are not of the paper's budget, in words; '' if they are."""
        models = self.about["models"].items()
        trained = {name: budgets.counted(STEM, each.values()) for name, each in models}
        return budgets.smaller(STEM, trained, trained)

    @property
    def random_lpips(self) -> bool:
        """Whether LPIPS had random weights: then it ranks nothing."""
        return self.about["lpips"].endswith("weights random")

    @property
    def names(self) -> list[str]:
        """Names of the encoders."""
        return list(self.table.codec.unique())

    @functools.cached_property
    def curves(self) -> dict[tuple[str, str], pd.DataFrame]:
        """Rows by encoder and image."""
        return {(str(c), str(i)): rows for (c, i), rows in self.table.groupby(["codec", "image"])}

    @property
    def models(self) -> list[str]:
        """Names of the curves, standard JPEG first."""
        return [JPEG, *sorted(set(self.table.codec) - {JPEG})]

    def curve(self, model: str) -> pd.DataFrame:
        """Means over all images by point, rising rate; NaN where some images are missing."""
        groups = self.table[self.table.codec == model].groupby("setting")
        means = groups.mean(numeric_only=True)
        order = means.sort_values("bpp").index
        means.loc[groups.image.nunique() < self.table.image.nunique()] = math.nan
        return means.loc[order]


def load(folder: str) -> Evidence:
    """Reads a results folder; raises WorkError if its rows are missing or damaged."""
    root = pathlib.Path(folder)
    path = root / "rows.csv"
    table = results.table(path, CODED_COLOR, "lossylab eval jpeg_rd", without_data(root))
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

    level: float = math.nan


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

    Args:
      evidence: the rows.
      model: name of the one.
      other: name of the other.
      measure: column of the rows.
      huffman: whose rate.
      low: least bits per pixel.
      high: most.

    Returns:
      Over all images, and pairs of trainings. None unless all images can be compared.
    """
    gaps, levels = [], []
    both = (by_seed(evidence.names, name) for name in (model, other))
    for one, two in pairs_of_trainings(*both):
        found = by_image(evidence, one, two, measure, huffman, low, high)
        gaps.append(found.gap)
        levels.append(found.level.mean())
    found = over_trainings(gaps)
    if found is None:
        return None
    return AtEqualRate(**dataclasses.asdict(found), level=float(np.mean(levels)))


def by_image(
    evidence: Evidence, model: str, other: str, measure: str, huffman: str, low: float, high: float
) -> pd.DataFrame:
    """By image, gap: a measure of one encoder minus that of another; level: that of the other.

    Both curves of an image are interpolated in the same way, by pchip over the logarithm of the
    rate where they are nearly straight (`_STRAIGHT`), at rates that both reach: the other way
    round gives the opposite. NaN for an image whose curves have no rate in common.
    """
    found = {
        image: _gap(
            [evidence.curves.get((n, image)) for n in (model, other)], measure, huffman, low, high
        )
        for image in sorted(set(evidence.table.image))
    }
    return pd.DataFrame(found, index=["gap", "level"]).T


def _gap(
    curves: list[pd.DataFrame | None], measure: str, huffman: str, low: float, high: float
) -> tuple[float, float]:
    """The same of two curves."""
    known = [curve for curve in curves if curve is not None and curve[measure].notna().all()]
    if len(known) < 2:
        return math.nan, math.nan
    pairs = [(curve[HUFFMAN[huffman]].to_numpy(), curve[measure].to_numpy()) for curve in known]
    return _between(pairs, measure, low, high)


def _between(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]], measure: str, low: float, high: float
) -> tuple[float, float]:
    """Mean difference of two curves of rate and quality, and mean of the second."""
    least = max(low, *(rate.min() for rate, _ in pairs))
    most = min(high, *(rate.max() for rate, _ in pairs))
    if least >= most or min(len(rate) for rate, _ in pairs) < 2:
        return math.nan, math.nan
    bend, back = _STRAIGHT[measure]
    rates = np.linspace(np.log(least), np.log(most), _RATES)
    values = []
    for rate, quality in pairs:
        distinct, first = np.unique(np.log(rate), return_index=True)
        values.append(back(interpolate.PchipInterpolator(distinct, bend(quality[first]))(rates)))
    mine, theirs = values
    return float(np.mean(mine - theirs)), float(np.mean(theirs))


def of_mean_curves(
    evidence: Evidence, model: str, other: str, measure: str, low: float, high: float
) -> Difference | None:
    """A measure of one encoder minus that of another at equal mean rate, as the paper's figures.

    Both curves are of means over the images; the margin is of leaving out each image in turn. None
    unless all points are of all images and both curves reach the range.
    """
    tables = []
    for name in (model, other):
        mine = evidence.table[evidence.table.codec == name]
        wide = [mine.pivot(index="setting", columns="image", values=c) for c in ("bpp", measure)]
        if wide[0].isna().any(axis=None) or wide[0].shape[1] != evidence.table.image.nunique():
            return None
        tables.append([each.to_numpy() for each in wide])
    count = evidence.table.image.nunique()

    def gap(images: np.ndarray) -> float:
        pairs = [(rate[:, images].mean(1), value[:, images].mean(1)) for rate, value in tables]
        return _between(pairs, measure, low, high)[0]

    everything = np.arange(count)
    left = np.array([gap(np.delete(everything, i)) for i in everything])
    error = float(((left - left.mean()) ** 2).sum() * (count - 1) / count) ** 0.5
    mean = gap(everything)
    if not np.isfinite(mean) or count < 2:
        return None
    return Difference(mean, float(scipy.stats.t.ppf(0.975, count - 1)) * error, count)
