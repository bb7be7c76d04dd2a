"""Gives a trained network a name: its weights and a card."""

from __future__ import annotations

import json
import os
import pathlib
import tempfile

from lossylab.cli.options.models import AddModelOptions
from lossylab.core import command
from lossylab.core.digest import file_digest, weights_hash
from lossylab.core.errors import UsageError
from lossylab.core.files import write_text
from lossylab.core.options import require
from lossylab.inference.export import network_file, zoo
from lossylab.inference.export.base import card_of, class_of, network_path
from lossylab.inference.importers import known, restorers

_KEPT = ("kind", "model", "parameters", "channels", "steps", "data")  # of the export's card


def add(options: AddModelOptions) -> None:
    """Writes weights and card; raises ExportError, OutputError, or UsageError of taken names."""
    require(options.name not in zoo.names(), f"there is a model called {options.name} already")
    if os.path.isfile(options.export):
        with tempfile.TemporaryDirectory() as folder:
            add(_imported(options, pathlib.Path(folder) / "export"))
        return
    require(options.summary, "`summary` is needed: one line that says what it is")
    source = network_path(options.export)
    told = card_of(options.export)
    network = network_file.read(source)
    folder = pathlib.Path(options.folder) if options.folder else zoo.user_folder()
    weights = folder / f"{options.name}.npz"
    card = {
        **{key: told.get(key) for key in _KEPT},
        "options": {key: value for key, value in told["options"].items() if not _is_path(value)},
        **{key: getattr(options, key) for key in ("summary", "quality", "hours")},
        "license": options.license or told.get("license"),
    }
    useful_to = options.useful_to or told.get("useful_to")
    card |= {"useful_to": useful_to} if useful_to else {}
    gains = options.measured_gains() or told.get("gains")
    card |= {"gains": gains} if gains else {}
    network_file.narrow(network)
    served = class_of(told["kind"]).serve(network)
    network_file.write(network, weights, narrow=True, tables=served.tables)
    card["weights"] = weights_hash(served.network)
    card["sha256"] = file_digest(weights)
    text = json.dumps(card, indent=1, sort_keys=True) + "\n"
    write_text(weights.with_suffix(".json"), text)
    command.written(folder, f"{options.name}.npz, {options.name}.json")


def _imported(options: AddModelOptions, export: pathlib.Path) -> AddModelOptions:
    """The same of an export of an official file's network; raises UsageError of other files."""
    found = known.find(options.export)
    if found is None or found.kind != "restorer":
        what = f"is {found.what}" if found else "is no official file that is known by its SHA-256"
        raise UsageError(
            f"{options.export} is no export and {what}: names are for exports, see "
            "`lossylab import --help`"
        )
    quality = int(found.quality) if found.quality else None
    restorers.convert(options.export, str(export), quality)
    told = {"summary": options.summary or found.what, "license": options.license or found.license}
    return options.replace(export=str(export), **told)


def _is_path(value: object) -> bool:
    """Whether an option names a place on the machine that trained."""
    return isinstance(value, str) and os.sep in value
