"""metrics.kernel_distance: KID's estimate, of any features."""

import numpy as np
import pytest

from lossylab.eval.metrics.kernel_distance import kernel_distance


def _slowly(one, other):
    """Pair by pair, as Gretton et al. 2012 write it (Eq. 3)."""

    def kernel(x, y):
        return (np.dot(x, y) / len(x) + 1) ** 3

    def within(samples):
        pairs = [(x, y) for i, x in enumerate(samples) for j, y in enumerate(samples) if i != j]
        return np.mean([kernel(x, y) for x, y in pairs])

    across = np.mean([kernel(x, y) for x in one for y in other])
    return within(one) + within(other) - 2 * across


def test_it_is_the_mean_over_pairs(random):
    one, other = random.normal(size=(7, 5)), random.normal(0.5, size=(9, 5))
    assert kernel_distance(one, other) == pytest.approx(_slowly(one, other), rel=1e-9)
    assert kernel_distance(one, other) == pytest.approx(kernel_distance(other, one), rel=1e-9)


def test_it_is_0_on_the_mean_for_one_distribution_and_grows_with_the_distance(random):
    def mean(shift):
        sets = [(random.normal(size=(8, 4)), random.normal(shift, size=(8, 4))) for _ in range(400)]
        return np.mean([kernel_distance(*pair) for pair in sets])

    assert abs(mean(0.0)) < 0.15 < mean(0.5) < mean(1.0)


def test_one_sample_is_too_few(random):
    with pytest.raises(ValueError, match="at least two samples"):
        kernel_distance(random.normal(size=(1, 4)), random.normal(size=(8, 4)))
