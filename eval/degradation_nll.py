"""Likelihood of degraded images given their clean versions, and given others': rows (Table 1)."""

from __future__ import annotations

import dataclasses
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
from lossylab.eval.one_spread import OneSpread
from lossylab.eval.options.latent import DegradationNllOptions
from lossylab.eval.report import degradation_grid, tables
from lossylab.eval.schemas import DEGRADATION_NLL, KINDS, PAIRED, UNPAIRED, UNTRAINED, one_spread
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
    return np.array([[_score(bits, pairs, i, kind) for kind in KINDS] for i in range(len(pairs))])


def _score(
    bits: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    pairs: Sequence[Pair],
    index: int,
    kind: str,
) -> float:
    degraded, condition = pairs[index][1], pairs[_partner(index, kind, len(pairs))][0]
    tensors = [tf.constant(each[None], tf.float32) for each in (degraded, condition)]
    return float(bits(*tensors)[0])


def _partner(index: int, kind: str, count: int) -> int:
    """Index of the image whose clean version is the condition."""
    return index if kind == PAIRED else (index + 1) % count


@dataclasses.dataclass(frozen=True)
class _Scored:
    """Whose likelihoods are measured: a degradation model's, or its rival's.

    Attributes:
      name: for the rows.
      nll: from degraded images and conditions, float32 [1, H, W, 3], to bits [1].
      facts: what its rows say of it.
      identity: what decides them, but for the images.
      of_data: whether it was fitted to the images.
    """

    name: str
    nll: Callable[[tf.Tensor, tf.Tensor], Any]
    facts: dict[str, Any]
    identity: str
    of_data: bool = False


def measure(options: DegradationNllOptions) -> list[Row]:
    """Measures what is missing and prints the means; or draws degraded images instead.

    Returns:
      The rows of all images, paired and unpaired: the model's, then its rival's.

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
    path, measured = None, []
    if options.out:
        path = own_folder(options.out, ("nll_about.json",), "nll.csv") / "nll.csv"
    with Measurements.of(path, DEGRADATION_NLL) as table:
        for scored in _model_and_rival(options, model, pairs):
            measured += _measure_all(options, table, scored, stems, pairs, mine)
    if options.out:
        facts = {"data": options.data, **shards.said(options.shard), "protocol": PROTOCOL}
        write_about(options.out, facts, "nll_about.json")
        command.written(options.out, "nll.csv, nll_about.json")
    sys.stdout.write(tables.markdown_table(_means(measured)) + "\n")
    return measured


def _model_and_rival(
    options: DegradationNllOptions, model: Degradation, pairs: list[Pair]
) -> tuple[_Scored, _Scored]:
    learned, rival = degraded_options(model), OneSpread(pairs)
    name = one_spread(learned.distortion, learned.severity, learned.factor)
    shared = {"degradation": learned.distortion, "severity": learned.severity}
    shared |= {"factor": learned.factor, "protocol": PROTOCOL}
    fitted = f"{UNTRAINED}: a spread of {rival.spread:g} pixel values, fitted to these images"
    return (
        _Scored(
            options.name,
            model.nll,
            {**shared, "parameters": model.parameters, "budget": options.budget},
            rows.identity(model.weights, _DECIDES, options.budget),
        ),
        _Scored(
            name,
            rival.nll,
            {**shared, "parameters": 1, "budget": fitted},
            rows.identity(name, _DECIDES, rival.spread),
            of_data=True,
        ),
    )


def _measure_all(
    options: DegradationNllOptions,
    table: Measurements,
    scored: _Scored,
    stems: list[str],
    pairs: list[Pair],
    mine: list[int],
) -> list[Row]:
    """The rows of some images, paired and unpaired; those that are missing are measured."""

    def is_old(row: Row) -> bool:
        here = row["data"] == options.data
        changed = row["identity"] != scored.identity and (here or not scored.of_data)
        gone = here and row["image"] not in stems
        return row["model"] == scored.name and (changed or gone)

    table.supersede(is_old, "are of other weights, budgets or images")
    measured = []
    for index, kind in tqdm.tqdm(
        [(i, kind) for i in mine for kind in KINDS], unit="score", desc="measuring"
    ):
        partner = _partner(index, kind, len(stems))
        both = np.concatenate([pairs[index][1], pairs[partner][0]])
        row = table.get_or_measure(
            {"model": scored.name, "kind": kind, "data": options.data, "image": stems[index]},
            {
                **{"condition": stems[partner], "identity": scored.identity},
                "content": digest(both)[:16],
            },
            functools.partial(_measure, scored, pairs, index, kind),
        )
        measured.append(row)
    return measured


def _measure(scored: _Scored, pairs: list[Pair], index: int, kind: str) -> dict[str, Any]:
    """A row but for what names and decides it."""
    nll, milliseconds = timed(_score, scored.nll, pairs, index, kind)
    height, width = pairs[index][1].shape[:2]
    measured = {"width": width, "height": height, "nll": nll, "seconds": milliseconds / 1000}
    return {**scored.facts, **measured}


def _means(measured: list[Row]) -> list[dict[str, str]]:
    """Mean bits of both kinds, and how often the own clean version is the likelier one."""
    lines = []
    for model in dict.fromkeys(row["model"] for row in measured):
        mine = [row for row in measured if row["model"] == model]
        bits = {k: np.array([float(r["nll"]) for r in mine if r["kind"] == k]) for k in KINDS}
        line = {"model": model, "images": str(len(bits[PAIRED]))}
        line |= {kind: tables.number(float(bits[kind].mean()), 3) for kind in KINDS}
        right = np.mean(bits[PAIRED] < bits[UNPAIRED])
        lines.append({**line, "own likelier": f"{100 * right:.0f} %"})
    return lines


if __name__ == "__main__":
    command.as_program(DegradationNllOptions, measure, "lossylab eval degradation_nll")
