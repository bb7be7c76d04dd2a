"""Models that have names: NAME.npz has the weights, NAME.json is the card.

They lie in the package's folder zoo/ and in the user's, $LOSSYLAB_ZOO or the platform's, such as
~/.local/share/lossylab/zoo. `base.located` makes exports of them. A card holds what an export's
says, the SHA-256 of the weights' file, `summary`, `hours` of training, and `quality`: measured
values with their protocol. Restorers are chosen by `channels` and the JPEG quality among `options`,
for no file finer than `useful_to`, if the card says it; `gains` has what color files of live1 gain
on the mean, in dB, by their quality.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import pathlib
from importlib import metadata
from typing import Any

from lossylab.core.digest import file_digest
from lossylab.core.errors import ExportError
from lossylab.core.files import cache_folder, data_folder

_LOWEST_LAMBDA = 0.0005  # of the quality 1
_LOWEST_TABLES_LAMBDA = 0.0015  # of JPEG encoders, whose loss weighs MSE against bits a pixel
PACKAGED = pathlib.Path(__file__).parents[2] / "zoo"


def user_folder() -> pathlib.Path:
    """Where `lossylab models add` puts models; nothing is created."""
    folder = os.environ.get("LOSSYLAB_ZOO")
    return pathlib.Path(folder) if folder else data_folder() / "zoo"


def names() -> list[str]:
    """Names of all models, sorted."""
    return sorted(_cards())


def is_named(path: str | os.PathLike) -> bool:
    """Whether it is the name of a model, not of a file or folder, which goes before."""
    return not os.path.lexists(path) and os.fspath(path) in _cards()


def card(name: str) -> dict[str, Any]:
    """What is known of a model, JSON values; raises ExportError if its file is damaged."""
    path = _cards()[name]
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ExportError(f"{path} is damaged: {error}") from error


def weights(name: str) -> pathlib.Path:
    """The file of a model's network; raises ExportError if it is damaged."""
    path = _cards()[name].with_suffix(".npz")
    found = file_digest(path) if path.exists() else "of no file"
    if found != card(name)["sha256"]:
        raise ExportError(f"{path} is damaged: its SHA-256 is {found}; add or install it again")
    return path


def codec(quality: int) -> str:
    """Name of the codec for a rate: of the hyperprior if there is one, trained for MSE.

    Args:
      quality: 1 to 8, of which each has twice the lambda of the one before, from .0005 on.

    Raises:
      ExportError: if there is no codec; of those there are, the nearest lambda is taken.
    """
    return _nearest("codec", {"metric": "mse"}, "bmshj2018", _LOWEST_LAMBDA * 2 ** (quality - 1))


def jpeg_encoder(quality: int) -> str:
    """Name of the encoder of JPEG files for a rate: of those whose loss counts bits.

    Args:
      quality: 1 to 6, of which each has twice the lambda of the one before, from .0015 on.

    Raises:
      ExportError: if there is none; of those there are, the nearest lambda is taken.
    """
    wanted = _LOWEST_TABLES_LAMBDA * 2 ** (quality - 1)
    return _nearest("jpeg_encoder", {"rate": "coefficients"}, "jpeg_encoder", wanted)


def distorter(distortion: str) -> str | None:
    """Name of a generator of a distortion, the first; None if there is none."""
    return _first("distorter", {"distortion": distortion})


def generator() -> str:
    """Name of a StyleGAN's generator, the first; raises ExportError if there is none."""
    name = _first("generator", {})
    if name is None:
        raise ExportError("no generator has a name here: give a `generator`")
    return name


def _first(kind: str, trained: dict[str, str]) -> str | None:
    """The first model of a kind and of some options; None if there is none."""
    for name in names():
        known = card(name)
        if known["kind"] == kind and trained.items() <= known["options"].items():
            return name
    return None


def _nearest(kind: str, trained: dict[str, str], preferred: str, lmbda: float) -> str:
    """The model of a kind and of some options whose lambda is nearest, first of one network."""
    found = {}
    for name in names():
        known = card(name)
        if known["kind"] == kind and trained.items() <= known["options"].items():
            distance = abs(math.log(known["options"]["lmbda"] / lmbda))
            found[name] = (known["model"] != preferred, distance, name)
    if not found:
        raise ExportError(
            f"no {kind.replace('_', ' ')} has a name here: give a `model`, or `lossylab models "
            "add` one"
        )
    return min(found, key=lambda name: found[name])


def place(name: str) -> pathlib.Path:
    """Where the export of a model is kept; another card or program has another place."""
    versions = [metadata.version(package) for package in ("lossylab", "tensorflow")]
    text = json.dumps([card(name), *versions], sort_keys=True)
    return cache_folder() / "models" / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _cards() -> dict[str, pathlib.Path]:
    folders = (user_folder(), PACKAGED)
    return {path.stem: path for folder in folders for path in folder.glob("*.json")}
