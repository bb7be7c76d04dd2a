"""Trains a learned codec for a perceptual metric through a proxy network (ProxIQA).

L.-H. Chen, C. G. Bampis, Z. Li, A. Norkin, A. C. Bovik: "ProxIQA: A Proxy Approach to
Perceptual Optimization of Learned Image Compression", IEEE Trans. Image Processing 2021.

"""

from __future__ import annotations

import functools
import pathlib
from typing import Any

import tensorflow as tf

from lossylab.core import command
from lossylab.core.options import require
from lossylab.data.decode import read_image
from lossylab.data.patches import PatchOptions, random_patches
from lossylab.data.schedule import Schedule, Stream
from lossylab.eval.metrics import vmaf
from lossylab.inference.export.codec import Codec
from lossylab.losses import proxiqa as losses
from lossylab.models.bls2017 import BLS2017
from lossylab.models.bmshj2018 import BMSHJ2018
from lossylab.models.proxiqa import ProxIQA
from lossylab.train import session
from lossylab.train.codec_quality import Trained, codec_quality, evaluator
from lossylab.train.loop import warm_start
from lossylab.train.loop.optimizers import chosen, gradients, named, with_slots
from lossylab.train.loop.oracle import libvmaf_oracle
from lossylab.train.loop.parts import place
from lossylab.train.loop.waiting_pair import WaitingPair
from lossylab.train.loop.weight_mean import WeightMean
from lossylab.train.options.proxiqa import DIFFERENTIABLE, ProxiqaOptions
from lossylab.train.proxiqa_draws import Draws
from lossylab.train.proxy_quality import proxy_quality, weighted_std
from lossylab.train.score_gradient import with_gradient
from lossylab.train.session import Files
from lossylab.train.task import PaperTask

# Options by which a proxy is shown others than the codec's pairs.
_ALTERATIONS = {
    "scale_errors": Stream.ERROR_SCALE,
    "sharpen": Stream.SHARPENING,
    "adversarial": Stream.ADVERSARIAL,
}
CODECS = {codec.model_id: codec for codec in (BLS2017, BMSHJ2018)}


