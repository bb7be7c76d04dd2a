"""Claims of the papers as data, each with what decides it from measured rows, and what may."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from lossylab.eval.report import published

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

ENOUGH_TRAININGS = 3  # of each network where a claim is about the difference of two


class Verdict(enum.Enum):
    """What is known of a claim."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNDECIDED = "undecided"
    UNTESTABLE = "not testable"


@dataclasses.dataclass(frozen=True)
class Decision:
    """What the rows say of a claim, before it is asked whether they may.

    Attributes:
      measured: the fact that decides, a short sentence.
      holds: whether it does; None if the noise is larger than the effect.
    """

    measured: str
    holds: bool | None


UNMEASURED = Decision("", None)
Decide = Callable[[Any], Decision]


@dataclasses.dataclass(frozen=True)
class Obstacle:
    """What forbids to decide a claim.

    Attributes:
      verdict: UNDECIDED or UNTESTABLE.
      reason: why, in words.
    """

    verdict: Verdict
    reason: str


Need = Callable[[Any], "Obstacle | None"]
Swap = Callable[[Any], Any]  # from evidence to evidence with a rival in a model's place


@dataclasses.dataclass(frozen=True)
class Check:
    """How a claim is decided.

    Attributes:
      decide: from the paper's evidence to a decision.
      rivals: trivial competitors in words, and what puts one in the place of the model that the
        claim is about: of the evidence, evidence as it would be. A claim that a rival fulfills
        as well, or whose rivals were not all measured, stays undecided.
      others: more rivals, of which those count that were measured: one at least.
      needs: what must be there for any verdict.
      for_failing: what must be there for the verdict that it does not hold: the absence of an
        effect at a small budget does not refute it.
      strict: whether a rival that fulfills the claim within noise counts as fulfilling it. Not of a
        baseline in the place of what is compared with it: nothing against nothing.
    """

    decide: Decide
    rivals: Mapping[str, Swap]
    needs: Sequence[Need] = ()
    for_failing: Sequence[Need] = ()
    strict: bool = False
    others: Mapping[str, Swap] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Claim:
    """One statement of a paper: a line of published_values/STEM_claims.csv.

    Attributes:
      number: to refer to it by, such as '1a'.
      claim: the statement.
      source: section, table or figure.
      says: a few words of the paper; '' if it only shows it.
      published: what the paper reports.
      criterion: when it counts as holding.
      ours: 'claim' or 'criterion' where that is not of the paper.
      untestable: why nothing here can decide it; '' if something may.
    """

    number: str
    claim: str
    source: str
    says: str
    published: str
    criterion: str
    ours: str
    untestable: str


@dataclasses.dataclass(frozen=True)
class Judgement:
    """A claim with its verdict.

    Attributes:
      claim: the statement.
      verdict: what is known.
      measured: the fact; '' if nothing was measured.
      reason: why it is undecided or not testable.
      rivals: where the trivial competitors stand, a sentence each.
    """

    claim: Claim
    verdict: Verdict
    measured: str = ""
    reason: str = ""
    rivals: tuple[str, ...] = ()


def claims_of(stem: str) -> list[Claim]:
    """The claims of a paper, in its order."""
    return [Claim(**line) for line in published.records(f"{stem}_claims")]


def judge(claim: Claim, check: Check | None, evidence: Any) -> Judgement:
    """Decides a claim, if it may be decided."""
    if check is None:
        return Judgement(claim, Verdict.UNTESTABLE, reason=claim.untestable)
    decision = check.decide(evidence)
    if decision is UNMEASURED:
        return Judgement(claim, Verdict.UNTESTABLE, reason="not measured")
    tried, others = (
        {words: check.decide(swap(evidence)) for words, swap in rivals.items()}
        for rivals in (check.rivals, check.others)
    )
    measured = {words: rival for words, rival in others.items() if rival is not UNMEASURED}
    obstacle = _obstacle(check, decision, {**tried, **(measured or others)}, evidence)
    verdict = Verdict.HOLDS if decision.holds else Verdict.FAILS
    return Judgement(
        claim,
        obstacle.verdict if obstacle else verdict,
        decision.measured,
        obstacle.reason if obstacle else "",
        tuple(_stands(words, rival) for words, rival in {**tried, **others}.items()),
    )


