"""Trains WCDGAN, or a network that it is compared to, to restore JPEG images.

B. Xie, H. Zhang, C. Jung: "WCDGAN: Weakly Connected Dense Generative Adversarial Network for
Artifact Removal of Highly Compressed Images", IEEE Access 2022.

  python -m lossylab.train.wcdgan --train_data=FOLDER --quality=10 --run_dir=runs/wcdgan_q10

The generator learns alone at first, then in turn with the discriminator (Eq. 18-23). The other
networks (--model) learn by the mean squared error under the same protocol, as Sec. III-A has it.
Killed or stopped, the same command resumes the run; the network is written to run_dir/export.
"""

from __future__ import annotations

import dataclasses
import logging
import sys

import numpy as np
import tensorflow as tf
from absl import flags

from lossylab.core.app import launch, new_flags, parse, require
from lossylab.core.errors import BackboneError, UsageError
from lossylab.data.collections import find_images
from lossylab.data.jpeg import degrade, luminance_table
from lossylab.data.lattice_pairs import CHANNELS, Lattice, LatticeOptions, read_planes
from lossylab.data.patches import check_sizes
from lossylab.eval.metrics.psnr import psnr
from lossylab.inference.export.restorer import Restorer
from lossylab.losses import adversarial
from lossylab.losses import wcdgan as losses
from lossylab.models import restorers
from lossylab.models.backbones.keras import VGG19Features
from lossylab.models.wcdgan import WCDGAN, Discriminator
from lossylab.train import flags as shared
from lossylab.train.loop import warm_start
from lossylab.train.loop.fit import Task
from lossylab.train.session import run

log = logging.getLogger("lossylab")

_TERMS = ("perceptual", "adversarial", "tv")
_HALVING = 20_000  # steps, Sec. III-A
_VALIDATED = 768  # pixels: height and width that are looked at in validation

FLAGS = new_flags()
shared.define_loop(
    FLAGS,
    steps=200_000,
    batch=16,
    patch=80,
    why_steps="Assumed: not printed; the rates are halved ten times by then.",
)
flags.DEFINE_enum(
    "model", WCDGAN.model_id, list(restorers.NETWORKS), "Network to train.", flag_values=FLAGS
)
flags.DEFINE_enum(
    "channels",
    "rgb",
    list(CHANNELS),
    "rgb: color files, 4:2:0; y: studio-range luma, coded as a gray file.",
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "quality", 10, "Of the JPEG files; one model each (5, 10, 20).", 1, 100, flag_values=FLAGS
)
flags.DEFINE_integer("stride", 75, "Distance of the patches in pixels.", 1, flag_values=FLAGS)
flags.DEFINE_integer(
    "filters", 0, "Filters of the layers; 0 is as published.", 0, flag_values=FLAGS
)
flags.DEFINE_integer(
    "blocks", 0, "Blocks of wcdgan and memnet; 0 is as published.", 0, flag_values=FLAGS
)
flags.DEFINE_integer(
    "layers", 0, "Layers of dncnn, stages of tnrd; 0 is as published.", 0, flag_values=FLAGS
)
flags.DEFINE_bool(
    "mixed_conv", True, "Without: standard convolutions (Table 4).", flag_values=FLAGS
)
flags.DEFINE_bool("mixed_attention", True, "Without: left out (Table 4).", flag_values=FLAGS)
flags.DEFINE_enum(
    "content",
    None,
    ("l1", "l2"),
    "Content loss: l1 for wcdgan (Eq. 18), l2 for the others unless given.",
    flag_values=FLAGS,
)
flags.DEFINE_float("content_weight", 1.0, "Of the content loss.", 0.0, flag_values=FLAGS)
for _term, _equation in zip(_TERMS, ("19", "21", "22")):
    flags.DEFINE_float(
        f"{_term}_weight",
        None,
        f"Of the {_term} loss (Eq. {_equation}); 1 for wcdgan, 0 for the others unless given. "
        "Assumed: the paper prints no weights. Losses are in levels 0..255.",
        0.0,
        flag_values=FLAGS,
    )
