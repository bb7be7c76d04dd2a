"""Restores images by every search of Table 2 and measures what comes back: rows.

  lossylab eval latent_study --generators=v1.npz,v2.npz --models=29:EXPORT,379:EXPORT \\
      --title="small budget: ..." --out=results/mmd_restoration

Images come from the generators themselves (their latents are known then), or from --data. They
are coded by JPEG and scaled down, or only scaled down, and searched for by the settings of
Table 2's rows. PSNR, SSIM, the distance of the styles from the true ones, MMD and likelihood are
measured, and with --rankiqa the scores of Table 2. Killed and given again, the command searches
for nothing twice; what was measured otherwise of the same row, variant, image and seed is set
aside. `lossylab eval mmd_restoration` makes tables, figures and claims.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import math
import pathlib
import re
import sys
from collections.abc import Callable, Iterator

import numpy as np
import tqdm
from absl import flags

from lossylab.core import rows
from lossylab.core.app import launch, new_flags, parse, require, require_known
from lossylab.core.environment import environment
from lossylab.core.errors import UsageError
from lossylab.core.files import make_folder, write_text
from lossylab.eval.latent_rows import COMPRESSED, ROWS, UNTOUCHED, Row
from lossylab.eval.latent_trials import MEASURES, PROTOCOL, Options, Trial, Trials
from lossylab.eval.report import crop_grid, tables
from lossylab.inference.latent import cases as latent_cases
from lossylab.inference.latent.cases import DOWNSCALE, JPEG, TASKS, Case
from lossylab.inference.latent.settings import FIT_SAMPLES, Settings

_PLACE = ("row", "variant", "version", "task", "data", "image", "seed")  # of a row, but one
COLUMNS = (*_PLACE, *MEASURES, "quality", "factor", "budget", "protocol", "identity")
TEXT = ("row", "variant", "task", "data", "image", "budget", "protocol", "identity")
GENERATED = "generated"
_CHANGEABLE = ("mmd_weight", "geocross_weight", "pixel_weight", "power", "rate", "gamma", "mean")
# Flags that say where something is, or nothing of the rows.
_PLACES = (
    *("help", "flagfile", "generators", "models", "rankiqa", "out", "sheets", "shown", "rows"),
)
_SHEETS = {DOWNSCALE: "fig02_downscale", JPEG: "fig06_jpeg"}

FLAGS = new_flags()
flags.DEFINE_list(
    "generators", [], "Files of `lossylab import stylegan`, one a version.", flag_values=FLAGS
)
flags.DEFINE_list(
    "models", [], "EPOCHS:EXPORT of degradation models, for rows 8 to 13.", flag_values=FLAGS
)
flags.DEFINE_string(
    "data", GENERATED, "Images; those of the generators if not given.", flag_values=FLAGS
)
flags.DEFINE_integer("images", 16, "Of a generator.", 1, flag_values=FLAGS)
flags.DEFINE_float("psi", 1.0, "Truncation of the styles that make them.", 0, 1, flag_values=FLAGS)
flags.DEFINE_integer("seeds", 1, "Searches of every image.", 1, flag_values=FLAGS)
flags.DEFINE_list("rows", [], "Of Table 2, 1 to 13; all if not given.", flag_values=FLAGS)
flags.DEFINE_list("tasks", list(TASKS), "What to restore from.", flag_values=FLAGS)
flags.DEFINE_integer(
    "quality",
    5,
    "Of JPEG. Assumed: not printed; at 5 likelihoods are near Table 1's.",
    1,
    100,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "jpeg_factor", 4, "Coded images are so many times smaller: 1024 to 256.", 1, flag_values=FLAGS
)
flags.DEFINE_integer(
    "factor", 32, "Images that are only scaled down: 1024 to 32.", 1, flag_values=FLAGS
)
flags.DEFINE_list(
    "change",
    [],
    "SETTING=VALUE,...: other settings of all rows that have them, such as mmd_weight=10, power=2, "
    "rate=0.1 or pixel_weight=100 (beside the likelihood); a variant of its own in the rows.",
    flag_values=FLAGS,
)
flags.DEFINE_integer("fit_samples", FIT_SAMPLES, "Of PULSE's Gaussian.", 2, flag_values=FLAGS)
flags.DEFINE_integer("batch", 16, "Images searched for at once.", 1, flag_values=FLAGS)
flags.DEFINE_string("rankiqa", None, "Export of `lossylab train rankiqa`.", flag_values=FLAGS)
flags.DEFINE_string("title", None, "Budget of all of it, for the rows.", flag_values=FLAGS)
flags.DEFINE_string("out", None, "Folder of rows.csv.", flag_values=FLAGS)
flags.DEFINE_string(
    "sheets", None, "Only write what the first images become to this folder.", flag_values=FLAGS
)
flags.DEFINE_integer("shown", 3, "Images of --sheets.", 1, flag_values=FLAGS)


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    extra = parse(FLAGS, argv, __doc__)
    require(not extra, f"unexpected arguments: {' '.join(extra)}")
    _check()
    factors = {JPEG: FLAGS.jpeg_factor, DOWNSCALE: FLAGS.factor}
    options = Options(FLAGS.quality, {t: factors[t] for t in FLAGS.tasks}, FLAGS.fit_samples)
    trials = Trials(FLAGS.generators, _models(), FLAGS.rankiqa, options)
    chosen = _rows(trials)
    cases = {version: _cases(trials, version) for version in {row.version for row in chosen}}
    if FLAGS.sheets:
        _write_sheets(trials, chosen, cases)
        return
    out = make_folder(FLAGS.out)
    with contextlib.closing(rows.Rows(out / "rows.csv", COLUMNS)) as table:
        measured = _measure_all(table, trials, chosen, cases)
    _write_about(out)
    sys.stdout.write(tables.markdown_table(_means(measured)) + "\n")


def _write_about(out: pathlib.Path) -> None:
    """The software, and the flags of every variant's last run."""
    path = out / "about.json"
    about = json.loads(path.read_text()) if path.exists() else {}
    given = {name: FLAGS[name].value for name in FLAGS if name not in _PLACES}
    variants = {**about.get("variants", {}), _variant() or "paper": given}
    about = {"protocol": PROTOCOL, "variants": variants, **environment()}
    write_text(path, json.dumps(about, indent=1) + "\n")


