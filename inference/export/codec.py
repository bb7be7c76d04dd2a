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
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_compression  # noqa: F401 - registers the range coder's operations

from lossylab.inference.export.base import Export, Served
from lossylab.inference.export.entropy import FactorizedCoder, HyperpriorCoder
from lossylab.inference.export.graph_tiles import Span, in_tiles
from lossylab.inference.export.range_coding import demanded
from lossylab.models.bls2017 import BLS2017, STRIDE
from lossylab.models.bmshj2018 import BMSHJ2018
from lossylab.models.layers.base import Layer
from lossylab.models.layers.conv import Chain, SignalConv
from lossylab.models.layers.gdn import GDN

log = logging.getLogger("lossylab")

# Raised when the same weights would code or decode otherwise than before.
REVISION = 1

_IMAGE = tf.TensorSpec((None, None, 3), tf.uint8, name="image")
_NUMBER = tf.TensorSpec((), tf.int32)
# Samples of the latent that transforms see around each: less than 32 pixels.
_HALO = 2


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
        """Loads an export; raises ExportError if `path` is no codec's."""
        super().__init__(path)
        self.max_pixels: int = self.card.get("max_pixels", BLS2017.max_pixels)
        self._ends: bool = self.card.get("ends", False)

    @classmethod
    def serve(cls, network: BLS2017 | BMSHJ2018) -> Served:
        """The functions of a frozen copy; building the tables takes seconds."""
        served = ServedCodec(network)
        functions = {name: getattr(served, name) for name in cls.signatures}
        details = {
            "max_pixels": network.max_pixels,
            "filters": network.filters,
            "ends": True,  # decoding does, whatever the string is: not so before 0.2.0
        }
        return Served(served, functions, details)

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


class _Fixed(tf.Module):
    """A parameter that is stored as it is used."""

    def __init__(self, value: tf.Tensor, name: str) -> None:
        super().__init__(name=name)
        self.value = tf.Variable(value, trainable=False, name=name)

    def __call__(self) -> tf.Tensor:
        return self.value.read_value()


class ServedCodec(tf.Module):
    """A codec as it is stored: compresses and decompresses single images of any size."""

    def __init__(self, codec: BLS2017 | BMSHJ2018) -> None:
        """Copies a trained codec, which is left as it is; building the tables takes seconds."""
        super().__init__(name="served")
        self._codec = _frozen(codec)
        self._positions = codec.tile_pixels // STRIDE**2
        if isinstance(codec, BMSHJ2018):
            self._coder = HyperpriorCoder(self._codec)
            self._codec.hyper_synthesis_transform = (
                None  # the coder has an exact one; do not store both
            )
        else:
            self._coder = FactorizedCoder(self._codec.prior)

    @tf.function(autograph=False, input_signature=[_IMAGE])
    def compress(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Image to bit string, and the string's estimated length in bits."""
        string, bits = self._coder.encode(self._latent(image))
        return {"string": string, "bits": bits}

    @tf.function(
        autograph=False,
        input_signature=[tf.TensorSpec((), tf.string, name="string"), _NUMBER, _NUMBER],
    )
    def decompress(
        self, string: tf.Tensor, height: tf.Tensor, width: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Bit string and true size to image."""
        with _within(self._codec, height, width):
            string = tf.identity(string)
        latent = self._coder.decode(string, *_latent_size(height, width))
        return {"reconstruction": self._image(latent, height, width)}

    @tf.function(autograph=False, input_signature=[_IMAGE])
    def reconstruct(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """What decompressing the compressed image gives, without the range coder."""
        latent, bits = self._coder.quantize(self._latent(image))
        height, width = tf.unstack(tf.shape(image)[:2])
        return {"reconstruction": self._image(latent, height, width), "bits": bits}

    def _latent(self, image: tf.Tensor) -> tf.Tensor:
        size = tf.unstack(tf.shape(image)[:2])
        with _within(self._codec, *size):
            image = tf.identity(image)

        def work(rows: Span, columns: Span) -> tf.Tensor:
            part = image[rows.wide(STRIDE), columns.wide(STRIDE)]
            latent = self._codec.analysis(tf.cast(part[None], tf.float32))[0]
            return latent[rows.inside(), columns.inside()]

        spec = tf.TensorSpec((None, None, self._codec.filters), tf.float32)
        return in_tiles(work, _latent_size(*size), self._positions, _HALO, spec)[None]

    def _image(self, latent: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
        def work(rows: Span, columns: Span) -> tf.Tensor:
            part = latent[:, rows.wide(), columns.wide()]
            image = self._codec.synthesis(part)[0, rows.inside(STRIDE), columns.inside(STRIDE)]
            return tf.saturate_cast(tf.round(image), tf.uint8)

        spec = tf.TensorSpec((None, None, 3), tf.uint8)
        size = _latent_size(height, width)
        return in_tiles(work, size, self._positions, _HALO, spec, STRIDE)[:height, :width]


def _latent_size(height: tf.Tensor, width: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return -(-height // STRIDE), -(-width // STRIDE)


def _within(
    codec: BLS2017 | BMSHJ2018, height: tf.Tensor, width: tf.Tensor
) -> tf.control_dependencies:
    """A context in which the codec takes images of this size."""
    rows, columns = (STRIDE * tf.cast(n, tf.int64) for n in _latent_size(height, width))
    some = tf.logical_and(height > 0, width > 0)
    fits = tf.logical_and(some, rows <= codec.max_pixels // tf.maximum(columns, 1))
    return demanded(fits, f"expected an image of 1 to {codec.max_pixels} pixels")


def _frozen(codec: BLS2017 | BMSHJ2018) -> BLS2017 | BMSHJ2018:
    """A copy whose kernels and GDN parameters are stored as they are used."""
    copy = type(codec)(codec.filters)
    for mine, theirs in zip(copy.prior.trainable_variables, codec.prior.trainable_variables):
        mine.assign(theirs)
    for part, chain in vars(codec).items():
        if isinstance(chain, Chain):
            for mine, theirs in zip(getattr(copy, part).layers, chain.layers):
                _freeze(mine, theirs)
    return copy


def _freeze(mine: Layer, theirs: Any) -> None:
    if isinstance(theirs, GDN):
        mine.exchange("beta", _Fixed(theirs.beta(), "beta"))
        mine.exchange("gamma", _Fixed(theirs.gamma(), "gamma"))
    elif isinstance(theirs, SignalConv):
        mine.exchange("kernel", _Fixed(theirs.kernel(), "kernel"))
        if theirs.bias is not None:
            mine.bias.assign(theirs.bias)
