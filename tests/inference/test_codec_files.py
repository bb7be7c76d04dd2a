"""Exports, the container, and compress / decompress on files: properties and bad input."""

import copy
import csv
import io
import json
import pathlib
import resource
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lossylab.cli import __main__ as cli
from lossylab.core.digest import weights_hash
from lossylab.core.errors import (
    CollectionError,
    ExportError,
    ImageError,
    OutputError,
    UsageError,
    WorkError,
)
from lossylab.data.decode import read_image
from lossylab.inference.export import codec as export
from lossylab.inference.export import container
from lossylab.inference.export.codec import Codec, Encoded
from lossylab.inference.export.served_codec import ServedCodec
from lossylab.models.bls2017 import BLS2017
from lossylab.models.bmshj2018 import BMSHJ2018
from lossylab.models.layers import factorized

SIZES = [(1, 1), (7, 13), (63, 65), (96, 160)]


def _codec_with_some_rate(filters=8, model=BLS2017):
    """An untrained codec whose latents spread over several integers."""
    codec = model(filters)
    last = codec.analysis_transform.layers[-1].kernel.coefficients
    last.assign(last * 30)
    return codec


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    tf.random.set_seed(2)
    path = tmp_path_factory.mktemp("run") / "export"
    export.Codec.save(_codec_with_some_rate(), str(path), {"metric": "none"})
    return str(path)


@pytest.fixture(scope="module")
def codec(exported):
    return Codec(exported)


@pytest.fixture(scope="module")
def other_codec(tmp_path_factory):
    tf.random.set_seed(3)
    path = tmp_path_factory.mktemp("other") / "export"
    export.Codec.save(_codec_with_some_rate(), str(path), {})
    return Codec(str(path))


@pytest.fixture(scope="module")
def coded(codec, images):
    """Contents of a small file."""
    return container.compress(codec, images[0][:40, :50])[0]


def _run(verb, *arguments):
    cli.main([verb, *map(str, arguments)])


def test_gray_images_come_back_gray(codec, random, tmp_path, exported):
    gray = random.integers(0, 256, (40, 50, 1), np.uint8)
    data = container.compress(codec, gray)[0]
    decoded = container.decompress(codec, data)
    color = codec.reconstruct(np.repeat(gray, 3, 2))[0]
    np.testing.assert_array_equal(decoded, np.rint(color.mean(2, keepdims=True)))
    Image.fromarray(gray[..., 0].astype(np.uint16) * 257).save(tmp_path / "a.png")
    _run("compress", tmp_path / "a.png", tmp_path / "a.lossy", f"--model={exported}")
    _run("decompress", tmp_path / "a.lossy", tmp_path / "b.png", f"--model={exported}")
    with Image.open(tmp_path / "b.png") as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(image, decoded[..., 0])


@pytest.mark.parametrize("size", SIZES)
def test_decoding_a_file_gives_what_reconstruct_says(codec, size, random):
    image = random.integers(0, 256, (*size, 3), np.uint8)
    decoded = container.decompress(codec, container.compress(codec, image)[0])
    assert decoded.shape == image.shape
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, codec.reconstruct(image)[0])


def test_coded_bits_are_the_estimated_ones_within_half_a_percent(codec, images):
    image = np.tile(np.concatenate(images, 1), (4, 1, 1))
    encoded = codec.compress(image)
    real = 8 * len(encoded.string)
    # The range coder ends on a byte and flushes up to two more.
    assert abs(real - encoded.bits) <= encoded.bits * 0.005 + 24
    assert encoded.bits == pytest.approx(codec.reconstruct(image)[1], rel=1e-6)


def test_container_overhead_is_what_its_documentation_says(coded, codec):
    overhead = len(coded) - len(container.unpack(coded, codec.model, codec.weights, 2**26).string)
    assert 60 <= overhead <= 72


def test_training_model_and_export_reconstruct_the_same(random):
    codec = _codec_with_some_rate()
    served = ServedCodec(codec)
    image = random.integers(0, 256, (48, 64, 3), np.uint8)
    offset = factorized.quantization_offset(codec.prior)
    latent, _ = codec.quantized(tf.cast(image[None], tf.float32), offset)
    expected = codec.synthesis(latent)[0]
    expected = tf.saturate_cast(tf.round(expected), tf.uint8)
    got = served.reconstruct(tf.constant(image))["reconstruction"]
    assert (np.abs(np.asarray(got, int) - np.asarray(expected, int)) <= 1).mean() > 0.999


