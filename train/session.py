"""One session of training: run directory, strategy, task and loop put together."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable

import tensorflow as tf
from absl import flags

from lossylab.data.schedule import Schedule
from lossylab.train import flags as shared
from lossylab.train.loop.fit import Task, check_agreement, fit, is_chief
from lossylab.train.loop.run_dir import RunDir

log = logging.getLogger("lossylab")


def run(
    values: flags.FlagValues,
    strategy: tf.distribute.Strategy,
    paths: list[str],
    make_task: Callable[[], Task],
    make_dataset: Callable[[Schedule], tf.data.Dataset],
    warm_start: Callable[[Task], None] = lambda task: None,
    more: dict[str, str] | None = None,
) -> None:
    """Trains in --run_dir, which is resumed if it holds a run.

    Args:
      values: the command's flags, checked.
      strategy: where to train.
      paths: training images; a resumed run must have the same.
      make_task: builds the task, called inside the strategy's scope; it is closed at the end.
      make_dataset: from this worker's schedule to the data.
      warm_start: called with the task of a run that begins.
      more: what else a resumed run must have alike, by name.

    Raises:
      UsageError, WorkError, OutputError: see `RunDir.open` and `loop.fit`.
    """
    images = {"train_images": shared.fingerprint(paths)}
    options = {**shared.resolved(values), **images, **(more or {})}
    tf.random.set_seed(values.seed)
    run_dir = RunDir(values.run_dir)
    with contextlib.ExitStack() as stack:
        if is_chief(strategy):
            run_dir.open(options, shared.MAY_DIFFER)
            stack.callback(run_dir.close)
        with strategy.scope():
            task = make_task()
            stack.callback(task.close)
            if not tf.train.latest_checkpoint(str(run_dir.checkpoints)):
                warm_start(task)

        def dataset_of_worker(first_step, context):
            shards = context.num_input_pipelines
            replicas = strategy.num_replicas_in_sync // shards
            shard = context.input_pipeline_id
            return make_dataset(
                Schedule(values.batch, values.seed, first_step, shard, shards, replicas)
            )

        check_agreement(strategy, json.dumps(options, sort_keys=True))
        fit(task, dataset_of_worker, shared.loop_options(values), strategy, run_dir)
    log.info("done: %s", run_dir.path)
