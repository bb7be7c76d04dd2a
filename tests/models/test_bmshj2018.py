"""The scale hyperprior codec: layers, rates, exact scale indexes, files, other processes."""

import dataclasses
import itertools
import os
import pathlib
import struct
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_compression as tfc
from scipy import special

from lossylab.core.digest import weights_hash
from lossylab.core.errors import ImageError
from lossylab.data.decode import read_image
from lossylab.inference.export import container
from lossylab.inference.export import entropy as coders
from lossylab.inference.export.codec import Codec, Encoded
from lossylab.inference.export.exact import ExactHyperSynthesis
from lossylab.inference.export.served_codec import ServedCodec
from lossylab.models.bmshj2018 import BMSHJ2018
from lossylab.models.layers import factorized, gaussian
from lossylab.models.layers.conv import Chain, SignalConv
from lossylab.models.layers.gdn import GDN

FILTERS = 8
SIZES = [(1, 1), (7, 13), (16, 17), (64, 64), (100, 37)]

# tfc 1.2, examples/bmshj2018.py: taps, stride, bias, what follows.
PAPER = {
    "analysis_transform": [(5, 2, True, "gdn")] * 3 + [(5, 2, True, None)],
    "synthesis_transform": [(5, 2, True, "igdn")] * 3 + [(5, 2, True, None)],
    "hyper_analysis_transform": [(3, 1, True, "relu"), (5, 2, True, "relu"), (5, 2, False, None)],
    "hyper_synthesis_transform": [(5, 2, True, "relu"), (5, 2, True, "relu"), (3, 1, True, None)],
}


