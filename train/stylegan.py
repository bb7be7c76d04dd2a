"""Trains a StyleGAN2 generator, the prior of restoration in latent space.

T. Karras et al.: "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020. Four things
differ from the authors' code: generator and discriminator learn from the same forward pass and
change at once; their regularization is added to the loss of its step instead of having a step
of its own; each image has its own layer from which on a second style is mixed in, where theirs is
drawn for a minibatch; and the exported mean of w is computed at the end instead of followed.
"""

from __future__ import annotations

import functools
import itertools
import logging
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from lossylab.core import command
from lossylab.core.options import require
from lossylab.data.schedule import Schedule, Stream, stream_key
from lossylab.data.squares import read_square, square_images
from lossylab.eval.metrics.feature_frechet import FeatureFrechet
from lossylab.eval.metrics.frechet import frechet_distance
from lossylab.inference.latent.generator import Generator
from lossylab.inference.latent.prior import Prior
from lossylab.losses import adversarial
from lossylab.losses import stylegan as losses
from lossylab.models import stylegan
from lossylab.models.layers.stylegan_base import StyleGAN
from lossylab.models.stylegan2_discriminator import StyleGAN2Discriminator
from lossylab.train import session
from lossylab.train.loop import warm_start
from lossylab.train.loop.optimizers import adam, gradients, with_slots
from lossylab.train.loop.parts import place
from lossylab.train.loop.weight_mean import WeightMean
from lossylab.train.options.stylegan import GROUP, StyleganOptions
from lossylab.train.session import Files
from lossylab.train.task import PaperTask

log = logging.getLogger("lossylab")

_SHRINK = 2  # the batch of path lengths is smaller by this factor
_LENGTH_DECAY = 0.01  # of the mean path length
_SHOWN, _SHOWN_PIXELS = 8, 2048  # rows and columns of the images for TensorBoard, and their side
_MAX_PIXELS = 2**20  # that the generator makes at once


