"""Trains a generator to distort images as JPEG, JPEG 2000, white or pink noise do.

L.-H. Chen, C. G. Bampis, Z. Li, A. C. Bovik: "Learning to Distort Images Using Generative
Adversarial Networks", IEEE Signal Processing Letters 2020.

  python -m lossylab.train.distortion_gan --train_data=FOLDER --distortion=jpeg --run_dir=runs/jpeg

Generator and discriminator learn in turn by the hinge loss and the sparsity of what is added
(Eq. 1-4); with --pixel_loss the generator learns alone (Sec. III-D). Killed or stopped, the same
command resumes the run; the generator is written to run_dir/export, for `lossylab distort`.
"""

from __future__ import annotations

import functools
import logging
import sys

import numpy as np
import tensorflow as tf
from absl import flags

from lossylab.core.app import launch, new_flags, parse, require
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.data.distortions import DISTORTIONS, distort
from lossylab.data.patch_pairs import DistortedOptions, distorted_patches, noise_seed
from lossylab.data.patches import check_sizes
from lossylab.data.schedule import paths_of_step
from lossylab.eval.metrics import nss
from lossylab.inference.export.distorter import Distorter
from lossylab.losses import adversarial
from lossylab.losses import distortion_gan as losses
from lossylab.models.patchgan import SMALLEST, PatchGAN
from lossylab.models.unet import UPSAMPLINGS, ResidualUNet
from lossylab.train import flags as shared
from lossylab.train.loop import warm_start
from lossylab.train.loop.fit import Task
from lossylab.train.loop.weight_mean import WeightMean
from lossylab.train.session import run

log = logging.getLogger("lossylab")

_PIXEL = ("none", "l1", "l2")
_COLLAPSED = 0.02  # mean hinge loss of a discriminator that always wins
_BLIND = 1.98  # of one that tells nothing apart, after that many steps:
_PATIENCE = 500

FLAGS = new_flags()
shared.define_loop(
    FLAGS,
    steps=100_000,
    batch=16,
    patch=256,
    why_steps="Assumed: not printed; 340 epochs of the paper's 4700 images.",
)
flags.DEFINE_enum("distortion", "jpeg", list(DISTORTIONS), "What to learn.", flag_values=FLAGS)
flags.DEFINE_float(
    "severity",
    None,
    "Of the distortion, in its unit. Assumed: not printed; chosen so that the statistics of the "
    "true distortions differ as in Table I.",
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "grid", 1, "Patches begin at its multiples; 8 keeps JPEG's blocks in place.", 1,
    flag_values=FLAGS,
)  # fmt: skip
flags.DEFINE_integer(
    "filters", 64, "Of the generator's first layer. Assumed: not printed.", 1, flag_values=FLAGS
)
flags.DEFINE_integer(
    "discriminator_filters", 64, "Of the discriminator's first layer.", 1, flag_values=FLAGS
)
flags.DEFINE_float(
    "residual_gain",
    0.0,
    "Show the discriminator so many times the difference instead of the second image; 0: as in "
    "the paper.",
    0.0,
    flag_values=FLAGS,
)
flags.DEFINE_enum(
    "upsampling",
    "nearest",
    UPSAMPLINGS,
    "Of the generator. Assumed: the paper says 'upsampling'.",
    flag_values=FLAGS,
)
flags.DEFINE_float(
    "sparsity_weight",
    0.1,
    "lambda of Eq. 3, of the mean absolute residual in levels. Assumed: the paper prints no range.",
    0.0,
    flag_values=FLAGS,
)
flags.DEFINE_enum(
    "pixel_loss", "none", _PIXEL, "Learn by this alone, without GAN (Fig. 4).", flag_values=FLAGS
)
flags.DEFINE_integer(
    "discriminator_first",
    0,
    "Steps in which the discriminator learns alone; 0: as in the paper.",
    0,
    flag_values=FLAGS,
)
flags.DEFINE_float(
    "gradient_penalty",
    0.0,
    "Weight of the discriminator's squared slope at true images, see "
    "`lossylab.losses.adversarial.gradient_penalty`; 0: as in the paper.",
    0.0,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "moments_steps",
    None,
    "Steps after which the generator's batch normalization keeps its moments and uses them in "
    "training too; 0: those of --init_from; by default it never does, as in the paper.",
    0,
    flag_values=FLAGS,
)
flags.DEFINE_float("learning_rate", 3e-4, "Of the generator.", 0.0, flag_values=FLAGS)
flags.DEFINE_float(
    "discriminator_learning_rate", 1e-4, "Of the discriminator.", 0.0, flag_values=FLAGS
)
flags.DEFINE_float("beta_1", 0.9, "Of Adam. Assumed: Adam's default.", 0.0, 1.0, flag_values=FLAGS)
flags.DEFINE_float(
    "average",
    0.0,
    "Export the generator's exponential mean with this share of the past, such as 0.995; 0: the "
    "last generator, as the paper.",
    0.0,
    1.0,
    flag_values=FLAGS,
)
flags.DEFINE_string("init_from", None, "Run whose generator to begin with.", flag_values=FLAGS)


