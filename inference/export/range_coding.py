"""Range decoding that ends, whatever the string is.

tfc codes a number outside its table as an escape and an Elias gamma code, which begins with as many
zeros as the number has binary digits. Its decoder reads zeros beyond the end of a string: in a
string that no encoder made, one code may go on for ever. Here the string gets a tail: zeros, as far
as the decoder of a right string looks beyond its end, then noise, more than all that is left to
decode can use up. What was decoded must be encoded as the very same string again.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.machinery
import importlib.util
import pathlib
import types

import numpy as np
import tensorflow as tf

from lossylab.core.errors import NO_TFC, WorkError

# In messages of errors, to tell them apart. No apostrophe: TensorFlow escapes them.
TOO_SHORT = "the string is too short for so many numbers"
NO_ENCODING = "the string is not what its numbers are encoded as"
NOT_FINITE = "the latent is not finite, or far too large"
INDEX_MISMATCH = "scale indexes are not those of the encoder"

# Beyond these the encoder's own loops would not end.
_LARGEST = 2**24
# A decoder holds 4 bytes; an encoder leaves out a few zeros more, each byte once in 2^8 files.
_ZEROS = b"\0" * 64
_SLACK = 8 * 16  # bits
_NOISE = 2**13  # bits, beside twice the expected ones


@functools.cache
def operations() -> types.ModuleType:
    """tfc's operations alone: its Python loads TensorFlow Probability, which takes seconds.

    Raises:
      WorkError: if tfc is not installed.
    """
    package = importlib.util.find_spec("tensorflow_compression")
    if package is None or not package.submodule_search_locations:
        raise WorkError(NO_TFC)
    path = pathlib.Path(package.submodule_search_locations[0], "python", "ops", "gen_ops.py")
    loader = importlib.machinery.SourceFileLoader("tfc_operations", str(path))
    module = types.ModuleType(loader.name)
    loader.exec_module(module)
    return module


@dataclasses.dataclass(frozen=True)
class Costs:
    """Bits of one number, for each row of a table.

    Attributes:
      least: of the most probable one, float64 [rows].
      mean: of what noise is decoded as, likewise.
    """

    least: np.ndarray
    mean: np.ndarray


def costs(cdf: np.ndarray) -> Costs:
    """What a table of the range coder costs.

    Args:
      cdf: int32, tfc's rows one after the other: negative precision, 0, ..., 2^precision.
    """
    least, mean, place = [], [], 0
    while place < len(cdf):
        total = 1 << -int(cdf[place])
        stop = place + 1 + int(np.argmax(cdf[place + 1 :] == total))
        share = np.diff(cdf[place + 1 : stop + 1]) / total
        least.append(-np.log2(share.max()))
        # The last is the escape; the code behind it has two bits for each digit of noise.
        mean.append(-(share * np.log2(share)).sum() + 4 * share[-1])
        place = stop + 1
    return Costs(np.array(least), np.array(mean))


def encode(symbols: tf.Tensor, cdf: tf.Tensor, index: tf.Tensor | None = None) -> tf.Tensor:
    """The string, a scalar, of symbols int32 [1, h, w, C]; tables by channel or by index."""
    tfc = operations()
    handle = tfc.create_range_encoder([1], cdf)
    if index is None:
        handle = tfc.entropy_encode_channel(handle, symbols)
    else:
        handle = tfc.entropy_encode_index(handle, index, symbols)
    return tfc.entropy_encode_finalize(handle)[0]


def decode(
    string: tf.Tensor,
    cdf: tf.Tensor,
    shape: tf.Tensor,
    mean_bits: tf.Tensor,
    index: tf.Tensor | None = None,
) -> tf.Tensor:
    """The symbols of a string.

    Args:
      string: what `encode` gave.
      cdf: the tables.
      shape: int32 [3], of the symbols without the first dimension.
      mean_bits: float, what so many symbols of noise take by `Costs`.
      index: int32 [1, h, w, C]; None takes tables by channel.

    Returns:
      int32 [1, h, w, C].

    Raises:
      tf.errors.InvalidArgumentError: if `encode` does not give this string for them.
    """
    words = tf.cast((2 * mean_bits + _NOISE) / 32, tf.int32)
    noise = tf.random.stateless_uniform(words[None], (1, 2), None, None, tf.int32)
    padded = tf.strings.join([string, _ZEROS, tf.io.serialize_tensor(noise)])
    tfc = operations()
    handle = tfc.create_range_decoder(padded[None], cdf)
    if index is None:
        _, symbols = tfc.entropy_decode_channel(handle, shape, tf.int32)
    else:
        _, symbols = tfc.entropy_decode_index(handle, index, shape, tf.int32)
    codable = tf.reduce_all((symbols > -_LARGEST) & (symbols < _LARGEST))
    with demanded(codable, NO_ENCODING):
        again = encode(symbols, cdf, index)
    with demanded(tf.equal(again, string), NO_ENCODING):
        return tf.identity(symbols)


def long_enough(string: tf.Tensor, least_bits: tf.Tensor) -> tf.Tensor:
    """The string; an InvalidArgumentError if it is shorter than `least_bits`, a float64."""
    bits = 8.0 * tf.cast(tf.strings.length(string), tf.float64) + _SLACK
    with demanded(bits >= least_bits, TOO_SHORT):
        return tf.identity(string)


def encodable(latent: tf.Tensor) -> tf.Tensor:
    """The latent; an InvalidArgumentError if it has values that cannot be coded."""
    with demanded(tf.reduce_all(tf.abs(latent) < _LARGEST), NOT_FINITE):
        return tf.identity(latent)


def demanded(condition: tf.Tensor, message: str) -> tf.control_dependencies:
    """A context in which a condition holds, whose error quotes no value."""
    return tf.control_dependencies([tf.debugging.Assert(condition, [message])])
