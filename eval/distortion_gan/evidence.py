"""What was measured for the distortion GAN."""

from __future__ import annotations

import csv
import dataclasses
import pathlib

import pandas as pd

from lossylab.eval.distortions import ADDED, COLUMNS, PRISTINE, TEXT, TRUE
from lossylab.eval.report import folder as results
from lossylab.eval.report.differences import Difference, mean_difference
from lossylab.eval.report.tables import Line


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What was measured.

    Attributes:
      table: rows of divergences, one an image, method of distortion and true distortion.
      severities: lines of severity.csv, best first.
      grids: folders of crops for comparison grids, by name.
    """

    table: pd.DataFrame
    severities: list[Line]
    grids: dict[str, pathlib.Path]

    @property
    def title(self) -> str:
        """Budget of the models, and what was measured on."""
        budgets = [b for b in dict.fromkeys(self.table.budget) if b]
        data = ", ".join(dict.fromkeys(self.table.data))
        return f"{'; '.join(budgets) or 'no model measured'}; measured on {data}"

    @property
    def methods(self) -> list[str]:
        """Names of what generated the distorted images, models first."""
        names = dict.fromkeys(self.table.generated)
        return sorted(names, key=lambda name: (name == PRISTINE, name.startswith(TRUE)))

    def images(self, method: str, true: str) -> pd.DataFrame:
        """Rows of a method against a true distortion, by image."""
        mine = self.table[(self.table.generated == method) & (self.table.reference == true)]
        return mine.set_index("image").sort_index()

    def mean(self, method: str, true: str, measure: str = "jsd") -> float:
        """Mean over the images; NaN if it was not measured."""
        return float(self.images(method, true)[measure].mean())

    def difference(self, one: str, other: str, true: str) -> Difference | None:
        """Divergence of one method minus that of another, by image; None if unknown."""
        a, b = (self.images(method, true).jsd for method in (one, other))
        return mean_difference(a - b) if list(a.index) == list(b.index) else None


def load(folder: str) -> Evidence:
    """Reads a results folder; raises WorkError if its rows are missing or damaged."""
    root = pathlib.Path(folder)
    table = results.table(root / "rows.csv", COLUMNS, TEXT, "lossylab eval distortions", ADDED)
    severities: list[Line] = []
    if (root / "severity.csv").exists():
        severities = list(csv.DictReader((root / "severity.csv").read_text().splitlines()))
    grids = {path.parent.name: path.parent for path in root.glob("sheets/*/index.json")}
    return Evidence(table, severities, dict(sorted(grids.items())))
