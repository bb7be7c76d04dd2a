"""Official weights of ARCNN and DnCNN-3 to exports."""

from __future__ import annotations

import os

from lossylab.cli.options.importing import ImportRestorerOptions
from lossylab.core.files import require_new
from lossylab.inference.importers import known, restorers


def import_restorer(options: ImportRestorerOptions) -> None:
    """Writes the export; raises as `importers.restorers.convert`, or UsageError if it exists."""
    require_new([options.output], options.overwrite)
    if os.path.isfile(options.source):
        known.say(options.source)
    quality, precision = options.quality, options.export_precision
    restorers.convert(options.source, options.output, quality, precision)
