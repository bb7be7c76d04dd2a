"""Files of learned JPEG encoders: exact contents, odd sizes, two decoders, and `lossylab jpeg`."""

import csv
import dataclasses
import io
import os
import pickle
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from image_bytes import ADOBE, rgb_profile
from PIL import Image

from lossylab.cli import __main__ as cli
from lossylab.cli import jpeg
from lossylab.core.errors import ExportError, UsageError, WorkError
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.data.jpeg import chrominance_table, luminance_table
from lossylab.eval.metrics.psnr import psnr
from lossylab.inference.codecs import jpeg_decoders, jpeg_files
from lossylab.inference.codecs.classical import Jpeg
from lossylab.inference.export import zoo
from lossylab.inference.export.jpeg import Encoder
from lossylab.inference.importers import torch_files
from lossylab.losses.lpips import LPIPS
from lossylab.models.backbones.block_features import ResNet152Backbone, VGG19Backbone
from lossylab.models.backbones.lpips import array_shapes
from lossylab.models.jpeg_encoder import JPEGEncoder
from lossylab.models.layers.attention import ConvAttention, LSTMAttention

# Some of these have sides below a block, some above 1024, most are no multiples of 8.
_SIZES = [(1, 1), (1, 9), (8, 8), (7, 250), (17, 16), (33, 1), (129, 121), (300, 3), (1081, 11)]


