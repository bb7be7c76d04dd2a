"""Models that come with lossylab: zoo/NAME.npz has the weights, zoo/NAME.json what they are.

`base.located` makes exports of them. A card holds kind, options, steps, data, license and what
else is said of an export, the SHA-256 of the weights' file, `summary`, and `quality`: measured
values with their protocol.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
from typing import Any

from lossylab.core.errors import ExportError
from lossylab.core.files import cache_folder
from lossylab.inference.export import network_file

FOLDER = pathlib.Path(__file__).parents[2] / "zoo"
_DIGITS = 16


def names() -> list[str]:
    """Names of all models, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def card(name: str) -> dict[str, Any]:
    """What is known of a model, JSON values."""
    return json.loads((FOLDER / f"{name}.json").read_bytes())


def place(name: str) -> pathlib.Path:
    """Where the export of a model is kept, in the cache; other weights have another place."""
    return cache_folder() / "models" / f"{name}-{card(name)['sha256'][:_DIGITS]}"


def network(name: str) -> Any:
    """The Keras model of a name, with its weights; raises ExportError if its file is damaged."""
    path = FOLDER / f"{name}.npz"
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != card(name)["sha256"]:
        raise ExportError(f"{path} is damaged: its SHA-256 is {found}; install lossylab again")
    return network_file.read(path)
