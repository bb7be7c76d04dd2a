"""What an export says of itself."""

from __future__ import annotations

import json
import sys

from lossylab.cli.options.describe import DescribeOptions
from lossylab.core import export_folder
from lossylab.inference.export import zoo


def describe(options: DescribeOptions) -> None:
    """Prints an export's card and hash; raises ExportError."""
    path, card = options.export, None
    if not zoo.is_named(path):
        card = export_folder.read_card(path)
    if card is None:  # TensorFlow is loaded only where it is needed
        from lossylab.inference.export import base

        path = base.located(path)
        card = base.load(path).card
    shown = {"hash": export_folder.content_hash(path), **card}
    sys.stdout.write(json.dumps(shown, indent=2, sort_keys=True) + "\n")
