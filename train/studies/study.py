"""What the commands share that train several variants of a paper's networks one after the other.

Each variant is a run of the paper's training command in OUT/runs/NAME with the flags of the study
and those of the variant. Killed or stopped, the same command goes on where it was; a variant that
has all its steps is only exported again.
"""

from __future__ import annotations

import logging
import pathlib
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

from absl import flags

from lossylab.core.app import require

log = logging.getLogger("lossylab")

Variants = Mapping[str, Sequence[str]]


def define(values: flags.FlagValues, variants: Sequence[str], command: str) -> None:
    """Defines the flags of a study.

    Args:
      values: the command's flags.
      variants: names of the variants that are trained unless others are asked for.
      command: that trains one, such as 'train wcdgan'.
    """
    flags.DEFINE_string("out", None, "Folder of the runs.", flag_values=values)
    flags.DEFINE_list("variants", list(variants), "Which to train, in order.", flag_values=values)
    flags.DEFINE_string("train_data", None, f"See {command}.", flag_values=values)
    flags.DEFINE_list(
        "common", [], f"Flags of `lossylab {command}` for all, without dashes.", flag_values=values
    )
    flags.DEFINE_multi_string(
        "variant",
        [],
        "NAME:FLAG,FLAG...: flags for one variant, or for NAME* all that begin so.",
        flag_values=values,
    )
    flags.DEFINE_bool("dry_run", False, "Print the commands and stop.", flag_values=values)


def train(
    values: flags.FlagValues, variants: Variants, known: Sequence[str], module: ModuleType
) -> None:
    """Trains what the flags ask for.

    Args:
      values: the command's flags, parsed.
      variants: flags of the training command by name, in the order of training; they override
        --common, and --variant overrides them.
      known: names that --variant may use, also those that are not trained this time.
      module: the training command, with `check` and `main`.

    Raises:
      UsageError: before anything is trained, if a variant's flags do not make sense.
    """
    require(bool(values.out), "--out is needed: the folder of the runs")
    require(bool(values.train_data), "--train_data is needed: a collection, folder, glob or @list")
    commands = {name: _command(values, variants, known, name, module) for name in variants}
    if values.dry_run:
        sys.stdout.write("".join(f"{' '.join(words)}\n" for words in commands.values()))
        return
    for words in commands.values():
        module.check(words)
    for name, words in commands.items():
        log.info("%s: %s", name, " ".join(words[1:]))
        module.main(words)


def run_dir(values: flags.FlagValues, name: str) -> pathlib.Path:
    """Where a variant is trained."""
    return pathlib.Path(values.out) / "runs" / name


def _command(
    values: flags.FlagValues,
    variants: Variants,
    known: Sequence[str],
    name: str,
    module: ModuleType,
) -> list[str]:
    """The command line of a variant; raises UsageError if --variant does not make sense."""
    words = [*(f"--{flag}" for flag in values.common), *variants[name]]
    for entry in values.variant:
        pattern, colon, given = entry.partition(":")
        require(bool(colon and given), f"--variant={entry}: expected NAME:FLAG,FLAG...")
        meant = [n for n in (*known, *variants) if n == pattern or _begins(n, pattern)]
        require(bool(meant), f"--variant={entry}: no variant {pattern}, only {', '.join(known)}")
        if name in meant:
            words += [f"--{flag}" for flag in given.split(",")]
    program = module.__name__.rsplit(".", 1)[-1]
    data = f"--train_data={values.train_data}"
    return [program, data, f"--run_dir={run_dir(values, name)}", *words]


def _begins(name: str, pattern: str) -> bool:
    return pattern.endswith("*") and name.startswith(pattern[:-1])
