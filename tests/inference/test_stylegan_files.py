"""Official StyleGAN pickles to files of our own: the same network, and nothing is executed."""

import builtins
import functools
import io
import json
import os
import pathlib
import pickle
import struct
import subprocess
import sys
import tracemalloc
import types
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from lengths import long_but

import lossylab
from lossylab.cli import __main__ as cli
from lossylab.core.errors import UsageError
from lossylab.inference.importers import stylegan_files
from lossylab.models import stylegan

GOLDEN = pathlib.Path(lossylab.__file__).parent.parent / "shared" / "golden"
_SMALL = {"latent": 12, "mapping": 10, "width": 14, "fmap_base": 64, "fmap_max": 8}

both = pytest.mark.parametrize("version", [1, 2])


def _golden(name):
    if not (GOLDEN / name).exists():
        pytest.skip(f"the official file {name} is not at hand")
    return str(GOLDEN / name)


@both
def test_official_file_gives_the_official_images(version, tmp_path):
    target = str(tmp_path / "generator.npz")
    source = _golden(f"stylegan{version}_res32_networks.pkl")
    cli.main(["import", "stylegan", source, target])
    network = stylegan_files.load(target)
    numbers = np.load(_golden(f"stylegan{version}_res32.npz"))
    for name, array in network.official().items():
        np.testing.assert_array_equal(array, numbers[f"var/{name}"], err_msg=name)
    got = network.synthesis(numbers["w_plus"]).numpy().transpose(0, 3, 1, 2) / 127.5 - 1.0
    np.testing.assert_allclose(got, numbers["img_wplus"], atol=1e-4)
    if version == 1:  # of version 2 there is no image with its own truncation
        got = network(numbers["z"]).numpy().transpose(0, 3, 1, 2) / 127.5 - 1.0
        np.testing.assert_allclose(got, numbers["img_psi07"], atol=1e-4)
    assert network.config["psi"] == {1: 0.7, 2: 0.5}[version]
    assert network.config["fused_from"] == {1: 128, 2: None}[version]


@functools.cache
def _small(version, resolution=8):
    return stylegan.random(version, resolution, 0, **_SMALL)


class _Network:
    """As the official class pickles itself."""

    __module__, __qualname__ = "dnnlib.tflib.network", "Network"

    def __init__(self, kind, settings, variables, components=()):
        self.state = {
            "version": 4,
            "name": kind,
            "static_kwargs": settings,
            "components": dict(components),
            "build_module_src": "open(OUT, 'w').close()",
            "build_func_name": kind,
            "variables": variables,
        }

    def __getstate__(self):
        return self.state


class _EasyDict(dict):
    __module__, __qualname__ = "dnnlib.util", "EasyDict"


