"""Trains a generator to distort images as JPEG, JPEG 2000, white or pink noise do.

L.-H. Chen, C. G. Bampis, Z. Li, A. C. Bovik: "Learning to Distort Images Using Generative
Adversarial Networks", IEEE Signal Processing Letters 2020.
"""

from __future__ import annotations

import logging
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from lossylab.core import command
from lossylab.core.options import require
from lossylab.data.decode import read_image
from lossylab.data.distortions import distort
from lossylab.data.patch_pairs import DistortedOptions, distorted_patches, noise_seed
from lossylab.data.schedule import Schedule, Stream, stream_key
from lossylab.eval.metrics import nss
from lossylab.inference.export.distorter import Distorter
from lossylab.losses import adversarial
from lossylab.losses import distortion_gan as losses
from lossylab.models.patchgan import PatchGAN
from lossylab.models.unet import ResidualUNet
from lossylab.train import session
from lossylab.train.loop import warm_start
from lossylab.train.loop.optimizers import adam, gradients, with_slots
from lossylab.train.loop.parts import place
from lossylab.train.loop.weight_mean import WeightMean
from lossylab.train.loop.workers import require_one_machine
from lossylab.train.options.distortion_gan import DistortionGanOptions
from lossylab.train.session import Files
from lossylab.train.task import PaperTask

log = logging.getLogger("lossylab")

_COLLAPSED = 0.02  # mean hinge loss of a discriminator that always wins
_BLIND = 1.98  # of one that tells nothing apart, after that many steps:
_PATIENCE = 500


