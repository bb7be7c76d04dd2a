"""Trains a JPEG encoder: attention over DCT coefficients and quantization tables.

R. Liu, Y. Liu, S. Mantravadi: "Deep Neural Network Based Image Compression Encoders".

  python -m lossylab.train.jpeg_encoder --train_data=FOLDER --lmbda=0.01 --lpips=alex.npz \\
      --run_dir=runs/vgg_0.01

Network and tables learn together by Eq. 7-9. Validation writes real files and measures what
Pillow decodes of them. Killed or stopped, the same command resumes the run; the encoder is
written to run_dir/export, for `lossylab jpeg`.
"""

from __future__ import annotations

import functools
import sys

import numpy as np
import tensorflow as tf
from absl import flags

from lossylab.core.app import launch, new_flags, parse, require
from lossylab.core.errors import BackboneError, UsageError
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.data.patches import PatchOptions, check_sizes, random_patches
from lossylab.data.schedule import paths_of_step
from lossylab.eval.metrics.ssim import MS_SSIM_SMALLEST, ms_ssim
from lossylab.inference.codecs import jpeg_decoders, jpeg_files
from lossylab.inference.export.jpeg import Encoder
from lossylab.losses import jpeg_encoder as losses
from lossylab.losses.lpips import LPIPS, SMALLEST
from lossylab.models.backbones.attention_backbones import BACKBONES
from lossylab.models.backbones.lpips import NETWORKS
from lossylab.models.jpeg_encoder import TABLE_SCALE, JPEGEncoder
from lossylab.models.layers import attention as attentions
from lossylab.train import flags as shared
from lossylab.train.loop import warm_start
from lossylab.train.loop.fit import Task
from lossylab.train.session import run

ATTENTIONS = ("none", "conv", "lstm", "bilstm")
_INPUTS = ("features", "dct")

FLAGS = new_flags()
shared.define_loop(FLAGS, steps=20_000, batch=8, patch=224)


def _weight(name, default, text):
    flags.DEFINE_float(name, default, text, 0.0, flag_values=FLAGS)


flags.DEFINE_enum(
    "attention", "conv", ATTENTIONS, "What weighs the coefficients.", flag_values=FLAGS
)
flags.DEFINE_enum(
    "backbone", "vgg19", list(BACKBONES), "Whose features the attention sees.", flag_values=FLAGS
)
flags.DEFINE_string(
    "weights",
    "imagenet",
    "The backbone's initial values: imagenet, random, or a Keras file without top.",
    flag_values=FLAGS,
)
flags.DEFINE_bool(
    "preprocess",
    False,
    "Feed Keras's preprocessing to the backbone instead of RGB in 0..1, as the baseline's code.",
    flag_values=FLAGS,
)
flags.DEFINE_enum(
    "lstm_input",
    "features",
    _INPUTS,
    "What LSTMs read: 64 features a block, or the block's DCT. Assumed: the paper says both.",
    flag_values=FLAGS,
)
flags.DEFINE_enum(
    "lstm_output",
    "sigmoid",
    attentions.RANGES,
    "From an LSTM's outputs to attention. Assumed: Eq. 1 needs 0..1; the paper tried minmax too.",
    flag_values=FLAGS,
)
_weight(
    "lmbda",
    0.01,
    "Weight of the distortion (Eq. 7). Assumed: not printed; the baseline's code takes .001, "
    ".0025, .005, .01, .05 and .1.",
)
_weight("lpips_weight", 500.0, "gamma of Eq. 8.")
_weight("ms_ssim_weight", 1000.0, "sigma of Eq. 8; 0 is the baseline.")
_weight("table_weight", 10.0, "alpha of Eq. 9.")
_weight("attention_weight", 1.0, "beta of Eq. 9.")
flags.DEFINE_string(
    "lpips", None, "LPIPS's weights: a file of `lossylab import lpips`, or random.",
    flag_values=FLAGS,
)  # fmt: skip
flags.DEFINE_enum(
    "lpips_network", "alex", NETWORKS, "Whose features LPIPS compares.", flag_values=FLAGS
)
flags.DEFINE_float("learning_rate", 1e-6, "Of Adam, for everything.", 0.0, flag_values=FLAGS)
flags.DEFINE_float(
    "table_scale",
    TABLE_SCALE,
    "s of Sec. 6.2: a step of Adam moves a table by learning_rate / table_scale.",
    0.0,
    flag_values=FLAGS,
)
flags.DEFINE_float(
    "attention_gain",
    1.0,
    "Variance of the 1x1 convolution's initial kernel, times its inputs. Assumed: not printed.",
    0.0,
    flag_values=FLAGS,
)
flags.DEFINE_float(
    "attention_offset",
    0.0,
    "Initial bias there: attention begins near its sigmoid. Assumed: not printed.",
    flag_values=FLAGS,
)
flags.DEFINE_float(
    "first_step",
    0.0,
    "Initial step of all tables; 0 is the paper's, uniform in 1..2.",
    0.0,
    255.0,
    flag_values=FLAGS,
)
flags.DEFINE_string("tables_from", None, "Run whose tables to begin with.", flag_values=FLAGS)
flags.DEFINE_string("init_from", None, "Run whose encoder to begin with.", flag_values=FLAGS)

