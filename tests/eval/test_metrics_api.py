"""Metrics by one signature: shapes, types, directions, refusals."""

import numpy as np
import pytest

from lossylab.core.errors import LossylabError, UsageError
from lossylab.eval.metrics import api

EVERY = pytest.mark.parametrize("metric", api.METRICS.values(), ids=api.METRICS)


@pytest.fixture(scope="module")
def pairs():
    """Two smooth images [2, 176, 180, 3] and noisy copies."""
    random = np.random.default_rng(4)
    ramp = np.linspace(40, 200, 180)[None, None, :, None] + random.normal(size=(2, 176, 1, 3))
    reference = np.clip(ramp, 0, 255).astype(np.uint8)
    return reference, _noisy(reference, 9)


def _noisy(reference, std):
    noise = np.random.default_rng(5).normal(size=reference.shape) * std
    return np.clip(np.rint(reference + noise), 0, 255).astype(np.uint8)


@EVERY
def test_one_image_gives_a_float_and_a_batch_an_array(metric, pairs):
    both = metric(*pairs)
    assert both.dtype == np.float64
    assert both.shape == (2,)
    one = metric(pairs[0][1], pairs[1][1])
    assert isinstance(one, float)
    assert one == pytest.approx(both[1], rel=1e-6)


@EVERY
def test_number_types_do_not_matter(metric, pairs):
    floats = metric(*(part[0].astype(np.float32) for part in pairs))
    assert floats == metric(pairs[0][0], pairs[1][0])


@EVERY
def test_the_direction_is_known(metric, pairs):
    worse = metric(pairs[0][0], _noisy(pairs[0][0], 40))
    assert metric.higher_is_better == (worse < metric(pairs[0][0], pairs[1][0]))


def test_lpips_needs_weights(pairs):
    metric = api.lpips("random")
    assert not metric.higher_is_better
    assert metric(pairs[0][0], pairs[0][0]) < 1e-12  # places of a batch are rounded apart
    assert metric(*pairs).shape == (2,)


def test_names_are_those_of_the_functions():
    for name, metric in api.METRICS.items():
        assert getattr(api, name) is metric
        assert metric.definition


@EVERY
def test_what_is_no_pair_of_images_is_refused(metric, pairs):
    reference, distorted = (part[0] for part in pairs)
    for pair, message in (
        ((reference[..., :1], distorted[..., :1]), r"reference must be \[H, W, 3\] or \[B, "),
        ((reference[0], distorted[0]), "reference must be"),
        ((reference, distorted[:, :-1]), "the pair must have one shape"),
        ((reference, distorted + 1.0 * reference + 90), r"distorted must lie in 0\.\.255, its"),
        ((reference / -1.0, distorted), r"reference must lie in 0\.\.255"),
        ((reference * np.nan, distorted), r"reference must lie in 0\.\.255"),
        ((reference.astype(str), distorted), "reference must be uint8 or numbers 0..255, got"),
    ):
        with pytest.raises(UsageError, match=message):
            metric(*pair)
    if metric.smallest > 1:
        small = reference[: metric.smallest - 1]
        with pytest.raises(LossylabError, match=f"{metric.name} needs images of at least"):
            metric(small, small)


def test_libvmaf_takes_whole_numbers_only(pairs):
    reference, distorted = (part[0] for part in pairs)
    with pytest.raises(UsageError, match="8-bit images: round the distorted ones first"):
        api.vmaf(reference, np.clip(distorted + 0.5, 0, 255))
