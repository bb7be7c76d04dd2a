"""Trains RankIQA: scores of images without a reference, first by rankings, then by ratings.

X. Liu, J. van de Weijer, A. D. Bagdanov: "RankIQA: Learning from Rankings for No-reference Image
Quality Assessment", ICCV 2017; it measures the results of "Perceptual Image Restoration with
High-Quality Priori and Degradation Learning" (Table 2).
"""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import scipy.stats
import tensorflow as tf

from lossylab.core import command
from lossylab.core.errors import BackboneError, UsageError
from lossylab.core.options import require
from lossylab.data.decode import read_image
from lossylab.data.patch_pairs import noise_seed
from lossylab.data.patches import CropOptions
from lossylab.data.rankings import (
    DISTORTION_LEVELS,
    LEVELS,
    SMALLEST_BATCH,
    images_of_device,
    ranked_crops,
)
from lossylab.data.ratings import (
    Rated,
    fingerprint,
    rated_crops,
    read_ratings,
    split,
)
from lossylab.data.schedule import Schedule, Stream, paths_of_step, stream_key
from lossylab.eval.rank_accuracy import LEVEL_SETS, accuracy, level_crops, scores_of, srocc
from lossylab.inference.export.rankiqa import Scorer, random_crops
from lossylab.losses import rankiqa as losses
from lossylab.models.rankiqa import RankIQA
from lossylab.train import session
from lossylab.train.loop import warm_start
from lossylab.train.loop.optimizers import adam, gradients, loss_scaled, with_slots
from lossylab.train.loop.parts import place
from lossylab.train.options.rankiqa import RankiqaOptions
from lossylab.train.session import Files
from lossylab.train.task import PaperTask

_LAST = 10.0  # times the learning rate for the last layer
_BIAS = 2.0  # times the learning rate for biases, which do not decay
_SCORED_AT_ONCE = 64


