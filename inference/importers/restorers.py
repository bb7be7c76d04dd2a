"""Official weights of ARCNN and DnCNN-3, as their authors' MATLAB files have them, to exports.

ARCNN: github.com/hkchengrex/PyTorch-ARCNN, weights/q10.mat to q40.mat, one per quality. DnCNN-3:
github.com/cszn/DnCNN, model/DnCNN3.mat, one for all qualities.
"""

from __future__ import annotations

import pathlib

import numpy as np
import tensorflow as tf

from lossylab.core import guarded
from lossylab.core.errors import UsageError
from lossylab.core.files import make_folder
from lossylab.core.options import require
from lossylab.inference.export.restorer import Restorer
from lossylab.inference.importers import matlab_files
from lossylab.models.arcnn import ARCNN
from lossylab.models.dncnn import DnCNN

_LARGEST = 1e6  # no weight is near it
_ARCNN_LAYERS = ("conv1", "conv2", "conv22", "conv3")


def convert(
    source: str, target: str, quality: int | None = None, precision: str = "float32"
) -> None:
    """Writes the export of a file's network.

    Args:
      source: a MATLAB file of ARCNN or DnCNN-3.
      target: folder of the export.
      quality: JPEG quality that an ARCNN file is for; None for DnCNN-3.
      precision: what the export computes in, float32 or bfloat16.

    Raises:
      UsageError: if the file is missing, damaged, or neither of them, or the quality is needed or
        makes no sense.
      OutputError, ExportError: if the export cannot be written, see `Export.save`.
    """
    network = load(source)
    is_arcnn = isinstance(network, ARCNN)
    require(
        is_arcnn == (quality is not None),
        "`quality` is needed: the file does not say for which it was trained"
        if is_arcnn
        else "`quality` makes no sense: DnCNN-3 was trained for all",
    )
    make_folder(pathlib.Path(target).parent)
    options = {"official": pathlib.Path(source).name, "channels": "y", "model": network.model_id}
    Restorer.save(network, target, {**options, "quality": quality}, precision)


def load(path: str) -> ARCNN | DnCNN:
    """The network with a file's weights.

    Args:
      path: a MATLAB file of ARCNN or DnCNN-3.

    Raises:
      UsageError: if the file is missing, damaged, or neither of them.
    """
    require(pathlib.Path(path).is_file(), f"{path}: no such file")
    try:
        if matlab_files.is_hdf5(path):
            return dncnn3(guarded.arrays(f"{matlab_files.__name__}:matconvnet", path))
        return arcnn(guarded.arrays(f"{matlab_files.__name__}:matrices", path))
    except (KeyError, ValueError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise UsageError(
            f"{path}: neither ARCNN's nor DnCNN-3's weights, or damaged: {reason}"
        ) from error


def arcnn(arrays: dict[str, np.ndarray]) -> ARCNN:
    """ARCNN from the arrays of its file.

    Args:
      arrays: weights_* [inputs, size * size, outputs] with kernels column by column, and
        biases_* [outputs, 1], of conv1, conv2, conv22 and conv3.

    Raises:
      KeyError, ValueError: if an array is missing or has another size.
    """
    network = ARCNN()
    for conv, name in zip(network.convs, _ARCNN_LAYERS):
        size, _, inputs, outputs = conv.kernel.shape
        kernel = arrays[f"weights_{name}"].reshape(inputs, size, size, outputs)
        _assign(conv, kernel.transpose(2, 1, 0, 3), arrays[f"biases_{name}"])
    return network


def dncnn3(arrays: dict[str, np.ndarray]) -> DnCNN:
    """DnCNN-3 from the arrays of its MATLAB 7.3 file, see `matlab_files.matconvnet`.

    Raises:
      KeyError, ValueError: if it has other layers.
    """
    network = DnCNN(layers=20, batch_normalization=False)
    if len(arrays) != 2 * len(network.convs):
        raise ValueError(f"{len(arrays) // 2} convolutions instead of {len(network.convs)}")
    for index, conv in enumerate(network.convs):
        kernel, bias = arrays[f"kernel{index}"], arrays[f"bias{index}"]
        # HDF5 shows MATLAB's axes in reverse, and MATLAB drops a last one of length 1.
        kernel = kernel.reshape(conv.kernel.shape[::-1]).transpose(3, 2, 1, 0)
        _assign(conv, kernel, bias)
    return network


def _assign(conv: tf.Module, kernel: np.ndarray, bias: np.ndarray) -> None:
    for variable, values in ((conv.kernel, kernel), (conv.bias, np.ravel(bias))):
        numbers = values.dtype.kind in "fiu"
        if not numbers or not np.all(np.abs(values) < _LARGEST):  # NaN is not less either
            raise ValueError("its weights are no numbers that weights have")
        variable.assign(values.astype(np.float32))
