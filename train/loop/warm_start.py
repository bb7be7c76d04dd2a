"""Beginning a run with what another one has learned."""

from __future__ import annotations

import json
from typing import Any

import tensorflow as tf

from lossylab.core import checkpoints
from lossylab.core.checkpoints import step_of
from lossylab.core.errors import UsageError
from lossylab.core.options import require
from lossylab.inference.export.base import load, located
from lossylab.train.loop.run_dir import RunDir
from lossylab.train.loop.saving import UNREADABLE, is_readable


def begin_with(parts: dict, run: str, option: str) -> None:
    """Loads some parts of a run's newest checkpoint, or a network of an export.

    Args:
      parts: trackable objects by the names they have in the checkpoint.
      run: its directory; or an export's, or a name of `lossylab models`, which hold one network.
      option: the option that asked for it, for the message.

    Raises:
      UsageError: if there is none, or a part does not fit.
    """
    if not is_export(run):
        fill(parts, checkpoint_of(run, option), option)
        return
    require(len(parts) == 1, f"`{option}`: {run} is an export, {' and '.join(parts)} need a run")
    (network,) = parts.values()
    known = load(run).network()
    shapes = [[tuple(v.shape) for v in each.variables] for each in (network, known)]
    require(
        shapes[0] == shapes[1],
        f"`{option}`: the network of {run} is {known.get_config()}, which does not fit this "
        "model's options",
    )
    for variable, value in zip(network.variables, known.variables):
        variable.assign(value)


def is_export(path: str) -> bool:
    """Whether it is an export or a model that comes with lossylab, not a run."""
    return bool(tf.saved_model.contains_saved_model(located(path)))


def fill(parts: dict, checkpoint: str, option: str) -> None:
    """Loads some parts of a checkpoint; arguments and errors as for `begin_with`."""
    try:
        with checkpoints.readable_name(checkpoint) as path:
            status = tf.train.Checkpoint(**parts).restore(path)
            status.assert_existing_objects_matched().expect_partial()
    except UNREADABLE as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"`{option}`: {checkpoint} does not fit this model's options, or is of another version "
            f"of lossylab: {reason}"
        ) from error


def checkpoint_of(run: str, option: str) -> str:
    """Newest checkpoint of a run.

    Raises:
      UsageError: naming the option, if there is none, or it is damaged; an older one is offered.
    """
    folder = RunDir(run).checkpoints
    found = checkpoints.complete(folder)
    require(found, f"`{option}`: no checkpoint in {folder}")
    whole = next(filter(is_readable, found), None)
    cure = f": remove it to begin with {whole}" if whole else ", as all in that folder are"
    require(whole == found[0], f"`{option}`: {found[0]} is damaged{cure}")
    return found[0]


def newest_checkpoints(run: str, count: int, option: str) -> list[str]:
    """The newest checkpoints of a run, oldest first; raises UsageError if there are fewer."""
    found = [each for each in checkpoints.complete(RunDir(run).checkpoints) if step_of(each)]
    require(
        len(found) >= count,
        f"`{option}`={count}: {run} has {len(found)} checkpoints; train it with a larger "
        "`keep_checkpoints`",
    )
    return found[:count][::-1]


def option_of(run: str, name: str) -> Any:
    """An option that a run or export was trained with; None if it has none of the name."""
    if is_export(run):
        return load(run).options.get(name)
    try:
        return json.loads(RunDir(run).options.read_bytes()).get(name)
    except (OSError, ValueError, AttributeError, RecursionError):
        return None


def has_proxy(run: str) -> bool:
    """Whether the newest checkpoint of a run has a proxy network; exports have none."""
    newest = checkpoints.newest(RunDir(run).checkpoints)
    if newest is None:
        return False
    with checkpoints.readable_name(newest) as path:
        return any(name.startswith("proxy/") for name, _ in tf.train.list_variables(path))
