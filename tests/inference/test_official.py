"""Official ARCNN and DnCNN-3 weights: the published quality without training."""

import contextlib
import pathlib
import re
import shutil

import h5py
import numpy as np
import pytest
import scipy.io
import tensorflow as tf

import lossylab
from lossylab.cli import __main__ as cli
from lossylab.core.errors import UsageError
from lossylab.data.color import studio_luma
from lossylab.data.decode import decode_image, read_image
from lossylab.data.jpeg import degrade, encode
from lossylab.data.lattice_pairs import read_planes
from lossylab.eval.metrics.psnr import psnr
from lossylab.eval.metrics.ssim import ssim
from lossylab.inference.export import zoo
from lossylab.inference.export.restorer import Restorer
from lossylab.inference.importers import known
from lossylab.inference.importers import restorers as official
from lossylab.models.arcnn import ARCNN

WEIGHTS = pathlib.Path(lossylab.__file__).parent.parent / "shared" / "weights"


def _weights(name):
    path = WEIGHTS / name
    if not path.exists():
        pytest.skip(f"the official weights {name} are not at hand")
    return str(path)


@pytest.mark.parametrize(
    ("file", "quality", "decibel", "similarity"),
    [
        ("arcnn_q10.mat", 10, 29.03, 0.7929),
        pytest.param("arcnn_q20.mat", 20, 31.15, 0.8517, marks=pytest.mark.long),
        pytest.param("dncnn3.mat", 10, 29.40, 0.8026, marks=pytest.mark.long),
        pytest.param("dncnn3.mat", 20, 31.63, 0.8610, marks=pytest.mark.long),
    ],
)
def test_published_quality_on_classic5(file, quality, decibel, similarity, collection):
    network, values = official.load(_weights(file)), []
    for path in collection("classic5"):
        true = read_planes(path, 1)
        damaged = tf.cast(degrade(true, quality)[None], tf.float32)
        restored = tf.saturate_cast(tf.round(network(damaged)), tf.uint8)[0].numpy()
        values.append((psnr(true, restored), float(ssim(true[None], restored[None])[0])))
    got = np.mean(values, 0)
    assert got[0] == pytest.approx(decibel, abs=0.01)
    assert got[1] == pytest.approx(similarity, abs=1e-3)


@pytest.mark.parametrize(
    ("file", "options", "decibel"),
    [
        ("arcnn_q10.mat", {"quality": 10}, 1.0),
        pytest.param("arcnn_q20.mat", {"quality": 20}, 1.0, marks=pytest.mark.long),
        ("arcnn_q40.mat", {"quality": 40}, 1.0),
        pytest.param("dncnn3.mat", {}, 1.0, marks=pytest.mark.long),
    ],
)
def test_color_files_gain_what_the_luma_of_the_papers_does(
    file, options, decibel, collection, tmp_path
):
    """Through the files that users restore: 0..255 in, 0..255 out, colors kept."""
    official.convert(_weights(file), str(tmp_path / "export"), **options)
    network, gains = Restorer(str(tmp_path / "export")), []
    for path in collection("kodak")[::8]:
        clean = read_image(path)[100:356, 100:356]
        (tmp_path / "a.jpg").write_bytes(encode(clean, options.get("quality", 10)))
        decoded = decode_image(tmp_path / "a.jpg")
        restored = network.restore(decoded.pixels, decoded.coding)
        before, after = (psnr(*map(studio_luma, (clean, x))) for x in (decoded.pixels, restored))
        gains.append(after - before)
    assert np.mean(gains) > decibel


def _arcnn_file(path, random, **wrong):
    shapes = {"conv1": (1, 81, 64), "conv2": (64, 49, 32), "conv22": (32, 1, 16)}
    arrays = {f"weights_{k}": random.normal(size=s) for k, s in shapes.items()}
    arrays["weights_conv3"] = random.normal(size=(16, 25))
    for name, outputs in (("conv1", 64), ("conv2", 32), ("conv22", 16), ("conv3", 1)):
        arrays[f"biases_{name}"] = random.normal(size=(outputs, 1))
    scipy.io.savemat(path, {**arrays, **wrong})
    return arrays


def test_taps_of_arcnn_lie_column_by_column(tmp_path, random):
    arrays = _arcnn_file(tmp_path / "a.mat", random)
    kernel = official.load(str(tmp_path / "a.mat")).convs[0].kernel.numpy()
    np.testing.assert_allclose(kernel[2, 5, 0, 7], arrays["weights_conv1"][0, 5 * 9 + 2, 7])


def _dncnn_file(path, random, layers=20):
    with h5py.File(path, "w") as file:
        references = []
        widths = [1] + [64] * (layers - 1) + [1]
        for i, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
            group = file.create_group(f"#refs#/layer{i}")
            shape = (outputs, inputs, 3, 3) if outputs > 1 else (inputs, 3, 3)
            kernel = group.create_dataset("kernel", data=random.normal(size=shape))
            bias = group.create_dataset("bias", data=random.normal(size=(1, outputs)))
            group.create_dataset("weights", data=[[kernel.ref], [bias.ref]], dtype=h5py.ref_dtype)
            references.append([group.ref])
        file.create_dataset("net/layers", data=references, dtype=h5py.ref_dtype)


