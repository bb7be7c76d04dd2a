"""Exported codecs: kernels computed, range-coding tables built; arrays in, arrays out.

  compress(image uint8 [H, W, 3])      -> string, bits
  decompress(string, height, width)    -> reconstruction uint8 [height, width, 3]
  reconstruct(image uint8 [H, W, 3])   -> reconstruction uint8 [H, W, 3], bits

`bits` is the information of the quantized latent under the learned density; the length of
`string` in bits is what coding it really took. Loading needs tensorflow-compression:

  import tensorflow as tf, tensorflow_compression
  model = tf.saved_model.load("runs/vmaf/export").signatures
  string = model["compress"](image=image)["string"]
"""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from lossylab.inference.export import range_coding
from lossylab.inference.export.base import Export, Served

if TYPE_CHECKING:
    from lossylab.models.bls2017 import BLS2017
    from lossylab.models.bmshj2018 import BMSHJ2018

log = logging.getLogger("lossylab")

# Raised when the same weights would code or decode otherwise than before.
REVISION = 1

STRIDE = 16  # pixels of the image per latent sample, each way, of both codecs
_OLD_MAX_PIXELS = 2**26  # of cards that do not say it


@dataclasses.dataclass(frozen=True)
class Encoded:
    """A coded image: its bits and the true size.

    Attributes:
      string: the range coder's output.
      height: of the image in pixels.
      width: of the image in pixels.
      bits: estimated length of `string` in bits.
      gray: whether the image was gray: its file says so.
    """

    string: bytes
    height: int
    width: int
    bits: float = float("nan")
    gray: bool = False


class Codec(Export):
    """A loaded export: images in, bit strings out, and back.

    Attributes:
      max_pixels: of the largest image that it takes.
    """

    kind = "codec"
    signatures = ("compress", "decompress", "reconstruct")
    packages = ("lossylab", "tensorflow", "tensorflow-compression")

    def __init__(self, path: str | os.PathLike) -> None:
        """Loads an export; raises ExportError if `path` is no codec's, WorkError without tfc."""
        range_coding.operations()  # a SavedModel with unknown operations cannot be loaded
        super().__init__(path)
        self.max_pixels: int = self.card.get("max_pixels", _OLD_MAX_PIXELS)
        self._ends: bool = self.card.get("ends", False)

    @classmethod
    def serve(cls, network: BLS2017 | BMSHJ2018) -> Served:
        """The functions of a frozen copy; building the tables takes seconds."""
        return cls.serve_with(network, {})

    @classmethod
    def serve_with(cls, network: BLS2017 | BMSHJ2018, tables: Mapping[str, np.ndarray]) -> Served:
        """The same with tables that are known."""
        # Imported here: TensorFlow Probability takes half as long to load as TensorFlow.
        from lossylab.inference.export.served_codec import ServedCodec

        served = ServedCodec(network, tables or None)
        functions = {name: getattr(served, name) for name in cls.signatures}
        details = {
            "max_pixels": network.max_pixels,
            "filters": network.filters,
            "latent_filters": network.latent_filters,
            "ends": True,  # decoding does, whatever the string is: not so before 0.2.0
        }
        return Served(served, functions, details, served.tables)

    @classmethod
    def shown(cls, network: BLS2017 | BMSHJ2018, images: tf.Tensor) -> tf.Tensor:
        """The decoded images."""
        from lossylab.inference.export.served_codec import decoded

        return decoded(network, images)

    def compress(self, image: np.ndarray) -> Encoded:
        """Codes an image, uint8 [H, W, 3]; `container.compress` makes a file of it."""
        out = self._call("compress", image=image)
        height, width = image.shape[:2]
        return Encoded(out["string"].numpy(), height, width, float(out["bits"]))

    def decompress(self, encoded: Encoded) -> np.ndarray:
        """The image, uint8 [height, width, 3].

        Raises:
          tf.errors.OpError: if the string does not fit the model.
        """
        if not self._ends:
            log.warning(
                "%s was made by lossylab 0.1, which a forged file can keep decoding for ever: "
                "export the model again to decode files of people whom you do not trust",
                self.path,
            )
            self._ends = True
        size = {"height": encoded.height, "width": encoded.width}
        return self._only("decompress", string=encoded.string, **size).numpy()

    def reconstruct(self, image: np.ndarray) -> tuple[np.ndarray, float]:
        """What decoding would give, uint8 [H, W, 3], and the estimated bits."""
        out = dict(self._call("reconstruct", image=image))
        bits = float(out.pop("bits"))
        (reconstruction,) = out.values()
        return reconstruction.numpy(), bits
