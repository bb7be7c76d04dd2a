"""Folders of crops: a strip of tiles an image and an index.json, of which figures are made."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from lossylab.core.errors import WorkError
from lossylab.core.files import replacing, write_text


@dataclasses.dataclass(frozen=True)
class Tile:
    """A crop and what is said of it.

    Attributes:
      pixels: uint8 [h, w, 1 or 3].
      label: over it; its first word may be the name of a model.
      facts: what else a figure needs of it, as JSON.
    """

    pixels: np.ndarray
    label: str
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Page:
    """What a folder of crops holds.

    Attributes:
      title: what they show.
      images: tiles by image, from left to right.
    """

    title: str
    images: dict[str, list[Tile]]


def window(height: int, width: int, size: int, at: Sequence[float]) -> tuple[slice, slice]:
    """Rows and columns of a crop of `size` in an image of at least that size."""
    right, down = at
    return _span(height, size, down), _span(width, size, right)


def _span(whole: int, size: int, fraction: float) -> slice:
    start = min(max(round(fraction * whole - size / 2), 0), whole - size)
    return slice(start, start + size)


def write(out: pathlib.Path, title: str, images: Mapping[str, Sequence[Tile]]) -> None:
    """Writes index.json and a lossless WebP an image, its tiles side by side.

    Args:
      out: folder, which must be there.
      title: what the crops show.
      images: tiles by image; those of an image have one size.

    Raises:
      OutputError: if something cannot be written.
    """
    index = {"title": title, "images": {}}
    for name, tiles in images.items():
        file = f"{name.replace(', ', '_')}.webp"
        colors = [np.broadcast_to(tile.pixels, (*tile.pixels.shape[:2], 3)) for tile in tiles]
        with replacing(out / file) as temporary:
            strip = Image.fromarray(np.concatenate(colors, axis=1))
            strip.save(temporary, "WEBP", lossless=True, quality=100, method=6)
        index["images"][name] = {
            "file": file,
            "tiles": [{"label": tile.label, **tile.facts} for tile in tiles],
        }
    write_text(out / "index.json", json.dumps(index) + "\n")


def read(folder: pathlib.Path) -> Page:
    """What `write` wrote; raises WorkError if something is missing or damaged."""
    path = folder / "index.json"
    try:
        index = json.loads(path.read_bytes())
        images = {name: _tiles(folder, entry) for name, entry in index["images"].items()}
        return Page(str(index["title"]), images)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise WorkError(f"{path} is damaged: have the crops made again ({error})") from error


def _tiles(folder: pathlib.Path, entry: Mapping[str, Any]) -> list[Tile]:
    """The tiles of one image."""
    with Image.open(folder / entry["file"]) as image:
        strips = np.split(np.asarray(image.convert("RGB")), len(entry["tiles"]), axis=1)
    return [
        Tile(pixels, facts["label"], {k: v for k, v in facts.items() if k != "label"})
        for pixels, facts in zip(strips, entry["tiles"])
    ]