class RankIQATask(PaperTask[RankiqaOptions]):
    """The network and its optimizer; how it learns is up to the phase."""

    next_command = "lossylab eval rankiqa IMAGES"

    def __init__(
        self, options: RankiqaOptions, files: Files, ratings: tuple[list[Rated], list[Rated]] | None
    ) -> None:
        """Builds the network; call inside the strategy's scope.

        Args:
          options: of the training.
          files: images to train on, and to rank in validation.
          ratings: to fine-tune: those to learn from and those to test with.
        """
        super().__init__(options, files.train)
        self._files, self._ratings = files, ratings or ([], [])
        # Weights of a file are read in `begin`: a resumed run has them in its checkpoint.
        drawn = options.weights == "random" or bool(options.init_from)
        sizes = (options.filters, options.units, options.patch)
        self.network = RankIQA(*sizes, "random" if drawn else None, options.dropout)
        self._optimizer = _optimizer(options)
        self._crops: list[np.ndarray] = []
        self.metrics = ("loss", "ordered") if options.phase == "rank" else ("loss",)

    def dataset(self, schedule: Schedule) -> tf.data.Dataset:
        """Distortion levels of an image, or rated crops."""
        options = self.options
        if options.phase == "finetune":
            crops = CropOptions(options.patch, options.cache_mb)
            return rated_crops(self._ratings[0], crops, schedule)
        return ranked_crops(self.paths, CropOptions(options.patch, options.cache_mb), schedule)

    def begin(self) -> None:
        """Sets the weights by another run or VGG-16's."""
        options = self.options
        if options.init_from:
            parts = {"body": self.network.body}
            if options.phase == "rank":
                parts["last"] = self.network.last
            warm_start.begin_with(parts, options.init_from, "init_from")
        elif options.weights != "random":
            try:
                self.network.fill(options.weights)
            except (BackboneError, ValueError) as error:
                raise UsageError(f"`weights`: {error}") from error

    def checkpointed(self) -> dict[str, Any]:
        """The network without its last layer, that, and the optimizer."""
        parts = {"body": self.network.body, "last": self.network.last}
        return {**parts, "optimizer": with_slots(self._optimizer, self.network)}

    def learn(self, batch: Any, step: tf.Tensor) -> dict[str, Any]:
        """Gradients on distortion levels, or on crops and their images' scores."""
        here = place()
        scale = 1.0 / here.count
        seed = stream_key(self.options.seed, step, Stream.DROPOUT)
        seed = tf.random.fold_in(seed, here.index)
        variables = self.network.trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            report = self._losses(batch, seed)
            loss = scale * report["loss"]
        changes = gradients(tape, loss, variables, self._optimizer)
        return {"report": {name: scale * report[name] for name in self.metrics}, "sgd": changes}

    def change(self, learned: dict[str, Any]) -> dict[str, tf.Tensor]:
        """One step, with weight decay."""
        variables = self.network.trainable_variables
        share = 1.0 / tf.distribute.get_replica_context().num_replicas_in_sync
        pairs = [(self._scaled(g, v, share), v) for g, v in zip(learned["sgd"], variables)]
        self._optimizer.apply_gradients(pairs)
        return learned["report"]

    def _losses(self, batch: Any, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        if self.options.phase == "finetune":
            crops, targets = batch
            scores = self.network(crops, dropout_seed=seed)
            return {"loss": losses.euclidean(scores, targets)}
        scores = self.network(batch, dropout_seed=seed)
        # A part has some of the distortions, whole: levels of one are compared, of all images.
        kinds = len(DISTORTION_LEVELS) // place().parts
        loss = losses.ranking_hinge(scores, kinds, LEVELS, self.options.margin)
        # Without a margin: the fraction of neighboring levels of an image that are in order.
        groups = tf.reshape(scores, (kinds, LEVELS, -1))
        ordered = tf.reduce_mean(tf.cast(groups[:, :-1] > groups[:, 1:], tf.float32))
        return {"loss": loss, "ordered": ordered}

    def _scaled(self, gradient: tf.Tensor, variable: tf.Variable, scale: float) -> tf.Tensor:
        """With weight decay and the layer's own rate: a factor of both is Caffe's lr_mult."""
        last = self.network.last
        rate = _LAST if variable is last.kernel or variable is last.bias else 1.0
        if variable.shape.rank == 1:
            return _BIAS * rate * gradient
        return rate * (gradient + scale * self.options.weight_decay * variable)

    def validate(self) -> dict[str, float]:
        """Rank accuracies on versions of images; or correlations with their ratings."""
        if self.options.phase == "finetune":
            return self._correlations()
        if not self._crops:
            self._crops = [
                level_crops(self._files.validation, name, held_out, *self._validation_crops())
                for name in DISTORTION_LEVELS
                for held_out in LEVEL_SETS.values()
            ]
        found, kinds = {}, [(name, label) for name in DISTORTION_LEVELS for label in LEVEL_SETS]
        scores = [scores_of(self._score, crops) for crops in self._crops]
        for (name, label), each in zip(kinds, scores):
            found[f"{name}_{label.replace(' ', '_')}"] = accuracy(each)
        for index, label in enumerate(LEVEL_SETS):
            mine = scores[index :: len(LEVEL_SETS)]
            label = label.replace(" ", "_")
            found[f"accuracy_{label}"] = float(np.mean([accuracy(each) for each in mine]))
            found[f"srocc_{label}"] = float(np.mean([srocc(each) for each in mine]))
        return found

    def _validation_crops(self) -> tuple[int, int, int]:
        return self.options.patch, self.options.validation_crops, self.options.seed

    def _correlations(self) -> dict[str, float]:
        """SROCC, LCC and root mean squared error of mean scores on the images kept."""
        size, count, seed = self._validation_crops()
        predicted = []
        for rated in self._ratings[1]:
            seeds = (seed, noise_seed(rated.path))
            crops = random_crops(read_image(rated.path), size, count, seeds)
            predicted.append(self._score(crops).mean())
        given = np.array([rated.score for rated in self._ratings[1]])
        constant = np.ptp(predicted) == 0 or np.ptp(given) == 0
        both: tuple[Any, ...] = (scipy.stats.spearmanr, scipy.stats.pearsonr)
        ranks, linear = (0.0 if constant else float(f(predicted, given).statistic) for f in both)
        error = float(np.sqrt(np.mean((predicted - given) ** 2)))
        return {"srocc": ranks, "lcc": linear, "rmse": error}

    def _score(self, crops: np.ndarray) -> np.ndarray:
        parts = [crops[i : i + _SCORED_AT_ONCE] for i in range(0, len(crops), _SCORED_AT_ONCE)]
        return np.concatenate([self._graph(tf.constant(part)).numpy() for part in parts])

    @tf.function(autograph=False, reduce_retracing=True)
    def _graph(self, crops: tf.Tensor) -> tf.Tensor:
        return self.network(tf.cast(crops, tf.float32))

    def describe_batch(self, step: int) -> str:
        """Names of the files in a step's batch."""
        options = self.options
        count = options.batch // SMALLEST_BATCH if options.phase == "rank" else options.batch
        return ", ".join(paths_of_step(self.paths, count, options.seed, step))

    def save(self, path: str) -> None:
        """Writes the network as a SavedModel."""
        Scorer.save(self.network, path, self.recorded)


def _optimizer(options: RankiqaOptions) -> tf.keras.optimizers.Optimizer:
    """Its own count of steps, which checkpoints keep, decides the rate."""
    rate = tf.keras.optimizers.schedules.ExponentialDecay(
        options.learning_rate, options.decay_every, options.decay, staircase=True
    )
    if options.optimizer == "adam":
        return adam(rate)
    return loss_scaled(tf.keras.optimizers.legacy.SGD(rate, momentum=0.9))


def train(options: RankiqaOptions) -> pathlib.Path:
    """Trains a network; raises UsageError, WorkError or OutputError, see `session.run`."""
    files, more, ratings = _chosen(Files.of(options), options), None, None
    if options.scores:
        found = read_ratings(options.scores, files.train)
        ratings = split(found, options.test_share, options.seed)
        files = Files([rated.path for rated in ratings[0]], [rated.path for rated in ratings[1]])
    files = files.checked(options, options.patch, options.patch)
    if ratings is not None:
        train, test = (
            [rated for rated in part if rated.path in kept]
            for part, kept in zip(ratings, (set(files.train), set(files.validation)))
        )
        ratings, more = (train, test), {"ratings": fingerprint(train, test)}

    def check(strategy: tf.distribute.Strategy) -> None:
        if options.phase == "rank":
            require(
                len(DISTORTION_LEVELS) % options.accumulate == 0,
                f"`accumulate`={options.accumulate} must be 1, 2 or 4: a part of a batch to rank "
                "has one or more of its four distortions, whole",
            )
            try:
                images_of_device(options.batch, strategy.num_replicas_in_sync)
            except ValueError as error:
                raise UsageError(f"`batch`: {error}") from error

    return session.run(options, files, lambda: RankIQATask(options, files, ratings), check, more)


def _chosen(files: Files, options: RankiqaOptions) -> Files:
    """As many images as are to be ranked, evenly taken from all."""
    count = min(options.images or len(files.train), len(files.train))
    chosen = [files.train[i * len(files.train) // count] for i in range(count)]
    return Files(chosen, files.validation)


if __name__ == "__main__":
    command.as_program(RankiqaOptions, train, "lossylab train rankiqa")
