"""What a training says while it runs: progress, CSV tables and TensorBoard."""

from __future__ import annotations

import math
import sys

import tensorflow as tf
import tqdm

from lossylab.train.loop.run_dir import RunDir, Table


class Outputs:
    """Progress bar, metrics.csv, validation.csv and TensorBoard; a context manager."""

    def __init__(self, run_dir: RunDir, step: int, steps: int, chief: bool) -> None:
        """Opens the outputs.

        Args:
          run_dir: where to write.
          step: steps done; rows after it are dropped.
          steps: steps in all.
          chief: whether this process writes at all.
        """
        self._chief = chief
        if not chief:
            return
        self._metrics = Table(run_dir.metrics, step)
        self._validation = Table(run_dir.validation, step)
        self._writer = tf.summary.create_file_writer(str(run_dir.summaries))
        terminal = sys.stderr.isatty()
        self._bar = tqdm.tqdm(
            total=steps,
            initial=step,
            unit="step",
            mininterval=0.5 if terminal else 10,
            dynamic_ncols=terminal,
            ascii=not terminal,
        )

    def __enter__(self) -> Outputs:
        return self

    def __exit__(self, *error) -> None:
        if self._chief:
            self._bar.close()
            self._writer.close()

    def progress(self, count: int) -> None:
        """Notes that so many steps are done."""
        if self._chief:
            self._bar.update(count)

    def metrics(self, step: int, values: dict[str, float]) -> None:
        """Notes scalars of the steps up to `step`."""
        if not self._chief:
            return
        self._metrics.append(step, values)
        self._scalars(step, "train", values)
        self._bar.set_postfix({k: f"{v:.4g}" for k, v in values.items()}, refresh=False)

    def is_validated(self, step: int) -> bool:
        """Whether the validation of a step, or of a later one, is noted."""
        return self._validation.last_step >= step

    def validation(self, step: int, values: dict[str, float]) -> None:
        """Notes scalars of a validation."""
        if values:
            self._validation.append(step, values)
            self._scalars(step, "validation", values)

    def images(self, step: int, images: dict[str, tf.Tensor]) -> None:
        """Notes images [B, H, W, 3], pixel values 0..255."""
        with self._writer.as_default(step):
            for name, image in images.items():
                tf.summary.image(name, tf.clip_by_value(image, 0, 255) / 255)

    def _scalars(self, step: int, group: str, values: dict[str, float]) -> None:
        with self._writer.as_default(step):
            for name, value in values.items():
                if math.isfinite(value):
                    tf.summary.scalar(f"{group}/{name}", value)
