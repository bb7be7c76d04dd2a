"""Collections recognized by content: files or pixels that are those of the published sets."""

from __future__ import annotations

import collections
import csv
import functools
import os
import pathlib

from lossylab.core.digest import digest, file_digest
from lossylab.core.errors import ImageError
from lossylab.data.decode import read_image

_TABLE = pathlib.Path(__file__).with_name("known_images.csv")
_DIGITS = 16  # of the hashes in the table
_NAMED = 3


def mistakes(name: str, paths: list[str]) -> str:
    """What is wrong with the files of a collection; empty if nothing is.

    Files are known as they are published, or by their pixels when they were stored in another
    format without loss. Of collections whose hashes are not known only copies are noticed.
    """
    known = name in _known()
    marks = [_mark(name, path) for path in paths] if known else _copies(paths)
    faults = []
    strange = [os.path.basename(path) for path, mark in zip(paths, marks) if not mark]
    if strange:
        faults.append(f"{len(strange)} are none of it ({_some(strange)})")
    first: dict[str, str] = {}
    again = []
    for path, mark in zip(paths, marks):
        if mark and first.setdefault(mark, path) != path:
            again.append(f"{os.path.basename(path)} of {os.path.basename(first[mark])}")
    if again:
        faults.append(f"{len(again)} are copies ({_some(again)})")
    return ", ".join(faults)


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")


@functools.cache
def _known() -> dict[str, dict[str, str]]:
    """By collection: hashes of files, and of pixels, to the hash of the pixels."""
    found: dict[str, dict[str, str]] = collections.defaultdict(dict)
    with open(_TABLE, newline="") as file:
        for row in csv.DictReader(file):
            found[row["collection"]] |= dict.fromkeys((row["file"], row["pixels"]), row["pixels"])
    return dict(found)


def _mark(name: str, path: str) -> str:
    """The image of a collection that a file is; empty if it is none."""
    status = os.stat(path)
    return _mark_of(name, path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=2**12)
def _mark_of(name: str, path: str, time: int, size: int) -> str:
    del time, size  # a file that has changed is looked at again
    table = _known()[name]
    short = file_digest(path)[:_DIGITS]
    if short in table:
        return table[short]
    try:
        return table.get(digest(read_image(path))[:_DIGITS], "")
    except ImageError:
        return ""


def _copies(paths: list[str]) -> list[str]:
    """A mark for each file, which files of the same contents share."""
    sizes = [os.path.getsize(path) for path in paths]
    often = collections.Counter(sizes)
    return [path if often[size] == 1 else file_digest(path) for path, size in zip(paths, sizes)]
