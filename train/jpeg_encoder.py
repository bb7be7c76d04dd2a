"""Trains a JPEG encoder: attention over DCT coefficients and quantization tables.

R. Liu, Y. Liu, S. Mantravadi: "Deep Neural Network Based Image Compression Encoders".
"""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from lossylab.core import command
from lossylab.core.options import require
from lossylab.data.decode import read_image
from lossylab.data.patches import PatchOptions, random_patches
from lossylab.data.schedule import Schedule
from lossylab.eval.metrics.ssim import MS_SSIM_SMALLEST, ms_ssim
from lossylab.inference.codecs import jpeg_decoders, jpeg_files
from lossylab.inference.export.jpeg import Encoder
from lossylab.losses import jpeg_encoder as losses
from lossylab.losses.lpips import SMALLEST
from lossylab.train import jpeg_parts as parts
from lossylab.train import session
from lossylab.train.loop import warm_start
from lossylab.train.loop.optimizers import chosen, gradients, with_slots
from lossylab.train.loop.parts import place
from lossylab.train.loop.weight_mean import WeightMean
from lossylab.train.options.jpeg_encoder import JpegEncoderOptions
from lossylab.train.session import Files
from lossylab.train.task import PaperTask

_RATES = {"tables": "tables", "coefficients": "bits"}  # option `rate` -> its metric


class EncoderTask(PaperTask[JpegEncoderOptions]):
    """The encoder and its optimizer."""

    next_command = "lossylab jpeg IMAGE IMAGE.jpg"

    def __init__(self, options: JpegEncoderOptions, files: Files) -> None:
        """Builds the encoder; call inside the strategy's scope.

        Args:
          options: of the training.
          files: images to train and to validate on.

        Raises:
          UsageError: if weights of the backbone or of LPIPS cannot be had.
        """
        super().__init__(options, files.train)
        self._validation = [read_image(path) for path in files.validation]
        with session.naming("weights"):
            self.encoder = parts.make_encoder(options)
            self.mean = WeightMean(
                self.encoder, lambda: parts.make_encoder(options), options.average
            )
        self._optimizer = chosen(options, options.learning_rate)
        self._terms = parts.make_terms(options)
        self.metrics = ("loss", "mse", _RATES[options.rate], *self._terms)
        if options.attention != "none":
            self.metrics += ("attention",)

    def dataset(self, schedule: Schedule) -> tf.data.Dataset:
        """Patches."""
        options = self.options
        patch = PatchOptions(options.patch, cache_mb=options.cache_mb)
        return random_patches(self.paths, patch, schedule, options.data_service)

    def begin(self) -> None:
        """Loads another run's encoder or tables."""
        run = self.options.init_from
        if run:
            theirs = warm_start.option_of(run, "table_scale")
            require(
                theirs == self.options.table_scale,
                f"`init_from`: {run} has `table_scale`={theirs}, give the same",
            )
            warm_start.begin_with({"encoder": self.encoder}, run, "init_from")
        if self.options.tables_from:
            self.encoder.set_tables(parts.tables_of(self.options.tables_from))
        self.mean.begin()

    def checkpointed(self) -> dict[str, Any]:
        """The encoder, its mean and the optimizer."""
        state = {"encoder": self.encoder, "adam": with_slots(self._optimizer, self.encoder)}
        return state | self.mean.checkpointed

    def learn(self, batch: Any, step: tf.Tensor) -> dict[str, Any]:
        """Losses and gradients of everything."""
        del step
        scale = 1.0 / place().count
        variables = self.encoder.trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            report = self._losses(batch)
            loss = scale * report["loss"]
        changes = gradients(tape, loss, variables, self._optimizer)
        return {"report": {name: scale * report[name] for name in self.metrics}, "encoder": changes}

    def change(self, learned: dict[str, Any]) -> dict[str, tf.Tensor]:
        """One step of the encoder and its mean."""
        self._optimizer.apply_gradients(zip(learned["encoder"], self.encoder.trainable_variables))
        self.mean.update()
        return learned["report"]

    def _losses(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Eq. 7-9."""
        options = self.options
        coded = self.encoder(image)
        report = {"mse": losses.mse(image, coded.decoded)}
        distortion = report["mse"]
        for name, term in self._terms.items():
            report[name] = tf.reduce_mean(term(image, coded.decoded))
            distortion += options.terms[name] * report[name]
        if coded.attention:
            report["attention"] = losses.attention_rate(coded.attention)
        if options.rate == "coefficients":
            report["bits"] = rate = losses.coefficient_rate(coded.weighted, self.encoder.tables)
        else:
            report["tables"] = losses.table_rate(self.encoder.tables)
            rate = options.table_weight * report["tables"]
            rate += options.attention_weight * report.get("attention", 0.0)
        return {"loss": options.lmbda * distortion + rate, **report}

    def images(self) -> dict[str, tf.Tensor]:
        """The first validation image and what is decoded of it."""
        if not self._validation:
            return {}
        image = self._validation[0]
        _, decoded = self._file(image)
        shown = {"original": image, "reconstruction": decoded}
        return {name: tf.constant(each[None], tf.float32) for name, each in shown.items()}

    def validate(self) -> dict[str, float]:
        """Rate of real files; MSE, MS-SSIM and perceptual distance of what Pillow decodes."""
        rows = []
        for image in self._validation:
            data, decoded = self._file(image)
            pair = [tf.constant(each[None], tf.float32) for each in (image, decoded)]
            row = {
                "bpp": 8 * len(data) / (image.shape[0] * image.shape[1]),
                "mse": float(losses.mse(*pair)),
            }
            if min(image.shape[:2]) >= MS_SSIM_SMALLEST:
                row["ms_ssim"] = float(ms_ssim(*pair)[0])
            for name in self._terms.keys() - {"ms_ssim"}:
                if min(image.shape[:2]) >= SMALLEST:
                    row[name] = float(self._terms[name](*pair)[0])
            rows.append(row)
        names = [name for name in rows[0] if all(name in row for row in rows)] if rows else []
        return {name: float(np.mean([row[name] for row in rows])) for name in names}

    def _file(self, image: np.ndarray) -> tuple[bytes, np.ndarray]:
        coefficients, tables = self._encode(tf.constant(image[None], tf.float32))
        contents = jpeg_files.Contents(coefficients[0].numpy(), tables.numpy(), *image.shape[:2])
        data = jpeg_files.to_bytes(contents)
        return data, jpeg_decoders.by_pillow(data)

    @tf.function(autograph=False, reduce_retracing=True)
    def _encode(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        served: Any = self.mean.served
        return served.encode(image)

    def save(self, path: str) -> None:
        """Writes the encoder as a SavedModel."""
        card = {**self.recorded, **parts.features_of(self.options)}
        Encoder.save(self.mean.served, path, card, self.options.export_precision)


def train(options: JpegEncoderOptions) -> pathlib.Path:
    """Trains an encoder; raises UsageError, WorkError or OutputError, see `session.run`."""
    files = Files.of(options).checked(options, options.patch)
    return session.run(options, files, lambda: EncoderTask(options, files), served=True)


if __name__ == "__main__":
    command.as_program(JpegEncoderOptions, train, "lossylab train jpeg_encoder")
