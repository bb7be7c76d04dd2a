"""An official StyleGAN or StyleGAN2 network, or a random one, to one file."""

from __future__ import annotations

import logging
import re

from lossylab.cli.options.importing import ImportStyleganOptions
from lossylab.core.errors import UsageError
from lossylab.core.files import require_new
from lossylab.inference.importers import stylegan_files
from lossylab.models import stylegan
from lossylab.models.layers.stylegan_base import StyleGAN

log = logging.getLogger("lossylab")

_RANDOM = "random:"
_CHANNELS = 64  # of random networks, and width of their latents if it is not given


def import_stylegan(options: ImportStyleganOptions) -> None:
    """Writes the file.

    Raises:
      UsageError: if it exists, or the source is no generator that is known here.
      OutputError: if it cannot be written.
    """
    source, target = options.source, options.output
    require_new([target], options.overwrite)
    if source.startswith(_RANDOM):
        generator = _random(source, options.seed)
        if options.calibrate:
            stylegan_files.calibrate(generator, *stylegan_files.MOMENTS[options.calibrate])
    else:
        generator = stylegan_files.read_official(source)
    if options.contrast is not None:
        stylegan_files.scale_contrast(generator, options.contrast)
    stylegan_files.save(generator, target)
    size, count = generator.resolution, generator.parameters
    log.info("%s: version %d, %dx%d, %d weights", target, generator.version, size, size, count)


def _random(source: str, seed: int) -> StyleGAN:
    """The network of 'random:VERSION:RESOLUTION[:WIDTH]'."""
    words = re.fullmatch(r"random:([12]):([0-9]{1,4})(?::([0-9]{1,4}))?", source)
    if words is None:
        raise UsageError(
            "expected random:VERSION:RESOLUTION[:WIDTH], such as random:2:64 or random:2:64:512, "
            f"got {source}"
        )
    version, resolution, width = (int(word or _CHANNELS) for word in words.groups())
    sizes = dict.fromkeys(("latent", "mapping", "width"), width)
    try:
        return stylegan.random(version, resolution, seed, fmap_max=_CHANNELS, **sizes)
    except ValueError as error:
        raise UsageError(f"{source}: {error}") from error
