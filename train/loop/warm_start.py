"""Beginning a run with what another one has learned."""

from __future__ import annotations

import json
from typing import Any

import tensorflow as tf

from lossylab.core import checkpoints
from lossylab.core.checkpoints import step_of
from lossylab.core.errors import ExportError, UsageError
from lossylab.core.options import require
from lossylab.inference.export import network_file
from lossylab.inference.export.base import card_of, is_export, network_path
from lossylab.models.layers.base import Network
from lossylab.train.loop.run_dir import RunDir
from lossylab.train.loop.saving import UNREADABLE, is_readable, misfit


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
    try:
        known = network_file.read(network_path(run))
    except ExportError as error:
        raise UsageError(f"`{option}`: {error}") from error
    for name, part in parts.items():
        source: Any = known if isinstance(part, Network) else getattr(known, name, None)
        require(
            type(source) is type(part),
            f"`{option}`: {run} is an export of {type(known).__name__}, the {name} needs a run",
        )
        if _variables(part) != _variables(source):
            raise UsageError(
                f"`{option}`: the {type(known).__name__} of {run} has {_sizes(source, part)}, this "
                f"training's {_sizes(part, source)}"
            )
        for variable, value in zip(part.variables, source.variables):
            variable.assign(value)


def _sizes(module: Any, other: Any) -> str:
    """What differs between a network's options and another's."""
    mine, others = module.get_config(), other.get_config()
    found = {key: mine[key] for key in mine if key != "name" and mine[key] != others.get(key)}
    return ", ".join(
        f"{key}={0 if value is None else value}" for key, value in found.items()
    ) or str(dict(_variables(module)))


def _variables(module: Any) -> list[tuple[str, tuple[int, ...]]]:
    """Names, without the network's own, and shapes."""
    return [(v.name.partition("/")[2], tuple(v.shape)) for v in module.variables]


def fill(parts: dict, checkpoint: str, option: str) -> None:
    """Loads some parts of a checkpoint; arguments and errors as for `begin_with`."""
    try:
        with checkpoints.readable_name(checkpoint) as path:
            status = tf.train.Checkpoint(**parts).restore(path)
            status.assert_existing_objects_matched().expect_partial()
    except UNREADABLE as error:
        reason = misfit(parts, checkpoint, error)
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
    require(
        found,
        f"`{option}`: no checkpoint in {folder}; a run, an export or a name that `lossylab models` "
        "lists is expected",
    )
    whole = next(filter(is_readable, found), None)
    cure = f": remove it to begin with {whole}" if whole else ", as all in that folder are"
    require(whole == found[0], f"`{option}`: {found[0]} is damaged{cure}")
    return found[0]


def newest_checkpoints(run: str, count: int, option: str) -> list[str]:
    """The newest checkpoints of a run, oldest first; raises UsageError if there are fewer."""
    require(not is_export(run), f"`{option}`={count}: {run} is an export, which has one version")
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
        return card_of(run)["options"].get(name)
    try:
        return json.loads(RunDir(run).options.read_bytes()).get(name)
    except (OSError, ValueError, AttributeError, RecursionError):
        return None


def has_proxy(checkpoint: str) -> bool:
    """Whether a checkpoint has a proxy network."""
    with checkpoints.readable_name(checkpoint) as path:
        return any(name.startswith("proxy/") for name, _ in tf.train.list_variables(path))
