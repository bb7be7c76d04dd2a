"""NVIDIA's pickled networks, read without their code and without running what is in them.

An official file is a pickle of (G, D, Gs), each a network with its weights, its settings and the
text of the Python module that built it, which the official reader executes. Here a pickle is read
as data (`strict_pickle`): it may name networks, dictionaries and arrays, and nothing is called; the
module's text stays a text.
"""

from __future__ import annotations

import dataclasses
import math
import zipfile
from pickle import UnpicklingError
from typing import Any, BinaryIO, cast

import numpy as np

from lossylab.inference.importers import strict_pickle
from lossylab.inference.importers.strict_pickle import ForeignNameError, Global, Object

_NUMBERS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
_NETWORK = Global("dnnlib.tflib.network", "Network")
_DICTIONARIES = (
    Global("dnnlib.util", "EasyDict"),
    Global("dnnlib", "EasyDict"),
    Global("collections", "OrderedDict"),
)
_NDARRAY, _DTYPE = Global("numpy", "ndarray"), Global("numpy", "dtype")
_CORES = ("numpy.core", "numpy._core")
_RECONSTRUCT = tuple(Global(f"{core}.multiarray", "_reconstruct") for core in _CORES)
_SCALAR = tuple(Global(f"{core}.multiarray", "scalar") for core in _CORES)
_FROM_BUFFER = tuple(Global(f"{core}.numeric", "_frombuffer") for core in _CORES)
_ALLOWED = frozenset(
    (each.module, each.name)
    for each in (
        *(_NETWORK, *_DICTIONARIES, _NDARRAY, _DTYPE, *_RECONSTRUCT, *_SCALAR, *_FROM_BUFFER),
        Global("_codecs", "encode"),
    )
)
# What to say of files of other kinds, by the module that they name.
_TAKE = "take the official TensorFlow pickle of StyleGAN, StyleGAN2 or StyleGAN2-ADA instead"
_TORCH = f"it is a file of PyTorch's; {_TAKE}"
_OTHERS = {
    "torch_utils": f"it is a network of StyleGAN2-ADA or StyleGAN3 for PyTorch; {_TAKE}",
    "torch": _TORCH,
    "keras": f"it is a model of Keras; {_TAKE}",
}


@dataclasses.dataclass(frozen=True)
class Network:
    """A pickled network.

    Attributes:
      kind: name of the function that built it.
      settings: keyword arguments of that function; arrays are lists in it.
      components: networks in it by name.
      arrays: its own arrays by name, as float32.
    """

    kind: str
    settings: dict[str, Any]
    components: dict[str, Network]
    arrays: dict[str, np.ndarray]


def read(path: str) -> Network:
    """The averaged generator (Gs) of an official file.

    Raises:
      UsageError: if the file is missing, no such pickle, damaged, or names anything else.
    """
    return strict_pickle.read_file(path, "official StyleGAN pickle", _averaged_generator)


def _averaged_generator(file: BinaryIO, size: int) -> Network:
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            torch = any(name.endswith("data.pkl") for name in archive.namelist())
        raise UnpicklingError(_TORCH if torch else f"it is a zip archive; {_TAKE}")
    file.seek(0)
    try:
        found = strict_pickle.load(file, size, _ALLOWED, "networks")
    except ForeignNameError as error:
        raise UnpicklingError(_OTHERS.get(error.module.split(".")[0], str(error))) from error
    if not isinstance(found, tuple) or len(found) != 3:
        raise UnpicklingError("it is not (G, D, Gs)")
    return _Reader(4 * size).network(found[2])


class _Reader:
    """Makes networks of what a pickle held, with at most so many bytes of arrays."""

    def __init__(self, limit: int) -> None:
        self._left = limit  # float32 in memory, at most four times what the file has

    def network(self, held: Any, inner: bool = False) -> Network:
        state = _state(held)
        components = _typed(state, "components", dict)
        if inner and components:
            raise UnpicklingError("a component has components")
        if not all(isinstance(name, str) for name in components):
            raise UnpicklingError("the name of a network's component is no text")
        return Network(
            _typed(state, "build_func_name", str),
            {k: _setting(v) for k, v in _typed(state, "static_kwargs", dict).items()},
            {name: self.network(each, inner=True) for name, each in components.items()},
            dict(self._array(*_pair(entry)) for entry in _typed(state, "variables", list)),
        )

    def _array(self, name: Any, held: Any) -> tuple[str, np.ndarray]:
        if not isinstance(name, str):
            raise UnpicklingError("the name of an array is no text")
        value = held if isinstance(held, (int, float)) else _numbers(held)
        if value is None:
            raise UnpicklingError(f"'{name:.80}' is no array")
        self._left -= 4 * np.size(value)
        if self._left < 0:
            raise UnpicklingError("its arrays are larger than the file can hold")
        return name, np.asarray(value, np.float32)


