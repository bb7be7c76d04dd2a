"""The compressed file: tfc's PackedTensors with everything needed to refuse a wrong one.

Fields: [the range coder's string, the first 8 bytes of the weights' hash]; [version, height,
width, CRC-32 of all the rest]. The bytes must be exactly those that packing the fields gives,
so no flipped bit goes unnoticed. The overhead is 60 to 72 bytes, which count as rate.
"""

from __future__ import annotations

import zlib

import tensorflow as tf
import tensorflow_compression as tfc
from google.protobuf.message import DecodeError

from lossylab.data.decode import PictureError
from lossylab.eval.app import WorkError
from lossylab.eval.export import Codec, Encoded
from lossylab.models.bls2017 import STRIDE

SUFFIX = ".lossy"
VERSION = 1
_HASH_BYTES = 8
MAX_PIXELS = 2**26  # 8192x8192: by estimate, more than 16 GiB beyond it at N = 192


class BitstreamError(ValueError):
    """A compressed file that cannot be decoded: damaged, or made by something else."""


def pack(encoded: Encoded, model_id: str, weights: str) -> bytes:
    """Contents of a compressed file.

    Args:
      encoded: the coded picture.
      model_id: of the codec.
      weights: hexadecimal hash of the codec's weights.
    """
    short = bytes.fromhex(weights)[:_HASH_BYTES]
    size = [VERSION, encoded.height, encoded.width]
    return _packed(model_id, encoded.string, size, short)


def unpack(data: bytes, model_id: str, weights: str) -> Encoded:
    """The coded picture in a compressed file.

    Args:
      data: the file's bytes.
      model_id: of the codec that is to decode it.
      weights: hexadecimal hash of that codec's weights.

    Raises:
      BitstreamError: if the file is truncated, altered, of another version or model, or
        declares a size that is not plausible.
    """
    container = tfc.PackedTensors()
    try:
        container.string = data
        model = container.model
        strings, numbers = (t.numpy() for t in container.unpack((tf.string, tf.int64)))
        string, short = strings
        version, height, width, _ = map(int, numbers)
    except (DecodeError, IndexError, ValueError, UnicodeDecodeError) as error:
        raise BitstreamError("not a lossylab file, or truncated") from error
    if version != VERSION:
        raise BitstreamError(f"format version {version}, this program reads version {VERSION}")
    if data != _packed(model, string, [version, height, width], short):
        raise BitstreamError("damaged: the checksum does not fit")
    if model != model_id:
        raise BitstreamError(f"made by a model of kind '{model}', --model is a '{model_id}'")
    if short != bytes.fromhex(weights)[:_HASH_BYTES]:
        raise BitstreamError(
            f"made by a model with other weights ({short.hex()}, --model has "
            f"{weights[: 2 * _HASH_BYTES]}): decode it with the export that made it"
        )
    if min(height, width) < 1 or _padded_pixels(height, width) > MAX_PIXELS:
        raise BitstreamError(f"declares a picture of {width}x{height} pixels")
    return Encoded(bytes(string), height, width)


def compress(codec: Codec, picture) -> tuple[bytes, float]:
    """A picture, uint8 [H, W, 3], as contents of a file, and the estimated bits.

    Raises:
      PictureError: if the picture has more than `MAX_PIXELS`.
    """
    height, width = picture.shape[:2]
    if _padded_pixels(height, width) > MAX_PIXELS:
        raise PictureError(f"a picture of {width}x{height} pixels is too large, limit {MAX_PIXELS}")
    encoded = codec.compress(picture)
    return pack(encoded, codec.model_id, codec.weights), encoded.bits


def decompress(codec: Codec, data: bytes):
    """The picture, uint8 [H, W, 3], of a compressed file's contents.

    Raises:
      BitstreamError: as `unpack`, or if the string does not decode.
    """
    encoded = unpack(data, codec.model_id, codec.weights)
    try:
        return codec.decompress(encoded)
    except tf.errors.ResourceExhaustedError as error:
        raise WorkError("not enough memory to decode a picture of this size") from error
    except tf.errors.OpError as error:
        raise BitstreamError("damaged: the range decoder rejects it") from error


def _padded_pixels(height: int, width: int) -> int:
    """Pixels of the picture that the synthesis makes before it is cropped."""
    return (-(-height // STRIDE) * STRIDE) * (-(-width // STRIDE) * STRIDE)


def _packed(model: str, string: bytes, size: list[int], short: bytes) -> bytes:
    body = repr((model, string, size, short)).encode()
    container = tfc.PackedTensors()
    container.model = model
    container.pack(
        [
            tf.constant([string, short]),
            tf.constant([*size, zlib.crc32(body)], tf.int64),
        ]
    )
    # Protocol buffers promise an order of map entries only when asked for one.
    return container._example.SerializeToString(deterministic=True)
