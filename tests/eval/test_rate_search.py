"""Choosing settings by rate: the nearest ones, found with few encodings."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossylab.eval.rate_search import choose, together


class Rates:
    """Rates of settings, which counts how often each is asked for."""

    def __init__(self, rates):
        self._rates = [float(rate) for rate in rates]
        self.asked = []

    def __call__(self, index):
        assert isinstance(index, int)
        self.asked.append(index)
        return self._rates[index]

    def choose(self, low, high, points):
        """What the search chooses; it must not look twice."""
        chosen = choose(len(self._rates), self, low, high, points)
        assert len(set(self.asked)) == len(self.asked)
        assert chosen == sorted(set(chosen))
        assert set(chosen) <= set(self.asked)
        assert 1 <= len(chosen) <= points
        return chosen


def _targets(logs, low, high, points):
    """Logarithms of the rates wanted, from the range cut to what the codec can do."""
    first = max(math.log(low), logs[0])
    return np.linspace(first, max(first, min(math.log(high), logs[-1])), points)


def _nearest(rates, low, high, points):
    """All settings looked at: those nearest to the rates wanted."""
    logs = np.array([math.log(rate) for rate in rates])
    targets = _targets(logs, low, high, points)
    return sorted({int(np.argmin(abs(logs - target))) for target in targets})


_STEPS = st.lists(st.floats(1e-3, 2.0), min_size=0, max_size=60)
_STARTS = st.floats(-6, 6)
_RANGES = st.tuples(st.floats(-5, 5), st.floats(0, 5)).map(
    lambda ends: (math.exp(ends[0]), math.exp(ends[0] + ends[1]))
)
_POINTS = st.integers(1, 12)


def _rising(start, steps):
    return np.exp(start + np.cumsum([0.0, *steps]))


@settings(deadline=None)
@given(start=_STARTS, steps=_STEPS, ends=_RANGES, points=_POINTS)
def test_chosen_settings_are_the_nearest_of_all(start, steps, ends, points):
    rates = _rising(start, steps)
    assert Rates(rates).choose(*ends, points) == _nearest(rates, *ends, points)


@settings(deadline=None)
@given(
    start=_STARTS,
    steps=st.lists(st.sampled_from([0.0, 0.0, 0.3, 1.0]), max_size=40),
    ends=_RANGES,
    points=_POINTS,
)
def test_settings_of_equal_rates_do_not_confuse_it(start, steps, ends, points):
    rates = _rising(start, steps)
    chosen = Rates(rates).choose(*ends, points)
    logs = np.log(rates)
    for target in _targets(logs, *ends, points):
        assert min(abs(logs[chosen] - target)) == pytest.approx(min(abs(logs - target)), abs=1e-12)


@settings(deadline=None)
@given(
    start=_STARTS,
    steps=_STEPS,
    noise=st.lists(st.floats(-0.5, 0.5), min_size=61, max_size=61),
    ends=_RANGES,
    points=_POINTS,
)
def test_rates_that_do_not_quite_rise_are_searched_too(start, steps, noise, ends, points):
    logs = start + np.cumsum([0.0, *steps])
    rates = Rates(np.exp(logs + noise[: len(logs)]))
    chosen = rates.choose(*ends, points)  # checks that it ends, having looked once at each
    # Half a step of at most 2, and the noise where the range begins or ends and at both settings.
    for target in _targets(logs, *ends, points):
        assert min(abs(logs[chosen] - target)) <= min(abs(logs - target)) + 1.0 + 4 * 0.5


REALISTIC = {
    "qp": np.geomspace(0.018, 4.0, 52),
    "qp, bent": np.exp(np.linspace(-4, 1.5, 52) + 0.6 * np.sin(np.linspace(0, 3, 52))),
    "jpeg quality": 0.28 + 0.6 * np.linspace(0, 1, 97) + 9 * np.linspace(0, 1, 97) ** 6,
}


@pytest.mark.parametrize("rates", REALISTIC.values(), ids=REALISTIC)
def test_few_settings_are_looked_at(rates):
    search = Rates(rates)
    assert search.choose(0.05, 2.0, 8) == _nearest(rates, 0.05, 2.0, 8)
    # Five to find the range, and about two for each of the eight.
    assert len(search.asked) <= 5 + 2 * 8


def test_settings_far_above_the_range_are_not_looked_at():
    """The last settings of JPEG and HEVC are slow and large."""
    search = Rates(np.geomspace(0.01, 1000, 101))
    chosen = search.choose(0.02, 0.1, 5)
    assert max(search.asked) == 25  # the first quarter: 0.178
    assert chosen == _nearest(np.geomspace(0.01, 1000, 101), 0.02, 0.1, 5)


def test_range_begins_where_the_codec_does():
    rates = np.geomspace(0.3, 3.0, 50)
    chosen = Rates(rates).choose(0.05, 2.0, 8)
    assert len(chosen) == 8
    assert chosen[0] == 0
    steps = np.diff(np.log(rates[chosen]))
    np.testing.assert_allclose(steps, math.log(2 / 0.3) / 7, atol=np.log(rates[1] / rates[0]))


def test_range_ends_where_the_codec_does():
    rates = np.geomspace(0.01, 0.7, 50)
    chosen = Rates(rates).choose(0.05, 2.0, 8)
    assert len(chosen) == 8
    assert chosen[-1] == 49
    assert rates[chosen[0]] == pytest.approx(0.05, rel=0.05)


@pytest.mark.parametrize(("factor", "expected"), [(1000, [0]), (1e-6, [29])])
def test_a_codec_outside_the_range_gives_its_nearest_setting(factor, expected):
    assert Rates(factor * np.geomspace(0.1, 1, 30)).choose(0.05, 2.0, 8) == expected


def test_fewer_settings_than_points_are_all_taken():
    assert Rates([0.1, 0.3, 1.0]).choose(0.05, 2.0, 8) == [0, 1, 2]


def test_a_range_narrower_than_a_step_gives_one_or_two_settings():
    assert Rates([0.1, 0.2, 0.4, 0.8]).choose(0.21, 0.22, 8) == [1]
    assert Rates([0.1, 0.2, 0.4, 0.8]).choose(0.2, 0.4, 8) == [1, 2]


def test_a_single_setting_is_always_taken():
    search = Rates([0.5])
    assert search.choose(0.05, 2.0, 8) == [0]
    assert search.asked == [0]


@pytest.mark.parametrize(
    ("rates", "target", "places"),
    [
        ([[0.2, 0.4], [0.21, 0.45], [0.41]], 0.3, [1, 1, 0]),  # alone, the second takes .21
        ([[0.1, 0.31], [0.29, 0.5]], 0.3, [1, 0]),
        ([[0.1, 0.2], [0.9]], 0.3, [1, 0]),
        ([[0.28, 0.29, 0.33], [0.25, 0.26]], 0.3, [1, 1]),
        ([[0.31]], 0.3, [0]),
    ],
)
def test_rates_of_several_codecs_lie_together(rates, target, places):
    assert together(rates, target) == places


@given(st.lists(st.lists(st.floats(0.01, 9), min_size=1, max_size=5), min_size=1, max_size=3))
def test_no_other_rates_lie_closer_together(rates):
    def ratio(places):
        mine = [1.0, *(each[place] for each, place in zip(rates, places))]
        return max(mine) / min(mine)

    others = itertools.product(*(range(len(each)) for each in rates))
    assert ratio(together(rates, 1.0)) == min(map(ratio, others))
