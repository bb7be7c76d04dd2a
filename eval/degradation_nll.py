"""Likelihood of degraded images given their good versions, and given others': rows (Table 1).

  lossylab eval degradation_nll --model=runs/jpeg5/export --data=kodak \\
      --title="small budget: ..." --out=results/mmd_restoration

Each image is degraded as the model has learned, scaled down as in its training, and its middle is
scored given its own good version ("paired") and the next image's ("unpaired"), in bits for
each number. All windows have one size: that of --crop, or the largest that all images have. Rows
go to nll.csv in --out; killed and given again, the command computes nothing twice. Rows of the same
model and data that this command would not give are set aside. The means go to standard output.
--sheets draws degraded versions of the windows instead (Fig. 5).
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import sys
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
import tqdm
from absl import flags

from lossylab.core import rows
from lossylab.core.app import launch, new_flags, parse, require, require_distinct, timed
from lossylab.core.digest import digest
from lossylab.core.environment import environment
from lossylab.core.files import make_folder, write_text
from lossylab.core.options import naming
from lossylab.data.collections import find_images
from lossylab.data.scaled_pairs import centerd_pairs
from lossylab.eval.report import degradation_grid, tables
from lossylab.inference.export.degradation import Degradation, degraded_options

COLUMNS = (
    *("model", "degradation", "severity", "factor", "kind", "data", "image", "condition"),
    *("width", "height", "nll", "seconds", "parameters", "budget", "protocol", "identity"),
    "content",
)
TEXT = (
    *("model", "degradation", "kind", "data", "image", "condition", "budget", "protocol"),
    *("identity", "content"),
)
PAIRED, UNPAIRED = KINDS = ("paired", "unpaired")
PROTOCOL = (
    "degraded whole, both scaled down, middle windows of one size; unpaired: the next image; "
    "bits per number, mean over images"
)

Pair = tuple[np.ndarray, np.ndarray]

FLAGS = new_flags()
flags.DEFINE_string("model", None, "Folder of an exported degradation model.", flag_values=FLAGS)
flags.DEFINE_string("name", "pixelcnn", "Of the model, for the rows.", flag_values=FLAGS)
flags.DEFINE_string("data", "kodak", "Images to measure on.", flag_values=FLAGS)
flags.DEFINE_integer(
    "crop", 0, "Side of the windows, pixels after scaling; 0: the largest.", 0, flag_values=FLAGS
)
flags.DEFINE_string("title", None, "Budget of the model, for the rows.", flag_values=FLAGS)
flags.DEFINE_string("out", None, "Folder of nll.csv; none: only the means.", flag_values=FLAGS)
flags.DEFINE_string(
    "sheets", None, "Only draw degraded images, and write a sheet of them.", flag_values=FLAGS
)


def paired_and_unpaired(
    bits: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], pairs: Sequence[Pair]
) -> np.ndarray:
    """Bits of each degraded image, given its own good version and the next one's.

    Args:
      bits: from degraded images and conditions, float32 [1, H, W, 3], to [1].
      pairs: good and degraded images, uint8 of one shape [H, W, 3]; at least two.

    Returns:
      float64 [images, 2].
    """
    return np.array(
        [[float(_score(bits, pairs, i, kind)) for kind in KINDS] for i in range(len(pairs))]
    )


def _score(bits, pairs: Sequence[Pair], index: int, kind: str) -> float:
    degraded, condition = pairs[index][1], pairs[_partner(index, kind, len(pairs))][0]
    sides = [tf.constant(side[None], tf.float32) for side in (degraded, condition)]
    return bits(*sides)[0].numpy()


def _partner(index: int, kind: str, count: int) -> int:
    """Index of the image whose good version is the condition."""
    return index if kind == PAIRED else (index + 1) % count


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    extra = parse(FLAGS, argv, __doc__)
    require(not extra, f"unexpected arguments: {' '.join(extra)}")
    require(bool(FLAGS.model), "--model is needed: the folder of an exported degradation model")
    writes = FLAGS.out or FLAGS.sheets
    require(bool(FLAGS.title) or not writes, "--out and --sheets need --title: the model's budget")
    paths = find_images(FLAGS.data)
    require(len(paths) > 1, "--data needs at least two images: each is scored given another, too")
    require_distinct("images", [pathlib.Path(path).stem for path in paths])
    with naming("model"):
        model = Degradation(FLAGS.model)
    pairs = centerd_pairs(paths, degraded_options(model), FLAGS.crop)
    if FLAGS.sheets:
        stems = [pathlib.Path(path).stem for path in paths]
        degradation_grid.write(FLAGS.sheets, FLAGS.title, model, stems, pairs)
        return
    if FLAGS.out is None:
        measured = _measure_all(None, model, paths, pairs)
    else:
        out = make_folder(FLAGS.out)
        with contextlib.closing(rows.Rows(out / "nll.csv", COLUMNS)) as table:
            measured = _measure_all(table, model, paths, pairs)
        about = {"data": FLAGS.data, "protocol": PROTOCOL, **environment()}
        write_text(out / "nll_about.json", json.dumps(about, indent=1) + "\n")
    sys.stdout.write(tables.markdown_table(_means(measured)) + "\n")


def _measure_all(
    table: rows.Rows | None, model: Degradation, paths: list[str], pairs: list[Pair]
) -> list[dict]:
    """The rows of all images, paired and unpaired; those that are missing are measured."""
    places = _places(model, paths, pairs)
    known = {} if table is None else _known(table, [place for _, place in places])
    measured = []
    for index, place in tqdm.tqdm(places, unit="score", desc="measuring"):
        if _key(place) not in known:
            row = _measure(place, model, pairs, index)
            known[_key(place)] = row if table is None else table.append(row)
        measured.append(known[_key(place)])
    return measured


def _places(model: Degradation, paths: list[str], pairs: list[Pair]) -> list[tuple[int, dict]]:
    """What is measured: the index of each image and what names its row, for both kinds."""
    stems = [pathlib.Path(path).stem for path in paths]
    identity = rows.identity(model.weights, PROTOCOL, FLAGS.title)
    places = []
    for index, kind in ((i, kind) for i in range(len(paths)) for kind in KINDS):
        partner = _partner(index, kind, len(paths))
        place = {
            **{"model": FLAGS.name, "kind": kind, "data": FLAGS.data, "image": stems[index]},
            **{"condition": stems[partner], "identity": identity},
            "content": digest(np.concatenate([pairs[index][1], pairs[partner][0]]))[:16],
        }
        places.append((index, place))
    return places


def _known(table: rows.Rows, places: list[dict]) -> dict[tuple, dict]:
    """Rows that are measured already, by key; those that are out of date are set aside."""
    wanted, identity = {_key(place) for place in places}, places[0]["identity"]

    def is_old(row):
        return row["model"] == FLAGS.name and (
            row["identity"] != identity or (row["data"] == FLAGS.data and _key(row) not in wanted)
        )

    table.set_aside(is_old, "are of other weights, budgets, images or windows")
    return {_key(row): row for row in table.rows}


def _measure(place: dict, model: Degradation, pairs: list[Pair], index: int) -> dict:
    nll, milliseconds = timed(_score, model.nll, pairs, index, place["kind"])
    height, width = pairs[index][1].shape[:2]
    options = degraded_options(model)
    return {
        **place,
        **{"degradation": options.distortion, "severity": options.severity},
        **{"factor": options.factor, "width": width, "height": height, "nll": float(nll)},
        **{"seconds": milliseconds / 1000, "parameters": model.parameters},
        **{"budget": FLAGS.title, "protocol": PROTOCOL},
    }


def _key(row: dict) -> tuple:
    names = ("model", "kind", "data", "image", "condition", "identity", "content")
    return tuple(str(row[name]) for name in names)


def _means(measured: list[dict]) -> list[dict[str, str]]:
    """Mean bits of both kinds, and how often the own good version is the likelier one."""
    bits = {kind: [float(r["nll"]) for r in measured if r["kind"] == kind] for kind in KINDS}
    told = np.mean(np.array(bits[PAIRED]) < np.array(bits[UNPAIRED]))
    return [
        {
            "model": FLAGS.name,
            "images": str(len(bits[PAIRED])),
            **{kind: tables.number(np.mean(bits[kind]), 3) for kind in KINDS},
            "told apart": f"{100 * told:.0f} %",
        }
    ]


if __name__ == "__main__":
    launch(main)
