"""What was measured for latent restoration."""

from __future__ import annotations

import csv
import dataclasses
import pathlib
import re
from collections.abc import Collection, Sequence

import pandas as pd

from lossylab.core import rows
from lossylab.core.errors import WorkError
from lossylab.eval.latent_rows import EPOCHS, ROWS, UNTOUCHED
from lossylab.eval.report import crop_grid
from lossylab.eval.report.differences import Difference, mean_difference
from lossylab.eval.schemas import DEGRADATION_NLL, LATENT, ONE_SPREAD, RANK_ACCURACY, Schema
from lossylab.eval.user_study import tally

SAMPLERS = ("wavefront", "naive")


LONGEST = f"epochs_{max(EPOCHS)}"  # degradation models are called so in nll.csv
SHORTEST = f"epochs_{min(EPOCHS)}"


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What was measured; each part may be empty.

    Attributes:
      study: rows of searches, one an image, task and seed.
      nll: rows of likelihoods, one a pair of images.
      ranks: rows of rank accuracy.
      curve: likelihoods over the steps of a training.
      drawn: by sampler, the lines that `lossylab sample` printed, by input.
      votes: answers of a user study.
      samples: of Fig. 5: by image what was given and drawn.
      untrained: likewise, by a degradation model that has learned nothing.
    """

    study: pd.DataFrame
    nll: pd.DataFrame
    ranks: pd.DataFrame
    curve: pd.DataFrame
    drawn: dict[str, dict[str, dict[str, str]]]
    votes: list[tally.Answer]
    samples: Sequence[Sequence[crop_grid.Tile]] = ()
    untrained: Sequence[Sequence[crop_grid.Tile]] = ()

    @property
    def title(self) -> str:
        """Budgets of the networks, and what was measured on."""
        tables = (self.study, self.learned, self.ranks)
        return "; ".join(dict.fromkeys(filter(None, map(budget, tables))))

    @property
    def learned(self) -> pd.DataFrame:
        """Rows of likelihoods by degradation models, without their rival's."""
        return self.nll.loc[[not str(name).startswith(ONE_SPREAD) for name in self.nll.model]]

    @property
    def smaller(self) -> str:
        """Why the networks are not the paper's, unless their budgets say 'as published'."""
        published = "as published" in self.title.lower()
        return "" if published else "no budget says that networks and steps are as published"

    def trials(self, row: str, task: str, variant: str = "", version: int = 0) -> pd.DataFrame:
        """Trials of a row, by image and seed; of the row's own version of StyleGAN, or another.

        Rows that need no search are of version 2 unless another is given.
        """
        if not version:
            version = ROWS[row].version if row in ROWS else 2
        mine = self.study
        wanted = {"row": row, "task": task, "variant": variant, "version": version}
        for name, value in wanted.items():
            mine = mine[mine[name] == value]
        return mine.set_index(["image", "seed"]).sort_index()

    def mean(self, row: str, task: str, measure: str) -> float:
        """Mean over images and seeds; NaN if it was not measured."""
        return float(self.trials(row, task)[measure].mean())

    @property
    def names(self) -> list[str]:
        """Names of the rows of Table 2 that were searched, and of degradation models."""
        return [*dict.fromkeys(self.study.row), *dict.fromkeys(self.nll.model)]

    @property
    def variants(self) -> list[str]:
        """Changes of settings that were measured too."""
        return [name for name in dict.fromkeys(self.study.variant) if name]

    def by_image(self, row: str, task: str, measure: str, seeds: Collection[int]) -> pd.Series:
        """A row's measure by image, the mean over some seeds; empty unless all were measured."""
        trials = self.trials(row, task)
        found = trials[trials.index.get_level_values("seed").isin(seeds)][measure]
        images = trials.index.get_level_values("image").nunique()
        if len(found) < images * len(seeds) or found.isna().any():
            return found[:0]
        return found.groupby("image").mean()

    def seeds(self, row: str, task: str) -> set[int]:
        """The seeds that a row was searched with; of rows without a search, all."""
        return set(self.trials(row, task).index.get_level_values("seed"))

    def difference(self, one: str, other: str, task: str, measure: str) -> Difference | None:
        """A row's measure minus another's by image, over the seeds of both; None if unknown.

        A row that needs no search has one seed, which goes with all.
        """
        mine, theirs = (self.seeds(name, task) for name in (one, other))
        shared = mine & theirs
        pairs = (mine, theirs) if {one, other} & set(UNTOUCHED) else (shared, shared)
        a, b = (self.by_image(n, task, measure, s) for n, s in zip((one, other), pairs))
        return mean_difference(a - b) if len(a) and list(a.index) == list(b.index) else None


