"""Which network restores which file: by tables, colors and size; real-world files end to end."""

import csv
import dataclasses
import io
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from lengths import long_but
from PIL import Image
from skimage import data as photographs

from lossylab.cli import __main__ as cli
from lossylab.core.errors import ExportError, UsageError, WorkError
from lossylab.data import decode
from lossylab.data.decode import decode_image, read_image
from lossylab.data.jpeg import Coding, chrominance_table, luminance_table, nearest_quality
from lossylab.eval.metrics.psnr import psnr
from lossylab.inference.export import zoo
from lossylab.inference.export.codec import Codec
from lossylab.inference.export.restorer import Restorer
from lossylab.inference.export.restoring import SADCT, Candidate, candidates, choose, nearest
from lossylab.inference.importers import restorers as official
from lossylab.models import restorers
from lossylab.models.bls2017 import BLS2017

WEIGHTS = pathlib.Path(__file__).parents[3] / "shared" / "weights"
Q10, Q20, Q40 = (Candidate(f"q{q}", "arcnn", 1, q, 9, f"w{q}") for q in (10, 20, 40))
BLIND = Candidate("blind", "dncnn", 1, None, 9, "blind")
RGB = Candidate("rgb", "wcdgan", 3, 10, 9, "rgb")
LARGE = Candidate("large", "memnet", 1, 10, 99, "large")
TNRD = Candidate("tnrd", "tnrd", 1, 10, 999, "tnrd")


def _coding(quality, channels=3):
    return Coding.by_quality(quality, channels)


@pytest.mark.parametrize(
    ("quality", "wanted"),
    [
        (5, Q10),
        (10, Q10),
        (12, Q10),
        (14, Q20),
        (20, Q20),
        (25, Q40),
        (32, Q40),
        (40, Q40),
        (55, Q40),
    ],
)
def test_the_nearest_quality_is_chosen(quality, wanted):
    """As measured: a network for finer tables costs little, one for coarser ones blurs."""
    found = choose([Q40, Q10, Q20], _coding(quality), 3)
    assert found.model is wanted
    assert f"tables near quality {quality}, it is for {wanted.quality}" in found.reason
    assert "the best fit of 3 networks" in found.reason


@pytest.mark.parametrize("quality", range(1, 101, 9))
def test_distance_is_zero_at_its_own_and_grows_both_ways(quality):
    network = Candidate("x", "arcnn", 1, quality, 9, "w")
    distances = [network.distance(_coding(q)) for q in range(1, 101)]
    own = quality - 1
    assert distances[own] == 0
    assert distances[: own + 1] == sorted(distances[: own + 1], reverse=True)
    assert distances[own:] == sorted(distances[own:])


def test_other_encoders_tables_are_compared_by_their_lowest_frequencies():
    flat = np.full((8, 8), 33)
    assert choose([Q10, Q20, Q40], Coding((flat,), (1.0,)), 1).model is Q20
    high = luminance_table(20).copy()
    high[4:, 4:] = 255  # what is lost anyway does not count
    assert choose([Q10, Q20, Q40], Coding((high,), (1.0,)), 1).model is Q20


def test_colors_then_size_decide_among_equal_qualities():
    assert choose([Q10, RGB, LARGE], _coding(10), 3).model is RGB
    assert choose([RGB, Q10, LARGE], _coding(10, 1), 1).model is LARGE
    assert choose([RGB, Q20], _coding(21), 3).model is Q20


def test_what_is_known_to_gain_less_stands_back():
    """Where cards say what color files gain; of others nothing is known."""
    several = dataclasses.replace(BLIND, channels=3, gains=((10, 0.9), (40, 1.0)))
    small = dataclasses.replace(RGB, parameters=5, gains=((10, 1.1),))
    large = dataclasses.replace(RGB, parameters=500, gains=((10, 0.8),))
    assert choose([several, small, large], _coding(10), 3).model is small
    assert choose([several, large], _coding(10), 3).model is several
    assert choose([several, RGB], _coding(10), 3).model is RGB
    assert choose([several, large], _coding(10, 1), 1).model is large  # a gray file
    assert choose([several, small], _coding(14), 3).model is small  # by 10, which both know
    apart = dataclasses.replace(small, gains=((5, 9.9),))
    assert choose([several, apart], _coding(10), 3).model is apart  # by distance: nothing in common
    assert (
        choose([several, dataclasses.replace(apart, gains=((40, 9.9),))], _coding(40), 3).model
        is several
    )


