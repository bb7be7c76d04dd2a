"""Paired differences: means and 95 % intervals."""

import numpy as np
import pandas as pd
import pytest

from lossylab.eval.report.differences import mean_difference


def test_the_mean_of_differences():
    found = mean_difference(pd.Series([1.0, 2.0, 6.0]))
    assert (found.mean, found.count) == (3.0, 3)
    # Student's t for 2 degrees of freedom, times the standard error.
    assert found.margin == pytest.approx(4.302652729911275 * (7 / 3) ** 0.5)
    assert found.said(".1f") == "+3.0 ± 6.6"


def test_roundings_have_no_sign():
    """Equal curves differ by some 1e-15 on one machine and by its opposite on another."""
    for sign in (1, -1):
        found = mean_difference(pd.Series([sign * 1e-15] * 4))
        assert (found.mean, found.margin) == (0.0, 0.0)
        assert found.said(".1f") == "+0.0 ± 0.0"


@pytest.mark.parametrize("gaps", [[], [1.0], [1.0, np.nan]])
def test_too_little_is_known(gaps):
    assert mean_difference(pd.Series(gaps, dtype=float)) is None
