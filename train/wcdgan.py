"""Trains WCDGAN, or a network that it is compared to, to restore JPEG images.

B. Xie, H. Zhang, C. Jung: "WCDGAN: Weakly Connected Dense Generative Adversarial Network for
Artifact Removal of Highly Compressed Images", IEEE Access 2021.
"""

from __future__ import annotations

import logging
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from lossylab.core import command
from lossylab.core.errors import UsageError
from lossylab.data.jpeg import degrade, luminance_table
from lossylab.data.lattice_pairs import CHANNELS, Lattice, LatticeOptions, read_planes
from lossylab.data.schedule import Schedule
from lossylab.eval.metrics.psnr import psnr
from lossylab.inference.export.restorer import Restorer
from lossylab.losses import adversarial
from lossylab.losses import wcdgan as losses
from lossylab.models import restorers
from lossylab.models.backbones import vgg
from lossylab.models.wcdgan import Discriminator
from lossylab.train import session
from lossylab.train.loop import warm_start
from lossylab.train.loop.optimizers import Halving, adam, chosen, gradients, with_slots
from lossylab.train.loop.parts import moments_of, place
from lossylab.train.loop.weight_mean import WeightMean
from lossylab.train.loop.workers import require_one_machine
from lossylab.train.options.wcdgan import TERMS, WcdganOptions
from lossylab.train.session import Files
from lossylab.train.task import PaperTask

log = logging.getLogger("lossylab")

_VALIDATED = 768  # pixels: height and width that are looked at in validation


