"""Exported restorers: in pieces as at once, without lossylab, and the `restore` command."""

import dataclasses
import functools
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from lengths import long_but
from PIL import Image

from lossylab.cli import __main__ as cli
from lossylab.core.errors import CollectionError, ExportError, OutputError, UsageError, WorkError
from lossylab.data import decode
from lossylab.data.decode import decode_image, read_image
from lossylab.data.jpeg import Coding, degrade, luminance_table
from lossylab.inference.export import restoring
from lossylab.inference.export.restorer import Restorer
from lossylab.models import restorers, sadct

_SMALL = {
    "wcdgan": {"filters": 8, "blocks": 3},
    "arcnn": {},
    "dncnn": {"filters": 8, "layers": 5},
    "memnet": {"filters": 8, "blocks": 2, "recursions": 2},
    "mwcnn": {"filters": 4},
    "tnrd": {"stages": 2},
}


def _network(name, channels=1):
    network = restorers.make(name, channels, luminance_table(10), **_SMALL[name])
    for variable in network.trainable_variables:  # last layers begin near 0
        if variable.shape.rank == 4 and name != "tnrd":
            deviation = np.prod(variable.shape[:3]) ** -0.5
            variable.assign_add(tf.random.normal(variable.shape, stddev=deviation / 2))
    return network


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """The path of a network's export, luma, by name; made when it is asked for."""
    folder = tmp_path_factory.mktemp("exports")
    special = {"wcdgan_rgb": ("wcdgan", 3), "blind": ("dncnn", 1)}

    @functools.cache
    def make(name):
        tf.random.set_seed(3)
        network = _network(*special.get(name, (name, 1)))
        Restorer.save(network, str(folder / name), {} if name == "blind" else {"quality": 10})
        return folder / name

    return make


@pytest.mark.parametrize("turned", long_but([False], [False, True]))
@pytest.mark.parametrize(
    "name", long_but(["arcnn", "mwcnn", "wcdgan_rgb"], [*_SMALL, "wcdgan_rgb"])
)
def test_pieces_do_not_show(name, turned, exports, images):
    network = Restorer(str(exports(name)))
    image = np.concatenate([images[0], images[1], images[2]], 1)[:123, :429, : network.channels]
    if turned:
        image = np.ascontiguousarray(image.transpose(1, 0, 2))
    whole = network.apply(image)
    in_tiles = Restorer(str(exports(name)), max_pixels=2**13).apply(image)
    difference = np.abs(whole.astype(int) - in_tiles)
    assert whole.std() > 1
    # Sums in another order may fall on the other side of a rounding, here and there.
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 1e-3


def test_pieces_are_really_made(exports, images, monkeypatch):
    calls = []
    network = Restorer(str(exports("wcdgan")), max_pixels=2**12)
    call = network._only
    monkeypatch.setattr(network, "_only", lambda *a, **k: (calls.append(a[0]), call(*a, **k))[1])
    network.apply(images[0][..., :1])
    assert "restore" not in calls
    assert calls.count("next") == 2 * calls.count("leave")


def test_what_an_export_says_of_itself(exports):
    network = Restorer(str(exports("wcdgan")))
    assert (network.model, network.channels, network.quality) == ("wcdgan", 1, 10)
    assert network.parameters == sum(
        v.shape.num_elements() for v in _network("wcdgan").trainable_variables
    )
    assert Restorer(str(exports("blind"))).quality is None


def test_outputs_are_not_called_as_inputs(exports):
    for name, function in tf.saved_model.load(str(exports("wcdgan"))).signatures.items():
        inputs = function.structured_input_signature[1]
        assert not set(inputs) & set(function.structured_outputs), name


_ELSEWHERE = """
import sys
import numpy as np
import tensorflow as tf
image = np.load(sys.argv[2])
got = tf.saved_model.load(sys.argv[1]).signatures["restore"](image=image)["restored"]
np.save(sys.argv[3], got.numpy())
assert "lossylab" not in sys.modules
"""


