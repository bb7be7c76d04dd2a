"""Likelihood of degraded images given their clean versions, and given others': rows (Table 1)."""

from __future__ import annotations

import functools
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tqdm

from lossylab.core import command, rows
from lossylab.core.digest import digest
from lossylab.core.environment import timed
from lossylab.core.options import naming, require, require_distinct
from lossylab.data.collections import find_images
from lossylab.data.scaled_pairs import centered_pairs
from lossylab.eval.measurements import Measurements, Row, own_folder, write_about
from lossylab.eval.options.latent import DegradationNllOptions
from lossylab.eval.report import degradation_grid, tables
from lossylab.eval.schemas import DEGRADATION_NLL, KINDS, PAIRED, UNPAIRED
from lossylab.eval.sharing import shards
from lossylab.inference.export.degradation import Degradation, degraded_options

PROTOCOL = (
    "degraded whole, both scaled down, middle windows of one size; unpaired: the next image; "
    "bits per number, mean over images"
)

_DECIDES = PROTOCOL.replace("image", "picture")  # its words when the first rows were measured

Pair = tuple[np.ndarray, np.ndarray]  # clean and degraded, uint8 [H, W, 3]


def paired_and_unpaired(
    bits: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], pairs: Sequence[Pair]
) -> np.ndarray:
    """Bits of each degraded image, given its own clean version and the next one's.

    Args:
      bits: from degraded images and conditions, float32 [1, H, W, 3], to [1].
      pairs: clean and degraded images, uint8 of one shape [H, W, 3]; at least two.

    Returns:
      float64 [images, 2].
    """
    return np.array(
        [[float(_score(bits, pairs, i, kind)) for kind in KINDS] for i in range(len(pairs))]
    )


def _score(
    bits: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    pairs: Sequence[Pair],
    index: int,
    kind: str,
) -> float:
    degraded, condition = pairs[index][1], pairs[_partner(index, kind, len(pairs))][0]
    tensors = [tf.constant(each[None], tf.float32) for each in (degraded, condition)]
    return bits(*tensors)[0].numpy()


def _partner(index: int, kind: str, count: int) -> int:
    """Index of the image whose clean version is the condition."""
    return index if kind == PAIRED else (index + 1) % count


def measure(options: DegradationNllOptions) -> list[Row]:
    """Measures what is missing and prints the means; or draws degraded images instead.

    Returns:
      The rows of all images, paired and unpaired.

    Raises:
      UsageError: if there are too few images, or two of one name.
    """
    paths = find_images(options.data)
    require(len(paths) > 1, "`data` needs at least two images: each is scored given another, too")
    stems = [pathlib.Path(path).stem for path in paths]
    require_distinct("images", stems)
    with naming("model"):
        model = Degradation(options.model)
    mine = [paths.index(path) for path in shards.part(paths, options.shard)]
    pairs = centered_pairs(paths, degraded_options(model), options.window)
    if options.crops_dir:
        degradation_grid.write(options.crops_dir, options.budget, model, stems, pairs)
        return []
    path = None
    if options.out:
        path = own_folder(options.out, ("nll_about.json",), "nll.csv") / "nll.csv"
    with Measurements.of(path, DEGRADATION_NLL) as table:
        measured = _measure_all(options, table, model, stems, pairs, mine)
    if options.out:
        facts = {"data": options.data, **shards.said(options.shard), "protocol": PROTOCOL}
        write_about(options.out, facts, "nll_about.json")
        command.written(options.out, "nll.csv, nll_about.json")
    sys.stdout.write(tables.markdown_table(_means(options.name, measured)) + "\n")
    return measured


def _measure_all(
    options: DegradationNllOptions,
    table: Measurements,
    model: Degradation,
    stems: list[str],
    pairs: list[Pair],
    mine: list[int],
) -> list[Row]:
    """The rows of some images, paired and unpaired; those that are missing are measured."""
    identity = rows.identity(model.weights, _DECIDES, options.budget)

    def is_old(row: Row) -> bool:
        changed = row["identity"] != identity
        gone = row["data"] == options.data and row["image"] not in stems
        return row["model"] == options.name and (changed or gone)

    table.supersede(is_old, "are of other weights, budgets or images")
    measured = []
    for index, kind in tqdm.tqdm(
        [(i, kind) for i in mine for kind in KINDS], unit="score", desc="measuring"
    ):
        partner = _partner(index, kind, len(stems))
        both = np.concatenate([pairs[index][1], pairs[partner][0]])
        row = table.get_or_measure(
            {"model": options.name, "kind": kind, "data": options.data, "image": stems[index]},
            {"condition": stems[partner], "identity": identity, "content": digest(both)[:16]},
            functools.partial(_measure, options.budget, model, pairs, index, kind),
        )
        measured.append(row)
    return measured


def _measure(
    budget: str, model: Degradation, pairs: list[Pair], index: int, kind: str
) -> dict[str, Any]:
    """A row but for what names and decides it."""
    nll, milliseconds = timed(_score, model.nll, pairs, index, kind)
    height, width = pairs[index][1].shape[:2]
    learned = degraded_options(model)
    return {
        **{"degradation": learned.distortion, "severity": learned.severity},
        **{"factor": learned.factor, "width": width, "height": height, "nll": float(nll)},
        **{"seconds": milliseconds / 1000, "parameters": model.parameters},
        **{"budget": budget, "protocol": PROTOCOL},
    }


def _means(model: str, measured: list[Row]) -> list[dict[str, str]]:
    """Mean bits of both kinds, and how often the own clean version is the likelier one."""
    bits = {kind: [float(r["nll"]) for r in measured if r["kind"] == kind] for kind in KINDS}
    right = np.mean(np.array(bits[PAIRED]) < np.array(bits[UNPAIRED]))
    return [
        {
            "model": model,
            "images": str(len(bits[PAIRED])),
            **{kind: tables.number(float(np.mean(bits[kind])), 3) for kind in KINDS},
            "own likelier": f"{100 * right:.0f} %",
        }
    ]


if __name__ == "__main__":
    command.as_program(DegradationNllOptions, measure, "lossylab eval degradation_nll")