class DistortionTask(PaperTask[DistortionGanOptions]):
    """Generator, discriminator and their optimizers."""

    next_command = "lossylab distort IMAGE DISTORTED.png"

    def __init__(self, options: DistortionGanOptions, files: Files) -> None:
        """Builds the networks; call inside the strategy's scope.

        Args:
          options: of the training.
          files: images to train and to validate on.
        """
        super().__init__(options, files.train)
        self._warned = False
        self._validation = [_pair(path, options) for path in files.validation]
        shape = (options.filters, options.upsampling, options.noise_input)
        self.generator = ResidualUNet(*shape)
        self._adam = adam(options.learning_rate, options.beta_1)
        self.mean = WeightMean(
            self.generator, lambda: ResidualUNet(*shape, name="mean"), options.average
        )
        self.discriminator: Any = None
        self.normalized = (self.generator,)
        self._apart = options.discriminator_norm == "apart"
        self._clip = options.clip_generated
        self.metrics = ("loss", "residual")
        boundaries = {options.discriminator_first, options.moments_steps or 0} - {0}
        self.boundaries = tuple(sorted(boundaries))
        if options.adversarial:
            self.discriminator = PatchGAN(options.discriminator_filters, options.residual_gain)
            self.normalized += (self.discriminator,)
            rate = options.discriminator_learning_rate
            self._discriminator_adam = adam(rate, options.beta_1)
            self.metrics += ("adversarial", "discriminator", "score_true", "score_generated")
            if options.gradient_penalty:
                self.metrics += ("penalty",)

    def dataset(self, schedule: Schedule) -> tf.data.Dataset:
        """Pairs of patches."""
        options = self.options
        kind = (options.distortion, options.chosen_severity)
        patch = DistortedOptions(*kind, options.patch, options.grid, options.cache_mb)
        return distorted_patches(self.paths, patch, schedule)

    def begin(self) -> None:
        """Loads another run's generator."""
        if self.options.init_from:
            parts = {"generator": self.generator}
            warm_start.begin_with(parts, self.options.init_from, "init_from")
            self.mean.begin()

    def checkpointed(self) -> dict[str, Any]:
        """Both networks and their optimizers."""
        state = {"generator": self.generator, "adam": with_slots(self._adam, self.generator)}
        state |= self.mean.checkpointed
        if self.discriminator is not None:
            state["discriminator"] = self.discriminator
            state["discriminator_adam"] = with_slots(self._discriminator_adam, self.discriminator)
        return state

    @property
    def _begun(self) -> int:
        """Steps done when the phase began."""
        return (0, *self.boundaries)[self.phase]

    def learn(self, batch: Any, step: tf.Tensor) -> dict[str, Any]:
        """Gradients of the generator, then of the discriminator on the same images."""
        reference, distorted = batch
        kept = self.options.moments_steps
        moments_move = kept is None or self._begun < kept
        scale = 1.0 / place().count
        variables = self.generator.trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            noise = self._noise(reference, step)
            generated = self.generator(reference, training=moments_move, noise=noise)
            shown = tf.clip_by_value(generated, 0.0, 255.0) if self._clip else generated
            report = self._losses(reference, distorted, generated, shown)
            loss = scale * report["loss"]
        learned: dict[str, Any] = {"adam": gradients(tape, loss, variables, self._adam)}
        if self.discriminator is not None:
            found = self._discriminator_gradients(reference, distorted, shown, scale)
            report |= found[0]
            learned["discriminator"] = found[1]
        learned["report"] = {name: scale * report[name] for name in self.metrics}
        return learned

    def change(self, learned: dict[str, Any]) -> dict[str, tf.Tensor]:
        """One step of the discriminator and, after its first ones, of the generator."""
        if self.discriminator is not None:
            variables = self.discriminator.trainable_variables
            self._discriminator_adam.apply_gradients(zip(learned["discriminator"], variables))
        if self._begun >= self.options.discriminator_first:
            self._adam.apply_gradients(zip(learned["adam"], self.generator.trainable_variables))
            self.mean.update()
        return learned["report"]

    def _noise(self, reference: tf.Tensor, step: tf.Tensor) -> tf.Tensor | None:
        """What the generator sees beside the images of this device, if it sees noise."""
        if not self.options.noise_input:
            return None
        seed = stream_key(self.options.seed, step, Stream.GENERATOR_NOISE)
        return self.generator.draw(reference, tf.random.fold_in(seed, place().index))

    def _losses(
        self, reference: tf.Tensor, distorted: tf.Tensor, generated: tf.Tensor, shown: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Eq. 3, or a pixel loss; the discriminator, whose parameters are fixed, sees `shown`."""
        options = self.options
        report = {"residual": losses.sparsity(reference, generated)}
        if self.discriminator is None:
            return {"loss": losses.pixel_loss(distorted, generated, options.pixel_loss), **report}
        if self._apart:
            scores = self.discriminator((reference, shown), training=True)
        else:
            scores = self._scores(reference, distorted, shown)[1]
        report["adversarial"] = adversarial.hinge_generator(scores)
        loss = report["adversarial"] + options.sparsity_weight * report["residual"]
        return {"loss": loss, **report}

    def _discriminator_gradients(
        self, reference: tf.Tensor, distorted: tf.Tensor, generated: tf.Tensor, scale: float
    ) -> tuple[dict[str, tf.Tensor], list[tf.Tensor]]:
        """Eq. 4; returns its loss, the mean scores and the penalty, and the gradients."""
        variables, report = self.discriminator.trainable_variables, {}
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            with tf.GradientTape(watch_accessed_variables=False) as inner:
                inner.watch(distorted)
                real, false = self._scores(reference, distorted, tf.stop_gradient(generated))
                score = tf.reduce_mean(real)
            report["discriminator"] = loss = adversarial.hinge_discriminator(real, false)
            if self.options.gradient_penalty:
                slope = inner.gradient(score, distorted) / self.discriminator.scale
                report["penalty"] = adversarial.gradient_penalty(slope)
                loss += self.options.gradient_penalty * report["penalty"]
            scaled = scale * loss
        changes = gradients(tape, scaled, variables, self._discriminator_adam)
        scores = {"score_true": score, "score_generated": tf.reduce_mean(false)}
        return {**report, **scores}, changes

    def _scores(
        self, reference: tf.Tensor, distorted: tf.Tensor, generated: tf.Tensor
    ) -> list[tf.Tensor]:
        """Scores of real and generated images; strengths count if normalized together."""
        if self._apart:
            pairs = ((reference, distorted), (reference, generated))
            return [self.discriminator(pair, training=True) for pair in pairs]
        both = tf.concat([distorted, generated], 0)
        scores = self.discriminator((tf.concat([reference, reference], 0), both), training=True)
        return tf.split(scores, 2)

    def images(self) -> dict[str, tf.Tensor]:
        """The first validation image, distorted really and by the generator."""
        if not self._validation:
            return {}
        reference, distorted = self._validation[0]
        generated = self._distort(reference)
        shown = {"reference": reference, "distorted": distorted, "generated": generated}
        return {name: tf.cast(image[None], tf.float32) for name, image in shown.items()}

    def validate(self) -> dict[str, float]:
        """JSD of real and generated distortions' statistics, bits; the residual, pixel values."""
        rows = []
        for reference, distorted in self._validation:
            generated = self._distort(reference).numpy()
            residual = np.abs(generated.astype(float) - reference).mean()
            rows.append(
                [nss.jensen_shannon(nss.histogram(distorted), nss.histogram(generated)), residual]
            )
        jsd, residual = np.mean(rows, 0)
        return {"jsd": jsd, "residual": residual}

    @tf.function(autograph=False, reduce_retracing=True)
    def _distort(self, reference: tf.Tensor) -> tf.Tensor:
        generated = self.mean.served(tf.cast(reference[None], tf.float32))
        return tf.saturate_cast(tf.round(generated[0]), tf.uint8)

    def watch(self, step: int, values: dict[str, float]) -> None:
        """Warns once when the discriminator always wins or tells nothing apart."""
        loss = values.get("discriminator", 1.0)
        blind = loss > _BLIND and step > _PATIENCE
        if self._warned or not (loss < _COLLAPSED or blind):
            return
        self._warned = True
        log.warning(
            "step %d: the discriminator tells %s apart (loss %.3g, scores %.2g and %.2g): the "
            "generator learns nothing from it; %s the discriminator's learning rate",
            *(step, "nothing" if blind else "all", loss),
            *(values["score_true"], values["score_generated"], "raise" if blind else "lower"),
        )

    def save(self, path: str) -> None:
        """Writes the generator as a SavedModel."""
        options = {**self.recorded, "severity": self.options.chosen_severity}
        Distorter.save(self.mean.served, path, options)


def _pair(path: str, options: DistortionGanOptions) -> tuple[np.ndarray, np.ndarray]:
    image = read_image(path)
    return image, distort(image, options.distortion, options.chosen_severity, noise_seed(path))


def train(options: DistortionGanOptions) -> pathlib.Path:
    """Trains a generator; raises UsageError, WorkError or OutputError, see `session.run`."""
    files = Files.of(options).checked(options, options.patch, 2)

    def check(strategy: tf.distribute.Strategy) -> None:
        require(
            strategy.num_replicas_in_sync == 1 or not options.moments_steps,
            "`moments_steps` above 0 needs a single device: each has moments of its own",
        )
        require_one_machine(strategy, "the generator")

    return session.run(options, files, lambda: DistortionTask(options, files), check)


if __name__ == "__main__":
    command.as_program(DistortionGanOptions, train, "lossylab train distortion_gan")
