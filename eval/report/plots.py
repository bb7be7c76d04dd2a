"""The style of all figures: files that are equal when the numbers are."""

from __future__ import annotations

import contextlib
import io
import logging
import pathlib
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib import ticker
from PIL import Image

from lossylab.core.files import replacing
from lossylab.eval.report import crop_grid
from lossylab.eval.report.names import published_label, published_name

log = logging.getLogger("lossylab")

# Okabe and Ito's colors without yellow: told apart by color-blind readers, and by marker in gray.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
# What others are compared with, where it is one curve of several.
BASELINE = {"color": "0.45", "linestyle": "--", "marker": ".", "zorder": 3}

_STYLE = {
    "axes.grid": True,
    "axes.labelsize": 9,
    "axes.prop_cycle": cycler(color=COLORS) + cycler(marker=_MARKERS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "figure.titlesize": 10,
    "grid.alpha": 0.3,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "svg.fonttype": "none",  # text as text: small, and found by searching
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}
_FEW = 128  # colors that lines and letters need
_NOTE = 7  # points of the letters below a figure
_WIDE = 0.0084 * _NOTE  # inches of one of them, on average
_MOST_COLUMNS = 7  # of tiles
_TITLE = 25  # letters of a line over one


@contextlib.contextmanager
def figure(
    path: pathlib.Path,
    title: str,
    rows: int,
    columns: int,
    size: tuple[float, float],
    note: str = "",
    images: bool = False,
    **shared: Any,
) -> Iterator:
    """Axes [rows, columns] of a new figure, saved as PNG and SVG at the end.

    Args:
      path: of the files, without suffix.
      title: over the axes.
      rows: of axes.
      columns: of axes.
      size: width and height in inches.
      note: said in small letters below: with what budget the networks were trained.
      images: the axes show images, which an SVG would only make larger: PNG alone, no grid.
      **shared: whether axes share scales, see `pyplot.subplots`.
    """
    matplotlib.use("Agg")
    from matplotlib import pyplot

    style: Any = {**_STYLE, "axes.grid": not images, "svg.hashsalt": path.name}
    with matplotlib.rc_context(style):
        figure, axes = pyplot.subplots(
            rows, columns, figsize=size, squeeze=False, layout="constrained", **shared
        )
        yield axes
        figure.suptitle("\n".join(textwrap.wrap(title, 30 + int(9 * size[0]))))
        if note:
            words = textwrap.fill(note[0].upper() + note[1:], int(size[0] / _WIDE))
            figure.supxlabel(words, fontsize=_NOTE, color="0.35")
        _save(figure, path, images)
        pyplot.close(figure)


def _save(figure: Any, path: pathlib.Path, images: bool) -> None:
    """Writes the PNG, with no more colors than it needs, and the SVG."""
    with io.BytesIO() as drawn, replacing(path.with_suffix(".png")) as temporary:
        figure.savefig(drawn, dpi=76 if images else 120)
        with Image.open(drawn) as picture:
            pixels = picture.convert("RGB")
            if not images:
                pixels = pixels.quantize(_FEW)
            elif np.ptp(np.asarray(pixels), axis=2).max() == 0:
                pixels = pixels.convert("L")
            pixels.save(temporary, "PNG", optimize=True)
    if not images:
        with replacing(path.with_suffix(".svg")) as temporary:
            figure.savefig(temporary, metadata={"Date": None})


def label(code: str) -> str:
    """The published name of a codec, method or network, for a legend: with subscripts."""
    return re.sub(r"_(\w)", r"$_\1$", published_name(code))


def rates(axis: Any) -> None:
    """Makes an axis of rates logarithmic, with ticks that are read as numbers."""
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
    axis.xaxis.set_minor_locator(ticker.NullLocator())


def style(index: int) -> dict[str, str]:
    """Color and marker of a curve that has the same in several figures."""
    return {"color": COLORS[index], "marker": _MARKERS[index]}


def grids(
    crops: pathlib.Path, figures: pathlib.Path, titles: Mapping[str, str] | None = None
) -> list[str]:
    """Draws every folder of crops below one as a comparison grid; returns their names.

    Args:
      crops: with folders that `crop_grid` wrote.
      figures: to draw to.
      titles: of the figures by folder; what a folder says of its crops becomes the note.
    """
    drawn = []
    for folder in sorted(crops.glob("*")):
        if grid(folder, figures / folder.name, (titles or {}).get(folder.name, "")):
            drawn.append(folder.name)
        else:
            log.warning("%s has no index.json", folder)
    return drawn


def grid(folder: pathlib.Path, path: pathlib.Path, title: str = "") -> bool:
    """Draws crops side by side, as `crop_grid` wrote them; False if there are none."""
    if not (folder / "index.json").exists():
        return False
    page = crop_grid.read(folder)
    most = max(len(tiles) for tiles in page.images.values())
    columns = min(most, _MOST_COLUMNS)
    lines = [
        tiles[start : start + columns]
        for tiles in page.images.values()
        for start in range(0, len(tiles), columns)
    ]
    size = (1.75 * columns, 0.6 + 2.1 * len(lines))
    note = page.title if title else ""
    with figure(
        path, title or page.title, len(lines), columns, size, note=note, images=True
    ) as axes:
        for axis in axes.flat:
            axis.axis("off")
        for line, tiles in zip(axes, lines):
            for axis, tile in zip(line, tiles):
                show(axis, tile)
    return True


def show(axis: Any, tile: crop_grid.Tile) -> None:
    """A crop with its label, models by their published names."""
    axis.imshow(tile.pixels, interpolation="nearest")
    # Numbers stay beside what they are of, and their units beside them.
    together = re.sub(r"(?<=\w) (?=\d)|(?<=\d) (?=[a-z])", "\N{NO-BREAK SPACE}", tile.label)
    lines = published_label(together).splitlines()
    wrapped = "\n".join(textwrap.fill(line, _TITLE) for line in lines)
    axis.set_title(wrapped, fontsize=8)
    axis.axis("off")
