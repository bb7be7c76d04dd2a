"""Bjontegaard-delta rates: golden numbers, the definition, and curves that do not compare."""

import json
import math
import pathlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossylab.eval.metrics.bd_rate import METHODS, bd_rate, over_images, per_image

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"
CASES = json.loads((GOLDEN / "bd_rate.json").read_text())
KODAK = json.loads((GOLDEN / "classical_kodak.json").read_text())
EVERY_METHOD = pytest.mark.parametrize("method", METHODS)
EVERY_PAIR = pytest.mark.parametrize("pair", CASES["pairs"].values(), ids=CASES["pairs"])

CURVE = ([0.1, 0.2, 0.4, 0.8, 1.6], [30.0, 33.0, 35.5, 38.0, 40.0])


def _curves(pair):
    return (pair["rate_anchor"], pair["q_anchor"]), (pair["rate_test"], pair["q_test"])


def _by_definition(anchor, test):
    """VCEG-M33: cubics of log-rate over quality by the normal equations, integrated exactly."""
    powers = np.arange(4)
    low = max(min(anchor[1]), min(test[1]))
    high = min(max(anchor[1]), max(test[1]))
    middle, half = (low + high) / 2, (high - low) / 2
    means = []
    for rates, qualities in (anchor, test):
        position = (np.asarray(qualities) - middle) / half  # the overlap is -1..1
        matrix = position[:, None] ** powers
        coefficients = np.linalg.solve(matrix.T @ matrix, matrix.T @ np.log(rates))
        means.append(coefficients[0] + coefficients[2] / 3)  # odd powers vanish
    return 100 * math.expm1(means[1] - means[0])


# Against other implementations.


def _agrees(found, expected, **tolerance):
    """Whether a number is as expected, or a cubic that is not monotone refused."""
    return "is not monotone" in found.reason or found.percent == pytest.approx(
        expected, **tolerance
    )


def test_one_golden_cubic_is_not_monotone():
    """SSIM's, over rates from .05 on: see `_agrees`."""
    refused = [n for n, p in CASES["pairs"].items() if bd_rate(*_curves(p), "cubic").reason]
    assert refused == ["4_ssim_partial_overlap_7v8"]


@EVERY_METHOD
@EVERY_PAIR
def test_golden_pairs(pair, method):
    found = bd_rate(*_curves(pair), method)
    assert _agrees(found, pair["bd_rate"][method], rel=1e-9)
    assert method == "cubic" or found.reason == ""


@EVERY_PAIR
def test_cubic_equals_least_squares(pair):
    anchor, test = _curves(pair)
    expected = _by_definition(anchor, test)
    assert expected == pytest.approx(pair["bd_rate"]["own_cubic"], rel=1e-8)
    assert _agrees(bd_rate(anchor, test, "cubic"), expected, rel=1e-8)


@EVERY_METHOD
@EVERY_PAIR
@pytest.mark.parametrize("case", [name for name in CASES["analytic"] if "rate_x" in name])
def test_rates_times_a_factor_give_that_factor(case, pair, method):
    (rates, qualities), _ = _curves(pair)
    scaled = float(case.removeprefix("rate_x_")) * np.array(rates)
    found = bd_rate((rates, qualities), (scaled, qualities), method)
    assert _agrees(found, CASES["analytic"][case]["expected"], abs=1e-9)
    assert found.reason or found.overlap == 1


@pytest.mark.parametrize("codec", KODAK["bd_rate"])
@pytest.mark.parametrize("image", KODAK["images"])
def test_golden_points_of_kodak_give_golden_bd_rates(image, codec):
    points = KODAK["images"][image]
    size = "bytes_opt" if codec == "jpeg_optimised" else "bytes"
    test = points["jpeg" if codec == "jpeg_optimised" else codec]
    for metric, expected in KODAK["bd_rate"][codec].items():
        anchor = [row["bytes"] for row in points["jpeg"]], [row[metric] for row in points["jpeg"]]
        curve = [row[size] for row in test], [row[metric] for row in test]
        found = bd_rate(anchor, curve, "cubic")
        assert _agrees(found, expected[image], abs=2e-3), metric
        assert bd_rate(anchor, curve).reason == ""


# What must be true of any curves.

_STEPS = st.lists(st.floats(0.05, 1.0), min_size=4, max_size=8)


@st.composite
def _rising(draw):
    """A curve whose qualities rise with the logarithm of its rates."""
    steps = draw(_STEPS)
    rates = np.exp(draw(st.floats(-2, 2)) + np.cumsum(steps))
    slopes = draw(st.lists(st.floats(2, 8), min_size=len(steps), max_size=len(steps)))
    return rates, 30 + np.cumsum(np.multiply(slopes, steps))


@EVERY_METHOD
@settings(deadline=None)
@given(curve=_rising(), other=_rising(), data=st.data())
def test_order_of_points_does_not_matter(method, curve, other, data):
    orders = [data.draw(st.permutations(range(len(c[0])))) for c in (curve, other)]
    mixed = [(c[0][order], c[1][order]) for c, order in zip((curve, other), orders)]
    one, two = bd_rate(curve, other, method), bd_rate(*mixed, method)
    assert one.reason == two.reason
    assert one.overlap == two.overlap
    assert one.percent == pytest.approx(two.percent, rel=1e-5, abs=1e-5, nan_ok=True)


