"""Claims of the papers as data, each with the function that decides it from measured rows."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from lossylab.eval.report.tables import markdown_table

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclasses.dataclass(frozen=True)
class Decision:
    """What the rows say of a claim.

    Attributes:
      measured: the numbers that decide, in words.
      holds: whether it does; None if what it needs was not measured.
    """

    measured: str
    holds: bool | None


UNDECIDED = Decision("not measured", None)
Decide = Callable[[Any], Decision]


@dataclasses.dataclass(frozen=True)
class Claim:
    """One checkable statement of a paper.

    Attributes:
      number: to refer to it by, such as '1a'.
      text: the statement.
      published: what the paper reports.
      criterion: when it counts as holding.
      decide: from the paper's evidence to a decision.
      scale: from the evidence to what the claim is measured at, if not at the section's scale.
    """

    number: str
    text: str
    published: str
    criterion: str
    decide: Decide
    scale: Callable[[Any], str] | None = None


def all_known(found: Mapping[_Key, _Value | None]) -> dict[_Key, _Value] | None:
    """The same values if none of them is None."""
    known = {key: value for key, value in found.items() if value is not None}
    return known if len(known) == len(found) else None


def decision_by_gains(text: str, gains: Iterable[tuple[float, float]]) -> Decision:
    """Decides a claim that something is better in every comparison.

    Args:
      text: the numbers that decide, in words.
      gains: of each comparison the mean gain, and what it may be by chance.

    Returns:
      A decision that fails where a gain is below zero beyond chance, holds where all are above
      zero beyond chance, and is open ("within noise") otherwise.
    """
    gains = list(gains)
    if any(gain < -noise for gain, noise in gains):
        return Decision(text, False)
    if all(gain > noise for gain, noise in gains):
        return Decision(text, True)
    return Decision(f"{text}: within noise", None)


def merged(page: str, section: str) -> str:
    """A ledger with one paper's section replaced or added; the others stay.

    Args:
      page: the present contents of results/claims.md, or nothing.
      section: as `ledger` makes it.
    """
    head = "# Claims\n\nEvery checkable claim, decided from the rows beside this file.\n"
    parts = re.split(r"(?m)^(?=## )", page)[1:]
    title = section.split("\n", 1)[0]
    same = [part.split("\n", 1)[0] == title for part in parts]
    parts = [section if mine else part for part, mine in zip(parts, same)]
    parts += [] if any(same) else [section]
    return "\n".join([head, *(part.rstrip() + "\n" for part in parts)])


def ledger(paper: str, scale: str, claims: Sequence[Claim], evidence: Any) -> str:
    """A section of results/claims.md: every claim of a paper, decided.

    Args:
      paper: its name.
      scale: what the evidence was measured at.
      claims: the statements.
      evidence: what their functions take.
    """
    words = {True: "holds", False: "**does not hold**", None: "undecided"}
    decided = [(claim, claim.decide(evidence)) for claim in claims]
    table = markdown_table(
        {
            "": claim.number,
            "claim": claim.text,
            "paper": claim.published,
            "holds if": claim.criterion,
            "scale": claim.scale(evidence) if claim.scale else "as above",
            "measured": decision.measured,
            "verdict": words[decision.holds],
        }
        for claim, decision in decided
    )
    return f"## {paper}\n\nScale: {scale}\n\n{table}\n"
