"""Figures: files that are equal when the numbers are."""

from __future__ import annotations

import contextlib
import logging
import pathlib
import textwrap
from collections.abc import Iterator

import matplotlib

from lossylab.core.files import replacing
from lossylab.eval.report import crop_grid

log = logging.getLogger("lossylab")


@contextlib.contextmanager
def figure(
    path: pathlib.Path,
    title: str,
    rows: int,
    columns: int,
    size: tuple[float, float],
    images: bool = False,
) -> Iterator:
    """Axes [rows, columns] of a new figure, saved as PNG and SVG at the end.

    Args:
      path: of the files, without suffix.
      title: over the axes.
      rows: of axes.
      columns: of axes.
      size: width and height in inches.
      images: the axes show images, which an SVG would only make larger: PNG alone.
    """
    matplotlib.use("Agg")
    from matplotlib import pyplot

    with matplotlib.rc_context({"svg.hashsalt": path.name}):
        figure, axes = pyplot.subplots(
            rows, columns, figsize=size, squeeze=False, layout="constrained"
        )
        yield axes
        figure.suptitle("\n".join(textwrap.wrap(title, 30 + int(9 * size[0]))), fontsize=10)
        for suffix, metadata in ((".png", None), (".svg", {"Date": None}))[: 1 if images else 2]:
            with replacing(path.with_suffix(suffix)) as temporary:
                figure.savefig(temporary, dpi=80 if images else 120, metadata=metadata)
        pyplot.close(figure)


def grids(crops: pathlib.Path, figures: pathlib.Path) -> list[str]:
    """Draws every folder of crops below one as a comparison grid; returns their names.

    Args:
      crops: with folders that `crop_grid` wrote.
      figures: to draw to.
    """
    drawn = []
    for folder in sorted(crops.glob("*")):
        if grid(folder, figures / folder.name):
            drawn.append(folder.name)
        else:
            log.warning("%s has no index.json", folder)
    return drawn


def grid(folder: pathlib.Path, path: pathlib.Path) -> bool:
    """Draws crops side by side, as `crop_grid` wrote them; False if there are none."""
    if not (folder / "index.json").exists():
        return False
    page = crop_grid.read(folder)
    images = page.images
    columns = max(len(items) for items in images.values())
    size = (2.5 * columns, 0.7 + 2.9 * len(images))
    with figure(path, page.title, len(images), columns, size, images=True) as axes:
        for axis in axes.flat:
            axis.axis("off")
        for line, items in zip(axes, images.values()):
            for axis, item in zip(line, items):
                axis.imshow(item.pixels, interpolation="nearest")
                axis.set_title(item.label, fontsize=8)
    return True