class ProxIQATask(PaperTask[ProxiqaOptions]):
    """Codec, proxy, their optimizers and the alternating update of Sec. III."""

    next_command = "lossylab compress IMAGE IMAGE.lossy"

    def __init__(self, options: ProxiqaOptions, files: Files) -> None:
        """Builds the networks; call inside the strategy's scope.

        Args:
          options: of the training.
          files: images to train and to validate on.
        """
        super().__init__(options, files.train)
        self._validation = files.validation
        self._draws = Draws(options.seed, options.batch)
        if not options.trains_codec:
            self.next_command = ""  # the export is of the codec that it began with
        self.codec = self._new_codec()
        self.proxy: Any = ProxIQA(options.patch) if options.uses_proxy else None
        if options.uses_proxy:
            self.proxy.dense_bias.assign([options.proxy_bias])
            if options.proxy_differences:
                self.proxy.begin_with_differences()
        self.mean = WeightMean(self.codec, lambda: self._new_codec("mean"), options.average)
        self._versions = self._older_codecs()
        rate = _dropped(options.learning_rate, options.drop_step)
        self._codec_optimizer = chosen(options, rate)
        rate = _dropped(options.proxy_learning_rate, options.drop_step)
        self._proxy_optimizer = named(options.proxy_optimizer, rate)
        self._oracle: Any = None
        if options.uses_proxy and options.metric != "ms_ssim":
            self._oracle = libvmaf_oracle(options.metric)
        self._previous: Any = None  # of an overlapped oracle
        if self._oracle is not None and options.oracle == "overlapped":
            count = tf.distribute.get_strategy().num_replicas_in_sync * options.accumulate
            self._previous = WaitingPair(_shape(options, count), options.accumulate)
        self.metrics = ("loss", "bpp", "pixel")
        if options.uses_proxy:
            self.metrics += ("proxy", "proxy_std", "score", "score_std", "metric_loss")
        elif options.optimize == "direct":
            self.metrics += ("perceptual",)

    def dataset(self, schedule: Schedule) -> tf.data.Dataset:
        """Patches."""
        return random_patches(self.paths, self._patch, schedule, self.options.data_service)

    @property
    def _patch(self) -> PatchOptions:
        options = self.options
        return PatchOptions(options.patch, options.min_scale, options.noise, options.cache_mb)

    def begin(self) -> None:
        """Loads codec and proxy of other runs."""
        options = self.options
        if options.init_from:
            proxy = {"proxy": self.proxy} if self._is_proxy_in(options.init_from) else {}
            warm_start.begin_with({"codec": self.codec, **proxy}, options.init_from, "init_from")
            self.mean.begin()
        if options.proxy_from:
            self._begin_with_proxy(options.proxy_from)

    def _is_proxy_in(self, run: str) -> bool:
        """Whether a run to begin with has a proxy for the metric; exports have none."""
        if not self.options.uses_proxy or warm_start.is_export(run):
            return False
        alike = _metric_of(run) == self._metric
        return alike and warm_start.has_proxy(warm_start.checkpoint_of(run, "init_from"))

    @property
    def _metric(self) -> str:
        return _metric_name(self.options.metric, self.options.ssim_scale)

    def _begin_with_proxy(self, run: str) -> None:
        checkpoint = warm_start.checkpoint_of(run, "proxy_from")
        require(warm_start.has_proxy(checkpoint), f"`proxy_from`: the run {run} has no proxy")
        metric = _metric_of(run)
        require(
            metric == self._metric,
            f"`proxy_from`: {run} has a proxy for {metric}, not {self._metric}",
        )
        warm_start.begin_with({"proxy": self.proxy}, run, "proxy_from")

    def checkpointed(self) -> dict[str, Any]:
        """Codec, proxy, both optimizers and the pair that waits for its score."""
        state = {"codec": self.codec, "codec_adam": with_slots(self._codec_optimizer, self.codec)}
        state |= self.mean.checkpointed
        if self.proxy is not None:
            state["proxy"] = self.proxy
            state["proxy_adam"] = with_slots(self._proxy_optimizer, self.proxy)
        if self._previous:
            state["previous_pair"] = self._previous
        return state

    def learn(self, batch: Any, step: tf.Tensor) -> dict[str, Any]:
        """What one alternating update needs."""
        options, learned = self.options, {}
        batch = tf.ensure_shape(batch, _shape(options, place().count))
        scale = 1.0 / options.batch  # the sum over devices is the mean of the global batch
        if options.trains_codec:
            distorted, report, changes = self._codec_gradients(batch, step, scale)
            learned["codec"] = after = changes
        else:
            distorted, report, after = self._distorted(batch, step), _no_rate(), [batch]
        if options.uses_proxy:
            learned |= self._proxy_gradients(batch, distorted, step, scale, after)
            report["metric_loss"] = learned["metric_loss"]
        return {**learned, "report": report}

    def change(self, learned: dict[str, Any]) -> dict[str, tf.Tensor]:
        """One alternating update; the metrics of the proxy are of all scores at once."""
        options, report = self.options, learned["report"]
        if options.uses_proxy:
            if options.trains_proxy:
                variables = self.proxy.trainable_variables
                self._proxy_optimizer.apply_gradients(zip(learned["proxy"], variables))
            weights = _weights(learned["kept"], options.batch)
            for name, values in learned["scores"].items():
                report[name] = tf.reduce_sum(weights * values)
                report[f"{name}_std"] = weighted_std(values, weights)
        if options.trains_codec:
            self._codec_optimizer.apply_gradients(
                zip(learned["codec"], self.codec.trainable_variables)
            )
            self.mean.update()
        else:
            report["loss"] = report["metric_loss"]
        return report

    def _codec_gradients(self, image: tf.Tensor, step: tf.Tensor, scale: float):
        """Gradients of Eq. 8, 10 or 13; the proxy's parameters are fixed."""
        options = self.options
        variables = self.codec.trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            reconstruction, bits = self.codec(image, noise=self._noise(image, step))
            clipped = tf.clip_by_value(reconstruction, 0.0, 255.0)
            rate = losses.rate_loss(bits, options.patch**2)
            pixel = losses.pixel_loss(image, reconstruction, options.pixel_norm)
            report = {"bpp": rate, "pixel": pixel}
            if options.metric == "mse":
                loss = losses.rate_distortion_loss(rate, pixel, options.lmbda)
            else:
                perceptual = self._perceptual(image, clipped, scale)
                if options.optimize == "direct":
                    report["perceptual"] = perceptual
                loss = losses.total_loss(rate, pixel, perceptual, options.lmbda, options.alpha)
            total = scale * tf.reduce_sum(loss)
        report = {name: scale * tf.reduce_sum(values) for name, values in report.items()}
        changes = gradients(tape, total, variables, self._codec_optimizer)
        return clipped, {"loss": total, **report}, changes

    def _perceptual(self, image: tf.Tensor, reconstruction: tf.Tensor, scale: float) -> tf.Tensor:
        """L_p (Eq. 9) or the metric's own loss (Eq. 14), float32 [B]."""
        options = self.options
        if options.optimize != "direct":
            scores = self.proxy((image, reconstruction))
            mean = None
            if options.proxy_loss == "abs":
                replica = tf.distribute.get_replica_context()
                mean = replica.all_reduce("sum", tf.stop_gradient(scale * tf.reduce_sum(scores)))
            return losses.proxy_loss(scores, mean)
        loss = losses.ssim_loss if options.metric == "ssim" else losses.ms_ssim_loss
        image, reconstruction = self._judged(image, reconstruction)
        return loss(image, reconstruction, options.ssim_channels)

    def _judged(self, reference: tf.Tensor, distorted: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """What the metric is of: pairs, or means of their squares."""
        scale = self.options.ssim_scale
        return losses.coarser(reference, scale), losses.coarser(distorted, scale)

    def _proxy_gradients(
        self,
        image: tf.Tensor,
        distorted: tf.Tensor,
        step: tf.Tensor,
        scale: float,
        after: list[tf.Tensor | None],
    ) -> dict[str, Any]:
        """Eq. 11 on this step's pairs, or on the previous step's: its loss, gradients and scores.

        Args:
          image: this part's patches.
          distorted: what the codec made of them.
          step: number of steps done.
          scale: of the loss.
          after: what is to be computed before the scores are waited for.
        """
        pair = (image, self._shown(image, tf.stop_gradient(distorted), step))
        pair_step = step
        here = place()
        tickets = step * here.count + tf.cast(here.index, tf.int64)
        if self._previous is not None:
            self._oracle.submit(tickets, *self._judged(*pair))
            pair, tickets = self._previous.swap(pair, tickets, here, first=tf.equal(step, 0))
            pair_step = tickets // here.count
        with tf.control_dependencies([tensor for tensor in after if tensor is not None]):
            scores = self._score(tickets, *pair)
        variables = self.proxy.trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            predicted = self.proxy(pair)
            loss = scale * tf.reduce_sum(losses.metric_loss(predicted, scores))
        learned: dict[str, Any] = {"metric_loss": loss}
        if self.options.trains_proxy:
            learned["proxy"] = gradients(tape, loss, variables, self._proxy_optimizer)
        learned["kept"] = here.alone(tf.where(self._altered(image, pair_step), 0.0, 1.0))
        learned["scores"] = {"proxy": here.alone(predicted), "score": here.alone(scores)}
        return learned

    def _predict(self, reference: tf.Tensor, distorted: tf.Tensor) -> tf.Tensor:
        """The proxy's scores [B] of pairs."""
        return self.proxy((reference, distorted))

    def _score(self, ticket: tf.Tensor, reference: tf.Tensor, distorted: tf.Tensor) -> tf.Tensor:
        """True scores [B] of pairs; those submitted under their ticket are waited for."""
        if self._oracle is None:
            return losses.ms_ssim_training_score(tf.round(reference), tf.round(distorted))
        return self._oracle.collect(ticket, *self._judged(reference, distorted))

    def _noise(self, image: tf.Tensor, step: tf.Tensor) -> list[tf.Tensor]:
        shapes = self.codec.noise_shapes(self.options.patch, self.options.patch)
        return self._draws.latent_noise(shapes, image, step)

    def _shown(self, image: tf.Tensor, distorted: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """What a proxy that learns sees: the codec's among altered ones and (x, x)."""
        options, draws = self.options, self._draws
        if not options.trains_proxy:
            return distorted
        share = options.altered_share
        if options.scale_errors:
            distorted = draws.scaled(image, distorted, step, options.scale_errors, share)
        if options.sharpen:
            distorted = draws.sharpened(distorted, step, options.sharpen, share)
        if options.adversarial:
            gradient = with_gradient(self._predict, image, distorted)[1]
            distorted = draws.adversarial(distorted, gradient, step, options.adversarial, share)
        if options.identical_pairs:
            identical = draws.identical(image, step)
            distorted = tf.where(identical[:, None, None, None], image, distorted)
        return distorted

    def _altered(self, image: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """Which pairs of a step are to be learned, not to be reported: others than the codec's."""
        options, draws = self.options, self._draws
        altered = tf.fill(image.shape[:1], False)
        if not options.trains_proxy:
            return altered
        for kind, stream in _ALTERATIONS.items():
            if getattr(options, kind):
                altered |= draws.is_altered(stream, image, step, options.altered_share)
        if options.identical_pairs:
            altered |= draws.identical(image, step)
        return altered

    def _distorted(self, image: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """What a proxy sees beside the patches: the codec's, or synthetic distortions."""
        made = self.options.trains_codec or self.options.init_from
        return self._coded(image, step) if made else self._draws.distorted(image, step)

    def _coded(self, image: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """What the codec makes of the patches, or in turn its older versions and it."""
        noise = self._noise(image, step)

        def coded(codec: Trained) -> tf.Tensor:
            return tf.clip_by_value(codec(image, noise=noise)[0], 0.0, 255.0)

        codecs = [functools.partial(coded, each) for each in (self.codec, *self._versions)]
        return tf.switch_case(tf.cast(step % len(codecs), tf.int32), codecs)

    def _new_codec(self, *name: str) -> Trained:
        options = self.options
        return CODECS[options.codec](options.filters, options.latent_filters or None, *name)

    def _older_codecs(self) -> list[Trained]:
        """The codec at earlier checkpoints of the run that it begins with."""
        options, found = self.options, []
        if options.init_from and options.versions > 1:
            newest = warm_start.newest_checkpoints(options.init_from, options.versions, "versions")
            for checkpoint in newest[:-1]:
                found.append(self._new_codec("version"))
                warm_start.fill({"codec": found[-1]}, checkpoint, "init_from")
        return found

    def close(self) -> None:
        """Ends the oracle's ffmpeg."""
        if self._oracle is not None:
            self._oracle.close()

    def images(self) -> dict[str, tf.Tensor]:
        """The first validation image beside its reconstruction."""
        if not self._validation or not self.options.trains_codec:
            return {}
        image = read_image(self._validation[0])[None]
        return {"original": image, "reconstruction": evaluator(self.mean.served)(image)[0]}

    def validate(self) -> dict[str, float]:
        """Means over the validation images, quantized as in a file, and the proxy's quality."""
        options = self.options
        found = {}
        if options.trains_codec and options.validate_images:
            found = codec_quality(self.mean.served, self._validation)
        return found | (self._validate_proxy() if options.uses_proxy else {})

    def _validate_proxy(self) -> dict[str, float]:
        """How well the proxy judges what the codec makes of patches that no training sees."""
        options = self.options
        size, metric = min(options.batch, options.proxy_patches), options.metric
        patches = random_patches(self._validation, self._patch, Schedule(size, 0))
        pairs = (
            (image, self._distorted(image, tf.constant(number, tf.int64)))
            for number, image in enumerate(patches.take(options.proxy_patches // size))
        )
        loss = losses.ssim_loss if metric == "ssim" else losses.ms_ssim_loss
        by_luma = functools.partial(loss, channels="luma")  # as the true scores are
        return proxy_quality(
            self._predict,
            functools.partial(self._score, tf.constant(-1, tf.int64)),
            pairs,
            (lambda *pair: -by_luma(*self._judged(*pair))) if metric in DIFFERENTIABLE else None,
        )

    def export(self, path: str) -> None:
        """Writes the codec, unless only a proxy was trained."""
        if self.options.trains_codec:
            super().export(path)

    def save(self, path: str) -> None:
        """Writes the codec as a SavedModel."""
        Codec.save(self.mean.served, path, self.recorded, self.options.export_precision)


def _shape(options: ProxiqaOptions, parts: int) -> tuple[int, int, int, int]:
    """Shape of the patches that are learned from at a time, one of so many parts of the batch."""
    return options.batch // parts, options.patch, options.patch, 3


def _metric_of(run: str) -> str:
    """What the proxy of a run learned, in words."""
    metric, scale = (warm_start.option_of(run, name) for name in ("metric", "ssim_scale"))
    return _metric_name(str(metric), int(scale or 1))  # runs of older versions have no scale


def _metric_name(metric: str, scale: int) -> str:
    return metric if scale == 1 else f"{metric} of means of {scale}x{scale} pixels"


def _no_rate() -> dict[str, tf.Tensor]:
    return dict.fromkeys(("loss", "bpp", "pixel"), tf.constant(0.0))


def _weights(kept: tf.Tensor, batch: int) -> tf.Tensor:
    """Of this device's scores in the mean over those of the global batch that are kept, [B].

    Over all where none is kept: a row of metrics.csv is the mean of all its steps, and a score of 0
    would be false.
    """
    count = tf.distribute.get_replica_context().all_reduce("sum", tf.reduce_sum(kept))
    return tf.where(count > 0, tf.math.divide_no_nan(kept, count), 1.0 / batch)


def _dropped(rate: float, drop_step: int) -> tf.keras.optimizers.schedules.PiecewiseConstantDecay:
    return tf.keras.optimizers.schedules.PiecewiseConstantDecay([drop_step - 1], [rate, rate / 10])


def train(options: ProxiqaOptions) -> pathlib.Path:
    """Trains a codec; raises UsageError, WorkError or OutputError, see `session.run`."""
    needed_by = "the patch", "libvmaf's windows"
    smallest = max(vmaf.SMALLEST, options.patch if options.uses_proxy else 0)
    files = Files.of(options).checked(options, options.patch, smallest, needed_by)
    whole = options.trains_codec and options.uses_proxy and options.proxy_loss == "abs"
    require(
        options.accumulate == 1 or not whole,
        "`accumulate`: `proxy_loss`=abs is of the whole batch's mean score, not of parts",
    )
    more = {}
    if options.metric == "ms_ssim" and options.optimize == "direct":
        more["channels of MS-SSIM"] = options.ssim_channels  # luma's alone before version 0.2
    return session.run(options, files, lambda: ProxIQATask(options, files), more=more, served=True)


if __name__ == "__main__":
    command.as_program(ProxiqaOptions, train, "lossylab train proxiqa")
