"""Exported distortion generators: writing and loading.

Loading needs TensorFlow, but no lossylab:

  import tensorflow as tf
  model = tf.saved_model.load("runs/jpeg/export").signatures
  worse = model["distort"](image=image)["image"]  # uint8 [H, W, 3] of any size
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from lossylab.inference.export import base as saved_model
from lossylab.inference.export.served_distorter import SIGNATURES, ServedDistorter
from lossylab.models.unet import ResidualUNet


class Distorter(saved_model.Loaded):
    """A loaded export: uint8 images in, distorted ones out."""

    def __init__(self, path: str):
        """Loads an export; raises ExportError if `path` is no distorter's."""
        super().__init__(path, SIGNATURES, "distorter")

    def distort(self, image: np.ndarray) -> np.ndarray:
        """Distorts an image, uint8 [H, W, 3] of any size; the same image in the same way."""
        made = self._functions["distort"](image=tf.constant(image))
        return made["image"].numpy()


def save_distorter(generator: ResidualUNet, path: str, options: dict) -> None:
    """Writes a generator as a SavedModel, beside first, then renamed.

    Args:
      generator: the network.
      path: folder to write; an export that is there is replaced.
      options: how it was trained, JSON values.

    Raises:
      OutputError: if the folder cannot be written.
    """
    served = ServedDistorter(generator, options)
    saved_model.write(served, served.signatures(), path)