_TERMS = {"lpips": "lpips_weight", "ms_ssim": "ms_ssim_weight"}


class EncoderTask(Task):
    """The encoder and its optimizer."""

    def __init__(self, options: flags.FlagValues, paths: list[str], validation: list[str]):
        """Builds the encoder; call inside the strategy's scope.

        Args:
          options: the command's flags.
          paths: training images.
          validation: images to validate on.

        Raises:
          BackboneError: if weights of the backbone or of LPIPS cannot be had.
        """
        self._options, self._paths = options, paths
        self._validation = [read_image(path) for path in validation]
        self.encoder = make_encoder(options)
        self._adam = tf.keras.optimizers.legacy.Adam(options.learning_rate, epsilon=1e-8)
        self._lpips = None
        if options.lpips_weight:
            self._lpips = LPIPS(options.lpips, options.lpips_network)
        self.metrics = ("loss", "mse", "tables")
        self.metrics += tuple(term for term, flag in _TERMS.items() if options[flag].value)
        if options.attention != "none":
            self.metrics += ("attention",)

    def checkpointed(self):
        """The encoder and the optimizer."""
        self._adam._create_all_weights(self.encoder.trainable_variables)
        return {"encoder": self.encoder, "adam": self._adam}

    def step(self, batch, step):
        """One step of everything."""
        del step
        share = 1.0 / tf.distribute.get_replica_context().num_replicas_in_sync
        variables = self.encoder.trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            report = self._losses(batch)
            loss = share * report["loss"]
        self._adam.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return {name: share * report[name] for name in self.metrics}

    def _losses(self, image):
        """Eq. 7-9."""
        options = self._options
        coded = self.encoder(image)
        report = {"mse": losses.mse(image, coded.decoded)}
        distortion = report["mse"]
        if self._lpips is not None:
            report["lpips"] = tf.reduce_mean(self._lpips(image, coded.decoded))
            distortion += options.lpips_weight * report["lpips"]
        if options.ms_ssim_weight:
            report["ms_ssim"] = losses.ms_ssim_loss(image, coded.decoded)
            distortion += options.ms_ssim_weight * report["ms_ssim"]
        report["tables"] = losses.table_rate(self.encoder.tables)
        rate = options.table_weight * report["tables"]
        if coded.attention is not None:
            report["attention"] = losses.attention_rate(coded.attention)
            rate += options.attention_weight * report["attention"]
        return {"loss": options.lmbda * distortion + rate, **report}

    def images(self):
        """The first validation image and what is decoded of it."""
        if not self._validation:
            return {}
        image = self._validation[0]
        _, decoded = self._file(image)
        return {
            name: tf.constant(side[None], tf.float32)
            for name, side in (("original", image), ("decoded", decoded))
        }

    def validate(self):
        """Rate of real files, and MSE, MS-SSIM and LPIPS of what Pillow decodes; means."""
        rows = []
        for image in self._validation:
            data, decoded = self._file(image)
            pair = [tf.constant(side[None], tf.float32) for side in (image, decoded)]
            row = {
                "bpp": 8 * len(data) / (image.shape[0] * image.shape[1]),
                "mse": float(losses.mse(*pair)),
            }
            if min(image.shape[:2]) >= MS_SSIM_SMALLEST:
                row["ms_ssim"] = float(ms_ssim(*pair)[0])
            if self._lpips is not None and min(image.shape[:2]) >= SMALLEST:
                row["lpips"] = float(self._lpips(*pair)[0])
            rows.append(row)
        names = [name for name in rows[0] if all(name in row for row in rows)] if rows else []
        return {name: float(np.mean([row[name] for row in rows])) for name in names}

    def _file(self, image: np.ndarray) -> tuple[bytes, np.ndarray]:
        coefficients, tables = self._encode(tf.constant(image[None], tf.float32))
        contents = jpeg_files.Contents(coefficients[0].numpy(), tables.numpy(), *image.shape[:2])
        data = jpeg_files.to_bytes(contents)
        return data, jpeg_decoders.by_pillow(data)

    @tf.function(reduce_retracing=True)
    def _encode(self, image):
        return self.encoder.encode(image)

    def describe_batch(self, step):
        """Names of the files in a step's batch."""
        options = self._options
        return ", ".join(paths_of_step(self._paths, options.batch, options.seed, step))

    def export(self, path):
        """Writes the encoder as a SavedModel."""
        if self._options.export:
            Encoder.save(self.encoder, path, shared.resolved(self._options))


