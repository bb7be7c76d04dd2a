"""What was measured for the distortion GAN."""

from __future__ import annotations

import csv
import dataclasses
import math
import pathlib

import pandas as pd

from lossylab.eval.options.distortions import REAL, UNTOUCHED
from lossylab.eval.report import budgets
from lossylab.eval.report import folder as results
from lossylab.eval.report.claims import by_seed
from lossylab.eval.report.differences import (
    FIXED,
    Difference,
    over_trainings,
    pairs_of_trainings,
)
from lossylab.eval.report.tables import Line
from lossylab.eval.schemas import DIVERGENCES

STEM = "distortion_gan"


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What was measured.

    Attributes:
      table: rows of divergences, one an image, method of distortion and real distortion; with the
        mean power of each residual's bands, dB.
      severities: lines of severity.csv, best first.
      grids: folders of crops for comparison grids, by name.
      trained: numbers that count of each model's training, see `budgets`.
    """

    table: pd.DataFrame
    severities: list[Line]
    grids: dict[str, pathlib.Path]
    trained: dict[str, dict[str, int]]

    @property
    def title(self) -> str:
        """Budget of the models, and what was measured on."""
        budgets = [b for b in dict.fromkeys(self.table.budget) if b]
        data = ", ".join(dict.fromkeys(self.table.data))
        return f"{'; '.join(budgets) or 'no model measured'}; measured on {data}"

    @property
    def smaller(self) -> str:
        """Why the models are not of the paper's budget, in words; '' if they are."""
        models = self.table[self.table.budget != ""].generated.unique()
        return budgets.smaller(STEM, self.trained, models)

    @property
    def methods(self) -> list[str]:
        """Names of what generated the distorted images, models first."""
        names = dict.fromkeys(self.table.generated)
        return sorted(names, key=lambda name: (name == UNTOUCHED, name.startswith(REAL)))

    def images(self, method: str, real: str) -> pd.DataFrame:
        """Rows of a method against a real distortion, by image."""
        mine = self.table[(self.table.generated == method) & (self.table.reference == real)]
        return mine.set_index("image").sort_index()

    @property
    def names(self) -> list[str]:
        """Names of what generated the distorted images."""
        return list(self.table.generated.unique())

    def measure(self, method: str, real: str, measure: str = "jsd") -> pd.Series:
        """A measure by image; NaN where it was not measured."""
        return self.images(method, real).reindex(columns=[measure])[measure].astype(float)

    def mean(self, method: str, real: str, measure: str = "jsd") -> float:
        """Mean over all images; NaN unless all were measured."""
        values = self.measure(method, real, measure)
        whole = len(values) == self.table.image.nunique()
        return float(values.mean(skipna=False)) if whole else math.nan

    def difference(
        self, one: tuple[str, str], other: tuple[str, str], measure: str = "jsd", times: float = 1.0
    ) -> Difference | None:
        """A measure minus so many times another by image, over the trainings of both.

        Args:
          one: method and real distortion.
          other: the same.
          measure: of both.
          times: what the other's is multiplied by.
        """
        gaps, count = [], self.table.image.nunique()
        for mine, theirs in pairs_of_trainings(*map(self._trainings, (one[0], other[0]))):
            a, b = self.measure(mine, one[1], measure), self.measure(theirs, other[1], measure)
            same = list(a.index) == list(b.index) and len(a) == count
            gaps.append(a - times * b if same else None)
        return over_trainings(gaps)

    def _trainings(self, method: str) -> dict[str, str]:
        """Names of a method's trainings by what follows the method's; see `pairs_of_trainings`."""
        if method == UNTOUCHED or method.startswith(REAL):
            return {FIXED: method}
        return by_seed(self.names, method)


def load(folder: str) -> Evidence:
    """Reads a results folder; raises WorkError if its rows are missing or damaged."""
    root = pathlib.Path(folder)
    table = results.table(root / "rows.csv", DIVERGENCES, "lossylab eval distortions")
    for prefix in ("", "real_"):
        table[f"{prefix}power"] = table[f"{prefix}bands"].map(_mean_power)
    severities: list[Line] = []
    if (root / "severity.csv").exists():
        severities = list(csv.DictReader((root / "severity.csv").read_text().splitlines()))
    grids = {path.parent.name: path.parent for path in root.glob("grids/*/index.json")}
    return Evidence(table, severities, dict(sorted(grids.items())), budgets.recorded(folder))


def _mean_power(bands: str) -> float:
    """The mean of a spectrum's bands in dB; NaN without a spectrum."""
    values = [float(each) for each in bands.split()]
    return sum(values) / len(values) if values else math.nan