_FOREIGN = """
import json, sys
import numpy as np
import tensorflow as tf
import tensorflow_compression
model = tf.saved_model.load(sys.argv[1]).signatures
data = np.load(sys.argv[2])
image = data["image"]
out = model["compress"](image=tf.constant(image))
assert out["string"].numpy() == data["string"].tobytes()
height, width = (tf.constant(n) for n in image.shape[:2])
string = tf.constant(data["string"].tobytes())
decoded = model["decompress"](string=string, height=height, width=width)
assert (decoded["reconstruction"].numpy() == data["decoded"]).all()
assert json.loads(model["describe"]()["card"].numpy())["model"] == "bls2017"
assert "lossylab" not in sys.modules
"""


def test_encoded_here_decodes_there_without_lossylab(codec, images, tmp_path):
    image = images[1]
    encoded = codec.compress(image)
    np.savez(
        tmp_path / "data.npz",
        image=image,
        string=np.frombuffer(encoded.string, np.uint8),
        decoded=codec.decompress(encoded),
    )
    done = subprocess.run(
        [sys.executable, "-c", _FOREIGN, codec.path, str(tmp_path / "data.npz")],
        capture_output=True,
        text=True,
        cwd=pathlib.Path(tmp_path).anchor,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_file_truncated_at_any_length_raises_the_typed_error(codec, coded):
    for length in range(len(coded)):
        with pytest.raises(container.BitstreamError):
            container.decompress(codec, coded[:length])


def test_every_flipped_bit_raises_the_typed_error(codec, coded):
    for bit in range(8 * len(coded)):
        data = bytearray(coded)
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(container.BitstreamError):
            container.decompress(codec, bytes(data))


def test_bytes_added_at_the_end_raise_the_typed_error(codec, coded):
    for tail in (b"\0", b"x", coded):
        with pytest.raises(container.BitstreamError):
            container.decompress(codec, coded + tail)


@given(st.binary(max_size=300))
def test_rubbish_raises_the_typed_error(codec, data):
    with pytest.raises(container.BitstreamError):
        container.decompress(codec, data)


@pytest.mark.parametrize("size", [(1, 1), (40, 50), (96, 160)])
def test_a_body_of_ones_is_refused_at_once(codec, size):
    """tfc's decoder alone never ends with such a file."""
    for length in (1, 16, 171, 172, 173, 2000):
        data = container.pack(Encoded(b"\xff" * length, *size), codec.model, codec.weights)
        with pytest.raises(container.BitstreamError, match="range decoder|too few"):
            container.decompress(codec, data)


def test_sizes_that_a_body_is_too_short_for_are_refused_before_anything_is_allocated(codec):
    for height, width in ((4096, 4096), (8192, 8192), (16, 2**20)):
        data = container.pack(Encoded(b"\0" * 40, height, width), codec.model, codec.weights)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(container.BitstreamError, match=f"{width}x{height} pixels, which its"):
            container.decompress(codec, data)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**15  # KiB


@pytest.mark.parametrize("model", [BLS2017, BMSHJ2018])
def test_images_in_tiles_are_coded_as_at_once(model, images):
    image = tf.constant(np.concatenate(images, 1)[:, :345])
    tf.random.set_seed(2)
    whole = ServedCodec(_codec_with_some_rate(model=model))
    tiled = copy.copy(whole)
    tiled._positions = 16
    expected, found = whole.compress(image), tiled.compress(image)
    assert found["string"] == expected["string"]
    size = image.shape[:2]
    np.testing.assert_array_equal(
        tiled.decompress(found["string"], *size)["reconstruction"],
        whole.decompress(found["string"], *size)["reconstruction"],
    )


def test_a_codec_that_diverged_says_so(codec, images, monkeypatch):
    diverged = BLS2017(2)
    last = diverged.analysis_transform.layers[-1].kernel.coefficients
    last.assign(last * np.nan)
    served = ServedCodec(diverged)

    def call(name, image):
        return served.compress(tf.constant(image))

    monkeypatch.setattr(codec, "_call", call)
    with pytest.raises(WorkError, match="its training has diverged"):
        container.compress(codec, images[0])


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(string=st.binary(max_size=200), height=st.integers(1, 200), width=st.integers(1, 200))
def test_a_well_packed_lie_gives_a_image_or_the_typed_error(codec, string, height, width):
    data = container.pack(Encoded(string, height, width), codec.model, codec.weights)
    try:
        shape = container.decompress(codec, data).shape
    except container.BitstreamError as error:
        shape, message = None, str(error)
    assert shape == (height, width, 3) or "range decoder" in message or "too few" in message


@pytest.mark.parametrize(
    ("height", "width"), [(2**20, 2**20), (0, 5), (5, -1), (2**62, 2**62), (1, 2**26), (2**26, 1)]
)
def test_implausible_sizes_are_refused_before_anything_is_allocated(codec, height, width):
    data = container.pack(Encoded(b"abc", height, width), codec.model, codec.weights)
    with pytest.raises(container.BitstreamError, match=f"declares an image of {width}x{height}"):
        container.decompress(codec, data)


def test_a_file_of_other_weights_names_both(codec, other_codec, coded):
    with pytest.raises(container.BitstreamError, match="other weights") as error:
        container.decompress(other_codec, coded)
    assert codec.weights[:16] in str(error.value)
    assert other_codec.weights[:16] in str(error.value)


def test_a_file_of_another_kind_of_model_or_version_says_so(codec, coded, monkeypatch):
    with pytest.raises(container.BitstreamError, match="'bls2017', this export is a 'bmshj2018'"):
        container.unpack(coded, "bmshj2018", codec.weights, 2**26)
    monkeypatch.setattr(container, "VERSION", 2)
    with pytest.raises(container.BitstreamError, match="format version 1.* reads version 2"):
        container.decompress(codec, coded)


def test_a_image_too_large_for_the_format_is_refused(codec):
    huge = np.broadcast_to(np.zeros((), np.uint8), (2**15, 2**14, 3))
    with pytest.raises(ImageError, match="16384x32768 pixels is too large"):
        container.compress(codec, huge)


def test_hash_tells_weights_apart_and_nothing_else(exported, other_codec, codec):
    assert codec.weights == Codec(exported).weights
    assert codec.weights != other_codec.weights
    model = BLS2017(4)
    before = weights_hash(model)
    model.trainable_variables[0].assign_add(tf.ones_like(model.trainable_variables[0]) * 1e-6)
    assert weights_hash(model) != before


def test_loading_what_is_no_export_says_what_is_wrong(exported, tmp_path):
    with pytest.raises(ExportError, match="nothing: no such folder; expected an export"):
        Codec(str(tmp_path / "nothing"))
    with pytest.raises(ExportError, match="has no SavedModel"):
        Codec(str(tmp_path))
    run = str(pathlib.Path(exported).parent)
    with pytest.raises(ExportError, match=f"did you mean {run}/export"):
        Codec(run)


def test_an_export_that_lacks_a_signature_is_refused_by_name(tmp_path):
    module = tf.Module()
    module.compress = tf.function(lambda x: x, input_signature=[tf.TensorSpec((), tf.float32)])
    signature = module.compress.get_concrete_function()
    tf.saved_model.save(module, str(tmp_path), signatures={"compress": signature})
    with pytest.raises(ExportError, match="lacks the signatures decompress, describe, reconstruct"):
        Codec(str(tmp_path))


def test_a_damaged_export_is_refused(exported, tmp_path):
    import shutil

    path = tmp_path / "export"
    shutil.copytree(exported, path)
    variables = path / "variables" / "variables.data-00000-of-00001"
    variables.write_bytes(variables.read_bytes()[:100])
    with pytest.raises(ExportError, match="damaged SavedModel"):
        Codec(str(path))


@pytest.mark.long
def test_an_export_replaces_an_older_one_and_leaves_no_rest(tmp_path):
    for value in (1, 2):
        export.Codec.save(BLS2017(2), str(tmp_path / "export"), {"value": value})
    assert Codec(str(tmp_path / "export")).options == {"value": 2}
    assert [p.name for p in tmp_path.iterdir()] == ["export"]


def test_one_file_there_and_back(exported, codec, images, tmp_path, capsys):
    source, coded, decoded = tmp_path / "a.png", tmp_path / "a.lossy", tmp_path / "b.png"
    Image.fromarray(images[0]).save(source)
    _run("compress", source, coded, f"--model={exported}")
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    pixels = images[0][..., 0].size
    assert int(row["bytes"]) == coded.stat().st_size
    assert float(row["bpp_file"]) == pytest.approx(8 * coded.stat().st_size / pixels, abs=1e-5)
    assert float(row["bpp_estimated"]) < float(row["bpp_file"])
    _run("decompress", coded, decoded, f"--model={exported}")
    np.testing.assert_array_equal(read_image(decoded), codec.reconstruct(images[0])[0])


def test_folders_there_and_back(exported, images, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / "in" / f"{i}.png")
    _run("compress", tmp_path / "in", tmp_path / "coded", f"--model={exported}")
    _run("decompress", tmp_path / "coded", tmp_path / "out", f"--model={exported}")
    assert sorted(p.name for p in (tmp_path / "coded").glob("[!.]*")) == [
        "0.lossy",
        "1.lossy",
        "2.lossy",
    ]
    assert sorted(p.name for p in (tmp_path / "out").glob("[!.]*")) == ["0.png", "1.png", "2.png"]


def test_one_bad_file_does_not_stop_the_others(exported, images, tmp_path, capsys, caplog):
    (tmp_path / "in").mkdir()
    Image.fromarray(images[0]).save(tmp_path / "in" / "good.png")
    (tmp_path / "in" / "bad.png").write_text("no image")
    with pytest.raises(WorkError, match="1 of 2 files failed"):
        _run("compress", tmp_path / "in", tmp_path / "out", f"--model={exported}")
    assert "bad.png: not an image in a known format" in caplog.text
    assert [p.name for p in (tmp_path / "out").glob("[!.]*")] == ["good.lossy"]


def test_a_damaged_file_writes_nothing(exported, coded, tmp_path, caplog):
    (tmp_path / "a.lossy").write_bytes(coded[:-1])
    with pytest.raises(WorkError, match="1 of 1 files failed"):
        _run("decompress", tmp_path / "a.lossy", tmp_path / "a.png", f"--model={exported}")
    assert "a.lossy: not a lossylab file, or truncated" in caplog.text
    assert not (tmp_path / "a.png").exists()


def test_existing_outputs_are_kept_unless_asked(exported, images, tmp_path, capsys):
    Image.fromarray(images[0]).save(tmp_path / "a.png")
    (tmp_path / "a.lossy").write_text("precious")
    arguments = (tmp_path / "a.png", tmp_path / "a.lossy", f"--model={exported}")
    with pytest.raises(UsageError, match="a.lossy exists: --overwrite$"):
        _run("compress", *arguments)
    assert (tmp_path / "a.lossy").read_text() == "precious"
    _run("compress", *arguments, "--overwrite")
    assert (tmp_path / "a.lossy").read_bytes() != b"precious"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ([], UsageError, "INPUT.*needed"),
        (["a", "b"], CollectionError, "no images found for 'a'"),
        (["nothing.png", "b", "--model=x"], CollectionError, "no images found for 'nothing.png'"),
        (["a", "b", "--modle=x"], UsageError, "unknown flag --modle: did you mean --model"),
        (["sample_test", "out", "--model=nowhere"], ExportError, "^--model: nowhere: no such"),
    ],
)
def test_wrong_command_lines_say_what_to_do(arguments, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        _run("compress", *arguments)


def test_a_place_that_cannot_be_written_is_named_before_work(exported, tmp_path):
    (tmp_path / "file").touch()
    for place, message in (("/proc/x", "cannot create the folder /proc/x"), ("file", "is a file")):
        with pytest.raises(OutputError, match=message):
            _run("compress", "sample_test", tmp_path / place, f"--model={exported}")


def test_inputs_of_one_name_are_refused(exported, images, tmp_path):
    for suffix in (".png", ".bmp"):
        Image.fromarray(images[0]).save(tmp_path / f"a{suffix}")
    with pytest.raises(UsageError, match="several inputs would be written to .*a.lossy"):
        _run("compress", tmp_path, tmp_path / "out", f"--model={exported}")


def test_decompress_names_what_it_cannot_use(exported, coded, tmp_path):
    (tmp_path / "a.lossy").write_bytes(coded)
    with pytest.raises(UsageError, match="must end in one of .png, .ppm"):
        _run("decompress", tmp_path / "a.lossy", tmp_path / "a.xyz", f"--model={exported}")
    with pytest.raises(CollectionError, match="no .lossy files found"):
        _run("decompress", tmp_path / "b.lossy", tmp_path / "b.png", f"--model={exported}")


_WITHOUT = """
import sys
from lossylab.cli.__main__ import main
from lossylab.core.errors import LossylabError
main(["describe", sys.argv[1]])
try:
    main(["describe", sys.argv[1] + "/none"])
except LossylabError as error:
    print(error)
assert "tensorflow" not in sys.modules
from lossylab.inference.export.codec import Codec
assert Codec(sys.argv[1]).card["model"] == "bls2017"
assert "tensorflow_probability" not in sys.modules
import tensorflow_compression as tfc
assert tfc.create_range_encoder([1], [-1, 0, 2]) is not None
"""


def test_describing_loads_no_tensorflow_and_decoding_no_probability(exported):
    command = [sys.executable, "-c", _WITHOUT, str(exported)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    card, error = done.stdout.rsplit("}\n", 1)
    assert json.loads(card + "}")["kind"] == "codec"
    assert "none: no such folder" in error
