"""Options that every training has: of its loop, its data and its run directory."""

from __future__ import annotations

from typing import Any

from lossylab.core.options import Options, default_of, option, option_class, require

STRATEGIES = ("one", "mirrored", "multiworker")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16", "auto")
EXPORT_PRECISIONS = ("float32", "bfloat16")


def steps(default: int | None, **details: Any) -> Any:
    """The option `steps` of a training; see `option`."""
    help_ = details.pop("help", "Training steps in all, those before a resumption included.")
    return option(default, help_, minimum=1, may_differ=True, **details)


def batch(default: int | None, **details: Any) -> Any:
    """The option `batch` of a training; see `option`."""
    help_ = details.pop("help", "Patches in the global batch, over all devices.")
    return option(default, help_, minimum=1, **details)


def patch(default: int, **details: Any) -> Any:
    """The option `patch` of a training; see `option`."""
    return option(default, "Height and width of the patches.", minimum=1, unit="pixels", **details)


def export_at(why: str) -> Any:
    """The option `export_at` of a training, which calls `require_exports`; see `option`."""
    return option(
        (),
        f"Also write run_dir/export_STEP at these steps: {why}",
        minimum=1,
        maximum=999_999_999,
        may_differ=True,
    )


def positive(default: float | None, text: str, **details: Any) -> Any:
    """An option that is a number of at least 0, such as a weight or a rate; see `option`."""
    return option(default, text, minimum=0.0, **details)


def export_precision(of: str) -> Any:
    """The option of what an export computes in; see `option`.

    Args:
      of: what computes in it, with its verb.
    """
    return option(
        "float32",
        f"What {of} in. bfloat16 is refused where it changes images by more than half a pixel "
        "value on average.",
        choices=EXPORT_PRECISIONS,
        may_differ=True,
    )


@option_class
class LoopOptions(Options):
    """How long to train and how often to do what; all in steps, 0 for never.

    Attributes:
      steps: steps in all, those of earlier sessions included.
      log_every: steps per row of metrics.csv.
      checkpoint_every: steps between checkpoints.
      summary_every: steps between images in TensorBoard.
      validate_every: steps between validations.
      keep_checkpoints: newest checkpoints that are kept.
      precision: Keras's policy of the steps; validation is always float32.
      jit: whether XLA compiles a step.
    """

    steps: int = steps(1)
    log_every: int = option(10, "Steps per row of metrics.csv.", minimum=1, may_differ=True)
    checkpoint_every: int = option(1000, "Steps between checkpoints.", minimum=1, may_differ=True)
    summary_every: int = option(
        1000, "Steps between images for TensorBoard; 0 is never.", minimum=0, may_differ=True
    )
    validate_every: int = option(
        0, "Steps between validations; 0 is never.", minimum=0, may_differ=True
    )
    keep_checkpoints: int = option(
        3, "Number of the newest checkpoints that are kept.", minimum=1, may_differ=True
    )
    precision: str = option(
        "float32",
        "Number format of convolutions; all else stays float32. mixed_float16 scales the loss; "
        "auto takes what suits the GPU or the processor, float32 if nothing narrower is faster.",
        choices=PRECISIONS,
    )
    jit: bool = option(
        False,
        "Compile each step by XLA: faster on most GPUs, slower on a CPU. Noise is another draw.",
    )


@option_class
class TrainingOptions(LoopOptions):
    """Trains a model in a run directory."""

    run_dir: str = option(help="Folder of the run; it is resumed if it holds one.", may_differ=True)
    train_data: str = option(
        help="Images to train on: a collection, folder, glob or @list.", images=True
    )
    validation_data: str | None = option(
        None,
        "Images for `validate_every`: a collection, folder, glob or @list.",
        may_differ=True,
        images=True,
    )
    batch: int = batch(8)
    patch: int = patch(128)
    accumulate: int = option(
        1,
        "Parts that each device works through its share of the batch in, one after the other, "
        "before the weights change once: memory for a part is enough. Batch normalization sees a "
        "part at a time.",
        minimum=1,
    )
    check_images: bool = option(
        True,
        "Decode all images before the training begins; what was found good is remembered.",
        may_differ=True,
    )
    skip_bad: bool = option(
        False, "Leave out images that cannot be read, and say how many.", may_differ=True
    )
    skip_small: bool = option(
        False,
        "Leave out images that are smaller than the patch, and say how many.",
        may_differ=True,
    )
    seed: int = option(1, "Seed of weights, data and noise.", minimum=0, maximum=2**31 - 1)
    cache_mb: int = option(
        1024, "Decoded images kept in memory.", minimum=0, unit="MiB", may_differ=True
    )
    strategy: str = option(
        "one",
        "Devices to train on: one, several of this machine, or those of several machines.",
        choices=STRATEGIES,
    )
    tf32: bool = option(
        False, "Let GPUs round the operands of float32 products to 10 bits, which is faster."
    )
    devices: tuple[str, ...] = option(
        (), "Devices for `strategy`=mirrored, such as GPU:0,GPU:1; empty is all GPUs."
    )
    data_service: tuple[str, ...] = option(
        (),
        "Addresses of data workers that make the batches, such as grpc://host:5050, one for each "
        "`lossylab data_worker`; they see the images under the same paths. Order and numbers stay "
        "the same. Empty makes them here.",
        may_differ=True,
    )
    export: bool = option(True, "Write run_dir/export at the end.", may_differ=True)
    dry_run: bool = option(
        False, "Print options and environment as JSON and stop.", may_differ=True
    )

    def check(self) -> None:
        """Refuses loop options that contradict each other."""
        super().check()
        require(self.run_dir, "`run_dir` is needed: the folder that this run writes")
        require(
            self.train_data, "`train_data` is needed: a collection, folder, glob or @list of images"
        )
        require(
            not self.validate_every or self.validates,
            "`validate_every` needs `validation_data`",
        )
        require(
            not self.batch or self.batch % self.accumulate == 0,
            f"`batch`={self.batch} cannot be shared by `accumulate`={self.accumulate} parts: "
            "choose a multiple",
        )
        require(
            self.strategy == "mirrored" or not self.devices,
            f"`devices` goes with `strategy`=mirrored, not {self.strategy}",
        )
        require(
            self.strategy == "one" or not self.jit,
            f"`jit` goes with `strategy`=one, not {self.strategy}",
        )

    @property
    def validates(self) -> bool:
        """Whether there is something to validate on."""
        return bool(self.validation_data)


def require_exports(steps: int, export: bool, stops: tuple[int, ...]) -> None:
    """Raises UsageError unless a training of so many steps can export at these."""
    late = max(stops, default=0)
    require(late <= steps, f"`export_at`={late} is after `steps`={steps}")
    require(export or not stops, "`export_at` and `export`=false contradict each other")


def require_multiple(name: str, value: int, factor: int) -> None:
    """Raises UsageError unless an option is a multiple of a number."""
    require(value % factor == 0, f"`{name}`={value} must be a multiple of {factor}")


def changed(options: Options, names: tuple[str, ...]) -> list[str]:
    """The options among these that have another value than by default."""
    defaults = {field: default_of(type(options), field) for field in names}
    return [name for name, default in defaults.items() if getattr(options, name) != default]