def test_networks_for_all_qualities_stand_in():
    assert choose([Q10, BLIND], _coding(10), 3).model is Q10
    assert choose([Q10, BLIND], _coding(80), 3).model is BLIND
    assert "it is for all qualities" in choose([Q10, BLIND], _coding(80), 3).reason


def test_networks_for_a_range_stand_in_where_they_have_learned():
    several = dataclasses.replace(BLIND, quality=20, best_quality=70)
    assert [several.distance(_coding(q)) for q in (20, 45, 70)] == [0.5, 0.5, 0.5]
    assert choose([several, Q10], _coding(11), 3).model is Q10
    assert choose([several, Q20], _coding(21), 3).model is Q20
    assert choose([several, Q20], _coding(60), 3).model is several
    assert "it is for 20 to 70" in choose([several], _coding(60), 3).reason
    for quality in (5, 95):
        with pytest.raises(UsageError, match=f"quality {quality}, the network is for 20 to 70"):
            choose([several], _coding(quality), 3)
    assert nearest([several, Q10], _coding(8), 3) is Q10
    assert nearest([several, dataclasses.replace(Q40, quality=90)], _coding(95), 3).quality == 90


def test_how_fine_files_may_be_says_the_card_or_the_training():
    """What a network gains at the fine end is its own: measured, or as far as it has learned."""
    learned = dataclasses.replace(BLIND, quality=20, best_quality=95)
    assert [learned.suits(_coding(quality)) for quality in (90, 95, 96)] == [True, True, False]
    useful = dataclasses.replace(learned, useful_to=90)
    assert choose([useful], _coding(90), 3).model is useful
    assert choose([useful], _coding(91), 3, fallback=(SADCT, None)).model is None
    with pytest.raises(UsageError, match="quality 91, the network is for 20 to 95, used up to 90"):
        choose([useful], _coding(91), 3)
    assert [BLIND.suits(_coding(quality)) for quality in (90, 91)] == [True, False]
    with pytest.raises(UsageError, match="the network is for all qualities, used up to 90"):
        choose([BLIND], _coding(91), 3)
    assert dataclasses.replace(Q40, quality=95).suits(_coding(96))


def test_color_networks_have_learned_colors_of_half_the_size():
    """dncnn-rgb loses up to 1 dB of what has coded RGB or CMYK, .1 of the finest 4:4:4 files."""
    several = dataclasses.replace(BLIND, channels=3, quality=5, best_quality=95, useful_to=90)
    full, own = (
        [Coding.by_quality(q, 3, "4:4:4") for q in (80, 81)],
        [Coding((luminance_table(q),) * 3, (1.0,) * 3, has_luma=False) for q in (10, 80)],
    )
    assert [several.suits(coding) for coding in full] == [True, False]
    assert several.suits(Coding.by_quality(90, 3, "4:2:2"))
    assert several.suits(_coding(90, 1))
    with pytest.raises(
        UsageError, match="quality 81 of 4:4:4, the network is for 5 to 95, used up"
    ):
        choose([several], full[1], 3)
    assert dataclasses.replace(RGB, quality=95).suits(Coding.by_quality(96, 3, "4:4:4"))
    for coding in own:
        found = choose([several], coding, 3, fallback=(SADCT,))
        assert found.model == SADCT
        assert "of RGB or CMYK, for which none of the networks is" in found.reason
    assert choose([several, Q10], own[0], 3).model is Q10  # plane by plane


