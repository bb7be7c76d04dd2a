"""The training loop: a paper supplies its state and one step, the loop does the rest.

Distribution, several steps per graph call, checkpoints with exact resume, TensorBoard,
metrics.csv, progress with time left, a guard against NaN, validation, export, and a clean
stop on SIGTERM, SIGHUP and Ctrl-C.

  task = MyTask(...)                       # inside strategy.scope()
  fit(task, make_dataset, options, strategy, run_dir)
"""

from __future__ import annotations

import contextlib
import logging
import math
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from lossylab.core.errors import DivergedError, WorkError
from lossylab.models.layers import precision
from lossylab.train.loop.outputs import Outputs
from lossylab.train.loop.pace import LIMIT, Pace
from lossylab.train.loop.run_dir import RunDir
from lossylab.train.loop.saving import Saver
from lossylab.train.loop.signals import StopSignals
from lossylab.train.loop.strategy import is_chief
from lossylab.train.loop.task import Task
from lossylab.train.loop.workers import is_multiworker, naming_the_lost
from lossylab.train.options.loop import LoopOptions

log = logging.getLogger("lossylab")


class Stopped(SystemExit):
    """Training was stopped by a signal, after saving; the exit status is 128 + signal."""


MakeDataset = Callable[[int, tf.distribute.InputContext], tf.data.Dataset]


def fit(
    task: Task,
    make_dataset: MakeDataset,
    options: LoopOptions,
    strategy: tf.distribute.Strategy,
    run_dir: RunDir,
) -> None:
    """Trains until `options.steps`, beginning at the newest checkpoint of `run_dir`.

    Args:
      task: built inside `strategy.scope()`.
      make_dataset: from (first step, input context) to this worker's batches, one a device
        and step.
      options: see `LoopOptions`.
      strategy: where to train.
      run_dir: an open run directory.

    Raises:
      DivergedError: at the first step whose metrics are not finite.
      Stopped: after SIGTERM, SIGHUP or SIGINT, with a checkpoint written.
      WorkError: if reading the images or scoring fails; what was learned until then is saved.
    """
    _Loop(task, make_dataset, options, strategy, run_dir).run()