def _contents(random, height=20, width=30, planes=3, largest=40):
    shape = (planes, -(-height // 8), -(-width // 8), 8, 8)
    coefficients = random.integers(-largest, largest + 1, shape).astype(np.int16)
    tables = random.integers(1, 256, (2, 8, 8))
    return jpeg_files.Contents(coefficients, tables, height, width)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """An encoder with standard tables and no attention."""
    path = tmp_path_factory.mktemp("tables") / "export"
    encoder = JPEGEncoder()
    encoder.set_tables(np.stack([luminance_table(50), chrominance_table(50)]))
    Encoder.save(encoder, str(path), {"attention": "none"})
    return str(path)


@pytest.fixture(scope="module")
def attentive(tmp_path_factory):
    """An encoder with attention by VGG-19."""
    tf.random.set_seed(1)
    path = tmp_path_factory.mktemp("vgg") / "export"
    encoder = JPEGEncoder(ConvAttention(VGG19Backbone("random"), gain=30.0))
    encoder.set_tables(np.full((2, 8, 8), 9.6))
    Encoder.save(encoder, str(path), {"attention": "conv"})
    return str(path)


def _run(capsys, *arguments):
    cli.main(["jpeg", *map(str, arguments)])
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


# Contents of files.


@pytest.mark.parametrize("huffman", jpeg_files.HUFFMAN)
@pytest.mark.parametrize("planes", [1, 3])
def test_files_hold_what_was_written(planes, huffman, random):
    contents = _contents(random, planes=planes)
    found = jpeg_files.contents_of(jpeg_files.to_bytes(contents, huffman))
    np.testing.assert_array_equal(found.coefficients, contents.coefficients)
    np.testing.assert_array_equal(found.tables[: min(planes, 2)], contents.tables[: min(planes, 2)])
    assert (found.height, found.width) == (20, 30)


def test_extreme_values_fit(random):
    coefficients = np.full((3, 4, 4, 8, 8), 1023, np.int16)
    coefficients[:, ::2] = -1023
    coefficients[..., 0, 0] = -1024
    coefficients[:, 1::2, 1::2, 0, 0] = 1023
    for step in (1, 255):
        contents = jpeg_files.Contents(coefficients, np.full((2, 8, 8), step), 32, 32)
        found = jpeg_files.contents_of(jpeg_files.to_bytes(contents))
        np.testing.assert_array_equal(found.coefficients, coefficients)
        np.testing.assert_array_equal(found.tables, contents.tables)


def test_files_are_baseline_jfif(random):
    data = jpeg_files.to_bytes(_contents(random))
    assert data[:4] == b"\xff\xd8\xff\xe0"
    assert data[6:11] == b"JFIF\0"
    assert b"\xff\xc0" in data  # baseline; \xff\xc2 would be progressive
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (30, 20)
        assert not image.info.get("progressive")


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("quality", [3, 50, 95])
def test_sizes_are_pillows_for_equal_coefficients(quality, optimize, images):
    file = io.BytesIO()
    Image.fromarray(images[0][:101, :77]).save(
        file, "JPEG", quality=quality, subsampling=0, optimize=optimize
    )
    contents = jpeg_files.contents_of(file.getvalue())
    huffman = "optimized" if optimize else "standard"
    assert len(jpeg_files.to_bytes(contents, huffman)) == len(file.getvalue())


def test_optimizing_changes_the_size_only(images, random):
    plain = jpeg_files.to_bytes(_contents(random))
    smaller = jpeg_files.optimized(plain)
    assert len(smaller) < len(plain)
    np.testing.assert_array_equal(jpeg_decoders.by_pillow(plain), jpeg_decoders.by_pillow(smaller))


@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize("planes", [1, 3])
def test_two_decoders_agree(size, planes, random):
    contents = _contents(random, *size, planes, largest=3)
    # Decoders clip values far outside of what images give in different ways.
    mild = np.minimum(contents.tables, 8)
    contents = dataclasses.replace(contents, tables=mild)
    for huffman in jpeg_files.HUFFMAN:
        data = jpeg_files.to_bytes(contents, huffman)
        assert jpeg_decoders.by_pillow(data).shape == (*size, 3)
        assert jpeg_decoders.apart(data) <= 1


def test_values_that_do_not_fit_are_refused(random):
    contents = _contents(random)
    for tables in (np.zeros((2, 8, 8), int), np.full((2, 8, 8), 256)):
        with pytest.raises(ValueError, match=r"steps of baseline tables lie in 1\.\.255"):
            jpeg_files.to_bytes(jpeg_files.Contents(contents.coefficients, tables, 20, 30))
    with pytest.raises(ValueError, match="expected 1 or 3 planes of 4x4 blocks, got 3 of 3x4"):
        jpeg_files.to_bytes(jpeg_files.Contents(contents.coefficients, contents.tables, 30, 30))
    with pytest.raises(ValueError, match="huffman must be one of standard, optimized"):
        jpeg_files.to_bytes(contents, "arithmetic")
    huge = jpeg_files.Contents(contents.coefficients, contents.tables, 20, 70_000)
    with pytest.raises(WorkError, match="at most 65500 pixels a side, the image is 70000x20"):
        jpeg_files.to_bytes(huge)


def test_coefficients_that_huffman_codes_do_not_hold_are_refused(random):
    contents = _contents(random)
    for value, place in ((1024, (0, 0)), (-1025, (0, 0)), (1024, (0, 1)), (-1024, (7, 7))):
        coefficients = contents.coefficients.copy()
        coefficients[(1, 2, 3, *place)] = value
        changed = dataclasses.replace(contents, coefficients=coefficients)
        for huffman in jpeg_files.HUFFMAN:
            with pytest.raises(ValueError, match=r"AC within -1023\.\.1023, DC within -1024"):
                jpeg_files.to_bytes(changed, huffman)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coefficients": np.zeros((3, 3, 4, 64), np.int16)}, r"int16 \[3, 3, 4, 64\]$"),
        ({"coefficients": np.zeros((3, 3, 4, 4, 16), np.int16)}, r"got int16 \[3, 3, 4, 4, 16\]"),
        ({"coefficients": np.zeros((3, 3, 4, 8, 8))}, r"got float64 \[3, 3, 4, 8, 8\]"),
        ({"coefficients": np.zeros((4, 3, 4, 8, 8), np.int16)}, "got 4 of 3x4"),
        ({"tables": np.ones((1, 8, 8), int)}, r"numbers \[2, 8, 8\], got int64 \[1, 8, 8\]"),
        ({"tables": np.full((2, 8, 8), 1.5)}, "expected tables of whole numbers .* got float64"),
    ],
)
def test_contents_of_other_shapes_and_types_are_refused(changes, message, random):
    with pytest.raises(ValueError, match=message):
        jpeg_files.to_bytes(dataclasses.replace(_contents(random), **changes))


