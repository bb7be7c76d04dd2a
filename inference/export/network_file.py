"""A network in a file: its class, its constructor's arguments, and its weights by name.

An .npz that is read as data: nothing in it is run.
"""

from __future__ import annotations

import json
import pathlib
import zipfile
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.lib.npyio import NpzFile

from lossylab import models
from lossylab.core.errors import ExportError
from lossylab.core.files import replacing
from lossylab.models.layers.base import Network

_HEADER = "network.json"
# What NumPy raises for files that are damaged.
_DAMAGED = (OSError, ValueError, LookupError, zipfile.BadZipFile, EOFError, RecursionError)


def write(network: Network, path: str | pathlib.Path, narrow: bool = False) -> None:
    """Writes a network; raises OutputError.

    Args:
      network: one of `lossylab.models`.
      path: of the file, ending in .npz.
      narrow: whether float32 weights are rounded to float16, for half the size.
    """
    header = {"class": type(network).__name__, "config": network.get_config()}
    arrays = {_HEADER: np.frombuffer(json.dumps(header, sort_keys=True).encode(), np.uint8)}
    for variable in network.variables:
        value = variable.numpy()
        half = narrow and value.dtype == np.float32
        arrays[variable.name] = value.astype(np.float16) if half else value
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)


def read(path: str | pathlib.Path) -> Network:
    """The network of a file that `write` wrote.

    Raises:
      ExportError: if there is no such file, or it is damaged or of another version's network.
    """
    try:
        # NumPy would leave a damaged file open.
        with open(path, "rb") as whole, np.load(whole, allow_pickle=False) as file:
            header = json.loads(file[_HEADER].tobytes())
            kind = getattr(models, header["class"])
            if not issubclass(kind, Network) or not _is_ours(header["config"]):
                raise TypeError(f"{header['class']} is no network of lossylab's")
            network = kind.from_config(header["config"])
            _fill(network, file)
    except (*_DAMAGED, AttributeError, TypeError) as error:
        raise ExportError(f"{path}: no file of a network, or a damaged one: {error}") from error
    return network


def _is_ours(config: Any) -> bool:
    """Whether Keras would build layers of this package alone."""
    if isinstance(config, dict):
        ours = str(config.get("registered_name", "lossylab>")).startswith("lossylab>")
        named = "class_name" not in config or "registered_name" in config
        return ours and named and all(map(_is_ours, config.values()))
    return not isinstance(config, list) or all(map(_is_ours, config))


def _fill(network: Network, file: NpzFile) -> None:
    variables: list[tf.Variable] = network.variables
    names = {variable.name for variable in variables}
    strange = names ^ (set(file.files) - {_HEADER})
    if strange:
        raise ValueError(f"its weights are not the network's: {', '.join(sorted(strange)[:3])}")
    for variable in variables:
        variable.assign(file[variable.name].astype(variable.dtype.as_numpy_dtype))
