"""What was measured for ProxIQA."""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
import math
import pathlib
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import interpolate

from lossylab.core import rows
from lossylab.core.errors import WorkError
from lossylab.core.options import require
from lossylab.eval.measurements import without_data
from lossylab.eval.metrics import bd_rate
from lossylab.eval.report import budgets, rd_report
from lossylab.eval.report.claims import by_seed
from lossylab.eval.report.differences import (
    Difference,
    over_trainings,
    pairs_of_trainings,
    settled,
)
from lossylab.eval.schemas import CODED

log = logging.getLogger("lossylab")


_SCORES = ("step", "proxy", "score")
STDS = ("proxy_std", "score_std")  # within batches, where they were logged
ANCHOR = "bls_mse"  # baseline of all the paper's BD-rates


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Everything measured for the paper.

    Attributes:
      table: rows of rate and quality.
      about: what made them; 'title' states the budget.
      timing: rows measured one at a time, for Table V and Fig. 12; may be empty.
      training: tables of step, proxy and score by run name, for Fig. 7; may be empty.
      options: of these trainings by run name, as far as they are told; may be empty.
    """

    table: pd.DataFrame
    about: dict
    timing: pd.DataFrame
    training: dict[str, pd.DataFrame]
    options: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    _found: dict = dataclasses.field(default_factory=dict, repr=False)

    @property
    def title(self) -> str:
        """The budget of what was trained here."""
        return self.about["title"]

    @property
    def trained(self) -> dict[str, dict[str, Any]]:
        """What counts of the codecs' trainings, as far as it was recorded; see `budgets`."""
        return self.about.get(budgets.TRAINED, {})

    @property
    def smaller(self) -> str:
        """Why the learned codecs are not of the paper's budget, in words; '' if they are."""
        codecs = self.about["codecs"]
        learned = [name for name in codecs if "export" in codecs[name].get("options", {})]
        return budgets.smaller("proxiqa", self.trained, learned)

    @property
    def names(self) -> list[str]:
        """Names of the codecs."""
        return list(self.table.codec.unique())

    def bd(
        self, test: str, metric: str, anchor: str = ANCHOR, method: str = "pchip"
    ) -> tuple[float, float]:
        """Mean and standard deviation of BD-rates over the images, in per cent.

        NaN unless all images can be compared. The standard deviation divides by n: so do those of
        Table II, as Table I shows.
        """
        values = self.percents(test, metric, anchor, method)
        if values.empty or values.isna().any():
            return math.nan, math.nan
        return float(values.mean()), float(values.std(ddof=0))

    def percents(
        self, test: str, metric: str, anchor: str = ANCHOR, method: str = "pchip"
    ) -> pd.Series:
        """BD-rates by image, NaN where curves cannot be compared."""
        found = self.per_image(test, metric, anchor, method)
        percents = {image: value.percent for image, value in found.items()}
        return settled(pd.Series(percents, dtype=float))

    def per_image(
        self, test: str, metric: str, anchor: str = ANCHOR, method: str = "pchip"
    ) -> dict[str, bd_rate.BDRate]:
        """BD-rate by image, see `bd_rate.per_image`; each is computed once."""
        key = (test, metric, anchor, method)
        if key not in self._found:
            self._found[key] = bd_rate.per_image(self.table, anchor, test, metric, method)
        return self._found[key]

    def difference(self, test: str, metric: str, anchor: str = ANCHOR) -> Difference | None:
        """Mean BD-rate over images and trainings; None unless all images can be compared."""
        pairs = pairs_of_trainings(*(by_seed(self.names, codec) for codec in (test, anchor)))
        return over_trainings([self.percents(mine, metric, theirs) for mine, theirs in pairs])

    def pairs(self, test: str, metric: str, anchor: str = ANCHOR) -> pd.DataFrame | None:
        """Rates against the anchor's at equal quality, in per cent, by image and by pair.

        A pair is two exports of one lambda, trained alike from the same start. The anchor's curve
        is interpolated as BD-rates are; NaN where the other's quality lies beyond it, or where it
        does not rise. None for codecs that have no pairs.
        """
        return self._by_lambda(test, anchor, functools.partial(_rate_gaps, metric=metric))

    def quality_gaps(self, test: str, metric: str, anchor: str = ANCHOR) -> pd.DataFrame | None:
        """Quality minus the anchor's at equal rate, by image and by pair; see `pairs`."""
        return self._by_lambda(test, anchor, functools.partial(_quality_gaps, metric=metric))

    def _by_lambda(
        self, test: str, anchor: str, gaps: Callable[[pd.DataFrame, pd.DataFrame], pd.Series]
    ) -> pd.DataFrame | None:
        """What the gaps of two curves are at the lambdas that both have, by image."""
        table = self.table.assign(lmbda=self.table.setting.map(lambda_of))
        mine, theirs = (table[(table.codec == n) & table.lmbda.notna()] for n in (test, anchor))
        mine = mine[mine.lmbda.isin(theirs.lmbda)]
        if mine.lmbda.nunique() < 2:
            return None
        found = {
            str(image): gaps(points, theirs[theirs.image == image])
            for image, points in mine.groupby("image")
        }
        return pd.DataFrame(found).T


