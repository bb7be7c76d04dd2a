"""Folders of crops with an index.json, of which `plots.grid` makes a figure."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from lossylab.core.app import require
from lossylab.core.files import replacing, write_text


def center(texts: Sequence[str]) -> list[float]:
    """The flag --at: shares of width and height at which crops lie; raises UsageError."""
    try:
        shares = [float(text) for text in texts]
    except ValueError:
        shares = []
    require(
        len(shares) == 2 and all(0 <= share <= 1 for share in shares),
        f"--at takes two shares from 0 to 1, got {','.join(texts)}",
    )
    return shares


def window(height: int, width: int, size: int, shares: Sequence[float]) -> tuple[slice, slice]:
    """Rows and columns of a crop of `size` in an image of at least that size."""
    starts = [
        min(max(round(share * side - size / 2), 0), side - size)
        for share, side in zip(shares, (width, height))
    ]
    return tuple(slice(start, start + size) for start in reversed(starts))


def write(out: pathlib.Path, file: str, crop: np.ndarray, label: str) -> dict[str, str]:
    """Writes a crop, uint8 [h, w, 1 or 3]; returns its entry of the index."""
    with replacing(out / file) as temporary:
        Image.fromarray(crop[..., 0] if crop.shape[2] == 1 else crop).save(temporary)
    return {"file": file, "label": label}


def write_index(out: pathlib.Path, title: str, images: dict[str, list[dict]]) -> None:
    """Writes index.json: the entries by image."""
    page = {"title": title, "images": images}
    write_text(out / "index.json", json.dumps(page, indent=1) + "\n")
