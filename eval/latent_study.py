"""Restores images by every search of Table 2 and measures what comes back: rows."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import tqdm

from lossylab.core import command, rows
from lossylab.core.errors import UsageError
from lossylab.core.files import make_folder
from lossylab.core.options import require
from lossylab.data.collections import find_images
from lossylab.eval.latent_rows import COMPRESSED, ROWS, UNSEARCHED, UNTOUCHED, Row
from lossylab.eval.latent_trials import Trial, Trials
from lossylab.eval.measurements import Measurements, about, own_folder, write_about
from lossylab.eval.options.latent import DOWNSCALE, GENERATED, JPEG, LatentStudyOptions
from lossylab.eval.report import crop_grid, tables
from lossylab.eval.schemas import LATENT, LATENT_MEASURES
from lossylab.eval.sharing import shards
from lossylab.inference.latent import cases as latent_cases
from lossylab.inference.latent.cases import Case
from lossylab.inference.latent.settings import Settings

_CHANGEABLE = (
    "mmd_weight",
    "geocross_weight",
    "pixel_weight",
    "power",
    "learning_rate",
    "gamma",
    "samples",
    "mean",
)
# Options that say where something is, or nothing of the rows.
_ELSEWHERE = (
    "generators",
    "models",
    "judge",
    "rankiqa",
    "out",
    "crops_dir",
    "shown",
    "rows",
    "trusted_hash",
    "shard",
    "sweep",
)
_FOLDERS = {DOWNSCALE: "fig02_downscale", JPEG: "fig06_jpeg"}

Key = dict[str, str]


def measure(options: LatentStudyOptions) -> list[dict[str, str]]:
    """Measures what is missing and prints the means; or writes crops instead.

    Returns:
      The rows of all searches.

    Raises:
      UsageError: if networks, rows or settings do not fit each other.
    """
    trials = Trials(options)
    variants = [(variant, _rows(variant, trials)) for variant in options.variants()]
    chosen = variants[0][1]
    cases = _cases(options, trials, {row.version for row in chosen})
    if options.crops_dir:
        _write_crops(options, trials, chosen, cases)
        return []
    out, measured = own_folder(options.out, ("about.json",)), []
    with Measurements.of(out / "rows.csv", LATENT) as table:
        for variant, changed in variants:
            measured += _measure_all(variant, table, trials, changed, cases)
            _write_about(variant, trials.protocol)
    sys.stdout.write(tables.markdown_table(_means(measured)) + "\n")
    command.written(out, "rows.csv, about.json", f"lossylab eval mmd_restoration --results={out}")
    return measured


def _write_about(options: LatentStudyOptions, protocol: str) -> None:
    """The software, and the options of every variant's last run."""
    given = {k: v for k, v in options.to_json().items() if k not in _ELSEWHERE}
    variants = {**about(options.out).get("variants", {}), options.variant or "paper": given}
    facts = {**shards.said(options.shard), "protocol": protocol, "variants": variants}
    write_about(options.out, facts)


def _rows(options: LatentStudyOptions, trials: Trials) -> list[Row]:
    """Rows of Table 2 that are asked for, with what the options change."""
    chosen = []
    for row in ROWS.values():
        possible = trials.possible(row)
        require(
            possible or row.name not in options.rows,
            f"row {row.name} needs a generator of version {row.version}"
            + (f" and `models`={row.epochs}:EXPORT" if row.epochs else ""),
        )
        if possible and (not options.rows or row.name in options.rows):
            chosen.append(_changed(row, options.change))
    require(bool(chosen), "no row of Table 2 is possible with these networks")
    return chosen


def _changed(row: Row, change: tuple[str, ...]) -> Row:
    """The row with other settings; weights of losses that it lacks stay 0."""
    changes = {}
    for text in change:
        name, equals, value = text.partition("=")
        require(
            bool(equals) and name in _CHANGEABLE,
            f"`change` takes SETTING=VALUE of {', '.join(_CHANGEABLE)}, got {text}",
        )
        absent = name == "mmd_weight" and not row.settings.mmd_weight
        if not absent:
            changes[name] = value
    try:
        kinds = {name: type(getattr(row.settings, name)) for name in changes}
        return row.changed(**{name: kinds[name](value) for name, value in changes.items()})
    except (ValueError, UsageError) as error:
        raise UsageError(f"`change`: {error}") from error


def _cases(
    options: LatentStudyOptions, trials: Trials, versions: set[int]
) -> dict[int, list[Case]]:
    """By version the same images; the styles of generated ones are those of the newest version."""
    sizes = {version: trials.generators[version].resolution for version in versions}
    if options.data != GENERATED:
        paths = shards.part(find_images(options.data), options.shard)
        return {v: latent_cases.photographed(paths, size) for v, size in sizes.items()}
    newest = max(trials.generators)
    source = trials.generators[newest]
    require(
        {*sizes.values()} == {source.resolution},
        f"`generators`: all restore the images of version {newest} and must have its size, "
        f"{source.resolution}, got {sizes}",
    )
    made = list(latent_cases.generated(source, options.images, 0, options.psi))
    made = shards.every(made, options.shard)
    unknown = [dataclasses.replace(case, styles=None) for case in made]
    return {version: made if version == newest else unknown for version in versions}


