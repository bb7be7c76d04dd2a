"""How claims are judged: verdicts, competitors, needs, trainings; and the pages of them."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossylab.core.options import default_of
from lossylab.eval.report import budgets, claims, ledger
from lossylab.eval.report.claims import UNMEASURED, Check, Claim, Decision, Obstacle, Verdict
from lossylab.eval.report.differences import mean_difference, over_trainings
from lossylab.train.options.distortion_gan import DistortionGanOptions
from lossylab.train.options.jpeg_encoder import JpegEncoderOptions
from lossylab.train.options.proxiqa import ProxiqaOptions
from lossylab.train.options.wcdgan import WcdganOptions

CLAIM = Claim("1a", "it gains", "Table I", "a gain", "+1 dB", "gain above 0", "", "")
NOTHING = {"nothing": lambda evidence: {**evidence, "gain": 0.0}}


@dataclasses.dataclass
class _Evidence:
    """Evidence with names, of the paper's budget unless it is said why not."""

    smaller: str = ""
    names: tuple[str, ...] = ("a", "b")


def _decide(evidence):
    gain = evidence["gain"]
    if gain is None:
        return UNMEASURED
    return claims.decision_by_gains(f"{gain:+.1f} dB", [(gain, 1.0)])


def _judge(gain, **more):
    check = Check(_decide, **{"rivals": NOTHING, **more})
    return claims.judge(CLAIM, check, {"gain": gain})


@pytest.mark.parametrize(
    ("gain", "verdict", "reason"),
    [
        (2.0, Verdict.HOLDS, ""),
        (-2.0, Verdict.FAILS, ""),
        (0.5, Verdict.UNDECIDED, "within noise"),
        (None, Verdict.UNTESTABLE, "not measured"),
    ],
)
def test_four_verdicts(gain, verdict, reason):
    found = _judge(gain)
    assert (found.verdict, found.reason) == (verdict, reason)


@given(gain=st.floats(-9, 9), rival=st.floats(1.001, 9))
def test_what_a_competitor_fulfills_too_is_never_decided(gain, rival):
    """Whatever the rows say, a criterion that doing nothing passes decides nothing."""
    found = _judge(gain, rivals={"noise": lambda evidence: {**evidence, "gain": rival}})
    assert found.verdict is Verdict.UNDECIDED
    if abs(gain) > 1:
        assert found.reason == "noise fulfills it too"
        assert "(fulfills it)" in found.rivals[0]


def test_a_competitor_must_have_been_measured():
    found = _judge(2.0, rivals={"noise": lambda evidence: {**evidence, "gain": None}})
    assert (found.verdict, found.reason) == (
        Verdict.UNDECIDED,
        "not measured: noise",
    )


def test_what_is_needed_comes_first():
    obstacle = Obstacle(Verdict.UNTESTABLE, "random weights")
    for gain in (2.0, -2.0, 0.5):
        found = _judge(gain, needs=(lambda _: obstacle,))
        assert (found.verdict, found.reason) == (Verdict.UNTESTABLE, "random weights")
        assert found.measured  # the number is shown all the same
    absent = {gain: _judge(gain, for_failing=(lambda _: obstacle,)) for gain in (2.0, -2.0, 0.5)}
    assert [absent[gain].verdict for gain in (2.0, -2.0, 0.5)] == [
        Verdict.HOLDS,
        Verdict.UNTESTABLE,
        Verdict.UNDECIDED,  # noise refutes nothing, whatever the budget
    ]


def test_small_budgets_are_not_the_papers():
    found = claims.published_size(_Evidence("less than the paper's steps"))
    assert found == Obstacle(Verdict.UNTESTABLE, "less than the paper's steps")
    assert claims.published_size(_Evidence()) is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([{}], ""),
        ([{"filters": 256, "steps": 3_000_000}], ""),
        ([{"filters": 128}], "less than the paper's filters"),
        ([{}, {"steps": 10, "patch": 64}], "less than the paper's steps, patch"),
        ([], "about.json does not tell networks and steps of ours"),
    ],
)
def test_budgets_are_compared_by_options_not_by_words(options, words):
    paper = budgets.of_paper("proxiqa")
    trained = {"ours": budgets.counted("proxiqa", [{**paper, **each} for each in options])}
    assert budgets.smaller("proxiqa", trained, ["ours"]) == words
    unknown = "about.json does not tell networks and steps of ours"
    assert budgets.smaller("proxiqa", {}, ["ours"]) == unknown


@pytest.mark.parametrize(
    "options", [ProxiqaOptions, JpegEncoderOptions, DistortionGanOptions, WcdganOptions]
)
def test_the_papers_budgets_are_the_defaults(options):
    stem = options.__module__.rpartition(".")[2]
    paper = budgets.of_paper(stem)
    assert paper
    # "size" is no option: 1 for networks as published.
    printed = {name: number for name, number in paper.items() if name != "size"}
    assert {name: default_of(options, name) for name in printed} == printed


