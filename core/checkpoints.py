"""Checkpoints in a folder, told by their own files.

TensorFlow's state file is written for other tools and never read: a partial copy of a run has lost
it, and TensorFlow takes brackets in the paths that it names for patterns.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import shutil
from collections.abc import Iterator

from lossylab.core.files import plainly_named, write_text

PathLike = str | pathlib.Path

_FILE = re.compile(r"ckpt-(\d+)\.(index|data-(\d{5})-of-(\d{5}))")
# What saving leaves behind when it is killed.
_REST = re.compile(r"ckpt-\d+_temp|ckpt-\d+\.index\.tempstate\d+")


def complete(folder: PathLike) -> list[str]:
    """Checkpoints all of whose files are there, newest first, as TensorFlow names them."""
    steps: dict[int, set[str]] = {}
    for step, file in _files(folder):
        steps.setdefault(step, set()).add(file)
    whole = [step for step, files in steps.items() if _is_whole(files)]
    return [os.path.join(folder, f"ckpt-{step}") for step in sorted(whole, reverse=True)]


def newest(folder: PathLike) -> str | None:
    """The newest complete checkpoint, if there is one."""
    return next(iter(complete(folder)), None)


def step_of(checkpoint: str) -> int:
    """Steps done at a checkpoint."""
    return int(checkpoint.rpartition("-")[2])


def remove(checkpoint: str) -> None:
    """Removes a checkpoint's files, the index first: without it the rest is none."""
    folder, step = os.path.dirname(checkpoint), step_of(checkpoint)
    mine = [file for other, file in _files(folder) if other == step]
    for file in sorted(mine, key=lambda file: not file.endswith(".index")):
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(folder, file))


def prune(folder: PathLike, keep: int) -> None:
    """Removes what is older than the newest `keep`, complete or not, and writes the state file."""
    kept = complete(folder)[:keep]
    if not kept:
        return
    oldest = step_of(kept[-1])
    for step in sorted({step for step, _ in _files(folder) if step < oldest}):
        remove(os.path.join(folder, f"ckpt-{step}"))
    names = [os.path.basename(each) for each in kept]
    lines = [f'model_checkpoint_path: "{names[0]}"']
    lines += [f'all_model_checkpoint_paths: "{name}"' for name in reversed(names)]
    write_text(os.path.join(folder, "checkpoint"), "\n".join(lines) + "\n")


def remove_rests(folder: PathLike) -> None:
    """Removes what killed processes left half written; none may be saving now."""
    for name in _names(folder):
        if _REST.fullmatch(name):
            path = os.path.join(folder, name)
            shutil.rmtree(path, ignore_errors=True)
            with contextlib.suppress(OSError):
                os.unlink(path)


@contextlib.contextmanager
def readable_name(checkpoint: str) -> Iterator[str]:
    """A checkpoint under a name that TensorFlow can read; see `plainly_named`."""
    folder, name = os.path.split(checkpoint)
    with plainly_named(folder) as place:
        yield os.path.join(place, name)


def _names(folder: PathLike) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _files(folder: PathLike) -> list[tuple[int, str]]:
    """Step and name of all files of checkpoints."""
    found = [_FILE.fullmatch(name) for name in _names(folder)]
    return [
        (int(file[1]), file[0]) for file in found if file and _size(os.path.join(folder, file[0]))
    ]


def _size(path: str) -> int:
    """Bytes of a file; 0 of one that a training has just removed."""
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def _is_whole(files: set[str]) -> bool:
    """Whether the index and all parts of the data are among these files of one step."""
    parts = [file for file in map(_FILE.fullmatch, files) if file]
    counts = {int(part[4]) for part in parts if part[4]}
    indexes = len(parts) - sum(bool(part[4]) for part in parts)
    return indexes == 1 and any(
        sum(bool(part[4]) and int(part[4]) == count for part in parts) == count for count in counts
    )
