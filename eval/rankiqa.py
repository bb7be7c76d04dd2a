"""Scores images without a reference by a trained RankIQA network: larger is worse."""

from __future__ import annotations

import csv
import pathlib
import sys

import numpy as np
import tqdm

from lossylab.core import command
from lossylab.core.files import replacing
from lossylab.core.options import naming, require
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.data.patch_pairs import noise_seed
from lossylab.data.patches import check_sizes
from lossylab.eval.options.rankiqa import RankiqaOptions
from lossylab.eval.report import tables
from lossylab.inference.export.rankiqa import RESIZED, Scorer

_COLUMNS = {
    "mean": "score, mean",
    "median": "score, median",
    "resize_mean": "score (resize), mean",
    "resize_median": "score (resize), median",
}


def measure(options: RankiqaOptions) -> list[dict]:
    """Scores images, prints their means and writes the scores if asked for.

    Returns:
      A line for each image: its path, size and scores.

    Raises:
      UsageError: if the network's crops do not fit.
    """
    paths = find_images(options.input)
    with naming("model"):
        model = Scorer(options.model)
    if options.scoring != "resize":
        paths = check_sizes(paths, model.patch, "the crops", options.skip_small)
    require(
        options.scoring == "crops" or model.patch <= RESIZED,
        f"`model`: its crops of {model.patch} pixels do not fit into {RESIZED}: "
        "`scoring`=crops only",
    )
    measured = []
    for path in tqdm.tqdm(paths, unit="image", desc="scoring"):
        image, seed = read_image(path), (options.seed, noise_seed(path))
        scores = model.table2(image, seed, options.num_crops, options.scoring)
        size = {"width": image.shape[1], "height": image.shape[0]}
        measured.append({"image": path, **size, **scores})
    if options.out:
        _write(options.out, measured)
    names = [name for name in _COLUMNS if name in measured[0]]
    means = {_COLUMNS[n]: f"{np.mean([row[n] for row in measured]):.2f}" for n in names}
    line = {"images": pathlib.Path(options.input).name, "count": str(len(paths)), **means}
    sys.stdout.write(tables.markdown_table([line]) + "\n")
    return measured


def _write(path: str, measured: list[dict]) -> None:
    with replacing(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, list(measured[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(measured)


if __name__ == "__main__":
    command.as_program(RankiqaOptions, measure, "lossylab eval rankiqa")
