"""StyleGAN's generators against the official code's numbers (shared golden/stylegan*)."""

import csv
import dataclasses
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

import lossylab
from lossylab.models import stylegan
from lossylab.models.layers.stylegan_base import filter_separably
from lossylab.models.stylegan1 import StyleGAN1

GOLDEN = pathlib.Path(lossylab.__file__).parent.parent / "shared" / "golden"
_SMALL = {"latent": 12, "mapping": 10, "width": 14, "fmap_base": 64, "fmap_max": 8}
_SIZES = {"latent": 64, "mapping": 64, "width": 64, "fmap_base": 512, "fmap_max": 32}

both = pytest.mark.parametrize("version", [1, 2])


def _golden(name):
    if not (GOLDEN / name).exists():
        pytest.skip(f"the official numbers {name} are not at hand")
    return GOLDEN / name


@pytest.fixture(scope="module", name="official")
def _official():
    """From a version to its official numbers and the generator with the official weights."""
    found = {}

    def get(version):
        if version not in found:
            numbers = np.load(_golden(f"stylegan{version}_res32.npz"))
            network = stylegan.random(version, 32, 0, **_SIZES)
            network.assign_official(
                {key[4:]: numbers[key] for key in numbers.files if key.startswith("var/")}
            )
            found[version] = numbers, network
        return found[version]

    return get


def _nominal(image):
    """Levels, channels last, to -1..1, channels first."""
    return np.transpose(image / 127.5 - 1.0, (0, 3, 1, 2))


@both
def test_mapping_equals_the_official_one(version, official):
    numbers, network = official(version)
    np.testing.assert_allclose(network.map(numbers["z"]), numbers["w"][:, 0], atol=2e-5)


@both
@pytest.mark.parametrize(
    ("key", "psi", "cutoff"), [("psi1", 1, None), ("psi07", 0.7, None), ("psi05_cut4", 0.5, 4)]
)
def test_truncated_images_equal_the_official_ones(version, key, psi, cutoff, official):
    numbers, network = official(version)
    got = _nominal(network(numbers["z"], psi=psi, cutoff=cutoff))
    np.testing.assert_allclose(got, numbers[f"img_{key}"], atol=1e-4)


@both
def test_image_and_gradients_of_styles_and_noise_equal_the_official_ones(version, official):
    numbers, network = official(version)
    w, noise = tf.constant(numbers["w_plus"]), list(network.noise)
    with tf.GradientTape() as tape:
        tape.watch([w, noise])
        image = network.synthesis(w)
        cotangent = numbers["cotangent"].transpose(0, 2, 3, 1)
        loss = tf.reduce_sum(image * cotangent) / 127.5
    np.testing.assert_allclose(_nominal(image), numbers["img_wplus"], atol=1e-4)
    of_w, of_noise = tape.gradient(loss, [w, noise])
    expected = {"grad_wplus": of_w}
    for i, gradient in enumerate(of_noise):
        expected[f"grad_noise/noise{i}"] = tf.transpose(gradient, (0, 3, 1, 2))
    for key, got in expected.items():
        np.testing.assert_allclose(got, numbers[key], atol=1e-3 * np.abs(numbers[key]).max())
    assert len(of_noise) == sum(key.startswith("grad_noise/") for key in numbers.files)


@both
def test_every_layers_output_equals_the_official_one(version, official):
    numbers, network = official(version)
    got = dict(network.steps(tf.constant(numbers["w_plus"])))
    names = [key[4:] for key in numbers.files if key.startswith("act/")]
    assert set(names) == set(got) - {"images_out"}
    for name in names:
        mine = got[name][0].numpy().transpose(2, 0, 1)
        np.testing.assert_allclose(mine, numbers[f"act/{name}"], atol=1e-4, err_msg=name)


def _with_fused(network, fused_from):
    other = StyleGAN1(dataclasses.replace(network.sizes, fused_from=fused_from), seed=0)
    other.assign_official(network.official())
    return other


def test_fused_layers_equal_the_official_ones(official):
    numbers, network = official(1)
    got = _nominal(_with_fused(network, 4).synthesis(numbers["w_plus"]))
    np.testing.assert_allclose(got, numbers["img_wplus_fused_scale"], atol=1e-4)
    assert np.abs(got - numbers["img_wplus"]).max() > 0.1