def _relative(a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return np.abs(a - b).max() / np.abs(b).max()


def _convolutions(chain):
    return [layer for layer in chain.layers if isinstance(layer, SignalConv)]


def _perturb(codec, random):
    """Moves biases and GDN parameters away from their initial values."""
    for name in PAPER:
        for layer in getattr(codec, name).layers:
            if isinstance(layer, GDN):
                for variable in (layer.beta.variable, layer.gamma.variable):
                    noise = random.uniform(0, 0.3, variable.shape)
                    variable.assign_add(noise.astype(np.float32))
            elif isinstance(layer, SignalConv) and layer.bias is not None:
                layer.bias.assign(random.normal(size=layer.bias.shape) * 0.1)
    return codec


def _with_rate(filters, random):
    """An untrained codec that codes as a trained one does.

    Deviations of its latents go from a fraction to many integers, the hyper-synthesis gives
    somewhat more than those, and reconstructions fill the range of levels.
    """
    codec = _perturb(BMSHJ2018(filters), random)
    last = codec.analysis_transform.layers[-1]
    last.bias.assign(tf.zeros(filters))
    last.kernel.coefficients.assign(last.kernel.coefficients * np.geomspace(2, 60, filters))
    image = tf.image.resize(random.uniform(0, 255, (4, 24, 24, 3)), (192, 192), "bicubic")
    latent = codec.analysis(image)
    last = codec.synthesis_transform.layers[-1]
    last.bias.assign((0.4, 0.5, 0.6))
    level = 50 / np.std(codec.synthesis(latent))
    last.kernel.coefficients.assign(last.kernel.coefficients * level)
    deviation = np.std(latent, (0, 1, 2))
    last = codec.hyper_synthesis_transform.layers[-1]
    last.kernel.weight.assign(last.kernel.weight * 0.3 * deviation)
    last.bias.assign(1.5 * deviation)
    for matrix in codec.prior.base._matrices:  # a narrow density, as a trained one
        matrix.assign_add(tf.ones_like(matrix))
    return codec


class _WithLatents(Codec):
    """An export that also gives latents."""

    @classmethod
    def serve(cls, network):
        side = tf.TensorSpec((), tf.int32)

        @tf.function(input_signature=[tf.TensorSpec((), tf.string, name="string"), side, side])
        def latent(string, height, width):
            size = [(length + 15) // 16 for length in (height, width)]
            return {"latent": served.network._coder.decode(string, *size)}

        served = super().serve(network)
        return dataclasses.replace(served, functions={**served.functions, "latent": latent})


def _save(model, path):
    _WithLatents.save(model, path, {"metric": "none"})
    return str(path)


@pytest.fixture(scope="module")
def model():
    tf.random.set_seed(2)
    return _with_rate(FILTERS, np.random.default_rng(2))


@pytest.fixture(scope="module")
def served(model):
    return ServedCodec(model)


@pytest.fixture(scope="module")
def coder(served):
    return served._coder


@pytest.fixture(scope="module")
def codec(model, tmp_path_factory):
    return Codec(_save(model, tmp_path_factory.mktemp("bmshj") / "export"))


@pytest.fixture(scope="module")
def encoded(codec, images):
    """A small coded image."""
    return codec.compress(images[0][:70, :90])


def _latent(random, size, deviation=5.0):
    return tf.constant(random.normal(size=(1, *size, FILTERS)) * deviation, tf.float32)


def _in_tfc(name, codec, x):
    """A transform of `codec`, made of tfc's layers as the paper's code lists them."""
    convolutions = iter(_convolutions(getattr(codec, name)))
    norms = (layer for layer in getattr(codec, name).layers if isinstance(layer, GDN))
    up = "synthesis" in name
    for taps, stride, bias, after in PAPER[name]:
        layer = next(convolutions)
        kernel = layer.kernel()
        if up:  # tfc's kernels of convolutions: true ones, not correlations
            kernel = tf.transpose(kernel, (0, 1, 3, 2)) if stride > 1 else kernel[::-1, ::-1]
        x = tfc.SignalConv2D(
            layer.kernel().shape[2 if up and stride > 1 else 3],
            (taps, taps),
            corr=not up,
            padding="same_zeros",
            use_bias=bias,
            kernel_parameter=kernel,
            **({"bias_parameter": layer.bias} if bias else {}),
            activation=tf.nn.relu if after == "relu" else None,
            **{"strides_up" if up else "strides_down": stride},
        )(x)
        if after in ("gdn", "igdn"):
            norm = next(norms)
            x = tfc.GDN(
                inverse=after == "igdn",
                alpha_parameter=2,
                epsilon_parameter=0.5,
                beta_parameter=norm.beta(),
                gamma_parameter=norm.gamma(),
            )(x)
    assert next(convolutions, None) is None
    assert next(norms, None) is None
    return x


@pytest.mark.parametrize("size", [(1, 1), (37, 70)])
def test_transforms_equal_those_of_tfc(size, random):
    codec = _perturb(BMSHJ2018(5), random)
    image = tf.constant(random.uniform(0, 255, (2, *size, 3)), tf.float32)
    latent = codec.analysis(image)
    assert _relative(latent, _in_tfc("analysis_transform", codec, image / 255)) < 1e-5
    synthesized = _in_tfc("synthesis_transform", codec, latent) * 255
    assert _relative(codec.synthesis(latent), synthesized) < 1e-5
    hyper = codec.hyper_analysis(latent)
    assert _relative(hyper, _in_tfc("hyper_analysis_transform", codec, tf.abs(latent))) < 1e-5
    scales = codec.scales(hyper, latent)
    whole = _in_tfc("hyper_synthesis_transform", codec, hyper)
    assert scales.shape == latent.shape
    assert _relative(scales, whole[:, : latent.shape[1], : latent.shape[2]]) < 1e-5


@pytest.mark.parametrize("name", PAPER)
def test_layers_and_their_parameters_are_those_of_the_paper(name):
    n = 6
    layers = _convolutions(getattr(BMSHJ2018(n), name))
    ends = {"analysis_transform": (0, 3), "synthesis_transform": (-1, 3)}
    assert len(layers) == len(PAPER[name])
    for i, (layer, (taps, stride, bias, _)) in enumerate(zip(layers, PAPER[name])):
        where, channels = ends.get(name, (None, None))
        image_side = where is not None and i == where % len(layers)
        plain = taps * taps if name == "hyper_synthesis_transform" else taps * (taps // 2 + 1) * 2
        weights = sum(np.prod(v.shape) for v in layer.kernel.trainable_variables)
        assert weights == plain * n * (channels if image_side else n)
        assert layer.stride == stride
        assert (layer.bias is not None) == bias


def test_hyper_analysis_sees_magnitudes_only(model, random):
    latent = _latent(random, (5, 6))
    np.testing.assert_array_equal(model.hyper_analysis(latent), model.hyper_analysis(-latent))


@pytest.mark.parametrize("size", [*SIZES, (65, 129), (128, 128)])
def test_noise_has_the_latents_shapes(size):
    codec = BMSHJ2018(3)
    latent = codec.analysis(tf.zeros((1, *size, 3)))
    hyper = codec.hyper_analysis(latent)
    assert codec.noise_shapes(*size) == (tuple(latent.shape[1:]), tuple(hyper.shape[1:]))
    assert codec.scales(hyper, latent).shape == latent.shape


def test_the_latent_may_have_more_channels():
    codec = BMSHJ2018(3, 5)
    latent = codec.analysis(tf.zeros((1, 65, 128, 3)))
    hyper = codec.hyper_analysis(latent)
    assert (latent.shape[-1], hyper.shape[-1]) == (5, 3)
    assert codec.noise_shapes(65, 128) == (tuple(latent.shape[1:]), tuple(hyper.shape[1:]))
    assert codec.scales(hyper, latent).shape == latent.shape
    assert codec.synthesis(latent).shape == (1, 80, 128, 3)


def test_number_of_filters_is_checked():
    assert BMSHJ2018(1).filters == 1
    with pytest.raises(ValueError, match="filters must be at least 1, got 0"):
        BMSHJ2018(0)


def _bits(latent, scale):
    """Bits of single samples."""
    latent, scale = np.broadcast_arrays(np.float32(latent), np.float32(scale))
    each = [tf.constant(a.reshape(-1, 1, 1, 1)) for a in (latent, scale)]
    return gaussian.bits(*each).numpy().reshape(latent.shape)


def _bits_float64(latent, scale):
    """Bits of samples, by another implementation of the normal distribution."""
    scale = np.maximum(np.float64(scale), 0.11)
    magnitude = np.abs(np.float64(latent))
    likelihood = special.ndtr((0.5 - magnitude) / scale) - special.ndtr((-0.5 - magnitude) / scale)
    return -np.log2(np.maximum(likelihood, 1e-9))


def test_bits_equal_golden_likelihoods(golden):
    data = golden("entropy.npz")
    expected = -np.log2(data["gc_likelihood_ys"].astype(np.float64))
    got = _bits(data["gc_y"][:, None], data["gc_sigma"][None])
    assert np.isclose(expected, -np.log2(1e-9)).any()
    assert (data["gc_sigma"] < 0.11).any()
    np.testing.assert_allclose(got, expected, rtol=2e-4, atol=2e-6)


def test_bits_and_gradients_equal_tfc_in_the_usual_range(random):
    scale = np.exp(random.uniform(np.log(0.3), np.log(100), (2, 5, 6, 7)))
    latent = tf.constant(scale * np.clip(random.normal(size=scale.shape), -3, 3), tf.float32)
    scale = tf.constant(scale, tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([latent, scale])
        ours = gaussian.bits(latent, scale)
        prior = tfc.NoisyNormal(loc=0.0, scale=scale)
        theirs = -tf.reduce_sum(prior.log_prob(latent), (1, 2, 3)) / np.log(2)
        total_ours, total_theirs = tf.reduce_sum(ours), tf.reduce_sum(theirs)
    assert ours.shape == (2,)
    assert _relative(ours, theirs) < 1e-5
    for variable in (latent, scale):
        a, b = tape.gradient(total_ours, variable), tape.gradient(total_theirs, variable)
        assert _relative(a, b) < 1e-3


def test_bits_have_the_likelihoods_floor_and_the_scales_bound():
    np.testing.assert_allclose(_bits([9.0, 1e3, -1e6], 1.0), -np.log2(1e-9), rtol=1e-6)
    np.testing.assert_array_equal(_bits([0, 0.4, 2], [0.1, -3, 1e-9]), _bits([0, 0.4, 2], 0.11))
    assert _bits(0.4, 0.12) != _bits(0.4, 0.11)


def test_gradient_passes_the_scales_bound_only_back_inside():
    def gradient(latent, scale):
        scale = tf.fill((1, 1, 1, 1), scale)
        with tf.GradientTape() as tape:
            tape.watch(scale)
            rate = gaussian.bits(tf.fill((1, 1, 1, 1), latent), scale)
        return tape.gradient(rate, scale).numpy().item()

    # A narrow density is right for 0.3 and wrong for 0.7, so rates want it narrower, wider.
    assert gradient(0.3, 0.12) > 0
    assert gradient(0.3, 0.05) == 0
    assert gradient(0.3, -2.0) == 0
    assert gradient(0.7, 0.12) < 0
    assert gradient(0.7, 0.05) == gradient(0.7, -2.0) == pytest.approx(gradient(0.7, 0.11))


def test_gradient_passes_the_likelihoods_floor_back_inside():
    latent = tf.constant([-7.0, -6.0, 6.0, 7.0])[:, None, None, None]
    with tf.GradientTape() as tape:
        tape.watch(latent)
        rate = gaussian.bits(latent, tf.ones_like(latent))
    np.testing.assert_allclose(rate[::3], -np.log2(1e-9), rtol=1e-6)
    gradient = tape.gradient(rate, latent).numpy().ravel()
    assert (np.sign(gradient) == (-1, -1, 1, 1)).all()


def test_bits_and_gradients_stay_finite_far_out():
    values = (-1e9, -1e6, -300.0, -5.0, 0.0, 1.0, 40.0, 1e6, 1e9)
    latent, scale = np.float32(list(itertools.product(values, values))).T
    latent, scale = (tf.constant(a)[:, None, None, None] for a in (latent, scale))
    with tf.GradientTape() as tape:
        tape.watch([latent, scale])
        rate = gaussian.bits(latent, scale)
    assert np.isfinite(rate).all()
    assert (rate.numpy() >= 0).all()
    for gradient in tape.gradient(rate, [latent, scale]):
        assert np.isfinite(gradient).all()


def test_scale_table_is_the_papers():
    table = gaussian.scale_table()
    assert table.shape == (64,)
    assert table.dtype == np.float64
    np.testing.assert_allclose(table[[0, -1]], (0.11, 256), rtol=1e-12)
    np.testing.assert_allclose(np.diff(np.log(table)), np.log(256 / 0.11) / 63, rtol=1e-9)
    np.testing.assert_allclose(gaussian.scale_of_index(tf.range(64)), table, rtol=2e-6)


def _integer_convolution(x, kernel, stride, up):
    """int64, tap by tap from the last one: another order, and no order matters to integers."""
    pad, taps = kernel.shape[0] // 2, list(np.ndindex(kernel.shape[:2]))[::-1]
    batch, height, width, _ = x.shape
    if not up:
        assert stride == 1
        x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        return sum(x[:, i : i + height, j : j + width] @ kernel[i, j] for i, j in taps)
    height, width = height * stride, width * stride
    y = np.zeros((batch, height + 2 * pad, width + 2 * pad, kernel.shape[2]), np.int64)
    for i, j in taps:
        y[:, i : i + height : stride, j : j + width : stride] += x @ kernel[i, j].T
    return y[:, pad : pad + height, pad : pad + width]


def _integer_scales(trained, hyper):
    """What the exact hyper-synthesis must give, float64; the grids are part of the format."""
    x = None
    for layer in _convolutions(trained):
        if x is None:
            x = np.clip(np.asarray(hyper, np.float64), -(2.0**12), 2.0**12) * 2**12
        else:
            x = np.clip(x, 0, 2**42) / 2**18
        kernel = np.rint(layer.kernel().numpy().astype(np.float64) * 2**18).astype(np.int64)
        bias = np.rint(layer.bias.numpy().astype(np.float64) * 2**18).astype(np.int64)
        x = np.rint(x).astype(np.int64)
        x = _integer_convolution(x, kernel, layer.stride, layer.up) + (bias << 12)
    return x / 2**30


def _assert_scales_equal(exact, hyper, expected, monkeypatch):
    """Compares unrounded scales: tables of all expected ones single out each of them."""
    values, index = np.unique(expected, return_inverse=True)
    monkeypatch.setattr(gaussian, "NUM_SCALES", values.size + 1)
    for table, below in ((values, 0), (np.nextafter(values, -np.inf), 1)):
        monkeypatch.setattr(exact, "_table", tf.constant(table))
        got = exact.indexes(hyper, *expected.shape[1:3])
        np.testing.assert_array_equal(got, index.reshape(expected.shape) + below)


def _hyper_synthesis(filters, random, size=1.0):
    """As trained: plain kernels, biases, deviations from 0 to large ones."""
    chain = BMSHJ2018(filters).hyper_synthesis_transform
    for layer in _convolutions(chain):
        layer.kernel.weight.assign(layer.kernel.weight * size)
        layer.bias.assign(random.normal(size=filters))
    return chain


# Kernels for at most 16 channels take another way through TensorFlow.
@pytest.mark.parametrize("filters", [1, 8, 24])
@pytest.mark.parametrize("hyper_deviation", [3, 3000])
def test_exact_scales_equal_integer_arithmetic_bit_for_bit(
    filters, hyper_deviation, random, monkeypatch
):
    chain = _hyper_synthesis(filters, random, size=2.0)
    exact = ExactHyperSynthesis(chain)
    hyper = np.float32(random.normal(size=(2, 3, 4, filters)) * hyper_deviation)
    expected = _integer_scales(chain, hyper)
    assert np.ptp(expected) > 1
    table_indexes = np.minimum(np.searchsorted(gaussian.scale_table(), expected), 63)
    np.testing.assert_array_equal(exact.indexes(tf.constant(hyper), 12, 16), table_indexes)
    _assert_scales_equal(exact, tf.constant(hyper), expected, monkeypatch)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("outputs", [2, 20])
def test_sums_at_the_limit_are_still_exact(up, outputs, random, monkeypatch):
    layer = SignalConv(3, outputs, 5, 2 if up else 1, up=up, rdft=False)
    kernel = np.abs(random.normal(size=layer.kernel.weight.shape))
    kernel *= 2047.9 / kernel.sum((0, 1, 3) if up else (0, 1, 2), keepdims=True)
    layer.kernel.weight.assign(kernel)
    layer.bias.assign(random.normal(size=outputs))
    chain = Chain([layer], name="one")
    hyper = np.float32(4096 - random.uniform(size=(1, 6, 7, 3)))
    expected = _integer_scales(chain, hyper)
    assert expected.max() > (2.0**20 if up else 2.0**22)  # a quarter of the taps meets zeros
    _assert_scales_equal(ExactHyperSynthesis(chain), tf.constant(hyper), expected, monkeypatch)


def test_float32_hyper_synthesis_would_not_be_exact(random):
    """The comparison above sees what it is for."""
    chain = _hyper_synthesis(8, random)
    hyper = np.float32(random.normal(size=(1, 3, 4, 8)) * 3)
    assert (chain(tf.constant(hyper)).numpy() != _integer_scales(chain, hyper)).mean() > 0.5


def test_exact_scales_are_the_float32_ones_to_the_grid(random):
    chain = _hyper_synthesis(8, random)
    hyper = np.float32(random.normal(size=(1, 5, 6, 8)) * 3)
    scales = chain(tf.constant(hyper)).numpy()
    assert np.abs(_integer_scales(chain, hyper) - scales).max() < 1e-3 * np.std(scales)
    index = ExactHyperSynthesis(chain).indexes(tf.constant(hyper), 20, 24).numpy()
    plain = np.minimum(np.searchsorted(gaussian.scale_table(), scales), 63)
    assert np.unique(plain).size > 20
    assert (index == plain).mean() > 0.99
    assert np.abs(index - plain).max() <= 1


def _constant_scales(scales):
    """A hyper-synthesis that gives these whatever it is fed."""
    layer = SignalConv(1, len(scales), 3, 1, rdft=False)
    layer.kernel.weight.assign(tf.zeros_like(layer.kernel.weight))
    layer.bias.assign(np.float32(scales))
    return ExactHyperSynthesis(Chain([layer], name="constant"))


def test_index_is_that_of_the_next_scale_that_is_not_smaller():
    table = gaussian.scale_table()
    grid = np.maximum(2.0**-18, np.spacing(np.float32(table)))  # float32 and the kernels' grid
    below = np.floor(table / grid) * grid
    assert ((below <= table) & (table < below + grid)).all()
    for scales, expected in (
        (below, np.arange(64)),
        (below + grid, np.minimum(np.arange(64) + 1, 63)),
        ((-5, 0, 0.01, 300, 4000), (0, 0, 0, 63, 63)),
    ):
        index = _constant_scales(scales).indexes(tf.zeros((1, 1, 1, 1)), 1, 1)
        assert index.dtype == tf.int32
        np.testing.assert_array_equal(index[0, 0, 0], expected)


def test_a_scale_in_the_table_has_its_own_index(monkeypatch):
    exact = _constant_scales((1.0, 2.0, 4.0))
    monkeypatch.setattr(exact, "_table", tf.constant((0.5, 1.0, 2.0, 4.0), tf.float64))
    index = exact.indexes(tf.zeros((1, 1, 1, 1)), 1, 1)
    np.testing.assert_array_equal(index.numpy().ravel(), (1, 2, 3))


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (4, 8), (7, 6)])
def test_indexes_of_odd_latents_are_a_crop(size, coder, random):
    hyper = tf.constant(np.round(random.normal(size=(1, 2, 2, FILTERS)) * 4), tf.float32)
    whole = coder._synthesis.indexes(hyper, 8, 8)
    assert np.unique(whole).size > 3
    index = coder._synthesis.indexes(hyper, *size)
    np.testing.assert_array_equal(index, whole[:, : size[0], : size[1]])


def test_indexes_do_not_depend_on_the_batch_or_the_graph(coder, random):
    hyper = tf.constant(random.normal(size=(3, 4, 3, FILTERS)) * 4, tf.float32)
    whole = coder._synthesis.indexes(hyper, 15, 11)
    graph = tf.function(coder._synthesis.indexes)
    np.testing.assert_array_equal(graph(hyper, 15, 11), whole)
    for i in range(3):
        single = coder._synthesis.indexes(hyper[i : i + 1], 15, 11)
        np.testing.assert_array_equal(single[0], whole[i])


def test_extreme_hyper_latents_are_cut_off(coder, random):
    sign = random.choice((-1.0, 1.0), (1, 2, 3, FILTERS))
    expected = coder._synthesis.indexes(tf.constant(sign * 2**12, tf.float32), 8, 12)
    for size in (2**12 + 1, 1e9, 1e38, np.inf):
        index = coder._synthesis.indexes(tf.constant(sign * size, tf.float32), 8, 12)
        np.testing.assert_array_equal(index, expected)


@pytest.mark.parametrize("up", [False, True])
def test_weights_too_large_to_be_exact_are_refused(up):
    def build(inputs, outputs, weight, bias=0.0):
        layer = SignalConv(inputs, outputs, 1, 1, up=up, rdft=False)
        layer.kernel.weight.assign(tf.fill(layer.kernel.weight.shape, weight))
        layer.bias.assign(tf.fill([outputs], bias))
        return ExactHyperSynthesis(Chain([layer], name="one"))

    build(1, 1, 2047.75)
    build(1, 3, -2047.75)  # each output has sums of its own
    build(2, 1, 1023.75, 1000.0)
    for arguments in (
        (1, 1, 2048.0),
        (2, 1, 1024.0),
        (2, 3, -1500.0),
        (1, 1, 0.0, 2.0**23),
        (1, 1, np.inf),
        (1, 1, np.nan),
        (1, 1, 0.0, np.nan),
    ):
        with pytest.raises(ValueError, match="hyper-synthesis sums up to .* are not exact"):
            build(*arguments)


def test_every_layers_weights_are_checked(random):
    for i in range(3):
        chain = _hyper_synthesis(2, random)
        _convolutions(chain)[i].bias.assign((0.0, -(2.0**23)))
        with pytest.raises(ValueError, match="not exact in float64"):
            ExactHyperSynthesis(chain)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (4, 4), (9, 7)])