@pytest.fixture(name="dnnlib")
def _dnnlib(monkeypatch):
    """Lets `_Network` and a dictionary be pickled under the official names."""
    for name in ("dnnlib", "dnnlib.tflib", "dnnlib.tflib.network", "dnnlib.util"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    for cls in (_Network, _EasyDict):
        setattr(sys.modules[cls.__module__], cls.__qualname__, cls)


def _networks(network, settings=(), mapping=(), change=lambda arrays: None, lod=0.0, kind=None):
    """(G, D, Gs) of a generator, with further settings and changed arrays."""
    arrays = network.official()
    change(arrays)
    own = [("lod", np.float32(lod)), ("dlatent_avg", arrays.pop("dlatent_avg"))]
    settings = _EasyDict({"resolution": network.resolution, **dict(settings)})
    parts = {}
    for part, function in (
        ("synthesis", {1: "G_synthesis", 2: "G_synthesis_stylegan2"}[network.version]),
        ("mapping", "G_mapping"),
    ):
        start = f"G_{part}/"
        inside = [(k[len(start) :], v) for k, v in arrays.items() if k.startswith(start)]
        if part == "synthesis" and network.version == 1:
            inside.insert(0, ("lod", np.float32(lod)))
        options = settings | dict(mapping) if part == "mapping" else settings
        name = kind or function if part == "synthesis" else function
        parts[part] = _Network(name, options, inside)
    top = {1: "G_style", 2: "G_main"}[network.version]
    gs = _Network(top, settings, own, parts)
    return _Network("G", {}, []), _Network("D", {}, []), gs


def _write(path, value, protocol=4):
    path.write_bytes(pickle.dumps(value, protocol))
    return str(path)


@both
@pytest.mark.parametrize("protocol", long_but([4], [2, 3, 4, 5]))
def test_both_protocols_of_bytes_give_the_same_network(version, protocol, tmp_path, dnnlib):
    network = _small(version)
    path = _write(tmp_path / "a.pkl", _networks(network), protocol)
    read = stylegan_files.read_official(path)
    for name, array in network.official().items():
        np.testing.assert_array_equal(read.official()[name], array, err_msg=name)
    z = tf.random.normal((2, 12))
    np.testing.assert_array_equal(read(z), network(z))


def test_newer_numpys_names_and_other_layouts_of_arrays_are_known(tmp_path, dnnlib):
    network = _small(2)

    def change(arrays):
        name = "G_mapping/Dense0/weight"
        arrays[name] = np.asfortranarray(arrays[name].astype(">f8"))

    data = pickle.dumps(_networks(network, change=change), 3)
    path = tmp_path / "a.pkl"
    path.write_bytes(data.replace(b"cnumpy.core.multiarray", b"cnumpy._core.multiarray"))
    read = stylegan_files.read_official(str(path))
    for name, array in network.official().items():
        np.testing.assert_array_equal(read.official()[name], array, err_msg=name)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"fused_scale": True}, {"fused_from": 4}),
        ({"fused_scale": False}, {"fused_from": None}),
        ({"fused_scale": "auto"}, {"fused_from": 128}),
        ({"truncation_psi": 0.25, "truncation_cutoff": 3}, {"psi": 0.25, "cutoff": 3}),
        ({"truncation_psi": None}, {"psi": 1.0}),
        ({"truncation_psi": 0.25, "truncation_cutoff": None}, {"psi": 0.25, "cutoff": None}),
        ({"truncation_cutoff": -1}, {"cutoff": 0}),
        ({"mapping_lrmul": 0.5}, {"learning_rate": 0.5}),
        ({"randomize_noise": False, "structure": "fixed", "fmap_base": 8192}, {}),
        ({"resolution": np.int64(8)}, {}),
    ],
)
def test_settings_that_count_are_kept(settings, expected, tmp_path, dnnlib):
    network = _small(1)
    read = stylegan_files.read_official(_write(tmp_path / "a.pkl", _networks(network, settings)))
    assert read.config == {**network.config, **expected}


@pytest.mark.parametrize("clamp", [None, 0.5])
def test_networks_of_stylegan2_ada_are_known(clamp, tmp_path, dnnlib):
    """With its clamp; half precision and the like change nothing here."""
    network = _small(2)
    settings = {"num_fp16_res": 4, "conv_clamp": clamp, "fused_modconv": True}
    settings |= {"mapping_fmaps": None, "fmap_const": None, "synthesis_func": "G_synthesis"}
    made = _networks(network, settings, kind="G_synthesis")
    read = stylegan_files.read_official(_write(tmp_path / "a.pkl", made))
    assert read.config == {**network.config, "clamp": clamp}
    w = tf.random.stateless_normal((1, read.num_layers, read.width), (1, 2))
    layers = dict(read.steps(w))
    image = layers.pop("images_out")
    plain = dict(network.steps(w))
    largest = max(float(tf.reduce_max(tf.abs(x))) for x in layers.values())
    if clamp is None:
        np.testing.assert_array_equal(image, plain["images_out"])
    else:
        assert largest == pytest.approx(clamp)
        first = tf.clip_by_value(plain["4x4/Conv"], -clamp, clamp)
        np.testing.assert_allclose(layers["4x4/Conv"], first, rtol=1e-6)
    stylegan_files.save(read, str(tmp_path / "a.npz"))
    np.testing.assert_array_equal(
        stylegan_files.load(str(tmp_path / "a.npz")).synthesis(w), 127.5 * (image + 1)
    )