def _saved(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def _with_tables_numbered(data, numbers):
    """The file with other numbers of tables in its frame header (T.81, B.2.2)."""
    changed, start = bytearray(data), data.index(b"\xff\xc0")
    for component, number in enumerate(numbers):
        changed[start + 12 + 3 * component] = number
    return bytes(changed)


def test_the_frame_header_says_whose_table_is_which(images):
    """Neither the tables' order nor their numbers do."""
    tables = [[number] * 64 for number in (9, 7)]
    plain = _saved(Image.fromarray(images[0]), subsampling=0, qtables=tables)
    for numbers, expected in (((0, 1, 1), (9, 7)), ((1, 0, 0), (7, 9)), ((1, 1, 1), (7, 7))):
        data = _with_tables_numbered(plain, numbers)
        found = jpeg_files.contents_of(data)
        assert tuple(found.tables[:, 0, 0]) == expected
        np.testing.assert_array_equal(
            jpeg_decoders.by_pillow(jpeg_files.optimized(data)), jpeg_decoders.by_pillow(data)
        )
    third = _with_tables_numbered(plain, (0, 1, 0))
    with pytest.raises(WorkError, match="whose colors have a table each, expected one of both"):
        jpeg_files.contents_of(third)


def test_files_of_other_planes_are_refused(images):
    image = Image.fromarray(images[0])
    for file, space in (
        (_saved(image.convert("CMYK")), "CMYK"),
        (_saved(image, subsampling=0, keep_rgb=True), "RGB"),
    ):
        with pytest.raises(WorkError, match=f"a JPEG file of {space}, expected YCbCr or gray"):
            jpeg_files.contents_of(file)


def test_other_files_are_refused(images):
    with pytest.raises(WorkError, match="no JPEG file that can be read"):
        jpeg_files.contents_of(b"no image")
    file = io.BytesIO()
    Image.fromarray(images[0]).save(file, "JPEG", subsampling=2)
    with pytest.raises(WorkError, match="with chroma sub-sampling, expected 4:4:4"):
        jpeg_files.contents_of(file.getvalue())


# Encoders.


def test_tables_of_quality_50_give_pillows_file(exported, images):
    contents = Encoder(exported).encode(images[0])
    file = io.BytesIO()
    Image.fromarray(images[0]).save(file, "JPEG", quality=50, subsampling=0)
    theirs = jpeg_files.contents_of(file.getvalue())
    np.testing.assert_array_equal(contents.tables, theirs.tables)
    assert (contents.coefficients != theirs.coefficients).mean() <= 0.002


@pytest.mark.parametrize("size", _SIZES)
def test_odd_sizes_are_coded_and_decoded(size, attentive, random):
    encoder = Encoder(attentive)
    image = random.integers(0, 256, (*size, 3)).astype(np.uint8)
    contents, data = jpeg.encode(encoder, image)
    decoded = jpeg_decoders.by_pillow(data)
    jpeg.verify(encoder, contents, data, decoded)
    assert jpeg_decoders.apart(data) <= 1


@pytest.mark.parametrize("make", [VGG19Backbone, lambda w: ResNet152Backbone(w, block=1)])
def test_large_images_in_strips_equal_the_whole(make, tmp_path, random):
    encoder = JPEGEncoder(ConvAttention(make("random"), gain=30.0))
    encoder.set_tables(np.full((2, 8, 8), 6.0))
    Encoder.save(encoder, str(tmp_path / "export"), {})
    image = random.integers(0, 256, (333, 90, 3)).astype(np.uint8)
    whole = Encoder(str(tmp_path / "export")).encode(image)
    strips = Encoder(str(tmp_path / "export"), max_pixels=2**13).encode(image)
    assert whole.coefficients.shape == strips.coefficients.shape == (3, 42, 12, 8, 8)
    # Sums of convolutions in another order may turn a rounding.
    assert (whole.coefficients != strips.coefficients).mean() < 1e-4


def test_lstms_are_exported_and_see_the_whole_image(tmp_path, random):
    encoder = JPEGEncoder(LSTMAttention(VGG19Backbone("random"), both_ways=True))
    encoder.set_tables(np.full((2, 8, 8), 4.0))
    Encoder.save(encoder, str(tmp_path / "export"), {})
    image = random.integers(0, 256, (40, 56, 3)).astype(np.uint8)
    whole = Encoder(str(tmp_path / "export")).encode(image)
    again = Encoder(str(tmp_path / "export"), max_pixels=2**8).encode(image)
    np.testing.assert_array_equal(whole.coefficients, again.coefficients)
    expected, _ = encoder.encode(tf.constant(image[None], tf.float32))
    assert (whole.coefficients != expected[0].numpy()).mean() < 1e-3


def test_other_exports_are_refused(tmp_path):
    with pytest.raises(ExportError, match="no such folder"):
        Encoder(str(tmp_path / "nothing"))
    tf.saved_model.save(tf.Module(), str(tmp_path / "other"))
    with pytest.raises(ExportError, match="of kind jpeg_encoder, it lacks the signatures"):
        Encoder(str(tmp_path / "other"))


# The command.


def test_one_image(exported, tmp_path, capsys, images):
    Image.fromarray(images[0]).save(tmp_path / "in.png")
    (row,) = _run(
        capsys, tmp_path / "in.png", tmp_path / "out.jpg", f"--model={exported}", "--verify"
    )
    assert row["verified"] == "yes"
    assert int(row["bytes"]) == os.path.getsize(tmp_path / "out.jpg")
    assert float(row["bpp"]) == pytest.approx(8 * int(row["bytes"]) / (128 * 160), abs=1e-4)
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.size == (160, 128)


def test_a_file_is_reported_with_the_profile_that_it_keeps(exported, tmp_path, capsys, images):
    profile = rgb_profile(ADOBE, 563 / 256)
    Image.fromarray(images[0]).save(tmp_path / "in.png", icc_profile=profile)
    words = [tmp_path / "in.png", tmp_path / "out.jpg", f"--model={exported}", "--verify"]
    (row,) = _run(capsys, *words, "--keep_profile")
    assert row["verified"] == "yes"
    size = os.path.getsize(tmp_path / "out.jpg")
    assert int(row["bytes"]) == size
    assert float(row["bpp"]) == pytest.approx(8 * size / (128 * 160), abs=1e-4)
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.info["icc_profile"] == profile
        assert f"{psnr(images[0], np.asarray(image)):.2f}" == row["psnr"]


def test_a_folder_of_all_kinds(attentive, tmp_path, capsys, images):
    folder = tmp_path / "in"
    folder.mkdir()
    color = Image.fromarray(images[0])
    color.save(folder / "color.png")
    color.convert("L").save(folder / "gray.png")
    color.convert("CMYK").save(folder / "cmyk.tif")
    color.convert("RGBA").save(folder / "transparent.png")
    Image.new("RGB", (1, 1), "red").save(folder / "tiny.png")
    (folder / "broken.png").write_bytes(b"\x89PNG no")
    (folder / "empty.png").write_bytes(b"")
    with pytest.raises(WorkError, match="2 of 7 files failed"):
        cli.main(["jpeg", str(folder), str(tmp_path / "out"), f"--model={attentive}", "--verify"])
    written = {path.name for path in (tmp_path / "out").glob("[!.]*")}
    assert written == {"color.jpg", "gray.jpg", "cmyk.jpg", "transparent.jpg", "tiny.jpg"}
    with Image.open(tmp_path / "out" / "gray.jpg") as image:
        assert image.mode == "L"
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["verified"] for row in rows} == {"yes"}


