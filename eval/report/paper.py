"""A paper as data: evidence, tables, figures and claims, and how its files are made of them."""

from __future__ import annotations

import dataclasses
import logging
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from lossylab.core.files import write_text
from lossylab.eval.options.paper import PaperOptions
from lossylab.eval.report import claims, plots, tables
from lossylab.eval.report.claims import Claim
from lossylab.eval.report.tables import Line

log = logging.getLogger("lossylab")

Draw = Callable[[pathlib.Path], bool]


class Evidence(Protocol):
    """What was measured for a paper; every paper has a class of its own."""

    @property
    def title(self) -> str:
        """What the numbers were measured with: budgets and data."""
        ...


E = TypeVar("E", bound=Evidence)


@dataclasses.dataclass(frozen=True)
class Table(Generic[E]):
    """A table that rows are turned into.

    Attributes:
      name: of its files tables/NAME.csv and tables/NAME.tex.
      heading: over it.
      lines: makes its lines; a table without lines is left out.
      note: said below the heading; a function makes it of the evidence.
      page: makes the lines that tables.md shows instead, if these are others.
    """

    name: str
    heading: str
    lines: Callable[[E], list[Line]]
    note: str | Callable[[E], str] = ""
    page: Callable[[E], list[Line]] | None = None


@dataclasses.dataclass(frozen=True)
class Paper(Generic[E]):
    """A paper's report.

    Attributes:
      name: in headings.
      evidence: reads a results folder.
      tables: in the order of tables.md.
      figures: of the evidence: by name, what draws a figure to a path (without suffix) and returns
        False where nothing was measured for it. Folders of crops are drawn beside these.
      claims: the statements that rows decide.
    """

    name: str
    evidence: Callable[[str], E]
    tables: Sequence[Table[E]]
    figures: Callable[[E], Mapping[str, Draw]]
    claims: Sequence[Claim]

    def section(self, evidence: E) -> str:
        """The paper's section of the ledger of claims."""
        return claims.ledger(self.name, evidence.title, self.claims, evidence)

    def texts(self, evidence: E) -> dict[str, str]:
        """Contents of tables.md and of every table's CSV and LaTeX, by path."""
        files: dict[str, str] = {}
        budget = evidence.title
        page = [f"# {self.name}: paper and ours", "", f"Ours: {budget}", ""]
        for table in self.tables:
            lines = table.lines(evidence)
            if not lines:
                continue
            files[f"tables/{table.name}.csv"] = tables.csv_table(lines)
            caption = f"{table.heading}. {budget}"
            files[f"tables/{table.name}.tex"] = tables.latex_table(lines, caption)
            note = table.note if isinstance(table.note, str) else table.note(evidence)
            shown = table.page(evidence) if table.page else lines
            page += [f"## {table.heading}", "", f"*{budget}*", "", note, ""]
            page += [tables.markdown_table(shown), ""]
        files["tables.md"] = "\n".join(page).rstrip() + "\n"
        return files

    def draw(self, evidence: E, results: pathlib.Path, out: pathlib.Path) -> list[str]:
        """Draws all figures; returns the names of those that there are numbers or crops for.

        Args:
          evidence: what was measured.
          results: with folders of crops below crops/.
          out: with the folder figures/ to draw to.
        """
        drawn = []
        for name, figure in self.figures(evidence).items():
            if figure(out / "figures" / name):
                drawn.append(name)
            else:
                log.warning("%s: nothing measured for it", name)
        return drawn + plots.grids(results / "crops", out / "figures")

    def publish(self, options: PaperOptions) -> None:
        """Writes tables, figures and the ledger of claims, and says where they are.

        Raises:
          UsageError: if there is no results folder.
          WorkError: if its rows are missing or damaged.
          OutputError: if something cannot be written.
        """
        results, out, ledger = options.sources(), options.target(), options.ledger()
        evidence = self.evidence(str(results))
        drawn = self.draw(evidence, results, out)
        for name, text in self.texts(evidence).items():
            write_text(out / name, text)
        page = ledger.read_text() if ledger.exists() else ""
        write_text(ledger, claims.merged(page, self.section(evidence)))
        sys.stdout.write(
            f"tables   {out / 'tables.md'}, {out / 'tables'}\n"
            f"figures  {out / 'figures'}: {', '.join(drawn)}\n"
            f"claims   {ledger}\n"
        )
