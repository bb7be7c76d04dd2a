"""Restoring whole images, gray or RGB, whatever planes a method works on."""

from __future__ import annotations

import numpy as np

from lossylab.data.color import jpeg_rgb, jpeg_ycbcr
from lossylab.inference.export import tiling
from lossylab.inference.export.restorer import MAX_PIXELS, Restorer
from lossylab.models import sadct

SADCT = "sadct"


def restore(network: Restorer, image: np.ndarray) -> np.ndarray:
    """Restores an image with a network for either luma or RGB.

    Args:
      network: the loaded export.
      image: uint8, gray [H, W, 1] or RGB [H, W, 3].

    Returns:
      uint8, the same shape. A network for luma leaves the colors as they are, one for RGB sees
      gray three times.
    """
    if network.channels == image.shape[2]:
        return network.restore(image)
    if network.channels == 3:
        thrice = np.repeat(image, 3, 2)
        return np.rint(network.restore(thrice).mean(2, keepdims=True)).astype(np.uint8)
    # The plane that the file has coded, so that TNRD knows its coefficients.
    planes = jpeg_ycbcr(image)
    luma = np.clip(np.rint(planes[..., :1]), 0, 255).astype(np.uint8)
    planes[..., :1] = network.restore(luma)
    return jpeg_rgb(planes)


def by_sadct(
    image: np.ndarray, luminance: np.ndarray, chrominance: np.ndarray | None
) -> np.ndarray:
    """Restores a gray or RGB image by SA-DCT, given its quantization tables [8, 8]."""
    gray = image.shape[2] == 1
    planes = image
    if not gray:
        planes = np.clip(np.rint(jpeg_ycbcr(image)), 0, 255).astype(np.uint8)

    def work(tile):
        return sadct.restore(tile, luminance, chrominance)

    restored = tiling.in_tiles(planes, work, MAX_PIXELS, sadct.RECEPTIVE_FIELD_RADIUS, sadct.GRID)
    return restored if gray else jpeg_rgb(restored.astype(np.float64))
