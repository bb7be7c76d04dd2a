"""`lossylab report`: one page of trainings and results."""

from __future__ import annotations

import pathlib
import sys

from lossylab.cli.options.report import ReportOptions
from lossylab.cli.report import measured, page, runs, sources
from lossylab.cli.report.blocks import Section
from lossylab.cli.report.strips import crops
from lossylab.core import command
from lossylab.core.errors import OutputError
from lossylab.core.files import write_text
from lossylab.core.options import require


def report(options: ReportOptions) -> None:
    """Writes the page and says how large it is.

    Raises:
      UsageError: if a folder has nothing to report, the page would be too large, or a file that is
        no report lies where it shall be.
      WorkError: if rows, options or crops are damaged.
      OutputError: if something cannot be read or written.
    """
    _require_ours(pathlib.Path(options.out))
    found = [sources.find(folder) for folder in dict.fromkeys(options.folders)]
    sections = [section for each in found for section in _sections(each)]
    alone = len(sections) == 1
    names = ", ".join(each.root.resolve().name for each in found)
    title = options.title or (sections[0].title if alone else f"Report: {names}")
    verdict = "\n\n".join(filter(None, map(sources.verdict_of, found)))
    text = page.render(sections, title, "" if alone else _lead(found), verdict)
    size = len(text.encode()) / 2**20
    require(
        size <= options.max_mb,
        f"the page would have {size:.0f} MiB, `max_mb`={options.max_mb}: report fewer folders",
    )
    write_text(options.out, text)
    sys.stdout.write(f"{options.out}: {len(sections)} sections, {size:.1f} MiB\n")


def _sections(found: sources.Found) -> list[Section]:
    """What a folder holds: what was measured, then what was trained for it."""
    read = measured.read_all(found.results)
    trained = [runs.read(path, found.root) for path in found.runs]
    sections = [measured.section(each) for each in read]
    if found.crops:
        blocks = [crops(path) for path in found.crops]
        sections.append(Section("Crops", str(found.root), "", blocks))
    return sections + ([runs.section(found.root, trained)] if trained else [])


def _lead(found: list[sources.Found]) -> str:
    """How much was found."""
    counts = (
        ("training", "trainings", sum(len(each.runs) for each in found)),
        (
            "folder of measured rows",
            "folders of measured rows",
            sum(len(each.results) for each in found),
        ),
        ("folder of crops", "folders of crops", sum(len(each.crops) for each in found)),
    )
    said = [f"{count} {one if count == 1 else many}" for one, many, count in counts if count]
    return f"{', '.join(said)}."


def _require_ours(path: pathlib.Path) -> None:
    """Raises UsageError if a file that no report wrote would be replaced."""
    try:
        with open(path, "rb") as file:
            ours = page.MARK.encode() in file.read(200)
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    require(ours, f"{path} is a file that no report wrote: choose another `out`")


if __name__ == "__main__":
    command.as_program(ReportOptions, report, "lossylab report")
