"""LPIPS's official weights to the one file that --lpips takes.

  lossylab import lpips alexnet-owt-7be5be79.pth alex.pth alex.npz --network=alex

The first file is torchvision's network (alexnet, vgg16 or squeezenet1_1; download.pytorch.org),
the second the authors' weights of channels (github.com/richzhang/PerceptualSimilarity,
lpips/weights/v0.1). PyTorch is not needed, and nothing in the files is run.
"""

from __future__ import annotations

import os

import numpy as np
from absl import flags

from lossylab.core.app import launch, new_flags, parse
from lossylab.core.errors import UsageError
from lossylab.core.files import replacing
from lossylab.core.options import require
from lossylab.inference.importers import torch_files
from lossylab.models.backbones.lpips import NETWORKS, array_shapes

FLAGS = new_flags()
flags.DEFINE_enum("network", "alex", NETWORKS, "Which network it is.", flag_values=FLAGS)
flags.DEFINE_bool("overwrite", False, "Replace a file that exists.", flag_values=FLAGS)


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    arguments = parse(FLAGS, argv, __doc__)
    require(
        len(arguments) == 3,
        f"expected two files and the output, got {len(arguments)} arguments",
    )
    *sources, target = arguments
    require(target.endswith(".npz"), f"the output '{target}' must end in .npz")
    require(FLAGS.overwrite or not os.path.exists(target), f"{target} exists: --overwrite")
    arrays = convert(FLAGS.network, *sources)
    with replacing(target) as temporary:
        np.savez(temporary, **arrays)


def convert(network: str, backbone: str, linear: str) -> dict[str, np.ndarray]:
    """The arrays of LPIPS's archive, see `models.lpips_features`.

    Args:
      network: 'alex', 'vgg' or 'squeeze'.
      backbone: torchvision's file.
      linear: the authors' file.

    Raises:
      UsageError: if a file cannot be read or is not of this network.
    """
    found = torch_files.read(backbone)
    for name, array in torch_files.read(linear).items():
        found[name.replace(".model.1.", ".")] = array
    arrays = {}
    for name, shape in array_shapes(network).items():
        source = linear if name.startswith("lin") else backbone
        if name not in found or found[name].size != np.prod(shape):
            raise UsageError(f"{source} has no '{name}' of {list(shape)}: is it for {network}?")
        arrays[name] = found[name].reshape(shape).astype(np.float32)
    return arrays


if __name__ == "__main__":
    launch(main)