def _variant() -> str:
    return " ".join(FLAGS.change)


def _check() -> None:
    require(bool(FLAGS.out or FLAGS.sheets), "--out is needed: the folder of the rows")
    require(bool(FLAGS.title), "--title is needed: the budget of networks and searches")
    require(bool(FLAGS.generators), "--generators is needed: files of `lossylab import stylegan`")
    require_known("rows", FLAGS.rows, ROWS)
    require_known("tasks", FLAGS.tasks, TASKS)
    for name in ("psi", "images"):
        same = FLAGS[name].value == FLAGS[name].default
        require(FLAGS.data == GENERATED or same, f"--{name} makes no sense with --data")


def _models() -> dict[int, str]:
    models = {}
    for text in FLAGS.models:
        words = re.fullmatch(r"([0-9]{1,9}):(.+)", text)
        require(words is not None, f"--models takes EPOCHS:EXPORT, got {text}")
        epochs, path = words.groups()
        require(int(epochs) not in models, f"--models: {epochs} is given twice")
        models[int(epochs)] = path
    return models


def _rows(trials: Trials) -> list[Row]:
    """Rows of Table 2 that are asked for, with what the flags change."""
    chosen = []
    for row in ROWS.values():
        possible = trials.possible(row)
        require(
            possible or row.name not in FLAGS.rows,
            f"row {row.name} needs a generator of version {row.version}"
            + (f" and --models={row.epochs}:EXPORT" if row.epochs else ""),
        )
        if possible and (not FLAGS.rows or row.name in FLAGS.rows):
            chosen.append(_changed(row))
    require(bool(chosen), "no row of Table 2 is possible with these networks")
    return chosen


def _changed(row: Row) -> Row:
    """The row with what --change says; weights of losses that it lacks stay 0."""
    changes = {}
    for text in FLAGS.change:
        name, equals, value = text.partition("=")
        require(
            bool(equals) and name in _CHANGEABLE,
            f"--change takes SETTING=VALUE of {', '.join(_CHANGEABLE)}, got {text}",
        )
        absent = name == "mmd_weight" and not row.settings.mmd_weight
        if not absent:
            changes[name] = value
    try:
        kinds = {name: type(getattr(row.settings, name)) for name in changes}
        return row.changed(**{name: kinds[name](value) for name, value in changes.items()})
    except ValueError as error:
        raise UsageError(f"--change: {error}") from error


def _cases(trials: Trials, version: int) -> list[Case]:
    generator = trials.generators[version]
    if FLAGS.data == GENERATED:
        return list(latent_cases.generated(generator, FLAGS.images, 0, FLAGS.psi))
    return latent_cases.photographed(FLAGS.data, generator.resolution)


