"""LPIPS's official weights to one file."""

from __future__ import annotations

import os

import numpy as np

from lossylab.cli.options.importing import ImportLpipsOptions
from lossylab.core.files import replacing
from lossylab.core.options import require
from lossylab.inference.importers.lpips import convert


def import_lpips(options: ImportLpipsOptions) -> None:
    """Writes the file; raises as `importers.lpips.convert`, or UsageError if it exists."""
    target = options.output
    require(options.overwrite or not os.path.lexists(target), f"{target} exists: `overwrite`")
    arrays = convert(options.network, options.backbone, options.linear)
    with replacing(target) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)
