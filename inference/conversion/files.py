"""Writes the files of an export for another runtime, one a function, and its card."""

from __future__ import annotations

import json
import logging
import pathlib
import types

from lossylab.core.errors import ExportError
from lossylab.core.files import make_folder, write_bytes, write_text
from lossylab.inference.conversion import onnx_files, tflite_files
from lossylab.inference.conversion.functions import KEPT, functions
from lossylab.inference.export import network_file, zoo
from lossylab.inference.export.base import card_of, network_path
from lossylab.inference.export.narrowing import FLOAT32
from lossylab.models.layers import conv, precision

log = logging.getLogger("lossylab")

FORMATS: dict[str, types.ModuleType] = {"onnx": onnx_files, "tflite": tflite_files}
CARD = "card.json"


def write(path: str, kind_of_file: str, out: str) -> list[str]:
    """Converts an export or named model; its program is not run.

    Args:
      path: of the export, or the name of a model.
      kind_of_file: one of `FORMATS`.
      out: folder for FUNCTION.onnx or FUNCTION.tflite, and card.json.

    Returns:
      Names of the files.

    Raises:
      UsageError: if a package is not installed.
      ExportError: if there is no export, it keeps no network, or it cannot be converted.
      OutputError: if the folder cannot be written.
    """
    made = FORMATS[kind_of_file]
    card, network = card_of(path), network_file.read(network_path(path))
    named = {"name": path} if zoo.is_named(path) else {}
    known = {"precision": FLOAT32, "format": kind_of_file, "converted_by": made.versions()}
    card = {**card, **named, **known}
    with precision.policy(FLOAT32), conv.only_plain():
        found = functions(network, card["kind"])
        data = {}
        for name, function in found.items():
            try:
                data[name + made.SUFFIX] = made.convert(function, name, card)
            except ExportError as error:
                raise ExportError(f"{path}: {name} {error}") from error
    make_folder(out)
    for name, each in data.items():
        write_bytes(pathlib.Path(out) / name, each)
    write_text(pathlib.Path(out) / CARD, json.dumps(card, indent=1, sort_keys=True) + "\n")
    if card["kind"] in KEPT:
        log.info("%s", KEPT[card["kind"]])
    return [*data, CARD]
