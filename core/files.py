"""Writing files so that nothing that exists is damaged: beside, then renamed."""

from __future__ import annotations

import contextlib
import os
import pathlib
import uuid
from collections.abc import Iterator

from lossylab.core.errors import OutputError

PathLike = str | pathlib.Path


@contextlib.contextmanager
def replacing(path: PathLike) -> Iterator[str]:
    """Gives a temporary path beside `path`, renamed over it on success, removed on error.

    Raises:
      OutputError: if the folder cannot be made or written.
    """
    path = pathlib.Path(path)
    make_folder(path.parent)
    temporary = path.with_name(f".{uuid.uuid4().hex[:12]}{path.suffix}")
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield str(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def write_bytes(path: PathLike, data: bytes) -> None:
    """Writes a whole file at once; raises OutputError."""
    with replacing(path) as temporary:
        pathlib.Path(temporary).write_bytes(data)


def write_text(path: PathLike, text: str) -> None:
    """Writes a whole text file at once, UTF-8; raises OutputError."""
    write_bytes(path, text.encode())


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
