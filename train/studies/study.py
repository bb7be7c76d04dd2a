"""What studies share: several trainings, one after the other.

Each variant is a run of the paper's training in OUT/runs/NAME with the options of the study
and those of the variant. Killed or stopped, the same command goes on where it was; a variant that
has all its steps is only exported again.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import gc
import logging
import pathlib
import shlex
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Generic, TypeVar

import tensorflow as tf

from lossylab.core import command, flags
from lossylab.core.downloads import OfflineOptions
from lossylab.core.errors import DivergedError
from lossylab.core.options import prefixed, require
from lossylab.train.options.loop import TrainingOptions
from lossylab.train.options.studies import StudyOptions, Variants
from lossylab.train.studies.queue import Queue

log = logging.getLogger("lossylab")

OptionsOfStudy = TypeVar("OptionsOfStudy", bound=StudyOptions)


@dataclasses.dataclass(frozen=True)
class Study(Generic[OptionsOfStudy]):
    """Which trainings a study consists of.

    Attributes:
      training: the command that trains, such as "train wcdgan".
      options: class of its options.
      train: `module:function` that takes them.
      stages: what is trained, one stage after the other: options of the runs by their names, for
        the study's options.
      names: names that `variant` may use, also of runs that are not trained this time.
      check: `module:function` that refuses options of a run before anything is trained.
    """

    training: str
    options: type[TrainingOptions]
    train: str
    stages: tuple[Callable[[OptionsOfStudy], Variants], ...]
    names: Callable[[OptionsOfStudy], Iterable[str]]
    check: str = ""

    def plan(self, options: OptionsOfStudy) -> dict[str, TrainingOptions]:
        """Options of all runs by their names, in the order of training.

        A run's own options override `common`, and `variant` overrides them.

        Raises:
          UsageError: if something does not make sense.
        """
        runs = {name: values for stage in self.stages for name, values in stage(options).items()}
        known = [*dict.fromkeys((*self.names(options), *runs))]
        for entry in options.variant:
            pattern = entry.partition(":")[0]
            require(
                any(_means(pattern, name) for name in known),
                f"`variant`={entry}: no variant {pattern}, only {', '.join(known)}",
            )
        common = self._given(options.common)
        return {
            name: self._options(options, name, {**common, **values})
            for name, values in runs.items()
        }

    def run(self, options: OptionsOfStudy) -> list[pathlib.Path]:
        """Trains everything, or says what would be; returns the run directories.

        A training that diverges does not keep the others from being trained, except for those that
        begin with it.

        Raises:
          UsageError: before anything is trained, if options of a run do not make sense.
          DivergedError: at the end, if trainings diverged.
        """
        runs = self.plan(options)
        if self.only_tells(options, runs):
            return []
        if self.check:
            check = command.resolve(self.check)
            for name, each in runs.items():
                with prefixed(name):
                    check(each)
        queue, trained = Queue(runs), []
        lost: dict[str, pathlib.Path] = {}
        for name, each in runs.items():
            if _begins_with_one_of(each, lost.values()):
                log.error("%s: left out, it begins with a run that diverged", name)
                lost[name] = pathlib.Path(each.run_dir)
                continue
            try:
                trained.append(self.train_one(name, each, queue))
            except DivergedError as error:
                log.error("%s: %s", name, error)
                lost[name] = pathlib.Path(each.run_dir)
        if lost:
            raise DivergedError(
                f"{len(lost)} of {len(runs)} runs have diverged or begin with one that has: "
                f"{', '.join(lost)}; the others are trained"
            )
        command.written(options.out, f"{len(trained)} runs")
        return trained

    def only_tells(self, options: OptionsOfStudy, runs: Mapping[str, TrainingOptions]) -> bool:
        """Prints the commands of the runs, or what is done, if that is all that is asked for."""
        if options.dry_run:
            for each in runs.values():
                sys.stdout.write(f"lossylab {self.training} {shlex.join(flags.arguments(each))}\n")
        elif options.queue:
            sys.stdout.write(Queue(runs).text())
        return options.only_tells

    def train_one(self, name: str, options: TrainingOptions, queue: Queue) -> pathlib.Path:
        """Trains one run of a queue and forgets its graphs; returns its directory."""
        log.info("%s", queue.summary())
        log.info("%s: %s", name, shlex.join(flags.arguments(options)))
        path = command.resolve(self.train)(options)
        tf.keras.backend.clear_session()
        gc.collect()
        return path

    def _options(
        self, options: OptionsOfStudy, name: str, values: dict[str, Any]
    ) -> TrainingOptions:
        fixed: dict[str, Any] = {"train_data": options.train_data, "run_dir": options.run_dir(name)}
        if isinstance(options, OfflineOptions):
            fixed["offline"] = options.offline
        values = fixed | values
        for entry in options.variant:
            pattern, _, given = entry.partition(":")
            if _means(pattern, name):
                values |= self._given(given.split(","))
        with prefixed(name):
            return self.options(**values)

    def _given(self, words: Iterable[str]) -> dict[str, Any]:
        return flags.given(self.options, [f"--{word}" for word in words])


def _begins_with_one_of(options: TrainingOptions, runs: Collection[pathlib.Path]) -> bool:
    """Whether an option names something in one of these run directories."""
    words = [value for value in dataclasses.asdict(options).values() if isinstance(value, str)]
    return any(run in (path, *path.parents) for path in map(pathlib.Path, words) for run in runs)


def _means(pattern: str, name: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern)
