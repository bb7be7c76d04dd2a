"""Trains a degradation model: how probable a degraded image is, given the good one.

"Perceptual Image Restoration with High-Quality Priori and Degradation Learning", Sec. 3 and 4.3.

  python -m lossylab.train.mmd_restoration --train_data=FOLDER --quality=5 --run_dir=runs/jpeg5

A conditional PixelCNN++ learns by maximum likelihood. Weights are first set by one batch, layer by
layer; an exponential mean of them is validated and exported. The loss is in bits for each
number of an image. Killed or stopped, the same command resumes the run; the model is written
to run_dir/export, for the search in StyleGAN's latent space, `lossylab sample` and
`lossylab eval degradation_nll`.
"""

from __future__ import annotations

import functools
import math
import pathlib
import re
import sys

import numpy as np
import tensorflow as tf
from absl import flags

from lossylab.core.app import launch, new_flags, parse, require
from lossylab.data.collections import find_images
from lossylab.data.distortions import DISTORTIONS
from lossylab.data.patches import check_sizes
from lossylab.data.scaled_pairs import SIZE_STEP, DegradedOptions, centerd_pairs, degraded_crops
from lossylab.data.schedule import Schedule, paths_of_step
from lossylab.eval.degradation_nll import paired_and_unpaired
from lossylab.inference.export.degradation import Degradation
from lossylab.losses.pixelcnn import FAMILIES, bits_per_dim, discretized_mixture_nll
from lossylab.models.pixelcnn import ConditionalPixelCNN
from lossylab.train import flags as shared
from lossylab.train.loop import warm_start
from lossylab.train.loop.fit import Task
from lossylab.train.loop.optimizers import AdamInside, Decay
from lossylab.train.loop.weight_mean import WeightMean
from lossylab.train.session import run

FLAGS = new_flags()


def _integer(name: str, default: int, text: str, low: int = 1) -> None:
    flags.DEFINE_integer(name, default, text, low, flag_values=FLAGS)


def _float(name: str, default: float | None, text: str, high: float | None = None) -> None:
    flags.DEFINE_float(name, default, text, 0.0, high, flag_values=FLAGS)


shared.define_loop(
    FLAGS,
    steps=473_750,
    batch=16,
    patch=64,
    why_steps="379 epochs of 20,000 images, as the paper's last model; 36,250 are its 29.",
)
_integer("max_patch", 96, "Largest of the crops' sides, drawn anew each step from --patch to this, "
         "a multiple of 8 more. Assumed: a pixel's parameters see 16x28 pixels, so whole images "
         "of 256x256 only take memory.")  # fmt: skip
flags.DEFINE_enum("degradation", "jpeg", list(DISTORTIONS), "What to learn.", flag_values=FLAGS)
_integer("quality", 5, "Of JPEG, 4:2:0. Assumed: not printed; the paper's bits of degraded faces "
         "point to very low ones.")  # fmt: skip
_float("severity", None, "Of the other degradations, in their unit.")
_integer("factor", 4, "Scale both images down by, after the degradation: 1024 to 256 pixels.")
_integer("grid", 1, "Crops begin at its multiples, pixels after scaling.")
_integer("channels", 100, "Of the network (Sec. 4.1).")
_integer("blocks", 6, "Conditional blocks (Sec. 4.1).")
_integer("mixtures", 10, "Components of a pixel's mixture. Assumed: PixelCNN++'s.")
_float("dropout", 0.5, "Share dropped in each block. Assumed: PixelCNN++'s.", 1.0)
flags.DEFINE_bool(
    "merged", False, "Merge the downward and the rightward stream before the blocks. Assumed: the "
    "paper's words allow both.", flag_values=FLAGS,
)  # fmt: skip
flags.DEFINE_enum(
    "family", "logistic", FAMILIES, "Of the components. Assumed: PixelCNN++'s; the paper writes "
    "Gaussian and cites it.", flag_values=FLAGS,
)  # fmt: skip
_integer("condition_filters", 64, "Of the condition's encoder. Assumed: not printed.")
flags.DEFINE_list(
    "dilations", ["1", "1", "1"], "Of the encoder's 3x3 convolutions. Assumed: 7 pixels hold a "
    "block of 8 at a factor of 4; 1,2,4,8 see 31, for a factor of 1.", flag_values=FLAGS,
)  # fmt: skip
_integer("phase", 0, "Tell the encoder each pixel's place modulo so many, as 16 for JPEG's blocks "
         "at a factor of 1; 0: as assumed for the paper.", 0)  # fmt: skip
_float("learning_rate", 1e-3, "Of Adam. Assumed: PixelCNN++'s.")
_float("beta_1", 0.95, "Of Adam. Assumed: PixelCNN++'s.", 1.0)
_float("beta_2", 0.9995, "Of Adam; remembers the first, large gradients for thousands of steps. "
       "Assumed: PixelCNN++'s.", 1.0)  # fmt: skip
