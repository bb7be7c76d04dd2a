"""A paper as data: evidence, tables, figures and claims, and how its files are made of them."""

from __future__ import annotations

import dataclasses
import logging
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from lossylab.core.files import write_text
from lossylab.eval.options.paper import PaperOptions
from lossylab.eval.report import claims, ledger, plots, stale, tables
from lossylab.eval.report.tables import Line

log = logging.getLogger("lossylab")

Draw = Callable[[pathlib.Path], bool]


class Evidence(Protocol):
    """What was measured for a paper; every paper has a class of its own."""

    @property
    def title(self) -> str:
        """What the numbers were measured with: budgets and data."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """Names of all networks and methods measured; see `claims.repetitions`."""
        ...


E = TypeVar("E", bound=Evidence)
_EMPTY = ("", "n/a", tables.NOT_MEASURED)  # cells that say nothing


@dataclasses.dataclass(frozen=True)
class Table(Generic[E]):
    """A table that rows are turned into.

    Attributes:
      name: of its files tables/NAME.csv and tables/NAME.tex.
      heading: over it.
      lines: makes its lines; a table without lines is left out.
      note: said below the heading, in at most three sentences; a function makes it of the
        evidence.
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
      stem: of its files, such as published_values/STEM_claims.csv.
      name: in headings.
      evidence: reads a results folder.
      tables: in the order of tables.md.
      figures: of the evidence: by name, what draws a figure to a path (without suffix) and returns
        False where nothing was measured for it. Folders of crops are drawn beside these.
      checks: how claims are decided, by number; the others cannot be.
      grids: titles of comparison grids by folder of crops.
    """

    stem: str
    name: str
    evidence: Callable[[str], E]
    tables: Sequence[Table[E]]
    figures: Callable[[E], Mapping[str, Draw]]
    checks: Mapping[str, claims.Check]
    grids: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def judgements(self, evidence: E) -> list[claims.Judgement]:
        """All claims with their verdicts."""
        return [
            claims.judge(claim, self.checks.get(claim.number), evidence)
            for claim in claims.claims_of(self.stem)
        ]

    def section(self, evidence: E, judged: Sequence[claims.Judgement], details: str = "") -> str:
        """The paper's section of a ledger of claims; `details` is the path of its own page."""
        return ledger.section(self.name, evidence.title, judged, details)

    def texts(self, evidence: E, judged: Sequence[claims.Judgement]) -> dict[str, str]:
        """Contents of tables.md, claims.md and of every table's CSV and LaTeX, by path."""
        files = {"claims.md": ledger.details(self.name, evidence.title, judged)}
        page, missing = [f"# {self.name}: paper and ours[^ours]", ""], []
        for table in self.tables:
            everything = table.lines(evidence)
            lines = measured_lines(everything)
            if not lines:
                missing.append(table.heading)
                continue
            files[f"tables/{table.name}.csv"] = tables.csv_table(lines)
            text = tables.latex_table(lines, table.heading, f"Ours: {evidence.title}")
            files[f"tables/{table.name}.tex"] = text
            note = table.note if isinstance(table.note, str) else table.note(evidence)
            shown = table.page(evidence) if table.page else lines
            page += [f"## {table.heading}", "", *([note, ""] if note else [])]
            page += [tables.markdown_table(shown), ""]
            page += _folded([line for line in everything if line not in lines])
        if missing:
            page += ["Nothing was measured for:", "", *(f"- {each}" for each in missing), ""]
        files["tables.md"] = "\n".join([*page, f"[^ours]: {evidence.title}"]) + "\n"
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
                log.info("%s: nothing measured for it", name)
        return drawn + plots.grids(results / "crops", out / "figures", self.grids)

    def publish(self, options: PaperOptions) -> None:
        """Writes tables, figures and claims, and says where they are; or looks if they are so.

        Raises:
          UsageError: if there is no results folder.
          WorkError: if rows are missing or damaged, or what is checked is not as they say.
          OutputError: if something cannot be written.
        """
        results, out = options.sources(), options.target()
        evidence = self.evidence(str(results))
        judged = self.judgements(evidence)
        files = {out / name: text for name, text in self.texts(evidence, judged).items()}
        if shared := options.ledger():
            details = os.path.relpath(out / "claims.md", shared.parent)
            page = shared.read_text() if shared.exists() else ""
            files[shared] = ledger.merged(page, self.section(evidence, judged, details))
        if options.check_only:
            drawn = self._stale_figures(evidence, results, out)
            stale.refuse([*stale.texts(files, out / "tables"), *drawn], options.remedy())
            sys.stdout.write(f"{len(files)} texts and tables and all figures are as the rows say\n")
            return
        drawn = self.draw(evidence, results, out)
        for path, text in files.items():
            write_text(path, text)
        sys.stdout.write(
            f"tables   {out / 'tables.md'}, {out / 'tables'}\n"
            f"figures  {out / 'figures'}: {', '.join(drawn)}\n"
            f"claims   {out / 'claims.md'}{f', {shared}' if shared else ''}\n"
        )

    def _stale_figures(self, evidence: E, results: pathlib.Path, out: pathlib.Path) -> list[str]:
        with tempfile.TemporaryDirectory() as fresh:
            self.draw(evidence, results, pathlib.Path(fresh))
            return stale.figures(pathlib.Path(fresh) / "figures", out / "figures")


def measured_lines(lines: Sequence[Line]) -> list[Line]:
    """Lines that something was measured for."""
    return [line for line in lines if tables.NOT_MEASURED not in line.values()]


def _folded(lines: Sequence[Line]) -> list[str]:
    """Lines that nothing was measured for, below a line that opens them; without empty columns."""
    if not lines:
        return []
    heads = [name for name in lines[0] if any(line[name] not in _EMPTY for line in lines)]
    shown = [{name: line[name] for name in heads} for line in lines]
    summary = f"<summary>{len(lines)} values of the paper that were not measured</summary>"
    return ["<details>", summary, "", tables.markdown_table(shown), "", "</details>", ""]