class DistortionTask(Task):
    """Generator, discriminator and their optimizers."""

    def __init__(self, options: flags.FlagValues, paths: list[str], validation: list[str]):
        """Builds the networks; call inside the strategy's scope.

        Args:
          options: the command's flags.
          paths: training images.
          validation: images to validate on.
        """
        self._options, self._paths, self._warned = options, paths, False
        self._validation = [_pair(path, options) for path in validation]
        self.generator = ResidualUNet(options.filters, options.upsampling)
        self._adam = _adam(options.learning_rate, options)
        self.mean = WeightMean(
            self.generator,
            lambda: ResidualUNet(options.filters, options.upsampling, name="mean"),
            options.average,
        )
        self.discriminator = None
        self.metrics = ("loss", "residual")
        self.boundaries = tuple(
            sorted({options.discriminator_first, options.moments_steps or 0} - {0})
        )
        if options.pixel_loss == "none":
            self.discriminator = PatchGAN(options.discriminator_filters, options.residual_gain)
            self._discriminator_adam = _adam(options.discriminator_learning_rate, options)
            self.metrics += ("adversarial", "discriminator", "score_true", "score_made")
            if options.gradient_penalty:
                self.metrics += ("penalty",)

    def checkpointed(self):
        """Both networks and their optimizers."""
        self._adam._create_all_weights(self.generator.trainable_variables)
        state = {"generator": self.generator, "adam": self._adam, **self.mean.checkpointed}
        if self.discriminator is not None:
            adam = self._discriminator_adam
            adam._create_all_weights(self.discriminator.trainable_variables)
            state |= {"discriminator": self.discriminator, "discriminator_adam": adam}
        return state

    def step(self, batch, step):
        """One step of the generator, then one of the discriminator on the same images."""
        del step
        pristine, distorted = batch
        begun = (0, *self.boundaries)[self.phase]  # steps done when the phase began
        kept = self._options.moments_steps
        moments_move = kept is None or begun < kept
        share = 1.0 / tf.distribute.get_replica_context().num_replicas_in_sync
        variables = self.generator.trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            made = self.generator(pristine, training=moments_move)
            report = self._losses(pristine, distorted, made)
            loss = share * report["loss"]
        gradients = tape.gradient(loss, variables)
        if self.discriminator is not None:
            report |= self._discriminator_step(pristine, distorted, made, share)
        if begun >= self._options.discriminator_first:
            self._adam.apply_gradients(zip(gradients, variables))
            self.mean.update()
        return {name: share * report[name] for name in self.metrics}

    def _losses(self, pristine, distorted, made):
        """Eq. 3, or a pixel loss; the discriminator's parameters are fixed."""
        options = self._options
        report = {"residual": losses.sparsity(pristine, made)}
        if self.discriminator is None:
            return {"loss": losses.pixel_loss(distorted, made, options.pixel_loss), **report}
        report["adversarial"] = adversarial.hinge_generator(
            self._scores(pristine, distorted, made)[1]
        )
        loss = report["adversarial"] + options.sparsity_weight * report["residual"]
        return {"loss": loss, **report}

    def _discriminator_step(self, pristine, distorted, made, share):
        """Eq. 4; returns its loss, the mean scores and the penalty."""
        variables, report = self.discriminator.trainable_variables, {}
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            with tf.GradientTape(watch_accessed_variables=False) as inner:
                inner.watch(distorted)
                true, false = self._scores(pristine, distorted, tf.stop_gradient(made))
                score = tf.reduce_mean(true)
            report["discriminator"] = loss = adversarial.hinge_discriminator(true, false)
            if self._options.gradient_penalty:
                slope = inner.gradient(score, distorted) / self.discriminator.scale
                report["penalty"] = adversarial.gradient_penalty(slope)
                loss += self._options.gradient_penalty * report["penalty"]
            shared_loss = share * loss
        gradients = tape.gradient(shared_loss, variables)
        self._discriminator_adam.apply_gradients(zip(gradients, variables))
        return {**report, "score_true": score, "score_made": tf.reduce_mean(false)}

    def _scores(self, pristine, distorted, made):
        """Scores of true and made images, normalized together: else their strengths vanish."""
        both = tf.concat([distorted, made], 0)
        scores = self.discriminator(tf.concat([pristine, pristine], 0), both, training=True)
        return tf.split(scores, 2)

    def images(self):
        """The first validation image, truly distorted and as the generator does."""
        if not self._validation:
            return {}
        pristine, distorted = self._validation[0]
        sides = {"original": pristine, "true": distorted, "made": self._distort(pristine)}
        return {name: tf.cast(side[None], tf.float32) for name, side in sides.items()}

    def validate(self):
        """JSD of made and true distortions' statistics in bits, and the residual in levels."""
        rows = []
        for pristine, distorted in self._validation:
            made = self._distort(pristine).numpy()
            residual = np.abs(made.astype(float) - pristine).mean()
            rows.append(
                [nss.jensen_shannon(nss.histogram(distorted), nss.histogram(made)), residual]
            )
        jsd, residual = np.mean(rows, 0)
        return {"jsd": jsd, "residual": residual}

    @tf.function(reduce_retracing=True)
    def _distort(self, pristine):
        made = self.mean.served(tf.cast(pristine[None], tf.float32))
        return tf.saturate_cast(tf.round(made[0]), tf.uint8)

    def describe_batch(self, step):
        """Names of the files in a step's batch."""
        options = self._options
        return ", ".join(paths_of_step(self._paths, options.batch, options.seed, step))

    def watch(self, step, values):
        """Warns once when the discriminator always wins or tells nothing apart."""
        loss = values.get("discriminator", 1.0)
        blind = loss > _BLIND and step > _PATIENCE
        if self._warned or not (loss < _COLLAPSED or blind):
            return
        self._warned = True
        log.warning(
            "step %d: the discriminator tells %s apart (loss %.3g, scores %.2g and %.2g): the "
            "generator learns nothing from it; %s --discriminator_learning_rate",
            *(step, "nothing" if blind else "all", loss),
            *(values["score_true"], values["score_made"], "raise" if blind else "lower"),
        )

    def export(self, path):
        """Writes the generator as a SavedModel."""
        if self._options.export:
            options = {**shared.resolved(self._options), "severity": severity(self._options)}
            Distorter.save(self.mean.served, path, options)


