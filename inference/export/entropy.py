"""From a latent to a bit string and back: the entropy coders of served codecs.

  quantize(latent)              -> latent as it will be decoded, bits
  encode(latent)                -> string, bits
  decode(string, height, width) -> latent

Latents are float32 [1, h, w, N], bits the information under the learned density.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from lossylab.inference.export import graph_tiles, range_coding
from lossylab.inference.export.exact import ExactHyperSynthesis
from lossylab.models.bmshj2018 import BMSHJ2018, HYPER_STRIDE
from lossylab.models.layers import factorized, gaussian
from lossylab.models.layers.compression import tfc
from lossylab.models.layers.conv import Chain

# No tensor: one made at import would start TensorFlow before a strategy can configure it.
_BYTES = tuple(bytes([i]) for i in range(256))
_WORD = 4  # bytes of a number in the string
# Positions of a latent whose bits are estimated at once, some 30 KiB a position.
_POSITIONS = 2**13
_HYPER = "hyper/"  # begins the names of the hyper-latent's tables

Tables = Mapping[str, np.ndarray]


class FactorizedCoder(tf.Module):
    """Codes a latent under its learned, fully factorized density."""

    def __init__(
        self,
        prior: tfc.NoisyDeepFactorized,
        tables: Tables | None = None,
        name: str = "factorized_coder",
    ):
        """Takes the tables of a trained prior; building them instead takes seconds."""
        super().__init__(name=name)
        self._prior = prior
        if tables is None:
            self._model = tfc.ContinuousBatchedEntropyModel(prior, coding_rank=3, compression=True)
        else:
            self._model = tfc.ContinuousBatchedEntropyModel(
                prior_shape=prior.batch_shape,
                coding_rank=3,
                compression=True,
                cdf=tables["cdf"],
                cdf_offset=tables["cdf_offset"],
                quantization_offset=tables.get("quantization_offset"),
                offset_heuristic=False,
            )
        costs = range_coding.costs(self._model.cdf.numpy())
        self._least, self._mean = float(costs.least.sum()), float(costs.mean.sum())

    @property
    def tables(self) -> Tables:
        """What another machine might build otherwise from the same weights."""
        found = {"cdf": self._model.cdf.numpy(), "cdf_offset": self._model.cdf_offset.numpy()}
        offset = self._model.quantization_offset
        return found if offset is None else {**found, "quantization_offset": offset.numpy()}

    def quantize(self, latent: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The latent as it will be decoded, and its bits."""
        latent = self._model.quantize(latent)
        return latent, _bits(latent, lambda rows: factorized.bits(self._prior, latent[:, rows]))

    def encode(self, latent: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Bit string, and estimated bits."""
        latent = range_coding.encodable(latent)
        return self._model.compress(latent)[0], self.quantize(latent)[1]

    def decode(self, string: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
        """The latent of a bit string; an InvalidArgumentError if there is none."""
        positions = tf.cast(height, tf.float64) * tf.cast(width, tf.float64)
        string = range_coding.long_enough(string, self._least * positions)
        shape = tf.stack([height, width, self._model.prior_shape.num_elements()])
        symbols = range_coding.decode(string, self._model.cdf, shape, self._mean * positions)
        latent = tf.cast(symbols + self._model.cdf_offset, tf.float32)
        offset = self._model.quantization_offset
        return latent if offset is None else latent + offset


class HyperpriorCoder(tf.Module):
    """Codes a latent with standard deviations from a hyper-latent that is coded before it.

    The string is: length of the hyper-latent's string, checksum of the scale indexes (four
    bytes each), the hyper-latent's string, the latent's string.
    """

    def __init__(
        self,
        codec: BMSHJ2018,
        hyper_synthesis: Chain,
        tables: Tables | None = None,
        name: str = "hyperprior_coder",
    ):
        """Takes the tables of a trained codec; building them instead takes seconds.

        Args:
          codec: its transforms and prior are used as they are.
          hyper_synthesis: as it was trained, to be made exact.
          tables: `tables` of such a coder.
          name: of the module.
        """
        super().__init__(name=name)
        self._codec = codec
        hyper = {k.removeprefix(_HYPER): v for k, v in (tables or {}).items() if _HYPER in k}
        self._hyper = FactorizedCoder(codec.prior, hyper or None)
        self._synthesis = ExactHyperSynthesis(hyper_synthesis)
        self._model = tfc.LocationScaleIndexedEntropyModel(
            tfc.NoisyNormal,
            gaussian.NUM_SCALES,
            gaussian.scale_of_index,
            coding_rank=3,
            compression=True,
        )
        if tables:
            for variable in self._model.variables:
                variable.assign(tables[variable.name.split("/")[-1].removesuffix(":0")])
        costs = range_coding.costs(self._model.cdf.numpy())
        self._least, self._mean = float(costs.least.min()), float(costs.mean.max())

    @property
    def tables(self) -> Tables:
        """What another machine might build otherwise from the same weights."""
        hyper = {_HYPER + key: value for key, value in self._hyper.tables.items()}
        cdf, offset = self._model.cdf.numpy(), self._model.cdf_offset.numpy()
        return {"cdf": cdf, "cdf_offset": offset, **hyper}

    def quantize(self, latent: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The latent as it will be decoded, and its bits."""
        hyper, bits = self._hyper.quantize(self._codec.hyper_analysis(latent))
        index = self._synthesis.indexes(hyper, *_size(latent))
        return self._quantized(latent, index, bits)

    def encode(self, latent: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Bit string, and estimated bits."""
        latent = range_coding.encodable(latent)
        hyper = self._codec.hyper_analysis(latent)
        side, bits = self._hyper.encode(hyper)
        index = self._synthesis.indexes(self._hyper.quantize(hyper)[0], *_size(latent))
        main = self._model.compress(latent, tf.cast(index, tf.float32))[0]
        head = [_word(tf.strings.length(side)), _word(_checksum(index))]
        return tf.strings.join([*head, side, main]), self._quantized(latent, index, bits)[1]

    def decode(self, string: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
        """The latent of a bit string; an InvalidArgumentError if it has none or indexes differ."""
        string = _at_least(string, 2 * _WORD)
        length, checksum = _number(string, 0), _number(string, _WORD)
        string = _at_least(string, 2 * _WORD + length)
        length = tf.cast(length, tf.int32)
        side = tf.strings.substr(string, 2 * _WORD, length)
        main = tf.strings.substr(string, 2 * _WORD + length, tf.strings.length(string))
        shape = tf.stack([height, width, self._codec.latent_filters])
        count = tf.reduce_prod(tf.cast(shape, tf.float64))
        main = range_coding.long_enough(main, self._least * count)
        size = [-(-extent // HYPER_STRIDE) for extent in (height, width)]
        index = self._synthesis.indexes(self._hyper.decode(side, *size), height, width)
        agree = tf.debugging.assert_equal(_checksum(index), checksum, range_coding.INDEX_MISMATCH)
        with tf.control_dependencies([agree] if agree is not None else []):
            main = tf.identity(main)
        symbols = range_coding.decode(main, self._model.cdf, shape, self._mean * count, index)
        return tf.cast(symbols + tf.gather(self._model.cdf_offset, index), tf.float32)

    def _quantized(
        self, latent: tf.Tensor, index: tf.Tensor, hyper_bits: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        latent = tf.round(latent)

        def of_rows(rows: slice) -> tf.Tensor:
            return gaussian.bits(latent[:, rows], gaussian.scale_of_index(index[:, rows]))

        return latent, _bits(latent, of_rows) + hyper_bits


def _bits(latent: tf.Tensor, of_rows: Callable[[slice], tf.Tensor]) -> tf.Tensor:
    """Bits of a latent [1, h, w, N], a scalar, of what some rows take [1]; a few rows at a time."""
    height, width = _size(latent)
    rows = tf.maximum(_POSITIONS // width, 1)
    return graph_tiles.total(lambda start, stop: of_rows(slice(start, stop))[0], height, rows)


def _size(latent: tf.Tensor) -> list[tf.Tensor]:
    return tf.unstack(tf.shape(latent)[1:3])


def _checksum(index: tf.Tensor) -> tf.Tensor:
    """A hash of indexes and their shape, int64 below 2^32."""
    text = tf.io.serialize_tensor(tf.cast(index, tf.uint8))
    return tf.strings.to_hash_bucket_fast(text, 2 ** (8 * _WORD))


def _word(number: tf.Tensor) -> tf.Tensor:
    """A number below 2^32 as four bytes, the most significant first."""
    shifts = tf.range(8 * (_WORD - 1), -1, -8, dtype=tf.int64)
    digits = tf.bitwise.bitwise_and(
        tf.bitwise.right_shift(tf.cast(number, tf.int64), shifts), tf.constant(255, tf.int64)
    )
    return tf.strings.reduce_join(tf.gather(tf.constant(_BYTES), digits))


def _number(string: tf.Tensor, start: int) -> tf.Tensor:
    """The number, int64, whose four bytes begin at `start`."""
    digits = tf.cast(tf.io.decode_raw(tf.strings.substr(string, start, _WORD), tf.uint8), tf.int64)
    weights = tf.bitwise.left_shift(
        tf.constant(1, tf.int64), tf.range(8 * (_WORD - 1), -1, -8, dtype=tf.int64)
    )
    return tf.reduce_sum(digits * weights)


def _at_least(string: tf.Tensor, length: tf.Tensor | int) -> tf.Tensor:
    """The string; an InvalidArgumentError if it is shorter than `length` bytes.

    What is cut from the result is cut after the check: an error of TensorFlow's own would quote
    the bytes, which Python cannot decode as text.
    """
    found = tf.cast(tf.strings.length(string), tf.int64)
    long_enough = tf.debugging.assert_greater_equal(
        found, tf.cast(length, tf.int64), "the string is too short"
    )
    with tf.control_dependencies([long_enough] if long_enough is not None else []):
        return tf.identity(string)
