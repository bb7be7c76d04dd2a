"""Exported learned JPEG encoders, for images of any size.

encode(image uint8 [H, W, 3])    -> coefficients int16 [3, ceil(H / 8), ceil(W / 8), 8, 8],
                                    tables int32 [2, 8, 8]: those of a standard JPEG file
decode(coefficients, tables, height, width) -> image uint8: what a decoder shows of them
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from lossylab.core.options import require
from lossylab.data.decode import as_rgb
from lossylab.inference.codecs.jpeg_files import Contents
from lossylab.inference.export import tiling
from lossylab.inference.export.base import Export, Served
from lossylab.models.jpeg_encoder import JPEGEncoder
from lossylab.models.layers import dct

MAX_PIXELS = 2**20  # pixels that the network sees at once
# Bytes a pixel: of colors, DCT and coefficients; of three maps of a backbone's widest layer, with
# 64 channels at every pixel or, ResNet's, at every fourth; of four LSTMs with seven numbers a
# coefficient.
_CODING, _LSTMS = 128, 112
_FEATURES = {"vgg16": 768, "vgg19": 768, "resnet152": 192, "resnet152_block1": 192}


class Encoder(Export):
    """A loaded export: uint8 images in, contents of JPEG files out."""

    kind = "jpeg_encoder"
    signatures = ("decode", "encode")

    def __init__(self, path: str | os.PathLike, max_pixels: int = MAX_PIXELS) -> None:
        """Loads an export.

        Args:
          path: its folder.
          max_pixels: pixels that the network sees at once.

        Raises:
          ExportError: if `path` has no SavedModel or it is no JPEG encoder.
        """
        super().__init__(path)
        self._max_pixels = max_pixels
        self._radius: int | None = self.card["receptive_field_radius"]

    @property
    def bytes_per_pixel(self) -> int:
        """Bytes that the network takes for each pixel that it sees, a plain estimate.

        128 for coding, and with attention 768 for features of a VGG or 192 for those of
        ResNet-152, and 112 for LSTMs, all in float32; a backbone that the export does not name
        counts as a VGG.
        """
        if self._radius == 0:
            return _CODING
        lstms = _LSTMS if self._radius is None else 0
        if lstms and self.options.get("lstm_input") == "dct":
            return _CODING + lstms
        widest = max(_FEATURES.values())
        return _CODING + lstms + _FEATURES.get(self.options.get("backbone", ""), widest)

    @property
    def sees_all(self) -> bool:
        """Whether it codes images of any size at once, as LSTMs do."""
        return self._radius is None

    def pixels_at_once(self, height: int, width: int) -> int:
        """The most pixels of an image of this size that the network sees at once.

        Those of a strip with all that the attention sees around it, or the whole image.
        """
        rows, halo = self._rows(height, width)
        return width * tiling.longest(height, rows, halo)

    @classmethod
    def serve(cls, network: JPEGEncoder) -> Served:
        """The functions that code and decode."""
        blocks = (3, None, None, dct.BLOCK, dct.BLOCK)
        tables = (2, dct.BLOCK, dct.BLOCK)

        @tf.function(
            autograph=False,
            input_signature=[tf.TensorSpec((None, None, 3), tf.uint8, name="image")],
        )
        def encode(image: tf.Tensor) -> dict[str, tf.Tensor]:
            coefficients, tables = network.encode(tf.cast(image[None], tf.float32))
            # TensorFlow Lite takes no part of what has six dimensions.
            return {"coefficients": tf.squeeze(coefficients, 0), "tables": tables}

        @tf.function(
            autograph=False,
            input_signature=[
                tf.TensorSpec(blocks, tf.int16, name="coefficients"),
                tf.TensorSpec(tables, tf.int32, name="tables"),
                tf.TensorSpec((), tf.int32, name="height"),
                tf.TensorSpec((), tf.int32, name="width"),
            ],
        )
        def decode(
            coefficients: tf.Tensor, tables: tf.Tensor, height: tf.Tensor, width: tf.Tensor
        ) -> dict[str, tf.Tensor]:
            expected = tf.stack([-(-height // dct.BLOCK), -(-width // dct.BLOCK)])
            fits = tf.reduce_all(tf.equal(tf.shape(coefficients)[1:3], expected))
            legal = tf.reduce_all((tables >= 1) & (tables <= 255))
            with tf.control_dependencies(
                [
                    tf.debugging.Assert(fits, ["coefficients do not fit height and width"]),
                    tf.debugging.Assert(legal, ["entries of tables lie in 1..255"]),
                ]
            ):
                coefficients = tf.identity(coefficients)
            flat = tf.concat([(1,), tf.shape(coefficients)[:3], (dct.BLOCK**2,)], 0)
            quantized = tf.reshape(tf.cast(coefficients, tf.float32), flat)
            found = dct.dequantize(quantized, tf.cast(tables, tf.float32))
            return {"image": tf.cast(dct.image(found, height, width)[0], tf.uint8)}

        functions = {"encode": encode, "decode": decode}
        details = {"receptive_field_radius": network.receptive_field_radius}
        return Served(network, functions, details)

    @classmethod
    def shown(cls, network: JPEGEncoder, images: tf.Tensor) -> tf.Tensor:
        """The decoded images."""
        return network(images).decoded

    def encode(self, image: np.ndarray) -> Contents:
        """Codes an image, uint8 [H, W, 3], or gray [H, W, 1] as a file of one plane.

        Large images are coded in strips that overlap by all that the attention sees. LSTMs
        see everything: they code images of any size at once, as far as memory goes.

        Raises:
          UsageError: if the image has another shape or type, or no pixels.
        """
        fits = image.ndim == 3 and image.shape[-1] in (1, 3) and image.dtype == np.uint8
        require(
            fits and image.size,
            f"encode expects an image uint8 [H, W, 1 or 3], got {image.dtype} {list(image.shape)}",
        )
        height, width, channels = image.shape
        color = as_rgb(image)
        blocks = (channels, *_blocks(height, width), dct.BLOCK, dct.BLOCK)
        coefficients, tables = np.empty(blocks, np.int16), np.empty(0)
        for cut in self._strips(height, width):
            rows = slice(cut.kept.start // dct.BLOCK, -(-cut.kept.stop // dct.BLOCK))
            coded, tables = self._strip(color[cut.wide], cut)
            coefficients[:, rows] = coded[:channels]
        return Contents(coefficients, tables, height, width)

    def decode(self, contents: Contents) -> np.ndarray:
        """What decoders show of a file, but for their rounding: uint8 [H, W, 3]."""
        height, width = contents.height, contents.width
        image = np.empty((height, width, 3), np.uint8)
        rows = tiling.up(max(self._max_pixels // width, 1), dct.BLOCK)
        for cut in tiling.cuts(height, rows, 0):
            blocks = slice(cut.kept.start // dct.BLOCK, -(-cut.kept.stop // dct.BLOCK))
            part = contents.coefficients[:, blocks]
            planes = np.zeros((3, *part.shape[1:]), np.int16)
            planes[: len(part)] = part
            image[cut.kept] = self._only(
                "decode",
                coefficients=planes,
                tables=contents.tables.astype(np.int32),
                height=cut.kept.stop - cut.kept.start,
                width=width,
            )
        return image

    def _strips(self, height: int, width: int) -> Iterator[tiling.Cut]:
        return tiling.cuts(height, *self._rows(height, width))

    def _rows(self, height: int, width: int) -> tuple[int, int]:
        """Rows of pixels of a strip, and those around it that matter to it."""
        if self._radius is None or height * width <= self._max_pixels:
            return height, 0
        inner = max(self._max_pixels // width - 2 * self._radius, dct.BLOCK)
        return tiling.up(inner, dct.BLOCK), self._radius

    def _strip(self, strip: np.ndarray, cut: tiling.Cut) -> tuple[np.ndarray, np.ndarray]:
        coded = self._call("encode", image=np.ascontiguousarray(strip))
        first, last = cut.inside.start // dct.BLOCK, -(-cut.inside.stop // dct.BLOCK)
        return coded["coefficients"].numpy()[:, first:last], coded["tables"].numpy()


def _blocks(height: int, width: int) -> tuple[int, int]:
    return -(-height // dct.BLOCK), -(-width // dct.BLOCK)
