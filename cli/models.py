"""The models that have names: listed, shown, added."""

from __future__ import annotations

import csv
import hashlib
import json
import sys

from lossylab.cli.options.models import AddModelOptions, ModelsOptions
from lossylab.core.files import write_text
from lossylab.core.options import require, require_known
from lossylab.inference.export import network_file, zoo
from lossylab.inference.export.base import load


def show(options: ModelsOptions) -> None:
    """Prints a table of all models, or the card of one; raises UsageError if there is none such."""
    names = zoo.names()
    if options.name:
        require_known("name", [options.name], names)
        sys.stdout.write(json.dumps(zoo.card(options.name), indent=2, sort_keys=True) + "\n")
        return
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("name", "kind", "summary"))
    for name in names:
        card = zoo.card(name)
        writer.writerow((name, card["kind"], card["summary"]))


def add(options: AddModelOptions) -> None:
    """Writes weights and card; raises ExportError, OutputError, or UsageError of taken names."""
    require(options.name not in zoo.names(), f"there is a model called {options.name} already")
    export = load(options.export)
    weights = zoo.FOLDER / f"{options.name}.npz"
    network_file.write(export.network(), weights, narrow=True)
    card = {
        **{key: export.card.get(key) for key in ("kind", "model", "parameters", "steps", "data")},
        "options": export.options,
        **{key: getattr(options, key) for key in ("summary", "quality", "hours", "license")},
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
    }
    write_text(
        zoo.FOLDER / f"{options.name}.json", json.dumps(card, indent=1, sort_keys=True) + "\n"
    )
