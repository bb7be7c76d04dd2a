"""Trains RankIQA: scores of images without a reference, first by rankings, then by ratings.

X. Liu, J. van de Weijer, A. D. Bagdanov: "RankIQA: Learning from Rankings for No-reference Image
Quality Assessment", ICCV 2017; it measures the results of "Perceptual Image Restoration with
High-Quality Priori and Degradation Learning" (Table 2).

  python -m lossylab.train.rankiqa --train_data=FOLDER --steps=20000 --run_dir=runs/ranked
  python -m lossylab.train.rankiqa --phase=finetune --init_from=runs/ranked \\
      --train_data=live --scores=live/dmos.csv --run_dir=runs/finetuned

In the first phase images are distorted at five levels in four ways, and the network learns which
is worse. In the second it learns ratings from a CSV file with the columns image, score and,
optionally, reference: the images of some references are kept to test with. Killed or stopped,
the same command resumes the run; the network is written to run_dir/export, for `lossylab eval
rankiqa`. Defaults are those of the authors' code, but for one: it fine-tunes the network of
iteration 20,000 of its 50,000. For that, train the first run with --steps=20000.
"""

from __future__ import annotations

import functools
import sys

import numpy as np
import scipy.stats
import tensorflow as tf
from absl import flags

from lossylab.core.app import launch, new_flags, parse, require
from lossylab.core.errors import BackboneError, UsageError
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.data.patch_pairs import noise_seed
from lossylab.data.patches import CropOptions, check_sizes
from lossylab.data.rankings import (
    LADDERS,
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
from lossylab.eval.rank_accuracy import LEVEL_SETS, accuracy, ladder_crops, scores_of, srocc
from lossylab.inference.export.rankiqa import Scorer, random_crops
from lossylab.losses import rankiqa as losses
from lossylab.models.rankiqa import DROPOUT, FULL, SHRINK, RankIQA
from lossylab.train import flags as shared
from lossylab.train.loop import warm_start
from lossylab.train.loop.fit import Task
from lossylab.train.session import run

# Defaults of the phases where they differ.
PHASES = {
    "rank": {"steps": 50_000, "batch": 48, "learning_rate": 1e-5, "decay": 0.1, "period": 10_000},
    "finetune": {"steps": 20_000, "batch": 30, "learning_rate": 1e-6, "decay": 0.5, "period": 5000},
}
_LAST = 10.0  # times the learning rate for the last layer
_BIAS = 2.0  # likewise for biases, which do not decay
_SCORED_AT_ONCE = 64

FLAGS = new_flags()
shared.define_loop(
    FLAGS,
    steps=PHASES["rank"]["steps"],
    batch=PHASES["rank"]["batch"],
    patch=FULL["patch"],
    why_steps="To fine-tune: 20,000, with a batch of 30; the authors begin with the network that "
    "was ranked for 20,000 steps, so give that run --steps=20000.",
)
flags.DEFINE_integer(
    "images",
    0,
    "How many training images to rank, evenly taken from all; 0: all. Each is distorted 20 times "
    "and kept as far as --cache_mb allows.",
    0,
    flag_values=FLAGS,
)
flags.DEFINE_enum("phase", "rank", list(PHASES), "What to learn from.", flag_values=FLAGS)
flags.DEFINE_string(
    "weights",
    "imagenet",
    "VGG-16 to begin with: imagenet, the path of a Keras weights file with top, or random. Not "
    "used with --init_from.",
    flag_values=FLAGS,
)
flags.DEFINE_integer("filters", FULL["filters"], "Of the first convolution.", 1, flag_values=FLAGS)
flags.DEFINE_integer("units", FULL["units"], "Of the dense layers.", 1, flag_values=FLAGS)
flags.DEFINE_float(
    "dropout", DROPOUT, "Of the dense layers, in training.", 0.0, 1.0, flag_values=FLAGS
)
flags.DEFINE_float("margin", losses.MARGIN, "Between scores of two levels.", 0.0, flag_values=FLAGS)
flags.DEFINE_enum(
    "optimizer",
    "sgd",
    ["sgd", "adam"],
    "The authors' stochastic gradient descent with momentum .9, or Adam, for which the last "
    "layer's and the biases' larger rates do not count.",
    flag_values=FLAGS,
)
flags.DEFINE_float(
    "learning_rate", PHASES["rank"]["learning_rate"], "To fine-tune: 1e-6.", 0.0, flag_values=FLAGS
)
flags.DEFINE_float(
    "decay", PHASES["rank"]["decay"], "Of the rate, each --period. To fine-tune: 0.5.", 0.0, 1.0,
    flag_values=FLAGS,
)  # fmt: skip
flags.DEFINE_integer(
    "period", PHASES["rank"]["period"], "Steps. To fine-tune: 5000.", 1, flag_values=FLAGS
)
flags.DEFINE_float("weight_decay", 5e-4, "Of all but biases.", 0.0, flag_values=FLAGS)
flags.DEFINE_string(
    "init_from", None, "Run to begin with; its last layer only for rankings.", flag_values=FLAGS
)
flags.DEFINE_string("scores", None, "CSV file: image, score, reference.", flag_values=FLAGS)
flags.DEFINE_float(
    "test_share",
    0.2,
    "Share of the references whose images are kept to test with; of LIVE's 29 these are 6, as "
    "the authors'.",
    0.0,
    1.0,
    flag_values=FLAGS,
)
flags.DEFINE_integer("validation_crops", 5, "Of each image, in validations.", 1, flag_values=FLAGS)


class RankIQATask(Task):
    """The network and its optimizer; how it learns is up to the phase."""

    def __init__(self, options: flags.FlagValues, paths: list[str], validation: list):
        """Builds the network; call inside the strategy's scope.

        Args:
          options: the command's flags.
          paths: training images.
          validation: images to validate on: paths, or to fine-tune `ratings.Rated`.
        """
        self._options, self._paths, self._validation = options, paths, validation
        # Weights of a file are read in `begin`: a resumed run has them in its checkpoint.
        drawn = options.weights == "random" or bool(options.init_from)
        sizes = (options.filters, options.units, options.patch)
        self.network = RankIQA(*sizes, "random" if drawn else None, options.dropout)
        self._optimizer = _optimizer(options)
        self._crops: list[np.ndarray] = []
        self.metrics = ("loss", "ordered") if options.phase == "rank" else ("loss",)

    def checkpointed(self):
        """The network without its last layer, that, and the optimizer."""
        self._optimizer._create_all_weights(self.network.trainable_variables)
        parts = {"body": self.network.body, "last": self.network.last}
        return {**parts, "optimizer": self._optimizer}

    def begin(self) -> None:
        """Sets the weights of a run that begins by --init_from or --weights; raises UsageError."""
        options = self._options
        if options.init_from:
            parts = {"body": self.network.body}
            if options.phase == "rank":
                parts["last"] = self.network.last
            checkpoint = warm_start.checkpoint_of(options.init_from, "init_from")
            warm_start.restore(parts, checkpoint, "init_from")
        elif options.weights != "random":
            try:
                self.network.fill(options.weights)
            except (BackboneError, ValueError) as error:
                raise UsageError(f"--weights: {error}") from error

    def step(self, batch, step):
        """One step on ladders of versions, or on crops and their images' scores."""
        context = tf.distribute.get_replica_context()
        share = 1.0 / context.num_replicas_in_sync
        seed = stream_key(self._options.seed, step, Stream.DROPOUT)
        seed = tf.random.fold_in(seed, context.replica_id_in_sync_group)
        variables = self.network.trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            report = self._losses(batch, seed)
            loss = share * report["loss"]
        gradients = tape.gradient(loss, variables)
        pairs = [(self._scaled(g, v, share), v) for g, v in zip(gradients, variables)]
        self._optimizer.apply_gradients(pairs)
        return {name: share * report[name] for name in self.metrics}

    def _losses(self, batch, seed):
        if self._options.phase == "finetune":
            crops, targets = batch
            scores = self.network(crops, seed)
            return {"loss": losses.euclidean(scores, targets)}
        scores = self.network(batch, seed)
        loss = losses.ranking_hinge(scores, len(LADDERS), LEVELS, self._options.margin)
        # Without a margin: the share of neighboring levels of an image that are in order.
        ladders = tf.reshape(scores, (len(LADDERS), LEVELS, -1))
        ordered = tf.reduce_mean(tf.cast(ladders[:, :-1] > ladders[:, 1:], tf.float32))
        return {"loss": loss, "ordered": ordered}

    def _scaled(self, gradient, variable, share):
        """With weight decay and the layer's own rate: a factor of both is Caffe's lr_mult."""
        last = self.network.last
        rate = _LAST if variable is last.kernel or variable is last.bias else 1.0
        if variable.shape.rank == 1:
            return _BIAS * rate * gradient
        return rate * (gradient + share * self._options.weight_decay * variable)

    def validate(self):
        """Rank accuracies on versions of images; or correlations with their ratings."""
        if self._options.phase == "finetune":
            return self._correlations()
        if not self._crops:
            self._crops = [
                ladder_crops(self._validation, name, held_out, *self._validation_crops())
                for name in LADDERS
                for held_out in LEVEL_SETS.values()
            ]
        found, places = {}, [(name, label) for name in LADDERS for label in LEVEL_SETS]
        scores = [scores_of(self._score, crops) for crops in self._crops]
        for (name, label), each in zip(places, scores):
            found[f"{name}_{label.replace(' ', '_')}"] = accuracy(each)
        for index, label in enumerate(LEVEL_SETS):
            mine = scores[index :: len(LEVEL_SETS)]
            label = label.replace(" ", "_")
            found[f"accuracy_{label}"] = float(np.mean([accuracy(each) for each in mine]))
            found[f"srocc_{label}"] = float(np.mean([srocc(each) for each in mine]))
        return found

    def _validation_crops(self) -> tuple[int, int, int]:
        return self._options.patch, self._options.validation_crops, self._options.seed

    def _correlations(self):
        """SROCC, LCC and root mean squared error of mean scores on the images kept."""
        size, count, seed = self._validation_crops()
        made = []
        for rated in self._validation:
            places = (seed, noise_seed(rated.path))
            crops = random_crops(read_image(rated.path), size, count, places)
            made.append(self._score(crops).mean())
        truth = np.array([rated.score for rated in self._validation])
        constant = np.ptp(made) == 0 or np.ptp(truth) == 0
        both = (scipy.stats.spearmanr, scipy.stats.pearsonr)
        ranks, linear = (0.0 if constant else float(f(made, truth).statistic) for f in both)
        return {"srocc": ranks, "lcc": linear, "rmse": float(np.sqrt(np.mean((made - truth) ** 2)))}

    def _score(self, crops: np.ndarray) -> np.ndarray:
        parts = [crops[i : i + _SCORED_AT_ONCE] for i in range(0, len(crops), _SCORED_AT_ONCE)]
        return np.concatenate([self._graph(tf.constant(part)).numpy() for part in parts])

    @tf.function(reduce_retracing=True)
    def _graph(self, crops):
        return self.network(tf.cast(crops, tf.float32))

    def describe_batch(self, step):
        """Names of the files in a step's batch."""
        options = self._options
        count = options.batch // SMALLEST_BATCH if options.phase == "rank" else options.batch
        return ", ".join(paths_of_step(self._paths, count, options.seed, step))

    def export(self, path):
        """Writes the network as a SavedModel."""
        if self._options.export:
            Scorer.save(self.network, path, shared.resolved(self._options))


def _optimizer(options: flags.FlagValues) -> tf.keras.optimizers.Optimizer:
    """By the flags; its own count of steps, which checkpoints keep, decides the rate."""
    rate = tf.keras.optimizers.schedules.ExponentialDecay(
        options.learning_rate, options.period, options.decay, staircase=True
    )
    if options.optimizer == "adam":
        return tf.keras.optimizers.legacy.Adam(rate, epsilon=1e-8)
    return tf.keras.optimizers.legacy.SGD(rate, momentum=0.9)


def check(argv: list[str]) -> None:
    """Parses a command line and refuses what does not make sense; raises UsageError."""
    extra = parse(FLAGS, argv, __doc__)
    require(not extra, f"unexpected arguments: {' '.join(extra)}")
    for name, value in PHASES[FLAGS.phase].items():
        if not FLAGS[name].present:
            FLAGS[name].value = value
    if FLAGS.phase == "finetune":
        require(bool(FLAGS.scores), "--phase=finetune needs --scores, a CSV file")
        require(not FLAGS.validation_data, "--validation_data: --scores has the images to test")
        require(
            0 < FLAGS.test_share < 1, f"--test_share must lie in (0, 1), got {FLAGS.test_share}"
        )
        FLAGS["validation_data"].value = FLAGS.scores
        require(not FLAGS.images, "--images goes with --phase=rank")
    else:
        require(not FLAGS.scores, "--scores goes with --phase=finetune")
    shared.check(FLAGS)
    require(FLAGS.dropout < 1, "--dropout must be below 1")
    require(FLAGS.decay > 0, "--decay must be above 0")
    require(FLAGS.patch >= SHRINK, f"--patch must be at least {SHRINK}, got {FLAGS.patch}")
    sizes = {name: FLAGS[name].value for name in FULL}
    require(
        FLAGS.weights == "random" or bool(FLAGS.init_from) or sizes == FULL,
        f"--weights={FLAGS.weights} fit {FULL} only, got {sizes}: use --weights=random",
    )


def main(argv: list[str]) -> None:
    """Runs the command; `argv[0]` is the program's name."""
    check(argv)
    paths, validation, ratings = _images()
    more = {"ratings": fingerprint(ratings, validation)} if ratings else {}
    check_sizes(paths, FLAGS.patch)
    strategy = shared.make_strategy(FLAGS)
    if FLAGS.phase == "rank":
        try:
            images_of_device(FLAGS.batch, strategy.num_replicas_in_sync)
        except ValueError as error:
            raise UsageError(f"--batch: {error}") from error
    if FLAGS.dry_run:
        sys.stdout.write(shared.dump(FLAGS) + "\n")
        return

    def data(schedule: Schedule):
        if FLAGS.phase == "finetune":
            return rated_crops(ratings, CropOptions(FLAGS.patch, FLAGS.cache_mb), schedule)
        return ranked_crops(paths, CropOptions(FLAGS.patch, FLAGS.cache_mb), schedule)

    task = functools.partial(RankIQATask, FLAGS, paths, validation)
    run(FLAGS, strategy, paths, task, data, RankIQATask.begin, more)


def _images() -> tuple[list[str], list, list[Rated]]:
    """Images to train with, to validate on, and the ratings of the former, if any."""
    paths = find_images(FLAGS.train_data)
    if FLAGS.phase == "rank":
        validation = find_images(FLAGS.validation_data) if FLAGS.validation_data else []
        check_sizes(validation, FLAGS.patch)
        count = min(FLAGS.images or len(paths), len(paths))
        return [paths[i * len(paths) // count] for i in range(count)], validation, []
    ratings, test = split(read_ratings(FLAGS.scores, paths), FLAGS.test_share, FLAGS.seed)
    check_sizes([rated.path for rated in test], FLAGS.patch)
    return [rated.path for rated in ratings], test, ratings


if __name__ == "__main__":
    launch(main)
