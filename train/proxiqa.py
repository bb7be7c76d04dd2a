"""Trains a learned codec for a perceptual metric through a proxy network (ProxIQA).

L.-H. Chen, C. G. Bampis, Z. Li, A. Norkin, A. C. Bovik: "ProxIQA: A Proxy Approach to
Perceptual Optimization of Learned Image Compression", IEEE Trans. Image Processing 2021.

  python -m lossylab.train.proxiqa --train_data=FOLDER --metric=vmaf --run_dir=runs/vmaf

The codec is updated through the proxy (Eq. 10), the proxy toward the true metric (Eq. 11),
in every step. --metric=mse trains the paper's baseline (Eq. 8). Killed or stopped, the same
command resumes the run; the trained codec is written to run_dir/export.
"""

from __future__ import annotations

import functools
import sys

import numpy as np
import tensorflow as tf
from absl import flags

from lossylab.core.app import launch, new_flags, parse, require
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.data.patches import check_sizes, random_patches
from lossylab.data.proxy_distortions import distort
from lossylab.data.schedule import Stream, paths_of_step, stream_key
from lossylab.eval.metrics import vmaf
from lossylab.inference.export.codec import Codec
from lossylab.losses import proxiqa as losses
from lossylab.models.bls2017 import BLS2017, STRIDE
from lossylab.models.bmshj2018 import BMSHJ2018
from lossylab.models.layers import factorized
from lossylab.models.proxiqa import ProxIQA
from lossylab.train import flags as shared
from lossylab.train.loop import warm_start
from lossylab.train.loop.fit import Task
from lossylab.train.loop.oracle import libvmaf_oracle
from lossylab.train.session import run

CODECS = {codec.model_id: codec for codec in (BLS2017, BMSHJ2018)}
METRICS = ("mse", "ssim", "ms_ssim", "vmaf", "vif")
MODES = ("proxy", "frozen_proxy", "pretrain_proxy", "direct")
_DIRECT = {"ssim": losses.ssim_loss, "ms_ssim": losses.ms_ssim_loss}
_LATENT_STREAMS = (Stream.LATENT_NOISE, Stream.HYPER_LATENT_NOISE)

FLAGS = new_flags()
shared.define_loop(FLAGS, steps=2_100_000, batch=8, patch=128)
shared.define_augmentation(FLAGS)
flags.DEFINE_enum("metric", "vmaf", METRICS, "What to optimize for.", flag_values=FLAGS)
flags.DEFINE_enum(
    "optimize",
    "proxy",
    MODES,
    "proxy: alternate codec and proxy; frozen_proxy: keep the proxy of --proxy_from (Sec. III-C); "
    "pretrain_proxy: train only the proxy, on synthetic distortions or, with --init_from, on what "
    "that run's codec makes; direct: use ssim or ms_ssim itself as the loss (Eq. 13, with "
    "--alpha=1 Eq. 14).",
    flag_values=FLAGS,
)
flags.DEFINE_enum("codec", "bls2017", list(CODECS), "Codec to train.", flag_values=FLAGS)
flags.DEFINE_integer("num_filters", 192, "Filters of every layer.", 1, 1024, flag_values=FLAGS)
flags.DEFINE_float(
    "lmbda",
    0.01,
    "Lambda of Eq. 8 and 10, per squared level. Assumed: the paper gives no grid; 0.01 is tfc "
    "1.0's default, 0.0005 to 0.22 spans about 0.05 to 2 bpp.",
    0.0,
    flag_values=FLAGS,
)
flags.DEFINE_float(
    "alpha",
    0.5,
    "Share of the perceptual loss in Eq. 10. Assumed: not printed; the authors' code weighs both "
    "alike, which is alpha = .5 at twice its lambda.",
    0.0,
    1.0,
    flag_values=FLAGS,
)
flags.DEFINE_enum("pixel_norm", "l2", ("l2", "l1"), "d of Eq. 7.", flag_values=FLAGS)
flags.DEFINE_float("learning_rate", 1e-4, "Of the codec (Sec. III-D).", 0.0, flag_values=FLAGS)
flags.DEFINE_float(
    "proxy_learning_rate",
    1e-4,
    "Of the proxy (Sec. III-D; the authors' code has 1e-3).",
    0.0,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "drop_step", 2_000_000, "Step from which both rates are a tenth.", 1, flag_values=FLAGS
)
flags.DEFINE_bool(
    "identical_pairs",
    True,
    "With probability 1/2 show the proxy one pair of equal patches a step, as the authors' code.",
    flag_values=FLAGS,
)
flags.DEFINE_enum(
    "oracle",
    "overlapped",
    ("overlapped", "sequential"),
    "overlapped: the proxy learns from the previous step's pairs, scored meanwhile; sequential: "
    "from this step's, which waits for the metric. ms_ssim is computed in the graph either way; "
    "it uses a 7-tap window, because libvmaf's needs 176 pixels.",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "init_from", None, "Run whose codec, and proxy if it has one, to begin with.", flag_values=FLAGS
)
flags.DEFINE_string("proxy_from", None, "Run whose proxy to begin with.", flag_values=FLAGS)


