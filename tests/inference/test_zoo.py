"""Networks in files, and models that have names."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

import lossylab
from lossylab.cli import __main__ as cli
from lossylab.core.digest import file_digest
from lossylab.core.errors import ExportError, UsageError
from lossylab.inference.codecs.registry import learned
from lossylab.inference.export import container, network_file, zoo
from lossylab.inference.export.base import located, network_path
from lossylab.inference.export.codec import Codec
from lossylab.inference.export.rankiqa import Scorer
from lossylab.models.arcnn import ARCNN
from lossylab.models.bls2017 import BLS2017
from lossylab.models.bmshj2018 import BMSHJ2018
from lossylab.models.rankiqa import RankIQA
from lossylab.train import proxiqa
from lossylab.train.loop import warm_start


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    tf.random.set_seed(1)
    path = tmp_path_factory.mktemp("codec") / "export"
    Codec.save(BLS2017(4), path, {"lmbda": 0.01, "metric": "mse", "run_dir": "a/b"}, steps=7)
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "PACKAGED", tmp_path / "packaged")
    monkeypatch.setenv("LOSSYLAB_ZOO", str(tmp_path / "zoo"))
    monkeypatch.setenv("LOSSYLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "zoo"


def _add(export, name="tiny", **options):
    flags = [f"--{key}={value}" for key, value in options.items()]
    cli.main(["models", "add", str(export), name, "--summary=a tiny codec", *flags])


def _equal(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights()))


@pytest.mark.long
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


def test_a_model_that_cannot_be_served_leaves_no_file(export, folder, monkeypatch):
    def fail(network):
        raise ExportError("its tables cannot be built")

    monkeypatch.setattr(Codec, "serve", fail)
    with pytest.raises(ExportError, match="cannot be built"):
        _add(export)
    assert not folder.exists()


def test_a_model_with_a_name_is_an_export_everywhere(export, folder, tmp_path, capsys):
    _add(export, hours=0.5, license="CC0", quality="30 dB")
    assert zoo.names() == ["tiny"]
    codec = lossylab.load("tiny")
    card = {key: codec.card[key] for key in ("steps", "license", "options", "quality")}
    options = {"lmbda": 0.01, "metric": "mse"}
    assert card == {"steps": 7, "license": "CC0", "options": options, "quality": "30 dB"}
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
    shown = json.loads(capsys.readouterr().out)
    assert "ICLR 2017" in shown.pop("paper")
    assert (shown, shown["quality"]) == (zoo.card("tiny"), "30 dB")
    assert (*list(shown)[:2], list(shown)[-1]) == ("summary", "quality", "options")


@pytest.mark.long
@pytest.mark.parametrize("pattern", ["tiny", "tin*"])
def test_models_with_names_are_points_of_curves(pattern, export, folder):
    _add(export)
    (codec,) = learned([f"mse:{pattern}"])
    assert (codec.name, codec.settings) == ("mse", ("tiny",))


@pytest.mark.long
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


@pytest.mark.parametrize(
    "network",
    [BLS2017(4, 6), pytest.param(BMSHJ2018(4, 6), marks=pytest.mark.long)],
    ids=lambda n: n.model_id,
)
def test_a_model_codes_by_the_tables_that_it_was_added_with(network, folder, tmp_path, monkeypatch):
    """Another machine may build other tables of the same weights, by their last bits."""
    Codec.save(network, tmp_path / "export", {})
    _add(tmp_path / "export")
    tables = network_file.tables(folder / "tiny.npz")
    key = next(name for name in tables if name.endswith("cdf_offset") and "hyper" not in name)
    tables[key] += 1
    network_file.write(network_file.read(folder / "tiny.npz"), folder / "tiny.npz", tables=tables)
    card = json.loads((folder / "tiny.json").read_text())
    card["sha256"] = file_digest(folder / "tiny.npz")
    (folder / "tiny.json").write_text(json.dumps(card))
    codec, image = Codec("tiny"), np.zeros((16, 16, 3), np.uint8)
    assert codec.weights == card["weights"]
    coded = codec.compress(image)
    same = Codec.serve_with(codec.network(), tables)
    decoded = same.functions["decompress"](tf.constant(coded.string), 16, 16)
    expected = decoded["reconstruction"]
    np.testing.assert_array_equal(codec.decompress(coded), expected)
    built = Codec.serve(codec.network())
    assert set(built.tables) == set(tables)
    assert not np.array_equal(built.tables[key], tables[key])


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


def test_packaged_models_are_found_and_a_folder_of_the_name_goes_before(
    export, folder, tmp_path, monkeypatch
):
    _add(export, folder=tmp_path / "packaged")
    assert not folder.exists()
    assert zoo.is_named("tiny")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    with pytest.raises(ExportError, match="^tiny: the folder has no SavedModel"):
        lossylab.load("tiny")
    (codec,) = learned([f"mse:{export}"])
    assert codec.settings == (export.parent.name,)


def _task(folder, **options):
    given = {"filters": 4, "patch": 32, "batch": 1, "min_scale": 1, "metric": "mse", **options}
    made = proxiqa.ProxiqaOptions(
        train_data="sample_train", run_dir=str(folder / "run"), steps=1, **given
    )
    return proxiqa.ProxIQATask(made, proxiqa.Files.of(made))


@pytest.mark.parametrize("kind", ["export", "name"])
def test_a_training_begins_with_what_was_exported(kind, export, folder, tmp_path):
    _add(export)
    source = {"export": str(export), "name": "tiny"}[kind]
    task = _task(tmp_path, init_from=source)
    task.begin()
    assert _equal(task.codec, network_file.read(network_path(source)))
    assert warm_start.option_of(source, "metric") == "mse"


def test_parts_of_a_network_are_begun_with(tmp_path):
    Scorer.save(RankIQA(2, 8, 64, "random"), tmp_path / "export", {})
    other = RankIQA(2, 8, 64, "random")
    warm_start.begin_with({"body": other.body}, str(tmp_path / "export"), "init_from")
    known = lossylab.load(tmp_path / "export").network()
    assert _equal(other.body, known.body)
    assert not _equal(other.last, known.last)


def test_exports_that_do_not_fit_are_no_beginning(export, tmp_path):
    def begin(**parts):
        warm_start.begin_with(parts, str(export), "init_from")

    with pytest.raises(UsageError, match="`init_from`: the BLS2017 of .* has filters=4, this tr"):
        begin(codec=BLS2017(8))
    with pytest.raises(UsageError, match="latent_filters=0, this training's latent_filters=6$"):
        begin(codec=BLS2017(4, 6))
    with pytest.raises(UsageError, match="is an export of BLS2017, the codec needs a run"):
        begin(codec=BMSHJ2018(4))
    with pytest.raises(UsageError, match="is an export of BLS2017, the proxy needs a run"):
        begin(codec=BLS2017(4), proxy=tf.Module())
    with pytest.raises(UsageError, match="`versions`=3: .* is an export, which has one version"):
        warm_start.newest_checkpoints(str(export), 3, "versions")
    with pytest.raises(UsageError, match="a name that `lossylab models` lists is expected"):
        warm_start.begin_with({}, "tyni", "init_from")
    shutil.copytree(export, tmp_path / "old")
    (tmp_path / "old" / "assets.extra" / "network.npz").unlink()
    with pytest.raises(UsageError, match="was made by lossylab 0.1, which kept no network"):
        warm_start.begin_with({"codec": BLS2017(4)}, str(tmp_path / "old"), "init_from")


def test_weights_that_float16_does_not_hold_stay_float32(tmp_path):
    network = ARCNN(1)
    first, second, *_ = network.variables
    first.assign(tf.fill(first.shape, 1e5))
    second.assign(tf.fill(second.shape, 1e-7))
    network_file.write(network, tmp_path / "a.npz", narrow=True)
    for one, other in zip(network.variables, network_file.read(tmp_path / "a.npz").variables):
        bits = 8 if one.shape.num_elements() > 4096 else 11
        np.testing.assert_allclose(other, one, rtol=2.0**-bits, atol=1e-6 * np.abs(one).max())


def test_small_files_keep_eight_bits_of_large_kernels_and_eleven_of_others(tmp_path):
    network = ARCNN(1)
    generator = np.random.default_rng(1)
    for variable in network.variables:
        variable.assign(generator.uniform(0.1, 1.0, variable.shape))
    network_file.write(network, tmp_path / "exact.npz")
    network_file.write(network, tmp_path / "small.npz", narrow=True)
    size = {name: (tmp_path / f"{name}.npz").stat().st_size for name in ("exact", "small")}
    assert size["small"] < 0.4 * size["exact"]
    small = network_file.read(tmp_path / "small.npz")
    for one, other in zip(network.variables, small.variables):
        fraction, _ = np.frexp(other.numpy())
        bits = 8 if one.shape.num_elements() > 4096 else 11
        assert np.array_equal(fraction * 2**bits, np.round(fraction * 2**bits))
        np.testing.assert_allclose(other, one, rtol=2.0**-bits)
    network_file.narrow(network)
    assert _equal(network, small)


def _forged(tmp_path, **changes):
    network = ARCNN(1)
    network_file.write(network, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        arrays = dict(file)
    header = {"class": "ARCNN", "config": network.get_config(), **changes}
    arrays["network.json"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    return arrays


_LAMBDA = {"class_name": "Lambda", "config": {}, "registered_name": None, "module": "keras.layers"}
_FOREIGN = {"class_name": "X", "config": {}, "registered_name": "lossylab>x", "module": "forged"}


@pytest.mark.parametrize(
    "changes",
    [{"class": "os"}, {"class": "__doc__"}, {"class": 3}, {"config": []}, {"config": {"x": 1}},
     {"config": {"channels": _LAMBDA}}, {"config": {"channels": [{"class_name": "Lambda"}]}},
     {"config": {"channels": _FOREIGN}}],
)  # fmt: skip
def test_files_of_no_network_are_refused(changes, tmp_path, monkeypatch):
    (tmp_path / "forged.py").write_text("raise SystemExit('run')")
    monkeypatch.syspath_prepend(tmp_path)
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


def test_damaged_files_end_in_one_error(tmp_path, random):
    network_file.write(ARCNN(1), tmp_path / "a.npz", narrow=True)
    data = (tmp_path / "a.npz").read_bytes()
    directory = data.rindex(b"PK\1\2") - 400  # members, then what tells where they are
    places = [*random.integers(0, len(data), 100), *random.integers(directory, len(data), 100)]
    flipped = [data[:i] + bytes([data[i] ^ 1 << i % 8]) + data[i + 1 :] for i in places]
    refused = 0
    for each in (b"", b"PK", data[:500], *flipped):
        (tmp_path / "b.npz").write_bytes(each)
        try:
            network_file.read(tmp_path / "b.npz")
        except ExportError as error:
            assert "no file of a network, or a damaged one" in str(error)  # noqa: PT017
            refused += 1
    assert refused > 100
