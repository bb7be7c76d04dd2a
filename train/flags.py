"""Flags that every training command shares, and the objects made of them."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os

import tensorflow as tf
from absl import flags

from lossylab.core.app import require
from lossylab.core.environment import environment
from lossylab.data.patches import HEADERS_CHECKED, PatchOptions
from lossylab.train.loop.fit import LoopOptions

STRATEGIES = ("one", "mirrored", "multiworker")

# Flags that change no number a run computes: a resumed run may give others.
MAY_DIFFER = frozenset(
    {
        "cache_mb",
        "checkpoint_every",
        "dry_run",
        "export",
        "export_at",
        "keep",
        "log_every",
        "run_dir",
        "scores",  # where the ratings lie; what they say is compared
        "steps",
        "summary_every",
        "validate_every",
        "validation_crop",
        "validation_crops",
        "validation_data",
    }
)


def define_loop(
    values: flags.FlagValues, steps: int, batch: int, patch: int, why_steps: str = ""
) -> None:
    """Defines the flags of the loop and the data, with the paper's defaults.

    Args:
      values: the command's flags.
      steps: training steps in all.
      batch: patches in the global batch.
      patch: their height and width in pixels.
      why_steps: said of a number of steps that is not the paper's.
    """

    def integer(name, default, text, low=0):
        flags.DEFINE_integer(name, default, text, lower_bound=low, flag_values=values)

    flags.DEFINE_string(
        "run_dir", None, "Folder of the run; resumed if it has one.", flag_values=values
    )
    flags.DEFINE_string(
        "train_data",
        None,
        "Training images: collection, folder, glob or @list.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "validation_data", None, "Images for --validate_every, likewise.", flag_values=values
    )
    integer("steps", steps, f"Training steps in all. {why_steps}".strip(), 1)
    integer("batch", batch, "Patches in the global batch, over all devices.", 1)
    integer("patch", patch, "Height and width of the patches in pixels.", 1)
    flags.DEFINE_integer(
        "seed", 1, "Seed of weights, data and noise.", 0, 2**31 - 1, flag_values=values
    )
    integer("cache_mb", 1024, "Decoded images kept in memory, MiB.")
    integer("log_every", 10, "Steps per graph call and row of metrics.csv.", 1)
    integer("checkpoint_every", 1000, "Steps between checkpoints.", 1)
    integer("summary_every", 1000, "Steps between TensorBoard images; 0 is never.")
    integer("validate_every", 0, "Steps between validations; 0 is never.")
    integer("keep", 3, "Newest checkpoints kept.", 1)
    flags.DEFINE_enum("strategy", "one", STRATEGIES, "Where to train.", flag_values=values)
    flags.DEFINE_list(
        "devices",
        [],
        "Devices for --strategy=mirrored, such as GPU:0,GPU:1; empty is all GPUs.",
        flag_values=values,
    )
    flags.DEFINE_bool("export", True, "Write run_dir/export at the end.", flag_values=values)
    flags.DEFINE_bool("dry_run", False, "Print the resolved options and stop.", flag_values=values)


def define_augmentation(values: flags.FlagValues) -> None:
    """Defines the flags of what is done to an image before a patch is cut from it."""
    flags.DEFINE_float(
        "min_scale",
        0.5,
        "Scale images down by a random factor in [min_scale, 1]; 1 is off. Assumed: the paper "
        "says 'random factors'.",
        0.0,
        1.0,
        flag_values=values,
    )
    flags.DEFINE_float(
        "noise",
        1.0,
        "Width in levels of the uniform noise added before scaling; 0 is off. Assumed: the paper "
        "says 'small amounts'; one level hides 8-bit quantization.",
        0.0,
        255.0,
        flag_values=values,
    )


def resolved(values: flags.FlagValues) -> dict:
    """All options as JSON values."""
    return {
        name: values[name].value for name in sorted(values) if name not in ("help", "h", "flagfile")
    }


def dump(values: flags.FlagValues) -> str:
    """The resolved options and the environment as JSON text, for --dry_run."""
    return json.dumps({**resolved(values), "environment": environment()}, indent=2, sort_keys=True)


def fingerprint(paths: list[str]) -> str:
    """Names a list of images, so that a resumed run notices another one.

    It has their number and a hash of their names and, for lists that are short enough to look
    at each, their sizes. Folders do not count: data may move.
    """
    look = len(paths) <= HEADERS_CHECKED
    lines = (f"{os.path.basename(p)} {os.path.getsize(p) if look else ''}" for p in paths)
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return f"{len(paths)} images, {digest[:16]}"


def check(values: flags.FlagValues) -> None:
    """Refuses contradictory loop flags; raises UsageError."""
    require(bool(values.run_dir), "--run_dir is needed: the folder that this run writes")
    require(bool(values.train_data), "--train_data is needed: a collection, folder, glob or @list")
    for name in values:
        value = values[name].value
        require(
            not isinstance(value, float) or math.isfinite(value),
            f"--{name}={value} is not a finite number",
        )
    require("min_scale" not in values or values.min_scale > 0, "--min_scale must be above 0")
    require(
        not values.validate_every or bool(values.validation_data),
        "--validate_every needs --validation_data",
    )
    require(
        values.strategy == "mirrored" or not values.devices,
        f"--devices goes with --strategy=mirrored, not {values.strategy}",
    )


def patch_options(values: flags.FlagValues) -> PatchOptions:
    """What a patch is, from the flags."""
    return PatchOptions(values.patch, values.min_scale, values.noise, values.cache_mb)


def loop_options(values: flags.FlagValues) -> LoopOptions:
    """How to loop, from the flags."""
    return LoopOptions(
        steps=values.steps,
        log_every=values.log_every,
        checkpoint_every=values.checkpoint_every,
        summary_every=values.summary_every,
        validate_every=values.validate_every,
        keep=values.keep,
    )


def make_strategy(values: flags.FlagValues) -> tf.distribute.Strategy:
    """The distribution strategy; checks that the devices divide the batch.

    Raises:
      UsageError: if a device does not exist or the batch cannot be shared.
    """
    if values.strategy == "mirrored":
        known = {
            d.name.replace("/physical_device:", "").replace("/device:", "").strip("/")
            for d in tf.config.list_logical_devices()
        }
        unknown = [d for d in values.devices if d.strip("/").upper() not in known]
        require(
            not unknown, f"--devices: no {', '.join(unknown)} here, only {', '.join(sorted(known))}"
        )
        strategy = _mirrored(tuple(values.devices))
    elif values.strategy == "multiworker":
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    else:
        strategy = tf.distribute.get_strategy()
    replicas = strategy.num_replicas_in_sync
    require(
        values.batch % replicas == 0,
        f"--batch={values.batch} cannot be shared by {replicas} devices: choose a multiple",
    )
    return strategy


@functools.cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.MirroredStrategy:
    """One strategy a process: two would number their collective operations alike.

    The second would now and then meet what the first has left, and fail.
    """
    return tf.distribute.MirroredStrategy(list(devices) or None)
