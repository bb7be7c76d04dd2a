"""What the tasks of all papers share."""

from __future__ import annotations

import abc
from typing import Any, Generic, TypeVar

import tensorflow as tf

from lossylab.data.schedule import Schedule, paths_of_step
from lossylab.train.loop import parts
from lossylab.train.loop.task import Task
from lossylab.train.options.loop import TrainingOptions

OptionsOfPaper = TypeVar("OptionsOfPaper", bound=TrainingOptions)


class PaperTask(Task, Generic[OptionsOfPaper]):
    """A task with the options and images of a training.

    Attributes:
      options: of the training.
      paths: images to train on.
      normalized: networks whose batch normalization sees what is learned from.
      next_command: what uses the export, a command without its `export_flag`.
      export_flag: the flag that takes the export.
    """

    next_command = ""
    export_flag = "model"

    def __init__(self, options: OptionsOfPaper, paths: list[str]) -> None:
        """Keeps what all tasks need; subclasses build their networks."""
        self.options, self.paths = options, paths
        self.normalized: tuple[tf.Module, ...] = ()
        self._policy = tf.keras.mixed_precision.global_policy().name

    @property
    def recorded(self) -> dict[str, Any]:
        """The options as the export's card has them, with the precision that auto has chosen."""
        return {**self.options.to_json(), "precision": self._policy}

    @abc.abstractmethod
    def dataset(self, schedule: Schedule) -> tf.data.Dataset:
        """The endless batches of a worker, one a step and device."""

    @abc.abstractmethod
    def learn(self, batch: Any, step: tf.Tensor) -> dict[str, Any]:
        """What a part of the batch tells, for `change`; weights stay as they are.

        Args:
          batch: one of the parts of this device's share; `parts.place` says which.
          step: int64 scalar, the number of steps done before.

        Returns:
          Tensors in any structure, whose sum over the parts is the whole share's: `report`, the
          scalars of `Task.step`, and gradients.
        """

    @abc.abstractmethod
    def change(self, learned: dict[str, Any]) -> dict[str, tf.Tensor]:
        """Changes the weights by what was learned from all parts; returns the metrics."""

    def step(self, batch: Any, step: tf.Tensor) -> dict[str, tf.Tensor]:
        """One training step: learns from `accumulate` parts, then changes once."""
        count = self.options.accumulate
        moments = parts.moments_of(self.normalized) if count > 1 else ()
        return self.change(parts.summed(lambda part: self.learn(part, step), batch, count, moments))

    def begin(self) -> None:
        """Loads what a run begins with, before its first step; raises UsageError."""

    @abc.abstractmethod
    def save(self, path: str) -> None:
        """Writes the trained model as a SavedModel."""

    def export(self, path: str) -> None:
        """Writes the trained model if that is asked for."""
        if self.options.export:
            self.save(path)

    def describe_batch(self, step: int) -> str:
        """Names of the files in a step's batch."""
        options = self.options
        return ", ".join(paths_of_step(self.paths, options.batch, options.seed, step))