def test_tnrd_needs_the_very_table_and_its_blocks():
    assert choose([Q10, TNRD], _coding(10), 1).model is TNRD
    assert choose([Q10, TNRD], _coding(10), 1, upright=False).model is Q10
    assert choose([Q10, TNRD], _coding(9), 1).model is Q10
    assert nearest([Q20, TNRD], _coding(9), 1) is Q20
    assert nearest([TNRD], _coding(9), 1) is TNRD


def test_what_stands_in_where_no_network_suits():
    found = choose([Q10, Q20], _coding(80), 3, fallback=(SADCT, None))
    assert (found.model, found.reason) == (
        SADCT,
        "tables near quality 80, for which none of the networks is",
    )
    found = choose([], _coding(95), 3, fallback=(SADCT, None))
    assert found.model is None
    assert found.reason.endswith("for which there is no network: left as it is")
    with pytest.raises(UsageError, match="tables near quality 80, the networks are for 10, 20"):
        choose([Q10, Q20], _coding(80), 3)
    with pytest.raises(UsageError, match="tables near quality 95, the network is for 10"):
        choose([Q10], _coding(95), 3, fallback=(SADCT,))
    assert nearest([Q10, Q20], _coding(80), 3) is Q20


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder of runs with exports: ARCNN for three qualities, DnCNN of RGB; and a codec."""
    tf.random.set_seed(1)
    folder = tmp_path_factory.mktemp("runs")
    for quality in (5, 10, 20):
        network = restorers.make("arcnn", 1, luminance_table(quality))
        Restorer.save(network, folder / f"arcnn{quality}" / "export", {"quality": quality})
    network = restorers.make("dncnn", 3, luminance_table(10), filters=4, layers=3)
    Restorer.save(network, folder / "rgb", {"quality": 10})
    Codec.save(BLS2017(4), folder.with_name("codec"), {})
    return folder


def test_candidates_are_exports_names_and_folders_of_them(runs, tmp_path, monkeypatch):
    found = {pathlib.Path(each.path).relative_to(runs): each for each in candidates([str(runs)])}
    assert sorted(map(str, found)) == ["arcnn10/export", "arcnn20/export", "arcnn5/export", "rgb"]
    shown = {(each.model, each.channels, each.quality) for each in found.values()}
    assert shown == {("dncnn", 3, 10), *(("arcnn", 1, quality) for quality in (5, 10, 20))}
    monkeypatch.setattr(zoo, "PACKAGED", tmp_path / "none")
    monkeypatch.setenv("LOSSYLAB_ZOO", str(tmp_path / "zoo"))
    cli.main(["models", "add", str(runs / "rgb"), "dncnn-rgb-q10", "--summary=a small one"])
    (one,) = candidates(["dncnn-rgb-q10"])
    assert (one.path, one.channels, one.quality) == ("dncnn-rgb-q10", 3, 10)
    assert zoo.card("dncnn-rgb-q10")["channels"] == 3
    with pytest.raises(UsageError, match="is a codec, expected a restorer"):
        candidates([str(runs.with_name("codec"))])
    shutil.copytree(runs / "rgb", tmp_path / "both" / "rgb")
    shutil.copytree(runs.with_name("codec"), tmp_path / "both" / "codec" / "export")
    assert [each.model for each in candidates([str(tmp_path / "both")])] == ["dncnn"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ExportError, match="the folder has no SavedModel"):
        candidates([str(tmp_path / "empty")])


def test_models_are_added_with_what_they_gain(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "PACKAGED", tmp_path / "none")
    monkeypatch.setenv("LOSSYLAB_ZOO", str(tmp_path / "zoo"))
    words = ["models", "add", str(runs / "rgb"), "rgb-q10", "--summary=a small one"]
    cli.main([*words, "--gains=10:0.97,20:-.1"])
    (one,) = candidates(["rgb-q10"])
    assert one.gains == ((10, 0.97), (20, -0.1))
    assert one.expected(_coding(14)) == "color files of quality 10 gained 0.97 dB on live1"
    for wrong in ("10", "0:1", "101:1", "10:x", "10:"):
        with pytest.raises(UsageError, match="gains takes QUALITY:DECIBEL, such as 10:0.97, got"):
            cli.main([*words, f"--gains={wrong}"])


def _jpeg(image, **options):
    file = io.BytesIO()
    shown = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    shown.save(file, "JPEG", **options)
    return file.getvalue()


def _real_world(folder, image):
    """Files as they are met, with the qualities of their last compression."""
    turned = Image.Exif()
    turned[0x0112] = 6
    shown = Image.fromarray(image)
    again = _read_back(_jpeg(image, quality=30))
    tables = [list(np.ravel(table)) for table in (luminance_table(10) + 1, chrominance_table(10))]
    made = {
        "422": (_jpeg(image, quality=10, subsampling="4:2:2"), 10),
        "444": (_jpeg(image, quality=20, subsampling="4:4:4"), 20),
        "progressive": (_jpeg(image, quality=5, progressive=True), 5),
        "cmyk": (_jpeg(shown.convert("CMYK"), quality=10), 10),
        "rgb": (_jpeg(image, quality=20, keep_rgb=True), 20),
        "exif": (_jpeg(image, quality=10, exif=turned), 10),
        "gray": (_jpeg(shown.convert("L"), quality=10), 10),
        "odd": (_jpeg(image[:61, :83], quality=20), 20),
        "tiny": (_jpeg(image[:3, :5], quality=20), 20),
        "recompressed": (_jpeg(again, quality=10), 10),
        "cropped": (_jpeg(again[5:, 3:], quality=20), 20),
        "foreign": (_jpeg(image, qtables=tables), 10),
        "fine": (_jpeg(image, quality=96), 96),
    }
    for name, (data, _) in made.items():
        (folder / f"{name}.jpg").write_bytes(data)
    return {name: quality for name, (_, quality) in made.items()}


def _table(capsys):
    """The rows that the command has printed."""
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def _read_back(data):
    return np.asarray(Image.open(io.BytesIO(data)))


def test_real_world_files_find_their_network(runs, tmp_path, images, capsys, caplog):
    (tmp_path / "in").mkdir()
    qualities = _real_world(tmp_path / "in", images[0])
    with pytest.raises(WorkError, match="1 of 13 files failed"):
        cli.main(["restore", str(tmp_path / "in"), str(tmp_path / "out"), f"--model={runs}"])
    assert "tables near quality 96, the networks are for 5, 10, 20: choose another" in caplog.text
    rows = {pathlib.Path(row["input"]).stem: row for row in _table(capsys)}
    assert rows.keys() == qualities.keys() - {"fine"}
    for name, row in rows.items():
        color = name not in ("gray", "cmyk") and qualities[name] == 10
        wanted = "rgb" if color else f"arcnn{qualities[name]}/export"
        assert row["model"] == str(runs / wanted), name
        assert int(row["quality"]) == nearest_quality(decode_image(row["input"]).coding.tables[0])
        with Image.open(row["output"]) as made:
            shown = decode_image(row["input"]).pixels
            assert made.size == shown.shape[1::-1]
            assert made.mode == ("L" if name == "gray" else "RGB")


def test_without_model_named_ones_then_sadct_then_nothing(
    runs, tmp_path, images, capsys, monkeypatch
):
    monkeypatch.setattr(zoo, "PACKAGED", tmp_path / "none")
    monkeypatch.setenv("LOSSYLAB_ZOO", str(tmp_path / "zoo"))
    (tmp_path / "in").mkdir()
    for quality in (10, 50, 97):
        Image.fromarray(images[0][:40, :40]).save(
            tmp_path / "in" / f"{quality}.jpg", quality=quality
        )

    def used(out):
        cli.main(["restore", str(tmp_path / "in"), str(tmp_path / out)])
        return [row["model"] for row in _table(capsys)]

    assert used("one") == [SADCT, SADCT, "nothing"]
    cli.main(["models", "add", str(runs / "rgb"), "dncnn-rgb-q10", "--summary=a small one"])
    capsys.readouterr()
    assert used("two") == ["dncnn-rgb-q10", SADCT, "nothing"]
    stored, made = (tmp_path / place for place in ("in/97.jpg", "two/97.png"))
    np.testing.assert_array_equal(read_image(stored), read_image(made))


def test_what_is_chosen_for_a_file_decides_whether_it_is_finished(
    runs, tmp_path, images, capsys, monkeypatch
):
    """Told to restore whatever the quality, a file that was left as it is is not finished."""
    monkeypatch.setattr(zoo, "PACKAGED", tmp_path / "none")
    monkeypatch.setenv("LOSSYLAB_ZOO", str(tmp_path / "zoo"))
    cli.main(["models", "add", str(runs / "rgb"), "dncnn-rgb-q10", "--summary=a small one"])
    (tmp_path / "in").mkdir()
    for quality in (10, 97):
        Image.fromarray(images[0][:40, :40]).save(
            tmp_path / "in" / f"{quality}.jpg", quality=quality
        )

    def used(*words):
        capsys.readouterr()
        cli.main(["restore", str(tmp_path / "in"), str(tmp_path / "out"), *words])
        return [row["model"] for row in _table(capsys)]

    assert used() == ["dncnn-rgb-q10", "nothing"]
    assert used() == []
    left = (tmp_path / "out" / "97.png").read_bytes()
    with pytest.raises(UsageError, match=r"^\S*97\.png exists, of another input, model or options"):
        used("--any_quality")
    assert used("--any_quality", "--overwrite") == ["dncnn-rgb-q10", "dncnn-rgb-q10"]
    assert (tmp_path / "out" / "97.png").read_bytes() != left
    assert used("--any_quality") == []
    cli.main(["models", "add", str(runs / "arcnn20" / "export"), "arcnn-q20", "--summary=another"])
    with pytest.raises(UsageError, match=r"97\.png exists"):  # for which the new one is nearer
        used("--any_quality")


def test_images_that_are_no_jpeg_files_need_a_quality_to_choose_by(
    runs, tmp_path, images, caplog, capsys
):
    Image.fromarray(images[0][:40, :40]).save(tmp_path / "a.png")
    words = ["restore", str(tmp_path / "a.png"), str(tmp_path / "b.png"), f"--model={runs}"]
    with pytest.raises(WorkError, match="1 of 1 files failed"):
        cli.main(words)
    assert "no JPEG file: give the --quality it was coded at" in caplog.text
    capsys.readouterr()
    cli.main([*words, "--quality=20"])
    (row,) = _table(capsys)
    assert row["model"].endswith("arcnn20/export")
    assert row["reason"] == "tables near quality 20, it is for 20, the best fit of 4 networks"


def test_a_given_quality_goes_before_the_tables_of_a_file(
    runs, tmp_path, images, caplog, capsys, monkeypatch
):
    """A file of quality 10 that was saved again at 90 says 90."""
    monkeypatch.setattr(decode, "_said", set())
    once = _read_back(_jpeg(images[0][:40, :40], quality=10))
    (tmp_path / "a.jpg").write_bytes(_jpeg(once, quality=90))
    words = ["restore", str(tmp_path / "a.jpg"), str(tmp_path / "b.png"), f"--model={runs}"]
    with pytest.raises(WorkError, match="1 of 1 files failed"):
        cli.main(words)
    capsys.readouterr()
    cli.main([*words, "--quality=10"])
    (row,) = _table(capsys)
    assert (row["model"], row["quality"]) == (str(runs / "rgb"), "90")
    assert row["reason"].startswith("tables near quality 10, it is for 10")
    assert "coded at the --quality given, its own tables are near 90" in caplog.text


def test_any_quality_takes_the_nearest(runs, tmp_path, images, capsys):
    Image.fromarray(images[0][:40, :40]).save(tmp_path / "a.jpg", quality=90)
    words = [str(tmp_path / "a.jpg"), str(tmp_path / "b.png"), f"--model={runs}", "--any_quality"]
    cli.main(["restore", *words])
    (row,) = _table(capsys)
    assert row["model"].endswith("arcnn20/export")
    assert row["reason"] == "the nearest, whatever the quality"


def _kinds(image, quality):
    """Files of an image as they are met, and what each is to look like when it is restored."""
    turned = Image.Exif()
    turned[0x0112] = 6
    shown, odd = Image.fromarray(image), image[:-3, :-1]
    again = _read_back(_jpeg(image, quality=min(quality + 20, 95)))
    cmyk, gray = shown.convert("CMYK"), shown.convert("L")
    return {
        "420": (_jpeg(image, quality=quality), image),
        "422": (_jpeg(image, quality=quality, subsampling="4:2:2"), image),
        "444": (_jpeg(image, quality=quality, subsampling="4:4:4"), image),
        "progressive": (_jpeg(image, quality=quality, progressive=True), image),
        "cmyk": (_jpeg(cmyk, quality=quality), np.asarray(cmyk.convert("RGB"))),
        "exif": (_jpeg(image, quality=quality, exif=turned), np.rot90(image, -1)),
        "gray": (_jpeg(gray, quality=quality), np.asarray(gray)[..., None]),
        "odd": (_jpeg(odd, quality=quality), odd),
        "recompressed": (_jpeg(again, quality=quality), image),
        "cropped": (_jpeg(again[5:, 3:], quality=quality), image[5:, 3:]),
    }


def _gains(folder, quality, clean, *words):
    """Mean gains of what `restore` makes of files as they come, by their kind."""
    (folder / "in").mkdir()
    wanted = {}
    for number, image in enumerate(clean):
        for kind, (data, truth) in _kinds(image, quality).items():
            (folder / "in" / f"{kind}_{number}.jpg").write_bytes(data)
            wanted[kind, number] = truth
    cli.main(["restore", str(folder / "in"), str(folder / "out"), *words])
    gains = {}
    for (kind, number), truth in wanted.items():
        given, made = (
            psnr(truth, decode_image(folder / f"{place}_{number}.{suffix}").pixels)
            for place, suffix in ((f"in/{kind}", "jpg"), (f"out/{kind}", "png"))
        )
        gains.setdefault(kind, []).append(made - given)
    return {kind: np.mean(each) for kind, each in gains.items()}


@pytest.mark.parametrize("quality", long_but([15], [5, 15, 25, 40, 60, 80]))
def test_trained_networks_improve_real_world_files(quality, tmp_path, collection):
    """The authors' ARCNN and DnCNN-3, and SA-DCT: no kind of file comes out worse on the mean."""
    if not WEIGHTS.exists():
        pytest.skip("the official weights are not at hand")
    for each in (10, 20, 40):
        official.convert(str(WEIGHTS / f"arcnn_q{each}.mat"), str(tmp_path / f"q{each}"), each)
    given = ",".join([*(str(tmp_path / f"q{each}") for each in (10, 20, 40)), SADCT])
    clean = [read_image(path)[100:164, 100:181] for path in collection("kodak")[::2]]
    gains = _gains(tmp_path, quality, clean, f"--model={given}")
    assert min(gains.values()) > -0.05, gains


@pytest.mark.parametrize("quality", long_but([15], [5, 15, 25, 40, 60, 80, 85, 90]))
def test_what_is_packaged_improves_real_world_files(quality, tmp_path, monkeypatch):
    """Without a model given; other images than trainings see."""
    monkeypatch.setenv("LOSSYLAB_ZOO", str(tmp_path / "none"))
    crops = (slice(80, 180), slice(100, 233))
    clean = [
        each[crops]
        for each in (photographs.astronaut(), photographs.coffee(), photographs.chelsea())
    ]
    gains = _gains(tmp_path, quality, clean)
    left = {kind for kind, gain in gains.items() if gain == 0}
    assert left == ({"cmyk"} if quality > 80 else set())
    changed = [gain for kind, gain in gains.items() if kind not in left]
    assert min(changed) > (0.2 if quality <= 60 else 0.1), gains
