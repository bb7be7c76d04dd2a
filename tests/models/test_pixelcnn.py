"""PixelCNN++: layers, trunk and loss against the official code's numbers, causality, sizes.

The golden files hold random weights and inputs pushed through openai/pixel-cnn (bbc15688), see
shared/golden/README.md.
"""

import math

import numpy as np
import pytest
import tensorflow as tf

from lossylab.losses.pixelcnn import bits_per_dim, discretized_mixture_nll
from lossylab.models.layers.pixelcnn_layers import (
    GatedBlock,
    WeightNormConv,
    concat_elu,
    down_shift,
    right_shift,
)
from lossylab.models.pixelcnn import ConditionalPixelCNN


@pytest.fixture(scope="module")
def numbers():
    from conftest import GOLDEN

    return dict(np.load(GOLDEN / "pixelcnn.npz"))


@pytest.fixture(scope="module")
def trunk_numbers():
    from conftest import GOLDEN

    return dict(np.load(GOLDEN / "pixelcnn_trunk.npz"))


def _set(layer, numbers, scope):
    layer.v.assign(np.reshape(numbers[f"{scope}/V"], layer.v.shape))
    layer.g.assign(numbers[f"{scope}/g"])
    layer.b.assign(numbers[f"{scope}/b"])


# The loss.


@pytest.mark.parametrize("case", ["mix5", "mix10", "easy5", "easy10"])
def test_the_likelihood_is_the_official_one(case, numbers):
    image = tf.constant(numbers[f"{case}_u8"], tf.float32)
    parameters = tf.constant(numbers[f"{case}_l"])
    with tf.GradientTape() as tape:
        tape.watch([image, parameters])
        nats = discretized_mixture_nll(image, parameters)
        total = tf.reduce_sum(nats)
    by_image, by_parameters = tape.gradient(total, [image, parameters])
    # Single pixels differ by float32's noise, of which the file's edge cases have more.
    tolerance = 3e-4 if case.startswith("mix") else 1e-5
    np.testing.assert_allclose(nats, numbers[f"{case}_nll_per_pixel"], rtol=tolerance)
    np.testing.assert_allclose(total, numbers[f"{case}_loss_sum"], rtol=1e-4)
    np.testing.assert_allclose(
        tf.reduce_mean(bits_per_dim(image, parameters)),
        numbers[f"{case}_bits_per_dim"],
        rtol=1e-4,
    )
    for mine, theirs in (
        (by_parameters, numbers[f"{case}_grad_l"]),
        (127.5 * by_image, numbers[f"{case}_grad_x"]),
    ):
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-4 * scale)


@pytest.mark.parametrize("family", ["logistic", "gaussian"])
def test_the_probabilities_of_all_levels_add_up(family, random):
    """Summed over blue, what is left is that of red and green, whatever is said of blue."""
    image = np.zeros((1, 1, 256, 3))
    image[..., :2], image[..., 2] = (100, 140), np.arange(256)
    parameters = np.array([0.3, -0.2] + [0.1, -0.1, -2, -1, 0.5, -0.5] * 3)
    sums = []
    for _ in range(3):
        parameters[14:18] = random.normal(size=4) - np.repeat([0, 1], 2)
        parameters[[12, 13, 18, 19]] = random.normal(size=4)  # of green and red
        row = tf.constant(np.broadcast_to(parameters, (1, 1, 256, 20)))
        sums.append(np.exp(-discretized_mixture_nll(tf.constant(image), row, family)).sum())
    np.testing.assert_allclose(sums[1:], sums[0], rtol=1e-6 if family == "logistic" else 1e-4)
    assert 0 < sums[0] < 1


