"""How often a RankIQA network ranks a stronger distortion as worse: rows by kind of distortion.

  lossylab eval rank_accuracy --model=runs/rankiqa/export --data=kodak \\
      --title="small budget: ..." --out=results/mmd_restoration

Each image is distorted in four ways at the levels that RankIQA is trained with, and at levels
between them, and scored at each as the mean over crops. A row has, for one kind and set of levels,
the share of pairs of levels, the pristine image among them, that are scored in the right order:
of all images as in training, and of the same image; and Spearman's correlation of scores with
levels. Rows go to OUT/rank_accuracy.csv. What is there already is not measured again.
"""

from __future__ import annotations

import contextlib
import pathlib
import sys
from collections.abc import Callable, Sequence

import numpy as np
import scipy.stats
import tqdm
from absl import flags

from lossylab.core import rows
from lossylab.core.app import launch, new_flags, parse, require, require_distinct
from lossylab.core.digest import digest
from lossylab.core.files import make_folder
from lossylab.core.options import naming
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.data.patch_pairs import noise_seed
from lossylab.data.patches import check_sizes
from lossylab.data.rankings import LADDERS, versions
from lossylab.eval.report import tables
from lossylab.inference.export.rankiqa import Scorer, random_crops

COLUMNS = (
    *("paper", "model", "distortion", "levels", "data", "images", "crops", "seed"),
    *("accuracy", "accuracy_same", "srocc", "parameters", "budget", "identity", "content"),
)
TEXT = (*("paper", "model", "distortion", "levels", "data", "budget", "identity", "content"),)
PAPER = "mmd_restoration"
# What decides a score beside weights and images.
_LEVELS = tuple((name, kind.trained, kind.held_out) for name, kind in LADDERS.items())
LEVEL_SETS = {"trained": False, "held out": True}

FLAGS = new_flags()
flags.DEFINE_string("model", None, "Folder of an exported network.", flag_values=FLAGS)
flags.DEFINE_string("name", "RankIQA", "Of the model, for the rows.", flag_values=FLAGS)
flags.DEFINE_string("data", "kodak", "Images to measure on.", flag_values=FLAGS)
flags.DEFINE_string("title", None, "Budget of the model, for the rows.", flag_values=FLAGS)
flags.DEFINE_string("out", None, "Folder of rank_accuracy.csv.", flag_values=FLAGS)
flags.DEFINE_integer("crops", 5, "Of each version of an image.", 1, flag_values=FLAGS)
flags.DEFINE_integer("seed", 0, "Of their places.", 0, 2**31 - 1, flag_values=FLAGS)


def ladder_crops(
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
        made = versions(read_image(path), name, own, held_out)
        found.append([random_crops(version, patch, crops, (seed, own)) for version in made])
    return np.array(found)


def scores_of(score: Callable[[np.ndarray], np.ndarray], crops: np.ndarray) -> np.ndarray:
    """Mean scores [images, levels] of crops [images, levels, crops, patch, patch, 3]."""
    shape = crops.shape
    return score(crops.reshape(-1, *shape[3:])).reshape(shape[:3]).mean(-1)


def accuracy(scores: np.ndarray, same: bool = False) -> float:
    """Share of pairs of levels in the right order; ties are half right.

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
    return float(scipy.stats.spearmanr(levels.ravel(), scores.ravel())[0])


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    extra = parse(FLAGS, argv, __doc__)
    require(not extra, f"unexpected arguments: {' '.join(extra)}")
    for name, what in (("model", "an exported network"), ("out", "the rows")):
        require(bool(FLAGS[name].value), f"--{name} is needed: the folder of {what}")
    require(bool(FLAGS.title), "--title is needed: the model's budget")
    paths = find_images(FLAGS.data)
    require_distinct("images", [pathlib.Path(path).stem for path in paths])
    with naming("model"):
        model = Scorer(FLAGS.model)
    check_sizes(paths, model.patch, "the crops")
    place = {
        **{"paper": PAPER, "model": FLAGS.name, "data": FLAGS.data, "images": len(paths)},
        **{"crops": FLAGS.crops, "seed": FLAGS.seed, "budget": FLAGS.title},
        "content": rows.identity(*(digest(read_image(path)) for path in paths)),
        **{"identity": rows.identity(model.weights, _LEVELS), "parameters": model.parameters},
    }
    table_path = make_folder(FLAGS.out) / "rank_accuracy.csv"
    with contextlib.closing(rows.Rows(table_path, COLUMNS)) as table:
        decisive = ("identity", "content", "budget", "crops", "seed")
        changed = {name: str(place[name]) for name in decisive}
        table.set_aside(
            lambda row: (
                (row["model"], row["data"]) == (FLAGS.name, FLAGS.data)
                and any(row[name] != value for name, value in changed.items())
            ),
            "are of other weights, levels, images, crops or budgets",
        )
        measured = list(_measure(table, model, paths, place))
    sys.stdout.write(tables.markdown_table(map(_line, measured)) + "\n")


def _measure(table: rows.Rows, model: Scorer, paths: list[str], place: dict):
    """The row of each distortion and set of levels, measured if it is missing."""
    known = {_key(row): row for row in table.rows}
    for name in tqdm.tqdm(LADDERS, unit="distortion", desc="measuring"):
        for label, held_out in LEVEL_SETS.items():
            row = {**place, "distortion": name, "levels": label}
            if _key(row) not in known:
                scores = np.concatenate(
                    [
                        scores_of(
                            model.score,
                            ladder_crops([p], name, held_out, model.patch, FLAGS.crops, FLAGS.seed),
                        )
                        for p in paths
                    ]
                )
                row |= {"accuracy": accuracy(scores), "accuracy_same": accuracy(scores, True)}
                known[_key(row)] = table.append(row | {"srocc": srocc(scores)})
            yield known[_key(row)]


def _key(row: dict) -> tuple:
    names = ("model", "distortion", "levels", "data", "crops", "seed", "budget", "identity")
    return tuple(str(row[name]) for name in (*names, "content"))


def _line(row: dict[str, str]) -> dict[str, str]:
    numbers = ("accuracy", "accuracy_same", "srocc")
    return {
        **{"distortion": row["distortion"], "levels": row["levels"]},
        **{name: tables.number(float(row[name]), 3) for name in numbers},
    }


if __name__ == "__main__":
    launch(main)
