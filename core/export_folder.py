"""The folder of an export: found, trusted, named and described without loading TensorFlow."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib

from lossylab.core import trust
from lossylab.core.errors import ExportError

CARD = "card.json"  # what the signature `describe` gives, as a file
_MODELS = ("saved_model.pb", "saved_model.pbtxt")


def find(path: str | os.PathLike) -> None:
    """Raises ExportError if there is no SavedModel."""
    if not os.path.isdir(path):
        raise ExportError(
            f"{path}: no such folder; expected an export, such as RUN_DIR/export, or a name that "
            "`lossylab models` lists"
        )
    if not is_saved_model(path):
        hint = os.path.join(path, "export")
        cure = f"; did you mean {hint}?" if is_saved_model(hint) else ""
        raise ExportError(f"{path}: the folder has no SavedModel{cure}")


def is_saved_model(path: str | os.PathLike) -> bool:
    """Whether a folder holds a SavedModel."""
    return any(os.path.isfile(os.path.join(path, name)) for name in _MODELS)


def check(path: str | os.PathLike) -> None:
    """Raises ExportError if there is no SavedModel, or one that is not trusted here."""
    find(path)
    if trust.hashes():
        trust.check(os.fspath(path), content_hash(path))


def content_hash(path: str | os.PathLike) -> str:
    """SHA-256 over all files of an export, its program too, in hexadecimal; nothing is loaded.

    Raises:
      ExportError: if `path` has no SavedModel, or a file cannot be read.
    """
    find(path)
    digest = hashlib.sha256()
    try:
        everything = sorted(pathlib.Path(path).rglob("*"))
        linked = next((each for each in everything if each.is_symlink() and each.is_dir()), None)
        if linked:
            raise ExportError(f"{linked}: a linked folder, whose files no hash would be of")
        for file in (each for each in everything if not each.is_dir()):
            digest.update(f"{file.relative_to(path).as_posix()}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    except (OSError, UnicodeEncodeError) as error:
        raise ExportError(f"{path}: cannot be read: {error}") from error
    return digest.hexdigest()


def read_card(path: str | os.PathLike) -> dict | None:
    """The card of a trusted export; None if it has no file of it, as those before 0.2.

    Raises:
      ExportError: if `path` has no SavedModel, it is not trusted here, or the card is damaged.
    """
    check(path)
    file = pathlib.Path(path) / CARD
    try:
        card = json.loads(file.read_text())
        if not isinstance(card, dict):
            raise ValueError("no JSON object")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise ExportError(f"{file}: damaged: {error}") from error
    return card