def severity(options: flags.FlagValues) -> float:
    """The severity that the flags ask for."""
    if options.severity is None:
        return DISTORTIONS[options.distortion].severity
    return options.severity


def _adam(rate: float, options: flags.FlagValues) -> tf.keras.optimizers.Optimizer:
    return tf.keras.optimizers.legacy.Adam(rate, options.beta_1, 0.999, epsilon=1e-8)


def _pair(path: str, options: flags.FlagValues) -> tuple[np.ndarray, np.ndarray]:
    image = read_image(path)
    return image, distort(image, options.distortion, severity(options), noise_seed(path))


def check(argv: list[str]) -> None:
    """Parses a command line and refuses what does not make sense; raises UsageError."""
    extra = parse(FLAGS, argv, __doc__)
    require(not extra, f"unexpected arguments: {' '.join(extra)}")
    shared.check(FLAGS)
    require(FLAGS.beta_1 < 1, "--beta_1 must be below 1")
    require(FLAGS.average < 1, "--average must be below 1")
    kept = FLAGS.moments_steps
    require(
        kept != 0 or FLAGS.init_from,
        "--moments_steps=0 keeps the moments of --init_from, which is not given",
    )
    require(
        not kept or kept > FLAGS.discriminator_first,
        f"--moments_steps={kept} must be above --discriminator_first={FLAGS.discriminator_first}: "
        "before, the generator does not learn",
    )
    require(
        not (kept and FLAGS.average),
        "--average lags behind moments that are kept from one step on: leave it or --moments_steps "
        "out, or begin with --init_from and --moments_steps=0",
    )
    kind = DISTORTIONS[FLAGS.distortion]
    require(
        kind.lowest <= severity(FLAGS) <= kind.highest,
        f"--severity of {FLAGS.distortion} ({kind.unit}) must lie in {kind.lowest:g}.."
        f"{kind.highest:g}, got {severity(FLAGS):g}",
    )
    adversarial_only = (
        *("sparsity_weight", "residual_gain", "discriminator_first", "gradient_penalty"),
        *("discriminator_filters", "discriminator_learning_rate"),
    )
    given = [f"--{n}" for n in adversarial_only if FLAGS[n].value != FLAGS[n].default]
    require(
        FLAGS.pixel_loss == "none" or not given,
        f"{' and '.join(given)} make no sense with --pixel_loss={FLAGS.pixel_loss}: no GAN is "
        "trained",
    )
    fits = FLAGS.patch % 8 == 0 and FLAGS.patch >= SMALLEST
    require(
        FLAGS.pixel_loss != "none" or fits,
        f"--patch={FLAGS.patch} must be a multiple of 8 and at least {SMALLEST}, for the "
        "discriminator",
    )


