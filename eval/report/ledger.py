"""Pages of claims: the score and a sentence a claim, and how each was decided."""

from __future__ import annotations

import collections
import re
from collections.abc import Sequence

from lossylab.eval.report.claims import Judgement, Verdict
from lossylab.eval.report.tables import Line, markdown_table

_HEAD = "# Claims\n"
_BETWEEN = "; "  # claims of a line
_NOT_TESTABLE = "Not testable:"
_WORDS = (
    "*Holds* and *does not hold* are said only where a trivial competitor in the model's place was "
    "tried and does not fulfill the claim. *Undecided*: the noise of images or of trainings is "
    "larger than the effect, or the competitor fulfills it too or was not measured, or trainings "
    "are too few or too different. *Not testable*: the networks, steps, weights, data or people "
    "that the claim is about were not there, or it is not recorded whether they were. ± is half of "
    "a 95 % interval. A number in brackets is not a claim of the paper."
)


def score(counts: dict[str, collections.Counter]) -> str:
    """The table of how many claims have which verdict, by paper, and their sum."""
    lines: list[Line] = [_score_line(paper, found) for paper, found in counts.items()]
    if len(counts) > 1:
        lines.append(_score_line("together", sum(counts.values(), collections.Counter())))
    return markdown_table(lines)


def _score_line(paper: str, found: collections.Counter) -> Line:
    counted = {verdict.value: str(found[verdict.value]) for verdict in Verdict}
    return {"": paper, **counted, "claims": str(sum(found.values()))}


def section(paper: str, budget: str, judgements: Sequence[Judgement], details: str = "") -> str:
    """A paper's section: a short line a claim.

    Args:
      paper: its name.
      budget: what the evidence was measured at.
      judgements: the claims.
      details: path of the page that tells how each was decided; '' if it is the same page.
    """
    measured = [each for each in judgements if each.measured]
    absent = [each for each in judgements if not each.measured]
    parts = [f"## {paper}\n"]
    if measured:
        parts.append(markdown_table(map(_line, measured)) + "\n")
    if absent:
        parts.append(_NOT_TESTABLE + "\n")
        parts += [*_by_reason(absent), ""]
    link = f"[How each was decided]({details}). " if details else ""
    return "\n".join([*parts, f"{link}Measured at: {budget}\n"])


def _by_reason(absent: Sequence[Judgement]) -> list[str]:
    """Claims of which nothing was measured, a line for each reason."""
    found = collections.defaultdict(list)
    for each in absent:
        found[each.reason].append(f"{_number(each)} {each.claim.claim}")
    return [f"- {reason}: {_BETWEEN.join(claims)}" for reason, claims in found.items()]


def _line(judgement: Judgement) -> Line:
    return {
        "": _number(judgement),
        "claim": judgement.claim.claim,
        "verdict": _verdict(judgement.verdict),
        "measured": _short(judgement),
    }


def details(paper: str, budget: str, judgements: Sequence[Judgement]) -> str:
    """A page of one paper: score, section, and everything that decided."""
    table = markdown_table(
        {
            "": _number(judgement),
            "the paper": cited(judgement),
            "published": judgement.claim.published,
            "holds if": criterion(judgement),
            "trivial competitor": "; ".join(judgement.rivals) or "none",
            "verdict": judgement.verdict.value,
            "because": _because(judgement),
        }
        for judgement in judgements
    )
    return "\n".join(
        [
            f"# {paper}: claims\n",
            score({paper: _counted(judgements)}),
            f"\n{_WORDS}\n",
            section(paper, budget, judgements).replace(f"## {paper}\n\n", ""),
            f"## How each was decided\n\n{table}\n",
        ]
    )


def merged(page: str, paper_section: str) -> str:
    """A ledger of several papers with one paper's section replaced or added; the others stay.

    Args:
      page: the present contents of the ledger, or nothing.
      paper_section: as `section` makes it.
    """
    parts = re.split(r"(?m)^(?=## )", page)[1:]
    same = [_title(part) == _title(paper_section) for part in parts]
    parts = [paper_section if mine else part for part, mine in zip(parts, same)]
    parts += [] if any(same) else [paper_section]
    counts = {_title(part): _read(part) for part in parts}
    links = {f"[{name}](#{name.lower().replace(' ', '-')})": n for name, n in counts.items()}
    head = f"{_HEAD}\n{score(links)}\n\n{_WORDS}\n"
    return "\n".join([head, *(part.rstrip() + "\n" for part in parts)])


def _title(part: str) -> str:
    return part.split("\n", 1)[0].removeprefix("## ")


def _read(part: str) -> collections.Counter:
    """Verdicts of a section, as `section` writes them."""
    lines = part.splitlines()
    cells = (line.split(" | ") for line in lines if line.startswith("| "))
    words = [row[2].strip("*") for row in cells if len(row) > 3]
    found = collections.Counter(v for v in words if v in {verdict.value for verdict in Verdict})
    absent = [line.split(_BETWEEN) for line in lines if line.startswith("- ")]
    found[Verdict.UNTESTABLE.value] += sum(map(len, absent))
    return found


def _counted(judgements: Sequence[Judgement]) -> collections.Counter:
    return collections.Counter(judgement.verdict.value for judgement in judgements)


def _number(judgement: Judgement) -> str:
    number = judgement.claim.number
    return f"({number})" if judgement.claim.ours == "claim" else number


def _verdict(verdict: Verdict) -> str:
    return f"**{verdict.value}**" if verdict in (Verdict.HOLDS, Verdict.FAILS) else verdict.value


def _short(judgement: Judgement) -> str:
    reason = f"*{judgement.reason}*" if judgement.reason else ""
    return "; ".join(part for part in (judgement.measured, reason) if part)


def _because(judgement: Judgement) -> str:
    return judgement.reason or judgement.measured


def cited(judgement: Judgement) -> str:
    """Where the paper says it, and its words."""
    claim = judgement.claim
    source = "not of the paper" if claim.ours == "claim" else claim.source
    return f"{source}: “{claim.says}”" if claim.says else source


def criterion(judgement: Judgement) -> str:
    """When the claim counts as holding."""
    claim = judgement.claim
    if not claim.criterion:
        return "n/a"
    return (
        f"{claim.criterion} (criterion of ours)" if claim.ours == "criterion" else claim.criterion
    )
