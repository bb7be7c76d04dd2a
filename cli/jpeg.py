"""Writes standard .jpg files with a learned encoder."""

from __future__ import annotations

import functools
import logging
from typing import Any

import numpy as np

from lossylab.cli import gain, jobs
from lossylab.cli.options.jpeg import QUALITIES, JpegOptions
from lossylab.core import memory
from lossylab.core.environment import timed
from lossylab.core.errors import WorkError
from lossylab.core.files import write_bytes
from lossylab.core.options import naming
from lossylab.data.collections import find_images
from lossylab.data.decode import decode_image
from lossylab.data.formats.containers import jpeg_with_profile
from lossylab.eval.metrics.psnr import psnr
from lossylab.inference.codecs import jpeg_decoders, jpeg_files
from lossylab.inference.export import zoo
from lossylab.inference.export.jpeg import Encoder

_SUFFIXES = (".jpg", ".jpeg")
# Pixel values by which decoders differ that round inside their inverse DCT, as the standard allows.
_TOLERANCE = 3
_COLUMNS = ("input", "output", "width", "height", "bytes", "bpp", "psnr", "seconds", "verified")

log = logging.getLogger("lossylab")


def write_files(options: JpegOptions) -> None:
    """Writes the files; raises as `jobs.plan` and `jobs.run`."""
    sources = find_images(options.input)
    plan = jobs.plan(options, sources, ".jpg", _SUFFIXES, ".learned.jpg")
    wanted = options.model, options.quality
    model = jobs.model_of(*wanted, zoo.jpeg_encoder, "encoder", QUALITIES)
    with naming("model"):
        encoder = Encoder(model, options.max_pixels)
    alone = options.model is None and len(sources) == 1
    work = functools.partial(_write_one, options, encoder, alone)
    jobs.run(plan, work, _COLUMNS, (encoder.identity,))


def _write_one(
    options: JpegOptions, encoder: Encoder, compare: bool, source: str, target: str
) -> dict[str, Any]:
    source_file = decode_image(source, keep_profile=options.keep_profile)
    image = source_file.pixels
    height, width = image.shape[:2]
    jpeg_files.check_size(height, width)
    cure = ": its LSTMs see whole images" if encoder.sees_all else ": lower `max_pixels`"
    memory.demand(encoder.bytes_per_pixel * encoder.pixels_at_once(height, width), cure)
    (contents, data), milliseconds = timed(encode, encoder, image, options.huffman)
    profile = source_file.profile
    if profile:
        data = jpeg_with_profile(data, profile)
    decoded = jpeg_decoders.by_pillow(data)
    if options.verify:
        verify(encoder, contents, data, decoded)
    shown = decoded[..., : image.shape[2]]
    if compare:
        log.info("%s: %s", target, gain.beside_jpeg(image, shown, len(data), profile))
    write_bytes(target, data)
    return {
        "input": source,
        "output": target,
        "width": width,
        "height": height,
        "bytes": len(data),
        "bpp": f"{8 * len(data) / (height * width):.4f}",
        "psnr": f"{psnr(image, shown):.2f}",
        "seconds": f"{milliseconds / 1000:.3f}",
        "verified": "yes" if options.verify else "",
    }


def encode(
    encoder: Encoder, image: np.ndarray, huffman: str = "standard"
) -> tuple[jpeg_files.Contents, bytes]:
    """Contents and bytes of the file of an image, uint8 [H, W, 1 or 3]; raises WorkError."""
    contents = encoder.encode(image)
    return contents, jpeg_files.to_bytes(contents, huffman)


def verify(
    encoder: Encoder, contents: jpeg_files.Contents, data: bytes, decoded: np.ndarray
) -> None:
    """Compares a file with what it was to hold and to show.

    Raises:
      WorkError: if coefficients or tables differ at all, or the decoded image by more than
        decoders' roundings.
    """
    found = jpeg_files.contents_of(data)
    size = (found.height, found.width)
    planes = min(len(contents.coefficients), 2)
    same = size == (contents.height, contents.width)
    same = same and np.array_equal(found.coefficients, contents.coefficients)
    if not same or not np.array_equal(found.tables[:planes], contents.tables[:planes]):
        raise WorkError("the file does not hold the coefficients and tables it was made of")
    expected = encoder.decode(contents)
    difference = (np.maximum(decoded, expected) - np.minimum(decoded, expected)).max()
    if difference > _TOLERANCE:
        raise WorkError(
            f"Pillow decodes up to {difference} pixel values away from what the encoder expects "
            f"(at most {_TOLERANCE})"
        )
