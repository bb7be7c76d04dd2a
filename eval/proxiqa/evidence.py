"""What was measured for ProxIQA."""

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
from lossylab.eval.report import rd_report
from lossylab.eval.sweep import COLUMNS, TEXT, without_data

log = logging.getLogger("lossylab")


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

    def bd(
        self, test: str, metric: str, anchor: str = ANCHOR, method: str = "cubic"
    ) -> tuple[float, float, int]:
        """Mean, standard deviation and number of BD-rates over images, in per cent.

        The standard deviation divides by n: so do those of Table II, as Table I shows.
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
    table = rd_report.of_newest(table, about)
    require(
        ANCHOR in set(table.codec),
        f"{folder} has no rows of {ANCHOR}, the baseline of the paper's BD-rates",
    )
    timing = table[:0]
    path = pathlib.Path(folder) / "timing" / "rows.csv"
    if path.exists():
        timing = rows.frame(rows.read(path, COLUMNS, without_data(path.parent)), TEXT)
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