@pytest.mark.parametrize("deviation", [0.3, 5, 2000])
def test_decoding_gives_the_quantized_latent_exactly(size, deviation, coder, random):
    latent = _latent(random, size, deviation)
    string, bits = coder.encode(latent)
    np.testing.assert_array_equal(coder.decode(string, *size), tf.round(latent))
    quantized, same_bits = coder.quantize(latent)
    np.testing.assert_array_equal(quantized, tf.round(latent))
    assert float(bits) == pytest.approx(float(same_bits), rel=1e-6)


def test_extreme_latents_survive(coder):
    latent = np.zeros((1, 5, 4, FILTERS), np.float32)
    latent[0, ::2, 0] = 1e6, -1e6, 1e5, -3e4, 7, 0, -1, 1e6
    string, bits = coder.encode(tf.constant(latent))
    np.testing.assert_array_equal(coder.decode(string, 5, 4), latent)
    assert np.isfinite(bits)


def _parts(string):
    """Checksum, hyper-latent's string and latent's string."""
    length, checksum = struct.unpack(">II", string[:8])
    return checksum, string[8 : 8 + length], string[8 + length :]


def test_string_has_its_documented_parts(coder, model, random):
    latent = _latent(random, (6, 9))
    checksum, side, main = _parts(coder.encode(latent)[0].numpy())
    assert main
    hyper = coder._hyper.quantize(model.hyper_analysis(latent))[0]
    np.testing.assert_array_equal(coder._hyper.decode(tf.constant(side), 2, 3), hyper)
    index = coder._synthesis.indexes(hyper, 6, 9)
    assert int(coders._checksum(index)) == checksum


