"""What of a study's runs is done, what is being trained, and how long the rest may take."""

from __future__ import annotations

import time
from collections.abc import Mapping

from lossylab.core import checkpoints
from lossylab.train.loop.run_dir import RunDir
from lossylab.train.options.loop import TrainingOptions


class Queue:
    """The runs of a study in the order of training."""

    def __init__(self, runs: Mapping[str, TrainingOptions]) -> None:
        """Begins to measure the speed."""
        self._runs, self._start = runs, time.monotonic()
        self._before = self._done()

    def text(self) -> str:
        """A line a run: steps done, steps in all, and done, running or waiting."""
        width = max(map(len, self._runs))
        lines = [
            f"{name:{width}}  {done:>9,} of {options.steps:>9,} steps  {_state(options, done)}"
            for (name, options), done in zip(self._runs.items(), self._done())
        ]
        return "\n".join([*lines, self.summary()]) + "\n"

    def summary(self) -> str:
        """Steps done and in all, with the time left at the speed since the beginning."""
        done, total = self._done(), [options.steps for options in self._runs.values()]
        finished = sum(a >= b for a, b in zip(done, total))
        text = f"{finished} of {len(total)} runs, {sum(done):,} of {sum(total):,} steps are done"
        new, seconds = sum(done) - sum(self._before), time.monotonic() - self._start
        if new <= 0:
            return text
        left = (sum(total) - sum(done)) * seconds / new
        return f"{text}; about {left / 3600:.1f} h are left at the speed so far"

    def _done(self) -> list[int]:
        return [min(steps_done(each.run_dir), each.steps) for each in self._runs.values()]


def steps_done(run_dir: str) -> int:
    """Steps of a run's newest checkpoint; 0 without one."""
    newest = checkpoints.newest(RunDir(run_dir).checkpoints)
    return checkpoints.step_of(newest) if newest else 0


def _state(options: TrainingOptions, done: int) -> str:
    if done >= options.steps:
        return "done"
    if RunDir(options.run_dir).in_use():
        return "running"
    return "begun" if done else "waiting"
