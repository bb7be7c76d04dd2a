"""One session of training: files, run directory, strategy, task and loop put together."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import pathlib
import shlex
import sys
from collections.abc import Callable, Iterator

import tensorflow as tf

from lossylab.core import checkpoints, command, downloads
from lossylab.core.environment import environment
from lossylab.core.errors import BackboneError, UsageError
from lossylab.core.options import require, specs
from lossylab.data.checking import usable
from lossylab.data.collections import find_images
from lossylab.data.patches import HEADERS_CHECKED
from lossylab.data.schedule import Schedule
from lossylab.data.served import require_equal, require_workers
from lossylab.models.backbones import applications
from lossylab.models.layers import precision
from lossylab.train.loop.fit import fit
from lossylab.train.loop.run_dir import RunDir
from lossylab.train.loop.strategy import (
    check_agreement,
    is_chief,
    make_strategy,
    prepare_gpus,
)
from lossylab.train.options.loop import TrainingOptions
from lossylab.train.task import PaperTask

log = logging.getLogger("lossylab")


@dataclasses.dataclass(frozen=True)
class Files:
    """Paths of the images of a training.

    Attributes:
      train: images to train on; a resumed run must have the same.
      validation: images to validate on, none or more.
    """

    train: list[str]
    validation: list[str]

    @classmethod
    def of(cls, options: TrainingOptions) -> Files:
        """What the options name; raises CollectionError if there is nothing."""
        validation = find_images(options.validation_data) if options.validation_data else []
        return cls(find_images(options.train_data), validation)

    def checked(
        self,
        options: TrainingOptions,
        train: int,
        validation: int = 1,
        needed_by: tuple[str, str] = ("the patch", "the patch"),
    ) -> Files:
        """Those that can be read and are large enough.

        Args:
          options: whether others may be left out.
          train: smallest height and width of images to train on, pixels.
          validation: of those to validate on.
          needed_by: what needs these sizes.

        Raises:
          ImageError: naming the others, if they may not be left out.
        """
        pixels = options.check_images and not options.dry_run
        how = {"skip_bad": options.skip_bad, "skip_small": options.skip_small, "pixels": pixels}
        return Files(
            usable(self.train, train, needed_by[0], **how),
            usable(self.validation, validation, needed_by[1], **how),
        )


def run(
    options: TrainingOptions,
    files: Files,
    make_task: Callable[[], PaperTask],
    check: Callable[[tf.distribute.Strategy], None] = lambda strategy: None,
    more: dict[str, str] | None = None,
    served: bool = False,
) -> pathlib.Path:
    """Trains in the options' `run_dir`, which is resumed if it holds a run.

    Args:
      options: of the training; with `dry_run` they are printed, and nothing else is done.
      files: images to train on.
      make_task: builds the task, called inside the strategy's scope; it is closed at the end.
      check: refuses strategies that the task cannot use.
      more: what else a resumed run must have alike, by name.
      served: whether the task's data can be made by data workers.

    Returns:
      The run directory.

    Raises:
      UsageError, WorkError, OutputError: see `RunDir.open` and `loop.fit`.
    """
    require(
        served or not options.data_service,
        "`data_service`: this training's images are distorted or scaled by Python, which data "
        "workers cannot do",
    )
    prepare_gpus(options.tf32)
    strategy = make_strategy(options)
    check(strategy)
    run_dir = RunDir(options.run_dir)
    if options.dry_run:
        shown = {**options.to_json(), "environment": environment()}
        sys.stdout.write(json.dumps(shown, indent=2, sort_keys=True) + "\n")
        return run_dir.path
    if options.data_service:
        require_workers(options.data_service)
        require_equal(files.train)
    policy = options.precision if options.precision != "auto" else precision.fastest()
    resolved = {**options.to_json(), "train_images": fingerprint(files.train), **(more or {})}
    resolved["precision"] = policy  # as it is recorded, and what a resumed run must have
    options = options.replace(precision=policy)
    may_differ = {name for name, spec in specs(type(options)).items() if spec.may_differ}
    if getattr(options, "final_learning_rate", None) is not None:
        may_differ.discard("steps")  # the rate falls over all of them
    tf.random.set_seed(options.seed)
    with contextlib.ExitStack() as stack:
        stack.enter_context(downloads.allowed(not getattr(options, "offline", True)))
        if is_chief(strategy):
            run_dir.open(resolved, frozenset(may_differ), options.defaults())
            stack.callback(run_dir.close)
        with strategy.scope(), precision.policy(policy):
            task = make_task()
            stack.callback(task.close)
            if checkpoints.newest(run_dir.checkpoints) is None:
                task.begin()

        def dataset_of_worker(
            first_step: int, context: tf.distribute.InputContext
        ) -> tf.data.Dataset:
            shard, shards = context.input_pipeline_id, context.num_input_pipelines
            replicas = strategy.num_replicas_in_sync // shards
            return task.dataset(
                Schedule(options.batch, options.seed, first_step, shard, shards, replicas)
            )

        check_agreement(strategy, json.dumps(resolved, sort_keys=True))
        fit(task, dataset_of_worker, options, strategy, run_dir)
    log.info("done: %s", run_dir.path)
    if options.export and task.next_command and is_chief(strategy):
        export = shlex.quote(str(run_dir.export))
        use = f"{task.next_command} --{task.export_flag}={export}"
        command.written(run_dir.path, "export", use)
    return run_dir.path


def fingerprint(paths: list[str]) -> str:
    """Names a list of images, so that a resumed run notices another one.

    It has their number and a hash of their names and, for lists that are short enough to look
    at each, their sizes. Folders do not count: data may move.
    """
    look = len(paths) <= HEADERS_CHECKED
    lines = (f"{os.path.basename(p)} {os.path.getsize(p) if look else ''}" for p in paths)
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return f"{len(paths)} images, {digest[:16]}"


def require_weights(option: str, network: str, weights: str, offline: bool) -> None:
    """Raises UsageError of a network's weights that are not there; reads none.

    Args:
      option: that asks for them.
      network: name of a Keras application in small letters, such as vgg16.
      weights: see `models.backbones.applications`.
      offline: whether Keras may not fetch them.
    """
    with naming(option), downloads.allowed(not offline):
        applications.require_weights(network, weights, network)


@contextlib.contextmanager
def naming(option: str) -> Iterator[None]:
    """Lets the message of a backbone's missing weights name the option that asks for them."""
    try:
        yield
    except BackboneError as error:
        raise UsageError(f"`{option}`: {error}") from error
