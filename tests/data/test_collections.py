"""Naming images: collections, files, folders, globs and lists, and what is said without them."""

import os
import pathlib
import re
import shutil

import pytest
from PIL import Image

from lossylab.core.errors import CollectionError
from lossylab.data import collections, known_images
from lossylab.data.collections import COLLECTIONS, PACKAGED, Collection, find_images
from lossylab.data.decode import SUFFIXES, smaller_side


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder, and no folder of data sets."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOSSYLAB_DATA", raising=False)
    return tmp_path


@pytest.fixture
def any_content(monkeypatch):
    """Lets collections consist of whatever there is."""
    monkeypatch.setattr(known_images, "mistakes", lambda *_: "")


def _touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return [str(folder / name) for name in names]


def _place(monkeypatch, root, name, count):
    """Puts `count` files where the collection belongs below root."""
    monkeypatch.setenv("LOSSYLAB_DATA", str(root))
    return _touch(root / COLLECTIONS[name].folder, *(f"{number:04}.png" for number in range(count)))


@pytest.mark.parametrize("name", PACKAGED)
def test_packaged_images_exist_and_are_images(name, here):
    found = find_images(name)
    assert [os.path.basename(path) for path in found] == list(PACKAGED[name])
    assert all(smaller_side(path) >= 256 for path in found)


def test_packaged_training_and_test_images_differ():
    assert not set(PACKAGED["sample_train"]) & set(PACKAGED["sample_test"])


@pytest.mark.parametrize("name", COLLECTIONS)
def test_real_collection_is_complete(name, collection):
    found = collection(name)
    assert len(set(found)) == COLLECTIONS[name].count
    assert found == sorted(found)
    assert all(smaller_side(path) >= 256 for path in found[:3])


@pytest.mark.parametrize("name", COLLECTIONS)
def test_collection_is_found_below_the_root(name, here, monkeypatch, any_content):
    placed = _place(monkeypatch, here / "sets", name, COLLECTIONS[name].count)
    assert find_images(name) == placed


def test_files_that_are_no_images_do_not_count(here, monkeypatch, any_content):
    placed = _place(monkeypatch, here, "classic5", 5)
    _touch(here / "classic5", "README.txt", "Thumbs.db", "png")
    assert find_images("classic5") == placed


def test_collection_goes_before_a_folder_of_its_name(here, monkeypatch, any_content):
    placed = _place(monkeypatch, here / "sets", "classic5", 5)
    _touch(here / "classic5", "other.png")
    assert find_images("classic5") == placed


@pytest.mark.parametrize("root", [None, ""])
def test_collection_without_the_variable_says_where_to_put_it(root, here, monkeypatch):
    if root is not None:
        monkeypatch.setenv("LOSSYLAB_DATA", root)
    text = (
        "collection 'kodak' needs the environment variable LOSSYLAB_DATA: set it to the folder of "
        "your data sets and put its 24 images (Kodak Lossless True Color Image Suite, "
        "r0k.us/graphics/kodak) into $LOSSYLAB_DATA/kodak"
    )
    with pytest.raises(CollectionError, match=f"^{re.escape(text)}$"):
        find_images("kodak")


def test_missing_collection_says_where_to_put_it(here, monkeypatch):
    monkeypatch.setenv("LOSSYLAB_DATA", str(here))
    text = (
        f"collection 'bsds500_val' is not at {here}/bsds500/val: put its 100 images "
        "(BSDS500, validation images) into $LOSSYLAB_DATA/bsds500/val"
    )
    with pytest.raises(CollectionError, match=f"^{re.escape(text)}$"):
        find_images("bsds500_val")


@pytest.mark.parametrize("count", [1, 4, 6])
def test_incomplete_or_overfull_collection_is_refused(count, here, monkeypatch):
    _place(monkeypatch, here, "classic5", count)
    text = (
        f"collection 'classic5' must have 5 images, {here}/classic5 has {count}: put its 5 "
        "images (the five gray images of the SA-DCT and ARCNN papers) into "
        "$LOSSYLAB_DATA/classic5"
    )
    with pytest.raises(CollectionError, match=f"^{re.escape(text)}$"):
        find_images("classic5")