def test_optimized_files_are_smaller(exported, tmp_path, capsys, images):
    Image.fromarray(images[0]).save(tmp_path / "in.png")
    sizes = [
        int(
            _run(
                capsys, tmp_path / "in.png", tmp_path / f"{huffman}.jpg",
                f"--model={exported}", f"--huffman={huffman}",
            )[0]["bytes"]
        )
        for huffman in jpeg_files.HUFFMAN
    ]  # fmt: skip
    assert sizes[1] < sizes[0]


def test_nothing_that_exists_is_replaced_unasked(exported, tmp_path, capsys, images):
    source, target = tmp_path / "in.png", tmp_path / "out.jpg"
    Image.fromarray(images[0]).save(source)
    target.write_text("precious")
    arguments = ["jpeg", str(source), str(target), f"--model={exported}"]
    with pytest.raises(UsageError, match=r"out\.jpg exists: --overwrite"):
        cli.main(arguments)
    assert target.read_text() == "precious"
    cli.main([*arguments, "--overwrite"])
    assert target.read_bytes()[:2] == b"\xff\xd8"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "INPUT is needed: image file, folder"),
        (["a.png", "b.jpg", "--model=x", "--quality=2"], "--quality goes without --model"),
        (["a.png", "b.jpg", "--quality=7"], "--quality=7 must be at most 6"),
        (["{in}", "{out}.png", "--model={model}"], "must end in one of .jpg, .jpeg$"),
        (["{in}", "{out}.jpg", "--model=nowhere"], "nowhere: no such folder"),
        (
            ["{in}", "{out}.jpg", "--model={model}", "--huffman=none"],
            "--huffman=none is none of",
        ),
    ],
)
def test_bad_usage(arguments, message, exported, tmp_path, images):
    Image.fromarray(images[0]).save(tmp_path / "in.png")
    words = {"in": str(tmp_path / "in.png"), "out": str(tmp_path / "out"), "model": exported}
    with pytest.raises(UsageError, match=message):
        cli.main(["jpeg", *(argument.format(**words) for argument in arguments)])