def _state(held: Any) -> dict:
    """The state of a network; raises UnpicklingError if it is none."""
    network = isinstance(held, Object) and held.kind == _NETWORK
    state = _items(held.state) if network else None
    if state is None:
        raise UnpicklingError("something in it that should be a network is none")
    return state


def _typed(state: dict, key: str, kind: type) -> Any:
    value = state.get(key)
    value = _items(value) if kind is dict else value
    if not isinstance(value, kind):
        raise UnpicklingError(f"a network's '{key}' is missing or no {kind.__name__}")
    return value


def _items(held: Any) -> dict | None:
    """The items of a dictionary of any class, or None."""
    if isinstance(held, dict):
        return held
    if not isinstance(held, Object) or held.kind not in _DICTIONARIES:
        return None
    pairs = held.arguments[0] if held.arguments else []
    if isinstance(pairs, list):  # an OrderedDict of Python 2
        return {**dict(_pair(pair) for pair in pairs if _named(pair)), **held.items}
    return None


def _named(pair: Any) -> bool:
    return isinstance(pair, (list, tuple)) and bool(pair) and isinstance(pair[0], str)


def _pair(entry: Any) -> tuple[Any, Any]:
    if not isinstance(entry, (list, tuple)) or len(entry) != 2:
        raise UnpicklingError("something in it that should be a name and a value is none")
    return entry[0], entry[1]


def _setting(held: Any) -> Any:
    """A setting's value, a list for an array."""
    array = _numbers(held)
    return held if array is None else array.tolist()


def _numbers(held: Any) -> np.ndarray | None:
    """The NumPy array or number that was pickled, or None."""
    if not isinstance(held, Object):
        return None
    if held.kind in _SCALAR and len(held.arguments) == 2:
        kind, data = held.arguments
        return _from_bytes(data, kind, (), "C")
    if held.kind in _FROM_BUFFER and len(held.arguments) == 4:
        data, kind, shape, order = held.arguments
        return _from_bytes(data, kind, shape, order)
    if held.kind in _RECONSTRUCT:
        if not isinstance(held.state, tuple) or len(held.state) != 5:
            raise UnpicklingError("an array has no numbers")
        _, shape, kind, columns_first, data = held.state
        return _from_bytes(data, kind, shape, "F" if columns_first else "C")
    return None


def _from_bytes(data: Any, kind: Any, shape: Any, order: str) -> np.ndarray:
    dtype = _dtype(kind)
    if isinstance(data, str):  # of Python 2
        data = data.encode("latin1")
    sizes = shape if isinstance(shape, tuple) else (shape,)
    if not isinstance(data, bytes) or not all(isinstance(size, int) for size in sizes):
        raise UnpicklingError("an array has no numbers")
    if min(sizes, default=0) < 0 or len(data) != math.prod(sizes) * dtype.itemsize:
        raise UnpicklingError(f"an array of {[*sizes]!s:.80} {dtype} has {len(data)} bytes")
    return np.frombuffer(data, dtype).reshape(sizes, order="F" if order == "F" else "C")


def _dtype(held: Any) -> np.dtype:
    if not isinstance(held, Object) or held.kind != _DTYPE or not held.arguments:
        raise UnpicklingError("the type of an array is none")
    name = held.arguments[0]
    if name not in _NUMBERS:
        raise UnpicklingError(f"it has an array of '{name!s:.20}', which are no numbers")
    order = held.state[1] if isinstance(held.state, tuple) and len(held.state) > 1 else "="
    return np.dtype(name).newbyteorder(cast("Any", {"|": "="}.get(order, order)))
