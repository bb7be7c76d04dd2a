"""Checkpoints of a training: restored newest first, saved, and a copy of the state in memory."""

from __future__ import annotations

import logging
import os
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from lossylab.core import checkpoints
from lossylab.core.errors import DivergedError, WorkError
from lossylab.core.files import make_folder, plainly_named
from lossylab.train.loop.run_dir import RunDir

log = logging.getLogger("lossylab")

# What TensorFlow raises for checkpoints that are damaged, or do not fit.
UNREADABLE = (AssertionError, LookupError, RuntimeError, ValueError, tf.errors.OpError)
_VALUE, _SLOT = "/.ATTRIBUTES/VARIABLE_VALUE", "/.OPTIMIZER_SLOT/"  # in names of checkpoints
_ROW = "row"  # the sums of a row of metrics.csv that is not complete: older checkpoints lack it


class Saver:
    """State of a training on disk, and a copy of it in memory to fall back to."""

    def __init__(
        self,
        run_dir: RunDir,
        step: tf.Variable,
        row: tf.Module,
        parts: dict[str, Any],
        keep: int,
        chief: bool,
    ) -> None:
        """Names what is saved.

        Args:
          run_dir: of the training.
          step: steps done.
          row: what a row of metrics.csv has summed up so far.
          parts: of the task, by name.
          keep: newest checkpoints that are kept.
          chief: whether this process's checkpoints are kept; saving is collective.
        """
        self._dir, self._step, self._keep, self._chief = run_dir, step, keep, chief
        self._parts = {"step": step, **parts}
        self._checkpoint = tf.train.Checkpoint(**{_ROW: row}, **self._parts)
        self._checkpoint.save_counter  # noqa: B018 - made now, so that it is saved
        self._variables, self._slots = _variables(self._checkpoint)
        self._damaged: list[str] = []
        self._copy: list[tf.Tensor] = []
        self._saved = -1

    def restore(self) -> str | None:
        """Restores the newest checkpoint that can be read; returns it, None without any.

        Raises:
          WorkError: if there are some but none can be read, or one does not fit.
        """
        found = checkpoints.complete(self._dir.checkpoints)
        for checkpoint in found:
            try:
                self._load(checkpoint)
            except UNREADABLE as error:
                if is_readable(checkpoint):
                    reason = misfit(self._parts, checkpoint, error)
                    raise WorkError(
                        f"{checkpoint} cannot be resumed: was it trained on another number of "
                        f"devices, or by another version of lossylab? {reason}"
                    ) from error
                log.warning("%s is damaged and cannot be read", checkpoint)
                self._damaged.append(checkpoint)
                continue
            self._saved = checkpoints.step_of(checkpoint)
            return checkpoint
        if found:
            raise WorkError(
                f"no checkpoint in {self._dir.checkpoints} can be read: put a copy of them there, "
                "or begin anew in another `run_dir`"
            )
        return None

    def _load(self, checkpoint: str) -> None:
        with checkpoints.readable_name(checkpoint) as path:
            names = [name for name, _ in tf.train.list_variables(path)]
            whole = any(name.startswith(f"{_ROW}/") for name in names)
            target = self._checkpoint if whole else tf.train.Checkpoint(**self._parts)
            target.restore(path).assert_consumed()

    def save(self, step: int) -> None:
        """Writes a checkpoint unless that of this step is there; older ones go.

        Raises:
          DivergedError: if a variable is not finite: nothing is written.
        """
        if step == self._saved:
            return
        for variable in self._variables:
            if variable.dtype.is_floating and not tf.reduce_all(tf.math.is_finite(variable)):
                raise DivergedError(
                    f"step {step}: {variable.name} is not finite any more; {self.last_good()}"
                )
        self._checkpoint.save_counter.assign_add(1)
        if self._chief:
            with plainly_named(make_folder(self._dir.checkpoints)) as folder:
                self._checkpoint.write(os.path.join(folder, f"ckpt-{step}"))
            for checkpoint in self._damaged:
                if checkpoints.step_of(checkpoint) != step:
                    checkpoints.remove(checkpoint)
            self._damaged.clear()
            checkpoints.prune(self._dir.checkpoints, self._keep)
        else:
            self._write_for_nobody()
        self._saved = step

    def _write_for_nobody(self) -> None:
        # A folder of its own: workers share the run directory.
        with (
            tempfile.TemporaryDirectory(prefix=".worker_", dir=self._dir.path) as folder,
            plainly_named(pathlib.Path(folder)) as path,
        ):
            self._checkpoint.write(os.path.join(path, "ckpt"))

    def last_good(self) -> str:
        """Names the newest checkpoint, for a message."""
        newest = checkpoints.newest(self._dir.checkpoints)
        return f"the last good checkpoint is {newest or 'none'}"

    @property
    def last_step(self) -> int:
        """Steps of the newest checkpoint, -1 without one."""
        return self._saved

    def copy(self) -> None:
        """Keeps the state in memory."""
        self._copy = [tf.identity(variable) for variable in (*self._variables, *self._slots)]

    def fall_back(self) -> None:
        """Makes the state what it was when it was last kept."""
        for variable, value in zip((*self._variables, *self._slots), self._copy):
            variable.assign(value)