class RestorationTask(PaperTask[WcdganOptions]):
    """Network, discriminator and their optimizers."""

    next_command = "lossylab restore IMAGE.jpg RESTORED.png"

    def __init__(self, options: WcdganOptions, files: Files) -> None:
        """Builds the networks; call inside the strategy's scope.

        Args:
          options: of the training.
          files: images to train and to validate on.

        Raises:
          UsageError: if the backbone's weights cannot be had, or sizes do not fit the model.
        """
        super().__init__(options, files.train)
        self._recipe = options.recipe
        channels = CHANNELS[options.channels]
        self._lattice = Lattice(files.train, _pair_options(options))
        # Evenly over the qualities of a network that restores several.
        best = options.best_quality or options.quality
        qualities = np.linspace(options.quality, best, len(files.validation)).round()
        self._validation = [
            _pair(path, channels, int(each)) for path, each in zip(files.validation, qualities)
        ]
        self.network = make_network(options)
        self.mean = WeightMean(self.network, lambda: make_network(options, "mean"), options.average)
        rate = Halving(options.learning_rate, options.halve_every)
        self._optimizer = chosen(options, rate, options.beta_1)
        self.discriminator: Any = None
        self.normalized = (self.network,)
        if self._recipe.adversarial:
            self._begin_adversarial(channels)
        self._features: Any = None
        if self._recipe.perceptual:
            with session.naming("weights"):
                self._features = vgg.VGG(options.backbone, options.weights)
        self.metrics = ("loss", "content")
        self.metrics += tuple(term for term in TERMS if getattr(self._recipe, term))
        if self.discriminator is not None:
            self.metrics += ("discriminator",)

    def _begin_adversarial(self, channels: int) -> None:
        options = self.options
        self.discriminator = Discriminator(channels, options.patch)
        self.normalized += (self.discriminator,)
        alone = round(options.generator_epochs * self._lattice.total / options.batch)
        schedule = Halving(options.discriminator_learning_rate, options.halve_every, alone)
        self._discriminator_adam = adam(schedule, options.beta_1)
        self.boundaries = (alone,)
        if alone >= options.steps:
            log.warning(
                "the generator learns alone for %g epochs, %d steps: with %d steps in all there "
                "is no adversarial training",
                *(options.generator_epochs, alone, options.steps),
            )

    def dataset(self, schedule: Schedule) -> tf.data.Dataset:
        """Pairs of patches."""
        return self._lattice.pairs(schedule)

    def begin(self) -> None:
        """Loads another run's network."""
        if self.options.init_from:
            warm_start.begin_with({"network": self.network}, self.options.init_from, "init_from")
            self.mean.begin()

    def checkpointed(self) -> dict[str, Any]:
        """Both networks, their optimizers and the mean."""
        state = {"network": self.network, "adam": with_slots(self._optimizer, self.network)}
        state |= self.mean.checkpointed
        if self.discriminator is not None:
            state["discriminator"] = self.discriminator
            state["discriminator_adam"] = with_slots(self._discriminator_adam, self.discriminator)
        return state

    def learn(self, batch: Any, step: tf.Tensor) -> dict[str, Any]:
        """Gradients of the network and, in the second phase, of the discriminator.

        Both are of one forward pass and of both networks before the step.
        """
        del step
        clean, degraded = batch
        scale = 1.0 / place().count
        variables = self.network.trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            restored, *others = restorers.supervised(self.network, degraded)
            report = self._losses(clean, restored, others)
            loss = scale * report["loss"]
        learned: dict[str, Any] = {"network": gradients(tape, loss, variables, self._optimizer)}
        if self._adversarial:
            found = self._discriminator_gradients(clean, restored, scale)
            report["discriminator"], learned["discriminator"] = found
        learned["report"] = {name: scale * report.get(name, 0.0) for name in self.metrics}
        return learned

    def change(self, learned: dict[str, Any]) -> dict[str, tf.Tensor]:
        """One step of the network and its mean and, in the second phase, of the discriminator."""
        if self._adversarial:
            variables = self.discriminator.trainable_variables
            self._discriminator_adam.apply_gradients(zip(learned["discriminator"], variables))
        self._optimizer.apply_gradients(zip(learned["network"], self.network.trainable_variables))
        self.mean.update()
        return learned["report"]

    @property
    def _adversarial(self) -> bool:
        return self.discriminator is not None and self.phase == len(self.boundaries)

    def _losses(
        self, clean: tf.Tensor, restored: tf.Tensor, others: list[tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        """Eq. 23, of further outputs the content loss alone; the discriminator is fixed."""
        recipe, unit = self._recipe, self.options.loss_range / 255.0
        contents = [
            losses.content_loss(unit * clean, unit * output, recipe.content)
            for output in (restored, *others)
        ]
        report = {"content": tf.add_n(contents) / len(contents)}
        loss = self.options.content_weight * report["content"]
        if recipe.perceptual:
            report["perceptual"] = losses.perceptual_loss(clean, restored, self._features)
            loss += recipe.perceptual * report["perceptual"]
        if recipe.tv:
            report["tv"] = losses.total_variation(unit * restored)
            loss += recipe.tv * report["tv"]
        if self._adversarial:
            scores = self.discriminator(restored, training=True)
            report["adversarial"] = adversarial.least_squares_generator(scores)
            loss += recipe.adversarial * report["adversarial"]
        return {"loss": loss, **report}

    def _discriminator_gradients(
        self, clean: tf.Tensor, restored: tf.Tensor, scale: float
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Eq. 20; returns its loss and gradients."""
        variables = self.discriminator.trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            scores = [
                self.discriminator(image, training=True)
                for image in (clean, tf.stop_gradient(restored))
            ]
            loss = adversarial.least_squares_discriminator(*scores)
            scaled = scale * loss
        return loss, gradients(tape, scaled, variables, self._discriminator_adam)

    def images(self) -> dict[str, tf.Tensor]:
        """The first validation image, its JPEG version and the restored one."""
        if not self._validation:
            return {}
        clean, degraded = self._validation[0]
        restored = self._restore(degraded[None])
        shown = {"clean": clean[None], "degraded": degraded[None], "restored": restored}
        return {
            name: tf.broadcast_to(tf.cast(image, tf.float32), (*image.shape[:-1], 3))
            for name, image in shown.items()
        }

    def validate(self) -> dict[str, float]:
        """PSNR of the restored images and gain over JPEG in dB, means."""
        rows = []
        for clean, degraded in self._validation:
            restored = self._restore(degraded[None])[0].numpy()
            rows.append([psnr(clean, image) for image in (restored, degraded)])
        restored, degraded = np.mean(rows, 0)
        return {"psnr": restored, "gain": restored - degraded}

    @tf.function(autograph=False, reduce_retracing=True)
    def _restore(self, degraded: tf.Tensor) -> tf.Tensor:
        restored = self.mean.served(tf.cast(degraded, tf.float32))
        return tf.saturate_cast(tf.round(restored), tf.uint8)

    def describe_batch(self, step: int) -> str:
        """Names of the files in a step's batch."""
        batch = self.options.batch
        numbers = range(step * batch, (step + 1) * batch)
        located = [self._lattice.locate(self.options.seed, number) for number in numbers]
        return ", ".join(self.paths[image] for image, _ in located)

    def save(self, path: str) -> None:
        """Writes the network as a SavedModel."""
        card = {**self.recorded, **features_of(self.options)}
        Restorer.save(self.mean.served, path, card, self.options.export_precision)


def make_network(options: WcdganOptions, name: str | None = None) -> tf.Module:
    """The network that the options ask for; raises UsageError if sizes do not fit it."""
    named = {"name": name} if name else {}
    try:
        table = luminance_table(options.quality)
        channels = CHANNELS[options.channels]
        return restorers.make(options.model, channels, table, **options.network_arguments, **named)
    except ValueError as error:
        raise UsageError(f"`model`={options.model}: {error}") from error


def features_of(options: WcdganOptions) -> dict[str, str]:
    """What the perceptual loss of a run looks through, in words, for its card; nothing without."""
    if not options.recipe.perceptual:
        return {}
    return {"perceptual_features": vgg.label(options.backbone, options.weights)}


def _pair_options(options: WcdganOptions) -> LatticeOptions:
    channels = CHANNELS[options.channels]
    sizes = (options.patch, options.stride, options.quality)
    return LatticeOptions(*sizes, channels, options.cache_mb, options.best_quality)


def _pair(path: str, channels: int, quality: int) -> tuple[np.ndarray, np.ndarray]:
    """An image and its JPEG version; of large ones the middle, for the memory's sake."""
    clean = read_planes(path, channels)
    starts = [max(0, side - _VALIDATED) // 16 * 8 for side in clean.shape[:2]]
    middle = tuple(slice(start, start + _VALIDATED) for start in starts)
    return clean[middle], degrade(clean, quality)[middle]


def train(options: WcdganOptions) -> pathlib.Path:
    """Trains a network; raises UsageError, WorkError or OutputError, see `session.run`."""
    network = make_network(options)  # what does not fit is said before a run directory is made
    files = Files.of(options).checked(options, options.patch)
    more = features_of(options)

    def check(strategy: tf.distribute.Strategy) -> None:
        if moments_of([network]):
            require_one_machine(strategy, options.model)

    return session.run(options, files, lambda: RestorationTask(options, files), check, more)


if __name__ == "__main__":
    command.as_program(WcdganOptions, train, "lossylab train wcdgan")
