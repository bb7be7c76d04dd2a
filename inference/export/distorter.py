"""Exported distortion generators.

distort(image uint8 [H, W, 3])   -> distorted uint8 [H, W, 3], of any size
"""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf

from lossylab.inference.export import tiling
from lossylab.inference.export.base import Export, Served
from lossylab.models.unet import MULTIPLE, RECEPTIVE_FIELD_RADIUS, ResidualUNet

MAX_PIXELS = 2**23  # pixels that the network sees at once


class Distorter(Export):
    """A loaded export: uint8 images in, distorted ones out."""

    kind = "distorter"
    signatures = ("distort",)

    @classmethod
    def serve(cls, network: ResidualUNet) -> Served:
        """The function that distorts."""

        @tf.function(
            autograph=False,
            input_signature=[tf.TensorSpec((None, None, 3), tf.uint8, name="image")],
        )
        def distort(image: tf.Tensor) -> dict[str, tf.Tensor]:
            distorted = network(tf.cast(image[None], tf.float32))
            return {"distorted": tf.saturate_cast(tf.round(distorted[0]), tf.uint8)}

        return Served(network, {"distort": distort})

    def __init__(self, path: str | os.PathLike, max_pixels: int = MAX_PIXELS) -> None:
        """Loads an export.

        Args:
          path: its folder.
          max_pixels: pixels that the network sees at once.

        Raises:
          ExportError: if `path` has no SavedModel or it is no distorter.
        """
        super().__init__(path)
        self._max_pixels = max_pixels

    def distort(self, image: np.ndarray) -> np.ndarray:
        """Distorts an image, uint8 [H, W, 3] of any size, large ones in tiles that do not show."""

        def work(tile: np.ndarray) -> np.ndarray:
            return self._only("distort", image=np.ascontiguousarray(tile)).numpy()

        radius = RECEPTIVE_FIELD_RADIUS
        return tiling.in_tiles(image, work, self._max_pixels, radius, MULTIPLE)