def misfit(parts: Mapping[str, Any], checkpoint: str, error: Exception) -> str:
    """Why a checkpoint does not fit some parts of a task, for a message.

    Args:
      parts: trackable objects by the names they have in the checkpoint.
      checkpoint: one that can be read.
      error: what restoring it raised.

    Returns:
      Variables, three at most of those that it lacks, has besides, and has in another shape; if
      there are none, what the error says.
    """
    mine = _shapes(tf.train.Checkpoint(**parts))
    with checkpoints.readable_name(checkpoint) as path:
        stored = {
            name.removesuffix(_VALUE): tuple(shape)
            for name, shape in tf.train.list_variables(path)
            if name.endswith(_VALUE) and name.partition("/")[0] in parts and _SLOT not in name
        }
    reshaped = [
        f"{name} {list(stored[name])}, here {list(shape)}"
        for name, shape in mine.items()
        if stored.get(name, shape) != shape
    ]
    found = {
        "it lacks": [name for name in mine if name not in stored],
        "it has besides": [name for name in stored if name not in mine],
        "of another shape": reshaped,
    }
    said = [f"{what}: {_first(names)}" for what, names in found.items() if names]
    return "; ".join(said) or str(error).splitlines()[0]


def _first(names: Sequence[str], count: int = 3) -> str:
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more


def _shapes(root: tf.train.Checkpoint) -> dict[str, tuple[int, ...]]:
    """Of all variables below, by their paths, the shortest ones, as checkpoints name them."""
    view, shapes, seen = tf.train.TrackableView(root), {}, set()
    nodes: list[tuple[str, Any]] = [("", root)]
    for path, node in nodes:
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, tf.Variable):
            shapes[path] = tuple(node.shape)
        children = view.children(node).items()
        nodes += [(f"{path}/{name}" if path else name, child) for name, child in children]
    return shapes


def is_readable(checkpoint: str) -> bool:
    """Whether all that a checkpoint holds can be read, by its checksums."""
    try:
        with checkpoints.readable_name(checkpoint) as path:
            reader = tf.train.load_checkpoint(path)
            for name in reader.get_variable_to_shape_map():
                reader.get_tensor(name)
    except UNREADABLE:
        return False
    return True


def _variables(checkpoint: tf.train.Checkpoint) -> tuple[list[tf.Variable], list[tf.Variable]]:
    """All variables of a checkpoint, and beside them those of optimizers that no view shows."""
    nodes = list(tf.train.TrackableView(checkpoint).descendants())
    shown = [node for node in nodes if isinstance(node, tf.Variable)]
    optimizers = [node for node in nodes if isinstance(node, tf.keras.optimizers.legacy.Optimizer)]
    known = set(map(id, shown))
    slots = [v for optimizer in optimizers for v in optimizer.weights if id(v) not in known]
    return shown, slots
