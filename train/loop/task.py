"""What the training loop asks of a paper: state, one step, and what to look at."""

from __future__ import annotations

import abc
from typing import Any

import tensorflow as tf


class Task(abc.ABC):
    """What a paper supplies: state, one training step, and what to look at.

    Attributes:
      metrics: names of the scalars that `step` returns; 'loss' is among them.
      boundaries: numbers of steps done at which another phase begins; `step` is traced anew.
      phase: how many boundaries are passed; the loop sets it before it traces `step`.
      stops: numbers of steps done at which the loop calls `at_stop`.
    """

    metrics: tuple[str, ...]
    boundaries: tuple[int, ...] = ()
    phase: int = 0
    stops: tuple[int, ...] = ()

    @abc.abstractmethod
    def checkpointed(self) -> dict[str, Any]:
        """All state that a resumed run needs, as trackable objects by name."""

    @abc.abstractmethod
    def step(self, batch: Any, step: tf.Tensor) -> dict[str, tf.Tensor]:
        """One training step on one device, traced into a graph.

        Args:
          batch: this device's part of the global batch, an element of the data set.
          step: int64 scalar, the number of steps done before.

        Returns:
          For each of `metrics` a scalar: this device's part, so that the sum over devices
          is the mean over the global batch.
        """

    def images(self) -> dict[str, tf.Tensor]:
        """Images for TensorBoard, float32 [B, H, W, 3], pixel values, by name."""
        return {}

    def validate(self) -> dict[str, float]:
        """Scalars measured on images that are not trained on."""
        return {}

    def watch(self, step: int, values: dict[str, float]) -> None:  # noqa: B027 - optional
        """Looks at the metrics of a row of metrics.csv, and warns of what goes wrong."""

    def at_stop(self, step: int) -> None:  # noqa: B027 - optional
        """Called after each of `stops`, on the worker that writes the run directory alone."""

    @abc.abstractmethod
    def export(self, path: str) -> None:
        """Writes the trained model as a SavedModel."""

    def close(self) -> None:  # noqa: B027 - most tasks have nothing to end
        """Ends what the task has started."""

    def describe_batch(self, step: int) -> str:
        """What the batch of a step consisted of, for the message of a divergence."""
        return ""
