"""Beginning a run with what another one has learned."""

from __future__ import annotations

import json

import tensorflow as tf

from lossylab.core.app import require
from lossylab.train.loop.run_dir import RunDir


def restore(parts: dict, checkpoint: str, flag: str) -> None:
    """Loads some parts of a run's checkpoint.

    Args:
      parts: trackable objects by the names they have in the checkpoint.
      checkpoint: its path.
      flag: the flag that asked for it, for the message.

    Raises:
      UsageError: if a part does not fit.
    """
    try:
        status = tf.train.Checkpoint(**parts).restore(checkpoint)
        status.assert_existing_objects_matched().expect_partial()
    except (ValueError, AssertionError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0]
        require(False, f"--{flag}: {checkpoint} does not fit this model's flags: {reason}")


def checkpoint_of(run: str, flag: str) -> str:
    """Newest checkpoint of a run; raises UsageError, naming the flag, if there is none."""
    newest = tf.train.latest_checkpoint(str(RunDir(run).checkpoints))
    require(bool(newest), f"--{flag}: no checkpoint in {RunDir(run).checkpoints}")
    return newest


def option_of(run: str, name: str):
    """An option that a run was trained with; None if it has none of the name."""
    try:
        return json.loads(RunDir(run).options.read_text()).get(name)
    except (OSError, ValueError):
        return None


def has_proxy(checkpoint: str) -> bool:
    """Whether a checkpoint has a proxy network."""
    return any(name.startswith("proxy/") for name, _ in tf.train.list_variables(checkpoint))
