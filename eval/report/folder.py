"""Reading results folders: rows and times that several papers need."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping

import pandas as pd

from lossylab.core import rows
from lossylab.core.errors import WorkError
from lossylab.eval.schemas import Schema


def table(
    path: pathlib.Path,
    schema: Schema,
    measured_by: str,
    added: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """The rows of a file.

    Args:
      path: of the file.
      schema: of its rows.
      measured_by: the command that makes rows.
      added: columns beside `schema.added` that this file may lack, and what is taken for them.

    Raises:
      WorkError: if the file is missing or damaged, or has no rows.
    """
    found = rows.read(path, schema.columns, {**schema.added, **(added or {})})
    if not found:
        raise WorkError(f"{path} has no rows: measure with `{measured_by}`")
    return rows.frame(found, schema.text)


def timings(folder: pathlib.Path) -> list[dict]:
    """The lines of timing.jsonl, which `lossylab benchmark --json` writes; none without the file.

    Raises:
      WorkError: if the file is damaged.
    """
    path = folder / "timing.jsonl"
    if not path.exists():
        return []
    try:
        found = [json.loads(line) for line in path.read_text().splitlines()]
        for row in found:
            row["network"]
    except (ValueError, KeyError, TypeError) as error:
        raise WorkError(f"{path} is damaged: {error}") from error
    return found