@pytest.mark.parametrize("family", ["logistic", "gaussian"])
@pytest.mark.parametrize("scale", [-60.0, -7.0, 0.0, 60.0])
@pytest.mark.parametrize("mean", [-1e3, 0.0, 1e3])
def test_nothing_is_infinite(family, scale, mean):
    image = tf.constant([[[[0.0, 128.0, 255.0]]]])
    parameters = tf.constant(np.r_[0.0, [mean, scale, 50.0] * 3][None, None, None], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch([image, parameters])
        nats = discretized_mixture_nll(image, parameters, family)
    assert np.isfinite(nats).all()
    for gradient in tape.gradient(nats, [image, parameters]):
        assert np.isfinite(gradient).all()


def test_gaussian_bins_are_those_of_the_normal_distribution():
    from scipy.stats import norm

    levels = np.array([0, 3, 100, 254, 255])
    image = np.repeat(levels[:, None, None, None], 3, -1).astype(np.float64)
    mean, scale = 0.3, -1.0
    parameters = np.broadcast_to(np.r_[0.0, [mean, scale, 0.0] * 3], (5, 1, 1, 10))
    nats = discretized_mixture_nll(tf.constant(image), tf.constant(parameters), "gaussian")
    x = levels / 127.5 - 1
    above = np.where(levels == 255, np.inf, x + 1 / 255)
    below = np.where(levels == 0, -np.inf, x - 1 / 255)
    deviation = math.exp(scale)
    expected = norm.cdf(above, mean, deviation) - norm.cdf(below, mean, deviation)
    np.testing.assert_allclose(nats[:, 0, 0], -3 * np.log(expected), rtol=1e-9)


def test_bad_likelihoods():
    with pytest.raises(ValueError, match="family must be one of logistic, gaussian, got 'cauchy'"):
        discretized_mixture_nll(tf.zeros((1, 1, 1, 3)), tf.zeros((1, 1, 1, 10)), "cauchy")
    with pytest.raises(ValueError, match="10 parameters for each component, got 12"):
        discretized_mixture_nll(tf.zeros((1, 1, 1, 3)), tf.zeros((1, 1, 1, 12)))


# Layers.


@pytest.mark.parametrize(
    ("scope", "taps", "padding"),
    [
        ("down_shifted_2x3", (2, 3), "down"),
        ("down_shifted_1x3", (1, 3), "down"),
        ("down_right_shifted_2x2", (2, 2), "down_right"),
        ("down_right_shifted_2x1", (2, 1), "down_right"),
        ("nin", (1, 1), "same"),
    ],
)
def test_convolutions_are_the_official_ones(scope, taps, padding, numbers):
    y = numbers[f"{scope}/y"]
    layer = WeightNormConv(4, y.shape[-1], taps, padding)
    _set(layer, numbers, f"{scope}/var/{'dense_0' if scope == 'nin' else 'conv2d_0'}")
    np.testing.assert_allclose(layer(numbers["conv_x"]), y, rtol=1e-4, atol=1e-5)


def test_shifts_and_activation_are_the_official_ones(numbers):
    x = tf.constant(numbers["conv_x"])
    np.testing.assert_array_equal(down_shift(x), numbers["down_shift_y"])
    np.testing.assert_array_equal(right_shift(x), numbers["right_shift_y"])
    np.testing.assert_allclose(concat_elu(x), numbers["concat_elu_y"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("scope", "convs", "dense"),
    [
        ("gated_resnet_u", (0, 1), None),
        ("gated_resnet_ul_a", (2, 3), 0),
        ("gated_resnet_ul_a_h", (4, 5), 1),
    ],
)
def test_blocks_are_the_official_ones(scope, convs, dense, numbers):
    taps, padding = ((2, 3), "down") if dense is None else ((2, 2), "down_right")
    conditioned = scope.endswith("h")
    block = GatedBlock(8, taps, padding, 12 * (dense is not None), 3 * conditioned)
    _set(block.first, numbers, f"{scope}/var/conv2d_{convs[0]}")
    _set(block.second, numbers, f"{scope}/var/conv2d_{convs[1]}")
    if dense is not None:
        _set(block.aux, numbers, f"{scope}/var/dense_{dense}")
    condition = None
    if conditioned:
        block.condition.assign(numbers[f"{scope}/var/conditional_weights_0/hw"])
        condition = tf.broadcast_to(numbers["res_h"][:, None, None], (2, 6, 5, 3))
    y = block(tf.constant(numbers["res_x"]), tf.constant(numbers["res_a"]), condition)
    np.testing.assert_allclose(y, numbers[f"{scope}/y"], rtol=1e-4, atol=1e-5)


def test_initial_values_by_data_are_the_official_ones(numbers):
    layer = WeightNormConv(4, 7, (2, 3), "down", init_scale=0.1)
    layer.v.assign(numbers["ddinit/V"])
    layer.initialize(tf.constant(numbers["conv_x"]))
    np.testing.assert_allclose(layer.g, numbers["ddinit/g"], rtol=1e-4)
    np.testing.assert_allclose(layer.b, numbers["ddinit/b"], rtol=1e-4, atol=1e-6)
    y = layer(numbers["conv_x"])
    np.testing.assert_allclose(y, numbers["ddinit/y_after"], rtol=1e-4, atol=1e-5)


def test_bad_layers():
    with pytest.raises(ValueError, match="padding must be one of same, down, down_right"):
        WeightNormConv(3, 3, padding="up")


# The trunk.


def _roles(network):
    roles = {"u0": network.above, "ul0_row": network.row, "ul0_col": network.column}
    for i, (u, ul) in enumerate(zip(network.u, network.ul)):
        roles |= {f"block{i}/u/c1": u.first, f"block{i}/u/c2": u.second}
        roles |= {f"block{i}/ul/c1": ul.first, f"block{i}/ul/c2": ul.second}
        roles[f"block{i}/ul/nin"] = ul.aux
    return roles | {"out": network.out}


def test_the_trunk_is_the_official_one(trunk_numbers):
    numbers = trunk_numbers
    network = ConditionalPixelCNN(8, 2, 5, dropout=0.0, condition_filters=0)
    roles = _roles(network)
    for role, layer in roles.items():
        _set(layer, numbers, f"var/{role}")
    image = tf.constant(numbers["u8"], tf.float32)
    u, ul = network.begin(image)
    for i in range(3):
        np.testing.assert_allclose(u, numbers[f"act/u_{i}"], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(ul, numbers[f"act/ul_{i}"], rtol=1e-4, atol=1e-5)
        if i < 2:
            u = network.u[i](u)
            ul = network.ul[i](ul, u)
    with tf.GradientTape() as tape:
        parameters = network(image)
        nats = discretized_mixture_nll(image, parameters)
        total = tf.reduce_sum(nats)
    np.testing.assert_allclose(parameters, numbers["logits"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(tf.reduce_sum(nats, (1, 2)), numbers["nll_per_sample"], rtol=1e-4)
    np.testing.assert_allclose(
        tf.reduce_mean(bits_per_dim(image, parameters)), numbers["bits_per_dim"], rtol=1e-4
    )
    variables = {
        f"grad/{role}/{part}": variable
        for role, layer in roles.items()
        for part, variable in (("V", layer.v), ("g", layer.g), ("b", layer.b))
    }
    for name, gradient in tape.gradient(total, variables).items():
        theirs = numbers[name].reshape(gradient.shape)
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(gradient, theirs, rtol=1e-3, atol=1e-4 * scale, err_msg=name)


# The whole network.


def _network(**options):
    defaults = {"filters": 3, "blocks": 6, "mixtures": 1, "condition_filters": 2}
    return ConditionalPixelCNN(**{**defaults, **options})


def _pair(random, height, width, batch=1):
    return [
        tf.constant(random.integers(0, 256, (batch, height, width, 3)), tf.float64)
        for _ in range(2)
    ]


def _seen(network, degraded, condition, place):
    """Pixels of both images that the parameters at a place depend on."""
    with tf.GradientTape() as tape:
        tape.watch([degraded, condition])
        value = tf.reduce_sum(network(degraded, condition)[0, place[0], place[1]])
    return [
        np.abs(gradient[0]).max(-1) > 0 for gradient in tape.gradient(value, [degraded, condition])
    ]


@pytest.mark.parametrize(
    ("merged", "pixels", "above", "left", "right"),
    [(False, 433, 15, 14, 13), (True, 223, 14, 13, 1)],
)
def test_the_receptive_field_is_small(merged, pixels, above, left, right, random):
    """Numbers of pixels by boolean propagation through the official layers."""
    place = (20, 20)
    pair = _pair(random, 24, 40)
    seen, condition = _seen(_network(merged=merged), *pair, place)
    rows, columns = np.where(seen)
    assert seen.sum() == pixels
    assert (place[0] - rows.min(), place[1] - columns.min()) == (above, left)
    assert columns.max() - place[1] == right
    rows, columns = np.where(condition)
    assert rows.max() - place[0] == 3  # below too
    # The first block's features pass by its convolutions: five blocks of two remain.
    assert columns.max() - place[1] == (3 if merged else 13)


@pytest.mark.parametrize("merged", [False, True])
def test_no_pixel_sees_itself_or_what_follows(merged, random):
    network = _network(merged=merged, blocks=2)
    degraded, condition = _pair(random, 5, 6)
    before = network(degraded, condition).numpy()
    for y, x in np.ndindex(5, 6):
        changed = degraded.numpy()
        changed[0, y, x] = 255 - changed[0, y, x]
        after = network(tf.constant(changed), condition).numpy()
        same = np.all(before == after, -1)[0].ravel()
        assert same[: y * 6 + x + 1].all()
        assert (y, x) == (4, 5) or not same.all()


def test_dilations_widen_what_is_seen_of_the_condition(random):
    network = _network(blocks=1, dilations=(1, 2, 4, 8), merged=True)
    rows, _ = np.where(_seen(network, *_pair(random, 41, 41), (40, 20))[1])
    assert rows.min() == 40 - 15  # no convolution of the blocks lies behind the features


def test_a_dilated_convolution_is_one_with_zeros_between(random):
    x = tf.constant(random.normal(size=(2, 7, 11, 3)), tf.float32)
    layer, wide = WeightNormConv(3, 4, (3, 3), dilation=3), WeightNormConv(3, 4, (7, 7))
    kernel = np.zeros((7, 7, 3, 4), np.float32)
    kernel[::3, ::3] = layer.v
    wide.v.assign(kernel)
    np.testing.assert_allclose(layer(x), wide(x), atol=1e-5)


def test_the_phase_tells_the_place(random):
    network = _network(blocks=1, phase=8)
    degraded = tf.zeros((1, 40, 40, 3), tf.float64)
    made = network(degraded, degraded).numpy()[0]
    for place in ((20, 20), (28, 12)):  # a period further
        np.testing.assert_allclose(made[20, 12], made[place], atol=1e-12)
    assert np.abs(made[20, 12] - made[20, 13]).max() > 1e-6
    shifted = network(degraded[:, :20], degraded[:, :20]).numpy()[0]
    np.testing.assert_allclose(made[8:12, 8:16], shifted[8:12, 8:16], atol=1e-12)


@pytest.mark.parametrize(
    ("taps", "padding", "dilation", "message"),
    [
        ((3, 3), "up", 1, "padding must be one of same, down, down_right, got 'up'"),
        ((2, 3), "same", 1, r"'same' keeps the size for odd kernels only, got \(2, 3\)"),
        ((3, 4), "same", 2, r"'same' keeps the size for odd kernels only, got \(3, 4\)"),
        ((2, 2), "down", 1, r"'down' keeps the size for an odd width only, got \(2, 2\)"),
        ((2, 3), "down", 2, "dilation 2 needs padding 'same', got 'down'"),
        ((2, 2), "down_right", 2, "dilation 2 needs padding 'same', got 'down_right'"),
    ],
)
def test_layers_that_would_change_the_size_are_refused(taps, padding, dilation, message):
    with pytest.raises(ValueError, match=message):
        WeightNormConv(2, 2, taps, padding, dilation=dilation)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 2)])
def test_any_size(size, random):
    assert _network(mixtures=2)(*_pair(random, *size)).shape == (1, *size, 20)


def test_dropout_is_a_function_of_its_seed(random):
    network = _network(dropout=0.5)
    pair = [tf.cast(side, tf.float32) for side in _pair(random, 6, 6)]
    once, again, other = (
        network(*pair, training=True, seed=tf.constant(seed)) for seed in ([1, 2], [1, 2], [1, 3])
    )
    np.testing.assert_array_equal(once, again)
    assert np.abs(once - other).max() > 0
    np.testing.assert_array_equal(network(*pair), network(*pair))


def test_initializing_makes_every_layer_even(random):
    network = _network(filters=6, blocks=2, dropout=0.0)
    pair = [tf.cast(side, tf.float32) for side in _pair(random, 16, 16, batch=4)]
    network.initialize(*pair)
    made = network(*pair)
    np.testing.assert_allclose(tf.reduce_mean(made, (0, 1, 2)), np.zeros(10), atol=1e-4)
    np.testing.assert_allclose(tf.math.reduce_std(made, (0, 1, 2)), np.ones(10), rtol=1e-3)
    first = network.row(tf.concat([pair[0] / 127.5 - 1, tf.ones((4, 16, 16, 1))], -1))
    np.testing.assert_allclose(tf.math.reduce_std(first, (0, 1, 2)), np.ones(6), rtol=1e-3)
    bits = bits_per_dim(pair[0], made)
    np.testing.assert_array_equal(bits, bits_per_dim(pair[0], network(*pair)))


def test_float64_gives_the_same_to_float32s_precision(random):
    network, pair = _network(), _pair(random, 8, 8)
    single = network(*(tf.cast(side, tf.float32) for side in pair))
    assert single.dtype == tf.float32
    np.testing.assert_allclose(single, network(*pair), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": 0}, "filters must be at least 1, got 0"),
        ({"blocks": 0}, "blocks must be at least 1, got 0"),
        ({"mixtures": 0}, "mixtures must be at least 1, got 0"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1.0"),
        ({"family": "cauchy"}, "family must be one of logistic, gaussian"),
        ({"dilations": ()}, "dilations must be whole numbers from 1"),
        ({"phase": -1}, "phase must be at least 0, got -1"),
    ],
)
def test_bad_networks(options, message):
    with pytest.raises(ValueError, match=message):
        _network(**options)


def test_what_a_call_needs_is_asked_for():
    image = tf.zeros((1, 4, 4, 3))
    with pytest.raises(ValueError, match="a condition is needed: the clean image"):
        _network()(image)
    with pytest.raises(ValueError, match="made without condition"):
        _network(condition_filters=0)(image, image)
    with pytest.raises(ValueError, match="a seed is needed in training"):
        _network()(image, image, training=True)
