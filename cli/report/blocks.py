"""What a page consists of before it is HTML: sections of blocks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

from lossylab.eval.report.claims import Judgement
from lossylab.eval.report.tables import Line

CURVE, DOTS = "curve", "dots"  # kinds of panels


@dataclasses.dataclass(frozen=True)
class Series:
    """One curve, or one row of dots.

    Attributes:
      name: of what was measured, as papers call it.
      x: numbers; of dots the measured ones.
      y: numbers; of dots the names of what was measured.
      notes: said of each point, or nothing.
      margins: half of each point's 95 % interval along x, or nothing.
      shown: whether it is drawn before it is asked for.
      baseline: whether others are compared with it.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float] | Sequence[str]
    notes: Sequence[str] = ()
    margins: Sequence[float] = ()
    shown: bool = True
    baseline: bool = False


@dataclasses.dataclass(frozen=True)
class Panel:
    """One of the views that a chart can show.

    Attributes:
      label: to choose it by.
      x_title: of the axis.
      y_title: of the axis.
      series: what is drawn.
      kind: CURVE or DOTS.
      log_x: whether the axis is logarithmic.
      log_y: the same.
    """

    label: str
    x_title: str
    y_title: str
    series: Sequence[Series]
    kind: str = CURVE
    log_x: bool = False
    log_y: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """A table that can be sorted.

    Attributes:
      heading: over it.
      lines: cells by heading.
      note: said below the heading.
      left_out: lines of which nothing was measured.
      folded: whether it opens only when it is asked for.
    """

    kind: ClassVar[str] = "table"
    heading: str
    lines: Sequence[Line]
    note: str = ""
    left_out: int = 0
    folded: bool = False


@dataclasses.dataclass(frozen=True)
class Chart:
    """A chart to point at, and its numbers as a table.

    Attributes:
      heading: over it.
      panels: its views, the first is shown first.
      note: said below the heading.
      numbers: the same for readers without the drawing.
    """

    kind: ClassVar[str] = "chart"
    heading: str
    panels: Sequence[Panel]
    note: str = ""
    numbers: Table | None = None


@dataclasses.dataclass(frozen=True)
class Strip:
    """Crops of one image side by side in one file.

    Attributes:
      name: of the image.
      uri: of the file, data inside.
      size: width and height of the strip, in pixels.
      labels: of the crops, from left to right.
    """

    name: str
    uri: str
    size: tuple[int, int]
    labels: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Crops:
    """Crops to compare below a slider."""

    kind: ClassVar[str] = "crops"
    heading: str
    strips: Sequence[Strip]
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Claims:
    """A paper's claims and how each was decided."""

    kind: ClassVar[str] = "claims"
    heading: str
    judgements: Sequence[Judgement]


@dataclasses.dataclass(frozen=True)
class Facts:
    """Names and values."""

    kind: ClassVar[str] = "facts"
    heading: str
    entries: Mapping[str, str]
    folded: bool = False


@dataclasses.dataclass(frozen=True)
class Commands:
    """What made the numbers, a command a line; and, folded, everything that was recorded."""

    kind: ClassVar[str] = "commands"
    heading: str
    lines: Sequence[str]
    record: str = ""


Block = Table | Chart | Crops | Claims | Facts | Commands


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
      title: its heading.
      place: the folder that it is of.
      lead: the budget, or what else has to be known first.
      blocks: what it consists of.
    """

    title: str
    place: str
    lead: str
    blocks: Sequence[Block]
