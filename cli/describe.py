"""What an export says of itself."""

from __future__ import annotations

import json
import sys

from lossylab.cli.options.describe import DescribeOptions
from lossylab.inference.export.base import content_hash, load


def describe(options: DescribeOptions) -> None:
    """Prints an export's card and hash; raises ExportError."""
    found = content_hash(options.export)
    card = load(options.export).card
    text = json.dumps({"hash": found, **card}, indent=2, sort_keys=True)
    sys.stdout.write(text + "\n")
