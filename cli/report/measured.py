"""Folders of measured rows: their paper's tables and claims, charts, crops and protocol."""

from __future__ import annotations

import dataclasses
import json
import logging
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from lossylab.cli.report.blocks import Block, Chart, Claims, Commands, Facts, Section, Table
from lossylab.cli.report.charts import CHARTS
from lossylab.cli.report.curves import learning_panels
from lossylab.cli.report.runs import command_text, shown, software
from lossylab.cli.report.sources import ROWS, crops_of
from lossylab.cli.report.strips import crops
from lossylab.core import command, rows
from lossylab.core.errors import WorkError
from lossylab.eval import schemas
from lossylab.eval.measurements import about
from lossylab.eval.proxiqa.evidence import ANCHOR
from lossylab.eval.report import rd_report
from lossylab.eval.report.claims import Judgement
from lossylab.eval.report.paper import Paper, measured_lines
from lossylab.eval.schemas import Schema
from lossylab.train.loop.run_dir import Table as Steps

log = logging.getLogger("lossylab")

# Whose rows they are: the papers by what their files of rows hold.
_CODECS = "proxiqa"
_STEMS: tuple[tuple[str, Schema], ...] = (
    (_CODECS, schemas.CODED),
    ("wcdgan", schemas.RESTORATION),
    ("jpeg_encoder", schemas.CODED_COLOR),
    ("distortion_gan", schemas.DIVERGENCES),
    ("mmd_restoration", schemas.LATENT),
    ("mmd_restoration", schemas.DEGRADATION_NLL),
    ("mmd_restoration", schemas.RANK_ACCURACY),
)
# What about.json says of the software, and what is said elsewhere on the page.
_ELSEWHERE = ("title", "command", "commands", "commit", "packages", "python", "ffmpeg", "machine")
_VERDICT = "verdict"  # heading of the column by which tables of the paper are told from others


@dataclasses.dataclass(frozen=True)
class Measured:
    """A folder of rows, read.

    Attributes:
      path: the folder.
      stem: of the paper whose measurement made such rows.
      paper: whose tables and claims these are; None if they lack what it compares with.
      evidence: what was measured.
      judgements: all claims of the paper.
      record: what about.json says.
    """

    path: pathlib.Path
    stem: str
    paper: Paper | None
    evidence: Any
    judgements: list[Judgement]
    record: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Codecs of anybody's: rates and qualities, and what made them.

    Attributes:
      table: rows of rate and quality.
      about: what made them.
    """

    table: pd.DataFrame
    about: Mapping[str, Any]

    @property
    def title(self) -> str:
        """What was measured."""
        return str(self.about["title"])


def read_all(paths: Sequence[pathlib.Path]) -> list[Measured]:
    """Folders of rows in the order of their papers; see `read`."""
    order = list(dict.fromkeys(stem for stem, _ in _STEMS))
    return sorted(map(read, paths), key=lambda each: order.index(each.stem))


def read(path: pathlib.Path) -> Measured:
    """A folder of rows; raises WorkError if these are damaged or of no known measurement."""
    stem, record = _stem(path), about(path)
    if stem == _CODECS and ANCHOR not in rd_report.measured(str(path)):
        return Measured(path, stem, None, Sweep(*rd_report.load(str(path))), [], record)
    paper = command.resolve(f"lossylab.eval.{stem}.__main__:PAPER")
    log.info("%s: reading rows, deciding the claims of %s", path, paper.name)
    evidence = paper.evidence(str(path))
    return Measured(path, stem, paper, evidence, paper.judgements(evidence), record)


def section(of: Measured) -> Section:
    """The section of a folder of rows."""
    tables = list(_tables(of.paper, of.evidence)) if of.paper else []
    decided = any(each.measured for each in of.judgements)
    lead = of.evidence.title
    grids = of.paper.grids if of.paper else {}
    blocks: list[Block] = [*_charts(of)]
    blocks += [crops(folder, grids, lead) for folder in crops_of(of.path)]
    blocks += tables
    if decided:
        blocks.append(Claims("Claims of the paper", of.judgements))
    blocks += _protocol(of.record)
    blocks.append(_commands(of.record))
    named = of.paper and (decided or any(_VERDICT in table.lines[0] for table in tables))
    title = of.paper.name if of.paper and named else "Measurements"
    return Section(title, str(of.path), lead, blocks)


def _stem(path: pathlib.Path) -> str:
    """The stem of the paper that measures such rows."""
    for name in ROWS:
        if (path / name).is_file():
            found = rows.read(path / name)
            if not found:
                raise WorkError(f"{path / name} has no rows yet")
            columns = set(found[0])
            for stem, schema in _STEMS:
                # Rows of earlier versions lack what was added, and their data set is beside them.
                if set(schema.columns) - set(schema.added) - {"data"} <= columns:
                    return stem
            raise WorkError(
                f"{path / name} has columns of no measurement that this version knows: measure "
                "again, or leave the folder out"
            )
    raise WorkError(f"{path} has no rows")


def _charts(of: Measured) -> Iterator[Chart | Table]:
    """Charts of the rows, and of trainings whose tables lie beside them."""
    yield from CHARTS[of.stem](of.evidence)
    files = sorted((of.path / "training").glob("*.csv"))
    tables = {file.stem.replace("_", " "): (Steps.read(file), []) for file in files}
    if panels := learning_panels(tables):
        yield Chart("Trainings behind a figure", panels)


def _tables(paper: Paper, evidence: Any) -> Iterator[Table]:
    """The paper's tables with what was measured; those without published values are folded."""
    for table in paper.tables:
        everything = table.lines(evidence)
        lines = measured_lines(everything)
        if lines:
            note = table.note if isinstance(table.note, str) else table.note(evidence)
            folded = _VERDICT not in lines[0]
            yield Table(table.heading, lines, note, len(everything) - len(lines), folded)


def _protocol(record: Mapping[str, Any]) -> list[Block]:
    """What about.json says of how it was measured, but for long lists."""
    entries = {}
    for name, value in record.items():
        if name in _ELSEWHERE:
            continue
        if name == "protocol" and isinstance(value, dict):
            entries |= {key: shown(each) for key, each in value.items()}
        elif isinstance(value, (str, int, float)):
            entries[name] = shown(value)
    versions = [software(record), *(f"ffmpeg {v}" for v in [record.get("ffmpeg")] if v)]
    entries |= {"software": ", ".join(filter(None, versions))}
    entries |= {"machine": str(record.get("machine", "")), "commit": str(record.get("commit", ""))}
    entries = {name: text for name, text in entries.items() if text}
    return [Facts("Protocol", entries)] if entries else []


def _commands(record: Mapping[str, Any]) -> Commands:
    text = json.dumps(record, indent=1) if record else ""
    return Commands("Commands", [*dict.fromkeys(_said(record))], text)


def _said(record: Any) -> Iterator[str]:
    """All commands in a record, each as it is typed."""
    if not isinstance(record, Mapping):
        return
    for name, value in record.items():
        if name == "command" and isinstance(value, list):
            yield command_text(value)
        elif name == "commands" and isinstance(value, list):
            yield from map(str, value)
        else:
            yield from _said(value)
