"""The compressed file: tfc's PackedTensors with everything needed to refuse a wrong one.

Fields: [the range coder's string, the first 8 bytes of the weights' hash]; [version, height,
width, CRC-32 of all the rest]. Version 2 is a gray image, coded as RGB of equal channels. The bytes
must be exactly those that packing the fields gives, so no flipped bit goes unnoticed. The overhead
is 60 to 72 bytes, which count as rate.
"""

from __future__ import annotations

import dataclasses
import zlib

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from lossylab.core.errors import BitstreamError, ImageError, IndexMismatchError, WorkError
from lossylab.data.color import gray_mean
from lossylab.data.decode import as_rgb
from lossylab.inference.export import range_coding
from lossylab.inference.export.codec import STRIDE, Codec, Encoded

SUFFIX = ".lossy"
VERSION, GRAY = 1, 2
_HASH_BYTES = 8
_MODEL, _STRINGS, _NUMBERS = "MD", "\1", "\2"  # names of fields in tfc's PackedTensors


def pack(encoded: Encoded, model_id: str, weights: str) -> bytes:
    """Contents of a compressed file.

    Args:
      encoded: the coded image.
      model_id: of the codec.
      weights: hexadecimal hash of the codec's weights.
    """
    short = bytes.fromhex(weights)[:_HASH_BYTES]
    size = [GRAY if encoded.gray else VERSION, encoded.height, encoded.width]
    return _packed(model_id, encoded.string, size, short)


def unpack(data: bytes, model_id: str, weights: str, max_pixels: int) -> Encoded:
    """The coded image in a compressed file.

    Args:
      data: the file's bytes.
      model_id: of the codec that is to decode it.
      weights: hexadecimal hash of that codec's weights.
      max_pixels: of an image that is plausible.

    Raises:
      BitstreamError: if the file is truncated, altered, of another version or model, or
        declares a size that is not plausible.
    """
    model, string, short, (version, height, width) = _fields(data)
    if version not in (VERSION, GRAY):
        raise BitstreamError(f"format version {version}, this program reads version {VERSION}")
    if data != _packed(model, string, [version, height, width], short):
        raise BitstreamError("damaged: the checksum does not fit")
    if model != model_id:
        raise BitstreamError(f"made by a model of kind '{model}', this export is a '{model_id}'")
    if short != bytes.fromhex(weights)[:_HASH_BYTES]:
        raise BitstreamError(
            f"made by a model with other weights ({short.hex()}, this export has "
            f"{weights[: 2 * _HASH_BYTES]}): decode it with the export that made it"
        )
    if min(height, width) < 1 or _padded_pixels(height, width) > max_pixels:
        raise BitstreamError(f"declares an image of {width}x{height} pixels")
    return Encoded(bytes(string), height, width, gray=version == GRAY)


def weights_of(data: bytes) -> str:
    """The beginning of the hash of the weights that made a compressed file, 16 hexadecimal digits.

    Raises:
      BitstreamError: if it is no such file.
    """
    return _fields(data)[2].hex()


def compress(codec: Codec, image: np.ndarray) -> tuple[bytes, float]:
    """An image, uint8 [H, W, 3] or gray [H, W, 1], as contents of a file, and the estimated bits.

    Raises:
      ImageError: if the image has more pixels than the codec takes.
      WorkError: if the codec has diverged.
    """
    height, width = image.shape[:2]
    if _padded_pixels(height, width) > codec.max_pixels:
        raise ImageError(
            f"an image of {width}x{height} pixels is too large, limit {codec.max_pixels}"
        )
    gray = image.shape[2] == 1
    try:
        encoded = codec.compress(as_rgb(image))
    except tf.errors.InvalidArgumentError as error:
        if range_coding.NOT_FINITE not in str(error):
            raise
        raise WorkError(
            "the codec makes numbers of this image that are not finite or far too large: its "
            "training has diverged"
        ) from error
    encoded = dataclasses.replace(encoded, gray=gray)
    return pack(encoded, codec.model, codec.weights), encoded.bits


def decompress(codec: Codec, data: bytes) -> np.ndarray:
    """The image, uint8 [H, W, 3] or gray [H, W, 1], of a compressed file's contents.

    Raises:
      BitstreamError: as `unpack`, or if the string does not decode.
      IndexMismatchError: if this machine derives other scale indexes than the encoder's.
    """
    encoded = unpack(data, codec.model, codec.weights, codec.max_pixels)
    try:
        image = codec.decompress(encoded)
        return gray_mean(image) if encoded.gray else image
    except tf.errors.ResourceExhaustedError as error:
        raise WorkError("not enough memory to decode an image of this size") from error
    except tf.errors.OpError as error:
        if range_coding.INDEX_MISMATCH in str(error):
            raise IndexMismatchError(
                "the scale indexes are not those of the encoder: the file is damaged, or this "
                "machine computes the hyper-synthesis differently; the rest would decode to noise"
            ) from error
        if range_coding.TOO_SHORT in str(error):
            raise BitstreamError(
                f"declares an image of {encoded.width}x{encoded.height} pixels, which its "
                f"{len(encoded.string)} bytes are too few for"
            ) from error
        raise BitstreamError("damaged: the range decoder rejects it") from error


def _fields(data: bytes) -> tuple[str, bytes, bytes, list[int]]:
    """Model, the range coder's string, the weights' hash, and [version, height, width]."""
    packed = tf.train.Example()
    try:
        packed.ParseFromString(data)
        fields = packed.features.feature
        model = fields[_MODEL].bytes_list.value[0].decode("ascii")
        string, short = fields[_STRINGS].bytes_list.value
        version, height, width, _ = fields[_NUMBERS].int64_list.value
    except (DecodeError, IndexError, ValueError, UnicodeDecodeError) as error:
        raise BitstreamError("not a lossylab file, or truncated") from error
    return model, string, short, [version, height, width]


def _padded_pixels(height: int, width: int) -> int:
    """Pixels of the image that the synthesis makes before it is cropped."""
    return (-(-height // STRIDE) * STRIDE) * (-(-width // STRIDE) * STRIDE)


def _packed(model: str, string: bytes, size: list[int], short: bytes) -> bytes:
    body = repr((model, string, size, short)).encode()
    packed = tf.train.Example()
    fields = packed.features.feature
    fields[_MODEL].bytes_list.value[:] = [model.encode("ascii")]
    fields[_STRINGS].bytes_list.value[:] = [string, short]
    fields[_NUMBERS].int64_list.value[:] = [*size, zlib.crc32(body)]
    # Protocol buffers promise an order of map entries only when asked for one.
    return packed.SerializeToString(deterministic=True)
