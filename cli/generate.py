"""Images of a StyleGAN's generator, from random latents.

  lossylab generate images --generator=generator.npz --count=100

OUTPUT is a folder; images are PNG files, 000.png and so on, that a seed decides.
"""

from __future__ import annotations

import os
import pathlib

import tqdm
from absl import flags
from PIL import Image

from lossylab.core.app import launch, new_flags, parse
from lossylab.core.files import make_folder, replacing
from lossylab.core.options import require
from lossylab.inference.importers import stylegan_files
from lossylab.inference.latent import cases as latent_cases

FLAGS = new_flags()
flags.DEFINE_string(
    "generator", None, "File that `lossylab import stylegan` wrote.", flag_values=FLAGS
)
flags.DEFINE_integer("count", 10, "Of images.", 1, flag_values=FLAGS)
flags.DEFINE_integer("seed", 0, "Of latents and noise.", 0, 2**30, flag_values=FLAGS)
flags.DEFINE_float(
    "psi", 1.0, "Truncation: 0 gives the mean image, 1 all.", 0, 1, flag_values=FLAGS
)
flags.DEFINE_bool("overwrite", False, "Replace files that exist.", flag_values=FLAGS)


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    arguments = parse(FLAGS, argv, __doc__)
    require(len(arguments) == 1, f"expected OUTPUT, got {len(arguments)} arguments")
    require(bool(FLAGS.generator), "--generator is needed: a file of `lossylab import stylegan`")
    digits = max(3, len(str(FLAGS.count - 1)))
    out = pathlib.Path(arguments[0])
    paths = [out / f"{index:0{digits}d}.png" for index in range(FLAGS.count)]
    existing = [path for path in paths if os.path.exists(path)]
    require(
        FLAGS.overwrite or not existing,
        f"{len(existing)} outputs exist, {existing[0] if existing else ''} first: --overwrite",
    )
    generator = stylegan_files.load(FLAGS.generator)
    make_folder(out)
    cases = latent_cases.generated(generator, FLAGS.count, FLAGS.seed, FLAGS.psi)
    for path, case in zip(paths, tqdm.tqdm(cases, total=FLAGS.count, unit="image")):
        with replacing(path) as temporary:
            Image.fromarray(case.truth).save(temporary)


if __name__ == "__main__":
    launch(main)