@both
@pytest.mark.parametrize("cutoff", [None, 0, -1])
def test_without_a_cutoff_version_1_is_not_truncated(version, cutoff, tmp_path, dnnlib):
    """As officially: version 2 is then truncated in all layers. Also of files that are read."""
    settings = {"truncation_psi": 0.25, "truncation_cutoff": cutoff}
    network = _small(version)
    read = stylegan_files.read_official(_write(tmp_path / "a.pkl", _networks(network, settings)))
    stylegan_files.save(read, str(tmp_path / "a.npz"))
    read = stylegan_files.load(str(tmp_path / "a.npz"))
    z = tf.random.stateless_normal((1, 12), (1, 2))
    w = tf.repeat(read.map(z)[:, None], read.num_layers, 1)
    if version == 2 and cutoff is None:
        w = read.truncate(w, 0.25)
    np.testing.assert_allclose(read(z), read.synthesis(w), atol=1e-2)


@pytest.mark.parametrize(
    ("version", "options", "message"),
    [
        (2, {"settings": {"architecture": "resnet"}}, "architecture='resnet', only 'skip'"),
        (2, {"settings": {"resample_kernel": [1, 2, 1]}}, r"resample_kernel=\[1, 2, 1\]"),
        (2, {"settings": {"label_size": 10}}, "label_size=10, only 0"),
        (2, {"mapping": {"normalize_latents": False}}, "normalize_latents=False"),
        (1, {"settings": {"use_noise": False}}, "use_noise=False, only True"),
        (1, {"settings": {"use_pixel_norm": True}}, "use_pixel_norm=True, only False"),
        (1, {"settings": {"blur_filter": None}}, "blur_filter=None"),
        (1, {"settings": {"fused_scale": "never"}}, "fused_scale must be 'auto', True or False"),
        (1, {"settings": {"truncation_psi": "much"}}, "psi must be a number, got 'much'"),
        (1, {"settings": {"resolution": 1024}}, "for resolution=8, its settings say 1024"),
        (1, {"settings": {"latent_size": 512}}, "for latent_size=12, its settings say 512"),
        (1, {"lod": 2.0}, "not fully grown, 'lod' is 2.0"),
        (2, {"kind": "G_synthesis_stylegan_revised"}, "got 'G_synthesis_stylegan_revised'"),
        (2, {"kind": "G_synthesis", "settings": {"use_noise": False}}, "use_noise=False, only"),
        (2, {"kind": "G_synthesis", "settings": {"conv_clamp": "no"}}, "clamp must be a number"),
        (2, {"kind": "G_synthesis", "settings": {"conv_clamp": -1}}, "clamp must be positive"),
        (2, {"change": lambda a: a.pop("G_synthesis/4x4/Conv/weight")}, "Conv/weight' must be"),
        (2, {"change": lambda a: a.pop("G_mapping/Dense0/weight")}, "lacks arrays"),
        (
            2,
            {"change": lambda a: a.pop("G_mapping/Dense3/weight")},
            "Dense3/weight' must be .* got nothing",
        ),
        (2, {"change": lambda a: a.pop("G_synthesis/noise1")}, r"noise1' must be \[1, 1, 8, 8\]"),
        (
            2,
            {"change": lambda a: a.update({"G_synthesis/more": np.zeros(3)})},
            "'G_synthesis/more'",
        ),
        (
            2,
            {"change": lambda a: a.update({"dlatent_avg": np.zeros(3, np.float32)})},
            r"'dlatent_avg' must be \[14\], got \[3\]",
        ),
        (
            2,
            {"change": lambda a: a.update({"dlatent_avg": np.full(14, np.nan, np.float32)})},
            "'dlatent_avg' has values that are no numbers",
        ),
    ],
)
def test_networks_that_do_something_else_are_refused(version, options, message, tmp_path, dnnlib):
    path = _write(tmp_path / "a.pkl", _networks(_small(version), **options))
    with pytest.raises(UsageError, match=message):
        stylegan_files.read_official(path)


class _Call:
    """Pickles to the call of a function."""

    def __init__(self, function, *arguments, state=None):
        self._reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self._reduced


