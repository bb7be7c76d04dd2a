"""data.icons and `lossylab import icons`: packages of drawings to images."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from lossylab.cli import __main__ as cli
from lossylab.core.errors import UsageError
from lossylab.data import icons

_COLORS = {"red": (255, 0, 0), "blue": (0, 0, 255), "gold": (255, 215, 0), "tan": (210, 180, 140)}


@pytest.fixture(name="package")
def _package(tmp_path):
    """Squares in four colors, a wider one, one that is drawn twice, and a hidden one."""
    drawings = {c: {"body": f"<rect width='8' height='16' fill='{c}'/>"} for c in _COLORS}
    drawings["wide"] = {"body": "<rect width='12' height='16' fill='red'/>"}
    drawings["wide-again"] = drawings["wide"]
    drawings["old"] = {"body": "", "hidden": True}
    folder = tmp_path / "package"
    folder.mkdir()
    files = {
        "icons": {"prefix": "set", "width": 16, "height": 16, "icons": drawings},
        "info": {"license": {"spdx": "MIT"}},
        "package": {"version": "1.2.3"},
    }
    for name, value in files.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    return folder / "icons.json"


@pytest.fixture(name="resvg")
def _resvg(monkeypatch):
    """Draws the squares as resvg does, where it is not installed."""

    def draw(svg_string):
        side = int(svg_string.split('width="')[1].split('"')[0])
        width = int(svg_string.split("<rect width='")[1].split("'")[0])
        color = svg_string.split("fill='")[1].split("'")[0]
        image = np.zeros((side, side, 4), np.uint8)
        image[:, : width * side // 16] = (*_COLORS[color], 255)
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        return file.getvalue()

    monkeypatch.setattr(icons, "_renderer", lambda: draw)


def test_resvg_draws_so(package):
    pytest.importorskip("resvg_py")
    first, *_ = icons.draw(icons.read_package(str(package)), 32)
    assert first.name == "set-blue"
    np.testing.assert_array_equal(first.image[:, :16], np.broadcast_to((0, 0, 255), (32, 16, 3)))
    np.testing.assert_array_equal(first.image[:, 16:], 255)


def test_outlines_are_of_shapes_not_of_colors(package, resvg):
    drawn = list(icons.draw(icons.read_package(str(package)), 16))
    assert [each.name for each in drawn[:2]] == ["set-blue", "set-gold"]
    assert len({each.outline for each in drawn}) == 2


def _icon(name, outline, subject):
    return icons.Icon(name, np.zeros((1, 1, 3), np.uint8), outline, subject)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_nothing_held_out_shares_outline_or_subject_with_the_rest(share):
    """Icon n has the outline of n + 1 or the subject of another package's, or neither."""
    drawn = [
        _icon(f"{package}-{n}", f"{package}{n // 2}", f"subject{n}")
        for package in ("one", "two")
        for n in range(400)
    ]
    test = icons.held_out(drawn, share)
    assert np.mean(test) == pytest.approx(share, abs=0.05)
    for key in ("outline", "subject"):
        parts = [{getattr(i, key) for i, t in zip(drawn, test) if t == part} for part in (0, 1)]
        assert not parts[0] & parts[1]
    again = icons.held_out(drawn[::-1], share)[::-1]
    assert again == test, "the order decides"


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("backhand-index-pointing-left-medium-dark-skin-tone", "backhand-index-pointing"),
        ("woman-running-facing-right", "running"),
        ("red-apple", "red-apple"),
        ("man", "man"),
        ("man-dark-skin-tone", "man"),
        ("left-right-facing", "left-right-facing"),
    ],
)
def test_subjects_are_names_without_tone_direction_and_person(name, subject):
    assert icons._subject(name) == subject


def test_outlines_are_the_same_at_all_sizes(package, resvg):
    read = icons.read_package(str(package))
    small, large = ([each.outline for each in icons.draw(read, size)] for size in (16, 64))
    assert small == large


def test_few_of_each_outline_are_kept_and_none_twice(package, resvg):
    drawn = list(icons.draw(icons.read_package(str(package)), 16))
    names = [each.name for each in icons.thinned(drawn, 3)]
    assert names == ["set-blue", "set-gold", "set-red", "set-wide"]


def test_the_command_writes_both_parts_and_licenses(package, resvg, tmp_path):
    words = ["import", "icons", str(tmp_path / "out"), f"--packages={package}", "--size=16"]
    cli.main([*words, "--held_out=0.5"])
    about = json.loads((tmp_path / "out" / "about.json").read_text())
    assert about["packages"] == [{"name": "set", "version": "1.2.3", "license": "MIT"}]
    found = {part: sorted((tmp_path / "out" / part).glob("*.png")) for part in about["images"]}
    assert {part: len(paths) for part, paths in found.items()} == about["images"]
    assert sum(about["images"].values()) == 4
    for path in (path for paths in found.values() for path in paths):
        with Image.open(path) as image:
            assert (image.size, image.mode) == ((16, 16), "RGB")
    with pytest.raises(UsageError, match=r"about.json exists: --overwrite"):
        cli.main(words)


def test_an_icon_is_in_one_part_whatever_was_there(package, resvg, tmp_path):
    words = ["import", "icons", str(tmp_path / "out"), f"--packages={package}", "--size=16"]
    cli.main([*words, "--held_out=0"])
    cli.main([*words, "--held_out=0.99", "--overwrite"])
    names = [path.name for path in (tmp_path / "out").rglob("*.png")]
    assert len(names) == len(set(names)) == 4
    (tmp_path / "out" / "train").mkdir(exist_ok=True)
    (tmp_path / "out" / "train" / "mine.png").touch()
    with pytest.raises(UsageError, match=r"1 other images are there, such as .*mine.png"):
        cli.main([*words, "--overwrite"])


def test_other_files_are_no_packages(tmp_path):
    (tmp_path / "icons.json").write_text("[]")
    with pytest.raises(UsageError, match="is no icons.json of a package @iconify-json/NAME"):
        icons.read_package(str(tmp_path / "icons.json"))


def test_what_is_missing_is_said(package, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "resvg_py", None)
    with pytest.raises(UsageError, match=r"drawing icons needs resvg: pip install .resvg_py"):
        next(icons.draw(icons.read_package(str(package)), 16))
