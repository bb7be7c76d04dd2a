"""Mixed precision: float32 outside of the convolutions, near to float32 inside."""

import numpy as np
import pytest
import tensorflow as tf

from lossylab.models import stylegan
from lossylab.models.arcnn import ARCNN
from lossylab.models.backbones.vgg import VGG
from lossylab.models.bls2017 import BLS2017
from lossylab.models.bmshj2018 import BMSHJ2018
from lossylab.models.dncnn import DnCNN
from lossylab.models.layers import blocks, conv, precision
from lossylab.models.patchgan import PatchGAN
from lossylab.models.unet import ResidualUNet

POLICIES = ("mixed_bfloat16", "mixed_float16")


def _relative(a, b):
    return float(tf.norm(a - b) / tf.norm(b))


def _conv_types(function, *args):
    graph = tf.function(function).get_concrete_function(*args).graph
    return {op.inputs[-1].dtype for op in graph.get_operations() if op.type.startswith("Conv2D")}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    ("make", "inputs"),
    [
        (lambda: BLS2017(8), 1),
        (lambda: ARCNN(3), 1),
        (lambda: ResidualUNet(2), 1),
        (lambda: PatchGAN(4), 2),
        (lambda: BMSHJ2018(8), 1),
    ],
)
def test_only_convolutions_are_narrow(policy, make, inputs):
    network = make()
    image = tf.random.stateless_uniform((1, 64, 64, 3), (1, 2), 0.0, 255.0)
    given = image if inputs == 1 else (image, image[:, ::-1])
    expected = tf.nest.flatten(network(given))
    with precision.policy(policy):
        found = tf.nest.flatten(network(given))
        types = _conv_types(lambda x: network(x if inputs == 1 else (x, x[:, ::-1])), image)
    assert types == {tf.as_dtype(policy.removeprefix("mixed_"))}
    for mine, theirs in zip(found, expected):
        assert mine.dtype == tf.float32
        assert _relative(mine, theirs) < 0.02
    assert _relative(found[0], expected[0]) > 0
    assert {v.dtype for v in network.trainable_variables} == {tf.float32}


@pytest.mark.parametrize("name", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize(("distance", "shape"), [(2, (3, 3)), (3, (3, 3)), (3, (1, 5))])
def test_gradients_of_dilated_convolutions_need_no_dilated_operation(name, distance, shape):
    """TensorFlow computes those on CPUs by oneDNN only, which it leaves off on some."""
    image = tf.random.stateless_normal((2, 13, 16, 2), (1, 2))
    kernel = tf.random.stateless_normal((*shape, 2, 3), (3, 4))
    between = slice(None, None, distance)

    def gradients(x, kernel):
        with precision.policy(name):
            y = precision.dilated_conv2d(x, kernel, distance)
            return tf.gradients(tf.reduce_sum(tf.sin(y)), (x, kernel))

    sizes = tf.TensorSpec((None, None, None, 2), tf.float32), tf.TensorSpec(kernel.shape)
    concrete = tf.function(gradients).get_concrete_function(*sizes)
    backward = [op for op in concrete.graph.get_operations() if "Backprop" in op.type]
    assert len(backward) == 2
    assert all(op.get_attr("dilations") == [1, 1, 1, 1] for op in backward)

    # The same kernel with zeros between.
    spread = np.zeros([distance * (n - 1) + 1 for n in shape] + [2, 3], np.float32)
    spread[between, between] = kernel
    spread = tf.constant(spread)
    with tf.GradientTape() as tape:
        tape.watch((image, spread))
        loss = tf.reduce_sum(tf.sin(tf.nn.conv2d(image, spread, 1, "SAME")))
    by_image, by_kernel = tape.gradient(loss, (image, spread))
    expected = by_image, by_kernel[between, between]
    for mine, theirs in zip(concrete(image, kernel), expected):
        if name == "float32":
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)
        assert _relative(mine, theirs) < 0.03