def _hostile(marker):
    """Pickles that would leave a file, or take all memory, and what is said of them."""
    shell = f"touch {marker}"
    python = f"open({str(marker)!r}, 'w').close()"
    glob = b"cnumpy.core.multiarray\n_reconstruct\n"
    return {
        "system": (pickle.dumps(_Call(os.system, shell)), "posix.system"),
        "system, protocol 0": (pickle.dumps(_Call(os.system, shell), 0), "posix.system"),
        "popen": (pickle.dumps(_Call(subprocess.Popen, ["touch", str(marker)])), "subprocess"),
        "eval": (pickle.dumps(_Call(builtins.eval, python)), "builtins.eval"),
        "exec": (pickle.dumps(_Call(builtins.exec, python)), "builtins.exec"),
        "getattr": (pickle.dumps(_Call(builtins.getattr, 1, "real")), "builtins.getattr"),
        "dotted": (
            b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tolist\x93.",
            r"numpy.ndarray\.tolist",
        ),
        "instance": (b"(S'" + shell.encode() + b"'\nios\nsystem\n.", "os.system"),
        "memo": (b"\x80\x04Nr\xff\xff\xff\x7f.", "it is not"),
        "bytes": (b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"abc.", "ends too early"),
        "byte array": (b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"abc.", "damaged"),
        "frame": (b"\x80\x04\x95" + struct.pack("<Q", 2**40) + b"N.", "ends too early"),
        "text": (b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"abc.", "ends too early"),
        "class changed": (glob + b"}S'a'\nI1\nsb.", "damaged"),
        "extension": (b"\x80\x02\x82\x01.", "damaged"),
        "persistent": (b"Pabc\n.", "persistent"),
    }


@pytest.mark.parametrize("name", list(_hostile("")))
def test_hostile_pickles_are_refused_and_do_nothing(name, tmp_path):
    marker = tmp_path / "marker"
    data, message = _hostile(marker)[name]
    (tmp_path / "a.pkl").write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(UsageError, match=message):
            stylegan_files.read_official(str(tmp_path / "a.pkl"))
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()
    assert not marker.exists()


@both
def test_the_source_text_in_a_network_is_not_run(version, tmp_path, dnnlib):
    networks = _networks(_small(version))
    marker = tmp_path / "marker"
    for network in (*networks, *networks[2].state["components"].values()):
        network.state["build_module_src"] = f"open({str(marker)!r}, 'w').close()"
    stylegan_files.read_official(_write(tmp_path / "a.pkl", networks))
    assert not marker.exists()
    exec(networks[2].state["build_module_src"])  # the text does what it is thought to
    assert marker.exists()


def _other_component(networks):
    networks[2].state["components"]["synthesis"] = _Call(os.getcwd)


def _no_network(networks):
    networks[2].state["components"]["synthesis"] = {"variables": []}


def _objects(networks):
    networks[2].state["variables"].append(("more", np.array([None])))


def _huge(networks):
    raw = networks[2].state["variables"][1][1].tobytes()
    state = (1, (2**40,), np.dtype("f4"), False, raw)
    reconstruct = np.zeros(1).__reduce__()[0]
    networks[2].state["variables"].append(
        ("more", _Call(reconstruct, np.ndarray, (0,), b"b", state=state))
    )


def _constructor(networks):
    networks[2].state["variables"].append(("more", _Call(np.ndarray, (2**40,))))


def _text_for_array(networks):
    networks[2].state["variables"].append(("more", "text"))


def _no_text_for_name(networks):
    networks[2].state["variables"].append(((1, 2), np.zeros(1)))


def _settings_missing(networks):
    del networks[2].state["static_kwargs"]


def _mapping_missing(networks):
    del networks[2].state["components"]["mapping"]


def _number_for_component(networks):
    networks[2].state["components"][3] = networks[0]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_other_component, "posix.getcwd, which networks do not need"),
        (_no_network, "should be a network is none"),
        (_objects, "an array of 'O8', which are no numbers"),
        (_huge, r"an array of \[1099511627776\] float32 has 56 bytes"),
        (_constructor, "a.pkl"),
        (_text_for_array, "'more' is no array"),
        (_no_text_for_name, "name of an array is no text"),
        (_settings_missing, "'static_kwargs' is missing"),
        (_mapping_missing, "a mapping and a synthesis network are expected"),
        (_number_for_component, "name of a network's component is no text"),
    ],
)
def test_networks_of_other_things_are_refused(damage, message, tmp_path, dnnlib):
    networks = _networks(_small(2))
    damage(networks)
    path = _write(tmp_path / "a.pkl", networks)
    with pytest.raises(UsageError, match=message):
        stylegan_files.read_official(path)


