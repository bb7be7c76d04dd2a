"""Severities of the real distortions, which the distortion GAN's paper does not print.

Its Table I's off-diagonal divergences are of generated against real distortions. Those of real
against real distortions should be alike: of a grid of severities the one is taken with the least
mean absolute logarithm of the ratio between both. White noise ends at a standard deviation of
60, as stronger noise hides the image, and pink noise at 5, as weaker noise does not show in these
statistics at all.
"""

from __future__ import annotations

import itertools

import numpy as np

from lossylab.data.decode import read_image
from lossylab.data.distortions import DISTORTIONS, distort
from lossylab.data.patch_pairs import noise_seed
from lossylab.eval.metrics import nss
from lossylab.eval.report import published, tables
from lossylab.eval.schemas import SHORT

GRID = {
    "jpeg": (20, 25, 30, 35, 40, 50),
    "jpeg2000": (8, 10, 12, 16, 20, 30),
    "white": (25, 30, 40, 50, 60),
    "pink": (5, 7, 10, 15),
}
_KEPT = 20  # lines of the table
_LEAST = 1e-6


def search(paths: list[str]) -> str:
    """The best severities as CSV: a line a choice, nearest to Table I first.

    Args:
      paths: image files.
    """
    found = divergences(paths)
    wanted = _wanted()
    lines = []
    for choice in itertools.product(*GRID.values()):
        severities = dict(zip(GRID, choice))
        here = {
            (a, b): found[a, severities[a], b, severities[b]]
            for a, b in itertools.combinations(GRID, 2)
        }
        ratios = [np.log(max(here[pair], _LEAST) / wanted[pair]) for pair in here]
        lines.append((float(np.mean(np.abs(ratios))), severities, here))
    lines.sort(key=lambda line: line[0])
    return tables.csv_table(
        {
            "mean abs log ratio": tables.number(distance, 4),
            **{name: f"{severity:g}" for name, severity in severities.items()},
            **{f"{SHORT[a]}-{SHORT[b]}": tables.number(v, 4) for (a, b), v in here.items()},
        }
        for distance, severities, here in lines[:_KEPT]
    )


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
