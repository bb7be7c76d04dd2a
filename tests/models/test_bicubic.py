"""PULSE's bicubic down-scaling against the official code's numbers (golden/pulse.npz)."""

import numpy as np
import pytest
import tensorflow as tf

from lossylab.models.layers import bicubic


@pytest.fixture(scope="module", name="official")
def _official(golden):
    return golden("pulse.npz")


def _last(array):
    return array.transpose(0, 2, 3, 1)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_equals_the_official_one(factor, official):
    got = bicubic.downscale(_last(official["bic_in"]), factor)
    np.testing.assert_allclose(got, _last(official[f"bic_out_f{factor}"]), atol=1e-5)


@pytest.mark.parametrize("factor", [2, 4, 8, 32])
def test_kernel_equals_the_official_one(factor, official):
    np.testing.assert_allclose(bicubic.kernel(factor), official[f"bic_kernel_f{factor}"], atol=1e-7)


def test_gradient_equals_the_official_one(official):
    image = tf.constant(_last(official["bic_in"]))
    with tf.GradientTape() as tape:
        tape.watch(image)
        loss = tf.reduce_sum(bicubic.downscale(image, 4) * _last(official["bic_cot"]))
    got = tape.gradient(loss, image)
    np.testing.assert_allclose(got, _last(official["bic_grad_f4"]), atol=1e-5)


def test_inside_it_is_tensorflows(random):
    image = random.uniform(0, 255, (1, 64, 96, 3)).astype(np.float32)
    other = tf.image.resize(image, (16, 24), "bicubic", antialias=True)
    got = bicubic.downscale(image, 4)
    np.testing.assert_allclose(got[:, 2:-2, 2:-2], other[:, 2:-2, 2:-2], atol=1e-3)
    assert np.abs(got - other).max() > 1


@pytest.mark.parametrize("factor", [1, 2, 3, 16])
def test_constants_stay_and_turning_changes_nothing(factor, random):
    assert bicubic.kernel(factor).sum() == pytest.approx(1)
    np.testing.assert_allclose(bicubic.downscale(tf.fill((2, 48, 96, 3), 77.0), factor), 77, 1e-5)
    image = random.uniform(0, 255, (1, 48, 96, 3)).astype(np.float32)
    got = bicubic.downscale(image.transpose(0, 2, 1, 3), factor)
    np.testing.assert_allclose(
        tf.transpose(got, (0, 2, 1, 3)), bicubic.downscale(image, factor), atol=1e-3
    )


@pytest.mark.parametrize("shape", [(1, 30, 32, 3), (1, 32, 30, 3), (1, 4, 32, 3)])
def test_sides_that_do_not_fit_are_refused(shape):
    with pytest.raises(ValueError, match="multiples of the factor 4, at least 7"):
        bicubic.downscale(tf.zeros(shape), 4)