_float("decay", 0.999995, "Factor of the learning rate each step. Assumed: PixelCNN++'s.", 1.0)
_float("average", 0.9995, "Share of the past in the exported mean of the weights; 0: the last "
       "weights. Assumed: PixelCNN++'s.", 1.0)  # fmt: skip
flags.DEFINE_list(
    "export_at", [], "Also write run_dir/export_STEP at these steps: the paper compares epochs.",
    flag_values=FLAGS,
)  # fmt: skip
_integer("validation_crop", 0, "Side of the windows to validate on; 0: the largest that all "
         "images have.", 0)  # fmt: skip
flags.DEFINE_string("init_from", None, "Run whose network to begin with.", flag_values=FLAGS)


class DegradationTask(Task):
    """The network, the mean of its weights and the optimizer."""

    metrics = ("loss",)

    def __init__(self, options: flags.FlagValues, paths: list[str], validation: list[str]):
        """Builds the network; call inside the strategy's scope.

        Args:
          options: the command's flags.
          paths: training images.
          validation: images to validate on.
        """
        self._options, self._paths, self._validation = options, paths, validation
        self.network = _network(options, "network")
        self.mean = WeightMean(self.network, lambda: _network(options, "mean"), options.average)
        rate = Decay(options.learning_rate, options.decay)
        self._adam = AdamInside(rate, options.beta_1, options.beta_2, epsilon=1e-8)
        self.stops = tuple(export_steps(options))

    def checkpointed(self):
        """The network, its mean and the optimizer."""
        self._adam._create_all_weights(self.network.trainable_variables)
        return {"network": self.network, "adam": self._adam, **self.mean.checkpointed}

    def begin(self, good: tf.Tensor, degraded: tf.Tensor) -> None:
        """Sets the weights by a batch, float32 [B, H, W, 3] each, and begins the mean."""
        # PixelCNN++ drops values here too, as in the steps that follow.
        seed = tf.constant((self._options.seed, -1), tf.int64)
        self.network.initialize(degraded, good, seed=seed)
        self.mean.begin()

    def step(self, batch, step):
        """One step; the gradient is of the batch's nats, as epsilon goes with their size."""
        good, degraded = batch
        replica = tf.distribute.get_replica_context()
        seed = tf.stack([tf.constant(self._options.seed, tf.int64), step])
        seed = tf.random.fold_in(seed, replica.replica_id_in_sync_group)
        variables = self.network.trainable_variables
        family = self._options.family
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            parameters = self.network(degraded, good, training=True, seed=seed)
            nats = tf.reduce_sum(discretized_mixture_nll(degraded, parameters, family))
        self._adam.apply_gradients(zip(tape.gradient(nats, variables), variables))
        self.mean.update()
        numbers = replica.num_replicas_in_sync * tf.size(degraded)
        return {"loss": nats / (math.log(2) * tf.cast(numbers, tf.float32))}

    @functools.cached_property
    def _pairs(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """What is validated on; made when it is first asked for, by who validates only."""
        options = self._options
        return centerd_pairs(self._validation, crop_options(options), options.validation_crop)

    def validate(self):
        """Mean bits of degraded images, given their own good version and another's."""
        paired, unpaired = np.mean(paired_and_unpaired(self._bits, self._pairs), 0)
        return {"paired": paired, "unpaired": unpaired}

    def images(self):
        """The first validation image and its degraded version."""
        if not self._validation:
            return {}
        sides = zip(("original", "degraded"), self._pairs[0])
        return {name: tf.cast(side[None], tf.float32) for name, side in sides}

    @tf.function(reduce_retracing=True)
    def _bits(self, degraded, condition):
        return bits_per_dim(degraded, self.mean.served(degraded, condition), self._options.family)

    def describe_batch(self, step):
        """Names of the files in a step's batch."""
        options = self._options
        return ", ".join(paths_of_step(self._paths, options.batch, options.seed, step))

    def at_stop(self, step):
        """Writes a model of --export_at."""
        self.export(str(pathlib.Path(self._options.run_dir) / f"export_{step}"))

    def export(self, path):
        """Writes the mean network as a SavedModel."""
        if self._options.export:
            options = {**shared.resolved(self._options), "severity": severity(self._options)}
            Degradation.save(self.mean.served, path, options)


def _network(options: flags.FlagValues, name: str) -> ConditionalPixelCNN:
    return ConditionalPixelCNN(
        **{"channels": options.channels, "blocks": options.blocks, "mixtures": options.mixtures},
        **{"dropout": options.dropout, "merged": options.merged, "family": options.family},
        **{"condition_filters": options.condition_filters, "phase": options.phase},
        dilations=[int(d) for d in options.dilations],
        name=name,
    )


def severity(options: flags.FlagValues) -> float:
    """The severity that the flags ask for, JPEG's quality among them."""
    if options.degradation == "jpeg":
        return options.quality
    if options.severity is None:
        return DISTORTIONS[options.degradation].severity
    return options.severity


def crop_options(options: flags.FlagValues) -> DegradedOptions:
    """What a pair of crops is, from the flags."""
    return DegradedOptions(
        *(options.degradation, severity(options), options.factor),
        *(options.patch, options.max_patch, options.grid, options.cache_mb),
    )


def export_steps(options: flags.FlagValues) -> list[int]:
    """Steps of --export_at, ascending."""
    return sorted(int(step) for step in options.export_at)


def check(argv: list[str]) -> None:
    """Parses a command line and refuses what does not make sense; raises UsageError."""
    extra = parse(FLAGS, argv, __doc__)
    require(not extra, f"unexpected arguments: {' '.join(extra)}")
    shared.check(FLAGS)
    for name in ("dropout", "average", "beta_1", "beta_2"):
        require(FLAGS[name].value < 1, f"--{name} must be below 1")
    require(FLAGS.decay > 0, "--decay must be above 0")
    require(
        FLAGS.max_patch >= FLAGS.patch,
        f"--max_patch={FLAGS.max_patch} is below --patch={FLAGS.patch}",
    )
    require(
        (FLAGS.max_patch - FLAGS.patch) % SIZE_STEP == 0,
        f"--max_patch={FLAGS.max_patch} must be --patch={FLAGS.patch} plus a multiple of "
        f"{SIZE_STEP}: sides in between are not drawn",
    )
    for name in ("dilations", "export_at"):
        values = FLAGS[name].value
        require(
            all(re.fullmatch("[0-9]{1,9}", text) and int(text) >= 1 for text in values),
            f"--{name} takes whole numbers from 1, got {','.join(values)}",
        )
    require(bool(FLAGS.dilations), "--dilations needs at least one number")
    late = [step for step in export_steps(FLAGS) if step > FLAGS.steps]
    require(not late, f"--export_at={late[0] if late else ''} is after --steps={FLAGS.steps}")
    require(FLAGS.export or not FLAGS.export_at, "--export_at and --noexport contradict each other")
    require(
        not FLAGS.phase or FLAGS.grid % FLAGS.phase == 0,
        f"--phase={FLAGS.phase} needs a --grid of its multiples, got {FLAGS.grid}: else crops "
        "would tell the place wrongly",
    )
    _check_degradation()


def _check_degradation() -> None:
    kind, name = DISTORTIONS[FLAGS.degradation], FLAGS.degradation
    jpeg = name == "jpeg"
    require(not jpeg or FLAGS.severity is None, "--severity is not for jpeg: give --quality")
    require(jpeg or not FLAGS["quality"].present, f"--quality is not for {name}: give --severity")
    value = severity(FLAGS)
    require(
        kind.lowest <= value <= kind.highest,
        f"--{'quality' if jpeg else 'severity'} of {name} ({kind.unit}) must lie in "
        f"{kind.lowest:g}..{kind.highest:g}, got {value:g}",
    )


def main(argv: list[str]) -> None:
    """Runs the command; `argv[0]` is the program's name."""
    check(argv)
    paths = find_images(FLAGS.train_data)
    validation = find_images(FLAGS.validation_data) if FLAGS.validation_data else []
    require(
        not FLAGS.validate_every or len(validation) > 1,
        "--validation_data needs at least two images: each is compared with another's, too",
    )
    check_sizes(paths, FLAGS.max_patch * FLAGS.factor, "--max_patch times --factor")
    check_sizes(validation, max(FLAGS.validation_crop, 1) * FLAGS.factor, "--validation_crop")
    strategy = shared.make_strategy(FLAGS)
    if FLAGS.dry_run:
        sys.stdout.write(shared.dump(FLAGS) + "\n")
        return
    options = crop_options(FLAGS)

    def begin(task):
        if FLAGS.init_from:
            checkpoint = warm_start.checkpoint_of(FLAGS.init_from, "init_from")
            warm_start.restore({"network": task.network}, checkpoint, "init_from")
            task.mean.begin()
            return
        schedule = Schedule(FLAGS.batch, FLAGS.seed)
        for good, degraded in degraded_crops(paths, options, schedule).take(1):
            task.begin(good, degraded)

    run(
        FLAGS,
        strategy,
        paths,
        lambda: DegradationTask(FLAGS, paths, validation),
        functools.partial(degraded_crops, paths, options),
        begin,
    )


if __name__ == "__main__":
    launch(main)