def test_a_file_is_itself_whatever_its_name(here):
    _touch(here, "image.dat", "odd[1].png")
    assert find_images("image.dat") == ["image.dat"]
    assert find_images("odd[1].png") == ["odd[1].png"]


def test_folder_gives_its_image_files_sorted(here):
    names = [f"{len(SUFFIXES) - number:02}{s}" for number, s in enumerate(sorted(SUFFIXES))]
    _touch(here / "some", *names, "UPPER.PNG", "notes.txt", "no_suffix", "a.png.txt")
    _touch(here / "some" / "below", "deeper.png")
    expected = sorted([*names, "UPPER.PNG"])
    assert find_images("some") == [os.path.join("some", name) for name in expected]
    assert find_images(str(here / "some")) == [str(here / "some" / name) for name in expected]


def test_folder_may_have_the_characters_of_a_glob(here):
    placed = _touch(here / "set[1]*", "a.png")
    assert find_images(str(here / "set[1]*")) == placed


def test_folder_named_like_a_image_is_no_image(here):
    _touch(here / "some", "a.png")
    (here / "some" / "b.png").mkdir()
    assert find_images("some") == ["some/a.png"]


@pytest.mark.parametrize("files", [(), ("notes.txt",)])
def test_folder_without_images_lists_the_suffixes(files, here):
    _touch(here / "empty", *files)
    text = "folder 'empty' has no image files (.apng, .avif, .bmp, .dib, .gif, .j2k, .jfif, .jp2,"
    with pytest.raises(CollectionError, match=re.escape(text)):
        find_images("empty")


def test_glob_gives_matching_files_sorted(here):
    _touch(here / "x", "b.png", "a.png", "c.jpg")
    _touch(here / "y", "d.png")
    (here / "x" / "folder.png").mkdir()
    assert find_images("x/*.png") == ["x/a.png", "x/b.png"]
    assert find_images("?/[bd].*") == ["x/b.png", "y/d.png"]


def test_double_star_reaches_all_depths(here):
    _touch(here / "x", "a.png")
    _touch(here / "x" / "y" / "z", "b.png")
    assert find_images("x/**/*.png") == ["x/a.png", "x/y/z/b.png"]


@pytest.mark.parametrize("spec", ["kodac", "nowhere/*.png", "nothing.png", ""])
def test_what_finds_nothing_lists_what_could_be_named(spec, here):
    text = (
        f"no images found for '{spec}': expected an existing file or folder, a glob that "
        "matches files, @LIST, or one of the named collections kodak, live1, classic5, "
        "div2k_train, div2k_val, hdrplus, bsds500_train, bsds500_val, sample_train, sample_test"
    )
    with pytest.raises(CollectionError, match=f"^{re.escape(text)}$"):
        find_images(spec)


def test_glob_that_matches_folders_only_finds_nothing(here):
    (here / "a").mkdir()
    with pytest.raises(CollectionError, match=r"no images found for '\?'"):
        find_images("?")


def test_list_gives_its_lines_in_order_without_a_look_at_the_files(here):
    (here / "list.txt").write_text("  z.png \n\n/far away/a b.jpg\r\n\t\nz.png\nlast.png")
    assert find_images("@list.txt") == ["z.png", "/far away/a b.jpg", "z.png", "last.png"]


@pytest.mark.parametrize("content", ["", "\n  \n\t\n"])
def test_empty_list_is_refused(content, here):
    (here / "list.txt").write_text(content)
    with pytest.raises(CollectionError, match=r"^the list 'list\.txt' names no files$"):
        find_images("@list.txt")


def test_missing_list_is_refused(here):
    text = r"^cannot read the list 'list\.txt': No such file or directory$"
    with pytest.raises(CollectionError, match=text):
        find_images("@list.txt")


def test_list_that_is_a_folder_is_refused(here):
    (here / "lists").mkdir()
    with pytest.raises(CollectionError, match=r"^cannot read the list 'lists': Is a directory$"):
        find_images("@lists")


def test_list_that_is_not_text_is_refused(here):
    Image.new("RGB", (4, 4)).save(here / "image.png")
    with pytest.raises(CollectionError, match=r"image\.png"):
        find_images("@image.png")


