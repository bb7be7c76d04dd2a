"""LPIPS's official weights as the arrays of one file.

They are of torchvision's networks (alexnet, vgg16 or squeezenet1_1; download.pytorch.org) and the
authors' weights of channels (github.com/richzhang/PerceptualSimilarity, lpips/weights/v0.1).
"""

from __future__ import annotations

import numpy as np

from lossylab.core.errors import UsageError
from lossylab.inference.importers import torch_files
from lossylab.models.backbones.lpips import array_shapes


def convert(network: str, backbone: str, linear: str) -> dict[str, np.ndarray]:
    """The arrays of LPIPS's archive, see `models.backbones.lpips`.

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