def test_fused_layers_are_the_others_with_kernels_turned(official):
    numbers, network = official(1)
    fused, plain = _with_fused(network, 16), _with_fused(network, None)
    for side in (16, 32):
        kernel = plain.named_weights[f"G_synthesis/{side}x{side}/Conv0_up/weight"]
        kernel.assign(kernel.numpy()[::-1, ::-1])
    w = numbers["w_plus"]
    np.testing.assert_allclose(fused.synthesis(w), plain.synthesis(w), atol=1e-2)


@both
def test_names_shapes_and_count_of_all_variables_are_the_official_ones(version):
    network = stylegan.random(version, 1024, 0)
    with open(_golden(f"stylegan{version}_1024_vars.tsv")) as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["name"][-3:] != "lod"]
    shapes = {
        row["name"]: tuple(int(n) for n in row["shape"].split("x") if n != "scalar") for row in rows
    }
    assert network.official_shapes(network.sizes) == shapes
    trainable = {row["name"] for row in rows if row["trainable"] == "1"}
    assert set(network.named_weights) == trainable
    count = sum(v.shape.num_elements() for v in network.trainable_variables)
    assert count == network.parameters == {1: 26_219_627, 2: 30_370_060}[version]
    assert (network.num_layers, network.latent, network.width) == (18, 512, 512)
    assert len(network.noise) == {1: 18, 2: 17}[version]


@both
def test_official_arrays_go_there_and_back(version):
    one, other = (stylegan.random(version, 16, seed, **_SMALL) for seed in (1, 2))
    arrays = one.official()
    assert {k: v.shape for k, v in arrays.items()} == one.official_shapes(one.sizes)
    other.assign_official(arrays)
    z = tf.random.stateless_normal((2, 12), (0, 0))
    np.testing.assert_array_equal(one(z), other(z))