flags.DEFINE_string(
    "weights", "imagenet", "Of VGG-19: imagenet, random, or a Keras file.", flag_values=FLAGS
)
flags.DEFINE_float("learning_rate", 2e-4, "Of the network.", 0.0, flag_values=FLAGS)
flags.DEFINE_float(
    "discriminator_learning_rate", 1e-4, "Of the discriminator.", 0.0, flag_values=FLAGS
)
flags.DEFINE_float("beta_1", 0.5, "Of Adam.", 0.0, 1.0, flag_values=FLAGS)
flags.DEFINE_integer(
    "halve_every", _HALVING, "Steps after which both rates are halved.", 1, flag_values=FLAGS
)
flags.DEFINE_float(
    "generator_epochs",
    4.0,
    "Epochs in which the generator learns alone, without the adversarial loss.",
    0.0,
    flag_values=FLAGS,
)
flags.DEFINE_string("init_from", None, "Run whose network to begin with.", flag_values=FLAGS)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The losses of a run: the flags with what they mean where they are not given."""

    content: str
    perceptual: float
    adversarial: float
    tv: float

    @classmethod
    def of(cls, options: flags.FlagValues) -> Recipe:
        """From the command's flags."""
        ours = options.model == WCDGAN.model_id
        weights = {
            term: float(ours) if options[f"{term}_weight"].value is None
            else options[f"{term}_weight"].value
            for term in _TERMS
        }  # fmt: skip
        return cls(content=options.content or ("l1" if ours else "l2"), **weights)