def test_budgets_of_earlier_measurements_are_kept(tmp_path):
    (tmp_path / "about.json").write_text('{"trained": {"a": {"steps": 1}, "b": {"steps": 2}}}')
    found = budgets.beside_others(tmp_path, {"b": {"steps": 3}})
    assert found == {"trained": {"a": {"steps": 1}, "b": {"steps": 3}}}


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("a", "b"), "one training each, 3 are needed"),
        (("a", "a_seed2", "b", "b_seed2", "b_seed3"), "2 trainings each, 3 are needed"),
        (("a", "a_seed2", "a_seed3", "b", "b_seed2", "b_seed3"), ""),
        (("a", "ab", "ab_seed2", "b"), "one training each, 3 are needed"),
    ],
)
def test_differences_of_trained_networks_need_three_trainings(names, reason):
    found = claims.trainings("a", "b")(_Evidence(names=names))
    assert (found.reason if found else "") == reason
    assert found is None or found.verdict is Verdict.UNDECIDED


def test_a_claim_that_nothing_decides_says_what_it_needs():
    found = claims.judge(dataclasses.replace(CLAIM, untestable="needs raters"), None, {})
    assert (found.verdict, found.reason) == (Verdict.UNTESTABLE, "needs raters")


def test_a_rival_takes_the_place_of_all_trainings_of_a_model():
    table = pd.DataFrame({"name": ["a", "a_seed2", "b", "c"], "value": range(4)})
    found = claims.swapped(table, "name", "a", "c")
    assert sorted(found.name) == ["a", "b", "c"]
    assert found[found.name == "a"].value.tolist() == [3]
    assert "a" not in set(claims.swapped(table, "name", "a", "nowhere").name)


def test_noise_has_two_parts():
    """Trainings that differ widen the interval of a difference that images agree on."""
    one = pd.Series([1.0, 1.1, 0.9, 1.0], index=list("wxyz"))
    alone = over_trainings([one])
    assert alone == mean_difference(one)
    three = over_trainings([one, one + 3, one - 3])
    assert three.mean == pytest.approx(1.0)
    assert three.trainings == 3
    assert three.margin > 7 > 1 > alone.margin
    assert over_trainings([one, None]) is None
    assert over_trainings([one, one.rename({"w": "other"})]) is None  # other images


# Pages.


def _judgements(*verdicts):
    return [
        claims.Judgement(
            dataclasses.replace(CLAIM, number=str(i), ours="claim" if i == 1 else ""),
            verdict,
            "" if verdict is Verdict.UNTESTABLE else "+1.0 dB",
            "needs raters" if verdict is Verdict.UNTESTABLE else "",
            ("nothing: +0.0 dB (does not)",),
        )
        for i, verdict in enumerate(verdicts)
    ]


def test_the_page_of_several_papers_counts_what_its_sections_say():
    untestable = Verdict.UNTESTABLE
    one = ledger.section("One", "small", _judgements(Verdict.HOLDS, untestable, untestable), "a.md")
    two = ledger.section("Two T", "large", _judgements(Verdict.FAILS, Verdict.UNDECIDED))
    page = ledger.merged(ledger.merged("", one), two)
    assert "| [One](#one) | 1 | 0 | 0 | 2 | 3 |" in page
    assert "| [Two T](#two-t) | 0 | 1 | 1 | 0 | 2 |" in page
    assert "| together | 1 | 1 | 1 | 2 | 5 |" in page
    assert page.index("together") < page.index("## One")
    assert ledger.merged(page, two) == page
    assert "[How each was decided](a.md)" in page
    changed = ledger.merged(page, ledger.section("Two T", "large", _judgements(Verdict.HOLDS)))
    assert "| together | 2 | 0 | 0 | 2 | 4 |" in changed


def test_a_line_says_verdict_and_fact_and_marks_what_is_ours():
    text = ledger.section("One", "small", _judgements(Verdict.HOLDS, Verdict.FAILS))
    assert "| 0 | it gains | **holds** | +1.0 dB |" in text
    assert "| (1) | it gains | **does not hold** | +1.0 dB |" in text
    details = ledger.details("One", "small", _judgements(Verdict.HOLDS, Verdict.FAILS))
    assert "Table I: “a gain”" in details
    assert "not of the paper: “a gain”" in details
    assert "nothing: +0.0 dB (does not)" in details


def test_margins_are_95_per_cent():
    rng = np.random.default_rng(0)
    found = [mean_difference(pd.Series(rng.normal(0, 1, 8))) for _ in range(2000)]
    inside = np.mean([abs(each.mean) <= each.margin for each in found])
    assert math.isclose(inside, 0.95, abs_tol=0.02)


def test_decisions_by_gains():
    assert claims.decision_by_gains("t", [(2, 1), (3, 1)]) == Decision("t", True)
    assert claims.decision_by_gains("t", [(2, 1), (-3, 1)]) == Decision("t", False)
    assert claims.decision_by_gains("t", [(2, 1), (0, 1)]) == Decision("t", None)
    assert claims.decision_by_gains("t", []) == Decision("t", None)