class ProxIQATask(Task):
    """Codec, proxy, their optimizers and the alternating update of Sec. III."""

    def __init__(self, options: flags.FlagValues, paths: list[str], validation: list[str]):
        """Builds the networks; call inside the strategy's scope.

        Args:
          options: the command's flags.
          paths: training images, named when training diverges.
          validation: images to validate on.
        """
        self._options, self._paths, self._validation = options, paths, validation
        self.codec = CODECS[options.codec](options.num_filters)
        self.uses_proxy = options.metric != "mse" and options.optimize != "direct"
        self._trains_codec = options.optimize != "pretrain_proxy"
        self._trains_proxy = self.uses_proxy and options.optimize != "frozen_proxy"
        self.proxy = ProxIQA(options.patch) if self.uses_proxy else None
        self._codec_adam = _adam(options.learning_rate, options.drop_step)
        self._proxy_adam = _adam(options.proxy_learning_rate, options.drop_step)
        self._oracle = None
        if self.uses_proxy and options.metric != "ms_ssim":
            self._oracle = libvmaf_oracle(options.metric)
        self._overlapped = self._oracle is not None and options.oracle == "overlapped"
        self._previous = _Pair(options) if self._overlapped else None
        self.metrics = ("loss", "bpp", "pixel")
        if self.uses_proxy:
            self.metrics += ("proxy", "score", "metric_loss")
        elif options.optimize == "direct":
            self.metrics += ("perceptual",)

    def checkpointed(self):
        """Codec, proxy, both optimizers and the pair that waits for its score."""
        state = {"codec": self.codec, "codec_adam": self._codec_adam}
        self._codec_adam._create_all_weights(self.codec.trainable_variables)
        if self.uses_proxy:
            self._proxy_adam._create_all_weights(self.proxy.trainable_variables)
            state |= {"proxy": self.proxy, "proxy_adam": self._proxy_adam}
        if self._previous:
            state["previous_pair"] = self._previous
        return state

    def step(self, batch, step):
        """One alternating update; see `Task.step`."""
        options, devices = self._options, tf.distribute.get_replica_context().num_replicas_in_sync
        batch = tf.ensure_shape(batch, _shape(options, devices))
        share = 1.0 / options.batch  # of one sample in the global batch
        if self._trains_codec:
            distorted, report, gradients = self._codec_gradients(batch, step, share)
            after = gradients
        else:
            make = self._coded if options.init_from else self._synthetic
            distorted, report, after = make(batch, step), self._no_rate(), [batch]
        if self.uses_proxy:
            report |= self._proxy_update(batch, distorted, step, share, after)
        if self._trains_codec:
            self._codec_adam.apply_gradients(zip(gradients, self.codec.trainable_variables))
        else:
            report["loss"] = report["metric_loss"]
        return report

    def _codec_gradients(self, image, step, share):
        """Gradients of Eq. 8, 10 or 13; the proxy's parameters are fixed."""
        options = self._options
        variables = self.codec.trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            reconstruction, bits = self.codec(image, *self._noise(image, step))
            clipped = tf.clip_by_value(reconstruction, 0.0, 255.0)
            rate = losses.rate_loss(bits, options.patch**2)
            pixel = losses.pixel_loss(image, reconstruction, options.pixel_norm)
            report = {"bpp": rate, "pixel": pixel}
            if options.metric == "mse":
                loss = losses.rate_distortion_loss(rate, pixel, options.lmbda)
            else:
                if options.optimize == "direct":
                    perceptual = _DIRECT[options.metric](image, clipped)
                    report["perceptual"] = perceptual
                else:
                    perceptual = losses.proxy_loss(self.proxy(image, clipped))
                loss = losses.total_loss(rate, pixel, perceptual, options.lmbda, options.alpha)
            total = share * tf.reduce_sum(loss)
        report = {name: share * tf.reduce_sum(values) for name, values in report.items()}
        return clipped, {"loss": total, **report}, tape.gradient(total, variables)

    def _proxy_update(self, image, distorted, step, share, after):
        """Eq. 11 on this step's pairs, or on the previous step's; returns its metrics."""
        pair = (image, self._mix_identical(image, tf.stop_gradient(distorted), step))
        pair_step = step
        replica = tf.distribute.get_replica_context()
        tickets = step * replica.num_replicas_in_sync + tf.cast(
            replica.replica_id_in_sync_group, tf.int64
        )
        if self._overlapped:
            self._oracle.submit(tickets, *pair)
            pair, tickets = self._previous.swap(
                pair, tickets, replica.num_replicas_in_sync, first=tf.equal(step, 0)
            )
            pair_step = tickets // replica.num_replicas_in_sync
        with tf.control_dependencies([tensor for tensor in after if tensor is not None]):
            if self._oracle is None:
                rounded = [tf.round(side) for side in pair]
                scores = losses.ms_ssim_training_score(*rounded)
            else:
                scores = self._oracle.collect(tickets, *pair)
        variables = self.proxy.trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            predicted = self.proxy(*pair)
            loss = share * tf.reduce_sum(losses.metric_loss(predicted, scores))
        if self._trains_proxy:
            self._proxy_adam.apply_gradients(zip(tape.gradient(loss, variables), variables))
        # Identical pairs are there to be learned, not to be reported.
        identical, count = self._identical(image, pair_step)
        kept = tf.where(identical, 0.0, 1.0 / count)
        return {
            "proxy": tf.reduce_sum(kept * predicted),
            "score": tf.reduce_sum(kept * scores),
            "metric_loss": loss,
        }

    def _noise(self, image, step):
        """Uniform noise for the latents, the same for a sample on whichever device it is."""
        patch, batch = self._options.patch, self._options.batch
        return [
            self._local(
                tf.random.stateless_uniform((batch, *shape), self._seed(step, stream), -0.5, 0.5),
                image,
            )
            for shape, stream in zip(self.codec.noise_shapes(patch, patch), _LATENT_STREAMS)
        ]

    def _mix_identical(self, image, distorted, step):
        """With probability 1/2 replaces one pair of the global batch by (x, x)."""
        identical, _ = self._identical(image, step)
        return tf.where(identical[:, None, None, None], image, distorted)

    def _identical(self, image, step):
        """Which pairs of this device are (x, x) in a step, and how many of all devices are not."""
        batch = self._options.batch
        if not self._options.identical_pairs or not self._trains_proxy:
            return tf.fill(image.shape[:1], False), tf.constant(float(batch))
        chosen = tf.random.stateless_uniform(
            (), self._seed(step, Stream.IDENTICAL_PAIR), 0, 2 * batch, tf.int32
        )
        others = tf.where((chosen < batch) & (batch > 1), batch - 1, batch)
        return self._local(tf.range(batch), image) == chosen, tf.cast(others, tf.float32)

    def _coded(self, image, step):
        reconstruction, _ = self.codec(image, *self._noise(image, step))
        return tf.clip_by_value(reconstruction, 0.0, 255.0)

    def _synthetic(self, image, step):
        numbers = step * self._options.batch + tf.range(self._options.batch, dtype=tf.int64)
        seeds = tf.stack(
            [tf.fill(numbers.shape, tf.constant(self._options.seed, tf.int64)), numbers], 1
        )
        return distort(image, self._local(seeds, image))

    def _local(self, values, image):
        """This device's part of something that has a row for each sample of the global batch."""
        local = image.shape[0]
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return values[replica * local : (replica + 1) * local]

    def _seed(self, step, stream: Stream):
        return stream_key(self._options.seed, step, stream)

    @staticmethod
    def _no_rate():
        return {"loss": tf.constant(0.0), "bpp": tf.constant(0.0), "pixel": tf.constant(0.0)}

    def close(self):
        """Ends the oracle's ffmpeg."""
        if self._oracle is not None:
            self._oracle.close()

    def describe_batch(self, step):
        """Names of the files in a step's batch."""
        options = self._options
        names = paths_of_step(self._paths, options.batch, options.seed, step)
        return ", ".join(names)

    def images(self):
        """The first validation image beside its reconstruction."""
        if not self._validation or not self._trains_codec:
            return {}
        image = read_image(self._validation[0])[None]
        return {"original": image, "decoded": self._evaluator()(image)[0]}

    def validate(self):
        """Means over the validation images, quantized as in a file."""
        evaluate = self._evaluator()
        rows = []
        for path in self._validation:
            image = read_image(path)[None]
            decoded, bits = evaluate(image)
            names = vmaf.reported_for(*image.shape[1:3])
            scores = vmaf.measure(image, tf.saturate_cast(decoded, tf.uint8).numpy(), names)
            row = {name: float(values[0]) for name, values in scores.items()}
            rows.append({"bpp_estimated": float(bits[0]) / image[0, ..., 0].size, **row})
        names = ("bpp_estimated", *vmaf.REPORTED)
        values = {name: [row[name] for row in rows if name in row] for name in names}
        return {name: float(np.mean(column)) for name, column in values.items() if column}

    def _evaluator(self):
        """Function from uint8 [1, H, W, 3] to the decoded image and bits."""
        offset = factorized.quantization_offset(self.codec.prior)

        @tf.function(input_signature=[tf.TensorSpec((1, None, None, 3), tf.uint8)])
        def evaluate(image):
            levels = tf.cast(image, tf.float32)
            latent, bits = self.codec.quantized(levels, offset)
            decoded = self.codec.synthesize(latent)
            decoded = decoded[:, : tf.shape(image)[1], : tf.shape(image)[2]]
            return tf.round(tf.clip_by_value(decoded, 0.0, 255.0)), bits

        return evaluate

    def export(self, path):
        """Writes the codec as a SavedModel."""
        if self._options.export and self._trains_codec:
            Codec.save(self.codec, path, shared.resolved(self._options))