def _measure_all(
    table: rows.Rows, trials: Trials, chosen: list[Row], cases: dict[int, list[Case]]
) -> list[dict[str, str]]:
    """The rows of all searches; those that are missing are made."""
    plan = _plan(trials, chosen, cases)
    new = {_at(place): place["identity"] for places, _ in plan for place in places}
    table.set_aside(
        lambda row: new.get(_at(row), row["identity"]) != row["identity"],
        "are of other networks, settings or budgets",
    )
    known = {_at(row): row for row in table.rows}
    measured = []
    for places, make in tqdm.tqdm(plan, unit="search", desc="restoring"):
        if any(_at(place) not in known for place in places):
            for place, trial in zip(places, make()):
                if _at(place) not in known:
                    line = {**dict.fromkeys(MEASURES, math.nan), **place, **trial.measures}
                    known[_at(place)] = table.append(line)
        measured += [known[_at(place)] for place in places]
    return measured


def _plan(
    trials: Trials, chosen: list[Row], cases: dict[int, list[Case]]
) -> list[tuple[list[dict[str, str]], Callable[[], list[Trial]]]]:
    """Batches of rows to measure, each with what measures them."""
    plan = []
    for row, task in _work(chosen):
        mine = cases[row.version]
        for first in range(0, len(mine), FLAGS.batch):
            batch = mine[first : first + FLAGS.batch]
            places = [_place(trials, row, task, case) for case in batch]
            plan.append((places, functools.partial(trials.search, row, task, batch)))
    if not FLAGS.change:
        settings = Settings()
        for version, name, task in itertools.product(cases, UNTOUCHED, FLAGS.tasks):
            row = Row(name, version, settings)
            for case in cases[version] if name != COMPRESSED or task == JPEG else ():
                place = _place(trials, row, task, case)
                plan.append(([place], functools.partial(_untouched, trials, row, task, case)))
    return plan


def _untouched(trials: Trials, row: Row, task: str, case: Case) -> list[Trial]:
    return [trials.untouched(row, task, case)]


def _work(chosen: list[Row]) -> Iterator[tuple[Row, str]]:
    """Rows with their seeds, and tasks; degradation models are of JPEG only."""
    for row, task, seed in itertools.product(chosen, FLAGS.tasks, range(FLAGS.seeds)):
        if task == JPEG or not row.epochs:
            yield row.changed(seed=seed), task


def _place(trials: Trials, row: Row, task: str, case: Case) -> dict[str, str]:
    options = trials.options
    budget = rows.identity(trials.identity(row, task, case), FLAGS.title)
    return {
        **{"row": row.name, "variant": _variant(), "version": str(row.version), "task": task},
        **{"data": FLAGS.data, "image": case.name, "seed": str(row.settings.seed)},
        **{"quality": str(options.quality), "factor": str(options.factors[task])},
        **{"budget": FLAGS.title, "protocol": PROTOCOL, "identity": budget},
    }


def _at(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(row[name] for name in _PLACE)


def _means(measured: list[dict[str, str]]) -> list[dict[str, str]]:
    """A line for each search and task."""
    groups: dict[tuple[str, str, str], list] = {}
    for row in measured:
        groups.setdefault((row["row"], row["version"], row["task"]), []).append(row)
    shown = {"psnr": 2, "ssim": 4, "latent": 3, "mmd": 5, "nll": 3, "seconds": 2}
    return [
        {"row": row, "version": version, "task": task}
        | {n: tables.number(np.mean([float(m[n]) for m in mine]), d) for n, d in shown.items()}
        for (row, version, task), mine in groups.items()
    ]


def _write_sheets(trials: Trials, chosen: list[Row], cases: dict[int, list[Case]]) -> None:
    """Original, given image and what every row makes of it, a folder for each task."""
    for task in FLAGS.tasks:
        out = make_folder(f"{FLAGS.sheets}/{_SHEETS[task]}")
        images: dict[str, list[dict]] = {}
        for row in (row for row in chosen if task == JPEG or not row.epochs):
            mine = cases[row.version][: FLAGS.shown]
            for case, trial in zip(mine, trials.search(row, task, mine)):
                name = f"v{row.version}_{case.name}"
                if name not in images:
                    small = latent_cases.enlarged(trials.degraded(case, task), len(case.truth))
                    images[name] = [
                        crop_grid.write(out, f"{name}_original.png", case.truth, "original"),
                        crop_grid.write(out, f"{name}_given.png", small, "given"),
                    ]
                label = f"{row.label}\n{trial.measures['psnr']:.1f} dB"
                file = f"{name}_row{row.name}.png"
                images[name].append(crop_grid.write(out, file, trial.image, label))
        crop_grid.write_index(out, FLAGS.title, images)


if __name__ == "__main__":
    launch(main)
