"""Scores images without a reference by a trained RankIQA network: larger is worse.

  lossylab eval rankiqa restored --model=runs/finetuned/export --csv=scores.csv

INPUT is a file, a folder, a glob or a named collection. As in "Perceptual Image Restoration with
High-Quality Priori and Degradation Learning", Sec. 4.4.3, 100 random crops of each image are
scored, or of the image resized to 256x256 first; their mean and median per image, averaged over
images, are the four score columns of its Table 2.

Loading an export needs TensorFlow, but no lossylab:

  import tensorflow as tf
  model = tf.saved_model.load("runs/finetuned/export").signatures
  scores = model["score"](crops=crops)["scores"]  # of uint8 [N, 224, 224, 3]
"""

from __future__ import annotations

import csv
import pathlib
import sys

import numpy as np
import tensorflow as tf
import tqdm
from absl import flags

from lossylab.core.app import launch, new_flags, parse, require
from lossylab.core.errors import ImageError
from lossylab.core.files import replacing
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.data.patch_pairs import noise_seed
from lossylab.data.patches import check_sizes
from lossylab.data.scaling import scaled
from lossylab.eval.report import tables
from lossylab.inference.export import base as saved_model
from lossylab.inference.export.served_rankiqa import SIGNATURES, ServedRankIQA
from lossylab.models import rankiqa

CROPS = 100  # Sec. 4.4.3
RESIZED = 256  # pixels, likewise
_AT_ONCE = 2**20  # pixels that the network sees at once
_STRATEGIES = {"crops": ("",), "resize": ("resize_",), "both": ("", "resize_")}
_COLUMNS = {
    "mean": "score, mean",
    "median": "score, median",
    "resize_mean": "score (resize), mean",
    "resize_median": "score (resize), median",
}

FLAGS = new_flags()
flags.DEFINE_string("model", None, "Folder of an exported network.", flag_values=FLAGS)
flags.DEFINE_enum(
    "strategy", "both", list(_STRATEGIES), "Crops of what; the paper has both.", flag_values=FLAGS
)
flags.DEFINE_integer("crops", CROPS, "Of each image.", 1, flag_values=FLAGS)
flags.DEFINE_integer("seed", 0, "Of their places.", 0, 2**31 - 1, flag_values=FLAGS)
flags.DEFINE_string("csv", None, "File for the scores of each image.", flag_values=FLAGS)


class LoadedRankIQA(saved_model.Loaded):
    """A loaded export: crops in, scores out.

    Attributes:
      patch: height and width of the crops in pixels.
    """

    def __init__(self, path: str):
        """Loads an export; raises ExportError if `path` is no RankIQA network's."""
        super().__init__(path, SIGNATURES, "RankIQA network")
        self.patch: int = self.info["patch"]

    def score(self, crops: np.ndarray) -> np.ndarray:
        """Scores float32 [N] of crops uint8 [N, patch, patch, 3]."""
        count = max(1, _AT_ONCE // self.patch**2)
        score = self._functions["score"]
        parts = [crops[i : i + count] for i in range(0, len(crops), count)]
        return np.concatenate([score(crops=tf.constant(part))["scores"].numpy() for part in parts])

    def table2(
        self,
        image: np.ndarray,
        seed: int | tuple[int, ...] = 0,
        crops: int = CROPS,
        strategy: str = "both",
    ) -> dict[str, float]:
        """Scores of an image as in the paper's Table 2.

        Args:
          image: uint8 [H, W, 3], at least as large as the crops.
          seed: of their places.
          crops: how many.
          strategy: 'crops' of the image, 'resize' it first, or 'both'.

        Returns:
          Of 'mean', 'median', 'resize_mean' and 'resize_median' those that the strategy has.

        Raises:
          ImageError: if the image is smaller than the crops.
        """
        found = {}
        for prefix in _STRATEGIES[strategy]:
            # Bicubic: assumed.
            whole = scaled(image, RESIZED) if prefix else image
            scores = self.score(random_crops(whole, self.patch, crops, seed))
            found[f"{prefix}mean"] = float(scores.mean())
            found[f"{prefix}median"] = float(np.median(scores))
        return found


def random_crops(
    image: np.ndarray, size: int, count: int, seed: int | tuple[int, ...]
) -> np.ndarray:
    """Crops at random places, all places alike: the authors' code leaves the last row out.

    Args:
      image: uint8 [H, W, 3].
      size: height and width of the crops in pixels; the image may have just that size.
      count: how many.
      seed: of the places.

    Returns:
      uint8 [count, size, size, 3].

    Raises:
      ImageError: if the image is smaller.
    """
    height, width = image.shape[:2]
    if min(height, width) < size:
        raise ImageError(
            f"an image of {width}x{height} pixels has no crops of {size}x{size}: scale it up, or "
            "use a network of smaller crops"
        )
    places = np.random.default_rng(seed).integers(
        (height - size + 1, width - size + 1), size=(count, 2)
    )
    return np.stack([image[top : top + size, left : left + size] for top, left in places])


def save_rankiqa(network: rankiqa.RankIQA, path: str, options: dict) -> None:
    """Writes a network as a SavedModel, beside first, then renamed.

    Args:
      network: the network.
      path: folder to write; an export that is there is replaced.
      options: how it was trained, JSON values.

    Raises:
      OutputError: if the folder cannot be written.
    """
    served = ServedRankIQA(network, options)
    saved_model.write(served, served.signatures(), path)


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    arguments = parse(FLAGS, argv, __doc__)
    require(len(arguments) == 1, f"expected one INPUT, got {len(arguments)} arguments")
    require(bool(FLAGS.model), "--model is needed: the folder of an exported network")
    paths = find_images(arguments[0])
    model = LoadedRankIQA(FLAGS.model)
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