@EVERY_METHOD
@settings(deadline=None)
@given(curve=_rising(), other=_rising())
def test_the_other_way_round_is_the_reciprocal(method, curve, other):
    there, back = bd_rate(curve, other, method), bd_rate(other, curve, method)
    assert there.overlap == back.overlap
    if there.reason:
        assert back.reason
        return
    # Relative to the factor between the rates, as 1 + x / 100 cancels where x is near -100.
    product = (1 + there.percent / 100) * (1 + back.percent / 100)
    assert product == pytest.approx(1, rel=1e-6)


@EVERY_METHOD
@settings(deadline=None)
@given(curve=_rising(), other=_rising(), unit=st.sampled_from([1e-3, 8.0, 1e6]))
def test_unit_of_the_rate_does_not_matter(method, curve, other, unit):
    one = bd_rate(curve, other, method)
    two = bd_rate((unit * curve[0], curve[1]), (unit * other[0], other[1]), method)
    assert one.percent == pytest.approx(two.percent, rel=1e-5, abs=1e-5, nan_ok=True)


@EVERY_METHOD
def test_less_rate_for_the_same_quality_is_negative(method):
    better = ([0.09, 0.17, 0.33, 0.7, 1.3], CURVE[1])
    assert -20 < bd_rate(CURVE, better, method).percent < -10
    assert 10 < bd_rate(better, CURVE, method).percent < 25


@EVERY_METHOD
def test_overlap_is_the_share_of_qualities_that_both_reach(method):
    shifted = (CURVE[0], [quality + 5 for quality in CURVE[1]])
    assert bd_rate(CURVE, shifted, method).overlap == pytest.approx(5 / 15)
    inside = (CURVE[0], [32, 33, 34, 36, 37])
    assert bd_rate(CURVE, inside, method).overlap == pytest.approx(5 / 10)


def test_equal_qualities_are_no_obstacle_for_a_cubic():
    rates, qualities = [*CURVE[0], 1.7], [*CURVE[1], 40.0]
    expected = _by_definition(CURVE, (rates, qualities))
    found = bd_rate(CURVE, (rates, qualities), "cubic")
    assert found.percent == pytest.approx(expected, rel=1e-6)


# Curves that cannot be compared.


def _damaged(place, value):
    curve = [list(part) for part in CURVE]
    curve[place][2] = value
    return tuple(curve)


UNUSABLE = {
    "three points": ((CURVE[0][:3], CURVE[1][:3]), "has 3 points, 4 are needed"),
    "no points": (([], []), "has 0 points, 4 are needed"),
    "nan quality": (_damaged(1, np.nan), "has values that are not finite"),
    "infinite quality": (_damaged(1, np.inf), "has values that are not finite"),
    "nan rate": (_damaged(0, np.nan), "has values that are not finite"),
    "infinite rate": (_damaged(0, np.inf), "has values that are not finite"),
    "rate of nothing": (_damaged(0, 0.0), "has rates that are not positive"),
    "negative rate": (_damaged(0, -0.1), "has rates that are not positive"),
}


