"""Scores images without a reference by a trained RankIQA network: larger is worse.

  lossylab eval rankiqa restored --model=runs/finetuned/export --csv=scores.csv

INPUT is a file, a folder, a glob or a named collection. As in "Perceptual Image Restoration with
High-Quality Priori and Degradation Learning", Sec. 4.4.3, 100 random crops of each image are
scored, or of the image resized to 256x256 first; their mean and median per image, averaged over
images, are the four score columns of its Table 2.
"""

from __future__ import annotations

import csv
import pathlib
import sys

import numpy as np
import tqdm
from absl import flags

from lossylab.core.app import launch, new_flags, parse, require
from lossylab.core.files import replacing
from lossylab.core.options import naming
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.data.patch_pairs import noise_seed
from lossylab.data.patches import check_sizes
from lossylab.eval.report import tables
from lossylab.inference.export.rankiqa import CROPS, RESIZED, STRATEGIES, Scorer

_COLUMNS = {
    "mean": "score, mean",
    "median": "score, median",
    "resize_mean": "score (resize), mean",
    "resize_median": "score (resize), median",
}

FLAGS = new_flags()
flags.DEFINE_string("model", None, "Folder of an exported network.", flag_values=FLAGS)
flags.DEFINE_enum(
    "strategy", "both", list(STRATEGIES), "Crops of what; the paper has both.", flag_values=FLAGS
)
flags.DEFINE_integer("crops", CROPS, "Of each image.", 1, flag_values=FLAGS)
flags.DEFINE_integer("seed", 0, "Of their places.", 0, 2**31 - 1, flag_values=FLAGS)
flags.DEFINE_string("csv", None, "File for the scores of each image.", flag_values=FLAGS)


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    arguments = parse(FLAGS, argv, __doc__)
    require(len(arguments) == 1, f"expected one INPUT, got {len(arguments)} arguments")
    require(bool(FLAGS.model), "--model is needed: the folder of an exported network")
    paths = find_images(arguments[0])
    with naming("model"):
        model = Scorer(FLAGS.model)
    if FLAGS.strategy != "resize":
        check_sizes(paths, model.patch, "the crops")
    require(
        FLAGS.strategy == "crops" or model.patch <= RESIZED,
        f"--model: its crops of {model.patch} pixels do not fit into {RESIZED}: "
        "--strategy=crops only",
    )
    measured = []
    for path in tqdm.tqdm(paths, unit="image", desc="scoring"):
        image, seed = read_image(path), (FLAGS.seed, noise_seed(path))
        scores = model.table2(image, seed, FLAGS.crops, FLAGS.strategy)
        place = {"image": path, "width": image.shape[1], "height": image.shape[0]}
        measured.append({**place, **scores})
    if FLAGS.csv:
        _write(FLAGS.csv, measured)
    names = [name for name in _COLUMNS if name in measured[0]]
    means = {_COLUMNS[n]: f"{np.mean([row[n] for row in measured]):.2f}" for n in names}
    line = {"images": pathlib.Path(arguments[0]).name, "count": str(len(paths)), **means}
    sys.stdout.write(tables.markdown_table([line]) + "\n")


def _write(path: str, measured: list[dict]) -> None:
    with replacing(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, list(measured[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(measured)


if __name__ == "__main__":
    launch(main)