def test_estimated_bits_are_the_information_of_both_latents(coder, model, random):
    latent = _latent(random, (6, 9))
    hyper = model.hyper_analysis(latent)
    offset = factorized.quantization_offset(model.prior)
    hyper = tf.round(hyper - offset) + offset
    scales = model.scales(hyper, latent)
    table = gaussian.scale_table()
    scales = table[np.minimum(np.searchsorted(table, scales), 63)]
    expected = _bits_float64(tf.round(latent), scales).sum()
    expected += float(factorized.bits(model.prior, hyper)[0])
    assert float(coder.encode(latent)[1]) == pytest.approx(expected, rel=2e-3)


def test_coded_bits_are_the_estimated_ones_within_half_a_percent(coder, model, random):
    deviation = model.hyper_synthesis_transform.layers[-1].bias
    latent = tf.constant(random.normal(size=(1, 40, 48, FILTERS)), tf.float32) * deviation
    string, bits = coder.encode(latent)
    head, side, main = 64, *(8 * len(part) for part in _parts(string.numpy())[1:])
    side_bits = float(coder._hyper.encode(model.hyper_analysis(latent))[1])
    # A range coder ends on a byte and flushes up to two more.
    assert abs(side - side_bits) <= 0.005 * side_bits + 24
    assert abs(main - (float(bits) - side_bits)) <= 0.005 * float(bits) + 24
    assert 8 * len(string.numpy()) == head + side + main


