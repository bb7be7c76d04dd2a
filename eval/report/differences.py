"""Differences of two methods on the same images, and 95 % intervals of their means."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import scipy.stats

FIXED = "fixed"  # in the place of a seed, for what was not trained here
_ROUNDING = 1e-9  # below every measure's differences


@dataclasses.dataclass(frozen=True)
class Difference:
    """A mean over images, and over trainings where there are several.

    Attributes:
      mean: over all.
      margin: half of its 95 % interval by Student's distribution: over images, and over trainings
        where there are several, added as independent.
      count: of images.
      trainings: of each side.
    """

    mean: float
    margin: float
    count: int
    trainings: int = 1

    def said(self, spec: str) -> str:
        """The mean with its sign and the margin."""
        return f"{self.mean:+{spec}} ± {self.margin:{spec}}"


def settled(values: pd.Series) -> pd.Series:
    """The same without what rounding leaves of zeros, which would have a sign of its own."""
    return values.mask(values.abs() < _ROUNDING, 0.0)


def mean_difference(gaps: pd.Series) -> Difference | None:
    """The mean of one difference an image; None for fewer than two, or where one is unknown."""
    gaps = settled(gaps)
    if len(gaps) < 2 or gaps.isna().any():
        return None
    return Difference(float(gaps.mean()), margin(gaps), len(gaps))


def pairs_of_trainings(one: Mapping[str, str], other: Mapping[str, str]) -> list[tuple[str, str]]:
    """Names of two methods' trainings that are compared: those of one seed.

    Args:
      one: names of a method's trainings by what follows the method's name; of what was not trained
        here one, by `FIXED`: it is compared with all of the other's.
      other: the same of another method.
    """
    seeds = dict.fromkeys((*one, *other))
    found = ((one.get(s) or one.get(FIXED), other.get(s) or other.get(FIXED)) for s in seeds)
    return [(a, b) for a, b in found if a and b]


def over_trainings(gaps: Sequence[pd.Series | None]) -> Difference | None:
    """The mean of differences by image of several pairs of trainings.

    Args:
      gaps: of each pair, one difference an image.

    Returns:
      None where there is no pair, or a pair's is unknown or is over other images.
    """
    known = [each for each in gaps if each is not None]
    if not known or len(known) < len(gaps):
        return None
    table = pd.concat([each.rename(i) for i, each in enumerate(known)], axis=1)
    found = mean_difference(table.mean(axis=1, skipna=False))
    if found is None or len(known) == 1:
        return found
    both = float(np.hypot(found.margin, margin(table.mean())))
    return Difference(found.mean, both, found.count, len(known))


def margin(values: pd.Series) -> float:
    """Half of the 95 % interval of the mean, by Student's distribution; NaN below two values."""
    count = len(values)
    if count < 2:
        return float("nan")
    return float(scipy.stats.t.ppf(0.975, count - 1) * values.std() / count**0.5)
