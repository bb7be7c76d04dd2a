"""Claims of the papers as data, each with the function that decides it from measured rows."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any

from lossylab.eval.report.tables import markdown_table


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
    decide: Callable[[Any], Decision]
    scale: Callable[[Any], str] | None = None


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