def test_coded_bits_of_images_are_the_estimated_ones(codec, images):
    image = np.tile(np.concatenate(images, 1), (3, 1, 1))
    encoded = codec.compress(image)
    assert encoded.bits > 0.05 * image[..., 0].size
    # Images are not normal: what the tables do not hold costs other than estimated.
    assert abs(8 * len(encoded.string) - encoded.bits) <= 0.01 * encoded.bits + 64 + 48
    assert encoded.bits == pytest.approx(codec.reconstruct(image)[1], rel=1e-6)


def test_checksum_depends_on_every_index_and_the_shape(random):
    index = random.integers(0, 64, (1, 3, 4, 5), np.int32)
    checksums = [int(coders._checksum(tf.constant(index)))]
    for i in np.ndindex(index.shape):
        other = index.copy()
        other[i] = other[i] - 1 if other[i] else 1
        checksums.append(int(coders._checksum(tf.constant(other))))
    for shape in ((1, 4, 3, 5), (1, 3, 5, 4), (1, 12, 1, 5)):
        checksums.append(int(coders._checksum(tf.constant(index.reshape(shape)))))
    assert len(set(checksums)) == len(checksums)
    assert all(0 <= checksum < 2**32 for checksum in checksums)
    assert int(coders._checksum(tf.constant(index.copy()))) == checksums[0]


