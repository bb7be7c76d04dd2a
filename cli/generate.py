"""Makes images with a StyleGAN's generator."""

from __future__ import annotations

import pathlib

import tqdm
from PIL import Image

from lossylab.cli.options.generate import GenerateOptions
from lossylab.core.files import make_folder, replacing, require_new
from lossylab.inference.importers import stylegan_files
from lossylab.inference.latent import cases as latent_cases


def generate(options: GenerateOptions) -> None:
    """Makes the images.

    Raises:
      UsageError: if outputs exist, or the generator's file is none.
      OutputError: if images cannot be written.
    """
    digits = max(3, len(str(options.count - 1)))
    out = pathlib.Path(options.output)
    paths = [out / f"{index:0{digits}d}.png" for index in range(options.count)]
    require_new(paths, options.overwrite)
    generator = stylegan_files.load(options.generator)
    make_folder(out)
    cases = latent_cases.generated(generator, options.count, options.seed, options.psi)
    for path, case in zip(paths, tqdm.tqdm(cases, total=options.count, unit="image")):
        with replacing(path) as temporary:
            Image.fromarray(case.clean).save(temporary)
