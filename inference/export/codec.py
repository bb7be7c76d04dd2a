"""Writing a trained codec as a SavedModel, and loading one safely.

Loading needs TensorFlow and tensorflow-compression, but no lossylab:

  import tensorflow as tf, tensorflow_compression
  model = tf.saved_model.load("runs/vmaf/export").signatures
  string = model["compress"](image=image)["string"]
"""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import tensorflow as tf
import tensorflow_compression  # noqa: F401 - registers the range coder's operations

from lossylab.inference.export import base as saved_model
from lossylab.inference.export.serving import SIGNATURES, ServedCodec
from lossylab.models.bls2017 import BLS2017
from lossylab.models.bmshj2018 import BMSHJ2018


@dataclasses.dataclass(frozen=True)
class Encoded:
    """A coded image: its bits and the true size.

    Attributes:
      string: the range coder's output.
      height: of the image in pixels.
      width: of the image in pixels.
      bits: estimated length of `string` in bits.
    """

    string: bytes
    height: int
    width: int
    bits: float = float("nan")


class Codec:
    """A loaded export: arrays in, arrays out."""

    def __init__(self, path: str):
        """Loads an export.

        Raises:
          ExportError: if `path` has no SavedModel or lacks a signature.
        """
        self.path = path
        self._functions = saved_model.load(path, SIGNATURES, "codec")
        info = json.loads(self._functions["describe"]()["info"].numpy())
        self.model_id: str = info["model"]
        self.weights: str = info["weights"]
        self.options: dict = info["options"]
        self.max_pixels: int = info.get("max_pixels", BLS2017.max_pixels)

    def compress(self, image: np.ndarray) -> Encoded:
        """Codes an image, uint8 [H, W, 3]."""
        out = self._functions["compress"](image=tf.constant(image))
        height, width = image.shape[:2]
        return Encoded(out["string"].numpy(), height, width, float(out["bits"]))

    def decompress(self, encoded: Encoded) -> np.ndarray:
        """The image, uint8 [height, width, 3].

        Raises:
          tf.errors.OpError: if the string does not fit the model.
        """
        out = self._functions["decompress"](
            string=tf.constant(encoded.string),
            height=tf.constant(encoded.height),
            width=tf.constant(encoded.width),
        )
        return out["image"].numpy()

    def reconstruct(self, image: np.ndarray) -> tuple[np.ndarray, float]:
        """What decoding would give, and the estimated bits."""
        out = self._functions["reconstruct"](image=tf.constant(image))
        return out["image"].numpy(), float(out["bits"])


def save_codec(codec: BLS2017 | BMSHJ2018, path: str, options: dict) -> None:
    """Freezes a codec and writes it as a SavedModel, beside first, then renamed.

    Args:
      codec: the trained model.
      path: folder to write; an export that is there is replaced.
      options: how it was trained, JSON values.

    Raises:
      OutputError: if the folder cannot be written.
    """
    served = ServedCodec(codec, options)
    saved_model.write(served, served.signatures(), path)
