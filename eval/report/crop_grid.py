"""Folders of crops with an index.json, of which `plots.grid` makes a figure."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from lossylab.core.errors import WorkError
from lossylab.core.files import replacing, write_text


def window(height: int, width: int, size: int, at: Sequence[float]) -> tuple[slice, slice]:
    """Rows and columns of a crop of `size` in an image of at least that size."""
    right, down = at
    return _span(height, size, down), _span(width, size, right)


def _span(whole: int, size: int, fraction: float) -> slice:
    start = min(max(round(fraction * whole - size / 2), 0), whole - size)
    return slice(start, start + size)


def write(out: pathlib.Path, file: str, crop: np.ndarray, label: str) -> dict[str, str]:
    """Writes a crop, uint8 [h, w, 1 or 3]; returns its entry of the index."""
    with replacing(out / file) as temporary:
        Image.fromarray(crop[..., 0] if crop.shape[2] == 1 else crop).save(temporary)
    return {"file": file, "label": label}


def read_index(folder: pathlib.Path) -> dict:
    """What `write_index` wrote; raises WorkError if it is missing or damaged."""
    path = folder / "index.json"
    try:
        page = json.loads(path.read_bytes())
        for items in page["images"].values():
            for item in items:
                str(item["file"]) + str(item["label"])
        str(page["title"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise WorkError(f"{path} is damaged: have the crops made again ({error})") from error
    return page


def write_index(out: pathlib.Path, title: str, images: dict[str, list[dict]]) -> None:
    """Writes index.json: the entries by image."""
    page = {"title": title, "images": images}
    write_text(out / "index.json", json.dumps(page, indent=1) + "\n")
