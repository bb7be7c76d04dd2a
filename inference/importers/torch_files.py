"""Arrays of PyTorch weight files (.pth), without PyTorch and without running what is in them.

Both kinds are read: the zip archives that torch.save writes since 1.6, and the older plain pickles.
Their pickles are read as data (`strict_pickle`): they may only name tensors, storages and ordered
dictionaries, and nothing is called.
"""

from __future__ import annotations

import math
import sys
import zipfile
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any, BinaryIO, cast

import numpy as np

from lossylab.inference.importers import strict_pickle
from lossylab.inference.importers.strict_pickle import ForeignNameError, Global, Object

# What to say of files of other kinds.
_SAVE = "save its state_dict() by torch.save instead"
_NETWORKS = "it is a network of StyleGAN's: `lossylab import stylegan` reads those of TensorFlow"
_SCRIPT = f"it is a TorchScript archive, which is a program; load it in PyTorch and {_SAVE}"
_NUMPY = "it is an archive of NumPy's, not of PyTorch's"
_SAFETENSORS = f"it is a file of safetensors; load it in PyTorch and {_SAVE}"
_MODULE = f"it has a whole module, whose class is a program; load it in PyTorch and {_SAVE}"
_MAGIC = 0x1950A86A20F9469CFC6C
_TYPES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ByteStorage": np.uint8,
}
_ORDERED = Global("collections", "OrderedDict")
_TENSOR = (
    Global("torch._utils", "_rebuild_tensor"),
    Global("torch._utils", "_rebuild_tensor_v2"),
)
_PARAMETER = Global("torch._utils", "_rebuild_parameter")
_ALLOWED = frozenset(
    (each.module, each.name)
    for each in (_ORDERED, *_TENSOR, _PARAMETER, *(Global("torch", name) for name in _TYPES))
)
_Storages = Callable[[Any, str], np.ndarray]


def read(path: str) -> dict[str, np.ndarray]:
    """The arrays of a file's state dictionary, by name.

    Raises:
      UsageError: if the file is missing, no such file, damaged, or names anything but tensors.
    """
    return strict_pickle.read_file(path, "PyTorch file of weights", _arrays_of)


def _arrays_of(file: BinaryIO, size: int) -> dict[str, np.ndarray]:
    read_kind = _from_zip if zipfile.is_zipfile(file) else _from_pickles
    file.seek(0)
    return read_kind(file, size)


def _from_zip(file: BinaryIO, size: int) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(file) as archive:
        members = {each.filename: each for each in archive.infolist()}
        if any(name.endswith("/constants.pkl") for name in members):
            raise UnpicklingError(_SCRIPT)
        if members and all(name.endswith(".npy") for name in members):
            raise UnpicklingError(_NUMPY)
        if any(each.compress_type != zipfile.ZIP_STORED for each in members.values()):
            raise UnpicklingError(
                "something in the archive is compressed, which PyTorch does not do"
            )
        if sum(each.file_size for each in members.values()) > size:
            raise UnpicklingError("the archive claims more than the file has")
        (index,) = (name for name in members if name.endswith("data.pkl"))
        folder = index.removesuffix("data.pkl")

        def storage_of(kind: Any, key: str) -> np.ndarray:
            return np.frombuffer(archive.read(f"{folder}data/{key}"), _dtype(kind))

        with archive.open(index) as pickled:
            found = _load(cast("BinaryIO", pickled), members[index].file_size)
        return _arrays(found, storage_of, size)


def _from_pickles(file: BinaryIO, size: int) -> dict[str, np.ndarray]:
    if file.read(10)[8:] == b'{"':
        raise UnpicklingError(_SAFETENSORS)
    file.seek(0)

    def load() -> Any:
        return _load(file, size - file.tell())

    if load() != _MAGIC:
        raise UnpicklingError("it does not begin as PyTorch's files do")
    load()  # version of the format
    load()  # sizes of the writer's numbers
    found, keys = load(), load()
    kinds = {str(key): kind for _, kind, key in map(_identifier, _tensors(found).values())}
    storages = {}
    for key in map(str, keys):
        (count,) = np.frombuffer(file.read(8), np.int64)
        dtype = _dtype(kinds[key])
        storages[key] = np.frombuffer(_exactly(file, int(count) * dtype.itemsize, size), dtype)
    return _arrays(found, lambda kind, key: storages[key], size)


def _load(file: BinaryIO, size: int) -> Any:
    try:
        return strict_pickle.load(file, size, _ALLOWED, "weights")
    except ForeignNameError as error:
        package = error.module.split(".")[0]
        if package in ("dnnlib", "torch_utils"):
            raise UnpicklingError(_NETWORKS) from error
        known = package == "torch" or package in sys.stdlib_module_names or package == "posix"
        if error.module.startswith("torch.nn") or not known:
            raise UnpicklingError(f"{error}: {_MODULE}") from error
        raise


def _exactly(file: BinaryIO, count: int, size: int) -> bytes:
    if not 0 <= count <= size - file.tell():
        raise UnpicklingError("it ends too early")
    return file.read(count)


def _arrays(found: Any, storage_of: _Storages, size: int) -> dict[str, np.ndarray]:
    """The tensors' numbers, which take at most the memory that the file has bytes."""
    arrays, left = {}, size
    for name, tensor in _tensors(found).items():
        _, kind, key = _identifier(tensor)
        values = storage_of(kind, str(key))
        array = _strided(values, *tensor.arguments[1:4])
        left -= array.nbytes
        if left < 0:
            raise UnpicklingError("its tensors are larger than the file")
        arrays[name] = array.copy()
    return arrays


def _strided(values: np.ndarray, offset: Any, sizes: Any, strides: Any) -> np.ndarray:
    whole = isinstance(sizes, tuple) and isinstance(strides, tuple) and len(sizes) == len(strides)
    if not whole or not all(isinstance(n, int) and n >= 0 for n in (offset, *sizes, *strides)):
        raise UnpicklingError("a tensor has no sizes")
    last = offset + sum((n - 1) * step for n, step in zip(sizes, strides))
    if math.prod(sizes) and (last >= values.size or math.prod(sizes) > values.size):
        raise UnpicklingError("a tensor reaches outside its storage")
    steps = [step * values.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(values[offset:], sizes, steps, writeable=False)


def _tensors(found: Any) -> dict[str, Object]:
    """The tensors of a state dictionary, parameters as such."""
    items = found.items if isinstance(found, Object) and found.kind == _ORDERED else found
    if not isinstance(items, dict):
        raise UnpicklingError("it has no dictionary of tensors")
    tensors = {}
    for name, held in items.items():
        if isinstance(held, Object) and held.kind == _PARAMETER and held.arguments:
            held = held.arguments[0]
        if not isinstance(name, str) or not isinstance(held, Object) or held.kind not in _TENSOR:
            raise UnpicklingError(f"'{name!s:.80}' is no tensor")
        tensors[name] = held
    return tensors


def _identifier(tensor: Object) -> tuple[Any, Any, Any]:
    """Of a tensor's storage: 'storage', its type and its key."""
    storage = tensor.arguments[0] if len(tensor.arguments) >= 4 else None
    if not isinstance(storage, Object) or storage.kind is not None or len(storage.arguments) < 3:
        raise UnpicklingError("a tensor has no storage")
    return storage.arguments[:3]


def _dtype(kind: Any) -> np.dtype:
    if not isinstance(kind, Global) or kind.name not in _TYPES:
        raise UnpicklingError("a storage has no type")
    return np.dtype(_TYPES[kind.name])
