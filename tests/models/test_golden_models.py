"""What every registered model must do; see tests/golden_models.py."""

import functools
import importlib
import inspect
import json
import pkgutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from golden_models import GOLDENS, PARTS
from lengths import long_but

import lossylab.models
from lossylab.models import names, restorers
from lossylab.models.backbones import block_features, lpips
from lossylab.models.layers import precision

_MODELS = pytest.mark.parametrize("kind", GOLDENS, ids=lambda kind: kind.__name__)


def _image(size, random, batch=2):
    return tf.constant(random.uniform(0, 255, (batch, *size, 3)), tf.float32)


@functools.cache
def _network(kind):
    """One network of a kind, for tests that change nothing of it."""
    return GOLDENS[kind].build()


@functools.cache
def _function(kind):
    """Its call as a graph of any size."""
    model = _network(kind)
    spec = tf.TensorSpec((None, None, None, 3), tf.float32, name="image")
    if len(GOLDENS[kind].sizes) == 1:
        spec = tf.TensorSpec((None, *GOLDENS[kind].sizes[0], 3), tf.float32, name="image")
    return tf.function(
        lambda image: GOLDENS[kind].call(model, image), input_signature=[spec], autograph=False
    )


@pytest.fixture(scope="module", autouse=True)
def forgotten():
    """Lets the networks go with the module."""
    yield
    _network.cache_clear()
    _function.cache_clear()


def test_every_public_model_is_registered():
    found = set()
    for info in pkgutil.walk_packages(lossylab.models.__path__, "lossylab.models."):
        module = importlib.import_module(info.name)
        for name, value in inspect.getmembers(module, inspect.isclass):
            mine = value.__module__ == module.__name__ and not name.startswith("_")
            if mine and issubclass(value, tf.Module):
                found.add(name)
    assert found - PARTS == {kind.__name__ for kind in GOLDENS}
    assert found >= PARTS


def test_registered_networks_are_listed_in_the_package():
    listed = set(lossylab.models.__all__)
    assert listed == {kind.__name__ for kind in GOLDENS}
    assert listed <= set(dir(lossylab.models))
    assert all(getattr(lossylab.models, kind.__name__) is kind for kind in GOLDENS)
    with pytest.raises(AttributeError, match="has no attribute 'LeNet'"):
        _ = lossylab.models.LeNet


def test_all_networks_have_a_paper():
    inner = {"patchgan", "stylegan2_discriminator"}  # of trainings alone
    found = {value.model_id for value in GOLDENS if hasattr(value, "model_id")}
    assert found - inner == set(names.PAPERS)


def test_names_for_options_are_the_networks_own():
    found = {value.model_id for value in GOLDENS if hasattr(value, "model_id")}
    assert {*names.CODECS, *restorers.NETWORKS} <= found
    assert set(names.BACKBONES) == set(block_features.BACKBONES)
    assert set(names.LPIPS_NETWORKS) == set(lpips._PLANS)


@_MODELS
def test_number_of_parameters_is_the_papers(kind):
    golden = GOLDENS[kind]
    count = sum(int(np.prod(v.shape)) for v in golden.default().trainable_variables)
    assert count == golden.parameters


@_MODELS
def test_graph_equals_eager_at_all_sizes(kind, random):
    golden, model, graph = GOLDENS[kind], _network(kind), _function(kind)
    for size in golden.sizes:
        image = _image(size, random)
        eager = golden.call(model, image)
        assert eager.shape[0] == 2
        if eager.shape.rank == 4:
            assert eager.shape == image.shape
        # Rounding of latents may turn a last-bit difference into a step of a level or two.
        close = np.isclose(graph(image), eager, rtol=1e-4, atol=1e-3)
        assert close.mean() > 0.999


@_MODELS
def test_one_sample_does_not_depend_on_its_batch(kind, random):
    golden, model = GOLDENS[kind], _network(kind)
    image = _image(golden.sizes[-1], random, batch=3)
    whole = golden.call(model, image)
    for i in range(3):
        single = golden.call(model, image[i : i + 1])[0]
        np.testing.assert_allclose(single, whole[i], rtol=1e-3, atol=1e-2)


@_MODELS
def test_gradients_reach_every_parameter(kind, random):
    model = _network(kind)
    image = _image((32, 32), random)
    with tf.GradientTape() as tape:
        if hasattr(model, "prior"):
            noise = [tf.fill((2, *shape), 0.25) for shape in model.noise_shapes(32, 32)]
            reconstruction, bits = model(image, noise=noise)
            loss = tf.reduce_sum(reconstruction) + tf.reduce_sum(bits)
        else:
            loss = tf.reduce_sum(GOLDENS[kind].call(model, image))
    for variable, gradient in zip(
        model.trainable_variables, tape.gradient(loss, model.trainable_variables)
    ):
        if any(part in variable.name for part in GOLDENS[kind].unused):
            continue
        assert gradient is not None, variable.name
        assert np.isfinite(gradient).all(), variable.name
        assert np.any(gradient), variable.name


_RELOAD = """
import json, pathlib, sys
import numpy as np
import tensorflow as tf
found = {}
for folder in pathlib.Path(sys.argv[1]).iterdir():
    function = tf.saved_model.load(str(folder / "model")).signatures["serving_default"]
    data, wrong = np.load(folder / "data.npz"), []
    for key in data.files:
        if key.startswith("in"):
            got = next(iter(function(image=tf.constant(data[key])).values())).numpy()
            expected = data["out" + key[2:]]
            close = got.shape == expected.shape and np.isclose(got, expected, rtol=1e-4, atol=1e-3)
            if np.mean(close) <= 0.999:
                wrong.append(key)
    found[folder.name] = wrong
assert "lossylab" not in sys.modules
print(json.dumps(found))
"""