def test_numbers_are_four_bytes_the_most_significant_first():
    for number in (0, 1, 255, 256, 0x01020304, 2**31 - 1, 2**31, 2**32 - 1):
        word = coders._word(tf.constant(number, tf.int64))
        assert word.numpy() == struct.pack(">I", number)
        assert int(coders._number(tf.strings.join(["ab", word, "c"]), 2)) == number


def test_quantized_of_training_is_what_the_file_holds(model, served, codec, images):
    image = images[1]
    offset = factorized.quantization_offset(model.prior)
    latent, bits = model.quantized(tf.constant(image[None], tf.float32), offset)
    encoded = codec.compress(image)
    decoded = served._coder.decode(tf.constant(encoded.string), 8, 10)
    # Exported kernels differ from the coefficients' in the last bit.
    assert (decoded.numpy() == latent.numpy()).mean() > 0.999
    # Files have deviations of the table, up to 13 per cent greater.
    assert float(bits[0]) == pytest.approx(encoded.bits, rel=0.01)
    assert float(bits[0]) != encoded.bits


@pytest.mark.parametrize("size", SIZES)
def test_decoding_a_file_gives_what_reconstruct_says(codec, size, random):
    image = random.integers(0, 256, (*size, 3), np.uint8)
    decoded = container.decompress(codec, container.compress(codec, image)[0])
    assert decoded.shape == image.shape
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, codec.reconstruct(image)[0])


def test_a_file_truncated_or_altered_anywhere_raises_the_typed_error(codec, encoded, random):
    data = container.pack(encoded, codec.model, codec.weights)
    assert container.decompress(codec, data).shape == (70, 90, 3)
    altered = [data[:length] for length in range(len(data))]
    for place in range(len(data)):
        flip = bytes([data[place] ^ random.integers(1, 256)])
        altered.append(data[:place] + flip + data[place + 1 :])
    for bad in altered:
        with pytest.raises(container.BitstreamError):
            container.decompress(codec, bad)


def _outcome(codec, encoded):
    """An image, or None where both ways of decoding refuse the string with their errors."""
    data = container.pack(encoded, codec.model, codec.weights)
    try:
        image = container.decompress(codec, data)
    except container.BitstreamError:
        with pytest.raises(tf.errors.OpError):
            codec.decompress(encoded)
        return None
    np.testing.assert_array_equal(codec.decompress(encoded), image)
    assert image.shape == (encoded.height, encoded.width, 3)
    return image


def _changed(encoded, string):
    return Encoded(bytes(string), encoded.height, encoded.width)


def test_a_well_packed_string_that_ends_early_is_refused(codec, encoded):
    side = len(_parts(encoded.string)[1])
    for length in range(8 + side):
        assert _outcome(codec, _changed(encoded, encoded.string[:length])) is None, length
    # Nothing but the file's checksum guards the latent's string: any image, but no other error.
    for length in range(8 + side, len(encoded.string)):
        _outcome(codec, _changed(encoded, encoded.string[:length]))


def test_well_packed_damage_of_the_side_information_is_refused(codec, encoded):
    good = codec.decompress(encoded)
    side = len(_parts(encoded.string)[1])
    refused = 0
    for place in range(8 + side):
        for bit in range(8):
            string = bytearray(encoded.string)
            string[place] ^= 1 << bit
            image = _outcome(codec, _changed(encoded, string))
            refused += image is None
            if image is not None:  # the last bits of a range coder's string may be free
                assert place == 8 + side - 1
                np.testing.assert_array_equal(image, good)
    assert refused >= 8 * (8 + side) - 7