def _measure_all(
    options: LatentStudyOptions,
    table: Measurements,
    trials: Trials,
    chosen: list[Row],
    cases: dict[int, list[Case]],
) -> list[dict[str, str]]:
    """The rows of all searches; those that are missing are made."""
    plan = list(_plan(options, trials, chosen, cases))
    new = {tuple(key.values()): identity for keys, _, _ in plan for key, identity in keys}
    table.supersede(
        lambda row: (
            new.get(tuple(row[name] for name in LATENT.key), row["identity"]) != row["identity"]
        ),
        "are of other networks, settings or budgets",
    )
    measured = []
    progress = tqdm.tqdm(total=sum(len(keys) for keys, _, _ in plan), unit="row", desc="restoring")
    with progress:
        for keys, facts, make in plan:
            search = functools.cache(make)
            for index, (key, identity) in enumerate(keys):
                row = table.get_or_measure(
                    key, {"identity": identity}, functools.partial(_line, facts, search, index)
                )
                measured.append(row)
            progress.update(len(keys))
    return measured


def _line(facts: Key, search: Callable[[], list[Trial]], index: int) -> dict[str, Any]:
    """A row but for what names and decides it."""
    return {**dict.fromkeys(LATENT_MEASURES, math.nan), **facts, **search()[index].measures}


def _plan(
    options: LatentStudyOptions,
    trials: Trials,
    chosen: list[Row],
    cases: dict[int, list[Case]],
) -> Iterator[tuple[list[tuple[Key, str]], Key, Callable[[], list[Trial]]]]:
    """Batches of keys with identities, what all of their rows say, and what measures them."""

    def named(row: Row, task: str, batch: list[Case]) -> tuple[list[tuple[Key, str]], Key]:
        facts = {
            **{"quality": str(options.quality), "factor": str(options.factors[task])},
            **{"budget": options.budget, "protocol": trials.protocol},
        }
        return [_key(options, trials, row, task, case) for case in batch], facts

    for row, task in _work(options, chosen):
        mine = cases[row.version]
        for first in range(0, len(mine), options.batch):
            batch = mine[first : first + options.batch]
            yield *named(row, task, batch), functools.partial(trials.search, row, task, batch)
    if not options.change:
        for row, task in _untouched_work(options, cases):
            for case in cases[row.version]:
                untouched = functools.partial(_untouched, trials, row, task, case)
                yield *named(row, task, [case]), untouched


def _untouched_work(options: LatentStudyOptions, cases: Iterable[int]) -> Iterator[tuple[Row, str]]:
    """Rows without a search, with tasks; what is drawn at random is so by every seed."""
    for version, name, task in itertools.product(cases, UNTOUCHED, options.tasks):
        for seed in range(options.seeds if name in UNSEARCHED else 1):
            if name != COMPRESSED or task == JPEG:
                yield Row(name, version, Settings(seed=seed)), task


def _untouched(trials: Trials, row: Row, task: str, case: Case) -> list[Trial]:
    return [trials.untouched(row, task, case)]


def _work(options: LatentStudyOptions, chosen: list[Row]) -> Iterator[tuple[Row, str]]:
    """Rows with their seeds, and tasks; degradation models are of JPEG only."""
    for row, task, seed in itertools.product(chosen, options.tasks, range(options.seeds)):
        if task == JPEG or not row.epochs:
            yield row.changed(seed=seed), task


def _key(
    options: LatentStudyOptions, trials: Trials, row: Row, task: str, case: Case
) -> tuple[Key, str]:
    """What names a row, in the order of `LATENT.key`, and its identity."""
    key = {
        **{"row": row.name, "variant": options.variant, "version": str(row.version)},
        **{"task": task, "data": options.data, "image": case.name},
        "seed": str(row.settings.seed),
    }
    return key, rows.identity(trials.identity(row, task, case), options.budget)


def _means(measured: list[dict[str, str]]) -> list[dict[str, str]]:
    """A line for each search and task."""
    groups: dict[tuple[str, ...], list] = {}
    named = ("row", "variant", "version", "task")
    for row in measured:
        groups.setdefault(tuple(row[name] for name in named), []).append(row)
    shown = {"psnr": 2, "ssim": 4, "latent": 3, "mmd": 5, "nll": 3, "seconds": 2}
    return [
        dict(zip(named, names))
        | {
            n: tables.number(float(np.mean([float(m[n]) for m in mine])), d)
            for n, d in shown.items()
        }
        for names, mine in groups.items()
    ]


def _write_crops(
    options: LatentStudyOptions, trials: Trials, chosen: list[Row], cases: dict[int, list[Case]]
) -> None:
    """Original, given image and what every row makes of it, a folder for each task.

    Both versions' results stand beside each other where their images have one size.
    """
    alike = len({len(mine[0].clean) for mine in cases.values()}) == 1
    for task in options.tasks:
        out = make_folder(f"{options.crops_dir}/{_FOLDERS[task]}")
        images: dict[str, list[crop_grid.Tile]] = {}
        for row in (row for row in chosen if task == JPEG or not row.epochs):
            mine = cases[row.version][: options.shown]
            for case, trial in zip(mine, trials.search(row, task, mine)):
                name = case.name if alike else f"v{row.version}_{case.name}"
                if name not in images:
                    small = latent_cases.enlarged(trials.degraded(case, task), len(case.clean))
                    images[name] = [
                        crop_grid.Tile(case.clean, "original"),
                        crop_grid.Tile(small, "given"),
                    ]
                label = f"{row.label}\n{trial.measures['psnr']:.1f} dB"
                images[name].append(crop_grid.Tile(trial.image, label))
        crop_grid.write(out, options.budget, images)


if __name__ == "__main__":
    command.as_program(LatentStudyOptions, measure, "lossylab eval latent_study")
