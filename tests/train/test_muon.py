"""Muon: orthogonal steps of kernels, Adam's of all else."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from lossylab.models.bls2017 import BLS2017
from lossylab.models.proxiqa import ProxIQA
from lossylab.train.loop.muon import Muon, orthogonalized
from lossylab.train.loop.optimizers import adam, chosen
from lossylab.train.options.proxiqa import ProxiqaOptions

RATE = 0.01


def _singular(matrix: tf.Tensor) -> np.ndarray:
    return np.linalg.svd(matrix.numpy().astype(np.float64), compute_uv=False)


@pytest.mark.parametrize("shape", [(40, 12), (12, 40), (16, 16), (300, 3)])
def test_singular_values_come_near_one_and_directions_stay(shape):
    matrix = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    found = orthogonalized(tf.constant(matrix))
    assert np.all(np.abs(_singular(found) - 1.0) < 0.35)
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    turned = left.T @ found.numpy() @ right.T
    np.testing.assert_allclose(turned, np.diag(np.diag(turned)), atol=1e-3)


def test_weak_directions_count_as_much_as_strong_ones():
    left, _, right = np.linalg.svd(np.random.default_rng(1).normal(size=(32, 4)), False)
    matrix = (left * [100.0, 10.0, 1.0, 0.5]) @ right
    found = _singular(orthogonalized(tf.constant(matrix, tf.float32)))
    assert found.max() < 2.0 * found.min()


def test_a_gradient_of_nothing_moves_nothing():
    assert not orthogonalized(tf.zeros((5, 3))).numpy().any()


def test_scale_of_the_gradient_does_not_matter():
    matrix = tf.random.stateless_normal((20, 6), (1, 2))
    ways = [orthogonalized(factor * matrix) for factor in (1.0, 1e-4, 1e4)]
    for other in ways[1:]:
        np.testing.assert_allclose(other, ways[0], atol=1e-4)


def _steps(optimizer, name: str, shape: tuple[int, ...], count: int = 3) -> np.ndarray:
    """A variable after some steps of different gradients."""
    variable = tf.Variable(tf.zeros(shape), name=name)
    for number in range(count):
        gradient = tf.random.stateless_normal(shape, (number, 7))
        optimizer.apply_gradients([(gradient, variable)])
    return variable.numpy()


@pytest.mark.parametrize(
    ("name", "shape"), [("bias", (8,)), ("reparam_gamma", (8, 8)), ("kernel", (8,))]
)
def test_all_but_kernels_follow_adam(name, shape):
    ours = _steps(Muon(RATE, epsilon=1e-8), name, shape)
    np.testing.assert_array_equal(ours, _steps(adam(RATE), name, shape))


def test_a_kernel_moves_as_far_as_adam_would():
    """The first step's root mean square is .2 of the rate, whatever the shape."""
    for shape in ((3, 3, 16, 16), (30, 16, 8), (64, 16)):
        moved = _steps(Muon(RATE), "conv/kernel", shape, count=1)
        assert 0.15 * RATE < np.sqrt(np.mean(moved**2)) < 0.25 * RATE, shape


def test_momentum_looks_ahead():
    """Two steps by hand: Nesterov's mean of the gradients, made orthogonal."""
    shape, first, second = (6, 4), *(tf.random.stateless_normal((6, 4), (n, 7)) for n in (0, 1))
    moved = _steps(Muon(RATE, momentum=0.9), "kernel", shape, count=2)
    mean = 0.1 * first
    change = orthogonalized(0.9 * mean + 0.1 * first)
    mean = 0.9 * mean + 0.1 * second
    change += orthogonalized(0.9 * mean + 0.1 * second)
    np.testing.assert_allclose(moved, -RATE * 0.2 * 6**0.5 * change, rtol=1e-4, atol=1e-6)


def test_every_convolution_of_a_codec_is_a_kernel():
    codec = BLS2017(4)
    before = {each.name: each.numpy() for each in codec.trainable_variables}
    optimizer = Muon(RATE)
    optimizer.apply_gradients([(tf.ones_like(each), each) for each in codec.trainable_variables])
    for each in codec.trainable_variables:
        moved = np.sqrt(np.mean((each.numpy() - before[each.name]) ** 2))
        # Ones are a matrix of rank one, whose orthogonal part is short; Adam moves all by the rate.
        assert (moved < 0.5 * RATE) == ("conv" in each.name and "bias" not in each.name), each.name


def test_every_convolution_of_a_proxy_is_a_kernel():
    assert [
        "kernel" in each.name for each in ProxIQA(16).trainable_variables if each.shape.rank == 4
    ] == [True] * 3


def test_a_config_makes_the_same_optimizer():
    one = Muon(0.02, momentum=0.8, beta_1=0.7, epsilon=1e-5)
    assert one.get_config()["momentum"] == 0.8
    assert Muon.from_config(one.get_config()).get_config() == one.get_config()


def test_options_choose():
    options = ProxiqaOptions(run_dir="r", train_data="x", metric="mse")
    assert options.optimizer == "adam"
    assert type(chosen(options, RATE)) is type(adam(RATE))
    assert isinstance(chosen(options.replace(optimizer="muon"), RATE), Muon)
