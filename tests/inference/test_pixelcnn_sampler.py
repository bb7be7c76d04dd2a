"""Drawing from PixelCNN++: the official numbers, the same image both ways, steps."""

import numpy as np
import pytest
import tensorflow as tf

from lossylab.inference.export.sampler import (
    draw,
    draw_uniforms,
    sample_naive,
    sample_wavefront,
    steps,
)
from lossylab.losses.pixelcnn import discretized_mixture_nll
from lossylab.models.pixelcnn import ConditionalPixelCNN


@pytest.fixture(scope="module")
def numbers():
    from conftest import GOLDEN

    return dict(np.load(GOLDEN / "pixelcnn.npz"))


def _network(random, height=16, width=16, **options):
    """A small network, its layers set by data so that images vary."""
    defaults = {"filters": 4, "blocks": 2, "mixtures": 3, "condition_filters": 3}
    network = ConditionalPixelCNN(**{**defaults, **options})
    pair = [
        tf.constant(random.integers(0, 256, (2, height, width, 3)), tf.float32) for _ in range(2)
    ]
    network.initialize(pair[0], pair[1] if network.encoder is not None else None)
    return network


@pytest.mark.parametrize("case", ["mix5", "mix10", "easy5", "easy10"])
def test_draws_are_the_official_ones(case, numbers):
    uniforms = (numbers[f"{case}_u_mix"], numbers[f"{case}_u_logistic"])
    drawn = draw(numbers[f"{case}_l"].astype(np.float64), uniforms, quantize=False)
    np.testing.assert_allclose(drawn, numbers[f"{case}_sample"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["logistic", "gaussian"])
def test_levels_come_as_often_as_the_likelihood_says(family):
    """Of few levels, as scales are small: chi-square of 40,000 draws."""
    count = 40_000
    parameters = np.array([0.5, -0.5] + [0.2, -0.1, -4.5, -4.2, 0.5, -0.5] * 3)
    drawn = draw(
        np.broadcast_to(parameters, (count, 20)),
        tuple(each[0, 0] for each in draw_uniforms(3, 1, 1, count, 2)),
        family,
    )
    pixels, counts = np.unique(np.rint((drawn + 1) * 127.5), axis=0, return_counts=True)
    nats = discretized_mixture_nll(
        tf.constant(pixels[None, None]),
        tf.constant(np.broadcast_to(parameters, (1, 1, len(pixels), 20))),
        family,
    )
    expected = count * np.exp(-nats.numpy().ravel())
    often = expected > 20
    assert often.sum() > 50
    square = ((counts - expected)[often] ** 2 / expected[often]).sum() / often.sum()
    assert 0.7 < square < 1.3


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"merged": True}, (9, 7)),
        ({"family": "gaussian"}, (5, 30)),
        ({"blocks": 1, "phase": 4, "dilations": (1, 2)}, (9, 11)),
        ({}, (1, 5)),
        ({}, (1, 1)),
        pytest.param({}, (6, 1), marks=pytest.mark.long),
        pytest.param({}, (7, 9), marks=pytest.mark.long),
        pytest.param({"condition_filters": 0}, (6, 8), marks=pytest.mark.long),
        pytest.param(
            {"blocks": 3, "merged": True, "condition_filters": 0},
            (4, 12),
            marks=pytest.mark.long,
        ),
    ],
)
def test_both_ways_draw_the_same_image(options, size, random):
    network = _network(random, **options)
    condition = None
    if network.encoder is not None:
        condition = random.integers(0, 256, (2, *size, 3)).astype(np.uint8)
    uniforms = draw_uniforms(5, 2, *size, 3)
    naive = sample_naive(network, condition, uniforms)
    assert naive.dtype == np.uint8
    assert naive.shape == (2, *size, 3)
    assert np.prod(size) == 1 or naive.std() > 5
    np.testing.assert_array_equal(sample_wavefront(network, condition, uniforms), naive)