def test_well_packed_damage_of_the_latents_string_gives_a_image_or_the_error(codec, encoded):
    start = 8 + len(_parts(encoded.string)[1])
    for place in range(start, len(encoded.string), 3):
        string = bytearray(encoded.string)
        string[place] ^= 1 << place % 8
        _outcome(codec, _changed(encoded, string))


def test_lengths_that_are_wrong_are_refused(codec, encoded):
    side, total = len(_parts(encoded.string)[1]), len(encoded.string)
    lengths = [0, 1, side - 1, side + 1, total - 8, total - 7, total, 2**16]
    lengths += [2**31 - 9, 2**31 - 1, 2**31, 2**32 - 8, 2**32 - side, 2**32 - 1]
    for length in lengths:
        string = struct.pack(">I", length) + encoded.string[4:]
        # More than once, for what depends on which operation comes first.
        for _ in range(10):
            assert _outcome(codec, _changed(encoded, string)) is None, length


@pytest.mark.parametrize(
    "string", [b"", b"\xff", b"\xff" * 7, b"\0" * 8, b"\xff" * 8, b"\0\0\0\1abcd", b"\x80" * 40]
)
def test_rubbish_is_refused(codec, string):
    for _ in range(20):
        assert _outcome(codec, Encoded(string, 33, 17)) is None


def test_a_size_of_other_latents_is_refused(codec, encoded):
    for height, width in ((64, 90), (81, 90), (70, 80), (70, 97), (90, 70), (1, 1), (700, 900)):
        assert _outcome(codec, Encoded(encoded.string, height, width)) is None
    assert _outcome(codec, Encoded(encoded.string, 80, 96)) is not None


def test_other_scale_indexes_are_refused_and_the_message_says_why(codec, encoded):
    data = container.pack(encoded, codec.model, codec.weights)
    other = Codec(codec.path)
    bias = other._functions["keep_alive"].network._coder._synthesis._layers[-1][-1]
    np.testing.assert_array_equal(
        container.decompress(other, data), container.decompress(codec, data)
    )
    bias.assign(tf.tensor_scatter_nd_add(bias, [[3]], 0.2 * bias[3:4]))  # of one channel
    with pytest.raises(
        container.IndexMismatchError,
        match="the scale indexes are not those of the encoder: the file is damaged, or",
    ):
        container.decompress(other, data)


def test_a_checksum_that_does_not_fit_is_an_index_mismatch(codec, encoded):
    checksum = _parts(encoded.string)[0]
    string = encoded.string[:4] + struct.pack(">I", checksum ^ 1) + encoded.string[8:]
    data = container.pack(_changed(encoded, string), codec.model, codec.weights)
    with pytest.raises(container.IndexMismatchError):
        container.decompress(codec, data)
    with pytest.raises(tf.errors.InvalidArgumentError):
        codec.decompress(_changed(encoded, string))


def test_a_damaged_latents_string_is_no_index_mismatch(codec, encoded):
    """Its message would blame the machine."""
    string = encoded.string[:-20]
    kinds = set()
    for tail in range(40):
        bad = _changed(encoded, string + bytes([tail * 6 % 256] * 60))
        data = container.pack(bad, codec.model, codec.weights)
        try:
            container.decompress(codec, data)
        except container.BitstreamError as error:
            kinds.add(type(error))
    assert kinds == {container.BitstreamError}


def test_hash_covers_the_hyper_synthesis(served, codec):
    assert codec.weights == weights_hash(served)
    for variable in served._coder._synthesis.variables:
        before = variable.numpy()
        variable.assign_add(tf.ones_like(variable) * 2.0**-18)
        assert weights_hash(served) != codec.weights
        variable.assign(before)
    assert codec.weights == weights_hash(served)


@pytest.mark.parametrize("size", [(4096, 4097), (1, 2**20 + 1), (8192, 8192), (2**40, 1)])
def test_a_file_of_too_large_a_image_is_refused_before_decoding(codec, size, monkeypatch):
    def decode(encoded):
        raise AssertionError("decoded")

    monkeypatch.setattr(codec, "decompress", decode)
    data = container.pack(Encoded(b"abc", *size), codec.model, codec.weights)
    height, width = size
    with pytest.raises(container.BitstreamError, match=f"declares an image of {width}x{height}"):
        container.decompress(codec, data)


def test_largest_image_is_that_of_the_model(codec):
    assert codec.max_pixels == BMSHJ2018.max_pixels == 4096**2
    data = container.pack(Encoded(b"abc", 4096, 4096), codec.model, codec.weights)
    assert container.unpack(data, codec.model, codec.weights, codec.max_pixels).width == 4096
    huge = np.broadcast_to(np.zeros((), np.uint8), (4096, 4097, 3))
    with pytest.raises(ImageError, match="4097x4096 pixels is too large, limit 16777216"):
        container.compress(codec, huge)


_PEER = """
import sys
import numpy as np
import tensorflow as tf
import tensorflow_compression
tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[2]))
tf.config.threading.set_inter_op_parallelism_threads(int(sys.argv[2]))
model = tf.saved_model.load(sys.argv[1]).signatures
data, out = np.load(sys.argv[3]), {}
for i in range(len(data.files) // 2):
    image = data[f"image{i}"]
    sides = {"height": tf.constant(image.shape[0]), "width": tf.constant(image.shape[1])}
    string = tf.constant(data[f"string{i}"].tobytes())
    out[f"image{i}"] = model["decompress"](string=string, **sides)["reconstruction"]
    out[f"latent{i}"] = model["latent"](string=string, **sides)["latent"]
    mine = model["compress"](image=tf.constant(image))["string"]
    out[f"string{i}"] = np.frombuffer(mine.numpy(), np.uint8)
np.savez(sys.argv[4], **out)
assert "lossylab" not in sys.modules
"""


