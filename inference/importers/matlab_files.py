"""Arrays of MATLAB files, both formats; run by `core.guarded`, since both libraries may crash."""

from __future__ import annotations

from typing import Any, cast

import h5py
import numpy as np
import scipy.io


def matrices(path: str) -> dict[str, np.ndarray]:
    """The matrices of numbers of a file before MATLAB 7.3, by name."""
    found = scipy.io.loadmat(path)
    return {k: v for k, v in found.items() if isinstance(v, np.ndarray) and v.dtype.kind in "fiu"}


def matconvnet(path: str) -> dict[str, np.ndarray]:
    """Kernels and biases of a MatConvNet structure `net` in a file of MATLAB 7.3.

    Returns:
      'kernel0', 'bias0', ... of the layers with weights, in order, with axes in reverse.
    """
    found = {}
    with h5py.File(path, "r") as file:
        file = cast("Any", file)
        layers = [file[reference] for reference in np.ravel(file["net/layers"])]
        convs = [layer for layer in layers if "weights" in layer]
        for index, layer in enumerate(convs):
            kernel, bias = (file[reference][()] for reference in np.ravel(layer["weights"]))
            found |= {f"kernel{index}": kernel, f"bias{index}": bias}
    return found


def is_hdf5(path: str) -> bool:
    """Whether a file is of MATLAB 7.3, by its signature alone."""
    with open(path, "rb") as file:
        data = file.read(2048)
    signature = b"\x89HDF\r\n\x1a\n"
    return any(data[offset : offset + 8] == signature for offset in (0, 512, 1024))