class _Pair(tf.Module):
    """The previous step's pair of each device, which waits for its scores."""

    def __init__(self, options: flags.FlagValues):
        super().__init__(name="previous_pair")
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        shape = _shape(options, replicas)

        def local(value, name):
            return tf.Variable(
                value,
                trainable=False,
                name=name,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )

        self.sides = [local(tf.zeros(shape), name) for name in ("reference", "distorted")]
        self.ticket = local(tf.constant(-1, tf.int64), "ticket")

    def swap(self, pair, ticket, replicas, first):
        """Keeps `pair`, returns the one kept before; if there is none, `pair` itself.

        With several devices only the first one's pair survives a restart, so the others
        train on their new pair once more: the ticket tells which is whose.
        """
        fits = tf.equal(self.ticket.read_value(), ticket - replicas) & ~first
        sides = [tf.where(fits, side.read_value(), new) for side, new in zip(self.sides, pair)]
        tickets = tf.where(fits, ticket - replicas, ticket)
        with tf.control_dependencies([*sides, tickets]):
            for side, new in zip(self.sides, pair):
                side.assign(new)
            self.ticket.assign(ticket)
        return sides, tickets


def _shape(options: flags.FlagValues, devices: int) -> tuple[int, int, int, int]:
    """Shape of the patches that one device gets a step."""
    return options.batch // devices, options.patch, options.patch, 3


