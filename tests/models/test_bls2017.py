"""The BLS codec and its parts against tensorflow-compression and golden numbers."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_compression as tfc

from lossylab.models.bls2017 import BLS2017
from lossylab.models.layers import factorized
from lossylab.models.layers.conv import SignalConv
from lossylab.models.layers.gdn import GDN
from lossylab.models.layers.rdft import RDFTKernel


def _relative(a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return np.abs(a - b).max() / np.abs(b).max()


def _tfc_coefficients(kernel, parameter):
    """tfc's gradients or values [a, b, h, w] x 2 in our layout [2hw, a, b]."""
    parts = [np.asarray(part).reshape(*part.shape[:2], -1) for part in parameter]
    return np.concatenate(parts, -1).transpose(2, 0, 1)


@pytest.mark.parametrize("taps", [3, 5, 9])
def test_rdft_kernel_equals_tfc_in_value_and_gradient(taps, random):
    value = tf.constant(random.normal(size=(taps, taps, 4, 6)), tf.float32)
    weights = tf.constant(random.normal(size=value.shape), tf.float32)
    ours, theirs = RDFTKernel(value), tfc.RDFTParameter(value)
    np.testing.assert_allclose(ours.in_float64(), ours(), atol=1e-6)
    with tf.GradientTape(persistent=True) as tape:
        a = tf.reduce_sum(tf.square(ours()) * weights)
        b = tf.reduce_sum(tf.square(theirs()) * weights)
    np.testing.assert_allclose(ours(), value, atol=1e-5)
    assert _relative(ours.coefficients, _tfc_coefficients(ours, (theirs.real, theirs.imag))) < 1e-5
    gradients = tape.gradient(b, [theirs.real, theirs.imag])
    assert _relative(tape.gradient(a, ours.coefficients), _tfc_coefficients(ours, gradients)) < 1e-4


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize(("taps", "stride"), [(5, 2), (9, 4)])
@pytest.mark.parametrize("outputs", [3, 24])
def test_convolution_equals_tfc(up, taps, stride, outputs, random):
    x = tf.constant(random.normal(size=(2, 13, 10, 5)), tf.float32)
    ours = SignalConv(5, outputs, taps, stride, up=up)
    ours.bias.assign(random.normal(size=outputs))
    kernel = ours.kernel()
    kernel = tf.transpose(kernel, (0, 1, 3, 2)) if up else kernel
    theirs = tfc.SignalConv2D(
        outputs,
        (taps, taps),
        corr=not up,
        padding="same_zeros",
        use_bias=True,
        kernel_parameter=kernel,
        bias_parameter=ours.bias,
        **{"strides_up" if up else "strides_down": stride},
    )
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, kernel])
        a, b = ours(x), theirs(x)
        loss_a, loss_b = tf.reduce_sum(a**2), tf.reduce_sum(b**2)
    assert a.shape == b.shape
    assert _relative(a, b) < 1e-5
    assert _relative(tape.gradient(loss_a, x), tape.gradient(loss_b, x)) < 1e-4


def test_upsampling_kernel_gradient_equals_automatic_one(random):
    from lossylab.models.layers import conv

    x = tf.constant(random.normal(size=(2, 6, 7, 4)), tf.float32)
    kernel = tf.constant(random.normal(size=(5, 5, 20, 4)), tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, kernel])
        ours = tf.reduce_sum(conv.upsample(x, kernel, 2) ** 3)
        automatic = tf.reduce_sum(conv._transposed_conv(x, kernel, 2, 2, 1) ** 3)
    for variable in (x, kernel):
        assert _relative(tape.gradient(ours, variable), tape.gradient(automatic, variable)) < 1e-4


@pytest.mark.parametrize("kind", ["gdn", "igdn"])
def test_gdn_equals_golden_values_and_gradients(kind, golden):
    data = golden("gdn.npz")
    layer = GDN(6, inverse=kind == "igdn")
    layer.beta.variable.assign(data[f"{kind}_beta_reparam"])
    layer.gamma.variable.assign(data[f"{kind}_gamma_reparam"])
    x = tf.constant(data[f"{kind}_x"])
    ramp = np.linspace(-1, 1, x.numpy().size).reshape(2, 6, 5, 7).transpose(0, 2, 3, 1)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = layer(x)
        loss = tf.reduce_sum(y * ramp.astype(np.float32))
    assert _relative(y, data[f"{kind}_y"]) < 1e-6
    assert _relative(tape.gradient(loss, x), data[f"{kind}_dx"]) < 1e-5
    for name in ("beta", "gamma"):
        gradient = tape.gradient(loss, getattr(layer, name).variable)
        assert _relative(gradient, data[f"{kind}_d{name}_reparam"]) < 1e-5


