"""Restoring whole images by SA-DCT, which has no export."""

from __future__ import annotations

import numpy as np

from lossylab.data.jpeg import Coding
from lossylab.inference.export import tiling
from lossylab.inference.export.planes import by_planes
from lossylab.inference.export.restorer import MAX_PIXELS
from lossylab.models import sadct

SADCT = "sadct"


def by_sadct(image: np.ndarray, coding: Coding) -> np.ndarray:
    """Restores an image, uint8, gray [H, W, 1] or RGB [H, W, 3], given how its file was coded."""

    def work(planes: np.ndarray, which: slice) -> np.ndarray:
        def restore(tile: np.ndarray) -> np.ndarray:
            return sadct.restore(tile, coding.tables[which], coding.areas[which])

        radius = sadct.RECEPTIVE_FIELD_RADIUS
        return tiling.in_tiles(planes, restore, MAX_PIXELS, radius, sadct.GRID)

    return by_planes(work, image, coding)