def test_exports_need_no_lossylab(exports, images, tmp_path):
    image = images[0][:37, :51, :1]
    np.save(tmp_path / "in.npy", image)
    paths = [str(exports("wcdgan")), str(tmp_path / "in.npy"), str(tmp_path / "out.npy")]
    subprocess.run(
        [sys.executable, "-c", _ELSEWHERE, *paths], check=True, cwd=tmp_path, capture_output=True
    )
    here = Restorer(paths[0]).apply(image)
    assert np.abs(np.load(paths[2]).astype(int) - here).max() <= 1


def test_folders_that_are_no_restorers_are_refused(tmp_path, exports):
    with pytest.raises(ExportError, match="no such folder"):
        Restorer(str(tmp_path / "nowhere"))
    module = tf.Module()
    module.run = tf.function(lambda: {"x": tf.constant(1)}, input_signature=[])
    tf.saved_model.save(module, str(tmp_path / "other"), signatures={"x": module.run})
    with pytest.raises(ExportError, match="of kind restorer, it lacks the signatures"):
        Restorer(str(tmp_path / "other"))


def _restore(*arguments):
    cli.main(["restore", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path, images):
    """JPEG files of quality 10: color, gray and CMYK; a PNG; a tiny one."""
    place = tmp_path / "in"
    place.mkdir()
    color = Image.fromarray(images[0])
    color.save(place / "color.jpg", quality=10)
    color.convert("L").save(place / "gray.jpg", quality=10)
    color.convert("CMYK").save(place / "cmyk.jpg", quality=10)
    color.save(place / "lossless.png")
    color.crop((0, 0, 1, 1)).save(place / "tiny.jpg", quality=10)
    return place


@pytest.mark.parametrize(
    "name", long_but(["arcnn", "wcdgan_rgb"], [*_SMALL, "wcdgan_rgb", "sadct"])
)
def test_a_folder_of_all_kinds(name, exports, folder, tmp_path, capsys):
    model = name if name == "sadct" else exports(name)
    # Color networks have learned no files that code CMYK.
    extra = {"sadct": ["--quality=10"], "wcdgan_rgb": ["--any_quality"]}.get(name, [])
    _restore(folder, tmp_path / "out", f"--model={model}", *extra)
    for source in folder.iterdir():
        with Image.open(tmp_path / "out" / f"{source.stem}.png") as made, Image.open(source) as old:
            assert made.size == old.size
            assert made.mode == ("L" if source.stem == "gray" else "RGB")
    assert len(capsys.readouterr().out.splitlines()) == 1 + 5


def test_bad_files_do_not_stop_the_good_ones(exports, folder, tmp_path, caplog, images):
    (folder / "broken.jpg").write_bytes((folder / "color.jpg").read_bytes()[:400])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("no image")
    Image.fromarray(images[0]).save(folder / "fine.jpg", quality=80)
    with pytest.raises(WorkError, match="4 of 9 files failed"):
        _restore(folder, tmp_path / "out", f"--model={exports('arcnn')}")
    assert sorted(p.stem for p in (tmp_path / "out").glob("[!.]*")) == [
        *("cmyk", "color", "gray", "lossless", "tiny"),
    ]
    for words in (
        "is it damaged",
        "is empty",
        "not an image",
        "tables near quality 80, the network is for 10",
    ):
        assert words in caplog.text


def test_luma_networks_keep_the_colors(exports, folder):
    image = read_image(folder / "color.jpg")
    network = Restorer(str(exports("dncnn")))
    restored = network.restore(image)
    luma = restored.astype(float) @ (0.299, 0.587, 0.114)
    before = image.astype(float) @ (0.299, 0.587, 0.114)
    inside = ((restored > 0) & (restored < 255)).all(-1)
    # Blue minus luma is the color: it stays but for the rounding.
    np.testing.assert_allclose(
        (restored[..., 2] - luma)[inside], (image[..., 2] - before)[inside], atol=1.2
    )


def _older(network):
    """The export as version 0.1 wrote them, with functions of uint8 only."""
    network._exact = False
    return network


@pytest.mark.long
def test_exports_without_functions_of_floats_restore_to_the_rounding(exports, images):
    for name in ("arcnn", "wcdgan", "wcdgan_rgb"):
        image = degrade(images[0], 10)
        newest, older = (Restorer(str(exports(name))) for _ in range(2))
        wanted, got = newest.restore(image), _older(older).restore(image)
        near = np.abs(wanted.astype(int) - got) <= 2  # random networks spread a rounding
        assert near.mean() > 0.8
        single = image[..., : newest.channels]
        np.testing.assert_array_equal(newest.apply(single), older.apply(single))


def _mapped(plane):
    return (16 + 219 / 255 * plane.astype(float)).astype(np.float32)


def test_luma_is_seen_in_the_range_that_was_learned(exports, images, monkeypatch):
    """Black is 16 to a network of studio range and black again in the image."""
    gray = degrade(images[0][..., :1], 10).copy()
    gray[:2, :2], gray[-2:, -2:] = 0, 255
    for name, wanted in (("arcnn", _mapped(gray)), ("tnrd", gray), ("dncnn", _mapped(gray))):
        seen, network = [], Restorer(str(exports(name)))
        with monkeypatch.context() as patched:
            patched.setattr(network, "_whole", lambda x, seen=seen: seen.append(x) or x)
            np.testing.assert_array_equal(network.restore(gray), gray)
        np.testing.assert_array_equal(seen[0], wanted)
        assert network.luma_range == ("full" if name == "tnrd" else "studio")


def test_what_a_network_changes_is_scaled_back(exports, images, monkeypatch):
    gray = images[0][..., :1] // 2 + 50
    network = Restorer(str(exports("dncnn")))
    monkeypatch.setattr(network, "_whole", lambda seen: seen + 10)
    np.testing.assert_array_equal(network.restore(gray), gray + 12)  # 10 * 255 / 219
    assert set(np.unique(_older(network).restore(gray) - gray)) == {12}


@pytest.mark.long
def test_cards_say_range_and_colors_and_older_ones_need_not(exports, monkeypatch, tmp_path):
    fields = ("color_space", "luma_range", "chroma")
    expected = {
        **dict.fromkeys(("wcdgan", "arcnn", "blind"), ("y", "studio", "kept")),
        **{"tnrd": ("y", "full", "kept"), "wcdgan_rgb": ("rgb", None, "restored")},
    }
    for name, values in expected.items():
        assert tuple(Restorer(str(exports(name))).card[field] for field in fields) == values
    serve = Restorer.serve.__func__

    def older(cls, network):
        served = serve(cls, network)
        kept = {k: v for k, v in served.details.items() if k not in fields}
        return dataclasses.replace(served, details=kept)

    def odd(cls, network):
        served = serve(cls, network)
        return dataclasses.replace(served, details={**served.details, "luma_range": "film"})

    monkeypatch.setattr(Restorer, "serve", classmethod(older))
    for name in ("arcnn", "tnrd"):
        Restorer.save(_network(name), str(tmp_path / name), {"quality": 10})
        assert Restorer(str(tmp_path / name)).luma_range == expected[name][1]
    monkeypatch.setattr(Restorer, "serve", classmethod(odd))
    Restorer.save(_network("arcnn"), str(tmp_path / "odd"), {})
    with pytest.raises(ExportError, match="unknown range, 'film'"):
        Restorer(str(tmp_path / "odd"))


def test_planes_that_a_file_has_coded_are_restored(exports, images, tmp_path, monkeypatch):
    """Of a file of R, G and B each; of one of luma and colors the luma alone."""
    network, seen = Restorer(str(exports("dncnn"))), []
    monkeypatch.setattr(network, "_whole", lambda plane: seen.append(plane) or plane)
    Image.fromarray(images[0]).save(tmp_path / "a.jpg", quality=10, keep_rgb=True)
    decoded = decode_image(tmp_path / "a.jpg")
    np.testing.assert_array_equal(network.restore(decoded.pixels, decoded.coding), decoded.pixels)
    np.testing.assert_array_equal(np.concatenate(seen, -1), _mapped(decoded.pixels))
    network.restore(decoded.pixels)
    assert len(seen) == 4
    each = [restoring.by_sadct(decoded.pixels[..., i : i + 1], Coding.by_quality(10, 1))
            for i in range(3)]  # fmt: skip
    restored = restoring.by_sadct(decoded.pixels, decoded.coding)
    np.testing.assert_array_equal(restored, np.concatenate(each, -1))


def test_sadct_takes_tables_and_sampling_from_the_file(images, tmp_path, monkeypatch):
    seen = []

    def look(planes, tables, areas):
        seen.append((tuple(int(table[0, 0]) for table in tables), tuple(areas)))
        return planes

    monkeypatch.setattr(sadct, "restore", look)
    for subsampling, area in (("4:4:4", 1), ("4:2:2", 2), ("4:2:0", 4)):
        Image.fromarray(images[0]).save(tmp_path / "a.jpg", quality=37, subsampling=subsampling)
        _restore(tmp_path / "a.jpg", tmp_path / f"{area}.png", "--model=sadct")
        assert seen.pop() == ((22, 23, 23), (1, area, area))


def test_sadct_says_where_it_restores_little(images, tmp_path, caplog):
    small = Image.fromarray(images[0][:24, :24])
    for quality, warned in ((90, False), (95, True)):
        small.save(tmp_path / f"{quality}.jpg", quality=quality)
        _restore(tmp_path / f"{quality}.jpg", tmp_path / f"{quality}.png", "--model=sadct")
        assert ("above 90 SA-DCT takes away" in caplog.text) == warned


def test_quality_is_checked_unless_told_not_to(exports, folder, tmp_path, images):
    Image.fromarray(images[0]).save(tmp_path / "fine.jpg", quality=50)
    model = f"--model={exports('arcnn')}"
    with pytest.raises(WorkError, match="1 of 1 files failed"):
        _restore(tmp_path / "fine.jpg", tmp_path / "a.png", model)
    assert not (tmp_path / "a.png").exists()
    _restore(tmp_path / "fine.jpg", tmp_path / "a.png", model, "--any_quality")
    _restore(tmp_path / "fine.jpg", tmp_path / "b.png", f"--model={exports('blind')}")
    assert (tmp_path / "a.png").exists()
    assert (tmp_path / "b.png").exists()


def test_sadct_needs_to_know_how_a_image_was_coded(folder, tmp_path, caplog):
    with pytest.raises(WorkError, match="1 of 1 files failed"):
        _restore(folder / "lossless.png", tmp_path / "a.png", "--model=sadct")
    assert "give the --quality it was coded at" in caplog.text
    _restore(folder / "gray.jpg", tmp_path / "g.png", "--model=sadct")
    assert (tmp_path / "g.png").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["in"], UsageError, "OUTPUT is needed: a folder, as there are several"),
        (["in/gray.jpg", "a.jpg", "--model=sadct"], UsageError, "which lose nothing"),
        (["nothing", "out", "--model=sadct"], CollectionError, "no images found for 'nothing'"),
        (["in", "out", "--model=nowhere"], ExportError, "no such folder"),
        (
            ["in", "out", "--model=nowhere", "--quality=10"],
            UsageError,
            "goes with --model=sadct or several",
        ),
        (
            ["in/lossless.png", "in/lossless.png", "--model=sadct"],
            UsageError,
            "png exists: --overw",
        ),
        (
            ["in/lossless.png", "in/lossless.png", "--model=sadct", "--overwrite"],
            UsageError,
            "is an input: choose another output",
        ),
    ],
)
def test_wrong_usage_is_refused(arguments, error, message, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder.parent)
    before = (folder / "lossless.png").read_bytes()
    with pytest.raises(error, match=message):
        _restore(*arguments)
    assert (folder / "lossless.png").read_bytes() == before
    assert not pathlib.Path("out").exists() or not any(pathlib.Path("out").iterdir())