@pytest.mark.parametrize("inverse", [False, True])
def test_gdn_equals_tfc_layer(inverse, random):
    x = tf.constant(random.normal(size=(2, 4, 3, 8)) * 3, tf.float32)
    theirs = tfc.GDN(inverse=inverse, alpha_parameter=2, epsilon_parameter=0.5)
    assert _relative(GDN(8, inverse)(x), theirs(x)) < 1e-6


def _prior(channels, random):
    prior = factorized.make_prior(channels)
    for variable in prior.trainable_variables:
        variable.assign_add(random.normal(size=variable.shape).astype(np.float32) * 0.4)
    return prior


def test_bits_equal_tfc_in_value_and_gradient(random):
    prior = _prior(7, random)
    latent = tf.constant(random.normal(size=(3, 4, 5, 7)) * 6, tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(latent)
        ours = factorized.bits(prior, latent)
        theirs = -tf.reduce_sum(prior.log_prob(latent), (1, 2, 3)) / np.log(2)
        total_ours, total_theirs = tf.reduce_sum(ours), tf.reduce_sum(theirs)
    assert _relative(ours, theirs) < 1e-5
    for variable in (latent, *prior.trainable_variables):
        a, b = tape.gradient(total_ours, variable), tape.gradient(total_theirs, variable)
        assert _relative(a, b) < 1e-3


def test_bits_equal_golden_likelihoods(golden):
    data = golden("entropy.npz")
    prior = factorized.make_prior(5)
    for kind in ("matrices", "biases", "factors"):
        for i, variable in enumerate(getattr(prior.base, f"_{kind}")):
            variable.assign(data[f"eb_{kind}_{i}"])
    values = data["eb_values_cn"].T[:, None, None, :]
    likelihood = data["eb_likelihood_cn"].T
    inside = likelihood.min(1) > 1e-8  # the golden code has a floor of 1e-9
    expected = -np.log2(likelihood[inside].astype(np.float64)).sum(1)
    np.testing.assert_allclose(factorized.bits(prior, values)[inside], expected, rtol=2e-4)


def test_bits_and_gradients_stay_finite_far_out(random):
    prior = _prior(3, random)
    latent = tf.constant([-1e6, -1e3, 0.0, 1e3, 1e6])[:, None, None, None] * tf.ones((1, 1, 1, 3))
    with tf.GradientTape() as tape:
        tape.watch(latent)
        bits = factorized.bits(prior, latent)
    assert np.isfinite(bits).all()
    assert np.isfinite(tape.gradient(bits, latent)).all()


def test_layers_and_parameters_are_those_of_the_paper():
    codec = BLS2017(filters=12)
    latent = codec.analysis(tf.zeros((1, 33, 47, 3)))
    assert latent.shape == (1, 3, 3, 12)
    assert codec.synthesis(latent).shape == (1, 48, 48, 3)
    coefficients = sum(np.prod(v.shape) for v in codec.trainable_variables if "rdft" in v.name)
    assert coefficients == 2 * (9 * 5 * 2 * 3 * 12) + 4 * (5 * 3 * 2 * 12 * 12)
    assert BLS2017().filters == 192


def test_the_latent_may_have_more_channels(random):
    codec = BLS2017(4, 7)
    image = tf.constant(random.uniform(0, 255, (1, 32, 48, 3)), tf.float32)
    latent = codec.analysis(image)
    assert latent.shape == (1, 2, 3, 7) == (1, *codec.noise_shapes(32, 48)[0])
    assert codec.synthesis(latent).shape == image.shape
    assert [layer.beta().shape for layer in codec.analysis_transform.layers[1::2]] == [4, 4]
    assert (BLS2017(4).latent_filters, codec.filters, codec.latent_filters) == (4, 4, 7)
    copy = BLS2017.from_config(codec.get_config())
    copy.set_weights(codec.get_weights())
    np.testing.assert_array_equal(copy.analysis(image), latent)


def test_training_pass_adds_the_noise(random):
    codec = BLS2017(8)
    image = tf.constant(random.uniform(0, 255, (2, 32, 32, 3)), tf.float32)
    noise = tf.constant(random.uniform(-0.5, 0.5, (2, 2, 2, 8)), tf.float32)
    reconstruction, bits = codec(image, noise=[noise])
    latent = codec.analysis(image) + noise
    np.testing.assert_allclose(reconstruction, codec.synthesis(latent), rtol=1e-5)
    np.testing.assert_allclose(bits, factorized.bits(codec.prior, latent), rtol=1e-5)


def test_number_of_filters_is_checked():
    with pytest.raises(ValueError, match="filters must be at least 1, got 0"):
        BLS2017(0)
    with pytest.raises(ValueError, match="filters must be at least 1, got 0"):
        BLS2017(4, 0)
