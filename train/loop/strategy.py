"""Where to train: one device, several, or several machines."""

from __future__ import annotations

import functools
import zlib

import tensorflow as tf

from lossylab.core.errors import WorkError
from lossylab.core.options import require
from lossylab.train.loop import workers
from lossylab.train.options.loop import TrainingOptions


def prepare_gpus(tf32: bool) -> None:
    """Lets GPUs take memory as they need it, and round products to 10 bits if `tf32`."""
    tf.config.experimental.enable_tensor_float_32_execution(tf32)
    for gpu in tf.config.list_physical_devices("GPU"):
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:  # in use already, as the process that called wants it
            return


def make_strategy(options: TrainingOptions) -> tf.distribute.Strategy:
    """The distribution strategy; checks that the devices divide the batch.

    Raises:
      UsageError: if a device does not exist, the batch cannot be shared, or TF_CONFIG makes no
        sense.
    """
    if options.strategy == "mirrored":
        known = {
            d.name.replace("/physical_device:", "").replace("/device:", "").strip("/")
            for d in tf.config.list_logical_devices()
        }
        unknown = [d for d in options.devices if d.strip("/").upper() not in known]
        require(
            not unknown, f"`devices`: no {', '.join(unknown)} here, only {', '.join(sorted(known))}"
        )
        strategy = _mirrored(options.devices)
    elif options.strategy == "multiworker":
        workers.wait_for_others(workers.read_cluster())
        with workers.deadly_signals():
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
    else:
        strategy = tf.distribute.get_strategy()
    replicas = strategy.num_replicas_in_sync
    require(
        options.batch % replicas == 0,
        f"`batch`={options.batch} cannot be shared by {replicas} devices: choose a multiple",
    )
    require(
        options.batch // replicas % options.accumulate == 0,
        f"`batch`={options.batch} cannot be shared by {replicas} devices in "
        f"`accumulate`={options.accumulate} parts each: choose a multiple of "
        f"{replicas * options.accumulate}",
    )
    return strategy


@functools.cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.MirroredStrategy:
    """One strategy a process: two would number their collective operations alike.

    The second would now and then meet what the first has left, and fail.
    """
    return tf.distribute.MirroredStrategy(list(devices) or None)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes the run directory."""
    resolver = strategy.cluster_resolver
    if resolver is None or resolver.task_type in (None, "chief"):
        return True
    if "chief" in resolver.cluster_spec().as_dict():
        return False
    return resolver.task_type == "worker" and resolver.task_id == 0


def check_agreement(strategy: tf.distribute.Strategy, text: str) -> None:
    """Refuses to train when the workers of a strategy were given different texts.

    Args:
      strategy: where to train.
      text: what must be the same everywhere: options and names of the images.

    Raises:
      WorkError: on every worker, if any differs.
    """
    mine = zlib.crc32(text.encode()) % 2**16  # sums of these are exact
    with workers.naming_the_lost(strategy):
        total = strategy.reduce(
            tf.distribute.ReduceOp.SUM,
            strategy.run(lambda: tf.constant([mine, mine**2], tf.float64)),
            axis=None,
        )
    count = strategy.num_replicas_in_sync
    if abs(float(total[1]) * count - float(total[0]) ** 2) > 0.5:  # their variance
        raise WorkError(
            "the workers were given different options or images: start all with the same "
            "command, on the same data, with a `run_dir` that all of them see"
        )