def test_dilated_convolutions_learn_on_two_devices():
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        layer = blocks.Conv2D(1, 2, 3, dilation=2)
    image = tf.random.stateless_normal((1, 9, 9, 1), (1, 2))

    def gradient():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.sin(layer(image)))
        return tape.gradient(loss, layer.kernel)

    both = strategy.experimental_local_results(tf.function(lambda: strategy.run(gradient))())
    for each in both:
        np.testing.assert_allclose(each, gradient(), rtol=1e-4, atol=1e-5)


def test_dilations_go_with_no_stride():
    for other in ({"stride": 2}, {"replicate": True}):
        with pytest.raises(ValueError, match="dilation 2 needs stride 1 and zeros around"):
            blocks.Conv2D(1, 1, 3, dilation=2, **other)


@pytest.mark.parametrize(("size", "stride"), [(9, 4), (5, 2), (3, 2), (5, 3)])
@pytest.mark.parametrize("height", [24, 25])
def test_phases_are_the_same_convolution(size, stride, height):
    kernel = tf.random.stateless_normal((size, size, 3, 7), (1, 2))
    image = tf.random.stateless_normal((2, height, 36, 3), (3, 4))
    latent = tf.random.stateless_normal((2, 5, 6, 7), (5, 6))
    found, expected = [], []
    for results, policy in ((found, "mixed_bfloat16"), (expected, "float32")):
        with precision.policy(policy), tf.GradientTape() as tape:
            tape.watch(variables := [image, latent, kernel])
            y = conv.downsample(image, kernel, stride), conv.upsample(latent, kernel, stride)
            loss = tf.add_n([tf.reduce_sum(tf.sin(each)) for each in y])
        results += [*y, *tape.gradient(loss, variables)]
    for mine, theirs in zip(found[:2], expected[:2]):
        assert mine.shape == theirs.shape
        assert _relative(mine, theirs) < 0.01
    for mine, theirs in zip(found[2:], expected[2:]):
        assert _relative(mine, theirs) < 0.1  # of sines of values that differ


def test_the_policy_is_given_back():
    def fail():
        assert precision.compute_dtype() == tf.bfloat16
        raise KeyError

    with pytest.raises(KeyError), precision.policy("mixed_bfloat16"):
        fail()
    assert precision.compute_dtype() == tf.float32
    assert precision.fastest() in ("float32", *POLICIES)


def test_float64_stays_float64():
    x = tf.zeros((1, 8, 8, 2), tf.float64)
    y = precision.conv2d(x, tf.zeros((3, 3, 2, 2), tf.float64), 1, "SAME")
    assert y.dtype == tf.float64
    assert np.all(y == 0)


@pytest.mark.parametrize("version", [1, 2])
def test_generators_follow_the_policy(version):
    generator = stylegan.random(version, 16, 0, fmap_base=64, fmap_max=8)
    z = tf.random.stateless_normal((1, generator.sizes.latent), (1, 2))
    with precision.policy("mixed_bfloat16"):
        found = generator(z)
    assert found.dtype == tf.float32
    assert 0 < _relative(found, generator(z)) < 0.05


def test_chained_convolutions_are_narrow_in_between():
    network = DnCNN(layers=4, batch_normalization=False, filters=4)
    for conv2d in network.convs:
        conv2d.bias.assign(conv2d.bias + 0.03)
    network.convs[-1].kernel.assign(100 * network.convs[-1].kernel)
    image = tf.random.stateless_uniform((1, 16, 16, 1), (1, 2), 0.0, 255.0)
    found = []
    for chained in (False, True):
        with precision.policy("mixed_bfloat16", chained):
            traced = tf.function(lambda x: network(x), autograph=False).get_concrete_function(image)
        relus = [op for op in traced.graph.get_operations() if op.type == "Relu"]
        assert {op.inputs[0].dtype for op in relus} == {tf.bfloat16 if chained else tf.float32}
        found.append(traced(image))
    assert 0 < _relative(found[1], found[0]) < 0.02


def test_features_made_under_a_policy_are_float32():
    with precision.policy("mixed_bfloat16"):
        features = VGG(weights="random")(tf.zeros((1, 32, 32, 3)))[0]
    assert features.dtype == tf.float32
