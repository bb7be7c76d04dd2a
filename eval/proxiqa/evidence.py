"""What was measured for ProxIQA."""

from __future__ import annotations

import dataclasses
import logging
import math
import pathlib
import re

import numpy as np
import pandas as pd
from scipy import interpolate

from lossylab.core import rows
from lossylab.core.errors import WorkError
from lossylab.core.options import require
from lossylab.eval.measurements import without_data
from lossylab.eval.metrics import bd_rate
from lossylab.eval.report import rd_report
from lossylab.eval.report.claims import repetitions
from lossylab.eval.report.differences import Difference, over_trainings, settled
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
        pairs = zip(repetitions(self.names, test), repetitions(self.names, anchor))
        return over_trainings([self.percents(mine, metric, theirs) for mine, theirs in pairs])

    def pairs(self, test: str, metric: str, anchor: str = ANCHOR) -> pd.DataFrame | None:
        """Quality minus the anchor's at equal rate, by image and by pair of trainings.

        A pair is two exports of one lambda, trained alike from the same start. The anchor's curve
        is interpolated linearly over the logarithm of the rate, and goes on straight where the
        other's rate lies beyond it. None for codecs that have no pairs.
        """
        mine = self.table.assign(lmbda=self.table.setting.map(_lambda))
        mine = mine[mine.codec.isin((test, anchor)) & mine.lmbda.notna()]
        shared = set.intersection(*(set(mine[mine.codec == n].lmbda) for n in (test, anchor)))
        if len(shared) < 2:
            return None
        gaps = {
            str(image): _gaps(group[group.codec == test], group[group.codec == anchor], metric)
            for image, group in mine[mine.lmbda.isin(shared)].groupby("image")
        }
        return pd.DataFrame(gaps).T


def _lambda(setting: str) -> float:
    """The lambda that the name of a study's export tells; NaN if it tells none."""
    found = re.fullmatch(r"[a-z_]+_(\d*\.\d+)(_\d+)?", setting)
    return float(found[1]) if found else math.nan


def _gaps(test: pd.DataFrame, anchor: pd.DataFrame, metric: str) -> pd.Series:
    """One image's: quality minus the anchor's curve at the same rate, by lambda."""
    anchor = anchor.sort_values("bpp_file")
    # Of degree 1 it is linear, also beyond its ends.
    curve = interpolate.make_interp_spline(np.log(anchor.bpp_file), anchor[metric], k=1)
    points = test.set_index("lmbda")
    return settled(points[metric] - curve(np.log(points.bpp_file)))


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
    training = sorted((pathlib.Path(folder) / "training").glob("*.csv"))
    return Evidence(
        table=table,
        about=about,
        timing=timing,
        training={path.stem: _training(path) for path in training},
    )


def _training(path: pathlib.Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path)
        return table[[*_SCORES, *(n for n in ("proxy_correlation", *STDS) if n in table)]].astype(
            float
        )
    except (OSError, ValueError, KeyError) as error:
        raise WorkError(f"{path} is no table of step, proxy and score: {error}") from error