def test_truncated_pickles_are_refused(tmp_path, dnnlib):
    data = pickle.dumps(_networks(_small(2, 4)), 4)
    path = tmp_path / "a.pkl"
    for length in (0, 1, 2, 11, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(UsageError, match="no official StyleGAN pickle, or damaged"):
            stylegan_files.read_official(str(path))


def test_flipped_bytes_give_a_network_or_a_message(tmp_path, dnnlib, random):
    data = pickle.dumps(_networks(_small(1, 4)), 4)
    path, messages = tmp_path / "a.pkl", []
    for place in random.integers(0, len(data), 60):
        changed = bytearray(data)
        changed[place] ^= 1 << random.integers(8)
        path.write_bytes(changed)
        try:
            stylegan_files.read_official(str(path))
        except UsageError as error:
            messages.append(str(error))
    assert messages
    assert all("a.pkl" in message for message in messages)


@pytest.mark.parametrize(
    "value", [b"just text\n", b"", pickle.dumps([1, 2, 3]), pickle.dumps((1, 2, 3))]
)
def test_other_files_are_no_pickled_networks(value, tmp_path):
    (tmp_path / "a.pkl").write_bytes(value)
    with pytest.raises(UsageError, match="a.pkl is no official StyleGAN pickle, or damaged"):
        stylegan_files.read_official(str(tmp_path / "a.pkl"))


def test_an_archive_a_folder_and_nothing_are_no_pickled_networks(tmp_path):
    stylegan_files.save(_small(2, 4), str(tmp_path / "a.npz"))
    with pytest.raises(UsageError, match="no official StyleGAN pickle"):
        stylegan_files.read_official(str(tmp_path / "a.npz"))
    with pytest.raises(UsageError, match="is no file"):
        stylegan_files.read_official(str(tmp_path))
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        stylegan_files.read_official(str(tmp_path / "nothing"))


@both
def test_saved_file_gives_the_same_generator(version, tmp_path):
    network = stylegan.random(version, 8, 0, psi=0.3, cutoff=2, **_SMALL)
    path = str(tmp_path / "new" / "a.npz")
    stylegan_files.save(network, path)
    loaded = stylegan_files.load(path)
    assert loaded.config == network.config
    z = tf.random.normal((2, 12))
    np.testing.assert_array_equal(loaded(z), network(z))
    np.testing.assert_array_equal(loaded.mean, network.mean)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.npz"]


def _arrays(path):
    with np.load(path) as archive:
        return dict(archive)


def _rewrite(path, change, save=np.savez):
    arrays = _arrays(path)
    change(arrays)
    with open(path, "wb") as file:
        save(file, **arrays)


def _header(change):
    def apply(arrays):
        header = json.loads(arrays["header"].item())
        change(header)
        arrays["header"] = np.array(json.dumps(header))

    return apply


_MEAN = "dlatent_avg"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.update({_MEAN: a[_MEAN] + np.float32(1)}), "its checksum is another"),
        (lambda a: a.update({_MEAN: a[_MEAN].astype(np.float64)}), "has not the size|not float32"),
        (lambda a: a.update({_MEAN: a[_MEAN].astype(">f4")}), "checksum|not float32"),
        (lambda a: a.update({_MEAN: a[_MEAN][None]}), r"'dlatent_avg' is not float32 \[14\]"),
        (lambda a: a.update({_MEAN: np.zeros(9999, np.float32)}), "has not the size of"),
        (lambda a: a.update({_MEAN: np.array([None] * 14)}), "size|pickle"),
        (lambda a: a.pop(_MEAN), "too many or too few, such as 'dlatent_avg'"),
        (lambda a: a.update(more=np.zeros(1)), "too many or too few, such as 'more'"),
        (lambda a: a.pop("header"), "it has no header"),
        (lambda a: a.update(header=np.array("{")), "damaged"),
        (lambda a: a.update(header=np.array("[1]")), "damaged"),
        (lambda a: a.update(header=np.zeros(2**20)), "it has no header"),
        (_header(lambda h: h.update(format="other")), "its format is not"),
        (_header(lambda h: h.pop("config")), "config"),
        (_header(lambda h: h["config"].update(version=3)), "version must be 1 or 2"),
        (_header(lambda h: h["config"].update(resolution=2**30)), "resolution must be"),
        (_header(lambda h: h["config"].update(width=16384)), "has not the size"),
        (_header(lambda h: h["config"].update(depth=3)), "too many or too few"),
    ],
)
def test_damaged_archives_are_refused(change, message, tmp_path):
    path = str(tmp_path / "a.npz")
    stylegan_files.save(_small(2, 4), path)
    _rewrite(path, change)
    with pytest.raises(UsageError, match=message) as caught:
        stylegan_files.load(path)
    assert "lossylab import stylegan" in str(caught.value)


