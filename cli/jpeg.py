"""Writes standard .jpg files with a learned encoder.

  lossylab jpeg image.png image.jpg --model=runs/vgg_0.01/export
  lossylab jpeg photos coded --model=runs/vgg_0.01/export --huffman=optimized --verify

INPUT is a file, a folder, a glob or a named collection; OUTPUT a file for one input, else a
folder. The files are baseline JFIF, 4:4:4, with the exact coefficients and tables of the encoder:
every decoder reads them. Gray images become gray files. --verify reads each file back, compares
coefficients and tables, and what Pillow decodes with what the encoder expects. A table of what
was written goes to standard output, as CSV.
"""

from __future__ import annotations

import functools

import numpy as np
from absl import flags

from lossylab.cli import jobs
from lossylab.core.app import launch, new_flags, parse
from lossylab.core.environment import timed
from lossylab.core.errors import WorkError
from lossylab.core.files import write_bytes
from lossylab.core.options import require
from lossylab.data.collections import find_images
from lossylab.data.decode import read_as_coded
from lossylab.eval.metrics.psnr import psnr
from lossylab.inference.codecs import jpeg_decoders, jpeg_files
from lossylab.inference.export.jpeg import MAX_PIXELS, Encoder

SUFFIXES = (".jpg", ".jpeg")
# Levels by which decoders differ that round inside their inverse DCT, as the standard lets them.
_TOLERANCE = 3

FLAGS = new_flags()
flags.DEFINE_string("model", None, "Folder of the export.", flag_values=FLAGS)
flags.DEFINE_enum(
    "huffman",
    "standard",
    jpeg_files.HUFFMAN,
    "Codes of the standard, or optimized for each image: smaller files.",
    flag_values=FLAGS,
)
flags.DEFINE_bool("verify", False, "Read every file back and compare.", flag_values=FLAGS)
flags.DEFINE_bool("overwrite", False, "Replace files that exist.", flag_values=FLAGS)
flags.DEFINE_integer(
    "max_pixels",
    MAX_PIXELS,
    "Pixels the network sees at once, in strips over the whole width: more need memory.",
    2**12,
    flag_values=FLAGS,
)

_COLUMNS = ("input", "output", "width", "height", "bytes", "bpp", "psnr", "seconds", "verified")


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    arguments = parse(FLAGS, argv, __doc__)
    require(len(arguments) == 2, f"expected INPUT and OUTPUT, got {len(arguments)} arguments")
    require(bool(FLAGS.model), "--model is needed: the folder of an exported JPEG encoder")
    sources = find_images(arguments[0])
    many = arguments[0] != sources[0]
    plan = jobs.plan(sources, arguments[1], ".jpg", SUFFIXES, many, FLAGS.overwrite)
    jobs.run(plan, functools.partial(_one, Encoder(FLAGS.model, FLAGS.max_pixels)), _COLUMNS)


def _one(encoder: Encoder, source: str, target: str) -> dict:
    image = read_as_coded(source)
    jpeg_files.check_size(*image.shape[:2])
    (contents, data), milliseconds = timed(encode, encoder, image, FLAGS.huffman)
    decoded = jpeg_decoders.by_pillow(data)
    if FLAGS.verify:
        verify(encoder, contents, data, decoded)
    write_bytes(target, data)
    height, width = image.shape[:2]
    return {
        **{"input": source, "output": target, "width": width, "height": height},
        **{"bytes": len(data), "bpp": f"{8 * len(data) / (height * width):.4f}"},
        "psnr": f"{psnr(image, decoded[..., : image.shape[2]]):.2f}",
        **{"seconds": f"{milliseconds / 1000:.3f}", "verified": "yes" if FLAGS.verify else ""},
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
    apart = np.abs(decoded.astype(int) - encoder.decode(contents)).max()
    if apart > _TOLERANCE:
        raise WorkError(
            f"Pillow decodes up to {apart} levels away from what the encoder expects "
            f"(at most {_TOLERANCE})"
        )


if __name__ == "__main__":
    launch(main)
