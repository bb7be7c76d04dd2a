"""How often a RankIQA network ranks a stronger distortion as worse: rows by kind of distortion."""

from __future__ import annotations

import functools
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.stats
import tqdm

from lossylab.core import command, rows
from lossylab.core.digest import digest
from lossylab.core.options import naming, require_distinct
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.data.patch_pairs import noise_seed
from lossylab.data.patches import check_sizes
from lossylab.data.rankings import DISTORTION_LEVELS, versions
from lossylab.eval.measurements import Measurements, Row
from lossylab.eval.options.latent import RankAccuracyOptions
from lossylab.eval.report import tables
from lossylab.eval.schemas import RANK_ACCURACY
from lossylab.inference.export.rankiqa import Scorer, random_crops

PAPER = "mmd_restoration"
# What decides a score beside weights and images.
_LEVELS = tuple((name, kind.trained, kind.held_out) for name, kind in DISTORTION_LEVELS.items())
LEVEL_SETS = {"trained": False, "held out": True}


def level_crops(
    paths: Sequence[str], name: str, held_out: bool, patch: int, crops: int, seed: int
) -> np.ndarray:
    """Crops of images at all levels of a distortion.

    Args:
      paths: image files.
      name: of the distortion.
      held_out: levels between those of training.
      patch: height and width of the crops in pixels.
      crops: of each version; at the same places in all versions of an image.
      seed: of their places.

    Returns:
      uint8 [images, levels, crops, patch, patch, 3], the strongest level first.

    Raises:
      ImageError: for images that are smaller than the crops.
    """
    found = []
    for path in paths:
        own = noise_seed(path)
        distorted = versions(read_image(path), name, own, held_out)
        found.append([random_crops(version, patch, crops, (seed, own)) for version in distorted])
    return np.array(found)


def scores_of(score: Callable[[np.ndarray], np.ndarray], crops: np.ndarray) -> np.ndarray:
    """Mean scores [images, levels] of crops [images, levels, crops, patch, patch, 3]."""
    shape = crops.shape
    return score(crops.reshape(-1, *shape[3:])).reshape(shape[:3]).mean(-1)


def accuracy(scores: np.ndarray, same: bool = False) -> float:
    """Fraction of pairs of levels in the right order; ties are half right.

    Args:
      scores: [images, levels], the strongest level first; larger should be worse.
      same: only pairs of the same image.
    """
    right = []
    for strong in range(scores.shape[1]):
        for weak in range(strong + 1, scores.shape[1]):
            others = scores[:, weak] if same else scores[:, weak][:, None]
            right.append((np.sign(scores[:, strong] - others) + 1) / 2)
    return float(np.mean(right))


def srocc(scores: np.ndarray) -> float:
    """Spearman's correlation of scores [images, levels] with levels; 0 if all are equal."""
    levels = np.broadcast_to(np.arange(scores.shape[1])[::-1], scores.shape)
    if np.ptp(scores) == 0:
        return 0.0
    correlation, _ = scipy.stats.spearmanr(levels.ravel(), scores.ravel())
    return float(np.asarray(correlation))


def measure(options: RankAccuracyOptions) -> list[Row]:
    """Measures what is missing and prints the rows.

    Returns:
      The row of each distortion and set of levels.

    Raises:
      UsageError: if two images have one name.
    """
    paths = find_images(options.data)
    require_distinct("images", [pathlib.Path(path).stem for path in paths])
    with naming("model"):
        model = Scorer(options.model)
    paths = check_sizes(paths, model.patch, "the crops", options.skip_small)
    decides = {
        **{"crops": options.num_crops, "seed": options.seed, "budget": options.budget},
        "identity": rows.identity(model.weights, _LEVELS),
        "content": rows.identity(*(digest(read_image(path)) for path in paths)),
    }
    measured = []
    path = pathlib.Path(options.out) / "rank_accuracy.csv"
    with Measurements.of(path, RANK_ACCURACY) as table:
        for name in tqdm.tqdm(DISTORTION_LEVELS, unit="distortion", desc="measuring"):
            for label, held_out in LEVEL_SETS.items():
                row = table.get_or_measure(
                    {
                        **{"model": options.name, "distortion": name},
                        **{"levels": label, "data": options.data},
                    },
                    decides,
                    functools.partial(_measure, options, model, paths, name, held_out),
                )
                measured.append(row)
    sys.stdout.write(tables.markdown_table(map(_line, measured)) + "\n")
    command.written(options.out, path.name)
    return measured


def _measure(
    options: RankAccuracyOptions, model: Scorer, paths: list[str], name: str, held_out: bool
) -> dict[str, Any]:
    """A row but for what names and decides it."""
    scores = np.concatenate(
        [
            scores_of(
                model.score,
                level_crops([path], name, held_out, model.patch, options.num_crops, options.seed),
            )
            for path in paths
        ]
    )
    return {
        **{"paper": PAPER, "images": len(paths), "parameters": model.parameters},
        **{"accuracy": accuracy(scores), "accuracy_same": accuracy(scores, True)},
        "srocc": srocc(scores),
    }


def _line(row: dict[str, str]) -> dict[str, str]:
    numbers = ("accuracy", "accuracy_same", "srocc")
    return {
        **{"distortion": row["distortion"], "levels": row["levels"]},
        **{name: tables.number(float(row[name]), 3) for name in numbers},
    }


if __name__ == "__main__":
    command.as_program(RankAccuracyOptions, measure, "lossylab eval rank_accuracy")
