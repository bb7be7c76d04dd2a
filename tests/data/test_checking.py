"""All images are looked at before work begins: every bad one is named, good ones are remembered."""

import pytest
from PIL import Image

from lossylab.core.errors import ImageError
from lossylab.data import checking
from lossylab.data.checking import look, usable


@pytest.fixture(autouse=True)
def memory(tmp_path, monkeypatch):
    """An empty folder for what is remembered."""
    monkeypatch.setenv("LOSSYLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "good_images.txt"


@pytest.fixture
def files(tmp_path):
    """Four images of 20x30 and one of 8x30 pixels, and two that are cut."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name, height in zip("abcdefg", (20, 20, 20, 20, 8, 20, 20)):
        Image.effect_noise((30, height), 50).save(folder / f"{name}.png")
    for name in "bf":
        path = folder / f"{name}.png"
        path.write_bytes(path.read_bytes()[:-100])
    return [str(path) for path in sorted(folder.iterdir())]


def _names(paths):
    return "".join(path[-5] for path in paths)


def test_every_bad_image_is_named(files):
    with pytest.raises(ImageError) as caught:
        usable(files, 16, skip_bad=False)
    text = str(caught.value)
    assert text.startswith("2 of 7 images cannot be read:")
    assert all(f"{files[index]}: cannot be decoded" in text for index in (1, 5))
    assert text.endswith("remove them, or give `skip_bad`")


def test_bad_and_small_images_may_be_left_out_and_are_counted(files, caplog):
    assert _names(usable(files, 16, skip_bad=True, skip_small=True)) == "acdg"
    assert "2 of 7 images cannot be read: left out" in caplog.text
    assert "1 of 7 images are smaller than the patch of 16x16 pixels: left out" in caplog.text


def test_small_images_are_named(files):
    text = r"^1 images are smaller than windows of 16x16 .*e\.png \(8 pixels\); .*`skip_small`$"
    with pytest.raises(ImageError, match=text):
        usable(files, 16, "windows", skip_bad=True, skip_small=False)


def test_none_left_is_an_error(files):
    with pytest.raises(ImageError, match="none of 7 images can be used"):
        usable(files, 64, skip_bad=True, skip_small=True)


def test_headers_alone_do_not_show_what_is_cut(files):
    assert _names(usable(files, 8, pixels=False)) == "abcdefg"


def test_order_and_repetitions_stay(files):
    asked = [files[3], files[0], files[3]]
    assert usable(asked, 8) == asked


def test_what_was_good_is_not_decoded_again(files, memory, monkeypatch):
    usable(files, 8, skip_bad=True)
    assert len(memory.read_text().splitlines()) == 5
    decoded = []
    monkeypatch.setattr(checking, "_decoded", lambda p: decoded.append(p) or checking._header(p))
    # Their headers are good: from now on they count as good ones.
    look(files)
    assert _names(sorted(decoded)) == "bf"
    Image.effect_noise((31, 20), 50).save(files[0])
    decoded.clear()
    assert look(files)[0].size == (20, 31)
    assert _names(decoded) == "a"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\0", b"abc 1\n", b"0" * 32 + b" 99999 9"])
def test_a_damaged_memory_is_passed_over(content, files, memory):
    memory.parent.mkdir()
    memory.write_bytes(content)
    assert _names(usable(files, 8, skip_bad=True)) == "acdeg"


def test_a_memory_that_grew_too_large_begins_anew(files, memory, monkeypatch):
    usable(files, 8, skip_bad=True)
    monkeypatch.setattr(checking, "_MOST", 10)
    usable(files[:1], 8)
    assert len(memory.read_text().splitlines()) == 1


def test_without_a_place_for_the_memory_all_is_looked_at(files, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LOSSYLAB_CACHE", str(tmp_path / "file"))
    assert _names(usable(files, 8, skip_bad=True)) == "acdeg"


def test_missing_files_and_odd_names_are_bad_ones(files):
    found = look([*files[:1], "nothing.png", "nul\0.png"])
    assert [bool(each.fault) for each in found] == [False, True, True]
