"""Run directories: what was trained, how far, with which options, and its learning curves."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
import pathlib
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from lossylab.cli.commands import COMMANDS
from lossylab.cli.report.blocks import Block, Chart, Commands, Facts, Section, Table
from lossylab.cli.report.curves import learning_panels
from lossylab.core import checkpoints, command
from lossylab.core.errors import WorkError
from lossylab.core.options import Options, default_of, needed, specs
from lossylab.eval.report.tables import Line
from lossylab.train.loop.run_dir import RunDir
from lossylab.train.loop.run_dir import Table as Rows

# How often things are done, and where: no part of what was trained.
_OF_THE_SESSION = {
    *("run_dir", "log_every", "checkpoint_every", "summary_every", "keep_checkpoints", "dry_run"),
    *("cache_mb", "check_images", "export", "train_images"),
}
_SHORT = 90  # letters of a command that stands on one line


@dataclasses.dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
      path: its directory.
      name: of it among others.
      training: words of the command that trains so; '' if it is not known.
      options: as options.json has them.
      sessions: as environment.json has them, oldest first.
      metrics: lines of metrics.csv.
      validation: lines of validation.csv.
      steps: done.
    """

    path: pathlib.Path
    name: str
    training: str
    options: Mapping[str, Any]
    sessions: Sequence[Mapping[str, Any]]
    metrics: Sequence[Line]
    validation: Sequence[Line]
    steps: int


def read(path: pathlib.Path, root: pathlib.Path) -> Run:
    """A run directory, named as it lies below `root`; raises WorkError if a file is damaged."""
    run = RunDir(str(path))
    options, sessions = _json(run.options, dict), _json(run.environment, list)
    metrics, validation = Rows.read(run.metrics), Rows.read(run.validation)
    newest = checkpoints.newest(run.checkpoints)
    saved = checkpoints.step_of(newest) if newest else 0
    logged = int(metrics[-1]["step"]) if metrics else 0
    name = path.name if path == root else str(path.relative_to(root)).removeprefix("runs" + os.sep)
    return Run(
        path,
        name,
        _training(options),
        options,
        [each for each in sessions if isinstance(each, dict)],
        metrics,
        validation,
        max(saved, logged),
    )


def section(root: pathlib.Path, runs: Sequence[Run]) -> Section:
    """The section of the runs of a folder."""
    alone = len(runs) == 1
    blocks: list[Block] = []
    if alone:
        blocks.append(Facts("What was trained", _facts(runs[0])))
    else:
        blocks.append(Table("Runs", [_line(run) for run in runs], _done(runs)))
    panels = learning_panels({run.name: (run.metrics, run.validation) for run in runs})
    if panels:
        numbers = Table("First and last values", [each for run in runs for each in _ends(run)])
        blocks.append(Chart("Learning curves", panels, _curves_note(runs), numbers))
    for run in runs:
        title = "Options" if alone else f"Options of {run.name}"
        note = "What differs from the training's own defaults, which are the paper's."
        if lines := _changed(run):
            blocks.append(Table(title, lines, note, folded=not alone))
    blocks.append(_commands(runs))
    title = f"Training {runs[0].name}" if alone else f"Trainings of {root.name or root}"
    return Section(title, str(root), _budget(runs), blocks)


def _budget(runs: Sequence[Run]) -> str:
    """What runs were trained with, in words; those that differ in steps alone together."""
    found: dict[str, list[int]] = {}
    for run in runs:
        found.setdefault(_data(run), []).append(run.steps)
    said = []
    for data, steps in found.items():
        distinct = sorted(set(steps), reverse=True)
        said.append(f"{' / '.join(f'{each:,}' for each in distinct)} steps {data}".rstrip())
    return "; ".join(said)


def _data(run: Run) -> str:
    """What steps were of, and how many the paper has."""
    known, words = run.options, []
    if "batch" in known and "patch" in known:
        words.append(f"of {known['batch']} patches of {known['patch']}x{known['patch']}")
    if data := known.get("train_data"):
        words.append(f"from {data}")
    paper = default_of(_options(run.training), "steps") if run.training else None
    if isinstance(paper, int) and paper != known.get("steps"):
        words.append(f"(by default {paper:,})")
    return " ".join(words)


def _facts(run: Run) -> dict[str, str]:
    """What a reader has to know of one run."""
    known, last = run.options, run.sessions[-1] if run.sessions else {}
    found = {
        "training": f"lossylab {run.training}" if run.training else "",
        "steps": f"{run.steps:,} of {known.get('steps', run.steps):,}",
        "images": f"{known.get('train_data', '')} ({known.get('train_images', '')})",
        "patches seen": f"{run.steps * known['batch']:,}" if "batch" in known else "",
        "number format": str(known.get("precision", "")),
        "seed": str(known.get("seed", "")),
        "state": _state(run),
        "sessions": str(len(run.sessions) or ""),
        "software": software(last),
    }
    return {name: value for name, value in found.items() if value}


