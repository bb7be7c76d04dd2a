"""Restoring whole pictures, gray or RGB, whatever planes a method works on."""

from __future__ import annotations

import numpy as np

from lossylab.data.colour import jpeg_rgb, jpeg_ycbcr
from lossylab.inference.export import tiling as pieces
from lossylab.inference.export.restorer import AT_ONCE, Restorer
from lossylab.models import sadct

SADCT = "sadct"


def restore(network: Restorer, picture: np.ndarray) -> np.ndarray:
    """Restores a picture with a network for either luma or RGB.

    Args:
      network: the loaded export.
      picture: uint8, gray [H, W, 1] or RGB [H, W, 3].

    Returns:
      uint8, the same shape. A network for luma leaves the colours as they are, one for RGB sees
      gray three times.
    """
    if network.channels == picture.shape[2]:
        return network.restore(picture)
    if network.channels == 3:
        thrice = np.repeat(picture, 3, 2)
        return np.rint(network.restore(thrice).mean(2, keepdims=True)).astype(np.uint8)
    # The plane that the file has coded, so that TNRD knows its coefficients.
    planes = jpeg_ycbcr(picture)
    luma = np.clip(np.rint(planes[..., :1]), 0, 255).astype(np.uint8)
    planes[..., :1] = network.restore(luma)
    return jpeg_rgb(planes)


def by_sadct(
    picture: np.ndarray, luminance: np.ndarray, chrominance: np.ndarray | None
) -> np.ndarray:
    """Restores a gray or RGB picture by SA-DCT, given its quantisation tables [8, 8]."""
    gray = picture.shape[2] == 1
    planes = picture
    if not gray:
        planes = np.clip(np.rint(jpeg_ycbcr(picture)), 0, 255).astype(np.uint8)

    def work(tile):
        return sadct.restore(tile, luminance, chrominance)

    restored = pieces.in_tiles(planes, work, AT_ONCE, sadct.REACH, sadct.GRID)
    return restored if gray else jpeg_rgb(restored.astype(np.float64))
