"""Distorts images, by a trained generator or truly.

  lossylab distort image.png worse.png --model=runs/jpeg/export
  lossylab distort photos noisy --truth=white --severity=25 --seed=7

INPUT is a file, a folder, a glob or a named collection; OUTPUT a file for one input, else a
folder. --truth is one of jpeg, jpeg2000, white and pink: the image is coded and decoded, or noise
is added, which depends on --seed and the name of the file. A table of what was written goes to
standard output, as CSV.
"""

from __future__ import annotations

import functools

import numpy as np
from absl import flags
from PIL import Image

from lossylab.cli import jobs
from lossylab.core.app import launch, new_flags, parse
from lossylab.core.environment import timed
from lossylab.core.errors import UsageError
from lossylab.core.files import replacing
from lossylab.core.options import require
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.data.distortions import DISTORTIONS, distort
from lossylab.data.patch_pairs import noise_seed
from lossylab.eval.metrics import nss
from lossylab.eval.metrics.psnr import psnr
from lossylab.inference.export.distorter import Distorter

FLAGS = new_flags()
flags.DEFINE_string("model", None, "Folder of an exported generator.", flag_values=FLAGS)
flags.DEFINE_enum("truth", None, list(DISTORTIONS), "A real distortion instead.", flag_values=FLAGS)
flags.DEFINE_float(
    "severity",
    None,
    "Of --truth: " + "; ".join(f"{n}: {d.unit} ({d.severity:g})" for n, d in DISTORTIONS.items()),
    flag_values=FLAGS,
)
flags.DEFINE_integer("seed", 0, "Of the noise.", 0, 2**31 - 1, flag_values=FLAGS)
flags.DEFINE_bool("overwrite", False, "Replace files that exist.", flag_values=FLAGS)

_COLUMNS = ("input", "output", "width", "height", "psnr", "jsd", "seconds")


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    arguments = parse(FLAGS, argv, __doc__)
    require(len(arguments) == 2, f"expected INPUT and OUTPUT, got {len(arguments)} arguments")
    require(
        bool(FLAGS.model) != bool(FLAGS.truth),
        "give either --model, the folder of an exported generator, or --truth",
    )
    require(
        bool(FLAGS.truth) or (FLAGS.severity is None and not FLAGS.seed),
        "--severity and --seed go with --truth: a generator does what it has learned",
    )
    sources = find_images(arguments[0])
    many = arguments[0] != sources[0]
    plan = jobs.plan(sources, arguments[1], ".png", jobs.LOSSLESS, many, FLAGS.overwrite)
    jobs.run(plan, functools.partial(_one, _work()), _COLUMNS)


def _work():
    """From a path and its image to the distorted image."""
    if FLAGS.model:
        network = Distorter(FLAGS.model)
        return lambda path, image: network.distort(image)
    try:
        distort(np.zeros((8, 8, 3), np.uint8), FLAGS.truth, FLAGS.severity)
    except ValueError as error:
        raise UsageError(f"--severity: {error}") from error

    def truly(path, image):
        seed = (noise_seed(path) + FLAGS.seed) % 2**32
        return distort(image, FLAGS.truth, FLAGS.severity, seed)

    return truly


def _one(work, source: str, target: str) -> dict:
    image = read_image(source)
    made, milliseconds = timed(work, source, image)
    with replacing(target) as temporary:
        Image.fromarray(made).save(temporary)
    height, width = image.shape[:2]
    jsd = ""
    if min(height, width) > 1:
        jsd = f"{nss.jensen_shannon(nss.histogram(image), nss.histogram(made)):.4f}"
    return {
        **{"input": source, "output": target, "width": width, "height": height},
        **{"psnr": f"{psnr(image, made):.2f}", "jsd": jsd},
        "seconds": f"{milliseconds / 1000:.3f}",
    }


if __name__ == "__main__":
    launch(main)