@both
def test_the_seed_decides(version):
    z = tf.random.stateless_normal((2, 12), (0, 0))
    one, same, other = (stylegan.random(version, 8, seed, **_SMALL)(z) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1


@both
@pytest.mark.parametrize("resolution", [4, 8, 64])
def test_any_resolution_and_unequal_widths(version, resolution):
    network = stylegan.random(version, resolution, 0, **_SMALL)
    assert network.num_layers == 2 * np.log2(resolution) - 2
    w = tf.random.normal((2, network.num_layers, 14))
    assert network.synthesis(w).shape == (2, resolution, resolution, 3)
    rebuilt = stylegan.build(json.loads(json.dumps(network.config)))
    assert rebuilt.official_shapes(rebuilt.sizes) == network.official_shapes(network.sizes)
    assert rebuilt.config == network.config


@both
def test_noise_given_replaces_the_variables(version):
    network = stylegan.random(version, 16, 0, **_SMALL)
    w = tf.random.normal((2, network.num_layers, 14))
    expected = network.synthesis(w)
    same = [tf.repeat(n, 2, 0) for n in network.noise]
    np.testing.assert_allclose(network.synthesis(w, same), expected, atol=1e-3)
    for i in range(len(same)):
        changed = [*same[:i], same[i] * [[[[1.0]]], [[[-1.0]]]], *same[i + 1 :]]
        got = network.synthesis(w, changed)
        np.testing.assert_allclose(got[0], expected[0], atol=1e-3)
        assert np.abs(got[1] - expected[1]).max() > 0.1, i


@both
def test_each_style_matters_and_only_to_its_sample(version):
    network = stylegan.random(version, 16, 0, **_SMALL)
    w = tf.random.normal((2, network.num_layers, 14))
    expected = network.synthesis(w)
    for i in range(network.num_layers):
        change = np.zeros(w.shape, np.float32)
        change[1, i] = 1.0
        got = network.synthesis(w + change)
        np.testing.assert_allclose(got[0], expected[0], atol=1e-3)
        assert np.abs(got[1] - expected[1]).max() > 0.1, i


@both
def test_full_truncation_gives_the_mean_of_w(version):
    network = stylegan.random(version, 8, 0, **_SMALL)
    z = tf.random.normal((2, 12))
    mean = network.synthesis(tf.broadcast_to(network.mean, (1, network.num_layers, 14)))
    for image in network(z, psi=0.0, cutoff=network.num_layers):
        np.testing.assert_allclose(image, mean[0], atol=1e-3)
    mapped = network.map(tf.random.normal((4000, 12)))
    deviation = np.std(mapped, 0)
    assert np.abs(network.mean - tf.reduce_mean(mapped, 0)).max() < 0.2 * deviation.max()


def test_truncation_is_the_versions_own_unless_given():
    assert stylegan.random(1, 8, 0, **_SMALL).config["cutoff"] == 8
    for version, psi in ((1, 0.7), (2, 0.5)):
        network = stylegan.random(version, 64, 0, **_SMALL)
        z = tf.random.normal((1, 12))
        w = tf.repeat(network.map(z)[:, None], network.num_layers, 1)
        moved = network.mean + psi * (w - network.mean)
        if version == 1:
            moved = tf.concat([moved[:, :8], w[:, 8:]], 1)
        np.testing.assert_allclose(network(z), network.synthesis(moved), atol=1e-2)


@pytest.mark.parametrize("length", [1e-3, 1.0, 1e3])
@both
def test_only_the_direction_of_z_matters(version, length):
    network = stylegan.random(version, 4, 0, **_SMALL)
    z = tf.random.normal((3, 12))
    np.testing.assert_allclose(network.map(length * z), network.map(z), rtol=1e-2, atol=1e-2)


def test_filter_is_a_correlation_of_rows_and_columns(random):
    x = random.normal(size=(1, 5, 6, 2)).astype(np.float32)
    taps = (0.1, 0.2, 0.3, 0.4)
    got = filter_separably(x, taps)
    assert got.shape == (1, 4, 5, 2)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = sum(
        taps[i] * taps[j] * padded[:, i : i + 4, j : j + 5] for i in range(4) for j in range(4)
    )
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_version_1_survives_graph_checkpoint_and_saved_model(tmp_path):
    one, other = (stylegan.random(1, 16, seed, **_SMALL) for seed in (1, 2))
    w = tf.random.normal((2, one.num_layers, 14))
    expected = one.synthesis(w)
    path = tf.train.Checkpoint(model=one).write(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(model=other).read(path).assert_consumed()
    np.testing.assert_array_equal(other.synthesis(w), expected)
    one.served = tf.function(
        one.synthesis, input_signature=[tf.TensorSpec((None, one.num_layers, 14), tf.float32)]
    )
    np.testing.assert_allclose(one.served(w), expected, atol=1e-3)
    tf.saved_model.save(one, str(tmp_path / "model"))
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    np.testing.assert_allclose(loaded.served(w), expected, atol=1e-3)


@both
def test_wrong_shapes_are_refused(version):
    network = stylegan.random(version, 8, 0, **_SMALL)
    with pytest.raises(ValueError, match=r"w must be \[B, 4, 14\], got \(2, 14\)"):
        network.synthesis(tf.zeros((2, 14)))
    w = tf.zeros((2, 4, 14))
    for noise in (network.noise[1:], [tf.zeros((1, 2, 2, 1))] * len(network.noise)):
        with pytest.raises(ValueError, match=r"noise must be \d tensors .* of sides \[4"):
            network.synthesis(w, noise)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 3}, "version must be 1 or 2, got 3"),
        ({"resolution": 24}, "resolution must be a power of two in 4..8192, got 24"),
        ({"resolution": 2**40}, "resolution must be a power of two"),
        ({"resolution": "8"}, "resolution must be a power of two"),
        ({"channels": [8]}, "channels must be 2 numbers"),
        ({"channels": [8, 0]}, "channels at 8 must be a whole number in 1..16384, got 0"),
        ({"channels": 3}, "no config of a generator"),
        ({"latent": 10**9}, "latent must be a whole number in 1..16384"),
        ({"width": 2.5}, "width must be a whole number"),
        ({"depth": 0}, "depth must be a whole number in 1..64, got 0"),
        ({"psi": "half"}, "psi must be a number, got 'half'"),
        ({"psi": float("nan")}, "psi must be a number, got nan"),
        ({"learning_rate": 0}, "learning_rate must be positive, got 0"),
        ({"cutoff": -1}, "cutoff must be a whole number"),
        ({"unknown": 1}, "no config of a generator: .*unknown"),
    ],
)
def test_configs_of_no_generator_are_refused(change, message):
    config = stylegan.random(2, 8, 0, **_SMALL).config
    with pytest.raises(ValueError, match=message):
        stylegan.build({**config, **change})


def test_random_refuses_other_versions():
    with pytest.raises(ValueError, match="version must be 1 or 2, got 3"):
        stylegan.random(3, 8, 0)
    with pytest.raises(ValueError, match="resolution must be a power of two in 4..8192, got 2"):
        stylegan.random(2, 2, 0)