def test_every_known_collection_has_a_place_of_its_own():
    assert len({known.folder for known in COLLECTIONS.values()}) == len(COLLECTIONS)
    assert not set(COLLECTIONS) & set(PACKAGED)
    assert all(known.count > 0 and known.source for known in COLLECTIONS.values())
    assert collections.ROOT_VARIABLE == "LOSSYLAB_DATA"


def test_collection_errors_are_value_errors(here):
    with pytest.raises(ValueError, match="no images found"):
        find_images("nothing")
    assert not list(pathlib.Path(here).iterdir())


# What is left out is said.


@pytest.fixture
def nothing_said(monkeypatch):
    monkeypatch.setattr(collections, "_said", set())


def test_folder_says_once_what_kinds_it_leaves_out(here, caplog, nothing_said):
    _touch(here / "some", "a.png", "b.heic", "c.HEIC", "d.jxl", "notes.txt")
    assert find_images("some") == find_images("some") == ["some/a.png"]
    text = "folder 'some': 3 files are left out, their kinds are not read (.heic, .jxl)"
    assert [record.getMessage() for record in caplog.records] == [text]


def test_folder_says_that_sub_folders_are_not_searched(here, caplog, nothing_said):
    _touch(here / "some", "a.png")
    _touch(here / "some" / "below", "b.JPG")
    _touch(here / "some" / "texts", "c.txt")
    _touch(here / "some" / ".hidden", "d.png")
    assert find_images("some") == ["some/a.png"]
    text = "folder 'some': 1 sub-folders with images are not searched: 'some/**/*.JPG' names what"
    assert text in caplog.text
    assert find_images("some/**/*.JPG") == ["some/below/b.JPG"]


def test_folder_that_has_only_other_things_says_what_they_are(here):
    _touch(here / "some", "b.heic")
    _touch(here / "some" / "below", "a.png")
    text = r"no image files .*; 1 files are left out, .*\(\.heic\); 1 sub-folders with images"
    with pytest.raises(CollectionError, match=text):
        find_images("some")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_list_may_begin_with_the_mark_of_its_encoding(encoding, here):
    (here / "list.txt").write_text("a\u00e4.png\r\nb.png\r\n", encoding=encoding)
    assert find_images("@list.txt") == ["a\u00e4.png", "b.png"]


def test_list_with_a_nul_is_refused(here):
    (here / "list.txt").write_text("a.png\nb\0.png")
    with pytest.raises(CollectionError, match="it has a NUL"):
        find_images("@list.txt")


# Collections are known by their content.


@pytest.fixture
def classic5(collection):
    """Its files, found before the folder of data sets is another."""
    return collection("classic5")


@pytest.fixture
def place(classic5, here, monkeypatch):
    """An empty folder where classic5 is looked for."""
    monkeypatch.setenv("LOSSYLAB_DATA", str(here))
    (here / "classic5").mkdir()
    return here / "classic5"


def test_copies_of_one_image_are_no_collection(classic5, place):
    for number in range(5):
        shutil.copy(classic5[0], place / f"{number}.png")
    text = (
        f"{place} is not the collection 'classic5': of its images 4 are copies (1.png of "
        "0.png, 2.png of 0.png, 3.png of 0.png, ...); put its 5 images"
    )
    with pytest.raises(CollectionError, match=re.escape(text)):
        find_images("classic5")


def test_other_images_are_no_collection(classic5, place):
    for number, path in enumerate(classic5[:4]):
        shutil.copy(path, place / f"{number}.png")
    (place / "4.png").write_text("no image")
    with pytest.raises(CollectionError, match=r"of its images 1 are none of it \(4\.png\); put"):
        find_images("classic5")


def test_collection_may_be_stored_otherwise_without_loss(classic5, place):
    for number, path in enumerate(classic5):
        with Image.open(path) as image:
            image.convert("RGB").save(place / f"z{9 - number}.bmp")
    assert len(find_images("classic5")) == 5


def test_copies_are_noticed_where_hashes_are_not_known(here, monkeypatch):
    monkeypatch.setitem(COLLECTIONS, "few", Collection("few", 3, "somewhere"))
    paths = _place(monkeypatch, here, "few", 3)
    for path, text in zip(paths, "aba"):
        pathlib.Path(path).write_text(text)
    with pytest.raises(CollectionError, match=r"1 are copies \(0002\.png of 0000\.png\)"):
        find_images("few")
