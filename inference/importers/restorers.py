"""Official weights of ARCNN and DnCNN-3, as their authors' MATLAB files have them, to exports.

  lossylab import arcnn_q10.mat runs/arcnn_official_q10 --quality=10
  lossylab import dncnn3.mat runs/dncnn3_official

ARCNN: github.com/hkchengrex/PyTorch-ARCNN, weights/q10.mat to q40.mat, one per quality; the file
does not say which, so --quality does. DnCNN-3: github.com/cszn/DnCNN, model/DnCNN3.mat, one for all
qualities. Nothing is trained; the exports are measured and used like those of a training.
"""

from __future__ import annotations

import pathlib

import numpy as np
import tensorflow as tf
from absl import flags

from lossylab.core import guarded
from lossylab.core.app import launch, new_flags, parse
from lossylab.core.errors import UsageError
from lossylab.core.files import make_folder
from lossylab.core.options import require
from lossylab.inference.export.restorer import save_restorer
from lossylab.inference.importers import matlab_files
from lossylab.models.arcnn import ARCNN
from lossylab.models.dncnn import DnCNN

FLAGS = new_flags()
flags.DEFINE_enum(
    "quality",
    None,
    ("10", "20", "30", "40"),
    "JPEG quality that an ARCNN file is for.",
    flag_values=FLAGS,
)
flags.DEFINE_bool("overwrite", False, "Replace an export that exists.", flag_values=FLAGS)

_LARGEST = 1e6  # no weight is near it
_ARCNN_LAYERS = ("conv1", "conv2", "conv22", "conv3")


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    arguments = parse(FLAGS, argv, __doc__)
    require(len(arguments) == 2, f"expected FILE and FOLDER, got {len(arguments)} arguments")
    source, target = arguments
    require(FLAGS.overwrite or not pathlib.Path(target).exists(), f"{target} exists: --overwrite")
    network = load(source)
    arcnn = isinstance(network, ARCNN)
    require(
        arcnn == (FLAGS.quality is not None),
        "--quality is needed: the file does not say for which it was trained"
        if arcnn
        else "--quality makes no sense: DnCNN-3 was trained for all",
    )
    make_folder(pathlib.Path(target).parent)
    quality = int(FLAGS.quality) if arcnn else None
    options = {"official": pathlib.Path(source).name, "channels": "y", "model": network.model_id}
    save_restorer(network, target, {**options, "quality": quality})


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
      arrays: weights_* [inputs, taps * taps, outputs] with the taps column by column, and
        biases_* [outputs, 1], of conv1, conv2, conv22 and conv3.

    Raises:
      KeyError, ValueError: if an array is missing or has another size.
    """
    network = ARCNN()
    for conv, name in zip(network.convs, _ARCNN_LAYERS):
        taps, _, inputs, outputs = conv.kernel.shape
        kernel = arrays[f"weights_{name}"].reshape(inputs, taps, taps, outputs)
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
        if not np.all(np.abs(values) < _LARGEST):  # NaN is not less either
            raise ValueError("its weights are no numbers that weights have")
        variable.assign(values.astype(np.float32))


if __name__ == "__main__":
    launch(main)
