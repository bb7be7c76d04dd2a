"""What every registered model must do; see tests/golden_models.py."""

import importlib
import inspect
import pathlib
import pkgutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from golden_models import GOLDENS, PARTS

import lossylab.models

_MODELS = pytest.mark.parametrize("kind", GOLDENS, ids=lambda kind: kind.__name__)


def _image(size, random, batch=2):
    return tf.constant(random.uniform(0, 255, (batch, *size, 3)), tf.float32)


def _function(kind, model):
    """The model's call as a graph of any size."""
    spec = tf.TensorSpec((None, None, None, 3), tf.float32, name="image")
    if len(GOLDENS[kind].sizes) == 1:
        spec = tf.TensorSpec((None, *GOLDENS[kind].sizes[0], 3), tf.float32, name="image")
    return tf.function(lambda image: GOLDENS[kind].call(model, image), input_signature=[spec])


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


@_MODELS
def test_number_of_parameters_is_the_papers(kind):
    golden = GOLDENS[kind]
    count = sum(int(np.prod(v.shape)) for v in golden.default().trainable_variables)
    assert count == golden.parameters


@_MODELS
def test_checkpoint_restores_into_a_new_instance(kind, random, tmp_path):
    golden = GOLDENS[kind]
    image = _image(golden.sizes[-1], random)
    one, other = golden.build(), golden.build()
    assert not np.array_equal(golden.call(one, image), golden.call(other, image))
    path = tf.train.Checkpoint(model=one).write(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(model=other).read(path).assert_consumed()
    np.testing.assert_array_equal(golden.call(one, image), golden.call(other, image))


@_MODELS
def test_graph_equals_eager_at_all_sizes(kind, random):
    golden, model = GOLDENS[kind], GOLDENS[kind].build()
    graph = _function(kind, model)
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
    golden, model = GOLDENS[kind], GOLDENS[kind].build()
    image = _image(golden.sizes[-1], random, batch=3)
    whole = golden.call(model, image)
    for i in range(3):
        single = golden.call(model, image[i : i + 1])[0]
        np.testing.assert_allclose(single, whole[i], rtol=1e-3, atol=1e-2)


@_MODELS
def test_gradients_reach_every_parameter(kind, random):
    model = GOLDENS[kind].build()
    image = _image((32, 32), random)
    with tf.GradientTape() as tape:
        if hasattr(model, "prior"):
            noise = [tf.fill((2, *shape), 0.25) for shape in model.noise_shapes(32, 32)]
            reconstruction, bits = model(image, *noise)
            loss = tf.reduce_sum(reconstruction) + tf.reduce_sum(bits)
        else:
            loss = tf.reduce_sum(GOLDENS[kind].call(model, image))
    for variable, gradient in zip(
        model.trainable_variables, tape.gradient(loss, model.trainable_variables)
    ):
        assert gradient is not None, variable.name
        assert np.isfinite(gradient).all(), variable.name
        assert np.any(gradient), variable.name


_RELOAD = """
import sys
import numpy as np
import tensorflow as tf
folder = sys.argv[1]
function = tf.saved_model.load(folder + "/model").signatures["serving_default"]
data = np.load(folder + "/data.npz")
for key in data.files:
    if key.startswith("in"):
        got = next(iter(function(image=tf.constant(data[key])).values())).numpy()
        expected = data["out" + key[2:]]
        close = np.isclose(got, expected, rtol=1e-4, atol=1e-3)
        assert got.shape == expected.shape and close.mean() > 0.999, key
assert "lossylab" not in sys.modules
"""


@_MODELS
def test_saved_model_works_in_a_process_without_lossylab(kind, random, tmp_path):
    golden, model = GOLDENS[kind], GOLDENS[kind].build()
    served = tf.Module()
    served.model = model
    served.function = _function(kind, model)
    signature = served.function.get_concrete_function()
    tf.saved_model.save(served, str(tmp_path / "model"), signatures=signature)
    data = {}
    for i, size in enumerate(golden.sizes):
        data[f"in{i}"] = _image(size, random).numpy()
        data[f"out{i}"] = served.function(data[f"in{i}"]).numpy()
    np.savez(tmp_path / "data.npz", **data)
    done = subprocess.run(
        [sys.executable, "-c", _RELOAD, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=pathlib.Path(tmp_path).anchor,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("patch", [0, 12, -8])
def test_proxy_refuses_patches_that_do_not_pool(patch):
    from lossylab.models.proxiqa import ProxIQA

    with pytest.raises(ValueError, match=f"patch must be a positive multiple of 8, got {patch}"):
        ProxIQA(patch)


def test_proxy_refuses_another_patch_size(random):
    from lossylab.models.proxiqa import ProxIQA

    image = _image((40, 40), random)
    with pytest.raises(ValueError, match="not compatible|incompatible"):
        ProxIQA(32)(image, image)


def test_proxy_puts_the_reference_first(random):
    from lossylab.models.proxiqa import ProxIQA

    model, a, b = ProxIQA(16), _image((16, 16), random), _image((16, 16), random)
    assert not np.allclose(model(a, b), model(b, a))