class StyleganTask(PaperTask[StyleganOptions]):
    """Generator, discriminator, their optimizers, and the mean of the generator's weights."""

    next_command = "lossylab generate IMAGES"
    export_flag = "generator"
    metrics = ("loss", "discriminator", "score_true", "score_generated", "r1", "path_length")

    def __init__(self, options: StyleganOptions, files: Files) -> None:
        """Builds the networks; call inside the strategy's scope.

        Args:
          options: of the training.
          files: images to train on.
        """
        super().__init__(options, files.train)
        self.generator = _generator(options)
        self.mean = WeightMean(
            self.generator, lambda: _generator(options), 0.5 ** (options.batch / options.average)
        )
        self.discriminator = StyleGAN2Discriminator(self.generator.sizes.channels, GROUP)
        moments = options.beta_1, options.beta_2
        self._adam = adam(options.learning_rate, *moments)
        self._discriminator_adam = adam(options.learning_rate, *moments)
        self._validation = files.validation
        self.stops = tuple(sorted(options.export_at))
        self._length = tf.Variable(
            0.0, trainable=False, name="path_length", aggregation=tf.VariableAggregation.MEAN
        )

    def dataset(self, schedule: Schedule) -> tf.data.Dataset:
        """Whole images."""
        options = self.options
        return square_images(self.paths, options.patch, options.mirror, options.cache_mb, schedule)

    def begin(self) -> None:
        """Loads another run's networks."""
        if self.options.init_from:
            parts = {"generator": self.generator, "discriminator": self.discriminator}
            parts |= {"path_length": self._length, **self.mean.checkpointed}
            warm_start.begin_with(parts, self.options.init_from, "init_from")

    def checkpointed(self) -> dict[str, Any]:
        """Both networks, their optimizers, the mean weights and the mean path length."""
        return {
            "generator": self.generator,
            "adam": with_slots(self._adam, self.generator),
            "discriminator": self.discriminator,
            "discriminator_adam": with_slots(self._discriminator_adam, self.discriminator),
            "path_length": self._length,
            **self.mean.checkpointed,
        }

    def learn(self, batch: Any, step: tf.Tensor) -> dict[str, Any]:
        """Gradients of both networks."""
        options, here = self.options, place()
        scale = 1.0 / here.count
        draws = _Draws(options.seed, step, here.index)
        ours, theirs = (each.trainable_variables for each in (self.generator, self.discriminator))
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch([*ours, *theirs])
            styles = self._styles(batch.shape[0], draws)
            made = self.generator.synthesis(styles, self._noise(batch.shape[0], draws))
            real, false = self.discriminator(batch), self.discriminator(made)
            loss = adversarial.logistic_generator(false)
            against = adversarial.logistic_discriminator(real, false)
            scaled, scaled_against = scale * loss, scale * against
        changes = gradients(tape, scaled, ours, self._adam)
        replies = gradients(tape, scaled_against, theirs, self._discriminator_adam)
        changes, length = _now_and_then(
            step, options.path_every * bool(options.path_weight), changes,
            lambda: self._path_gradients(batch.shape[0] // _SHRINK, draws, scale), self._length,
        )  # fmt: skip
        replies, slope = _now_and_then(
            step, options.r1_every * bool(options.r1), replies,
            lambda: self._r1_gradients(batch, scale), tf.zeros(()),
        )  # fmt: skip
        report = loss, against, tf.reduce_mean(real), tf.reduce_mean(false), slope, length
        report = {name: scale * value for name, value in zip(self.metrics, report)}
        share = length / here.parts if here.parts > 1 else length
        return {"report": report, "adam": changes, "discriminator": replies, "length": share}

    def change(self, learned: dict[str, Any]) -> dict[str, tf.Tensor]:
        """One step of both networks and of the means."""
        self._adam.apply_gradients(zip(learned["adam"], self.generator.trainable_variables))
        self._discriminator_adam.apply_gradients(
            zip(learned["discriminator"], self.discriminator.trainable_variables)
        )
        self._length.assign(learned["length"])
        self.mean.update()
        return learned["report"]

    def _styles(self, count: int, draws: _Draws) -> tf.Tensor:
        """Styles [count, L, D]: of one latent each, or of a second one from some layer on."""
        layers, width = self.generator.num_layers, self.generator.latent
        first, second = tf.split(self.generator.map(draws.normal((2 * count, width))), 2)
        mixed = draws.uniform((count, 1)) < self.options.mixing
        crossing = 1 + tf.cast(draws.uniform((count, 1)) * (layers - 1), tf.int32)
        is_second = mixed & (tf.range(layers)[None] >= crossing)
        return tf.where(is_second[..., None], second[:, None], first[:, None])

    def _noise(self, count: int, draws: _Draws) -> list[tf.Tensor]:
        return [draws.normal((count, *stored.shape[1:])) for stored in self.generator.noise]

    def _path_gradients(
        self, count: int, draws: _Draws, scale: float
    ) -> tuple[list[tf.Tensor | None], tf.Tensor]:
        """Gradients of the generator's regularization, and the mean path length."""
        variables = self.generator.trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            styles = self._styles(count, draws)
            with tf.GradientTape(watch_accessed_variables=False) as inner:
                inner.watch(styles)
                image = self.generator.synthesis(styles, self._noise(count, draws)) / 127.5
                shown = tf.reduce_sum(image * draws.normal(image.shape)) / image.shape[1]
            lengths = losses.path_lengths(inner.gradient(shown, styles))
            mean = self._length + _LENGTH_DECAY * (tf.reduce_mean(lengths) - self._length)
            loss = self.options.path_weight * tf.reduce_mean(tf.square(lengths - mean))
            loss *= scale * self.options.path_every
        return gradients(tape, loss, variables, self._adam), mean

    def _r1_gradients(
        self, batch: tf.Tensor, scale: float
    ) -> tuple[list[tf.Tensor | None], tf.Tensor]:
        """Gradients of the discriminator's regularization, and R1 times the steps between."""
        variables = self.discriminator.trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            with tf.GradientTape(watch_accessed_variables=False) as inner:
                inner.watch(batch)
                score = tf.reduce_sum(self.discriminator(batch))
            slope = self.options.r1_every * losses.r1(127.5 * inner.gradient(score, batch))
            loss = scale * 0.5 * self.options.r1 * slope
        return gradients(tape, loss, variables, self._discriminator_adam), slope

    def images(self) -> dict[str, tf.Tensor]:
        """Images of fixed latents, with the mean weights; of large ones fewer."""
        side, at_once = self.options.patch, self._at_once
        rows = min(_SHOWN, _SHOWN_PIXELS // side)
        latents = tf.random.stateless_normal((rows**2, self.options.width), (0, 0))
        parts = [self._show(latents[i : i + at_once]) for i in range(0, rows**2, at_once)]
        made = tf.reshape(tf.concat(parts, 0), (rows, rows, side, side, 3))
        grid = tf.transpose(made, (0, 2, 1, 3, 4))
        return {"samples": tf.reshape(grid, (1, rows * side, rows * side, 3))}

    @property
    def _at_once(self) -> int:
        """How many images are made at once."""
        return max(1, min(_SHOWN**2, _MAX_PIXELS // self.options.patch**2))

    @functools.cached_property
    def _distance(self) -> tuple[FeatureFrechet, np.ndarray]:
        """What validation compares by, and with; made when it is first asked for."""
        with session.naming("features"):
            distance = FeatureFrechet(self.options.features)
        log.info("validation compares features of %s", distance.label)
        images = (read_square(path, self.options.patch) for path in self._validation)
        return distance, distance.features(images)

    def validate(self) -> dict[str, float]:
        """The distance of as many new images, by features like FID's; lower is better."""
        distance, others = self._distance
        return {"frechet": frechet_distance(distance.features(self._new_images()), others)}

    def _new_images(self) -> Iterator[np.ndarray]:
        """Images, uint8 [R, R, 3], each with noise of its own as those of `lossylab generate`."""
        count, size = len(self._validation), self._at_once
        for first in range(0, count, size):
            latents = tf.random.stateless_normal((size, self.options.width), (1, first))
            noise = [
                tf.random.stateless_normal((size, *stored.shape[1:]), (2 + layer, first))
                for layer, stored in enumerate(self.generator.noise)
            ]
            images = tf.saturate_cast(tf.round(self._show(latents, noise)), tf.uint8).numpy()
            yield from images[: count - first]

    @tf.function(autograph=False)
    def _show(self, latents: tf.Tensor, noise: list[tf.Tensor] | None = None) -> tf.Tensor:
        network = self.mean.served
        styles = tf.repeat(network.map(latents)[:, None], network.num_layers, 1)
        return network.synthesis(styles, noise)

    def at_stop(self, step: int) -> None:
        """Writes a generator of --export_at."""
        if self.options.export:
            self.save(str(pathlib.Path(self.options.run_dir) / f"export_{step}"), step)

    def save(self, path: str, steps: int | None = None) -> None:
        """Writes the generator of the mean weights, after so many steps if not all."""
        generator = _generator(self.options)
        for variable, value in zip(generator.variables, self.mean.served.variables):
            variable.assign(value)
        generator.mean.assign(Prior(generator, fit_samples=2).mean)
        steps = self.options.steps if steps is None else steps
        Generator.save(generator, path, self.recorded, steps=steps)


class _Draws:
    """Random numbers of one part of a step, others with every call."""

    def __init__(self, seed: int, step: tf.Tensor, part: int | tf.Tensor) -> None:
        self._key = tf.random.fold_in(stream_key(seed, step, Stream.GENERATED), part)
        self._calls = itertools.count()

    def normal(self, shape: tuple[int, ...]) -> tf.Tensor:
        return tf.random.stateless_normal(shape, self._next())

    def uniform(self, shape: tuple[int, ...]) -> tf.Tensor:
        return tf.random.stateless_uniform(shape, self._next())

    def _next(self) -> tf.Tensor:
        return tf.random.fold_in(self._key, next(self._calls))


def _now_and_then(
    step: tf.Tensor, every: int, changes: list[tf.Tensor], more: Callable[[], tuple], otherwise: Any
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Adds further gradients every so many steps, 0 for never.

    Returns:
      The sums, and the number that comes with `more`, or `otherwise` in other steps.
    """
    otherwise = tf.convert_to_tensor(otherwise)
    if not every:
        return changes, otherwise

    def both() -> tuple[list[tf.Tensor], tf.Tensor]:
        added, number = more()
        return [a if b is None else a + b for a, b in zip(changes, added)], number

    return tf.cond(step % every == 0, both, lambda: (changes, otherwise))


def _generator(options: StyleganOptions) -> StyleGAN:
    width = options.width
    sizes = {"latent": width, "mapping": width, "width": width, "depth": options.depth}
    config = stylegan.configure(2, options.patch, options.fmap_base, options.fmap_max, **sizes)
    return stylegan.build(config, options.seed)


def train(options: StyleganOptions) -> pathlib.Path:
    """Trains a generator; raises UsageError, WorkError or OutputError, see `session.run`."""
    files = Files.of(options).checked(options, options.patch)
    require(
        not options.validate_every or len(files.validation) > 1,
        "`validation_data` needs at least two images: a distance of sets is measured",
    )

    def check(strategy: tf.distribute.Strategy) -> None:
        share = options.batch // (strategy.num_replicas_in_sync * options.accumulate)
        require(
            share % GROUP == 0,
            f"`batch` on each device, and each part of it by `accumulate`, must be a multiple of "
            f"{GROUP}, got {share}",
        )

    return session.run(options, files, lambda: StyleganTask(options, files), check)


if __name__ == "__main__":
    command.as_program(StyleganOptions, train, "lossylab train stylegan")
