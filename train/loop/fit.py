"""The training loop: a paper supplies its state and one step, the loop does the rest.

Distribution, several steps per graph call, checkpoints with exact resume, TensorBoard,
metrics.csv, progress with time left, a guard against NaN, validation, export, and a clean
stop on SIGTERM and Ctrl-C.

  task = MyTask(...)                       # inside strategy.scope()
  fit(task, make_dataset, options, strategy, run_dir)
"""

from __future__ import annotations

import contextlib
import logging
import signal
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from lossylab.core.errors import DivergedError, WorkError
from lossylab.models.layers import precision
from lossylab.train.loop.outputs import Outputs
from lossylab.train.loop.run_dir import RunDir
from lossylab.train.loop.strategy import is_chief
from lossylab.train.loop.task import Task
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
      Stopped: after SIGTERM or SIGINT, with a checkpoint written.
      WorkError: if reading the images or scoring fails.
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
        self._checkpoint = tf.train.Checkpoint(step=self._step, **task.checkpointed())
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, self._checkpoint_folder(), max_to_keep=options.keep
        )
        # Only the chief's checkpoints are kept, and every worker reads those.
        newest = tf.train.latest_checkpoint(str(run_dir.checkpoints))
        if newest:
            self._restore(newest)
            log.info("resuming at step %d from %s", self.step, newest)
        self._make_dataset = lambda context: make_dataset(self.step, context)
        self._saved = self.step if newest else -1
        self._signal = 0

    def _restore(self, checkpoint: str) -> None:
        try:
            self._checkpoint.restore(checkpoint).assert_consumed()
        except (ValueError, AssertionError, tf.errors.OpError) as error:
            reason = str(error).splitlines()[0]
            raise WorkError(
                f"{checkpoint} cannot be resumed, is it damaged, or was it trained on another "
                f"number of devices? {reason}"
            ) from error

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self._step.numpy())

    def _checkpoint_folder(self) -> str:
        if self._chief:
            return str(self._dir.checkpoints)
        self._scratch = tempfile.TemporaryDirectory()  # saving is collective, keeping is not
        return self._scratch.name

    def run(self) -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._signals())
            if not self._chief:
                stack.callback(self._scratch.cleanup)
            outputs = stack.enter_context(
                Outputs(self._dir, self.step, self._options.steps, self._chief)
            )
            try:
                self._train(outputs)
                if self._chief:
                    self._task.export(str(self._dir.export))
            except tf.errors.OpError as error:
                # `from None`: frames of the failed call would keep the input pipeline alive.
                raise WorkError(f"near step {self.step}: {_reason(error)}") from None

    def _train(self, outputs: Outputs) -> None:
        batches = iter(self._strategy.distribute_datasets_from_function(self._make_dataset))
        run_steps = None
        while self.step < self._options.steps:
            phase = sum(self.step >= boundary for boundary in self._task.boundaries)
            if run_steps is None or phase != self._task.phase:
                self._task.phase = phase
                run_steps = self._graph()
            count = self._steps_until_due()
            sums, bad, stop = run_steps(batches, tf.constant(count, tf.int64), self._stop_wish())
            if stop > 0:
                self._save()
                raise Stopped(128 + (self._signal or signal.SIGTERM))
            if bad >= 0:
                raise DivergedError(self._divergence(int(bad)))
            values = dict(zip(self._task.metrics, (sums / count).numpy()))
            outputs.metrics(self.step, count, values)
            self._task.watch(self.step, values)
            self._after(outputs)
        self._save()

    def _graph(self):
        """The training function.

        From the batches, a number of steps and the wish to stop (0 or 1) to the metrics summed
        over the steps, the first step with a metric that is not finite (or -1), and whether
        any worker wishes to stop, in which case no step is done.
        """
        task, strategy, options = self._task, self._strategy, self._options
        step_of = task.step
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
        def run_steps(batches, count, stop_wish):
            # Workers stop together: one that heard a signal tells the others.
            stop = strategy.reduce(
                tf.distribute.ReduceOp.SUM, strategy.run(lambda: tf.identity(stop_wish)), axis=None
            )
            count = tf.where(stop > 0, tf.zeros_like(count), count)
            sums = tf.zeros(len(task.metrics))
            bad = tf.constant(-1, tf.int64)
            for _ in tf.range(count):
                shares = strategy.run(one_step, args=(next(batches), self._step.read_value()))
                total = strategy.reduce(tf.distribute.ReduceOp.SUM, shares, axis=None)
                finite = tf.reduce_all(tf.math.is_finite(total))
                bad = tf.where(finite | (bad >= 0), bad, self._step)
                sums += total
                self._step.assign_add(1)
            return sums, bad, stop

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
        if self._chief and _due(self.step, options.validate_every):
            self._save()  # whatever validation meets, nothing is lost
            outputs.validation(self.step, self._task.validate())

    def _save(self) -> None:
        if self.step == self._saved:
            return
        for variable in _variables(self._checkpoint):
            if variable.dtype.is_floating and not tf.reduce_all(tf.math.is_finite(variable)):
                raise DivergedError(
                    f"step {self.step}: {variable.name} is not finite any more; {self._last_good()}"
                )
        self._manager.save(checkpoint_number=self.step)
        self._saved = self.step

    def _divergence(self, step: int) -> str:
        return (
            f"step {step}: the loss is not finite. Batch: {self._task.describe_batch(step)}. "
            f"{self._last_good()}. The same options diverge again: start a new `run_dir` with "
            f"`init_from`={self._dir.path} and a smaller `learning_rate`"
        )

    def _last_good(self) -> str:
        newest = tf.train.latest_checkpoint(str(self._dir.checkpoints))
        return f"the last good checkpoint is {newest or 'none'}"

    def _stop_wish(self) -> tf.Tensor:
        return tf.constant(float(self._signal != 0))

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Notes SIGTERM and SIGINT; a second one acts at once."""

        def note(number: int, frame: Any) -> None:
            del frame
            self._signal = number
            log.info("stopping after this call (signal %d); again to stop at once", number)
            for each, old in before.items():
                signal.signal(each, old)

        before = {}
        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                before[number] = signal.signal(number, note)
        except ValueError:  # not the main thread: signals are somebody else's
            before.clear()
        try:
            yield
        finally:
            for number, old in before.items():
                signal.signal(number, old)


def _due(step: int, every: int) -> bool:
    return bool(every) and step % every == 0


def _variables(checkpoint: tf.train.Checkpoint) -> list[tf.Variable]:
    view = tf.train.TrackableView(checkpoint)
    return [node for node in view.descendants() if isinstance(node, tf.Variable)]


def _reason(error: tf.errors.OpError) -> str:
    """The Python exception inside a failed graph, without TensorFlow's wrapping."""
    lines = [line.strip() for line in str(error.message).splitlines() if line.strip()]
    named = [line for line in lines if "Error: " in line and not line.startswith("File")]
    return named[0].split("Error: ", 1)[1] if named else lines[0]
