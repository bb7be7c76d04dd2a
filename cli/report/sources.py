"""What folders hold: runs, measured rows and crops, found by their files."""

from __future__ import annotations

import dataclasses
import os
import pathlib

from lossylab.core import rows
from lossylab.core.errors import OutputError, UsageError

_DEPTH = 2  # folders below the one that is given
ROWS = ("rows.csv", "nll.csv", "rank_accuracy.csv")
_CROPS = "index.json"
VERDICT = "verdict.txt"  # what a command says of the whole folder
# Folders of runs and results that hold neither.
_PASSED = ("checkpoints", "export", "files", "figures", "summaries", "tables")


@dataclasses.dataclass
class Found:
    """What was found in a folder.

    Attributes:
      root: the folder.
      runs: run directories.
      results: folders of rows.
      crops: folders of crops that lie in none of these.
    """

    root: pathlib.Path
    runs: list[pathlib.Path] = dataclasses.field(default_factory=list)
    results: list[pathlib.Path] = dataclasses.field(default_factory=list)
    crops: list[pathlib.Path] = dataclasses.field(default_factory=list)


def find(folder: str) -> Found:
    """Looks through a folder and those in it.

    Raises:
      UsageError: if there is no such folder, or nothing in it that a report shows.
      OutputError: if it cannot be read.
    """
    root = pathlib.Path(folder)
    if not root.is_dir():
        where = "" if root.is_absolute() else f" in {pathlib.Path.cwd()}"
        what = "a file, no folder" if root.exists() else f"no such folder{where}"
        raise UsageError(
            f"{folder}: {what}; give a training's run directory, a study's folder or one of "
            "measured rows"
        )
    found = Found(root)
    try:
        _look(root, found, _DEPTH)
    except OSError as error:
        raise OutputError(f"{folder} cannot be read: {error}") from error
    if not (found.runs or found.results or found.crops):
        raise UsageError(
            f"{folder} has nothing to report: no run (options.json with metrics.csv), no measured "
            "rows (rows.csv) and no crops (index.json), neither itself nor in the folders in it"
        )
    return found


def crops_of(results: pathlib.Path) -> list[pathlib.Path]:
    """Folders of crops that belong to a folder of rows."""
    kinds = ("crops", "grids")
    return sorted(path.parent for kind in kinds for path in results.glob(f"{kind}/*/{_CROPS}"))


def verdict_of(found: Found) -> str:
    """What the folder's own file says came out, or nothing.

    Raises:
      OutputError: if it cannot be read.
    """
    try:
        return (found.root / VERDICT).read_text("utf-8").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise OutputError(f"{found.root / VERDICT} cannot be read: {error}") from error


def _look(folder: pathlib.Path, found: Found, depth: int) -> None:
    if _is_run(folder):
        found.runs.append(folder)
        return
    # Of the folder that was named, a file that is no table of rows is an error where it is read.
    is_there = pathlib.Path.is_file if folder == found.root else rows.is_table
    measured = any(is_there(folder / name) for name in ROWS)
    if measured:
        found.results.append(folder)
    elif (folder / _CROPS).is_file():
        found.crops.append(folder)
    if depth == 0:
        return
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir())
    for name in names:
        # What else lies in a folder of rows belongs to these.
        if (name == "runs" or not measured) and name not in _PASSED and name[0] != ".":
            _look(folder / name, found, depth - 1)


def _is_run(folder: pathlib.Path) -> bool:
    beside = ("environment.json", "metrics.csv")
    return (folder / "options.json").is_file() and any((folder / n).is_file() for n in beside)