@pytest.mark.parametrize("family", ["logistic", "gaussian"])
def test_a_low_temperature_draws_the_likeliest_component_s_mean(family, random):
    parameters = random.normal(size=(50, 30))
    uniforms = tuple(random.uniform(0.01, 0.99, size=(50, 3)) for _ in range(2))
    cold = draw(parameters, uniforms, family, temperature=1e-9)
    likeliest = np.argmax(parameters[:, :3], 1)
    means = parameters[np.arange(50), 3 + likeliest]  # of red
    np.testing.assert_allclose(cold[:, 0], np.clip(means, -1, 1), atol=1 / 255)
    as_ever = draw(parameters, uniforms, family)
    np.testing.assert_array_equal(draw(parameters, uniforms, family, temperature=1.0), as_ever)
    warm = draw(parameters, uniforms, family, temperature=0.5)
    assert np.abs(warm - cold).mean() < np.abs(as_ever - cold).mean()


def test_both_ways_draw_the_same_image_at_a_temperature(random):
    network = _network(random)
    condition = random.integers(0, 256, (1, 5, 7, 3)).astype(np.uint8)
    uniforms = draw_uniforms(5, 1, 5, 7, 3)
    naive, fast = (
        sample(network, condition, uniforms, temperature=0.5)
        for sample in (sample_naive, sample_wavefront)
    )
    np.testing.assert_array_equal(fast, naive)
    assert (fast != sample_wavefront(network, condition, uniforms)).any()


def test_limited_scales_draw_the_same_image_both_ways_and_are_below_the_limit(random):
    """What noise in the context makes wide is not."""
    network = _network(random, scale_limit=8.0, mixtures=2)
    network.out.b.assign_add(tf.constant(np.tile(3.0, 20), tf.float32))
    condition = random.integers(0, 256, (1, 5, 7, 3)).astype(np.uint8)
    uniforms = draw_uniforms(5, 1, 5, 7, 2)
    naive, fast = (
        sample(network, condition, uniforms) for sample in (sample_naive, sample_wavefront)
    )
    np.testing.assert_array_equal(fast, naive)
    pair = tf.constant(naive, tf.float32), tf.constant(condition, tf.float32)
    found = network(*pair)
    free = ConditionalPixelCNN(**{**network.options, "scale_limit": 0.0})
    free.set_weights(network.get_weights())
    unlimited = free(*pair)
    colors = [tf.split(each[..., 2:], 9, -1) for each in (found, unlimited)]
    for index, (mine, theirs) in enumerate(zip(*colors)):
        if index % 3 == 1:  # means, log scales, coefficients of each color
            assert np.max(theirs) > np.log(8 / 127.5) > np.max(mine)
        else:
            np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(found[..., :2], unlimited[..., :2])


def test_the_default_network_takes_3826_steps(random):
    network = _network(random, blocks=6)
    assert network.slope == 14
    sizes = ((64, 946), (128, 1906), (256, 3826))
    assert [steps(network, side, side) for side, _ in sizes] == [n for _, n in sizes]
    assert steps(_network(random, merged=True), 256, 256) == 766
    assert steps(_network(random, blocks=3), 256, 256) == 2296


def test_the_wavefront_takes_as_many_steps_as_it_says(random):
    network, seen = _network(random), []

    def count(iterable):
        for item in iterable:
            seen.append(item)
            yield item

    uniforms = draw_uniforms(1, 1, 5, 8, 3)
    sample_wavefront(network, np.zeros((1, 5, 8, 3)), uniforms, count)
    assert len(seen) == steps(network, 5, 8) == 6 * 4 + 8


def test_the_seed_decides_the_image(random):
    network = _network(random)
    condition = random.integers(0, 256, (1, 6, 6, 3))
    one, same, other = (
        sample_wavefront(network, condition, draw_uniforms(seed, 1, 6, 6, 3)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert np.any(one != other)


@pytest.mark.parametrize("sample", [sample_naive, sample_wavefront])
def test_bad_samples(sample, random):
    network = _network(random)
    with pytest.raises(ValueError, match=r"expected uniform numbers \[B, H, W, 3\] and"):
        sample(network, np.zeros((1, 4, 4, 3)), draw_uniforms(1, 1, 4, 4, 5))
    with pytest.raises(ValueError, match=r"expected a condition of shape \[1, 4, 4, 3\]"):
        sample(network, np.zeros((1, 5, 4, 3)), draw_uniforms(1, 1, 4, 4, 3))
    with pytest.raises(ValueError, match="a condition is needed: the clean image"):
        sample(network, None, draw_uniforms(1, 1, 4, 4, 3))
    bare = _network(random, condition_filters=0)
    with pytest.raises(ValueError, match="made without condition"):
        sample(bare, np.zeros((1, 4, 4, 3)), draw_uniforms(1, 1, 4, 4, 3))
