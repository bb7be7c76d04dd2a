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

from lossylab.data.decode import as_rgb
from lossylab.inference.codecs.jpeg_files import Contents
from lossylab.inference.export import tiling
from lossylab.inference.export.base import Export, Served
from lossylab.models.jpeg_encoder import JPEGEncoder
from lossylab.models.layers import dct

MAX_PIXELS = 2**20  # pixels that the network sees at once; VGG-19 takes some 800 bytes a pixel


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
        """
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
        rows = height
        if self._radius is not None and height * width > self._max_pixels:
            inner = max(self._max_pixels // width - 2 * self._radius, dct.BLOCK)
            rows = tiling.up(inner, dct.BLOCK)
        return tiling.cuts(height, rows, self._radius or 0)

    def _strip(self, strip: np.ndarray, cut: tiling.Cut) -> tuple[np.ndarray, np.ndarray]:
        coded = self._call("encode", image=np.ascontiguousarray(strip))
        first, last = cut.inside.start // dct.BLOCK, -(-cut.inside.stop // dct.BLOCK)
        return coded["coefficients"].numpy()[:, first:last], coded["tables"].numpy()


def _blocks(height: int, width: int) -> tuple[int, int]:
    return -(-height // dct.BLOCK), -(-width // dct.BLOCK)