def _obstacle(
    check: Check, decision: Decision, tried: Mapping[str, Decision], evidence: Any
) -> Obstacle | None:
    """The first thing that forbids a verdict."""
    needs = (*check.needs, *(check.for_failing if decision.holds is False else ()))
    for need in needs:
        if obstacle := need(evidence):
            return obstacle
    if decision.holds is None:
        return Obstacle(Verdict.UNDECIDED, "within noise")
    for words, rival in tried.items():
        if rival is UNMEASURED:
            return Obstacle(Verdict.UNDECIDED, f"not measured: {words}")
        if rival.holds or (check.strict and rival.holds is None):
            within = "" if rival.holds else ", within noise"
            return Obstacle(Verdict.UNDECIDED, f"{words} fulfills it too{within}")
    return None


def _stands(words: str, rival: Decision) -> str:
    if rival is UNMEASURED:
        return f"{words}: not measured"
    fulfills = {True: "fulfills it", False: "does not", None: "within noise"}[rival.holds]
    return f"{words}: {rival.measured} ({fulfills})"


# What claims may need.


def published_size(evidence: Any) -> Obstacle | None:
    """The networks and steps of the paper: the evidence's `smaller` says why they are not."""
    return Obstacle(Verdict.UNTESTABLE, evidence.smaller) if evidence.smaller else None


def trainings(*names: str) -> Need:
    """Enough trainings of each of the networks; further ones are called NAME_seed2 and so on."""

    def need(evidence: Any) -> Obstacle | None:
        return too_few(min(len(repetitions(evidence.names, name)) for name in names))

    return need


def too_few(trainings: int) -> Obstacle | None:
    """What fewer trainings of each network than are needed forbid."""
    if trainings >= ENOUGH_TRAININGS:
        return None
    words = "one training each" if trainings <= 1 else f"{trainings} trainings each"
    return Obstacle(Verdict.UNDECIDED, f"{words}, {ENOUGH_TRAININGS} are needed")


def repetitions(names: Iterable[str], name: str) -> list[str]:
    """Names of all trainings of a network: NAME, NAME_seed2, NAME_seed3 and so on, sorted."""
    return sorted(each for each in set(names) if each == name or each.startswith(f"{name}_seed"))


def by_seed(names: Iterable[str], name: str) -> dict[str, str]:
    """The same by what follows the network's name, for `differences.pairs_of_trainings`."""
    return {each.removeprefix(name): each for each in repetitions(names, name)}


def timed_on_a_gpu(evidence: Any) -> Obstacle | None:
    """A machine as the paper's, by the rows of the evidence's `timing`."""
    machine = next(iter(evidence.timing.values()), {}).get("machine", "")
    if "no GPU" in machine:
        return Obstacle(Verdict.UNTESTABLE, f"timed on {machine}; the paper's has one")
    return None


# What decisions have in common.


def all_known(found: Mapping[_Key, _Value | None]) -> dict[_Key, _Value] | None:
    """The same values if none of them is None."""
    known = {key: value for key, value in found.items() if value is not None}
    return known if len(known) == len(found) else None


def decision_by_gains(text: str, gains: Iterable[tuple[float, float]]) -> Decision:
    """Decides a claim that something is better in every comparison.

    Args:
      text: the numbers that decide, in words.
      gains: of each comparison the mean gain, and half its 95 % interval.

    Returns:
      A decision that fails where a gain is below zero beyond chance, holds where all are above
      zero beyond chance, and is open otherwise.
    """
    gains = list(gains)
    if any(gain < -noise for gain, noise in gains):
        return Decision(text, False)
    return Decision(text, True if gains and all(gain > noise for gain, noise in gains) else None)


def swapped(table: pd.DataFrame, column: str, model: str, rival: str) -> pd.DataFrame:
    """Rows in which a rival stands in the place of a model; without the model if there is none."""
    keep = np.flatnonzero(~table[column].isin(repetitions(table[column], model)))
    new = np.flatnonzero(table[column] == rival)
    found = table.iloc[np.concatenate([keep, new])].reset_index(drop=True)
    found.loc[len(keep) :, column] = model
    return found


def replaced(rival: str, *models: str, **columns: str) -> Swap:
    """Puts a rival in the place of models; see `swapped`.

    Args:
      rival: its name.
      *models: theirs.
      **columns: by name of the evidence's table, its column of names.
    """

    def swap(evidence: Any) -> Any:
        tables = {name: getattr(evidence, name) for name in columns}
        for model in models:
            tables = {n: swapped(table, columns[n], model, rival) for n, table in tables.items()}
        return dataclasses.replace(evidence, **tables)

    return swap
