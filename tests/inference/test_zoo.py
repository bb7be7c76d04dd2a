"""Networks in files, and models that have names."""

import json

import numpy as np
import pytest
import tensorflow as tf

import lossylab
from lossylab.cli import __main__ as cli
from lossylab.core.errors import ExportError, UsageError
from lossylab.inference.codecs.registry import learned
from lossylab.inference.export import container, network_file, zoo
from lossylab.inference.export.base import located
from lossylab.inference.export.codec import Codec
from lossylab.models.arcnn import ARCNN
from lossylab.models.bls2017 import BLS2017
from lossylab.train import proxiqa
from lossylab.train.loop import warm_start


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    tf.random.set_seed(1)
    path = tmp_path_factory.mktemp("codec") / "export"
    Codec.save(BLS2017(4), path, {"lmbda": 0.01, "metric": "mse"}, steps=7)
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "FOLDER", tmp_path / "zoo")
    monkeypatch.setenv("LOSSYLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "zoo"


def _add(export, name="tiny", **options):
    flags = [f"--{key}={value}" for key, value in options.items()]
    cli.main(["models", "add", str(export), name, "--summary=a tiny codec", *flags])


def _equal(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights()))


def test_an_export_keeps_its_network(export):
    network = lossylab.load(export).network()
    image = tf.random.uniform((1, 32, 32, 3), 0, 255)
    codec = lossylab.load(export)
    assert type(network) is BLS2017
    assert network.filters == 4
    Codec.save(network, export.with_name("again"), {})
    again = lossylab.load(export.with_name("again"))
    assert again.weights == codec.weights
    np.testing.assert_array_equal(
        *(each.reconstruct(np.uint8(image[0]))[0] for each in (codec, again))
    )


def test_a_model_with_a_name_is_an_export_everywhere(export, folder, tmp_path, capsys):
    _add(export, hours=0.5, license="CC0", quality="30 dB")
    assert zoo.names() == ["tiny"]
    codec = lossylab.load("tiny")
    card = {key: codec.card[key] for key in ("steps", "license", "options")}
    assert card == {"steps": 7, "license": "CC0", "options": {"lmbda": 0.01, "metric": "mse"}}
    image = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)
    data, _ = container.compress(codec, image)
    decoded = container.decompress(Codec("tiny"), data)
    np.testing.assert_array_equal(decoded, codec.reconstruct(image)[0])
    original = lossylab.load(export).reconstruct(image)[0]
    assert np.abs(decoded.astype(int) - original).max() <= 2  # float16
    capsys.readouterr()
    cli.main(["models"])
    assert capsys.readouterr().out == "name,kind,summary\ntiny,codec,a tiny codec\n"
    cli.main(["models", "tiny"])
    assert json.loads(capsys.readouterr().out)["quality"] == "30 dB"


@pytest.mark.parametrize("pattern", ["tiny", "tin*"])
def test_models_with_names_are_points_of_curves(pattern, export, folder):
    _add(export)
    (codec,) = learned([f"mse:{pattern}"])
    assert (codec.name, codec.settings) == ("mse", ("tiny",))


def test_an_export_is_made_once_and_of_each_weights_anew(export, folder):
    _add(export)
    first = located("tiny")
    time = (folder.parent / first / "saved_model.pb").stat().st_mtime_ns
    assert located("tiny") == first
    assert (folder.parent / first / "saved_model.pb").stat().st_mtime_ns == time
    (folder / "tiny.json").unlink()
    Codec.save(BLS2017(4), folder.parent / "other", {})
    _add(folder.parent / "other")
    assert located("tiny") != first


def test_names_that_are_taken_or_none_are_refused(export, folder):
    _add(export)
    with pytest.raises(UsageError, match="^there is a model called tiny already$"):
        _add(export)
    with pytest.raises(UsageError, match="a model's name has small letters"):
        _add(export, "../tiny")
    with pytest.raises(UsageError, match="^NAME knows tiny, not huge$"):
        cli.main(["models", "huge"])
    with pytest.raises(ExportError, match="or a name that `lossylab models` lists$"):
        lossylab.load("huge")