def _adam(rate: float, drop_step: int) -> tf.keras.optimizers.Optimizer:
    # The legacy class is TensorFlow 1's Adam, epsilon included, in one fused operation.
    schedule = tf.keras.optimizers.schedules.PiecewiseConstantDecay(
        [drop_step - 1], [rate, rate / 10]
    )
    return tf.keras.optimizers.legacy.Adam(schedule, beta_1=0.9, beta_2=0.999, epsilon=1e-8)


def _check(options: flags.FlagValues) -> None:
    """Refuses flags that contradict each other; raises UsageError."""
    shared.check(options)
    metric, mode = options.metric, options.optimize
    require(
        metric != "mse" or mode == "proxy",
        f"--optimize={mode} needs a perceptual --metric: mse is trained by itself (Eq. 8)",
    )
    require(
        mode != "direct" or metric in _DIRECT,
        f"--optimize=direct needs a differentiable --metric, ssim or ms_ssim, not {metric}",
    )
    require(
        mode != "frozen_proxy" or bool(options.proxy_from),
        "--optimize=frozen_proxy needs --proxy_from, a run with a trained proxy",
    )
    require(
        not options.proxy_from or (metric != "mse" and mode != "direct"),
        "--proxy_from makes no sense here: no proxy is used",
    )
    require(
        options.patch % STRIDE == 0,
        f"--patch={options.patch} must be a multiple of {STRIDE}",
    )
    smallest = {"ms_ssim": 97, "ssim": 32, "vmaf": 32, "vif": 32, "mse": 1}[metric]
    require(
        options.patch >= smallest,
        f"--metric={metric} needs --patch of at least {smallest} pixels, got {options.patch}",
    )