def _export(kind, random, folder):
    """A SavedModel with what it should give, for `_RELOAD`."""
    golden, served = GOLDENS[kind], tf.Module()
    served.model, served.function = _network(kind), _function(kind)
    signature = served.function.get_concrete_function()
    tf.saved_model.save(served, str(folder / "model"), signatures=signature)
    data = {}
    for i, size in enumerate(golden.sizes):
        data[f"in{i}"] = _image(size, random).numpy()
        data[f"out{i}"] = served.function(data[f"in{i}"]).numpy()
    np.savez(folder / "data.npz", **data)


@pytest.fixture(scope="module")
def reloaded(tmp_path_factory):
    """What went wrong in one process without lossylab that reloads all models, by name."""
    root, random = tmp_path_factory.mktemp("exports"), np.random.default_rng(1)
    for kind in GOLDENS:
        (root / kind.__name__).mkdir()
        _export(kind, random, root / kind.__name__)
    done = subprocess.run(
        [sys.executable, "-c", _RELOAD, str(root)], capture_output=True, text=True, cwd=root.anchor
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.long
@_MODELS
def test_saved_model_works_in_a_process_without_lossylab(kind, reloaded):
    assert reloaded[kind.__name__] == []


@_MODELS
def test_config_makes_an_equal_network(kind):
    model = _network(kind)
    config = json.loads(json.dumps(model.get_config()))
    copy = kind.from_config(config)
    assert copy.get_config() == config
    assert [(v.name, v.shape) for v in copy.variables] == [
        (v.name, v.shape) for v in model.variables
    ]
    found = tf.keras.saving.deserialize_keras_object(tf.keras.saving.serialize_keras_object(model))
    assert type(found) is kind


@_MODELS
@pytest.mark.parametrize("file", long_but(["model.weights.h5"], ["model.weights.h5", "checkpoint"]))
def test_weights_files_lose_nothing(kind, file, random, tmp_path):
    golden = GOLDENS[kind]
    one, other, image = golden.build(), golden.build(), _image(golden.sizes[-1], random)
    for variable in one.variables:  # moments too are not those of a new network
        change = tf.random.uniform(variable.shape, 0.0, 0.01, dtype=variable.dtype)
        variable.assign_add(change)
    assert not np.array_equal(golden.call(one, image), golden.call(other, image))
    one.save_weights(tmp_path / file)
    status = other.load_weights(tmp_path / file)
    if file == "checkpoint":
        status.assert_consumed()
    assert len(one.variables) == len(one.weights)
    for mine, theirs in zip(one.variables, other.variables):
        np.testing.assert_array_equal(mine, theirs, err_msg=mine.name)
    np.testing.assert_array_equal(golden.call(one, image), golden.call(other, image))


@_MODELS
def test_variables_have_names_of_their_own(kind):
    model = _network(kind)
    names = [variable.name for variable in model.variables]
    assert len(set(names)) == len(names)
    assert all("/" in name for name in names)  # begins with the model's, or a part's given to it
    assert names == [variable.name for variable in GOLDENS[kind].build().variables]


@_MODELS
def test_summary_counts_every_weight(kind):
    model, lines = _network(kind), []
    model.summary(print_fn=lambda line, **_: lines.append(line))
    count = sum(variable.shape.num_elements() for variable in model.variables)
    assert any(line.startswith(f"Total params: {count} (") for line in lines)


@pytest.mark.long
@_MODELS
def test_works_inside_another_keras_model(kind, random):
    golden, model = GOLDENS[kind], _network(kind)
    size = golden.sizes[0] if len(golden.sizes) == 1 else (None, None)
    image = tf.keras.Input((*size, 3))
    outer = tf.keras.Model(image, model(*golden.feed(image)))
    assert {id(v) for v in outer.variables} == {id(v) for v in model.variables}
    given = _image(golden.sizes[-1], random)
    for one, other in zip(
        tf.nest.flatten(outer(given)), tf.nest.flatten(model(*golden.feed(given)))
    ):
        assert np.isclose(one, other, rtol=1e-4, atol=1e-3).mean() > 0.999


@_MODELS
def test_mixed_precision_counts_only_where_it_is_called(kind, random):
    golden, image = GOLDENS[kind], _image(GOLDENS[kind].sizes[-1], random)
    tf.random.set_seed(3)
    expected = golden.call(golden.build(), image)
    with precision.policy("mixed_bfloat16"):
        tf.random.set_seed(3)
        network = golden.build()
    assert {variable.dtype for variable in network.variables} == {tf.float32}
    # A bfloat16 has 8 bits; threads may add up in another order.
    np.testing.assert_allclose(golden.call(network, image), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("patch", [0, 12, -8])
def test_proxy_refuses_patches_that_do_not_pool(patch):
    from lossylab.models.proxiqa import ProxIQA

    with pytest.raises(ValueError, match=f"patch must be a positive multiple of 8, got {patch}"):
        ProxIQA(patch)


def test_proxy_refuses_another_patch_size(random):
    from lossylab.models.proxiqa import ProxIQA

    image = _image((40, 40), random)
    with pytest.raises(ValueError, match="not compatible|incompatible"):
        ProxIQA(32)((image, image))


def test_proxy_puts_the_reference_first(random):
    from lossylab.models.proxiqa import ProxIQA

    model, a, b = ProxIQA(16), _image((16, 16), random), _image((16, 16), random)
    assert not np.allclose(model((a, b)), model((b, a)))