def test_a_damaged_model_is_refused(export, folder):
    _add(export)
    data = bytearray((folder / "tiny.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "tiny.npz").write_bytes(data)
    with pytest.raises(ExportError, match="tiny.npz is damaged: its SHA-256 is"):
        lossylab.load("tiny")


@pytest.mark.parametrize("kind", ["run", "export", "name"])
def test_a_training_begins_with_a_run_or_what_was_exported(kind, export, folder, tmp_path):
    _add(export)
    options = proxiqa.ProxiqaOptions(
        train_data="sample_train", run_dir=str(tmp_path / "run"), steps=1, filters=4, patch=32,
        batch=1, min_scale=1, metric="mse",
    )  # fmt: skip
    source = {"export": str(export), "name": "tiny"}.get(kind)
    if kind == "run":
        source = proxiqa.train(options)
        checkpoint = warm_start.checkpoint_of(source, "init_from")
        expected = tf.train.load_variable(checkpoint, "step/.ATTRIBUTES/VARIABLE_VALUE")
        assert expected == 1
    options = options.replace(run_dir=str(tmp_path / "next"), init_from=str(source))
    task = proxiqa.ProxIQATask(options, proxiqa.Files.of(options))
    before = [weight.copy() for weight in task.codec.get_weights()]
    task.begin()
    assert not all(np.array_equal(*pair) for pair in zip(before, task.codec.get_weights()))
    if kind != "run":
        assert _equal(task.codec, lossylab.load(str(source)).network())


def test_a_network_of_another_size_is_no_beginning(export):
    with pytest.raises(UsageError, match="`init_from`: the network of .*'filters': 4"):
        warm_start.begin_with({"codec": BLS2017(8)}, str(export), "init_from")
    with pytest.raises(UsageError, match="is an export, codec and proxy need a run"):
        warm_start.begin_with({"codec": BLS2017(4), "proxy": None}, str(export), "init_from")


def _forged(tmp_path, **changes):
    network = ARCNN(1)
    network_file.write(network, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        arrays = dict(file)
    header = {"class": "ARCNN", "config": network.get_config(), **changes}
    arrays["network.json"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    return arrays


_LAMBDA = {"class_name": "Lambda", "config": {}, "registered_name": None, "module": "keras.layers"}


@pytest.mark.parametrize(
    "changes",
    [{"class": "os"}, {"class": "__doc__"}, {"class": 3}, {"config": []}, {"config": {"x": 1}},
     {"config": {"channels": _LAMBDA}}, {"config": {"channels": [{"class_name": "Lambda"}]}}],
)  # fmt: skip
def test_files_of_no_network_are_refused(changes, tmp_path):
    np.savez(tmp_path / "b.npz", **_forged(tmp_path, **changes))
    with pytest.raises(ExportError, match="no file of a network, or a damaged one"):
        network_file.read(tmp_path / "b.npz")


def test_weights_that_are_not_the_networks_are_refused(tmp_path):
    arrays = _forged(tmp_path)
    name = next(name for name in arrays if name != "network.json")
    wrong = [
        {key: value for key, value in arrays.items() if key != name},
        {**arrays, "more": np.zeros(1)},
        {**arrays, name: np.zeros(3, np.float32)},
        {**arrays, name: np.array([{}], object)},
    ]
    for each in wrong:
        np.savez(tmp_path / "b.npz", **each)
        with pytest.raises(ExportError, match="no file of a network, or a damaged one"):
            network_file.read(tmp_path / "b.npz")
    for data in (b"", b"PK", (tmp_path / "a.npz").read_bytes()[:500]):
        (tmp_path / "b.npz").write_bytes(data)
        with pytest.raises(ExportError, match="no file of a network, or a damaged one"):
            network_file.read(tmp_path / "b.npz")
