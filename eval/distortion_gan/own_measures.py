"""Each distortion by a measure of its own: blocks, ringing, a flat spectrum, a falling one.

The divergence of natural scene statistics hardly sees what a distortion is known by. These
criteria are not of the paper; the untouched image is the trivial competitor of all.
"""

from __future__ import annotations

import dataclasses
import math

import pandas as pd

from lossylab.eval.distortion_gan.evidence import Evidence
from lossylab.eval.options.distortions import REAL, UNTOUCHED
from lossylab.eval.report.claims import UNMEASURED, Decide, Decision
from lossylab.eval.report.differences import Difference, mean_difference
from lossylab.eval.report.names import published_name
from lossylab.eval.report.tables import Line, number


@dataclasses.dataclass(frozen=True)
class Own:
    """A measure, and how near to the real distortion's it must be.

    Attributes:
      column: of the rows; real_COLUMN is the real distortion's.
      words: what it is.
      digits: of its values in tables.
      tolerance: largest mean error.
      relative: whether errors are fractions of the real value, or differences in the unit.
      unit: of differences.
    """

    column: str
    words: str
    digits: int
    tolerance: float
    relative: bool = True
    unit: str = ""

    def error(self, rows: pd.DataFrame) -> pd.Series:
        """How far off each row is, with its sign."""
        mine, real = (rows[name].astype(float) for name in (self.column, f"real_{self.column}"))
        return mine / real - 1.0 if self.relative else mine - real

    @property
    def criterion(self) -> str:
        """The tolerance in words."""
        return f"within {self.said(self.tolerance)}"

    def said(self, error: float) -> str:
        """An error in words."""
        return f"{error:.0%}" if self.relative else f"{error:.2f}{self.unit}"


_STD = Own("std", "standard deviation of the residual", 1, 0.2)
# Of noise: a tint, which is no noise, has a deviation too, but no power in these bands. 1.9 dB less
# are 20 % less amplitude.
_POWER = Own("power", "mean power of the spectrum's bands, dB", 1, 1.9, False, " dB")
OWN = {
    "jpeg": Own("blockiness", "blockiness", 2, 0.2),
    "jpeg2000": Own("ringing", "ringing energy", 1, 0.5),
    "white": Own("flatness", "flatness of the spectrum, dB", 2, 1.0, False, " dB"),
    "pink": Own("slope", "slope of the spectrum", 2, 0.2, False),
}


def strength(kind: str) -> Own:
    """The measure of how strong a distortion is."""
    return _POWER if kind in ("white", "pink") else _STD


def kind_of(method: str) -> str:
    """The distortion that a method imitates; '' if it is none of these."""
    kind = method.removeprefix(REAL).partition("_")[0]
    return kind if kind in OWN else ""


def table(evidence: Evidence) -> list[Line]:
    """Every method that imitates a distortion by that one's own measure and by its strength."""
    lines = []
    for method in filter(kind_of, evidence.methods):
        kind = kind_of(method)
        for own in (OWN[kind], strength(kind)):
            values = [
                evidence.mean(*which, own.column) for which in ((method, kind), (UNTOUCHED, kind))
            ]
            off = mean_difference(own.error(evidence.images(method, kind)))
            if off is None or math.isnan(values[0]):
                continue
            mine, untouched = (number(value, own.digits) for value in values)
            lines.append(
                {
                    "distorted by": method,
                    "measure": own.words,
                    "generated": mine,
                    "real": number(evidence.mean(method, kind, f"real_{own.column}"), own.digits),
                    "untouched image": untouched,
                    "error": f"{own.said(off.mean)} ± {own.said(off.margin)}",
                    "criterion": own.criterion,
                    "kept": _WORDS[_within(off, own.tolerance)],
                }
            )
    return lines


_WORDS = {True: "yes", False: "no", None: "within noise"}


def _within(off: Difference, tolerance: float) -> bool | None:
    """Whether a mean error is within a tolerance, by its 95 % interval; None if that is open."""
    if abs(off.mean) + off.margin <= tolerance:
        return True
    return False if abs(off.mean) - off.margin > tolerance else None


def like_the_real(*pairs: tuple[str, Own]) -> Decide:
    """A decision that all methods, each with a measure, are near to what they imitate."""

    def decide(evidence: Evidence) -> Decision:
        verdicts, words = [], []
        for method, own in pairs:
            rows = evidence.images(method, kind_of(method))
            name = published_name(method)
            if len(rows) and (rows.residual.astype(float) == 0).all():
                verdicts.append(False)
                words.append(f"{name} adds nothing")
                continue
            off = mean_difference(own.error(rows)) if len(rows) else None
            if off is None or len(rows) < evidence.table.image.nunique():
                return UNMEASURED
            verdicts.append(_within(off, own.tolerance))
            error = f"{own.said(off.mean)} ± {own.said(off.margin)}"
            words.append(f"{name}: {own.words} off by {error}")
        holds = False if False in verdicts else None if None in verdicts else True
        return Decision("; ".join(words), holds)

    return decide
