"""Named collections of images, folders, globs and lists: from a flag's value to files.

Nothing is ever downloaded. A collection that is not in its place says where it comes from
and where to put it.
"""

from __future__ import annotations

import codecs
import dataclasses
import glob
import logging
import os
import pathlib

from lossylab.core.errors import CollectionError
from lossylab.data import known_images
from lossylab.data.decode import SUFFIXES

log = logging.getLogger("lossylab")

ROOT_VARIABLE = "LOSSYLAB_DATA"


@dataclasses.dataclass(frozen=True)
class Collection:
    """A data set known by name.

    Attributes:
      folder: where it lies below $LOSSYLAB_DATA.
      count: how many images it must have.
      source: where its images come from.
    """

    folder: str
    count: int
    source: str


COLLECTIONS = {
    "kodak": Collection(
        "kodak", 24, "Kodak Lossless True Color Image Suite, r0k.us/graphics/kodak"
    ),
    "live1": Collection("live1", 29, "reference images of LIVE Image Quality release 1"),
    "classic5": Collection("classic5", 5, "the five gray images of the SA-DCT and ARCNN papers"),
    "div2k_train": Collection(
        "div2k/train", 800, "DIV2K training images, data.vision.ee.ethz.ch/cvl/DIV2K"
    ),
    "div2k_val": Collection("div2k/val", 100, "DIV2K validation images, from the same place"),
    "hdrplus": Collection(
        "hdrplus", 3640, "HDR+ gallery 20171023, final.jpg of each burst, hdrplusdata.org"
    ),
    "bsds500_train": Collection("bsds500/train", 400, "BSDS500, train and test images"),
    "bsds500_val": Collection("bsds500/val", 100, "BSDS500, validation images"),
}

# Images of kinds that are not read: folders say how many of them they leave out.
UNREAD = frozenset(
    {
        *(".heic", ".heif", ".jxl", ".jxr", ".bpg", ".svg", ".pdf", ".psd", ".xcf", ".exr", ".hdr"),
        *(".dng", ".raw", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".tga", ".pcx", ".ico"),
        *(".eps", ".fits", ".dcm", ".npy"),
    }
)
_said: set[str] = set()

# Images inside the scikit-image package, split so that no scene is in both.
PACKAGED = {
    "sample_train": (
        "astronaut.png",
        "brick.png",
        "camera.png",
        "grass.png",
        "gravel.png",
        "hubble_deep_field.jpg",
        "ihc.png",
        "moon.png",
        "motorcycle_left.png",
        "retina.jpg",
    ),
    "sample_test": ("chelsea.png", "coffee.png", "rocket.jpg"),
}


def find_images(spec: str) -> list[str]:
    """Files that a flag's value stands for, sorted by path.

    Args:
      spec: a named collection (see `COLLECTIONS` and `PACKAGED`), an image file, a folder (its
        image files, not those of sub-folders), a glob pattern, or `@FILE` with one path a
        line, UTF-8 or with a mark of another UTF at its beginning.

    Returns:
      Paths, at least one. Lists are not checked for existing files: they may be huge. Named
      collections have the published images (`known_images`).

    Raises:
      CollectionError: if nothing is found; the message says what to do.
    """
    if spec in PACKAGED:
        return _packaged(PACKAGED[spec])
    if spec in COLLECTIONS:
        return _known(spec, COLLECTIONS[spec])
    if spec.startswith("@"):
        return _listed(spec[1:])
    if os.path.isdir(spec):
        return _folder(spec)
    if os.path.isfile(spec):
        return [spec]
    found = sorted(path for path in matches(spec) if os.path.isfile(path))
    if not found:
        names = ", ".join([*COLLECTIONS, *PACKAGED])
        raise CollectionError(
            f"no images found for '{spec}': expected an existing file or folder, a glob that "
            f"matches files, @LIST, or one of the named collections {names}"
        )
    return found


def matches(pattern: str) -> list[str]:
    """Paths that a glob matches; where it matches none, its folder counts as it is written."""
    folder, name = os.path.split(pattern)
    return glob.glob(pattern, recursive=True) or glob.glob(os.path.join(glob.escape(folder), name))


def _folder(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        # Not files half written, and macOS's companions.
        shown = [entry for entry in entries if not entry.name.startswith(".")]
    files = [entry.path for entry in shown if not os.path.isdir(entry.path)]
    found = sorted(path for path in files if _suffix(path) in SUFFIXES)
    hints = _left_out([path for path in files if _suffix(path) in UNREAD])
    below = [entry.path for entry in shown if os.path.isdir(entry.path) and _has_images(entry.path)]
    if below:
        hints.append(
            f"{len(below)} sub-folders with images are not searched: "
            f"'{os.path.join(folder, '**', '*' + _suffix_in(below[0]))}' names what is in them"
        )
    if not found:
        raise CollectionError(
            f"folder '{folder}' has no image files ({', '.join(sorted(SUFFIXES))})"
            + "".join(f"; {hint}" for hint in hints)
        )
    for hint in hints:
        if (text := f"folder '{folder}': {hint}") not in _said:
            _said.add(text)
            log.warning("%s", text)
    return found


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def _left_out(paths: list[str]) -> list[str]:
    suffixes = ", ".join(sorted({_suffix(path) for path in paths}))
    said = f"{len(paths)} files are left out, their kinds are not read ({suffixes})"
    return [said] if paths else []


def _has_images(folder: str) -> bool:
    return bool(_suffix_in(folder))


def _suffix_in(folder: str) -> str:
    """Suffix of an image in a folder, as it is written; empty if there is none."""
    try:
        with os.scandir(folder) as entries:
            names = (entry.name for entry in entries if not entry.name.startswith("."))
            return next((pathlib.Path(n).suffix for n in names if _suffix(n) in SUFFIXES), "")
    except OSError:
        return ""


def _listed(path: str) -> list[str]:
    try:
        data = pathlib.Path(path).read_bytes()
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        lines = data.decode("utf-16" if wide else "utf-8-sig").splitlines()
    except OSError as error:
        raise CollectionError(f"cannot read the list '{path}': {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CollectionError(f"the list '{path}' is not a text file of paths") from error
    if any("\0" in line for line in lines):
        raise CollectionError(f"the list '{path}' is not a text file of paths: it has a NUL")
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise CollectionError(f"the list '{path}' names no files")
    return found


def _known(name: str, collection: Collection) -> list[str]:
    root = os.environ.get(ROOT_VARIABLE)
    where = f"${ROOT_VARIABLE}/{collection.folder}"
    cure = f"put its {collection.count} images ({collection.source}) into {where}"
    if not root:
        raise CollectionError(
            f"collection '{name}' needs the environment variable {ROOT_VARIABLE}: set it to the "
            f"folder of your data sets and {cure}"
        )
    folder = os.path.join(root, collection.folder)
    if not os.path.isdir(folder):
        raise CollectionError(f"collection '{name}' is not at {folder}: {cure}")
    found = _folder(folder)
    if len(found) != collection.count:
        raise CollectionError(
            f"collection '{name}' must have {collection.count} images, {folder} has "
            f"{len(found)}: {cure}"
        )
    wrong = known_images.mistakes(name, found)
    if wrong:
        raise CollectionError(
            f"{folder} is not the collection '{name}': of its images {wrong}; {cure}, or give the "
            "folder itself, whose images then are not called so"
        )
    return found


def _packaged(names: tuple[str, ...]) -> list[str]:
    import skimage.data  # imported here: it is needed for the sample images only

    folder = pathlib.Path(skimage.data.__file__).parent
    return [str(folder / name) for name in names]