def lambda_of(setting: str) -> float:
    """The lambda that the name of a study's export tells; NaN if it tells none."""
    found = re.fullmatch(r"[a-z_]+_(\d*\.\d+)(_\d+)?", setting)
    return float(found[1]) if found else math.nan


def _rate_gaps(test: pd.DataFrame, anchor: pd.DataFrame, metric: str) -> pd.Series:
    """One image's: rate against the anchor's curve at the same quality, in per cent, by lambda."""
    points = test.set_index("lmbda")
    rates = _curve(anchor[metric], np.log(anchor.bpp_file), points[metric])
    return settled(100 * (points.bpp_file / np.exp(rates) - 1))


def _quality_gaps(test: pd.DataFrame, anchor: pd.DataFrame, metric: str) -> pd.Series:
    """One image's: quality minus the anchor's curve at the same rate, by lambda."""
    points = test.set_index("lmbda")
    qualities = _curve(np.log(anchor.bpp_file), anchor[metric], np.log(points.bpp_file))
    return settled(points[metric] - qualities)


def _curve(x: ArrayLike, y: ArrayLike, at: ArrayLike) -> np.ndarray:
    """A rising curve by pchip; NaN beyond its ends, and of points that do not rise."""
    order = np.argsort(x)
    ends = np.asarray(x)[order], np.asarray(y)[order]
    if len(order) < 2 or any((np.diff(each) <= 0).any() for each in ends):
        return np.full(np.shape(at), np.nan)
    return interpolate.PchipInterpolator(*ends, extrapolate=False)(np.asarray(at))


def load(folder: str) -> Evidence:
    """Reads a results folder.

    Raises:
      WorkError: if it is damaged.
      UsageError: if it has no rows of the codec that BD-rates compare with.
    """
    table, about = rd_report.load(folder)
    table = rd_report.of_newest(table, about)
    require(
        ANCHOR in set(table.codec),
        f"{folder} has no rows of {ANCHOR}, the baseline of the paper's BD-rates",
    )
    timing = table[:0]
    path = pathlib.Path(folder) / "timing" / "rows.csv"
    if path.exists():
        timing = rows.frame(rows.read(path, CODED.columns, without_data(path.parent)), CODED.text)
        old = ~timing.identity.isin(table.identity)
        if old.any():
            log.warning("%d times are of other weights or versions: left out", old.sum())
        timing = timing[~old]
    training = pathlib.Path(folder) / "training"
    return Evidence(
        table=table,
        about=about,
        timing=timing,
        training={path.stem: _training(path) for path in sorted(training.glob("*.csv"))},
        options=_options(training / "about.json"),
    )


def _training(path: pathlib.Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path)
        return table[[*_SCORES, *(n for n in ("proxy_correlation", *STDS) if n in table)]].astype(
            float
        )
    except (OSError, ValueError, KeyError) as error:
        raise WorkError(f"{path} is no table of step, proxy and score: {error}") from error


def _options(path: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Options by run name; none without the file."""
    if not path.exists():
        return {}
    try:
        return {str(run): dict(options) for run, options in json.loads(path.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise WorkError(f"{path} is no table of options by run: {error}") from error
