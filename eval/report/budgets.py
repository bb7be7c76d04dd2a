"""What models were trained with, beside the papers' budgets: published_values/budgets.csv."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from lossylab.eval.measurements import about
from lossylab.eval.report import published

_NAMED = 3  # methods at most, in words
TRAINED = "trained"  # in about.json: what `counted` gave, by name of the method


def of_paper(stem: str) -> dict[str, int]:
    """The numbers that count of a paper's trainings, by option."""
    lines = published.records("budgets")
    return {line["option"]: int(line["value"]) for line in lines if line["paper"] == stem}


def counted(stem: str, trainings: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """The smallest of each of these numbers.

    Args:
      stem: of the paper.
      trainings: options of the exports of one method.
    """
    options = list(trainings)
    found = {name: [each[name] for each in options if name in each] for name in of_paper(stem)}
    return {name: min(numbers) for name, numbers in found.items() if numbers}


def recorded(folder: str | pathlib.Path) -> dict[str, dict[str, Any]]:
    """What about.json of a results folder tells of trainings, by name of the method."""
    return about(folder).get(TRAINED, {})


def beside_others(
    folder: str | pathlib.Path, trained: Mapping[str, dict[str, int]]
) -> dict[str, Any]:
    """The fact of about.json, with what it said of other methods."""
    return {TRAINED: {**recorded(folder), **trained}}


def smaller(stem: str, trained: Mapping[str, Mapping[str, int]], names: Iterable[str]) -> str:
    """Why methods are not of a paper's budget, in words; '' if they are.

    Args:
      stem: of the paper.
      trained: what `counted` gave, by name of the method.
      names: of the methods.
    """
    paper, names = of_paper(stem), list(names)
    unknown = [name for name in names if not trained.get(name)]
    if unknown:
        more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
        return f"about.json does not tell networks and steps of {', '.join(unknown[:_NAMED])}{more}"
    below = [o for o, most in paper.items() if any(trained[n].get(o, 0) < most for n in names)]
    printed = [f"{o} (assumed)" if o in _assumed(stem) else o for o in below]
    return f"less than the paper's {', '.join(printed)}" if below else ""


def _assumed(stem: str) -> set[str]:
    """Options whose number the paper does not print."""
    lines = [line for line in published.records("budgets") if line["paper"] == stem]
    return {line["option"] for line in lines if line["source"] == "assumed"}