def _warm_start(task: ProxIQATask, options: flags.FlagValues) -> None:
    """Loads codec and proxy of other runs, before the first step."""
    if options.init_from:
        checkpoint = warm_start.checkpoint_of(options.init_from, "init_from")
        parts = {"codec": task.codec}
        same_metric = warm_start.option_of(options.init_from, "metric") == options.metric
        if task.uses_proxy and same_metric and warm_start.has_proxy(checkpoint):
            parts["proxy"] = task.proxy
        warm_start.restore(parts, checkpoint, "init_from")
    if options.proxy_from:
        checkpoint = warm_start.checkpoint_of(options.proxy_from, "proxy_from")
        require(
            warm_start.has_proxy(checkpoint),
            f"--proxy_from: the run {options.proxy_from} has no proxy",
        )
        metric = warm_start.option_of(options.proxy_from, "metric")
        require(
            metric == options.metric,
            f"--proxy_from: {options.proxy_from} has a proxy for {metric}, not {options.metric}",
        )
        warm_start.restore({"proxy": task.proxy}, checkpoint, "proxy_from")


def main(argv: list[str]) -> None:
    """Runs the command; `argv[0]` is the program's name."""
    extra = parse(FLAGS, argv, __doc__)
    require(not extra, f"unexpected arguments: {' '.join(extra)}")
    _check(FLAGS)
    paths = find_images(FLAGS.train_data)
    validation = find_images(FLAGS.validation_data) if FLAGS.validation_data else []
    check_sizes(paths, FLAGS.patch)
    check_sizes(validation, vmaf.SMALLEST, "libvmaf's windows")
    for path in validation:
        read_image(path)  # a damaged one would end the run hours later
    strategy = shared.make_strategy(FLAGS)
    if FLAGS.dry_run:
        sys.stdout.write(shared.dump(FLAGS) + "\n")
        return

    def make_task():
        return ProxIQATask(FLAGS, paths, validation)

    data = functools.partial(random_patches, paths, shared.patch_options(FLAGS))
    run(FLAGS, strategy, paths, make_task, data, lambda task: _warm_start(task, FLAGS))


if __name__ == "__main__":
    launch(main)
