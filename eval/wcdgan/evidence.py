"""What was measured for WCDGAN."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import re

import pandas as pd

from lossylab.core import rows
from lossylab.eval.report import budgets
from lossylab.eval.report import folder as results
from lossylab.eval.report.claims import by_seed, repetitions
from lossylab.eval.report.differences import (
    FIXED,
    Difference,
    over_trainings,
    pairs_of_trainings,
)
from lossylab.eval.schemas import (
    OFFICIAL,
    PERCEPTUAL,
    RESTORATION,
    RESTORATION_MEASURES,
    RESTORED_SETS,
    UNTRAINED,
)

# Without perceptual and adversarial loss, and the same for as many steps as what began with it
# learned on by these.
CONTENT, CONTINUED = "wcdgan_content", "wcdgan_content_continued"
# What stands for a column of the paper: the first that was measured.
SOURCES = {
    "JPEG": ("jpeg",),
    "ARCNN": ("arcnn_official", "arcnn"),
    "TNRD": ("tnrd",),
    "DnCNN": ("dncnn3_official", "dncnn"),
    "MemNet": ("memnet",),
    "MWCNN": ("mwcnn",),
    "WCDGAN": ("wcdgan", CONTENT),
}
# The paper does not say with which losses its network for luma was trained. All rivals minimize
# errors of pixels, so that the network without perceptual and adversarial loss is compared.
_LUMA = {"WCDGAN": (CONTENT, "wcdgan")}
# How color files are measured as users restore them, and the rows of it.
FILE = {"RGB": "file_rgb", "Y": "file_y", "Cb, Cr": "file_c"}
_WITHOUT_BUDGET = (OFFICIAL, UNTRAINED)


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What was measured.

    Attributes:
      table: rows of `lossylab eval restoration`.
      timing: rows of `lossylab benchmark --sections=restoration`, by network.
      sets: Inception Score and FID of sets, rows of `lossylab eval restoration --inception`.
      trained: numbers that count of trainings, by network, channels and quality ('arcnn y 10'), and
        whether they began with another's network; see `budgets`.
    """

    table: pd.DataFrame
    timing: dict[str, dict]
    sets: pd.DataFrame
    trained: dict[str, dict[str, int]]

    @property
    def files(self) -> pd.DataFrame:
        """Rows of color files, measured as users restore them."""
        return self.table[self.table.channels.isin(FILE.values())]

    @property
    def published(self) -> pd.DataFrame:
        """Rows by the papers' protocols."""
        return self.table[~self.table.channels.isin(FILE.values())]

    @property
    def title(self) -> str:
        """The budgets of what was trained here for the paper's tables."""
        budgets = dict.fromkeys(self.published.budget)
        return "; ".join(b for b in budgets if b not in ("", *_WITHOUT_BUDGET))

    @property
    def names(self) -> list[str]:
        """Names of the methods."""
        return list(self.table.method.unique())

    def mean(self, method: str, data: str, quality: int, channels: str = "y") -> pd.Series:
        """Means of a method over a whole set; NaN unless all of its images were measured."""
        mine = self.images(method, data, quality, channels)[list(RESTORATION_MEASURES)]
        if len(mine) < self.whole(data, quality, channels):
            mine = mine[:0]
        return mine.astype(float).mean()

    def mean_of_trainings(
        self, method: str, data: str, quality: int, channels: str = "y"
    ) -> tuple[pd.Series, int]:
        """Means over all trainings of a method that were measured whole, and their number."""
        names = repetitions(self.names, method)
        means = [self.mean(name, data, quality, channels) for name in names]
        known = [each for each in means if math.isfinite(each.psnr)]
        unknown = pd.Series(dict.fromkeys(RESTORATION_MEASURES, math.nan))
        return pd.DataFrame(known or [unknown]).mean(), len(known)

    def whole(self, data: str, quality: int, channels: str = "y") -> int:
        """How many images a set has: as many as were measured of any method."""
        t = self.table
        mine = t[(t.data == data) & (t.channels == channels) & (t.quality == quality)]
        return mine.image.nunique()

    def difference(
        self, one: str, other: str, measure: str, data: str, quality: int = 10, channels: str = "y"
    ) -> Difference | None:
        """One method's measure minus another's over a whole set and all trainings.

        Trainings of one seed are compared, and what was not trained here with all of the other's.
        """
        where = data, quality, channels
        both = (self.trainings(each, *where) for each in (one, other))
        return over_trainings(
            [self.gap(*pair, measure, *where) for pair in pairs_of_trainings(*both)]
        )

    def gap(
        self, one: str, other: str, measure: str, data: str, quality: int, channels: str = "y"
    ) -> pd.Series | None:
        """One training's measure minus another's by image; None unless over the whole set."""
        where = data, quality, channels
        a, b = (self.images(name, *where)[measure] for name in (one, other))
        same = list(a.index) == list(b.index) and len(a) == self.whole(*where)
        return a - b if same else None

    def trainings(
        self, method: str, data: str, quality: int, channels: str = "y"
    ) -> dict[str, str]:
        """Names of a method's trainings that were measured there, by what follows the method's.

        Of what was not trained here it is one, by `FIXED`.
        """
        where = data, quality, channels
        named = by_seed(self.names, method)
        found = {seed: name for seed, name in named.items() if len(self.images(name, *where))}
        fixed = list(found) == [""] and self.budget(method, *where) in ("", *_WITHOUT_BUDGET)
        return {FIXED: method} if fixed else found

    def images(self, method: str, data: str, quality: int, channels: str = "y") -> pd.DataFrame:
        """Rows of a method and set, by image."""
        t = self.table
        mine = t[(t.method == method) & (t.data == data) & (t.channels == channels)]
        return mine[mine.quality == quality].set_index("image").sort_index()

    def source(self, column: str, data: str, quality: int, channels: str = "y") -> str:
        """The method that stands for a column of the paper; '' if none was measured."""
        sources = {**SOURCES, **(_LUMA if channels == "y" else {})}[column]
        for method in sources:
            if len(self.images(method, data, quality, channels)):
                return method
        return ""

    def budget(self, method: str, data: str, quality: int, channels: str = "y") -> str:
        """What a method was trained with; '' if it was not measured."""
        mine = self.images(method, data, quality, channels)
        return "; ".join(dict.fromkeys(mine.budget))

    def perceptual(self, method: str, data: str, quality: int, channels: str = "y") -> str:
        """The network of a method's perceptual loss, as its budget says; '' without."""
        found = re.findall(rf"{PERCEPTUAL} ([^;]+)", self.budget(method, data, quality, channels))
        return "; ".join(dict.fromkeys(found))

    def judge(self, method: str, data: str, quality: int, channels: str = "y") -> str:
        """The network by whose features a method was judged; '' if by none."""
        mine = self.images(method, data, quality, channels)
        return "; ".join(filter(None, dict.fromkeys(mine.features)))

    def control(self, data: str, quality: int) -> str:
        """What the other losses are compared with: from the same start, if that was measured."""
        return CONTINUED if len(self.images(CONTINUED, data, quality)) else CONTENT


def load(folder: str) -> Evidence:
    """Reads a results folder; raises WorkError if its rows are missing or damaged."""
    root = pathlib.Path(folder)
    table = results.table(root / "rows.csv", RESTORATION, "lossylab eval restoration")
    columns = RESTORED_SETS.columns
    sets = pd.DataFrame(columns=columns)
    if (root / "sets.csv").exists():
        sets = rows.frame(rows.read(root / "sets.csv", columns), RESTORED_SETS.text)
    timing = {row["network"]: row for row in results.timings(root)}
    return Evidence(table, timing, sets, budgets.recorded(folder))


def set_measures(
    evidence: Evidence, method: str, data: str, quality: int, channels: str
) -> dict | None:
    """The row of a whole set, or None."""
    wanted = {"method": method, "data": data, "quality": quality, "channels": channels}
    for row in evidence.sets.to_dict("records"):
        if wanted.items() <= row.items():
            return row
    return None