@EVERY_METHOD
@pytest.mark.parametrize(("curve", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_unusable_curves_give_no_number_but_the_reason(curve, reason, method):
    for name, pair in (("anchor", (curve, CURVE)), ("test", (CURVE, curve))):
        found = bd_rate(*pair, method)
        assert math.isnan(found.percent)
        assert found.reason == f"the {name} {reason}"
        assert found.overlap == 0


@EVERY_METHOD
@pytest.mark.parametrize("shift", [10.0, 20.0])
def test_curves_without_common_quality_say_so(shift, method):
    far = (CURVE[0], [quality + shift for quality in CURVE[1]])
    for pair in ((CURVE, far), (far, CURVE)):
        found = bd_rate(*pair, method)
        assert math.isnan(found.percent)
        assert found.reason == "the curves reach no common quality"


def test_pchip_needs_qualities_that_differ():
    found = bd_rate(CURVE, _damaged(1, CURVE[1][1]), "pchip")
    assert math.isnan(found.percent)
    assert found.reason == "the test has the same quality at several rates"


def test_cubic_needs_four_qualities_that_differ():
    """Three do not determine a cubic, however many points have them."""
    three = (CURVE[0], [30.0, 30.0, 35.0, 35.0, 40.0])
    found = bd_rate(CURVE, three, "cubic")
    assert math.isnan(found.percent)
    assert "qualit" in found.reason


@pytest.mark.parametrize(
    "qualities", [[30.0, 38.999, 38.9999, 39.0], [30.0, 30.000001, 35.0, 39.0]], ids=str
)
@EVERY_METHOD
def test_nearly_equal_qualities_give_a_finite_number_or_a_reason(qualities, method):
    """As VMAF's, which saturates: a cubic through such points swings without bounds."""
    found = bd_rate(([1, 2, 4, 8], [30, 33, 36, 39]), ([1, 2, 4, 8], qualities), method)
    assert math.isfinite(found.percent) or found.reason


@EVERY_METHOD
def test_a_curve_that_falls_gives_the_reason(method):
    """Two that fall alike would otherwise say 0.0 %."""
    falling = (CURVE[0], CURVE[1][::-1])
    dip = (CURVE[0], [30.0, 33.0, 32.0, 38.0, 40.0])
    for pair, name in (((falling, falling), "anchor"), ((CURVE, dip), "test")):
        found = bd_rate(*pair, method)
        assert math.isnan(found.percent)
        assert found.reason == f"the {name} has a lower quality at a higher rate"


@EVERY_METHOD
def test_a_dip_outside_the_common_qualities_does_not_matter(method):
    dip = ([0.04, 0.05, *CURVE[0]], [21.0, 20.0, *CURVE[1]])
    found = bd_rate(CURVE, dip, method)
    assert "lower quality" not in found.reason
    assert bd_rate(dip, CURVE, "pchip").percent == pytest.approx(0, abs=0.5)


def test_a_cubic_that_is_not_monotone_is_refused():
    """Rising points whose cubic swings: pchip has a number, the cubic a reason."""
    steep = ([0.1, 0.3, 0.6, 1.2], [0.80, 0.955, 0.965, 0.985])
    plain = ([0.1, 0.3, 0.6, 1.2], [0.80, 0.90, 0.95, 0.985])
    assert bd_rate(plain, steep).percent < 0
    found = bd_rate(plain, steep, "cubic")
    assert math.isnan(found.percent)
    assert found.reason == "the cubic of the test's rates over its qualities is not monotone"


@pytest.mark.parametrize(("points", "mark"), [(4, "*"), (5, "*"), (6, ""), (8, "")])
def test_fewer_than_six_rates_are_marked(points, mark):
    table = pd.DataFrame(
        {"codec": codec, "image": "a", "bpp_file": factor * 2.0**i, "vmaf": 30.0 + i}
        for codec, factor, count in (("old", 1.0, 8), ("new", 0.5, points))
        for i in range(count)
    )
    found = over_images(table, "old", "new", "vmaf")
    assert (found.rates, found.mark) == (points, mark)


def test_unknown_method_is_refused():
    with pytest.raises(ValueError, match="method must be one of pchip, cubic, got 'akima'"):
        bd_rate(CURVE, CURVE, "akima")


# Over images.


def _rows(codec, image, factor=1.0, points=5, shift=0.0):
    return [
        {"codec": codec, "image": image, "bpp_file": factor * rate, "vmaf": quality + shift}
        for rate, quality in list(zip(*CURVE))[:points]
    ]


def test_summary_is_mean_and_deviation_of_the_images_that_compare():
    table = pd.DataFrame(
        [
            *(row for name in "abcdef" for row in _rows("old", name)),
            *_rows("new", "a", 0.8),
            *_rows("new", "b", 0.9),
            *_rows("new", "c", 0.7),
            *_rows("new", "d", points=3),
            *_rows("new", "e", shift=50),
            *_rows("new", "g"),
            *_rows("another", "h"),
        ]
    )
    for method in METHODS:
        found = over_images(table.sample(frac=1, random_state=1), "old", "new", "vmaf", method)
        assert found.mean == pytest.approx(-20)
        assert found.std == pytest.approx(10)
        assert (found.compared, found.images) == (3, 7)
        assert found.overlap == 1
        assert found.reasons == {
            "d": "the test has 3 points, 4 are needed",
            "e": "the curves reach no common quality",
            "f": "no rows of new",
            "g": "no rows of old",
        }


def test_single_images_have_their_own_bd_rates():
    table = pd.DataFrame(
        [row for name in "xy" for row in _rows("old", name)]
        + [*_rows("new", "x", 0.5), *_rows("new", "y", 2)]
    )
    found = per_image(table, "old", "new", "vmaf")
    assert {name: value.percent for name, value in found.items()} == pytest.approx(
        {"x": -50, "y": 100}
    )


def test_summary_of_one_image_has_no_deviation():
    found = over_images(
        pd.DataFrame([*_rows("old", "a"), *_rows("new", "a", 0.5)]), "old", "new", "vmaf"
    )
    assert found.mean == pytest.approx(-50)
    assert math.isnan(found.std)


def test_summary_of_nothing_comparable_is_not_a_number():
    table = pd.DataFrame([*_rows("old", "a"), *_rows("new", "a", points=2)])
    found = over_images(table, "old", "new", "vmaf")
    assert math.isnan(found.mean)
    assert math.isnan(found.std)
    assert (found.compared, found.images, found.overlap) == (0, 1, 0)
    missing = over_images(table, "old", "nowhere", "vmaf")
    assert (missing.compared, missing.images) == (0, 1)
    assert missing.reasons == {"a": "no rows of nowhere"}