def test_compressed_archives_are_refused(tmp_path):
    path = str(tmp_path / "a.npz")
    stylegan_files.save(_small(2, 4), path)
    _rewrite(path, lambda arrays: None, np.savez_compressed)
    with pytest.raises(UsageError, match="is compressed"):
        stylegan_files.load(path)


def test_an_array_that_says_it_is_huge_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    stylegan_files.save(_small(2, 4), str(path))
    arrays = _arrays(path)
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            data = io.BytesIO()
            np.save(data, array)
            data = data.getvalue()
            if name == _MEAN:
                assert b"(14,), }          " in data
                data = data.replace(b"(14,), }          ", b"(99999999999,), } ")
            archive.writestr(f"{name}.npy", data)
    with pytest.raises(UsageError, match="damaged"):
        stylegan_files.load(str(path))


def test_other_files_are_no_generators(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(UsageError, match="no such file"):
        stylegan_files.load(str(path))
    np.save(tmp_path / "a.npy", np.zeros(3))
    for data in (b"", b"text", pickle.dumps(1), (tmp_path / "a.npy").read_bytes()):
        path.write_bytes(data)
        with pytest.raises(UsageError, match="it is no .npz archive"):
            stylegan_files.load(str(path))
    stylegan_files.save(_small(2, 4), str(path))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UsageError, match="damaged"):
        stylegan_files.load(str(path))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.pkl"], "OUTPUT is needed: file to write, a NumPy archive"),
        (["a.pkl", "b.txt"], "the output 'b.txt' must end in .npz"),
        (["a.pkl", "b.npz"], "a.pkl cannot be read: No such file"),
    ],
)
def test_wrong_usage(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        cli.main(["import", "stylegan", *arguments])


def test_a_file_that_exists_is_kept(tmp_path, dnnlib):
    source = _write(tmp_path / "a.pkl", _networks(_small(2, 4)))
    target = tmp_path / "b.npz"
    target.write_text("kept")
    with pytest.raises(UsageError, match=" exists: --overwrite$"):
        cli.main(["import", "stylegan", source, str(target)])
    assert target.read_text() == "kept"
    cli.main(["import", "stylegan", source, str(target), "--overwrite"])
    assert stylegan_files.load(str(target)).resolution == 4


@pytest.mark.parametrize("version", [1, 2])
def test_a_random_mapping_gets_the_moments_of_a_trained_one(version, tmp_path):
    path = tmp_path / "wide.npz"
    words = [f"random:{version}:8:512", str(path), "--calibrate=ffhq"]
    cli.main(["import", "stylegan", *words])
    network = stylegan_files.load(str(path))
    assert network.width == 512
    styles = network.map(tf.random.stateless_normal((2000, 512), (1, 2))).numpy()
    assert np.linalg.norm(styles, axis=1).mean() == pytest.approx(5.62, rel=0.01)
    assert np.linalg.norm(styles.mean(0)) == pytest.approx(1.53, rel=0.03)
    np.testing.assert_allclose(network.mean, styles.mean(0), atol=0.03)


def test_only_random_mappings_are_calibrated(tmp_path):
    with pytest.raises(UsageError, match="--calibrate is for random networks"):
        cli.main(["import", "stylegan", "a.pkl", str(tmp_path / "a.npz"), "--calibrate=ffhq"])
