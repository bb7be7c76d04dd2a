"""Published and measured values side by side: paper | ours | difference | verdict."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

from lossylab.eval.report.tables import NOT_MEASURED, number


@dataclasses.dataclass(frozen=True)
class Cell:
    """One value of a table.

    Attributes:
      row: as the paper names it.
      column: as the paper names it.
      paper: the published value.
      ours: the measured one; NaN if it was not measured.
      unit: of both; '%' values are compared by sign, others by ratio.
      digits: after the point.
      spread: standard deviation that the paper prints for its value; NaN if none.
      our_spread: standard deviation of ours; NaN if none.
      mark: after ours, for what a note explains.
      beside: heading and text of a further column, such as ours by another definition.
    """

    row: str
    column: str
    paper: float
    ours: float
    unit: str = "%"
    digits: int = 1
    spread: float = math.nan
    our_spread: float = math.nan
    mark: str = ""
    beside: tuple[str, str] | None = None

    @property
    def verdict(self) -> str:
        """How the two compare, in words."""
        if not math.isfinite(self.ours):
            return "not comparable" if self.mark else NOT_MEASURED
        difference = self.ours - self.paper
        if math.isfinite(self.spread) and abs(difference) <= self.spread:
            return "within the paper's spread"
        if self.unit == "%":
            if self.paper == 0:
                return "zero in the paper"
            return "same sign" if self.ours * self.paper > 0 else "other sign"
        return f"{self.ours / self.paper:.2f} times"

    def line(self) -> dict[str, str]:
        """The cell as a line of a table."""

        def shown(value: float, spread: float) -> str:
            text = number(value, self.digits)
            return f"{text} ± {number(spread, self.digits)}" if math.isfinite(spread) else text

        return {
            "row": self.row,
            "column": self.column,
            f"paper, {self.unit}": shown(self.paper, self.spread),
            f"ours, {self.unit}": shown(self.ours, self.our_spread) + self.mark,
            **(dict([self.beside]) if self.beside else {}),
            "difference": number(self.ours - self.paper, self.digits, "+"),
            "verdict": self.verdict,
        }


def lines(cells: Iterable[Cell], row: str, column: str) -> list[dict[str, str]]:
    """Cells as lines of a table, with names for what rows and columns are."""
    names = {"row": row, "column": column}
    return [{names.get(k, k): v for k, v in cell.line().items()} for cell in cells]


def summary(cells: Sequence[Cell]) -> str:
    """How many cells have which verdict, and what was not measured, in words."""
    measured = [cell for cell in cells if math.isfinite(cell.ours)]
    same = sum(cell.verdict in ("same sign", "within the paper's spread") for cell in measured)
    within = sum(cell.verdict == "within the paper's spread" for cell in measured)
    rows = {cell.row for cell in measured}
    absent = list(dict.fromkeys(cell.row for cell in cells if cell.row not in rows))
    return (
        f"{len(measured)} of {len(cells)} values measured; {same} have the paper's sign or lie "
        f"within its spread ({within} within)"
        + (f". Not measured: {', '.join(absent)}" if absent and rows else "")
    )
