"""Sets of icons as images: packages of drawings (Iconify's JSON) to PNGs, drawn by resvg.

  package = read_package("node_modules/@iconify-json/noto/icons.json")
  icons = list(draw(package, 64))
  test = held_out(icons, 0.1)

Emoji and other icons are free, packaged and no faces of persons: enough to train a small generator.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import io
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lossylab.core import extras
from lossylab.core.errors import UsageError

# What does not make an icon another one: tones of skin, direction, who does it.
_TONES = ("dark", "light", "medium", "skin", "tone")
_PERSONS = ("man", "men", "woman", "women", "person", "people", "boy", "girl")
_VARIED = {*_TONES, "facing", "left", "right"}
_OPAQUE = 128  # of 255, from where on a pixel belongs to an outline
_OUTLINED = 64  # pixels, of the drawing that an outline is taken of, whatever the size
_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'viewBox="{left} {top} {width} {height}" width="{size}" height="{size}">{body}</svg>'
)


@dataclasses.dataclass(frozen=True)
class Package:
    """A set of drawings.

    Attributes:
      name: its prefix, such as 'noto'.
      version: of the package.
      license: its name by SPDX.
      drawings: by name; what Iconify's format calls icons, with the set's sizes.
    """

    name: str
    version: str
    license: str
    drawings: dict[str, dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Icon:
    """One drawn icon.

    Attributes:
      name: of the package and the drawing.
      image: uint8 [S, S, 3], RGB, on white.
      outline: SHA-256 over which pixels are drawn on, in hexadecimal, the same at all sizes: what
        differs in color alone, such as tones of skin or flags, has the same.
      subject: what is drawn: words of the drawing's name but for tone, direction and person, the
        same in all packages.
    """

    name: str
    image: np.ndarray
    outline: str
    subject: str


def read_package(path: str) -> Package:
    """Reads an `icons.json` with the `info.json` and `package.json` beside it.

    Raises:
      UsageError: if one of the files is missing or none of Iconify's.
    """
    try:
        found = {}
        for name in ("icons", "info", "package"):
            with open(
                os.path.join(os.path.dirname(path), f"{name}.json"), encoding="utf-8"
            ) as file:
                found[name] = json.load(file)
        icons = found["icons"]
        sizes = {"left": 0, "top": 0, "width": icons.get("width", 16)}
        sizes["height"] = icons.get("height", 16)
        drawings = {
            name: {**sizes, **drawing}
            for name, drawing in sorted(icons["icons"].items())
            if not drawing.get("hidden")
        }
        license_ = found["info"]["license"]["spdx"]
        return Package(icons["prefix"], found["package"]["version"], license_, drawings)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path} is no icons.json of a package @iconify-json/NAME, with info.json and "
            f"package.json beside it: {error}"
        ) from error


def draw(package: Package, size: int) -> Iterator[Icon]:
    """Draws the icons of a package, in the order of their names.

    Args:
      package: the drawings.
      size: height and width of the images, pixels.

    Raises:
      UsageError: if resvg is not installed, or cannot draw one.
    """
    render = _renderer()
    for name, drawing in package.drawings.items():
        try:
            pixels = _rendered(render, drawing, size)
            opaque = pixels if size == _OUTLINED else _rendered(render, drawing, _OUTLINED)
        except (ValueError, KeyError, OSError) as error:
            raise UsageError(f"{package.name}: '{name}' cannot be drawn: {error}") from error
        white = Image.new("RGBA", pixels.size, "white")
        image = np.asarray(Image.alpha_composite(white, pixels).convert("RGB"))
        drawn_on = np.packbits(np.asarray(opaque)[..., 3] >= _OPAQUE)
        outline = hashlib.sha256(drawn_on.tobytes()).hexdigest()
        yield Icon(f"{package.name}-{name}", image, outline, _subject(name))


def _subject(name: str) -> str:
    words = [word for word in name.split("-") if word not in _VARIED] or [name]
    return "-".join(word for word in words if word not in _PERSONS) or "-".join(words)


def _rendered(render: Any, drawing: dict[str, Any], size: int) -> Image.Image:
    data = bytes(render(svg_string=_SVG.format(size=size, **drawing)))
    with Image.open(io.BytesIO(data)) as opened:
        return opened.convert("RGBA")


def thinned(icons: Sequence[Icon], per_outline: int) -> list[Icon]:
    """The first icons of each outline, none of the images twice.

    Args:
      icons: in order.
      per_outline: how many of each are kept.
    """
    kept, seen, counts = [], set(), {}
    for icon in icons:
        image = icon.image.tobytes()
        counts[icon.outline] = counts.get(icon.outline, 0) + (image not in seen)
        if image not in seen and counts[icon.outline] <= per_outline:
            kept.append(icon)
        seen.add(image)
    return kept


def held_out(icons: Sequence[Icon], share: float) -> list[bool]:
    """Which icons are for tests: none has an outline or a subject in common with the others.

    Args:
      icons: of all packages.
      share: of the groups of such icons that is held out, by the hash of a subject.
    """
    known: dict[str, int] = {}
    keys = [
        known.setdefault(key, len(known))
        for icon in icons
        for key in (f"outline {icon.outline}", f"subject {icon.subject}")
    ]
    edges = np.ones(len(icons)), (keys[::2], keys[1::2])
    _, groups = connected_components(coo_array(edges, shape=(len(known), len(known))))
    mine = [groups[key] for key in keys[::2]]
    first: dict[int, str] = {}
    for group, icon in zip(mine, icons):
        first[group] = min(icon.subject, first.get(group, icon.subject))
    return [_hash(first[group]) < share for group in mine]


def _hash(text: str) -> float:
    """A number from 0 to 1 that a text decides."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32


def _renderer() -> Any:
    try:
        return importlib.import_module("resvg_py").svg_to_bytes
    except ImportError as error:
        raise UsageError(f"drawing icons needs resvg: {extras.cure('icons')}") from error
