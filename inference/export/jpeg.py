"""Exported learned JPEG encoders: writing, loading, and images of any size.

Loading needs TensorFlow, but no lossylab:

  import tensorflow as tf
  model = tf.saved_model.load("runs/vgg_0.01/export").signatures
  coded = model["encode"](image=image)   # coefficients and tables of a standard JPEG file
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from lossylab.inference.codecs.jpeg_files import Contents
from lossylab.inference.export import base as saved_model
from lossylab.inference.export import tiling as tiles
from lossylab.inference.export.served_jpeg import SIGNATURES, ServedJPEG
from lossylab.models.jpeg_encoder import JPEGEncoder

MAX_PIXELS = 2**20  # pixels that the network sees at once; VGG-19 takes some 800 bytes a pixel
_BLOCK = 8


class Encoder(saved_model.Loaded):
    """A loaded export: uint8 images in, contents of JPEG files out."""

    def __init__(self, path: str, max_pixels: int = MAX_PIXELS):
        """Loads an export.

        Args:
          path: its folder.
          max_pixels: pixels that the network sees at once.

        Raises:
          ExportError: if `path` has no SavedModel or it is no JPEG encoder.
        """
        super().__init__(path, SIGNATURES, "JPEG encoder")
        self._at_once = max_pixels
        self._receptive_field_radius: int | None = self.info["receptive_field_radius"]

    def encode(self, image: np.ndarray) -> Contents:
        """Codes an image, uint8 [H, W, 3], or gray [H, W, 1] as a file of one plane.

        Large images are coded in strips that overlap by all that the attention sees. LSTMs
        see everything: they code images of any size at once, as far as memory goes.
        """
        height, width, channels = image.shape
        color = np.broadcast_to(image, (height, width, 3))
        planes = [self._call(color[cut.wide], cut) for cut in self._strips(height, width)]
        coefficients = np.concatenate([coded for coded, _ in planes], 1)
        return Contents(coefficients[:channels], planes[0][1], height, width)

    def decode(self, contents: Contents) -> np.ndarray:
        """What decoders show of a file, but for their rounding: uint8 [H, W, 3]."""
        planes = np.zeros((3, *contents.coefficients.shape[1:]), np.int16)
        planes[: len(contents.coefficients)] = contents.coefficients
        found = self._functions["decode"](
            coefficients=tf.constant(planes),
            tables=tf.constant(contents.tables.astype(np.int32)),
            height=tf.constant(contents.height),
            width=tf.constant(contents.width),
        )
        return found["image"].numpy()

    def _strips(self, height: int, width: int):
        rows = height
        if self._receptive_field_radius is not None and height * width > self._at_once:
            rows = tiles.up(
                max(self._at_once // width - 2 * self._receptive_field_radius, _BLOCK), _BLOCK
            )
        return tiles.cuts(height, rows, self._receptive_field_radius or 0)

    def _call(self, strip: np.ndarray, cut: tiles.Cut) -> tuple[np.ndarray, np.ndarray]:
        coded = self._functions["encode"](image=tf.constant(np.ascontiguousarray(strip)))
        first, last = cut.inside.start // _BLOCK, -(-cut.inside.stop // _BLOCK)
        return coded["coefficients"].numpy()[:, first:last], coded["tables"].numpy()


def save_encoder(encoder: JPEGEncoder, path: str, options: dict) -> None:
    """Writes an encoder as a SavedModel, beside first, then renamed.

    Args:
      encoder: the encoder.
      path: folder to write; an export that is there is replaced.
      options: how it was trained, JSON values.

    Raises:
      OutputError: if the folder cannot be written.
    """
    served = ServedJPEG(encoder, options)
    saved_model.write(served, served.signatures(), path)