def _peers(path, images, strings, settings, folder):
    """What processes of other settings (threads, variables) make of strings."""
    data = {f"image{i}": image for i, image in enumerate(images)}
    data |= {f"string{i}": np.frombuffer(string, np.uint8) for i, string in enumerate(strings)}
    np.savez(folder / "data.npz", **data)
    running = []
    for i, (threads, variables) in enumerate(settings):
        words = [path, str(threads), str(folder / "data.npz"), str(folder / f"out{i}.npz")]
        process = subprocess.Popen(
            [sys.executable, "-c", _PEER, *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | variables,
            cwd=pathlib.Path(folder).anchor,
        )
        running.append(process)
    said = [process.communicate()[1] for process in running]
    for process, text in zip(running, said):
        assert process.returncode == 0, text[-2000:]
    return [dict(np.load(folder / f"out{i}.npz")) for i in range(len(settings))]


_SAME = (0, {})  # as this process: all cores
_WITH, _WITHOUT = ({"TF_ENABLE_ONEDNN_OPTS": value} for value in "10")


def _check_peers(codec, images, settings, folder):
    """Encodes here, decodes there; then the other way round."""
    coded = [codec.compress(image) for image in images]
    results = _peers(codec.path, images, [e.string for e in coded], settings, folder)
    for setting, result in zip(settings, results):
        changed = samples = 0
        for i, encoded in enumerate(coded):
            sides = {"height": tf.constant(encoded.height), "width": tf.constant(encoded.width)}
            latent = codec._functions["latent"](string=tf.constant(encoded.string), **sides)
            np.testing.assert_array_equal(result[f"latent{i}"], latent["latent"])
            difference = np.abs(result[f"image{i}"].astype(int) - codec.decompress(encoded))
            assert difference.max() <= (setting != _SAME)
            changed, samples = changed + np.count_nonzero(difference), samples + difference.size
            theirs = _changed(encoded, result[f"string{i}"].tobytes())
            assert setting != _SAME or theirs.string == encoded.string
            data = container.pack(theirs, codec.model, codec.weights)
            assert container.decompress(codec, data).shape == images[i].shape
        assert changed < 1e-4 * samples, setting


def test_other_processes_decode_the_same(codec, images, random, tmp_path):
    noise = random.integers(0, 256, (50, 77, 3), np.uint8)
    settings = [_SAME, (1, _WITHOUT)]
    _check_peers(codec, [*images[:2], noise], settings, tmp_path)


@pytest.mark.long
def test_other_processes_decode_kodak_the_same(collection, random, tmp_path):
    images = [read_image(path) for path in collection("kodak")]
    codec = Codec(_save(_with_rate(32, random), tmp_path / "export"))
    settings = [_SAME, (1, _WITH), (2, _WITH), (1, _WITHOUT), (2, _WITHOUT)]
    _check_peers(codec, images, settings, tmp_path)


def test_training_pass_adds_the_noise(random):
    codec = _perturb(BMSHJ2018(FILTERS), random)
    image = tf.constant(random.uniform(0, 255, (2, 48, 80, 3)), tf.float32)
    shapes = codec.noise_shapes(48, 80)
    noise, hyper_noise = (np.float32(random.uniform(-0.5, 0.5, (2, *s))) for s in shapes)
    reconstruction, bits = codec(image, noise=(tf.constant(noise), tf.constant(hyper_noise)))
    latent = codec.analysis(image)
    hyper = codec.hyper_analysis(latent) + hyper_noise
    latent += noise
    np.testing.assert_allclose(reconstruction, codec.synthesis(latent), rtol=1e-4, atol=1e-3)
    expected = _bits_float64(latent, codec.scales(hyper, latent)).sum((1, 2, 3))
    expected += factorized.bits(codec.prior, hyper)
    np.testing.assert_allclose(bits, expected, rtol=1e-4)


def _loss(codec, image, noise):
    reconstruction, bits = codec(image, noise=noise)
    distortion = tf.reduce_mean(tf.square(reconstruction - image))
    return tf.reduce_sum(bits) / image[..., 0].shape.num_elements() + 0.01 * distortion


@pytest.mark.long
def test_a_training_step_lowers_the_loss_of_its_batch(random):
    codec = BMSHJ2018(4)
    image = tf.image.resize(random.uniform(0, 255, (8, 16, 16, 3)), (128, 128), "bicubic")
    noise = [
        tf.constant(random.uniform(-0.5, 0.5, (8, *shape)), tf.float32)
        for shape in codec.noise_shapes(128, 128)
    ]
    optimizer = tf.keras.optimizers.legacy.Adam(1e-4, epsilon=1e-8)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = _loss(codec, image, noise)
        variables = codec.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return loss

    eager = float(_loss(codec, image, noise))
    before = [variable.numpy() for variable in codec.trainable_variables]
    losses = [float(step()) for _ in range(4)]
    assert losses[0] == pytest.approx(eager, rel=1e-4)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.9999 * losses[0]
    for variable, old in zip(codec.trainable_variables, before):
        assert np.isfinite(variable).all()
        assert np.any(variable.numpy() != old), variable.name