def test_without_a_model_packaged_tables_are_taken_by_quality(tmp_path, capsys, images, caplog):
    image = np.tile(images[0], (2, 2, 1))
    Image.fromarray(image).save(tmp_path / "in.png")
    found = []
    for quality in (1, 4, 6):
        with caplog.at_level("INFO", "lossylab"):
            target = tmp_path / f"{quality}.jpg"
            found += _run(capsys, tmp_path / "in.png", target, f"--quality={quality}", "--verify")
        assert "encoder: jpeg-tables-" in caplog.text
        caplog.clear()
    assert [row["verified"] for row in found] == ["yes"] * 3
    assert sorted(found, key=lambda row: float(row["bpp"])) == found
    assert sorted(found, key=lambda row: float(row["psnr"])) == found
    usual = _run(capsys, tmp_path / "in.png", tmp_path / "usual.jpg")
    assert usual[0]["bytes"] == found[1]["bytes"]


def test_without_packaged_tables_it_is_said(tmp_path, monkeypatch, images):
    monkeypatch.setattr(zoo, "PACKAGED", tmp_path / "packaged")
    monkeypatch.setenv("LOSSYLAB_ZOO", str(tmp_path / "zoo"))
    Image.fromarray(images[0]).save(tmp_path / "in.png")
    with pytest.raises(ExportError, match="no jpeg encoder has a name here: give a --model"):
        cli.main(["jpeg", str(tmp_path / "in.png"), str(tmp_path / "out.jpg")])


@pytest.mark.parametrize("quality", range(1, 7))
def test_packaged_tables_beat_standard_ones_on_photographs(quality, random):
    """Smooth images with edges: fewer bytes than standard JPEG of at least the same PSNR."""
    encoder = Encoder(zoo.jpeg_encoder(quality))
    assert encoder.card["options"]["lmbda"] == pytest.approx(0.0015 * 2 ** (quality - 1))
    image = read_image(find_images("sample_test")[0])[:384, :512]
    for huffman in jpeg_files.HUFFMAN:
        data = jpeg.encode(encoder, image, huffman)[1]
        wanted = psnr(image, jpeg_decoders.by_pillow(data))
        codec = Jpeg(optimized=huffman == "optimized")
        for setting in codec.settings:
            file = codec.encode(image, setting)
            if psnr(image, codec.decode(file, setting)) >= wanted:
                break
        assert len(data) < len(file.data), huffman


def test_verify_notices_what_is_wrong(exported, images):
    encoder = Encoder(exported)
    contents, data = jpeg.encode(encoder, images[0])
    decoded = jpeg_decoders.by_pillow(data)
    other = jpeg_files.to_bytes(
        jpeg_files.Contents(-contents.coefficients, contents.tables, 128, 160)
    )
    with pytest.raises(WorkError, match="does not hold the coefficients and tables"):
        jpeg.verify(encoder, contents, other, decoded)
    with pytest.raises(WorkError, match="pixel values away from what the encoder expects"):
        jpeg.verify(encoder, contents, data, 255 - decoded)


@pytest.mark.long
def test_two_hundred_sizes_decode_in_two_decoders(attentive, random):
    encoder = Encoder(attentive)
    sizes = {(1, 1), (1921, 1081)}
    while len(sizes) < 200:
        sizes.add(tuple(int(side) for side in np.exp(random.uniform(0, np.log(700), 2))))
    for size in sorted(sizes):
        image = random.integers(0, 256, (*size, 3)).astype(np.uint8)
        contents, data = jpeg.encode(encoder, image)
        jpeg.verify(encoder, contents, data, jpeg_decoders.by_pillow(data))
        assert jpeg_decoders.apart(data) <= 1, size


# LPIPS's official files.


class _Tensor:
    """Pickles as PyTorch's tensors do."""

    def __init__(self, array, key):
        self.array, self.key = array, key


class _Storage:
    def __init__(self, key, count):
        self.key, self.count = key, count


