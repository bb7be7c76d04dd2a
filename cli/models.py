"""The models that have names, listed or shown."""

from __future__ import annotations

import csv
import json
import sys

from lossylab.cli.options.models import ModelsOptions
from lossylab.core.options import require, require_known
from lossylab.inference.export import zoo
from lossylab.models.names import PAPERS

_FIRST = ("summary", "paper", "quality", "data", "license", "hours")


def show(options: ModelsOptions) -> None:
    """Prints a table of all models, or the card of one; raises UsageError if there is none such."""
    names = zoo.names()
    require(bool(names), "no models have names here; `lossylab models add` gives them some")
    if options.name:
        require_known("name", [options.name], names)
        card = zoo.card(options.name)
        card |= {"paper": PAPERS[card["model"]]} if card["model"] in PAPERS else {}
        # What a reader looks for stands above the options of the training.
        order = (*_FIRST, *sorted(set(card) - {*_FIRST, "options"}), "options")
        shown = {key: card[key] for key in order if key in card}
        sys.stdout.write(json.dumps(shown, indent=2) + "\n")
        return
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("name", "kind", "summary"))
    for name in names:
        card = zoo.card(name)
        writer.writerow((name, card["kind"], card["summary"]))