def test_gray_is_restored_by_rgb_networks_as_the_mean(exports, images):
    network = Restorer(str(exports("wcdgan_rgb")))
    gray = degrade(images[0][..., :1], 10)
    wanted = network.apply(np.repeat(gray, 3, 2)).mean(2, keepdims=True)
    assert np.abs(network.restore(gray) - wanted).max() <= 0.5


def test_tnrd_needs_its_table_and_its_blocks(exports, tmp_path, images, caplog):
    model = f"--model={exports('tnrd')}"
    Image.fromarray(images[0]).save(tmp_path / "near.jpg", quality=9)
    turned = Image.Exif()
    turned[0x0112] = 3
    Image.fromarray(images[0]).save(tmp_path / "turned.jpg", quality=10, exif=turned)
    for name, words in (("near", "another quantization table"), ("turned", "EXIF orientation")):
        with pytest.raises(WorkError, match="1 of 1 files failed"):
            _restore(tmp_path / f"{name}.jpg", tmp_path / "a.png", model, "--any_quality")
        assert words in caplog.text
    _restore(tmp_path / "turned.jpg", tmp_path / "b.png", f"--model={exports('arcnn')}")
    with Image.open(tmp_path / "b.png") as made:
        assert made.size == images[0].shape[1::-1]


def test_tnrd_says_what_it_takes_other_files_for(exports, folder, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(decode, "_said", set())
    model = f"--model={exports('tnrd')}"
    _restore(folder / "color.jpg", tmp_path / "a.png", model)
    assert "tnrd takes" not in caplog.text
    _restore(folder / "lossless.png", tmp_path / "b.png", model)
    assert "lossless.png: tnrd takes it for coded at quality 10, its blocks for" in caplog.text


def test_exports_replace_exports_only(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.txt").write_text("dear")
    with pytest.raises(OutputError, match="holds something that is no SavedModel"):
        Restorer.save(_network("arcnn"), str(tmp_path / "photos"), {})
    assert (tmp_path / "photos" / "mine.txt").read_text() == "dear"
    for _ in range(2):
        Restorer.save(_network("arcnn"), str(tmp_path / "export"), {})
    assert Restorer(str(tmp_path / "export")).model == "arcnn"


@pytest.mark.parametrize("turned", long_but([True], [False, True]))
def test_sadct_in_pieces_is_sadct(turned, images, monkeypatch):
    """Long enough for pieces whose surroundings are cut on both ends."""
    image = images[0][:31, :157]
    image = degrade(np.ascontiguousarray(image.transpose(1, 0, 2)) if turned else image, 10)
    coding = Coding.by_quality(10, 3)
    whole = restoring.by_sadct(image, coding)
    monkeypatch.setattr(restoring, "MAX_PIXELS", 1)  # pieces are as small as can be
    np.testing.assert_array_equal(restoring.by_sadct(image, coding), whole)


def test_too_little_memory_is_said(exports, folder, tmp_path, monkeypatch, caplog):
    real = Restorer.restore

    def scarce(network, image, coding):
        if image.shape[2] == 1:
            raise MemoryError
        return real(network, image, coding)

    monkeypatch.setattr(Restorer, "restore", scarce)
    with pytest.raises(WorkError, match="1 of 5 files failed"):
        _restore(folder, tmp_path / "out", f"--model={exports('arcnn')}")
    assert "not enough memory for an image of this size" in caplog.text
    assert len(list((tmp_path / "out").glob("[!.]*"))) == 4
