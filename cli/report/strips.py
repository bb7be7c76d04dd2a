"""Folders of crops as strips that a page holds."""

from __future__ import annotations

import base64
import json
import pathlib
import re
from collections.abc import Mapping

from PIL import Image

from lossylab.cli.report.blocks import Crops, Strip
from lossylab.core.errors import WorkError
from lossylab.eval.report.names import published_label


def crops(folder: pathlib.Path, titles: Mapping[str, str] | None = None, known: str = "") -> Crops:
    """The crops of a folder, files as they are.

    Args:
      folder: that `crop_grid` wrote.
      titles: of figures by folder.
      known: what was said before: a note that says nothing else is left out.

    Raises:
      WorkError: if a file is damaged or missing.
    """
    path = folder / "index.json"
    try:
        index = json.loads(path.read_bytes())
        strips = [
            _strip(name, folder / entry["file"], [str(each["label"]) for each in entry["tiles"]])
            for name, entry in index["images"].items()
        ]
        note = str(index["title"])
        heading = (titles or {}).get(folder.name) or _heading(folder.name)
        return Crops(heading, strips, "" if note.lower() in known.lower() else note)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise WorkError(f"{path} is damaged: have the crops made again ({error})") from error


def _heading(name: str) -> str:
    """The name of a folder in words: "Fig. 2: distortions" of fig02_distortions."""
    found = re.fullmatch(r"fig0*(\d+)_(\w+)", name)
    return f"Fig. {found[1]}: {found[2]}".replace("_", " ") if found else f"Crops: {name}"


def _strip(name: str, path: pathlib.Path, labels: list[str]) -> Strip:
    data = path.read_bytes()
    with Image.open(path) as image:
        size, kind = image.size, str(image.format).lower()
        image.load()
    if not labels or size[0] % len(labels):
        raise ValueError(f"{path.name}: {size[0]} pixels are not {len(labels)} crops")
    uri = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return Strip(name, uri, size, [published_label(label) for label in labels])