def software(record: Mapping[str, Any]) -> str:
    """Names and versions of the packages that a record of an environment names."""
    packages = record.get("packages")
    found = packages.items() if isinstance(packages, dict) else ()
    named = [f"{name} {version}" for name, version in found if version]
    return ", ".join([*named, *([f"Python {record['python']}"] if "python" in record else [])])


def _state(run: Run) -> str:
    if (run.path / "export").is_dir():
        return "exported"
    done = run.steps >= run.options.get("steps", math.inf)
    return "done, not exported" if done else "not at its end"


def _line(run: Run) -> Line:
    """A run as a line of the table of several."""
    line = {
        "run": run.name,
        "training": run.training,
        "steps": f"{run.steps:,}",
        "of": f"{run.options.get('steps', run.steps):,}",
        "state": _state(run),
    }
    last = run.metrics[-1] if run.metrics else {}
    return {**line, "last loss": shown(last.get("loss", ""))}


def _done(runs: Sequence[Run]) -> str:
    done, total = sum(run.steps for run in runs), sum(r.options.get("steps", 0) for r in runs)
    return f"{len(runs)} runs, {done:,} of {total:,} steps."


def _ends(run: Run) -> list[Line]:
    """First and last value of every measure of a run."""
    lines = []
    for rows, where in ((run.metrics, "training"), (run.validation, "validation")):
        for name in list(rows[0])[1:] if rows else ():
            first, last = shown(rows[0][name]), shown(rows[-1][name])
            steps = f"{int(rows[0]['step']):,} to {int(rows[-1]['step']):,}"
            lines.append(
                {
                    "run": run.name,
                    "of": where,
                    "measure": name,
                    "steps": steps,
                    "first": first,
                    "last": last,
                }
            )
    return lines


def _curves_note(runs: Sequence[Run]) -> str:
    every = {run.options["log_every"] for run in runs if "log_every" in run.options}
    return f"A value every {' or '.join(map(str, sorted(every)))} steps." if every else ""


def _changed(run: Run) -> list[Line]:
    """Options that are not as by default."""
    if not run.training:
        named = {k: v for k, v in run.options.items() if k not in _OF_THE_SESSION}
        return [{"option": name, "here": shown(value)} for name, value in sorted(named.items())]
    options = _options(run.training)
    lines = []
    for name, spec in specs(options).items():
        if name in _OF_THE_SESSION or name not in run.options:
            continue
        default = None if name in needed(options) else default_of(options, name)
        default = list(default) if isinstance(default, tuple) else default
        if run.options[name] != default:
            source = f"assumed: {spec.assumed}" if spec.assumed else spec.source
            lines.append(
                {
                    "option": name,
                    "here": shown(run.options[name]),
                    "default": "" if name in needed(options) else shown(default),
                    "the default is from": source,
                }
            )
    return lines


def _commands(runs: Sequence[Run]) -> Commands:
    """What was typed, each command once."""
    given = [each.get("command") for run in runs for each in run.sessions]
    lines = [command_text(words) for words in given if isinstance(words, list)]
    commits = [each.get("commit") for run in runs for each in run.sessions]
    record = {"commits": [*dict.fromkeys(filter(None, commits))]}
    if len(runs) == 1:
        record |= {"options": dict(runs[0].options), "sessions": list(runs[0].sessions)}
    return Commands("Commands", [*dict.fromkeys(lines)], json.dumps(record, indent=1))


def command_text(words: Sequence[object]) -> str:
    """A command as it is typed; a long one with a flag a line."""
    parts = [shlex.quote(str(word)) for word in words]
    text = " ".join(parts)
    if len(text) <= _SHORT:
        return text
    flag = [part.lstrip("'").startswith("-") for part in parts]
    return "".join(
        (" \\\n  " if is_flag else " " if place else "") + part
        for place, (part, is_flag) in enumerate(zip(parts, flag))
    )


def shown(value: Any) -> str:
    """A value of an option or a measure as a table shows it."""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return ", ".join(map(shown, value)) or "none"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


@functools.cache
def _options(training: str) -> type[Options]:
    return command.resolve(COMMANDS[training].options)


def _training(options: Mapping[str, Any]) -> str:
    """The training whose options these are: the one that shares most of them."""
    words = [w for w in COMMANDS if w.startswith("train ") and not w.endswith("_study")]
    given = set(options)

    def alike(training: str) -> float:
        known = set(specs(_options(training)))
        return len(given & known) / len(given | known)

    best = max(words, key=alike)
    return best if alike(best) > 0.8 else ""


def _json(path: pathlib.Path, kind: type) -> Any:
    """A JSON file's value; that of `kind` without a value where there is no file."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return kind()
    except (OSError, ValueError, RecursionError) as error:
        raise WorkError(
            f"{path} is damaged: put it back, or leave the run out ({error})"
        ) from error
    if not isinstance(found, kind):
        raise WorkError(f"{path} is damaged: put it back, or leave the run out")
    return found
