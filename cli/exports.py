"""What an export says of itself, and the same as files of another runtime."""

from __future__ import annotations

import json
import sys

from lossylab.cli.options.exports import ConvertOptions, DescribeOptions
from lossylab.core import command, export_folder
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


def convert(options: ConvertOptions) -> None:
    """Writes ONNX or TensorFlow Lite files; raises UsageError, ExportError or OutputError."""
    from lossylab.inference.conversion import files

    names = files.write(options.export, options.format, options.out)
    command.written(options.out, ", ".join(names))
