"""Sweeps: every row is computed once, whatever happens in between, and none is out of date."""

import contextlib
import logging
import struct
import subprocess
import sys
import zlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lossylab.core import ffmpeg, rows
from lossylab.core.digest import digest
from lossylab.core.errors import CodecError, UsageError, WorkError
from lossylab.data.decode import read_image
from lossylab.eval.metrics import vmaf
from lossylab.eval.schemas import CODED
from lossylab.eval.sweep import Sweep
from lossylab.inference.codecs.base import HIGHEST_BPP, LOWEST_BPP, POINTS, EncodedFile, ImageCodec
from lossylab.inference.codecs.classical import Hevc, Jpeg, Jpeg2000

TIMES = ["encode_ms", "decode_ms"]


class Fake(ImageCodec):
    """Every third pixel in coarser levels, deflated: a codec that notes what is asked of it."""

    def __init__(self, name="fake", searched=True, release="1", weights="", fails=()):
        """A codec; `fails` are images' contents that it fails on."""
        self.name, self.searched, self.apart = name, searched, 3
        self._release, self._weights, self.fails = release, weights, set(fails)
        steps = sorted(set(np.geomspace(1, 40, 30).astype(int)), reverse=True)
        self.settings = tuple(str(step) for step in (steps if searched else steps[::6]))
        self.encoded, self.decoded = [], []

    def encode(self, image, setting):
        self.encoded.append((digest(image), setting))
        if digest(image) in self.fails:
            raise CodecError(f"{self.name} does not like this image")
        step = int(setting)
        body = zlib.compress((image[:: self.apart, :: self.apart] // step).tobytes())
        data = struct.pack(">HHB", *image.shape[:2], step) + body
        return EncodedFile(data, *image.shape[:2], 8.0 * len(body))

    def decode(self, file, setting):
        height, width, step = struct.unpack(">HHB", file.data[:5])
        assert step == int(setting)
        self.decoded.append(setting)
        levels = np.frombuffer(zlib.decompress(file.data[5:]), np.uint8).astype(int)
        levels = levels.reshape(-(-height // self.apart), -(-width // self.apart), 3)
        image = np.minimum(levels * step + step // 2, 255).astype(np.uint8)
        return image.repeat(self.apart, 0).repeat(self.apart, 1)[:height, :width]

    def version(self):
        return f"deflate {self._release}"

    def options(self, setting):
        return {"step": setting, "weights": self._weights}


@pytest.fixture
def folder(images, tmp_path):
    """Three image files of 64x64 and 48x80 pixels."""
    place = tmp_path / "images"
    place.mkdir()
    for name, image in zip("abc", images):
        height, width = (48, 80) if name == "c" else (64, 64)
        Image.fromarray(image[:height, :width]).save(place / f"{name}.png")
    return place


@pytest.fixture
def paths(folder):
    """The first two of these files."""
    return [str(folder / "a.png"), str(folder / "b.png")]


@pytest.fixture
def measured(monkeypatch):
    """Puts a quick score in libvmaf's place and notes the pairs."""
    made = []

    def measure(reference, distorted, names):
        made.append((digest(reference), digest(distorted)))
        error = np.abs(reference.astype(float) - distorted).mean()
        return {name: np.array([100 - error - i]) for i, name in enumerate(names)}

    monkeypatch.setattr(vmaf, "measure", measure)
    return made


def _run(place, codecs, paths, jobs=2, **options):
    with contextlib.closing(Sweep(str(place), codecs, **options)) as found:
        return found.run(paths, jobs)


def _timeless(table):
    return table.drop(columns=TIMES)


def _kept(place, name="rows.csv"):
    return rows.read(place / name, CODED.columns)


# What is measured.


def test_rows_are_those_of_the_files(paths, tmp_path):
    """With real codecs and scores, against the same things computed here."""
    codecs = [Jpeg(), Jpeg2000()]
    table = _run(tmp_path / "out", codecs, paths)
    assert list(table) == list(CODED.columns)
    assert len(table) == 2 * 2 * POINTS
    for row in table[::5].itertuples():
        codec = codecs[row.codec == "jpeg2000"]
        image = read_image(tmp_path / "images" / f"{row.image}.png")
        file = codec.encode(image, row.setting)
        decoded = codec.decode(file, row.setting)
        assert row.bytes == len(file.data)
        assert row.bpp_file == pytest.approx(8 * len(file.data) / (64 * 64))
        assert (row.width, row.height) == (64, 64)
        assert np.isnan(row.bpp_estimated)
        assert np.isnan(row.ms_ssim)  # the images are too small for libvmaf's
        names = ("psnr", "ssim", "vif", "vif_scale0", "vmaf")
        for name, score in vmaf.measure(image[None], decoded[None], names).items():
            assert getattr(row, name) == pytest.approx(score[0], rel=1e-7), name
        error = np.mean((image.astype(float) - decoded) ** 2)
        assert row.psnr_rgb == pytest.approx(10 * np.log10(255**2 / error))
        assert row.encode_ms > 0
        assert row.decode_ms > 0
        assert row.version == codec.version()
        assert row.ffmpeg == ffmpeg.version(ffmpeg.executable())


def test_searched_codecs_get_the_rates_of_the_range(paths, measured, tmp_path):
    codec = Fake()
    table = _run(tmp_path, [codec], paths)
    for name, curve in table.groupby("image"):
        assert list(curve.point) == list(range(len(curve)))
        assert set(curve.points) == {len(curve)}
        assert (np.diff(curve.bpp_file) > 0).all()
        image = read_image(tmp_path / "images" / f"{name}.png")
        sizes = [len(codec.encode(image, setting).data) for setting in codec.settings]
        assert (np.diff(sizes) > 0).all()
        logs = np.log(8 * np.array(sizes) / (64 * 64))
        targets = np.linspace(
            max(np.log(LOWEST_BPP), logs[0]), min(np.log(HIGHEST_BPP), logs[-1]), POINTS
        )
        nearest = {codec.settings[int(np.argmin(abs(logs - target)))] for target in targets}
        assert set(curve.setting) == nearest


def test_other_codecs_get_all_their_settings(paths, measured, tmp_path):
    codec = Fake(searched=False)
    table = _run(tmp_path, [codec], paths)
    for _, curve in table.groupby("image"):
        assert tuple(curve.setting) == codec.settings
    assert len(codec.encoded) == len(table) == 2 * len(codec.settings)
    assert table.bpp_estimated.to_numpy() == pytest.approx(
        (8 * table.bytes - 40).to_numpy() / (64 * 64)
    )


def test_table_is_sorted_by_codec_as_given_image_and_point(paths, measured, tmp_path):
    codecs = [Fake("z"), Fake("a", searched=False)]
    table = _run(tmp_path, codecs, paths[::-1])
    order = list(zip(table.codec.map({"z": 0, "a": 1}), table.image, table.point))
    assert order == sorted(order)
    assert list(table.codec.unique()) == ["z", "a"]


def test_decoding_without_loss_is_infinitely_good(paths, measured, tmp_path):
    exact = Fake(searched=False)
    exact.apart, exact.settings = 1, ("2", "1")
    table = _run(tmp_path, [exact], paths)
    assert np.isfinite(table.psnr_rgb[table.setting == "2"]).all()
    assert (table.psnr_rgb[table.setting == "1"] == np.inf).all()


def test_several_jobs_equal_one_job(folder, measured, tmp_path):
    paths = sorted(str(path) for path in folder.iterdir())
    tables = [
        _run(tmp_path / f"out{jobs}", [Fake(), Fake("other", searched=False)], paths, jobs=jobs)
        for jobs in (1, 2, 7)
    ]
    for table in tables[1:]:
        pd.testing.assert_frame_equal(_timeless(table), _timeless(tables[0]))


def test_images_of_equal_content_have_rows_each_and_are_searched_once(
    folder, paths, measured, tmp_path
):
    (folder / "copy.png").write_bytes((folder / "a.png").read_bytes())
    alone = Fake()
    expected = _run(tmp_path / "alone", [alone], paths[:1], jobs=1)
    codec = Fake()
    table = _run(tmp_path / "both", [codec], [*paths[:1], str(folder / "copy.png")], jobs=1)
    assert set(table.image) == {"a", "copy"}
    for _, curve in table.groupby("image"):
        curve = _timeless(curve).drop(columns="image").reset_index(drop=True)
        pd.testing.assert_frame_equal(curve, _timeless(expected).drop(columns="image"))
    # Sizes are known by content, so the copy is only encoded where it is measured.
    assert len(codec.encoded) == len(alone.encoded) + len(expected)


# Nothing is computed twice.


def _forbid(monkeypatch, codec):
    def fail(*arguments):
        raise AssertionError("this was done already")

    monkeypatch.setattr(codec, "encode", fail)
    monkeypatch.setattr(codec, "decode", fail)
    monkeypatch.setattr(vmaf, "measure", fail)


@pytest.mark.parametrize("searched", [True, False])
def test_a_second_run_computes_nothing(searched, paths, measured, tmp_path, monkeypatch):
    first = _run(tmp_path / "out", [Fake(searched=searched)], paths)
    before = (tmp_path / "out" / "rows.csv").read_bytes()
    codec = Fake(searched=searched)
    _forbid(monkeypatch, codec)
    pd.testing.assert_frame_equal(_run(tmp_path / "out", [codec], paths), first)
    assert (tmp_path / "out" / "rows.csv").read_bytes() == before


def test_a_sweep_may_be_run_again_while_it_is_open(paths, measured, tmp_path):
    with contextlib.closing(Sweep(str(tmp_path), [Fake()])) as opened:
        first = opened.run(paths, 2)
        done = len(measured)
        pd.testing.assert_frame_equal(opened.run(paths, 2), first)
    assert len(measured) == done


def test_a_second_run_of_real_codecs_computes_nothing(paths, tmp_path, monkeypatch):
    codecs = [Jpeg(), Jpeg2000()]
    first = _run(tmp_path / "out", codecs, paths[:1])
    for codec in codecs:
        _forbid(monkeypatch, codec)
    pd.testing.assert_frame_equal(_run(tmp_path / "out", codecs, paths[:1]), first)


def test_each_setting_of_a_image_is_encoded_once(paths, measured, tmp_path):
    codec = Fake()
    table = _run(tmp_path, [codec], paths)
    assert len(set(codec.encoded)) == len(codec.encoded)
    assert len(codec.decoded) == len(measured) == len(table)


def test_only_what_is_new_is_measured(folder, paths, measured, tmp_path):
    first = _run(tmp_path / "out", [Fake()], paths)
    done = len(measured)
    codec, other = Fake(), Fake("other", searched=False)
    table = _run(tmp_path / "out", [codec, other], [*paths, str(folder / "c.png")])
    assert {content for content, _ in codec.encoded} == {
        digest(read_image(folder / "c.png")),
    }
    new = table[(table.codec == "other") | (table.image == "c")]
    assert len(measured) - done == len(new)
    old = table.drop(index=new.index).reset_index(drop=True)
    pd.testing.assert_frame_equal(old, first)


def test_rows_of_codecs_and_images_not_asked_for_are_kept_but_not_returned(
    paths, measured, tmp_path
):
    first = _run(tmp_path / "out", [Fake(), Fake("other")], paths)
    codec = Fake("other")
    table = _run(tmp_path / "out", [codec], paths[:1])
    assert set(zip(table.codec, table.image)) == {("other", "a")}
    assert not codec.encoded
    assert len(_kept(tmp_path / "out")) == len(first)


def test_a_renamed_image_gets_rows_of_its_name(folder, paths, measured, tmp_path):
    _run(tmp_path / "out", [Fake()], paths[:1])
    (folder / "a.png").rename(folder / "renamed.png")
    table = _run(tmp_path / "out", [Fake()], [str(folder / "renamed.png")])
    assert set(table.image) == {"renamed"}


def test_a_changed_image_is_measured_again(folder, paths, images, measured, tmp_path):
    first = _run(tmp_path / "out", [Fake()], paths[:1])
    Image.fromarray(images[1][:64, :64]).save(folder / "a.png")
    codec = Fake()
    table = _run(tmp_path / "out", [codec], paths[:1])
    assert codec.encoded
    assert not set(table.content) & set(first.content)
    assert set(table.image) == {"a"}


# Killed and given again.

_KILLED = """
import os, signal, sys
from lossylab.core import rows
from lossylab.eval import sweep
from lossylab.inference.codecs import registry as codecs
from lossylab.eval.metrics import vmaf

out, *paths = sys.argv[1:]


def killing(function, count):
    calls = []

    def called(*arguments):
        calls.append(1)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments)

    return called


def kill_in(place):
    if place == "search":
        codecs.Jpeg.encode = killing(codecs.Jpeg.encode, 12)
    elif place == "measure":
        vmaf.measure = killing(vmaf.measure, 11)
    else:
        # The fifth line is torn, the heading being the first.
        count = []

        def write(self, line, whole=rows.Rows._write):
            if self.path.name == "rows.csv":
                count.append(1)
                if len(count) == 5:
                    whole(self, line[: len(line) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
            whole(self, line)

        rows.Rows._write = write
    kinds = [codecs.Jpeg(), codecs.Jpeg2000()]
    sweep.Sweep(os.path.join(out, place), kinds).run(paths, 2)


for place in ("search", "measure", "line"):
    child = os.fork()
    if not child:
        kill_in(place)
        os._exit(0)
    print(place, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.fixture(scope="module")
def killed(images, tmp_path_factory):
    """Folders of sweeps over two images that were killed, and the images' paths."""
    place = tmp_path_factory.mktemp("killed")
    paths = [str(place / "a.png"), str(place / "b.png")]
    for path, image in zip(paths, images):
        Image.fromarray(image[:64, :64]).save(path)
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(place), *paths], capture_output=True, text=True
    )
    assert done.stdout.split() == ["search", "-9", "measure", "-9", "line", "-9"], done.stderr
    return place, paths


@pytest.fixture(scope="module")
def never_killed(killed):
    """Table of a sweep over these images in one go, and how many encodings searched."""
    folder, paths = killed
    table = _run(folder / "never", [Jpeg(), Jpeg2000()], paths)
    return table, len(rows.read(folder / "never" / "probes.csv"))


@pytest.mark.parametrize("place", ["search", "measure", "line"])
def test_a_killed_sweep_goes_on_where_it_was(place, killed, never_killed, monkeypatch, caplog):
    folder, paths = killed
    kept = (folder / place / "rows.csv").read_bytes()
    finished = kept.count(b"\n") - 1
    assert finished < 2 * 2 * POINTS
    torn = not kept.endswith(b"\n")
    assert torn == (place == "line")
    probed = (folder / place / "probes.csv").read_bytes().count(b"\n") - 1
    calls = {"encode": 0, "decode": 0, "measure": 0}

    def counting(name, function):
        def called(*arguments):
            calls[name] += 1
            return function(*arguments)

        return called

    with monkeypatch.context() as patched:
        for kind in (Jpeg, Jpeg2000):
            for name in ("encode", "decode"):
                patched.setattr(kind, name, counting(name, getattr(kind, name)))
        patched.setattr(vmaf, "measure", counting("measure", vmaf.measure))
        table = _run(folder / place, [Jpeg(), Jpeg2000()], paths)
    assert ("removing a last line that was not finished" in caplog.text) == torn
    missing = len(table) - finished
    assert calls["decode"] == calls["measure"] == missing > 0
    # What was encoded to search before the kill is encoded again only to be measured.
    fresh, looked = never_killed
    assert calls["encode"] <= missing + looked - probed
    pd.testing.assert_frame_equal(_timeless(table), _timeless(fresh))
    assert len(_kept(folder / place)) == len(table)
    after = (folder / place / "rows.csv").read_bytes()
    assert after.startswith(kept[: kept.rfind(b"\n") + 1])


# Other weights, options and versions.


@pytest.mark.parametrize(
    "change",
    [{"release": "2"}, {"weights": "other"}, "protocol", "ffmpeg"],
    ids=["version", "options", "protocol", "ffmpeg"],
)
@pytest.mark.parametrize("searched", [True, False])
def test_rows_of_something_else_are_superseded_and_never_shown(
    change, searched, paths, measured, tmp_path, monkeypatch, caplog
):
    out = tmp_path / "out"
    first = _run(out, [Fake(searched=searched), Fake("other")], paths)
    before = _kept(out)
    done = len(measured)
    if change == "protocol":
        monkeypatch.setattr(vmaf, "PROTOCOL", "another protocol")
    elif change == "ffmpeg":
        monkeypatch.setattr(ffmpeg, "version", lambda program: "another version")
    codec = Fake(searched=searched, **(change if isinstance(change, dict) else {}))
    table = _run(out, [codec], paths)
    old = [row for row in before if row["codec"] == "fake"]
    assert f"{len(old)} rows are of other weights or versions: moved to" in caplog.text
    assert _kept(out, "superseded.csv") == old
    assert len(measured) - done == len(table)
    assert len(codec.encoded) >= len(table)
    assert not set(table.identity) & set(first.identity)
    kept = _kept(out)
    assert {row["identity"] for row in kept if row["codec"] == "fake"} == set(table.identity)
    # Rows of a codec that was not asked for stay.
    assert [r for r in kept if r["codec"] == "other"] == [
        r for r in before if r["codec"] == "other"
    ]


def test_nothing_is_superseded_where_nothing_changed(paths, measured, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    for _ in range(2):
        _run(tmp_path / "out", [Fake()], paths)
    assert not (tmp_path / "out" / "superseded.csv").exists()
    assert not caplog.text


def test_rows_superseded_twice_are_all_kept(paths, measured, tmp_path):
    out = tmp_path / "out"
    tables = [_run(out, [Fake(release=release)], paths) for release in ("1", "2", "3")]
    assert len(_kept(out, "superseded.csv")) == len(tables[0]) + len(tables[1])
    assert len(_kept(out)) == len(tables[2])
    assert set(tables[2].version) == {"deflate 3"}


@pytest.fixture
def two_sets(folder, images, tmp_path):
    """Files of two sets, of equal names."""
    other = tmp_path / "other"
    other.mkdir()
    for name, image in zip("ab", images):
        Image.fromarray(image[64:128, 64:128]).save(other / f"{name}.png")
    return {
        "one": [str(folder / f"{n}.png") for n in "ab"],
        "two": sorted(map(str, other.iterdir())),
    }


def test_sets_of_equal_names_share_a_folder(two_sets, measured, tmp_path, monkeypatch):
    out = tmp_path / "out"
    first = {name: _run(out, [Fake()], paths, data=name) for name, paths in two_sets.items()}
    assert not set(first["one"].content) & set(first["two"].content)
    assert not (out / "superseded.csv").exists()
    codec = Fake()
    _forbid(monkeypatch, codec)
    for name, paths in two_sets.items():
        pd.testing.assert_frame_equal(_run(out, [codec], paths, data=name), first[name])


def test_rows_of_images_that_a_set_has_no_more_are_superseded(two_sets, measured, tmp_path):
    out = tmp_path / "out"
    for name, paths in two_sets.items():
        _run(out, [Fake(), Fake("other")], paths, data=name)
    _run(out, [Fake()], two_sets["one"][:1], data="one")
    assert {(row["codec"], row["data"], row["image"]) for row in _kept(out)} == {
        (codec, *place)
        for codec in ("fake", "other")
        for place in (("one", "a"), ("two", "a"), ("two", "b"))
    }


def test_rows_that_do_not_say_their_set_are_of_the_one_beside_them(
    paths, measured, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    first = _run(out, [Fake()], paths, data="kodak")
    old = [name for name in CODED.columns if name != "data"]
    with contextlib.closing(rows.Rows(tmp_path / "old.csv", old)) as file:
        for row in _kept(out):
            file.append(row)
    (tmp_path / "old.csv").rename(out / "rows.csv")
    (out / "about.json").write_text('{"data": "kodak"}')
    codec = Fake()
    with monkeypatch.context() as patched:
        _forbid(patched, codec)
        pd.testing.assert_frame_equal(_run(out, [codec], paths, data="kodak"), first)
    _run(out, [codec], paths[:1], data="another")
    assert {row["data"] for row in _kept(out)} == {"kodak", "another"}


def test_fewer_exports_of_a_name_leave_the_rows_of_the_others(paths, measured, tmp_path):
    whole, part = Fake(searched=False), Fake(searched=False)
    part.settings = whole.settings[::2]
    _run(tmp_path, [whole], paths)
    before = _kept(tmp_path)
    table = _run(tmp_path, [part], paths)
    assert set(table.setting) == set(part.settings)
    assert not part.encoded
    assert _kept(tmp_path) == before


# What goes wrong.


def test_one_failing_curve_does_not_stop_the_others(paths, measured, tmp_path):
    out = tmp_path / "out"
    bad = digest(read_image(paths[1]))
    with pytest.raises(WorkError) as caught:
        _run(out, [Fake(), Fake("picky", fails=[bad]), Fake("plain", searched=False)], paths)
    message = str(caught.value)
    assert message.startswith("1 of 6 curves could not be measured; the others are in ")
    assert f"picky, {paths[1]}: picky does not like this image" in message
    curves = {(row["codec"], row["image"]) for row in _kept(out)}
    assert len(curves) == 5
    assert ("picky", "b") not in curves
    # Mended, only the missing curve is measured.
    done = len(measured)
    codec = Fake("picky")
    table = _run(out, [Fake(), codec, Fake("plain", searched=False)], paths)
    assert {content for content, _ in codec.encoded} == {bad}
    missing = table[(table.codec == "picky") & (table.image == "b")]
    assert len(measured) - done == len(missing) > 0


def test_images_that_a_codec_cannot_take_are_named_and_the_others_measured(
    folder, images, measured, tmp_path
):
    Image.fromarray(images[0][:65, :64]).save(folder / "odd.png")
    (folder / "damaged.png").write_bytes((folder / "a.png").read_bytes()[:200])
    names = ("a", "damaged", "odd")
    codec, hevc = Fake(), Hevc(420)
    hevc.settings = ("40", "36")
    hevc.searched = False
    with pytest.raises(WorkError) as caught:
        _run(tmp_path / "out", [codec, hevc], [str(folder / f"{name}.png") for name in names])
    message = str(caught.value)
    assert "3 of 6 curves could not be measured" in message
    assert "odd.png: hevc420 needs even sides, got 64x65" in message
    assert message.count("damaged.png") >= 2
    measured_curves = {(row["codec"], row["image"]) for row in _kept(tmp_path / "out")}
    assert measured_curves == {("fake", "a"), ("fake", "odd"), ("hevc420", "a")}


def test_a_failing_measurement_is_reported_and_leaves_no_row(
    paths, measured, tmp_path, monkeypatch
):
    measure, bad = vmaf.measure, read_image(paths[0])

    def failing(reference, distorted, names):
        if np.array_equal(reference[0], bad):
            raise ffmpeg.FFmpegError("it hurts")
        return measure(reference, distorted, names)

    monkeypatch.setattr(vmaf, "measure", failing)
    with pytest.raises(WorkError, match="1 of 2 curves could not be measured(.|\n)*it hurts"):
        _run(tmp_path / "out", [Fake()], paths)
    assert {row["image"] for row in _kept(tmp_path / "out")} == {"b"}


def test_a_decoder_that_gives_another_size_is_reported(paths, measured, tmp_path):
    class Cropping(Fake):
        def decode(self, file, setting):
            return super().decode(file, setting)[1:]

    with pytest.raises(WorkError, match=r"fake decoded \(63, 64, 3\) from \(64, 64, 3\)"):
        _run(tmp_path / "out", [Cropping()], paths)
    assert not _kept(tmp_path / "out")


def test_missing_software_is_reported_before_work(paths, tmp_path, monkeypatch):
    monkeypatch.setenv("LOSSYLAB_FFMPEG", "/nowhere/ffmpeg")
    with pytest.raises((CodecError, ffmpeg.FFmpegError), match="LOSSYLAB_FFMPEG=/nowhere/ffmpeg"):
        Sweep(str(tmp_path / "out"), [Jpeg()])


@pytest.mark.parametrize("name", ["rows.csv", "probes.csv"])
def test_damaged_rows_are_reported_and_can_be_mended(name, paths, measured, tmp_path):
    out = tmp_path / "out"
    first = _run(out, [Fake()], paths)
    whole = (out / name).read_bytes()
    lines = whole.split(b"\n")
    lines[3] = lines[3].replace(lines[3][:1], b"#", 1)
    (out / name).write_bytes(b"\n".join(lines))
    with pytest.raises(WorkError, match=f"{name}, line 4 is damaged"):
        Sweep(str(out), [Fake()])
    (out / name).write_bytes(whole)
    pd.testing.assert_frame_equal(_run(out, [Fake()], paths), first)


def test_a_deleted_line_is_measured_again(paths, measured, tmp_path):
    """What the message about a damaged line advises."""
    out = tmp_path / "out"
    first = _run(out, [Fake()], paths)
    lines = (out / "rows.csv").read_bytes().split(b"\n")
    (out / "rows.csv").write_bytes(b"\n".join(lines[:3] + lines[4:]))
    done = len(measured)
    table = _run(out, [Fake()], paths)
    assert len(measured) == done + 1
    pd.testing.assert_frame_equal(_timeless(table), _timeless(first))


def test_two_sweeps_do_not_write_one_folder(paths, measured, tmp_path):
    with (
        contextlib.closing(Sweep(str(tmp_path), [Fake()])),
        pytest.raises(UsageError, match="another process writes .*rows.csv"),
    ):
        Sweep(str(tmp_path), [Fake()])
    assert len(_run(tmp_path, [Fake()], paths))


def test_text_columns_stay_text(folder, measured, tmp_path):
    (folder / "a.png").rename(folder / "007.png")
    table = _run(tmp_path / "out", [Fake()], [str(folder / "007.png")])
    assert set(table.image) == {"007"}
    for name in CODED.text:
        assert all(isinstance(value, str) for value in table[name]), name
    assert set(CODED.text) < set(CODED.columns)
    assert "psnr" in CODED.columns


def test_rows_of_gray_images_are_of_another_protocol(tmp_path, images):
    """Rows that counted empty Cb and Cr as 60 dB are not found again; those of color are."""
    gray = np.repeat(images[0][..., :1], 3, -1)
    for name, image in (("gray", gray), ("color", images[0])):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    with contextlib.closing(Sweep(str(tmp_path / "out"), [Fake(searched=False)])) as swept:
        table = swept.run([str(tmp_path / f"{name}.png") for name in ("gray", "color")], 1)
    content = table.groupby("image").content.first()
    assert content["color"] == digest(images[0])[:16]
    assert content["gray"] != digest(gray)[:16]