def main(argv: list[str]) -> None:
    """Runs the command; `argv[0]` is the program's name."""
    check(argv)
    paths = find_images(FLAGS.train_data)
    validation = find_images(FLAGS.validation_data) if FLAGS.validation_data else []
    check_sizes(paths, FLAGS.patch)
    check_sizes(validation, 2)
    strategy = shared.make_strategy(FLAGS)
    require(
        strategy.num_replicas_in_sync == 1 or not FLAGS.moments_steps,
        "--moments_steps above 0 needs a single device: each has moments of its own",
    )
    if FLAGS.dry_run:
        sys.stdout.write(shared.dump(FLAGS) + "\n")
        return
    options = DistortedOptions(
        FLAGS.distortion, severity(FLAGS), FLAGS.patch, FLAGS.grid, FLAGS.cache_mb
    )

    def begin(task):
        if FLAGS.init_from:
            checkpoint = warm_start.checkpoint_of(FLAGS.init_from, "init_from")
            warm_start.restore({"generator": task.generator}, checkpoint, "init_from")
            task.mean.begin()

    run(
        FLAGS,
        strategy,
        paths,
        lambda: DistortionTask(FLAGS, paths, validation),
        functools.partial(distorted_patches, paths, options),
        begin,
    )


if __name__ == "__main__":
    launch(main)
