"""NVIDIA's pickled networks, read without their code and without running what is in them.

An official file is a pickle of (G, D, Gs), each a network with its weights, its settings and the
text of the Python module that built it, which the official reader executes. Here a pickle may
only name networks, dictionaries and arrays, and what stands for these here does nothing but hold
what it is given; the module's text stays a text.
"""

from __future__ import annotations

import math
import os
import pickle
import stat
from typing import BinaryIO

import numpy as np

from lossylab.core.errors import UsageError

_KINDS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
_BYTEARRAY = pickle.BYTEARRAY8[0]
_LINE = 2**16  # bytes: no line of a pickle is longer


class _Held:
    """What a pickle makes: it may give each thing a state, once."""

    state = None

    def __setstate__(self, state):
        if self.state is not None:
            raise pickle.UnpicklingError("it changes something after making it")
        self.state = state


class _Dictionary(dict):
    def __setstate__(self, state):
        raise pickle.UnpicklingError("it changes a dictionary after making it")


class _Kind(_Held):
    """A NumPy dtype; its state has the byte order."""

    def __init__(self, name, *unused):
        if name not in _KINDS:
            raise pickle.UnpicklingError(f"it has an array of '{name!s:.20}', which are no numbers")
        self.name = name

    def dtype(self) -> np.dtype:
        order = self.state[1] if self.state else "="
        return np.dtype(self.name).newbyteorder({"|": "="}.get(order, order))


class _Array(_Held):
    """A NumPy array: its state has version, shape, dtype, order and bytes."""

    def array(self) -> np.ndarray:
        _, shape, kind, columns_first, data = self.state
        return _from_bytes(data, kind, tuple(shape), "F" if columns_first else "C")


class _Reconstruct(_Held):
    """Stands for NumPy's function of this name: an array without a state yet."""

    def __new__(cls, *unused):
        return _Array()


class _Scalar(_Held):
    """A NumPy number."""

    def __init__(self, kind, data):
        self._kind, self._data = kind, data

    def array(self) -> np.ndarray:
        return _from_bytes(self._data, self._kind, (), "C")


class Network(_Held):
    """A pickled network.

    Attributes:
      kind: name of the function that built it.
      settings: keyword arguments of that function.
      components: networks in it by name.
    """

    @property
    def kind(self) -> str:
        """See the class."""
        return self.state["build_func_name"]

    @property
    def settings(self) -> dict:
        """See the class; arrays are lists in it."""
        settings = self.state["static_kwargs"]
        held = (_Array, _Scalar)
        return {k: v.array().tolist() if isinstance(v, held) else v for k, v in settings.items()}

    @property
    def components(self) -> dict[str, Network]:
        """See the class."""
        return self.state["components"]

    def variables(self) -> dict[str, np.ndarray]:
        """Its own arrays by name, as float32.

        Raises:
          pickle.UnpicklingError: if one is none or has other numbers of bytes than it says.
        """
        found = {}
        for name, value in self.state["variables"]:
            if not isinstance(name, str):
                raise pickle.UnpicklingError("the name of an array is no text")
            if isinstance(value, (int, float)):
                value = np.float32(value)
            elif isinstance(value, (_Array, _Scalar)):
                value = value.array()
            else:
                raise pickle.UnpicklingError(f"'{name:.80}' is no array")
            found[name] = np.asarray(value, np.float32)
        return found


def _from_bytes(data, kind: _Kind, shape: tuple[int, ...], order: str) -> np.ndarray:
    dtype = kind.dtype()
    if isinstance(data, str):  # of Python 2
        data = data.encode("latin1")
    if min(shape, default=0) < 0 or len(data) != math.prod(shape) * dtype.itemsize:
        raise pickle.UnpicklingError(f"an array of {list(shape)} {dtype} has {len(data)} bytes")
    return np.frombuffer(data, dtype).reshape(shape, order=order)


_ALLOWED = {
    ("dnnlib.tflib.network", "Network"): Network,
    ("dnnlib.util", "EasyDict"): _Dictionary,
    ("dnnlib", "EasyDict"): _Dictionary,
    ("collections", "OrderedDict"): _Dictionary,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Kind,
    **{
        (f"numpy.{core}.multiarray", name): kind
        for core in ("core", "_core")
        for name, kind in (("_reconstruct", _Reconstruct), ("scalar", _Scalar))
    },
}


class _Bounded:
    """A file that gives no more than it has, so that nothing is set aside for what is not there."""

    def __init__(self, file: BinaryIO):
        self._file, self._left = file, os.fstat(file.fileno()).st_size

    def read(self, count: int) -> bytes:
        if not 0 <= count <= self._left:
            raise pickle.UnpicklingError("it ends too early")
        self._left -= count
        return self._file.read(count)

    def readline(self) -> bytes:
        line = self._file.readline(_LINE)
        self._left -= len(line)
        return line


class _Unpickler(pickle._Unpickler):
    """The one written in Python: the other sets memory aside for whatever index a pickle names.

    Byte arrays, which came after these files, are not known: they are made before they are read.
    """

    dispatch = {
        code: load for code, load in pickle._Unpickler.dispatch.items() if code != _BYTEARRAY
    }

    def find_class(self, module, name):
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which networks do not need")
        return _ALLOWED[module, name]


def read(path: str) -> Network:
    """The averaged generator (Gs) of an official file.

    Raises:
      UsageError: if the file is missing, no such pickle, damaged, or names anything else.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UsageError(f"{path} is no file")
        with open(path, "rb") as file:
            found = _Unpickler(_Bounded(file), encoding="latin1").load()
        if not isinstance(found, tuple) or len(found) != 3:
            raise pickle.UnpicklingError("it is not (G, D, Gs)")
        for network in (found[2], *_checked(found[2]).components.values()):
            _checked(network)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except UsageError:
        raise
    # Whatever a damaged pickle makes of the unpickler's stack.
    except Exception as error:
        raise UsageError(
            f"{path} is no official StyleGAN pickle, or damaged: {error or type(error).__name__}"
        ) from error
    return found[2]


def _checked(network: Network) -> Network:
    """The same, if it is a network whose state has what one needs."""
    if not isinstance(network, Network) or not isinstance(network.state, dict):
        raise pickle.UnpicklingError("something in it that should be a network is none")
    for key, kind in (
        ("build_func_name", str),
        ("static_kwargs", dict),
        ("components", dict),
        ("variables", list),
    ):
        if not isinstance(network.state.get(key), kind):
            raise pickle.UnpicklingError(f"a network's '{key}' is missing or no {kind.__name__}")
    if not all(isinstance(name, str) for name in network.components):
        raise pickle.UnpicklingError("the name of a network's component is no text")
    return network
