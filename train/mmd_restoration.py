"""Trains a degradation model: how probable a degraded image is, given the clean one.

"Perceptual Image Restoration with High-Quality Priori and Degradation Learning", Sec. 3 and 4.3.
"""

from __future__ import annotations

import functools
import math
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from lossylab.core import command
from lossylab.core.options import require
from lossylab.data.scaled_pairs import DegradedOptions, centered_pairs, degraded_crops
from lossylab.data.schedule import Schedule
from lossylab.eval.degradation_nll import paired_and_unpaired
from lossylab.inference.export.degradation import Degradation
from lossylab.losses.pixelcnn import bits_per_dim, discretized_mixture_nll
from lossylab.models.pixelcnn import ConditionalPixelCNN
from lossylab.train import session
from lossylab.train.loop import warm_start
from lossylab.train.loop.optimizers import AdamInside, Decay, gradients, loss_scaled, with_slots
from lossylab.train.loop.parts import place
from lossylab.train.loop.weight_mean import WeightMean
from lossylab.train.options.mmd_restoration import SMALLEST_STD, MmdRestorationOptions
from lossylab.train.session import Files
from lossylab.train.task import PaperTask

_PLACES = 4  # in height and width, whose noise lies between them on lines


class DegradationTask(PaperTask[MmdRestorationOptions]):
    """The network, the mean of its weights and the optimizer."""

    next_command = "lossylab sample IMAGE DEGRADED.png"

    metrics = ("loss",)

    def __init__(self, options: MmdRestorationOptions, files: Files):
        """Builds the network; call inside the strategy's scope.

        Args:
          options: of the training.
          files: images to train and to validate on.
        """
        super().__init__(options, files.train)
        self._validation = files.validation
        self.network = _network(options, "network")
        self.mean = WeightMean(self.network, lambda: _network(options, "mean"), options.average)
        rate = Decay(options.learning_rate, options.decay)
        self._adam = loss_scaled(AdamInside(rate, options.beta_1, options.beta_2, epsilon=1e-8))
        self.stops = tuple(sorted(options.export_at))

    def dataset(self, schedule: Schedule) -> tf.data.Dataset:
        """Pairs of crops."""
        return degraded_crops(self.paths, crop_options(self.options), schedule)

    def begin(self) -> None:
        """Loads another run's network, or sets the weights by the first batch."""
        if self.options.init_from:
            warm_start.begin_with({"network": self.network}, self.options.init_from, "init_from")
            self.mean.begin()
            return
        schedule = Schedule(self.options.batch, self.options.seed)
        for clean, degraded in self.dataset(schedule).take(1):
            self.initialize(clean, degraded)

    def initialize(self, clean: tf.Tensor, degraded: tf.Tensor) -> None:
        """Sets the weights by a batch, float32 [B, H, W, 3] each, and begins the mean."""
        # PixelCNN++ drops values here too, as in the steps that follow.
        seed = tf.constant((self.options.seed, -1), tf.int64)
        self.network.initialize(degraded, clean, seed=seed)
        self.mean.begin()

    def checkpointed(self) -> dict[str, Any]:
        """The network, its mean and the optimizer."""
        state = {"network": self.network, "adam": with_slots(self._adam, self.network)}
        return state | self.mean.checkpointed

    def learn(self, batch: Any, step: tf.Tensor) -> dict[str, Any]:
        """The gradient is of the batch's nats, as epsilon goes with their size."""
        clean, degraded = batch
        here = place()
        seed = tf.stack([tf.constant(self.options.seed, tf.int64), step])
        seed = tf.random.fold_in(seed, here.index)
        variables = self.network.trainable_variables
        family, noise = self.options.family, self.options.context_errors
        context = as_drawn(degraded, noise, seed) if noise else degraded
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            parameters = self.network(context, clean, training=True, seed=seed)
            nats = tf.reduce_sum(discretized_mixture_nll(degraded, parameters, family))
        changes = gradients(tape, nats, variables, self._adam)
        numbers = here.count * tf.size(degraded)
        bits = nats / (math.log(2) * tf.cast(numbers, tf.float32))
        return {"report": {"loss": bits}, "adam": changes}

    def change(self, learned: dict[str, Any]) -> dict[str, tf.Tensor]:
        """One step of the network and its mean."""
        self._adam.apply_gradients(zip(learned["adam"], self.network.trainable_variables))
        self.mean.update()
        return learned["report"]

    @functools.cached_property
    def _pairs(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """What is validated on; made when it is first asked for, by who validates only."""
        options = self.options
        return centered_pairs(self._validation, crop_options(options), options.validation_size)

    def validate(self) -> dict[str, float]:
        """Mean bits of degraded images, given their own clean version and another's."""
        paired, unpaired = np.mean(paired_and_unpaired(self._bits, self._pairs), 0)
        return {"paired": paired, "unpaired": unpaired}

    def images(self) -> dict[str, tf.Tensor]:
        """The first validation image and its degraded version."""
        if not self._validation:
            return {}
        clean, degraded = self._pairs[0]
        shown = {"clean": clean, "degraded": degraded}
        return {name: tf.cast(image[None], tf.float32) for name, image in shown.items()}

    @tf.function(autograph=False, reduce_retracing=True)
    def _bits(self, degraded: tf.Tensor, condition: tf.Tensor) -> tf.Tensor:
        return bits_per_dim(degraded, self.mean.served(degraded, condition), self.options.family)

    def at_stop(self, step: int) -> None:
        """Writes a model of --export_at."""
        if self.options.export:
            self.save(str(pathlib.Path(self.options.run_dir) / f"export_{step}"), step)

    def save(self, path: str, steps: int | None = None) -> None:
        """Writes the mean network as a SavedModel, after so many steps if not all."""
        options = {**self.recorded, "severity": self.options.chosen_severity}
        steps = self.options.steps if steps is None else steps
        Degradation.save(self.mean.served, path, options, steps=steps)


def _network(options: MmdRestorationOptions, name: str) -> ConditionalPixelCNN:
    return ConditionalPixelCNN(
        filters=options.filters,
        blocks=options.blocks,
        mixtures=options.mixtures,
        dropout=options.dropout,
        merged=options.merged,
        family=options.family,
        condition_filters=options.condition_filters,
        phase=options.phase,
        dilations=list(options.dilations),
        scale_limit=options.scale_limit,
        name=name,
    )


def as_drawn(images: tf.Tensor, std: float, seed: tf.Tensor) -> tf.Tensor:
    """Images as a sampler's errors may leave them, whole pixel values within 0..255.

    Half stay as they are. A fifth get noise, white and of coarse places, whose std is drawn from 2
    to `std`, evenly in its logarithm. .15 are from some pixel on, in the order in which they are
    drawn, the batch's next image, any values, or values of 0 and 255. .15 are gray: they tell
    nothing.

    Args:
      images: float32 [B, H, W, C], pixel values.
      std: largest std of the noise, pixel values, at least `SMALLEST_STD`.
      seed: int64 [2].

    Returns:
      Images of that shape.
    """
    batch, height, width, channels = tf.unstack(tf.shape(images))
    seeds = [tf.random.fold_in(seed, 100 + index) for index in range(8)]
    kind, spread, coarse, start, filling = (
        tf.random.stateless_uniform((batch, 1, 1, 1), key) for key in seeds[:5]
    )
    noise = tf.random.stateless_normal(tf.shape(images), seeds[5])
    places = tf.random.stateless_normal((batch, _PLACES, _PLACES, channels), seeds[6])
    noise += coarse * tf.image.resize(places, (height, width))
    noise /= tf.sqrt(1.0 + coarse**2)
    noisy = images + noise * SMALLEST_STD * (std / SMALLEST_STD) ** spread
    random = 255.0 * tf.random.stateless_uniform(tf.shape(images), seeds[7])
    fillings = (tf.roll(images, 1, 0), random, tf.where(random < 127.5, 0.0, 255.0))
    filled = _of_three(fillings, filling, (1 / 3, 2 / 3))
    order = tf.reshape(tf.range(height * width), (1, height, width, 1))
    drawn = tf.cast(order, tf.float32) < start * tf.cast(height * width, tf.float32)
    broken = tf.where(drawn, images, filled)
    changed = _of_three((noisy, broken, tf.fill(tf.shape(images), 128.0)), kind, (0.7, 0.85))
    return tf.clip_by_value(tf.round(tf.where(kind < 0.5, images, changed)), 0.0, 255.0)


def _of_three(
    values: tuple[tf.Tensor, tf.Tensor, tf.Tensor], by: tf.Tensor, bounds: tuple[float, float]
) -> tf.Tensor:
    """The first value below the first bound, the second below the second, else the third."""
    first, second, third = values
    return tf.where(by < bounds[0], first, tf.where(by < bounds[1], second, third))


def crop_options(options: MmdRestorationOptions) -> DegradedOptions:
    """What a pair of crops is."""
    kind = (options.degradation, options.chosen_severity, options.factor)
    crop = (options.patch, options.max_patch, options.grid)
    return DegradedOptions(*kind, *crop, options.cache_mb)


def train(options: MmdRestorationOptions) -> pathlib.Path:
    """Trains a model; raises UsageError, WorkError or OutputError, see `session.run`."""
    files = Files.of(options)
    require(
        not options.validate_every or len(files.validation) > 1,
        "`validation_data` needs at least two images: each is compared with another's, too",
    )
    smallest = max(options.validation_size, 1) * options.factor
    largest = options.max_patch * options.factor
    needed_by = "`max_patch` times `factor`", "`validation_size`"
    files = files.checked(options, largest, smallest, needed_by)
    return session.run(options, files, lambda: DegradationTask(options, files))


if __name__ == "__main__":
    command.as_program(MmdRestorationOptions, train, "lossylab train mmd_restoration")
