"""NumPy archives of foreign weights: read as data, within limits."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Mapping

import numpy as np

_MOST_BYTES = 2**30  # of arrays in a file: those of VGG-19 take 80 MB


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by their names, as float32.

    Raises:
      ValueError: if it is missing, damaged, or its arrays are too large or no numbers.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > _MOST_BYTES:
                raise ValueError("its arrays are too large")
        with np.load(path) as file:
            return {name: file[name].astype(np.float32) for name in file.files}
    # NumPy and zipfile raise all kinds for damaged files.
    except Exception as error:
        raise ValueError(str(error) or type(error).__name__) from error


def require_arrays(
    arrays: Mapping[str, np.ndarray], shapes: Mapping[str, Iterable[int]], of: str
) -> None:
    """Raises ValueError unless the arrays of these names have these shapes and are finite.

    Args:
      arrays: by name.
      shapes: of those that are needed.
      of: what the arrays are, for the message.
    """
    for name, shape in shapes.items():
        if name not in arrays:
            raise ValueError(f"{of} lack '{name}'")
        if arrays[name].shape != tuple(shape):
            found, wanted = list(arrays[name].shape), list(shape)
            raise ValueError(f"{of}: '{name}' is {found}, expected {wanted}")
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{of}: '{name}' has values that are not finite")
