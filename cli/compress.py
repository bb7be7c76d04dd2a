"""Images to compressed files and back, with an exported codec."""

from __future__ import annotations

import functools
import glob
import logging
import os
import pathlib

from lossylab.cli import gain, jobs
from lossylab.cli.options.compress import QUALITIES, CompressOptions, DecompressOptions
from lossylab.core import memory
from lossylab.core.errors import BitstreamError, CollectionError
from lossylab.core.files import write_bytes
from lossylab.core.options import naming
from lossylab.data.collections import find_images, matches
from lossylab.data.decode import decode_image
from lossylab.inference.export import container, zoo
from lossylab.inference.export.codec import Codec

_BYTES = 24  # that image, latent and file take for a pixel
_TILE = 2**19  # pixels that transforms see at once, at least
_TILE_BYTES = 5  # that they take for a pixel and filter
_COLUMNS = ("input", "output", "width", "height", "bytes", "bpp_file", "bpp_estimated")

log = logging.getLogger("lossylab")


def compress(options: CompressOptions) -> None:
    """Compresses images; raises as `jobs.plan` and `jobs.run`, ExportError without any model."""
    sources = find_images(options.input)
    plan = jobs.plan(options, sources, container.SUFFIX, beside=container.SUFFIX)
    model = jobs.model_of(options.model, options.quality, zoo.codec, "codec", QUALITIES)
    with naming("model"):
        codec = Codec(model)
    compare = options.compare
    if compare is None:
        compare = options.model is None and len(sources) == 1
    work = functools.partial(_compress_one, codec, compare)
    jobs.run(plan, work, _COLUMNS, (codec.identity,))


def decompress(options: DecompressOptions) -> None:
    """Decompresses files; raises as `jobs.plan` and `jobs.run`."""
    sources = _find_files(options.input)
    plan = jobs.plan(options, sources, ".png", jobs.LOSSLESS, ".decoded.png")
    with naming("model"):
        codec = Codec(options.model or _model_of(sources[0]))
    work = functools.partial(_decompress_one, codec)
    jobs.run(plan, work, _COLUMNS, (codec.weights,), (BitstreamError,))


def _model_of(source: str) -> str:
    """The name of the model that made a file; raises BitstreamError if there is none such."""
    weights = container.weights_of(pathlib.Path(source).read_bytes())
    for name in zoo.names():
        if (zoo.card(name).get("weights") or "").startswith(weights):
            return name
    raise BitstreamError(
        f"{source}: was made by a model that has no name here (weights {weights}...): give the "
        "`model` that made it"
    )


def _compress_one(codec: Codec, compare: bool, source: str, target: str) -> dict:
    image = decode_image(source, codec.max_pixels).pixels
    pixels = image.shape[0] * image.shape[1]
    filters = codec.card.get("filters", 0)  # old exports do not say
    memory.demand(_BYTES * pixels + _TILE_BYTES * filters * min(pixels, _TILE))
    data, bits = container.compress(codec, image)
    write_bytes(target, data)
    if compare:
        decoded = container.decompress(codec, data)
        log.info("%s: %s", target, gain.beside_jpeg(image, decoded, len(data)))
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
