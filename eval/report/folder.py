"""Reading results folders: rows and times that several papers need."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping, Sequence

import pandas as pd

from lossylab.core import rows
from lossylab.core.errors import WorkError


def table(
    path: pathlib.Path,
    columns: Sequence[str],
    text: Sequence[str],
    measured_by: str,
    added: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """The rows of a file.

    Args:
      path: of the file.
      columns: that it must have.
      text: those that are no numbers.
      measured_by: the command that makes rows.
      added: columns that files of earlier versions lack, and what is taken for them there.

    Raises:
      WorkError: if the file is missing or damaged, or has no rows.
    """
    found = rows.read(path, columns, added)
    if not found:
        raise WorkError(f"{path} has no rows: measure with `{measured_by}`")
    return rows.frame(found, text)


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
