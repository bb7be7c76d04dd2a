"""Severities of the real distortions, which the distortion GAN's paper does not print.

Its Table I's off-diagonal divergences are of generated against real distortions. Those of real
against real distortions should be alike: of a grid of severities the one is taken with the least
mean absolute logarithm of the ratio between both. What is nearest of all is no choice, for these
statistics hardly change with strength: JPEG of quality 40 beside white noise of 120. `LIMITS`
keep every distortion visible and the image, too; where one of them decides, or the border of the
grid, the table says so.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping

import numpy as np

from lossylab.data.decode import read_image
from lossylab.data.distortions import DISTORTIONS, distort
from lossylab.data.patch_pairs import noise_seed
from lossylab.eval.metrics import nss
from lossylab.eval.report import published, tables
from lossylab.eval.report.tables import Line
from lossylab.eval.schemas import SEVERITY_LIMITED, SHORT

log = logging.getLogger("lossylab")

GRID = {
    "jpeg": (10, 20, 30, 40, 50, 60, 70, 80),
    "jpeg2000": (6, 8, 10, 12, 16, 20, 30, 40),
    "white": (20, 30, 40, 60, 90, 120, 150, 200),
    "pink": (2, 3, 4, 5, 7, 10, 15, 20, 30),
}
# Blocks show up to this quality; stronger white noise hides the image; weaker pink noise is a tint.
LIMITS = {"jpeg": (0, 40), "white": (0, 60), "pink": (10, 255)}
_KEPT = 6  # lines of the table within the limits, and of all others
_LEAST = 1e-6


def search(paths: list[str]) -> str:
    """The best severities as CSV: a line a choice, those within the limits first, nearest first.

    Warns if the first line's lie at the border of the grid.

    Args:
      paths: image files.
    """
    found, wanted = divergences(paths), _wanted()
    lines = [_line(choice, found, wanted) for choice in itertools.product(*GRID.values())]
    lines.sort(key=lambda line: float(line["mean abs log ratio"]))
    chosen = []
    for word in ("yes", "no"):
        chosen += [line for line in lines if line[SEVERITY_LIMITED] == word][:_KEPT]
    if border := chosen[0]["at the grid's border"]:
        log.warning("severities of %s lie at the grid's border: a wider one may be nearer", border)
    return tables.csv_table(chosen)


def _line(choice: tuple[float, ...], found: Mapping, wanted: Mapping) -> Line:
    """A choice of one severity each: how near it is, what it is, and what it ends at."""
    severities = dict(zip(GRID, choice))
    here = {
        (a, b): found[a, severities[a], b, severities[b]]
        for a, b in itertools.combinations(GRID, 2)
    }
    ratios = [np.log(max(here[pair], _LEAST) / wanted[pair]) for pair in here]
    ends = {n: (min(GRID[n]), max(GRID[n])) for n in GRID if len(GRID[n]) > 1}
    inside = all(low <= severities[name] <= high for name, (low, high) in LIMITS.items())
    return {
        "mean abs log ratio": tables.number(float(np.mean(np.abs(ratios))), 4),
        **{name: f"{severity:g}" for name, severity in severities.items()},
        **{f"{SHORT[a]}-{SHORT[b]}": tables.number(v, 4) for (a, b), v in here.items()},
        SEVERITY_LIMITED: "yes" if inside else "no",
        "at a limit": _at(severities, LIMITS) if inside else "",
        "at the grid's border": _at(severities, ends),
    }


def _at(severities: Mapping[str, float], ends: Mapping[str, tuple[float, float]]) -> str:
    """Short names of the distortions whose severity is one of two ends."""
    return " ".join(SHORT[name] for name, pair in ends.items() if severities[name] in pair)


def divergences(paths: list[str]) -> dict[tuple, float]:
    """Mean JSD of two real distortions by (name, severity, name, severity)."""
    total: dict[tuple, float] = dict.fromkeys(
        (
            (a, x, b, y)
            for a, b in itertools.combinations(GRID, 2)
            for x in GRID[a]
            for y in GRID[b]
        ),
        0.0,
    )
    for path in paths:
        image = read_image(path)
        histograms = {
            (name, severity): nss.histogram(distort(image, name, severity, noise_seed(path)))
            for name in DISTORTIONS
            for severity in GRID[name]
        }
        for a, x, b, y in total:
            value = nss.jensen_shannon(histograms[a, x], histograms[b, y])
            total[a, x, b, y] += value / len(paths)
    return total


def _wanted() -> dict[tuple[str, str], float]:
    """Table I's off-diagonal values, the geometric mean of both directions."""
    cells = published.numbers("distortion_gan", "I")
    return {
        (a, b): (cells[SHORT[a], SHORT[b], "mean"] * cells[SHORT[b], SHORT[a], "mean"]) ** 0.5
        for a, b in itertools.combinations(GRID, 2)
    }
