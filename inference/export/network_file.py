"""A network in a file: its class, its constructor's arguments, its weights by name.

An .npz that is read as data: nothing in it is run, and no class is made that is not lossylab's.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.lib.npyio import NpzFile

from lossylab import models
from lossylab.core.errors import ExportError
from lossylab.core.files import replacing
from lossylab.models.layers.base import Network

_HEADER = "network.json"
_TABLES = "tables/"  # begins their names
_MOST = 2**33  # bytes of all arrays
_MANY = 4096  # weights of a kernel, of which each matters little
_SERIALIZED = {"class_name", "config", "module", "registered_name"}  # of Keras's layers in configs


def write(
    network: Network,
    path: str | pathlib.Path,
    narrow: bool = False,
    tables: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Writes a network; raises OutputError.

    Args:
      network: one of `lossylab.models`.
      path: of the file, ending in .npz.
      narrow: whether the file shall be small: compressed, float32 weights rounded to float16
        where it holds them, those of large kernels to eight significant bits.
      tables: what was built of its weights.
    """
    header = {"class": type(network).__name__, "config": network.get_config()}
    arrays = {_HEADER: np.frombuffer(json.dumps(header, sort_keys=True).encode(), np.uint8)}
    for variable in network.variables:
        value = variable.numpy()
        arrays[variable.name] = _narrowed(value) if narrow else value
    arrays |= {_TABLES + name: value for name, value in (tables or {}).items()}
    method = zipfile.ZIP_LZMA if narrow else zipfile.ZIP_STORED
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # without a time: equal networks, equal files
            member.compress_type = method
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)


def narrow(network: Network) -> None:
    """Rounds a network's weights as `write` does for a small file, which then loses nothing."""
    for variable in network.variables:
        value = variable.numpy()
        variable.assign(_narrowed(value).astype(value.dtype))


def read(path: str | pathlib.Path) -> Network:
    """The network of a file that `write` wrote.

    Raises:
      ExportError: if there is no such file, or it is damaged or of another version's network.
    """
    with _opened(path) as file:
        header = json.loads(file[_HEADER].tobytes())
        kind = getattr(models, header["class"])
        if not issubclass(kind, Network):
            raise TypeError(f"{header['class']} is no network of lossylab's")
        network = kind.from_config(_ours(header["config"]))
        _fill(network, file)
    return network


def tables(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    """The tables that `write` was given; raises ExportError likewise."""
    with _opened(path) as file:
        names = [name for name in file.files if name.startswith(_TABLES)]
        return {name.removeprefix(_TABLES): file[name] for name in names}


@contextlib.contextmanager
def _opened(path: str | pathlib.Path) -> Iterator[NpzFile]:
    """The archive; whatever is wrong with it or what it holds becomes an ExportError."""
    try:
        # NumPy would leave a damaged file open.
        with open(path, "rb") as whole, np.load(whole, allow_pickle=False) as file:
            if sum(member.file_size for member in file.zip.infolist()) > _MOST:
                raise ValueError("its arrays are too large")
            yield file
    except Exception as error:
        raise ExportError(f"{path}: no file of a network, or a damaged one: {error}") from error


def _narrowed(value: np.ndarray) -> np.ndarray:
    if value.dtype != np.float32 or not value.size:
        return value
    bits = 8 if value.size > _MANY else 11
    fraction, exponent = np.frexp(value)
    rounded = np.ldexp(np.round(fraction * 2**bits) / 2**bits, exponent)
    with np.errstate(over="ignore"):
        half = rounded.astype(np.float16)
    near = 2**-20 * float(np.abs(value).max())
    return half if np.allclose(half, value, rtol=2.0**-bits, atol=near) else value


def _ours(config: Any) -> Any:
    """The same without names of modules, which Keras would import; raises TypeError for others'."""
    if isinstance(config, list):
        return [_ours(each) for each in config]
    if not isinstance(config, dict):
        return config
    if _SERIALIZED & config.keys():
        kind = tf.keras.saving.get_registered_object(str(config.get("registered_name")))
        if not getattr(kind, "__module__", "").startswith("lossylab."):
            raise TypeError(f"{config.get('class_name')} is no layer of lossylab's")
    return {key: _ours(value) for key, value in config.items() if key != "module"}


def _fill(network: Network, file: NpzFile) -> None:
    variables: list[tf.Variable] = network.variables
    names = {variable.name for variable in variables}
    given = {name for name in file.files if not name.startswith(_TABLES)}
    strange = names ^ (given - {_HEADER})
    if strange:
        raise ValueError(f"its weights are not the network's: {', '.join(sorted(strange)[:3])}")
    for variable in variables:
        variable.assign(file[variable.name].astype(variable.dtype.as_numpy_dtype))
