"""Compresses images with an exported codec, and decompresses the files.

  lossylab compress INPUT OUTPUT --model=RUN/export
  lossylab decompress INPUT OUTPUT --model=RUN/export

INPUT is a file, a folder, a glob or a named collection; OUTPUT a file for one input, else a
folder. A table of what was written goes to standard output, as CSV.
"""

from __future__ import annotations

import functools
import glob
import os
import pathlib

from absl import flags
from PIL import Image

from lossylab.cli import jobs
from lossylab.core.app import launch, new_flags, parse, require
from lossylab.core.errors import CollectionError
from lossylab.core.files import replacing, write_bytes
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.inference.export import container
from lossylab.inference.export.codec import Codec

FLAGS = new_flags()
flags.DEFINE_string("model", None, "Folder of the exported codec.", flag_values=FLAGS)
flags.DEFINE_bool("overwrite", False, "Replace files that exist.", flag_values=FLAGS)

_COLUMNS = ("input", "output", "width", "height", "bytes", "bpp_file", "bpp_estimated")


def main(argv: list[str]) -> None:
    """Runs `compress` or `decompress`, by the name in argv[0]."""
    verb = pathlib.Path(argv[0]).name
    require(verb in ("compress", "decompress"), f"unknown verb '{verb}': compress or decompress")
    arguments = parse(FLAGS, argv, __doc__)
    require(len(arguments) == 2, f"expected INPUT and OUTPUT, got {len(arguments)} arguments")
    require(bool(FLAGS.model), "--model is needed: the folder of an exported codec")
    sources = find_images(arguments[0]) if verb == "compress" else _find_files(arguments[0])
    codec = Codec(FLAGS.model)
    suffix = container.SUFFIX if verb == "compress" else ".png"
    plan = jobs.plan(
        sources,
        arguments[1],
        suffix,
        jobs.LOSSLESS if verb == "decompress" else None,
        many=arguments[0] != sources[0],
        overwrite=FLAGS.overwrite,
    )
    work = _compress_one if verb == "compress" else _decompress_one
    jobs.run(plan, functools.partial(work, codec), _COLUMNS, (container.BitstreamError,))


def _compress_one(codec: Codec, source: str, target: str) -> dict:
    image = read_image(source)
    data, bits = container.compress(codec, image)
    write_bytes(target, data)
    return _row(source, target, image, len(data), bits)


def _decompress_one(codec: Codec, source: str, target: str) -> dict:
    data = pathlib.Path(source).read_bytes()
    image = container.decompress(codec, data)
    with replacing(target) as temporary:
        Image.fromarray(image).save(temporary)
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
    found = sorted(glob.glob(pattern))
    if not found:
        raise CollectionError(f"no {container.SUFFIX} files found for '{spec}'")
    return found


if __name__ == "__main__":
    launch(main)
