"""Naming images: collections, files, folders, globs and lists, and what is said without them."""

import os
import pathlib
import re

import pytest
from PIL import Image

from lossylab.core.errors import CollectionError
from lossylab.data import collections
from lossylab.data.collections import COLLECTIONS, PACKAGED, find_images
from lossylab.data.decode import SUFFIXES, smaller_side


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder, and no folder of data sets."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOSSYLAB_DATA", raising=False)
    return tmp_path


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
def test_collection_is_found_below_the_root(name, here, monkeypatch):
    placed = _place(monkeypatch, here / "sets", name, COLLECTIONS[name].count)
    assert find_images(name) == placed


def test_files_that_are_no_images_do_not_count(here, monkeypatch):
    placed = _place(monkeypatch, here, "classic5", 5)
    _touch(here / "classic5", "README.txt", "Thumbs.db", "png")
    assert find_images("classic5") == placed


def test_collection_goes_before_a_folder_of_its_name(here, monkeypatch):
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
    names = [f"{letter}{suffix}" for letter, suffix in zip("jihgfedcba", sorted(SUFFIXES))]
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
    text = "folder 'empty' has no image files (.bmp, .jpeg, .jpg, .pgm, .png, .ppm, .tif, .tiff,"
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
