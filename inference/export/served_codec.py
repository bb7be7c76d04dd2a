"""What is stored of a codec: kernels computed, range-coding tables, tiles for large images."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from lossylab.inference.export.entropy import FactorizedCoder, HyperpriorCoder, Tables
from lossylab.inference.export.graph_tiles import Span, in_tiles
from lossylab.inference.export.range_coding import demanded
from lossylab.models.bls2017 import BLS2017, STRIDE
from lossylab.models.bmshj2018 import BMSHJ2018
from lossylab.models.layers import factorized, precision
from lossylab.models.layers.base import Layer
from lossylab.models.layers.conv import Chain, SignalConv
from lossylab.models.layers.gdn import GDN

_IMAGE = tf.TensorSpec((None, None, 3), tf.uint8, name="image")
_NUMBER = tf.TensorSpec((), tf.int32)
# Samples of the latent that transforms see around each: less than 32 pixels.
_HALO = 2


def decoded(network: BLS2017 | BMSHJ2018, images: tf.Tensor) -> tf.Tensor:
    """Images as they are decoded, both float32 [B, H, W, 3]; only encoding heeds the policy."""
    latent = network.quantized(images, factorized.quantization_offset(network.prior))[0]
    with precision.policy("float32"):
        return network.synthesis(latent)


class _Fixed(tf.Module):
    """A parameter that is stored as it is used."""

    def __init__(self, value: tf.Tensor, name: str) -> None:
        super().__init__(name=name)
        self.value = tf.Variable(value, trainable=False, name=name)

    def __call__(self) -> tf.Tensor:
        return self.value.read_value()


class ServedCodec(tf.Module):
    """A codec as it is stored: compresses and decompresses single images of any size."""

    def __init__(self, codec: BLS2017 | BMSHJ2018, tables: Tables | None = None) -> None:
        """Copies a trained codec, which is left as it is; building its tables takes seconds."""
        super().__init__(name="served")
        self._codec = frozen(codec)
        self._positions = codec.tile_pixels // STRIDE**2
        if isinstance(codec, BMSHJ2018):
            self._coder = HyperpriorCoder(self._codec, codec.hyper_synthesis_transform, tables)
            self._codec.hyper_synthesis_transform = (
                None  # the coder has an exact one; do not store both
            )
        else:
            self._coder = FactorizedCoder(self._codec.prior, tables)

    @property
    def tables(self) -> Tables:
        """What another machine might build otherwise from the same weights."""
        return self._coder.tables

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

        spec = tf.TensorSpec((None, None, self._codec.latent_filters), tf.float32)
        return in_tiles(work, _latent_size(*size), self._positions, _HALO, spec)[None]

    def _image(self, latent: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
        def work(rows: Span, columns: Span) -> tf.Tensor:
            part = latent[:, rows.wide(), columns.wide()]
            with precision.policy("float32"):  # whatever encoding computes in
                image = self._codec.synthesis(part)[0]
            image = image[rows.inside(STRIDE), columns.inside(STRIDE)]
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


def frozen(codec: BLS2017 | BMSHJ2018) -> BLS2017 | BMSHJ2018:
    """A copy whose kernels and GDN parameters are stored as they are used."""
    copy = type(codec)(codec.filters, codec.latent_filters)
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
