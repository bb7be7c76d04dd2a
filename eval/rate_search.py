"""Which settings of codecs give the rates wanted, with as few encodings as it takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

_FIRST_LOOKS = 4  # parts that the settings are divided into to find the upper end


def choose(
    count: int, rate_of: Callable[[int], float], low: float, high: float, points: int
) -> list[int]:
    """Settings whose rates come nearest to rates spaced logarithmically over a range.

    The range is cut to what the codec can do: it begins at the rate of setting 0 if that is
    above `low`, and ends at that of the last setting if that is below `high`.

    Args:
      count: settings, numbered from the lowest rate to the highest.
      rate_of: rate of a setting, above 0; called once for each setting looked at.
      low: lowest rate wanted.
      high: highest rate wanted.
      points: how many rates.

    Returns:
      Settings, ascending; fewer than `points` if several rates have the same nearest one.
    """
    known: dict[int, float] = {}

    def look(index: int) -> float:
        if index not in known:
            known[index] = math.log(rate_of(index))
        return known[index]

    for index in np.linspace(0, count - 1, _FIRST_LOOKS + 1).round().astype(int).tolist():
        if look(index) >= math.log(high):
            break
    first = max(math.log(low), known[0])
    last = max(first, min(math.log(high), max(known.values())))
    return sorted({_nearest(target, look, known) for target in np.linspace(first, last, points)})


def together(rates: Sequence[Sequence[float]], target: float) -> list[int]:
    """One rate of each codec, so that all and the target lie within the smallest ratio.

    Args:
      rates: of each codec, above 0.
      target: the rate wanted.

    Returns:
      Of each codec the place of its rate: within that ratio, the one nearest to the target.
    """
    ratios = []
    for low in {target, *(rate for each in rates for rate in each if rate < target)}:
        above = [[rate for rate in each if rate >= low] for each in rates]
        if all(above):
            high = max(target, *map(min, above))
            ratios.append((high / low, low, high))
    _, low, high = min(ratios)
    return [
        min(
            (place for place, rate in enumerate(each) if low <= rate <= high),
            key=lambda place: abs(math.log(each[place] / target)),
        )
        for each in rates
    ]


def _nearest(target: float, look: Callable[[int], float], known: dict[int, float]) -> int:
    """The setting whose logarithmic rate is nearest, between two that enclose it."""
    below = max((i for i, rate in known.items() if rate <= target), default=min(known))
    above = min((i for i, rate in known.items() if rate >= target and i > below), default=below)
    while above - below > 1:
        # Logarithmic rates are nearly linear in the setting, so guess by that.
        span = known[above] - known[below]
        fraction = (target - known[below]) / span if span > 0 else 0.5
        guess = min(max(below + round(fraction * (above - below)), below + 1), above - 1)
        if look(guess) <= target:
            below = guess
        else:
            above = guess
    return min((below, above), key=lambda i: abs(known[i] - target))
