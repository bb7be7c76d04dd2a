"""Published values as data: published_values/STEM.csv has every number of a paper's tables.

Columns: table (as the paper numbers it), row, column, statistic ('value', 'mean' or 'std'), value,
unit. Values are text as printed, so that digits after the point are kept.
"""

from __future__ import annotations

import functools
import importlib.resources
from importlib.abc import Traversable

import pandas as pd


def load(stem: str, table: str) -> pd.DataFrame:
    """The values of one table of a paper.

    Args:
      stem: of the paper, such as 'proxiqa'.
      table: as the paper numbers it, such as 'II'.

    Returns:
      Columns row, column, statistic, value (text) and unit, in the paper's order.

    Raises:
      ValueError: if there is no such paper or table.
    """
    if not _file(stem).is_file():
        raise ValueError(f"no published values of '{stem}'")
    values = reference(stem)
    mine = values[values.table == table].drop(columns="table").reset_index(drop=True)
    if mine.empty:
        raise ValueError(f"{stem} has no table '{table}', only {', '.join(values.table.unique())}")
    return mine


def numbers(stem: str, table: str) -> dict[tuple[str, str, str], float]:
    """Values of a table by (row, column, statistic)."""
    values = load(stem, table)
    keys = zip(values.row, values.column, values.statistic)
    return {key: float(value) for key, value in zip(keys, values.value)}


def reference(name: str) -> pd.DataFrame:
    """NAME.csv of the same folder, as text: values measured elsewhere, or remarks on a paper's."""
    return _read(name).copy()


def records(name: str) -> list[dict[str, str]]:
    """The lines of `reference`, cells by column."""
    table = reference(name)
    return [dict(zip(table.columns, line)) for line in table.to_numpy().tolist()]


@functools.cache
def _read(name: str) -> pd.DataFrame:
    with _file(name).open() as text:
        return pd.read_csv(text, dtype=str, keep_default_na=False)


def _file(name: str) -> Traversable:
    return importlib.resources.files("lossylab.eval.report") / "published_values" / f"{name}.csv"