def test_axes_of_dncnn_are_matlabs_reversed(tmp_path, random):
    _dncnn_file(tmp_path / "d.mat", random)
    network = official.load(str(tmp_path / "d.mat"))
    with h5py.File(tmp_path / "d.mat") as file:
        stored = file["#refs#/layer1/kernel"][()]
        last = file["#refs#/layer19/kernel"][()]
    kernel = network.convs[1].kernel.numpy()
    np.testing.assert_allclose(kernel[0, 2, 11, 30], stored[30, 11, 2, 0], rtol=1e-6)
    np.testing.assert_allclose(network.convs[-1].kernel[1, 2, 5, 0], last[5, 2, 1], rtol=1e-6)


def test_importing_writes_an_export(tmp_path, random, images):
    _arcnn_file(tmp_path / "a.mat", random)
    target = tmp_path / "export"
    cli.main(["import", "restorer", str(tmp_path / "a.mat"), str(target), "--quality=10"])
    network = Restorer(str(target))
    assert (network.model, network.quality, network.channels) == ("arcnn", 10, 1)
    assert network.options["official"] == "a.mat"
    assert network.restore(images[0][..., :1]).shape == images[0][..., :1].shape
    with pytest.raises(UsageError, match=" exists: --overwrite$"):
        cli.main(["import", "restorer", str(tmp_path / "a.mat"), str(target), "--quality=10"])


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (lambda path, random: None, ["--quality=10"], "no such file"),
        (lambda path, random: path.write_bytes(b"no weights"), [], "neither ARCNN's nor DnCNN-3's"),
        (lambda path, random: path.write_bytes(b""), [], "neither ARCNN's nor DnCNN-3's"),
        (_arcnn_file, [], "--quality is needed"),
        (_dncnn_file, ["--quality=10"], "--quality makes no sense"),
        (lambda p, r: _dncnn_file(p, r, layers=17), [], "17 convolutions instead of 20"),
        (
            lambda p, r: _arcnn_file(p, r, weights_conv1=np.zeros((1, 49, 64))),
            ["--quality=10"],
            "neither ARCNN's nor DnCNN-3's",
        ),
    ],
)
def test_other_files_are_refused(make, arguments, message, tmp_path, random):
    path = tmp_path / "weights.mat"
    make(path, random)
    with pytest.raises(UsageError, match=message):
        cli.main(["import", "restorer", str(path), str(tmp_path / "out"), *arguments])
    assert not (tmp_path / "out").exists()


def test_two_arguments_are_needed():
    with pytest.raises(UsageError, match="OUTPUT is needed: folder of the export"):
        cli.main(["import", "restorer", "a.mat"])


@pytest.mark.long
def test_flipped_bytes_end_in_weights_or_one_error(tmp_path, random):
    """SciPy's reader dies of some of them: it runs in a process of its own."""
    _arcnn_file(tmp_path / "a.mat", random)
    data = (tmp_path / "a.mat").read_bytes()
    path = tmp_path / "b.mat"
    for places in random.integers(128, 4096, (6, 5)):
        changed = bytearray(data)
        for place in places:
            changed[place] ^= int(random.integers(1, 256))
        path.write_bytes(changed)
        with contextlib.suppress(UsageError):
            assert isinstance(official.load(str(path)), ARCNN)


def test_official_files_are_known_by_their_content(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("LOSSYLAB_ZOO", str(tmp_path / "zoo"))
    copied = tmp_path / "anything.mat"
    shutil.copy(_weights("arcnn_q10.mat"), copied)
    with caplog.at_level("INFO", "lossylab"):
        cli.main(["import", "restorer", str(copied), str(tmp_path / "export"), "--quality=10"])
    assert "official ARCNN, JPEG quality 10 (github.com/hkchengrex" in caplog.text
    cli.main(["models", "add", str(copied), "arcnn-official"])
    card = zoo.card("arcnn-official")
    assert (card["summary"], card["options"]["quality"]) == ("official ARCNN, JPEG quality 10", 10)
    assert card["license"] == "its authors'"


def test_files_that_are_none_are_said_and_not_added(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("LOSSYLAB_ZOO", str(tmp_path / "zoo"))
    path = tmp_path / "arcnn_q10.mat"
    path.write_bytes(b"no weights")
    with pytest.raises(UsageError, match="neither ARCNN's nor DnCNN-3's"):
        cli.main(["import", "restorer", str(path), str(tmp_path / "export"), "--quality=10"])
    assert "none of an official file that is known here" in caplog.text
    with pytest.raises(UsageError, match="is no official file that is known by its SHA-256: names"):
        cli.main(["models", "add", str(path), "mine"])
    with pytest.raises(UsageError, match="--summary is needed"):
        cli.main(["models", "add", str(tmp_path), "mine"])
    assert not (tmp_path / "zoo").exists()


def test_what_is_known_of_official_files_is_said_of_one_file_each():
    files = known._known()
    digests = [each.sha256 for each in files]
    assert all(re.fullmatch("[0-9a-f]{8}|[0-9a-f]{64}", digest) for digest in digests)
    assert len({digest[:8] for digest in digests}) == len(files) == 8
    assert all(each.what and each.source and each.license for each in files)
    for each in files:
        assert len(each.sha256) == 64 or each.sha256 in each.source  # torchvision's names
