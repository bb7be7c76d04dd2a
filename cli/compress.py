"""Images to compressed files and back, with an exported codec."""

from __future__ import annotations

import functools
import glob
import os
import pathlib

from lossylab.cli import jobs
from lossylab.cli.options.compress import CompressOptions, DecompressOptions
from lossylab.core import memory
from lossylab.core.errors import CollectionError
from lossylab.core.files import write_bytes
from lossylab.core.options import naming
from lossylab.data.collections import find_images, matches
from lossylab.data.decode import decode_image
from lossylab.inference.export import container
from lossylab.inference.export.codec import Codec

_BYTES = 24  # that image, latent and file take for a pixel
_TILE = 2**19  # pixels that transforms see at once, at least
_TILE_BYTES = 5  # that they take for a pixel and filter
_COLUMNS = ("input", "output", "width", "height", "bytes", "bpp_file", "bpp_estimated")


def compress(options: CompressOptions) -> None:
    """Compresses images; raises as `jobs.plan` and `jobs.run`."""
    sources = find_images(options.input)
    with naming("model"):
        codec = Codec(options.model)
    plan = jobs.plan(options, sources, container.SUFFIX)
    jobs.run(plan, functools.partial(_compress_one, codec), _COLUMNS, (codec.identity,))


def decompress(options: DecompressOptions) -> None:
    """Decompresses files; raises as `jobs.plan` and `jobs.run`."""
    sources = _find_files(options.input)
    with naming("model"):
        codec = Codec(options.model)
    plan = jobs.plan(options, sources, ".png", jobs.LOSSLESS)
    work = functools.partial(_decompress_one, codec)
    jobs.run(plan, work, _COLUMNS, (codec.weights,), (container.BitstreamError,))


def _compress_one(codec: Codec, source: str, target: str) -> dict:
    image = decode_image(source, codec.max_pixels).pixels
    pixels = image.shape[0] * image.shape[1]
    filters = codec.card.get("filters", 0)  # old exports do not say
    memory.demand(_BYTES * pixels + _TILE_BYTES * filters * min(pixels, _TILE))
    data, bits = container.compress(codec, image)
    write_bytes(target, data)
    return _row(source, target, image, len(data), bits)


def _decompress_one(codec: Codec, source: str, target: str) -> dict:
    data = pathlib.Path(source).read_bytes()
    image = container.decompress(codec, data)
    jobs.write_image(target, image)
    return _row(source, target, image, len(data), None)


def _row(source, target, image, size, bits) -> dict:
    height, width = image.shape[:2]
    pixels = height * width
    return {
        "input": source,
        "output": target,
        "width": width,
        "height": height,
        "bytes": size,
        "bpp_file": f"{8 * size / pixels:.5f}",
        "bpp_estimated": "" if bits is None else f"{bits / pixels:.5f}",
    }


def _find_files(spec: str) -> list[str]:
    """Compressed files that an argument stands for."""
    if os.path.isfile(spec):
        return [spec]
    pattern = (
        os.path.join(glob.escape(spec), f"*{container.SUFFIX}") if os.path.isdir(spec) else spec
    )
    found = sorted(matches(pattern))
    if not found:
        raise CollectionError(f"no {container.SUFFIX} files found for '{spec}'")
    return found
