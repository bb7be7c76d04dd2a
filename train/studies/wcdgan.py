"""Trains WCDGAN, its ablations and the networks that it is compared to."""

from __future__ import annotations

import fnmatch
import pathlib
from typing import Any

from lossylab.core import checkpoints, command
from lossylab.inference.export.base import is_export
from lossylab.train import session
from lossylab.train.loop import warm_start
from lossylab.train.loop.run_dir import RunDir
from lossylab.train.options.studies import (
    CONTENT,
    WCDGAN,
    WCDGAN_LOSSES,
    Variants,
    WcdganStudyOptions,
)
from lossylab.train.options.wcdgan import WcdganOptions
from lossylab.train.studies.study import Study
from lossylab.train.wcdgan import make_network

_KNOWN: Variants = {**WCDGAN, **WCDGAN_LOSSES}
_ALL_LOSSES = "wcdgan"


def _runs(options: WcdganStudyOptions) -> Variants:
    """Options of all runs: first seeds before second ones, qualities one after the other."""
    found: dict[str, dict[str, Any]] = {}
    for again, seed in options.repetitions.items():
        for quality in options.qualities or (None,):
            for name in options.variants:
                if not again or any(fnmatch.fnmatch(name, each) for each in options.repeated):
                    run, values = _run(options, name, again, quality)
                    values |= seed
                    found[run] = values
    return found


def _run(
    options: WcdganStudyOptions, name: str, again: str, quality: int | None
) -> tuple[str, dict[str, Any]]:
    """Name and options of a training of a variant; `again` follows its name in other seeds'."""
    values = dict(_KNOWN[name])
    if quality is not None:
        values["quality"] = quality
    if options.start_from:
        begins = CONTENT if name in (_ALL_LOSSES, *WCDGAN_LOSSES) else name
        start = options.replace(out=options.start_from).run_dir(begins + again)
        values["init_from"] = str(pathlib.Path(start, "export"))
    return f"{name}{again}{f'_q{quality}' if quality is not None else ''}", values


def check(options: WcdganOptions) -> None:
    """Refuses a run whose network cannot be made, or that has nothing to begin with.

    Raises:
      UsageError: saying so.
    """
    make_network(options)
    if options.recipe.perceptual:
        session.require_weights("weights", options.backbone, options.weights, options.offline)
    begun = checkpoints.newest(RunDir(options.run_dir).checkpoints)
    if options.init_from and not begun and not is_export(options.init_from):
        warm_start.checkpoint_of(options.init_from, "init_from")


STUDY = Study(
    "train wcdgan",
    WcdganOptions,
    "lossylab.train.wcdgan:train",
    stages=(_runs,),
    names=lambda options: _KNOWN,
    check="lossylab.train.studies.wcdgan:check",
)


def train(options: WcdganStudyOptions) -> list[pathlib.Path]:
    """Trains all variants; returns their run directories."""
    return STUDY.run(options)


if __name__ == "__main__":
    command.as_program(WcdganStudyOptions, train, "lossylab train wcdgan_study")
