"""What the commands share that make a paper's tables, figures and claims from measured rows."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Callable, Sequence

from absl import flags

from lossylab.core.files import write_text
from lossylab.eval.report import claims, tables

_RESULTS = pathlib.Path(__file__).resolve().parent.parent.parent / "results"


def define(values: flags.FlagValues, stem: str) -> None:
    """Defines --results and --claims."""
    flags.DEFINE_string(
        "results", str(_RESULTS / stem), "Folder of measured rows.", flag_values=values
    )
    flags.DEFINE_string(
        "claims",
        None,
        "Ledger to write; beside the results folder if not given.",
        flag_values=values,
    )


def texts(
    heading: str, budget: str, made: dict[str, tuple[str, str, list[dict[str, str]]]]
) -> dict[str, str]:
    """tables.md and, for each table, tables/NAME.csv and .tex.

    Args:
      heading: of tables.md.
      budget: what our numbers were made with; said at every table.
      made: heading, note and lines by table; those without lines are left out.

    Returns:
      Contents by path in the results folder.
    """
    files, parts = {}, [f"# {heading}: paper and ours", "", f"Ours: {budget}", ""]
    for name, (title, note, lines) in made.items():
        if not lines:
            continue
        files[f"tables/{name}.csv"] = tables.csv_table(lines)
        files[f"tables/{name}.tex"] = tables.latex_table(lines, f"{title}. {budget}")
        parts += [f"## {title}", "", f"*{budget}*", "", note, "", tables.markdown_table(lines), ""]
    files["tables.md"] = "\n".join(parts).rstrip() + "\n"
    return files


def publish(
    values: flags.FlagValues,
    texts: dict[str, str],
    drawn: Sequence[str],
    section: Callable[[], str],
) -> None:
    """Writes everything and says where it is.

    Args:
      values: the command's flags.
      texts: contents of the text files by path in the results folder.
      drawn: names of the figures that were drawn.
      section: makes the paper's section of the ledger of claims; the others' are kept.
    """
    place = pathlib.Path(values.results)
    for name, text in texts.items():
        write_text(place / name, text)
    ledger = pathlib.Path(values.claims) if values.claims else place.parent / "claims.md"
    write_text(ledger, claims.merged(ledger.read_text() if ledger.exists() else "", section()))
    sys.stdout.write(
        f"tables   {place / 'tables.md'}, {place / 'tables'}\n"
        f"figures  {place / 'figures'}: {', '.join(drawn)}\n"
        f"claims   {ledger}\n"
    )