class RestorationTask(Task):
    """Network, discriminator and their optimizers."""

    def __init__(
        self,
        options: flags.FlagValues,
        lattice: Lattice,
        validation: list[str],
    ):
        """Builds the networks; call inside the strategy's scope.

        Args:
          options: the command's flags.
          lattice: patches of the training images.
          validation: images to validate on.

        Raises:
          BackboneError: if VGG-19's weights cannot be had.
        """
        self._options, self._recipe = options, Recipe.of(options)
        self._lattice = lattice
        channels = CHANNELS[options.channels]
        self._validation = [_pair(path, channels, options.quality) for path in validation]
        self.network = make_network(options)
        self._adam = _adam(options.learning_rate, options)
        self.discriminator = None
        if self._recipe.adversarial:
            self.discriminator = Discriminator(channels, options.patch)
            alone = steps_alone(options, lattice)
            rate = options.discriminator_learning_rate
            self._discriminator_adam = _adam(rate, options, alone)
            self.boundaries = (alone,)
        self._features = VGG19Features(options.weights) if self._recipe.perceptual else None
        self.metrics = ("loss", "content")
        self.metrics += tuple(term for term in _TERMS if getattr(self._recipe, term))
        if self.discriminator is not None:
            self.metrics += ("discriminator",)

    def checkpointed(self):
        """Both networks and their optimizers."""
        state = {"network": self.network, "adam": self._adam}
        self._adam._create_all_weights(self.network.trainable_variables)
        if self.discriminator is not None:
            adam = self._discriminator_adam
            adam._create_all_weights(self.discriminator.trainable_variables)
            state |= {"discriminator": self.discriminator, "discriminator_adam": adam}
        return state

    def step(self, batch, step):
        """One step of the network and, in the second phase, one of the discriminator."""
        del step
        true, damaged = batch
        share = 1.0 / tf.distribute.get_replica_context().num_replicas_in_sync
        variables = self.network.trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            restored = self.network(damaged, training=True)
            report = self._losses(true, restored)
            loss = share * report["loss"]
        gradients = tape.gradient(loss, variables)
        if self._adversarial:
            report["discriminator"] = self._discriminator_step(true, restored, share)
        self._adam.apply_gradients(zip(gradients, variables))
        return {name: share * report.get(name, 0.0) for name in self.metrics}

    @property
    def _adversarial(self) -> bool:
        return self.discriminator is not None and self.phase == len(self.boundaries)

    def _losses(self, true, restored):
        """Eq. 23; the discriminator's parameters are fixed."""
        recipe = self._recipe
        report = {"content": losses.content_loss(true, restored, recipe.content)}
        loss = self._options.content_weight * report["content"]
        if recipe.perceptual:
            report["perceptual"] = losses.perceptual_loss(true, restored, self._features)
            loss += recipe.perceptual * report["perceptual"]
        if recipe.tv:
            report["tv"] = losses.total_variation(restored)
            loss += recipe.tv * report["tv"]
        if self._adversarial:
            scores = self.discriminator(restored, training=True)
            report["adversarial"] = adversarial.least_squares_generator(scores)
            loss += recipe.adversarial * report["adversarial"]
        return {"loss": loss, **report}

    def _discriminator_step(self, true, restored, share):
        """Eq. 20; returns its loss."""
        variables = self.discriminator.trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            scores = [
                self.discriminator(side, training=True)
                for side in (true, tf.stop_gradient(restored))
            ]
            loss = adversarial.least_squares_discriminator(*scores)
            shared_loss = share * loss
        gradients = tape.gradient(shared_loss, variables)
        self._discriminator_adam.apply_gradients(zip(gradients, variables))
        return loss

    def images(self):
        """The first validation image, its JPEG version and the restored one."""
        if not self._validation:
            return {}
        true, damaged = self._validation[0]
        restored = self._restore(damaged[None])
        sides = {"original": true[None], "jpeg": damaged[None], "restored": restored}
        return {
            name: tf.broadcast_to(tf.cast(side, tf.float32), (*side.shape[:-1], 3))
            for name, side in sides.items()
        }

    def validate(self):
        """PSNR of the restored images and gain over JPEG in dB, means."""
        rows = []
        for true, damaged in self._validation:
            restored = self._restore(damaged[None])[0].numpy()
            rows.append([psnr(true, side) for side in (restored, damaged)])
        restored, damaged = np.mean(rows, 0)
        return {"psnr": restored, "gain": restored - damaged}

    @tf.function(reduce_retracing=True)
    def _restore(self, damaged):
        restored = self.network(tf.cast(damaged, tf.float32))
        return tf.saturate_cast(tf.round(restored), tf.uint8)

    def describe_batch(self, step):
        """Names of the files in a step's batch."""
        batch = self._options.batch
        numbers = range(step * batch, (step + 1) * batch)
        places = [self._lattice.locate(self._options.seed, number) for number in numbers]
        return ", ".join(self._lattice.paths[image] for image, _ in places)

    def export(self, path):
        """Writes the network as a SavedModel."""
        if self._options.export:
            Restorer.save(self.network, path, shared.resolved(self._options))


def make_network(options: flags.FlagValues) -> tf.Module:
    """The network that the flags ask for; raises UsageError if they do not fit each other."""
    names = {
        "wcdgan": {"filters": "filters", "blocks": "blocks"},
        "memnet": {"filters": "filters", "blocks": "blocks"},
        "dncnn": {"filters": "filters", "layers": "layers"},
        "mwcnn": {"filters": "filters"},
        "tnrd": {"layers": "stages"},
        "arcnn": {},
    }[options.model]
    for flag in ("filters", "blocks", "layers"):
        require(
            not options[flag].value or flag in names, f"--{flag} makes no sense for {options.model}"
        )
    given = {
        argument: options[flag].value for flag, argument in names.items() if options[flag].value
    }
    for flag in ("mixed_conv", "mixed_attention"):
        if options.model == WCDGAN.model_id:
            given[flag] = options[flag].value
        require(
            options[flag].value or flag in given, f"--no{flag} makes no sense for {options.model}"
        )
    try:
        table = luminance_table(options.quality)
        return restorers.make(options.model, CHANNELS[options.channels], table, **given)
    except ValueError as error:
        raise UsageError(f"--model={options.model}: {error}") from error


def steps_alone(options: flags.FlagValues, lattice: Lattice) -> int:
    """Steps in which the generator learns alone."""
    return round(options.generator_epochs * lattice.total / options.batch)


