"""An official StyleGAN or StyleGAN2 network, or a random one, to one file."""

from __future__ import annotations

import logging
import os
import re

from lossylab.cli.options.importing import ImportStyleganOptions
from lossylab.core.errors import UsageError
from lossylab.core.options import require
from lossylab.inference.importers import stylegan_files
from lossylab.models import stylegan
from lossylab.models.layers.stylegan_base import StyleGAN

log = logging.getLogger("lossylab")

_RANDOM = "random:"
_CHANNELS = 64  # of random networks, and width of their latents


def import_stylegan(options: ImportStyleganOptions) -> None:
    """Writes the file.

    Raises:
      UsageError: if it exists, or the source is no generator that is known here.
      OutputError: if it cannot be written.
    """
    source, target = options.source, options.output
    require(options.overwrite or not os.path.lexists(target), f"{target} exists: `overwrite`")
    if source.startswith(_RANDOM):
        generator = _random(source, options.seed)
    else:
        generator = stylegan_files.read_official(source)
    if options.contrast is not None:
        stylegan_files.scale_contrast(generator, options.contrast)
    stylegan_files.save(generator, target)
    size, count = generator.resolution, generator.parameters
    log.info("%s: version %d, %dx%d, %d weights", target, generator.version, size, size, count)


def _random(source: str, seed: int) -> StyleGAN:
    """The network of 'random:VERSION:RESOLUTION'."""
    words = re.fullmatch(r"random:([12]):([0-9]{1,4})", source)
    if words is None:
        raise UsageError(f"expected random:VERSION:RESOLUTION, such as random:2:64, got {source}")
    version, resolution = map(int, words.groups())
    sizes = dict.fromkeys(("latent", "mapping", "width", "fmap_max"), _CHANNELS)
    try:
        return stylegan.random(version, resolution, seed, **sizes)
    except ValueError as error:
        raise UsageError(f"{source}: {error}") from error
