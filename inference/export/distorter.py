"""Exported distortion generators.

distort(image uint8 [H, W, 3])   -> distorted uint8 [H, W, 3], of any size

Generators that see noise take it, too: noise float32 [H, W, channels], of variance 1.
"""

from __future__ import annotations

import math
import os

import numpy as np
import tensorflow as tf

from lossylab.inference.export import tiling
from lossylab.inference.export.base import Export, Served, to_uint8
from lossylab.models.unet import MULTIPLE, RECEPTIVE_FIELD_RADIUS, ResidualUNet

MAX_PIXELS = 2**23  # pixels that the network sees at once
_FILTERS = 64  # of an export that does not say how it was trained: those of the training's default


class Distorter(Export):
    """A loaded export: uint8 images in, distorted ones out.

    Attributes:
      noise_channels: of noise that the generator sees; 0 for the paper's, which sees none.
    """

    kind = "distorter"
    signatures = ("distort",)

    @classmethod
    def serve(cls, network: ResidualUNet) -> Served:
        """The function that distorts."""

        channels = network.noise_channels
        inputs = [tf.TensorSpec((None, None, 3), tf.uint8, name="image")]
        if channels:
            inputs.append(tf.TensorSpec((None, None, channels), tf.float32, name="noise"))

        @tf.function(autograph=False, input_signature=inputs)
        def distort(image: tf.Tensor, *noise: tf.Tensor) -> dict[str, tf.Tensor]:
            seen = noise[0][None] if noise else None
            distorted = network(tf.cast(image[None], tf.float32), noise=seen)
            return {"distorted": to_uint8(distorted[0])}

        return Served(network, {"distort": distort}, {"noise_channels": channels})

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
        self.noise_channels: int = self.card.get("noise_channels", 0)

    @property
    def bytes_per_pixel(self) -> int:
        """Bytes that the network takes for each pixel that it sees, a plain estimate.

        64 for images in float32, and ten maps of the first layer's size, which has its filters at
        every fourth pixel: the skip connection, what it is joined to, and both of them again.
        """
        return 64 + 10 * self.options.get("filters", _FILTERS)

    def pixels_at_once(self, height: int, width: int) -> int:
        """The most pixels of an image of this size that the network sees at once.

        Those of a tile with all that its pixels depend on, and those that the network adds up to
        multiples of 128.
        """
        sides = tiling.largest_tile(
            height, width, self._max_pixels, RECEPTIVE_FIELD_RADIUS, MULTIPLE
        )
        return math.prod(tiling.up(side, MULTIPLE) for side in sides)

    def distort(self, image: np.ndarray, seed: int = 0) -> np.ndarray:
        """Distorts an image, large ones in tiles that do not show.

        Args:
          image: uint8 [H, W, 3] of any size.
          seed: of the noise that the generator sees; of no effect on one that sees none.

        Returns:
          uint8, the same shape.
        """
        beside = {}
        if self.noise_channels:
            shape = (*image.shape[:2], self.noise_channels)
            beside["noise"] = np.random.default_rng(seed).standard_normal(shape, np.float32)

        def work(tile: np.ndarray, **seen: np.ndarray) -> np.ndarray:
            parts = {name: np.ascontiguousarray(part) for name, part in seen.items()}
            return self._only("distort", image=np.ascontiguousarray(tile), **parts).numpy()

        radius = RECEPTIVE_FIELD_RADIUS
        return tiling.in_tiles(image, work, self._max_pixels, radius, MULTIPLE, **beside)