def load(folder: str) -> Evidence:
    """Reads a results folder; raises WorkError if it has no rows or some are damaged."""
    root = pathlib.Path(folder)

    def table(name: str, schema: Schema) -> pd.DataFrame:
        path = root / name
        found = rows.read(path, schema.columns, schema.added) if path.exists() else []
        return (
            rows.frame(found, schema.text) if found else pd.DataFrame(columns=list(schema.columns))
        )

    evidence = Evidence(
        table("rows.csv", LATENT),
        table("nll.csv", DEGRADATION_NLL),
        table("rank_accuracy.csv", RANK_ACCURACY),
        pd.read_csv(root / "curve.csv") if (root / "curve.csv").exists() else pd.DataFrame(),
        {name: _drawn(root / "sampling" / f"{name}.csv") for name in SAMPLERS},
        _votes(root / "votes"),
        _samples(root / "crops" / "fig05_samples"),
        _samples(root / "crops" / "fig05_untrained"),
    )
    if not (len(evidence.study) or len(evidence.nll) or len(evidence.ranks)):
        raise WorkError(f"{root} has no rows: measure with `lossylab eval latent_study`")
    return evidence


def _drawn(path: pathlib.Path) -> dict[str, dict[str, str]]:
    if not path.exists():
        return {}
    return {line["input"]: line for line in csv.DictReader(path.read_text().splitlines())}


def _samples(folder: pathlib.Path) -> list[list[crop_grid.Tile]]:
    return list(crop_grid.read(folder).images.values()) if folder.exists() else []


def _votes(folder: pathlib.Path) -> list[tally.Answer]:
    paths = [str(path) for path in sorted(folder.glob("*.csv"))]
    return tally.read_answers(paths) if paths else []


def likelihood(evidence: Evidence, model: str, kind: str) -> float:
    """Mean likelihood of pairs by a degradation model; NaN if it was not measured."""
    table = evidence.nll
    return float(table[(table.model == model) & (table.kind == kind)].nll.mean())


def budget(table: pd.DataFrame) -> str:
    """What the networks of rows were trained with, and what was measured on; '' without rows."""
    budgets, data = (", ".join(dict.fromkeys(table[n])) for n in ("budget", "data"))
    return f"{budgets}, on {data}" if len(table) else ""


def trained(evidence: Evidence, model: str) -> str:
    """How long a degradation model was trained, in words: ours has not the paper's epochs."""
    if model.startswith(ONE_SPREAD):
        return model
    budgets = evidence.nll[evidence.nll.model == model].budget
    steps = re.search(r"(\d+) steps", ", ".join(dict.fromkeys(budgets)))
    long = {LONGEST: "longer", SHORTEST: "shorter"}.get(model, model)
    return f"{long} training, {int(steps[1]):,} steps" if steps else f"{long} training"


def speedup(fast: dict[str, str], slow: dict[str, str]) -> float:
    """How many times faster the wavefront was."""
    return float(slow["seconds"]) / float(fast["seconds"])


def same(fast: dict[str, str], slow: dict[str, str]) -> bool:
    """Whether both samplers drew the same image."""
    return fast["content"] == slow["content"]
