"""Differences of two methods on the same images, and how sure their means are."""

from __future__ import annotations

import dataclasses

import pandas as pd
import scipy.stats


@dataclasses.dataclass(frozen=True)
class Difference:
    """A mean over images.

    Attributes:
      mean: over the images.
      error: standard error of that mean.
      count: of images.
    """

    mean: float
    error: float
    count: int

    @property
    def noise(self) -> float:
        """Two standard errors, which a difference must exceed to decide a claim."""
        return 2 * self.error

    @property
    def margin(self) -> float:
        """Half of the 95 % interval, by Student's distribution."""
        return float(scipy.stats.t.ppf(0.975, self.count - 1)) * self.error


def mean_difference(gaps: pd.Series) -> Difference | None:
    """The mean of one difference an image; None for fewer than two, or where one is unknown."""
    if len(gaps) < 2 or gaps.isna().any():
        return None
    return Difference(float(gaps.mean()), float(gaps.std() / len(gaps) ** 0.5), len(gaps))