class _Halving(tf.keras.optimizers.schedules.LearningRateSchedule):
    """Halved at multiples of the training's steps, whenever the optimizer itself began."""

    def __init__(self, rate: float, every: int, begins_at: int):
        self._rate, self._every, self._begins_at = rate, every, begins_at

    def __call__(self, step):
        passed = (tf.cast(step, tf.int64) + self._begins_at) // self._every
        return self._rate * tf.pow(0.5, tf.cast(passed, tf.float32))


def _adam(
    rate: float, options: flags.FlagValues, begins_at: int = 0
) -> tf.keras.optimizers.Optimizer:
    schedule = _Halving(rate, options.halve_every, begins_at)
    return tf.keras.optimizers.legacy.Adam(schedule, options.beta_1, 0.999, epsilon=1e-8)


def _pair(path: str, channels: int, quality: int) -> tuple[np.ndarray, np.ndarray]:
    """An image and its JPEG version; of large ones the middle, for the memory's sake."""
    true = read_planes(path, channels)
    starts = [max(0, side - _VALIDATED) // 16 * 8 for side in true.shape[:2]]
    middle = tuple(slice(start, start + _VALIDATED) for start in starts)
    return true[middle], degrade(true, quality)[middle]


def _check(options: flags.FlagValues) -> None:
    """Refuses flags that contradict each other; raises UsageError."""
    shared.check(options)
    recipe = Recipe.of(options)
    require(options.beta_1 < 1, "--beta_1 must be below 1")
    require(
        bool(options.content_weight or recipe.perceptual),
        "nothing to restore by: give --content_weight or --perceptual_weight",
    )
    require(
        not recipe.perceptual or options.patch >= 32,
        f"the perceptual loss needs --patch of at least 32 pixels, got {options.patch}",
    )
    aligned = options.patch % 8 == 0 and options.stride % 8 == 0
    require(
        options.model != "tnrd" or aligned,
        f"--model=tnrd needs patches on JPEG's blocks: --patch={options.patch} and "
        f"--stride={options.stride} must be multiples of 8",
    )


def check(argv: list[str]) -> None:
    """Parses a command line and refuses what does not make sense; raises UsageError."""
    extra = parse(FLAGS, argv, __doc__)
    require(not extra, f"unexpected arguments: {' '.join(extra)}")
    _check(FLAGS)
    make_network(FLAGS)  # whatever does not fit is said before a run directory is made


def main(argv: list[str]) -> None:
    """Runs the command; `argv[0]` is the program's name."""
    check(argv)
    paths = find_images(FLAGS.train_data)
    validation = find_images(FLAGS.validation_data) if FLAGS.validation_data else []
    check_sizes(paths, FLAGS.patch)
    check_sizes(validation, 1)
    strategy = shared.make_strategy(FLAGS)
    channels = CHANNELS[FLAGS.channels]
    pair_options = LatticeOptions(
        FLAGS.patch, FLAGS.stride, FLAGS.quality, channels, FLAGS.cache_mb
    )
    if FLAGS.dry_run:
        sys.stdout.write(shared.dump(FLAGS) + "\n")
        return
    lattice = Lattice(paths, pair_options)
    if Recipe.of(FLAGS).adversarial and steps_alone(FLAGS, lattice) >= FLAGS.steps:
        log.warning(
            "the generator learns alone for %g epochs, %d steps: with --steps=%d there is no "
            "adversarial training",
            *(FLAGS.generator_epochs, steps_alone(FLAGS, lattice), FLAGS.steps),
        )

    def make_task():
        try:
            return RestorationTask(FLAGS, lattice, validation)
        except BackboneError as error:
            raise UsageError(f"--weights: {error}") from error

    def begin(task):
        if FLAGS.init_from:
            checkpoint = warm_start.checkpoint_of(FLAGS.init_from, "init_from")
            warm_start.restore({"network": task.network}, checkpoint, "init_from")

    run(FLAGS, strategy, paths, make_task, lattice.pairs, begin)


if __name__ == "__main__":
    launch(main)