class _Loop:
    def __init__(
        self,
        task: Task,
        make_dataset: MakeDataset,
        options: LoopOptions,
        strategy: tf.distribute.Strategy,
        run_dir: RunDir,
    ):
        self._task, self._options, self._strategy, self._dir = task, options, strategy, run_dir
        self._chief = is_chief(strategy)
        with strategy.scope():
            self._step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
            self._row = Row(len(task.metrics))
        parts = task.checkpointed()
        self._saver = Saver(
            run_dir, self._step, self._row, parts, options.keep_checkpoints, self._chief
        )
        # Only the chief's checkpoints are kept, and every worker reads those.
        resumed = self._saver.restore()
        if resumed:
            log.info("resuming at step %d from %s", self.step, resumed)
        self._make_dataset = lambda context: make_dataset(self.step, context)
        self._pace = Pace()
        self._signals = StopSignals(lambda: self._pace.call_seconds)
        self._copied = -math.inf

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self._step.numpy())

    def run(self) -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._signals)
            outputs = stack.enter_context(
                Outputs(self._dir, self.step, self._options.steps, self._chief)
            )
            try:
                with naming_the_lost(self._strategy, self._saver.last_good):
                    self._save()
                    self._validate(outputs)
                    self._train(outputs)
                if self._chief:
                    self._task.export(str(self._dir.export))
                self._stop_if_told()
            except tf.errors.OpError as error:
                # `from None`: frames of the failed call would keep the input pipeline alive.
                raise WorkError(
                    f"near step {self.step}: {_reason(error)}{self._rescue()}"
                ) from None

    def _train(self, outputs: Outputs) -> None:
        batches = iter(self._strategy.distribute_datasets_from_function(self._make_dataset))
        run_steps = None
        while self.step < self._options.steps:
            phase = sum(self.step >= boundary for boundary in self._task.boundaries)
            if run_steps is None or phase != self._task.phase:
                self._task.phase = phase
                run_steps = self._graph()
                self._pace.retraced()
            self._until_due(run_steps, batches, outputs)
            if self._row_ends():
                values = dict(zip(self._task.metrics, self._row.take()))
                outputs.metrics(self.step, values)
                self._task.watch(self.step, values)
            self._after(outputs)
        self._save()

    def _until_due(self, run_steps: Callable, batches: Iterator, outputs: Outputs) -> None:
        """Steps until something is due.

        Calls are as short as `Pace` says, so that a stop need not wait long. Sums go from one call
        to the next, and into checkpoints: how steps are shared out changes no number.
        """
        end = self.step + self._steps_until_due()
        while self.step < end:
            self._keep_copy()
            before = self.step
            wish = tf.constant([self._signals.number != 0, self._pace.begin()], tf.float32)
            bad, stop = run_steps(batches, tf.constant(end - before, tf.int64), wish)
            if stop > 0:
                self._save()
                raise Stopped(128 + (self._signals.number or signal.SIGTERM))
            if bad >= 0:
                raise DivergedError(self._divergence(int(bad)))
            self._pace.end(self.step - before)
            outputs.progress(self.step - before)
            forecast = self._pace.forecast(self._options.steps - self.step)
            if forecast and self._chief:
                log.info(forecast)

    def _stop_if_told(self) -> None:
        """Raises Stopped after a signal, which a study must not go on after."""
        if self._signals.number:
            raise Stopped(128 + self._signals.number)

    def _row_ends(self) -> bool:
        """Whether a row of metrics.csv is complete; of two phases it would be neither's mean."""
        ends = (self._options.steps, *self._task.boundaries)
        return _due(self.step, self._options.log_every) or self.step in ends

    def _keep_copy(self) -> None:
        """Keeps the state in memory now and then, for what `_rescue` saves."""
        if is_multiworker(self._strategy):  # reading moments is collective, clocks are not
            return
        now = time.perf_counter()
        if now - self._copied >= LIMIT:
            self._saver.copy()
            self._copied = now

    def _rescue(self) -> str:
        """Saves the state as it was before the call that failed; says what was saved."""
        if is_multiworker(self._strategy):  # saving needs all workers
            return f"; {self._saver.last_good()}"
        try:
            self._saver.fall_back()
            if self.step <= self._saver.last_step:
                return f"; {self._saver.last_good()}"
            self._save()
        except (OSError, DivergedError, tf.errors.OpError) as error:
            return f"; {self._saver.last_good()} (saving failed: {error})"
        return f"; step {self.step} is saved: the same command goes on from there"

    def _graph(self):
        """The training function.

        From the batches, a number of steps and the wishes, whether to stop (0 or 1) and how many
        steps to do at most, to the first step with a metric that is not finite (or -1), and
        whether any worker wishes to stop, in which case no step is done.
        """
        task, strategy, row = self._task, self._strategy, self._row
        options, step_of = self._options, task.step
        if options.jit:
            step_of = tf.function(task.step, autograph=False, jit_compile=True)

        # Nothing in a step is Python's control flow; conversion would take most of the time of
        # tracing.
        @tf.autograph.experimental.do_not_convert
        def one_step(batch: Any, step: tf.Tensor) -> tf.Tensor:
            with precision.policy(options.precision):
                report = step_of(batch, step)
            return tf.stack([report[name] for name in task.metrics])  # one reduction for all

        @tf.function
        def run_steps(batches, count, wishes):
            # Workers stop together, and do as many steps as the mean of what they wish.
            wishes = strategy.reduce(
                tf.distribute.ReduceOp.SUM, strategy.run(lambda: tf.identity(wishes)), axis=None
            )
            stop, most = wishes[0], wishes[1] // strategy.num_replicas_in_sync
            count = tf.minimum(count, tf.cast(most, tf.int64))
            count = tf.where(stop > 0, tf.zeros_like(count), count)
            sums = row.sums.read_value()
            bad = tf.constant(-1, tf.int64)
            for _ in tf.range(count):
                shares = strategy.run(one_step, args=(next(batches), self._step.read_value()))
                total = strategy.reduce(tf.distribute.ReduceOp.SUM, shares, axis=None)
                finite = tf.reduce_all(tf.math.is_finite(total))
                bad = tf.where(finite | (bad >= 0), bad, self._step)
                sums += total
                self._step.assign_add(1)
            row.sums.assign(sums)
            row.steps.assign_add(count)
            return bad, stop

        return run_steps

    def _steps_until_due(self) -> int:
        """Steps to the next thing that has to happen between graph calls."""
        options, step = self._options, self.step
        periods = (
            options.log_every,
            options.checkpoint_every,
            options.summary_every,
            options.validate_every,
        )
        due = [period - step % period for period in periods if period]
        ends = (*self._task.boundaries, *self._task.stops)
        due += [end - step for end in ends if end > step]
        return min([*due, options.steps - step])

    def _after(self, outputs: Outputs) -> None:
        """What is due after a graph call."""
        options = self._options
        # Before the step is saved: a run that is killed in between comes here once more.
        if self._chief and self.step in self._task.stops:
            self._task.at_stop(self.step)
        if _due(self.step, options.checkpoint_every):
            self._save()
        if self._chief and _due(self.step, options.summary_every):
            outputs.images(self.step, self._task.images())
        self._validate(outputs)

    def _validate(self, outputs: Outputs) -> None:
        """Validates if that is due; after a kill in between, at the start of the next session."""
        if not self.step or not _due(self.step, self._options.validate_every):
            return
        self._save()  # by all workers: whatever validation meets, nothing is lost
        if self._chief and not outputs.is_validated(self.step):
            outputs.validation(self.step, self._task.validate())

    def _save(self) -> None:
        self._saver.save(self.step)

    def _divergence(self, step: int) -> str:
        begin = f"step {step}: the loss is not finite. Batch: {self._task.describe_batch(step)}. "
        if self._saver.last_step <= 0:
            return begin + (
                "Nothing was learned before that is saved: give the same command a smaller "
                "`learning_rate`, and it begins anew"
            )
        known = hasattr(self._options, "init_from")
        also = f"`init_from`={self._dir.path} and " if known else ""
        return begin + (
            f"{self._saver.last_good()}. The same options diverge again: start a new `run_dir` "
            f"with {also}a smaller `learning_rate`"
        )


class Row(tf.Module):
    """What a row of metrics.csv has summed up so far.

    Attributes:
      sums: of the metrics, float32 [metrics].
      steps: how many are in them, int64.
    """

    def __init__(self, metrics: int) -> None:
        """Begins with nothing; call inside the strategy's scope."""
        super().__init__(name="row")
        self.sums = tf.Variable(tf.zeros(metrics), trainable=False, name="sums")
        self.steps = tf.Variable(0, dtype=tf.int64, trainable=False, name="steps")

    def take(self) -> np.ndarray:
        """The means, and begins anew."""
        means = (self.sums / tf.cast(self.steps, tf.float32)).numpy()
        self.sums.assign(tf.zeros_like(self.sums))
        self.steps.assign(0)
        return means


def _due(step: int, every: int) -> bool:
    return bool(every) and step % every == 0


def _reason(error: tf.errors.OpError) -> str:
    """The Python exception inside a failed graph, without TensorFlow's wrapping."""
    lines = [line.strip() for line in str(error.message).splitlines() if line.strip()]
    named = [line for line in lines if "Error: " in line and not line.startswith("File")]
    if named:
        return named[0].split("Error: ", 1)[1]
    return next((line for line in lines if not line.startswith("Graph exec")), type(error).__name__)
