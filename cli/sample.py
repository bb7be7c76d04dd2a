"""Draws degraded versions of images from a trained degradation model (Fig. 5).

  lossylab sample image.png degraded.png --model=runs/jpeg5/export
  lossylab sample photos drawn --model=runs/jpeg5/export --seed=7

INPUT is a file, a folder, a glob or a named collection, of images as the model knows them: they
are not scaled down. OUTPUT is a file for one input, else a folder. Pixels are drawn in their order;
--sampler=wavefront draws a diagonal at once and keeps what it has computed, naive runs the whole
network for each pixel, and both draw the same image. --seed and the name of the file decide
which. A table of what was written goes to standard output, as CSV; its `model` is the hash of the
model's weights.
"""

from __future__ import annotations

import functools

import tqdm
from absl import flags
from PIL import Image

from lossylab.cli import jobs
from lossylab.core.app import launch, new_flags, parse
from lossylab.core.digest import digest
from lossylab.core.environment import timed
from lossylab.core.files import replacing
from lossylab.core.options import require
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.data.patch_pairs import noise_seed
from lossylab.eval.metrics.psnr import psnr
from lossylab.inference.export.degradation import Degradation
from lossylab.inference.export.sampler import draw_uniforms, sample_naive, sample_wavefront

SAMPLERS = {"wavefront": sample_wavefront, "naive": sample_naive}

FLAGS = new_flags()
flags.DEFINE_string("model", None, "Folder of an exported degradation model.", flag_values=FLAGS)
flags.DEFINE_integer("seed", 0, "Of what is drawn.", 0, 2**31 - 1, flag_values=FLAGS)
flags.DEFINE_enum("sampler", "wavefront", list(SAMPLERS), "How to draw.", flag_values=FLAGS)
flags.DEFINE_bool("overwrite", False, "Replace files that exist.", flag_values=FLAGS)

_COLUMNS = (
    *("input", "output", "width", "height", "psnr", "nll", "content", "model", "seed"),
    "seconds",
)


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    arguments = parse(FLAGS, argv, __doc__)
    require(len(arguments) == 2, f"expected INPUT and OUTPUT, got {len(arguments)} arguments")
    require(bool(FLAGS.model), "--model is needed: the folder of an exported degradation model")
    sources = find_images(arguments[0])
    model = Degradation(FLAGS.model)
    many = arguments[0] != sources[0]
    plan = jobs.plan(sources, arguments[1], ".png", jobs.LOSSLESS, many, FLAGS.overwrite)
    jobs.run(plan, functools.partial(_one, model), _COLUMNS)


def _one(model: Degradation, source: str, target: str) -> dict:
    image = read_image(source)
    height, width = image.shape[:2]
    seed = (noise_seed(source) + FLAGS.seed) % 2**32
    uniforms = draw_uniforms(seed, 1, height, width, model.network.options["mixtures"])
    bar = functools.partial(tqdm.tqdm, desc="drawing", leave=False)
    drawn, milliseconds = timed(SAMPLERS[FLAGS.sampler], model.network, image[None], uniforms, bar)
    row = {
        **{"input": source, "output": target, "width": width, "height": height},
        "psnr": f"{psnr(image, drawn[0]):.2f}",
        "nll": f"{float(model.nll(drawn, image[None])[0]):.3f}",
        **{"content": digest(drawn[0])[:16], "model": model.weights[:16], "seed": FLAGS.seed},
        "seconds": f"{milliseconds / 1000:.3f}",
    }
    # Last: whatever fails before leaves no image that no row tells of.
    with replacing(target) as temporary:
        Image.fromarray(drawn[0]).save(temporary)
    return row


if __name__ == "__main__":
    launch(main)
