"""LPIPS's official weights to one file."""

from __future__ import annotations

import os

import numpy as np

from lossylab.cli.options.importing import ImportLpipsOptions
from lossylab.core.files import replacing, require_new
from lossylab.inference.importers import known
from lossylab.inference.importers.lpips import convert


def import_lpips(options: ImportLpipsOptions) -> None:
    """Writes the file; raises as `importers.lpips.convert`, or UsageError if it exists."""
    require_new([options.output], options.overwrite)
    if os.path.isfile(options.backbone):
        known.say(options.backbone)
    arrays = convert(options.network, options.backbone, options.linear)
    with replacing(options.output) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)
