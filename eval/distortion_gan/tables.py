"""The distortion GAN's evidence: measured rows, Table I and what lies beside it."""

from __future__ import annotations

import csv
import dataclasses
import math
import pathlib

import numpy as np
import pandas as pd

from lossylab.core import rows
from lossylab.core.errors import WorkError
from lossylab.eval.distortions import COLUMNS, PRISTINE, TEXT, TRUE
from lossylab.eval.report import published
from lossylab.eval.report.comparison import Cell, lines
from lossylab.eval.report.differences import Difference, mean_difference
from lossylab.eval.report.tables import Line, number
from lossylab.eval.severity_search import SHORT

DIGITS = 4
# Variant -> lambda of Eq. 3, Fig. 3.
LAMBDAS = {"jpeg_lambda_0": 0.0, "jpeg_lambda_0.01": 0.01, "jpeg": 0.1, "jpeg_lambda_1": 1.0}
PIXEL = {"jpeg_l1": "l1", "jpeg_l2": "l2"}  # Fig. 4


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What was measured.

    Attributes:
      table: rows of divergences, one an image, maker and truth.
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
    def makers(self) -> list[str]:
        """Names of what made the distorted images, models first."""
        names = dict.fromkeys(self.table.made)
        return sorted(names, key=lambda name: (name == PRISTINE, name.startswith(TRUE)))

    def images(self, made: str, truth: str) -> pd.DataFrame:
        """Rows of a maker against a truth, by image."""
        mine = self.table[(self.table.made == made) & (self.table.truth == truth)]
        return mine.set_index("image").sort_index()

    def mean(self, made: str, truth: str, measure: str = "jsd") -> float:
        """Mean over the images; NaN if it was not measured."""
        return float(self.images(made, truth)[measure].mean())

    def difference(self, one: str, other: str, truth: str) -> Difference | None:
        """Divergence of one maker minus that of another, by image; None if unknown."""
        a, b = (self.images(made, truth).jsd for made in (one, other))
        return mean_difference(a - b) if list(a.index) == list(b.index) else None


def load(folder: str) -> Evidence:
    """Reads a results folder; raises WorkError if its rows are missing or damaged."""
    place = pathlib.Path(folder)
    measured = rows.read(place / "rows.csv", COLUMNS)
    if not measured:
        raise WorkError(
            f"{place / 'rows.csv'} has no rows: measure with `lossylab eval distortions`"
        )
    severities: list[Line] = []
    if (place / "severity.csv").exists():
        severities = list(csv.DictReader((place / "severity.csv").read_text().splitlines()))
    grids = {path.parent.name: path.parent for path in place.glob("sheets/*/index.json")}
    return Evidence(rows.frame(measured, TEXT), severities, dict(sorted(grids.items())))


def table1(evidence: Evidence) -> list[Line]:
    """The sixteen cells of Table I: paper | ours | difference | verdict."""
    names = {short: name for name, short in SHORT.items()}
    cells = [
        Cell(row, column, value, evidence.mean(names[row], names[column]), "bit", DIGITS)
        for (row, column, _), value in published.numbers("distortion_gan", "I").items()
    ]
    return lines(cells, "generated", "truth")


def matrix(evidence: Evidence) -> list[Line]:
    """Every maker against every truth; the models' smallest of a row bold, of a column italic."""
    models = [made for made in SHORT if made in evidence.makers]
    values = {(m, t): evidence.mean(m, t) for m in evidence.makers for t in SHORT}
    found = []
    for made in evidence.makers:
        line = {"made by": made}
        for truth, short in SHORT.items():
            text = number(values[made, truth], DIGITS)
            if made in models:
                if values[made, truth] == min(values[made, t] for t in SHORT):
                    text = f"**{text}**"
                if values[made, truth] == min(values[m, truth] for m in models):
                    text = f"*{text}*"
            line[short] = text
        line["residual, levels"] = number(evidence.mean(made, "jpeg", "residual"), 2)
        found.append(line)
    return found


def ablations(evidence: Evidence) -> list[Line]:
    """JPEG by other weights of the sparsity and by pixel losses, against the true JPEG."""
    found = []
    for made, words in [
        *((name, f"lambda = {value:g}") for name, value in LAMBDAS.items()),
        *((name, f"{norm} alone") for name, norm in PIXEL.items()),
    ]:
        jsd = evidence.images(made, "jpeg").jsd
        if not len(jsd):
            continue
        error = float(np.std(jsd, ddof=1) / len(jsd) ** 0.5) if len(jsd) > 1 else math.nan
        found.append(
            {
                "trained by": words,
                "JSD to true JPEG": f"{number(jsd.mean(), DIGITS)} ± {number(error, DIGITS)}",
                "residual, levels": number(evidence.mean(made, "jpeg", "residual"), 2),
            }
        )
    if found:
        true = evidence.mean(TRUE + "jpeg", "jpeg", "residual")
        none = evidence.images(PRISTINE, "jpeg").jsd
        found.append(
            {
                "trained by": "nothing: the pristine image",
                "JSD to true JPEG": number(none.mean(), DIGITS),
                "residual, levels": number(0.0, 2),
            }
        )
        found.append(
            {
                "trained by": "true JPEG itself",
                "JSD to true JPEG": number(0.0, DIGITS),
                "residual, levels": number(true, 2),
            }
        )
    return found
