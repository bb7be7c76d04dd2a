"""Sections of blocks as one HTML page that holds everything."""

from __future__ import annotations

import base64
import collections
import dataclasses
import gzip
import importlib.resources
import json
import re
from collections.abc import Sequence

import jinja2
import markupsafe

import lossylab
from lossylab.cli.report.blocks import Chart, Claims, Section, Table
from lossylab.eval.report import ledger
from lossylab.eval.report.claims import Verdict
from lossylab.eval.report.tables import Line

MARK = "<!-- lossylab report -->"  # by which a page is known as ours
_NUMBER = re.compile(r"[*+\-]{0,3}[\d.][\d.,e+\-]*[*%]?( ± \S+)?( \(.*\))?|n/a.*|")
_WIDE = 60  # letters of a cell that needs a line of its own


def render(sections: Sequence[Section], title: str, lead: str, verdict: str = "") -> str:
    """The page as text.

    Args:
      sections: in their order.
      title: of the page.
      lead: said below it.
      verdict: lines of what came out of all, below that.

    Returns:
      HTML with style, program, images and the drawing library inside.
    """
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    blocks = [block for section in sections for block in section.blocks]
    has_charts = any(isinstance(block, Chart) for block in blocks)
    return environment.from_string(_text("page.html")).render(
        sections=sections,
        title=title,
        lead=lead,
        verdict=verdict,
        overview=_overview(sections),
        mark=markupsafe.Markup(MARK),
        style=markupsafe.Markup(_text("page.css")),
        program=markupsafe.Markup(_text("page.js")),
        library=markupsafe.Markup(_library()) if has_charts else "",
        head="h3" if len(sections) > 1 else "h2",  # of blocks, below the sections' if there are any
        version=lossylab.__version__,
        **_FILTERS,
    )


def _overview(sections: Sequence[Section]) -> Table | None:
    """Verdicts by paper, where there are claims of several."""
    found = [
        (section.title, _counts(block))
        for section in sections
        for block in section.blocks
        if isinstance(block, Claims)
    ]
    if len(found) < 2:
        return None
    lines: list[Line] = [
        {
            "paper": name,
            **{k: f"{v}" for k, v in counts.items()},
            "claims": f"{sum(counts.values())}",
        }
        for name, counts in found
    ]
    return Table("Claims by paper", lines)


def _counts(block: Claims) -> dict[str, int]:
    counted = collections.Counter(each.verdict for each in block.judgements)
    return {verdict.value: counted[verdict] for verdict in Verdict}


def _columns(lines: Sequence[Line]) -> dict[str, str]:
    """What each column holds, as a class of the style: figures, words of several lines, or text."""
    kinds = {}
    for head in lines[0]:
        cells = [line[head] for line in lines]
        if any(cells) and all(_NUMBER.fullmatch(cell) for cell in cells):
            kinds[head] = "figure"
        else:
            kinds[head] = "words" if max(map(len, cells)) > _WIDE else "text"
    return kinds


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _panels(block: Chart) -> markupsafe.Markup:
    text = json.dumps([dataclasses.asdict(panel) for panel in block.panels], allow_nan=False)
    return markupsafe.Markup(text.replace("<", "\\u003c"))


def _library() -> str:
    """Plotly's program, compressed: it is the largest part of the page."""
    path = importlib.resources.files("plotly") / "package_data" / "plotly.min.js"
    return base64.b64encode(gzip.compress(path.read_bytes(), 9, mtime=0)).decode()


def _text(name: str) -> str:
    return (importlib.resources.files("lossylab.cli.report") / name).read_text("utf-8")


_FILTERS = {
    "columns": _columns,
    "count": _count,
    "counts": _counts,
    "panels": _panels,
    "cited": ledger.cited,
    "criterion": ledger.criterion,
}
