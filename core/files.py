"""Writing files so that nothing that exists is damaged: beside, then renamed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence

import platformdirs

from lossylab.core.errors import OutputError, UsageError

PathLike = str | pathlib.Path

_REST = ".lossylab-"  # begins the names of files that are not finished


@contextlib.contextmanager
def replacing(path: PathLike) -> Iterator[str]:
    """Gives a temporary path beside `path`, renamed over it on success, removed on error.

    Raises:
      OutputError: if the folder cannot be made or written.
    """
    path = pathlib.Path(path)
    make_folder(path.parent)
    temporary = path.with_name(f"{_REST}{uuid.uuid4().hex[:12]}{path.suffix}")
    held = None
    try:
        held = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        with contextlib.suppress(OSError):  # some file systems have no locks
            fcntl.flock(held, fcntl.LOCK_EX)  # in work: see `remove_rests`
        yield str(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if held is not None:
            os.close(held)
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def cache_folder() -> pathlib.Path:
    """$LOSSYLAB_CACHE or the platform's, such as ~/.cache/lossylab; nothing is created."""
    return pathlib.Path(os.environ.get("LOSSYLAB_CACHE") or platformdirs.user_cache_dir("lossylab"))


def data_folder() -> pathlib.Path:
    """The platform's for what users keep, such as ~/.local/share/lossylab; nothing is created."""
    return platformdirs.user_data_path("lossylab")


def remove_rests(folder: PathLike) -> None:
    """Removes the temporary files that killed processes have left in a folder."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for name in [entry.path for entry in entries if entry.name.startswith(_REST)]:
            with contextlib.suppress(OSError), open(name, "rb+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while it is in work
                os.unlink(name)


def write_bytes(path: PathLike, data: bytes) -> None:
    """Writes a whole file at once; raises OutputError."""
    with replacing(path) as temporary:
        pathlib.Path(temporary).write_bytes(data)


def write_text(path: PathLike, text: str) -> None:
    """Writes a whole text file at once, UTF-8; raises OutputError."""
    write_bytes(path, text.encode())


def require_new(paths: Iterable[PathLike], overwrite: bool) -> None:
    """Raises UsageError if outputs exist that may not be replaced."""
    if not overwrite:
        refuse_existing([path for path in paths if os.path.lexists(path)])


def refuse_existing(paths: Sequence[PathLike], reason: str = "") -> None:
    """Raises UsageError if there are any of these outputs; `reason` says why that is bad."""
    if paths:
        many = len(paths) > 1
        said = f"{len(paths)} outputs exist, {paths[0]} first" if many else f"{paths[0]} exists"
        raise UsageError(f"{said}{reason}: `overwrite`")


@contextlib.contextmanager
def plainly_named(folder: PathLike) -> Iterator[str]:
    """A folder under a name that TensorFlow can use.

    It takes brackets and backslashes for patterns, and knows no names that are not UTF-8: such a
    folder gets a link in the temporary folder meanwhile.
    """
    name = os.fspath(folder)
    if not set(name) & set("*?[]{}\\") and name.isprintable():
        yield name
        return
    with tempfile.TemporaryDirectory() as place:
        link = os.path.join(place, "link")
        os.symlink(os.path.abspath(name), link)
        yield link


def make_folder(path: PathLike) -> pathlib.Path:
    """Creates a folder and its parents and checks that files can be made in it.

    Raises:
      OutputError: if it is a file, cannot be created, or is not writable.
    """
    path = pathlib.Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise OutputError(f"{path} is a file, a folder is needed there") from error
    except OSError as error:
        raise OutputError(f"cannot create the folder {path}: {error.strerror}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise OutputError(f"no permission to write into the folder {path}")
    return path
