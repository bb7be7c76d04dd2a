"""Arrays of PyTorch weight files (.pth), without PyTorch and without running what is in them.

Both kinds are read: the zip archives that torch.save writes since 1.6, and the older plain pickles.
Their pickles may only name tensors, storages and ordered dictionaries; anything else is refused
before it is called.
"""

from __future__ import annotations

import collections
import dataclasses
import pickle
import zipfile
from typing import BinaryIO

import numpy as np

from lossylab.core.errors import UsageError

_MAGIC = 0x1950A86A20F9469CFC6C
_TYPES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ByteStorage": np.uint8,
}


class _Sealed:
    """What a pickle may not change once it is made."""

    def __setstate__(self, state):
        raise pickle.UnpicklingError("it changes a tensor after making it")


@dataclasses.dataclass
class _Storage(_Sealed):
    """Numbers in a row; old files have them behind the pickle."""

    kind: type
    values: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class _Tensor(_Sealed):
    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def array(self) -> np.ndarray:
        values = self.storage.values
        last = self.offset + sum((n - 1) * step for n, step in zip(self.size, self.stride))
        if values is None or min((*self.stride, self.offset), default=0) < 0 or last >= values.size:
            raise pickle.UnpicklingError("a tensor reaches outside its storage")
        steps = [step * values.itemsize for step in self.stride]
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.size, steps).copy()


def _rebuild_tensor(storage, offset, size, stride, *unused):
    del unused
    return _Tensor(storage, offset, tuple(size), tuple(stride))


def _rebuild_parameter(data, *unused):
    del unused
    return data


_ALLOWED = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    **{("torch", name): kind for name, kind in _TYPES.items()},
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, storage_of):
        super().__init__(file)
        self._storage_of = storage_of

    def find_class(self, module, name):
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which weights do not need")
        return _ALLOWED[module, name]

    def persistent_load(self, pid):
        _, kind, key, *_ = pid
        return self._storage_of(kind, str(key))


def read(path: str) -> dict[str, np.ndarray]:
    """The arrays of a file's state dictionary, by name.

    Raises:
      UsageError: if the file is missing, no such file, damaged, or names anything but tensors.
    """
    try:
        with open(path, "rb") as file:
            found = _from_zip(file) if zipfile.is_zipfile(file) else _from_pickles(file)
        arrays = {name: tensor.array() for name, tensor in found.items()}
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    # Whatever a damaged pickle makes of the unpickler's stack.
    except Exception as error:
        raise UsageError(
            f"{path} is no PyTorch file of weights, or damaged: {error or type(error).__name__}"
        ) from error
    return arrays


def _from_zip(file: BinaryIO):
    with zipfile.ZipFile(file) as archive:
        (index,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
        folder = index.removesuffix("data.pkl")

        def storage_of(kind, key):
            return _Storage(kind, np.frombuffer(archive.read(f"{folder}data/{key}"), kind))

        with archive.open(index) as pickled:
            return _Unpickler(pickled, storage_of).load()


def _from_pickles(file: BinaryIO):
    storages: dict[str, _Storage] = {}
    file.seek(0)

    def storage_of(kind, key):
        return storages.setdefault(key, _Storage(kind))

    def load():
        return _Unpickler(file, storage_of).load()

    if load() != _MAGIC:
        raise pickle.UnpicklingError("it does not begin as PyTorch's files do")
    load()  # version of the format
    load()  # sizes of the writer's numbers
    found = load()
    for key in load():
        storage = storages[str(key)]
        (count,) = np.frombuffer(file.read(8), np.int64)
        data = file.read(int(count) * storage.kind().itemsize)
        storage.values = np.frombuffer(data, storage.kind)
    return found
