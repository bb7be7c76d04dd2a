"""Official weights of ARCNN and DnCNN-3 to exports."""

from __future__ import annotations

import os

from lossylab.cli.options.importing import ImportRestorerOptions
from lossylab.core.options import require
from lossylab.inference.importers import restorers


def import_restorer(options: ImportRestorerOptions) -> None:
    """Writes the export; raises as `importers.restorers.convert`, or UsageError if it exists."""
    target = options.output
    require(options.overwrite or not os.path.lexists(target), f"{target} exists: `overwrite`")
    restorers.convert(options.source, target, options.quality)