class _Named:
    """A function or class of a module that is not here."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class _Pickler(pickle._Pickler):
    """Writes _Tensor as `torch._utils._rebuild_tensor_v2(...)`, without PyTorch."""

    def persistent_id(self, value):
        if isinstance(value, _Storage):
            kind = _Named("torch", "FloatStorage")
            return ("storage", kind, value.key, "cpu", value.count)
        return None

    def save(self, value, save_persistent_id=True):
        if isinstance(value, _Named):
            self.write(pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode())
        elif isinstance(value, _Tensor):
            array = value.array
            steps = [step // array.itemsize for step in array.strides]
            storage = _Storage(value.key, array.size)
            self.save(_Named("torch._utils", "_rebuild_tensor_v2"))
            self.save((storage, 0, array.shape, tuple(steps), False, {}))
            self.write(pickle.REDUCE)
        else:
            super().save(value, save_persistent_id)


def _pickled(value):
    file = io.BytesIO()
    _Pickler(file, 2).dump(value)
    return file.getvalue()


def _write_pth(path, arrays, old):
    state = {name: _Tensor(array, str(i)) for i, (name, array) in enumerate(arrays.items())}
    if old:
        parts = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, state]
        data = b"".join(map(_pickled, parts)) + _pickled([t.key for t in state.values()])
        for tensor in state.values():
            data += np.int64(tensor.array.size).tobytes() + tensor.array.tobytes()
        path.write_bytes(data)
        return
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", _pickled(state))
        for tensor in state.values():
            archive.writestr(f"archive/data/{tensor.key}", tensor.array.tobytes())


def _official(tmp_path, random, network="alex", old=False):
    backbone, linear = {}, {}
    for name, shape in array_shapes(network).items():
        if name.startswith("lin"):
            key, shape = name.replace(".", ".model.1."), (1, shape[0], 1, 1)
            linear[key] = random.uniform(0, 1, shape).astype(np.float32)
        else:
            backbone[name] = 0.05 * random.normal(size=shape).astype(np.float32)
    backbone["classifier.1.weight"] = np.zeros((4, 4), np.float32)
    _write_pth(tmp_path / "backbone.pth", backbone, old)
    _write_pth(tmp_path / "linear.pth", linear, old)
    return backbone, linear


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("network", ["alex", "squeeze"])
def test_official_lpips_files_are_converted(network, old, tmp_path, random, images):
    backbone, linear = _official(tmp_path, random, network, old)
    files = [str(tmp_path / name) for name in ("backbone.pth", "linear.pth", "lpips.npz")]
    cli.main(["import", "lpips", *files, f"--network={network}"])
    with np.load(files[2]) as arrays:
        assert set(arrays.files) == set(array_shapes(network))
        np.testing.assert_array_equal(arrays["features.0.weight"], backbone["features.0.weight"])
        np.testing.assert_array_equal(
            arrays["lin0.weight"], linear["lin0.model.1.weight"].reshape(-1)
        )
    image = tf.constant(images[0][None], tf.float32)
    assert float(LPIPS(files[2], network)(image, 255 - image)[0]) > 0
    with pytest.raises(UsageError, match=r"npz exists: --overwrite"):
        cli.main(["import", "lpips", *files, f"--network={network}"])


def test_lpips_files_of_another_network_are_refused(tmp_path, random):
    _official(tmp_path, random)
    files = [str(tmp_path / name) for name in ("backbone.pth", "linear.pth", "lpips.npz")]
    with pytest.raises(UsageError, match=r"has no 'features.0.weight' .*: is it for vgg"):
        cli.main(["import", "lpips", *files, "--network=vgg"])
    with pytest.raises(UsageError, match="has no 'lin0.weight'"):
        cli.main(["import", "lpips", files[0], files[0], files[2]])
    assert not os.path.exists(files[2])


def test_hostile_weight_files_run_nothing(tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harmed"),)

    (tmp_path / "old.pth").write_bytes(pickle.dumps(Hostile()))
    with zipfile.ZipFile(tmp_path / "new.pth", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"a": Hostile()}))
    for name in ("old.pth", "new.pth"):
        with pytest.raises(UsageError, match="names posix.mkdir, which weights do not need"):
            torch_files.read(str(tmp_path / name))
    assert not (tmp_path / "harmed").exists()


def test_pickles_cannot_change_what_they_made(tmp_path):
    """A storage of bytes that says it has doubles would be read beyond its end."""

    class Pickler(_Pickler):
        def save(self, value, save_persistent_id=True):
            super().save(value, save_persistent_id)
            if isinstance(value, _Storage):
                super().save({"kind": _Named("torch", "DoubleStorage")})
                self.write(pickle.BUILD)

    file = io.BytesIO()
    Pickler(file, 2).dump({"a": _Tensor(np.zeros(4, np.float32), "0")})
    with zipfile.ZipFile(tmp_path / "forged.pth", "w") as archive:
        archive.writestr("archive/data.pkl", file.getvalue())
        archive.writestr("archive/data/0", np.zeros(4, np.float32).tobytes())
    with pytest.raises(UsageError, match="it changes something after making it"):
        torch_files.read(str(tmp_path / "forged.pth"))


@pytest.mark.parametrize("content", [b"", b"text", pickle.dumps([1]), b"PK\x03\x04 cut"])
def test_damaged_weight_files_are_refused(content, tmp_path):
    (tmp_path / "file.pth").write_bytes(content)
    with pytest.raises(UsageError, match="is no PyTorch file of weights, or damaged"):
        torch_files.read(str(tmp_path / "file.pth"))
    with pytest.raises(UsageError, match="cannot be read"):
        torch_files.read(str(tmp_path / "nowhere.pth"))


def test_tensors_outside_their_storage_are_refused(tmp_path):
    array = np.zeros(4, np.float32)
    with zipfile.ZipFile(tmp_path / "short.pth", "w") as archive:
        archive.writestr("archive/data.pkl", _pickled({"a": _Tensor(array, "0")}))
        archive.writestr("archive/data/0", array[:2].tobytes())
    with pytest.raises(UsageError, match="reaches outside its storage"):
        torch_files.read(str(tmp_path / "short.pth"))


def test_images_of_other_shapes_are_refused(exported, images):
    for image in (np.zeros((9, 9, 4), np.uint8), images[0][..., 0], images[0] / 255, images[0][:0]):
        with pytest.raises(UsageError, match=r"expects an image uint8 \[H, W, 1 or 3\], got "):
            Encoder(exported).encode(image)


@pytest.mark.parametrize(
    ("options", "radius", "size", "most"),
    [
        ({"attention": "none"}, 0, 128, 2**12),
        ({"attention": "conv", "backbone": "vgg19"}, 32, 896, 64 * (8 + 2 * 32)),
        ({"attention": "conv", "backbone": "resnet152"}, 32, 320, 64 * (8 + 2 * 32)),
        ({}, 32, 896, 64 * (8 + 2 * 32)),  # counted as a VGG
        ({"attention": "lstm", "backbone": "resnet152"}, None, 432, 64 * 1001),
        ({"attention": "bilstm", "lstm_input": "dct", "backbone": "vgg19"}, None, 240, 64 * 1001),
    ],
)
def test_exports_say_what_memory_they_take(options, radius, size, most, exported):
    """An LSTM sees the whole image, and strips have all around them that the attention sees."""
    encoder = Encoder(exported, max_pixels=2**12)
    encoder.options, encoder._radius = options, radius
    assert encoder.bytes_per_pixel == size
    assert encoder.pixels_at_once(1001, 64) == most
    assert encoder.sees_all == (radius is None)
    assert encoder.pixels_at_once(40, 64) == 40 * 64
    seen = max(cut.wide.stop - cut.wide.start for cut in encoder._strips(1001, 64))
    assert 64 * seen == most


def test_memory_is_asked_for_before_coding(exported, tmp_path, monkeypatch, images):
    asked = []
    monkeypatch.setattr(jpeg.memory, "demand", lambda *words: asked.append(words))
    Image.fromarray(np.tile(images[0], (8, 1, 1))).save(tmp_path / "in.png")
    words = ["jpeg", str(tmp_path / "in.png"), str(tmp_path / "out.jpg"), f"--model={exported}"]
    cli.main([*words, "--max_pixels=4096"])
    assert asked == [(128 * 32 * 160, ": lower `max_pixels`")]  # whole blocks, 4096 / 160 and more


def test_strips_are_whole_blocks(exported):
    cuts = list(Encoder(exported, max_pixels=2**12)._strips(1001, 64))
    assert len(cuts) > 10
    assert all(cut.wide.start % 8 == 0 and cut.kept.start % 8 == 0 for cut in cuts)