def make_encoder(options: flags.FlagValues) -> JPEGEncoder:
    """The encoder that the flags ask for; raises BackboneError."""
    attention = None
    if options.attention != "none":
        backbone = None
        if options.attention == "conv" or options.lstm_input == "features":
            make = BACKBONES[options.backbone]
            backbone = make(weights=options.weights, preprocess=options.preprocess)
        if options.attention == "conv":
            gain, offset = options.attention_gain, options.attention_offset
            attention = attentions.ConvAttention(backbone, gain, offset)
        else:
            both = options.attention == "bilstm"
            attention = attentions.LSTMAttention(backbone, both, options.lstm_output)
    encoder = JPEGEncoder(attention, options.table_scale)
    if options.first_step:
        encoder.set_tables(np.full((2, 8, 8), options.first_step))
    return encoder


def _check(options: flags.FlagValues) -> None:
    """Refuses flags that contradict each other; raises UsageError."""
    shared.check(options)
    require(options.lmbda > 0, "--lmbda must be above 0: nothing else keeps the quality")
    require(options.table_scale > 0, "--table_scale must be above 0")
    require(not 0 < options.first_step < 1, f"--first_step={options.first_step}: tables begin at 1")
    require(
        not options.lpips_weight or bool(options.lpips),
        "--lpips is needed, the file of LPIPS's weights (see `lossylab import --help`): or "
        "--lpips=random for tests, or --lpips_weight=0",
    )
    require(
        not options.lpips_weight or options.patch >= SMALLEST,
        f"LPIPS needs --patch of at least {SMALLEST} pixels, got {options.patch}",
    )
    require(
        not options.ms_ssim_weight or options.patch >= MS_SSIM_SMALLEST,
        f"MS-SSIM needs --patch of at least {MS_SSIM_SMALLEST} pixels, got {options.patch}: or "
        "--ms_ssim_weight=0",
    )
    begins = [name for name in ("first_step", "tables_from", "init_from") if options[name].value]
    require(len(begins) < 2, f"--{' and --'.join(begins)} contradict each other")
    lstm = options.attention in ("lstm", "bilstm")
    for flag in ("lstm_input", "lstm_output"):
        given = options[flag].value != options[flag].default
        require(lstm or not given, f"--{flag} makes no sense for --attention={options.attention}")
    for flag in ("attention_gain", "attention_offset"):
        given = options[flag].value != options[flag].default
        require(
            options.attention == "conv" or not given,
            f"--{flag} makes no sense for --attention={options.attention}",
        )


def check(argv: list[str]) -> None:
    """Parses a command line and refuses what does not make sense; raises UsageError."""
    extra = parse(FLAGS, argv, __doc__)
    require(not extra, f"unexpected arguments: {' '.join(extra)}")
    _check(FLAGS)


def main(argv: list[str]) -> None:
    """Runs the command; `argv[0]` is the program's name."""
    check(argv)
    paths = find_images(FLAGS.train_data)
    validation = find_images(FLAGS.validation_data) if FLAGS.validation_data else []
    check_sizes(paths, FLAGS.patch)
    check_sizes(validation, 1)
    strategy = shared.make_strategy(FLAGS)
    if FLAGS.dry_run:
        sys.stdout.write(shared.dump(FLAGS) + "\n")
        return

    def make_task():
        try:
            return EncoderTask(FLAGS, paths, validation)
        except BackboneError as error:
            raise UsageError(f"--weights or --lpips: {error}") from error

    data = functools.partial(
        random_patches, paths, PatchOptions(FLAGS.patch, cache_mb=FLAGS.cache_mb)
    )
    run(FLAGS, strategy, paths, make_task, data, _begin)


def _begin(task: EncoderTask) -> None:
    if FLAGS.init_from:
        theirs = warm_start.option_of(FLAGS.init_from, "table_scale")
        require(
            theirs == FLAGS.table_scale,
            f"--init_from: {FLAGS.init_from} has --table_scale={theirs}, give the same",
        )
        checkpoint = warm_start.checkpoint_of(FLAGS.init_from, "init_from")
        warm_start.restore({"encoder": task.encoder}, checkpoint, "init_from")
    if FLAGS.tables_from:
        checkpoint = warm_start.checkpoint_of(FLAGS.tables_from, "tables_from")
        scale = warm_start.option_of(FLAGS.tables_from, "table_scale")
        require(bool(scale), f"--tables_from: {FLAGS.tables_from} trains no JPEG encoder")
        name = "encoder/scaled_tables/.ATTRIBUTES/VARIABLE_VALUE"
        task.encoder.set_tables(tf.train.load_variable(checkpoint, name) / scale)


if __name__ == "__main__":
    launch(main)
