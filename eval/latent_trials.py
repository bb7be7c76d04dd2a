"""Trials of latent restoration: searches for images that are known, and their measures."""

from __future__ import annotations

import dataclasses
import math
import time
import zlib

import numpy as np
import tensorflow as tf

from lossylab.core import rows
from lossylab.core.digest import digest
from lossylab.core.options import naming, require
from lossylab.data import jpeg
from lossylab.data.scaling import scaled
from lossylab.eval.latent_rows import COMPRESSED, MEAN, ORIGINAL, UNSEARCHED, Row
from lossylab.eval.metrics.psnr import psnr
from lossylab.eval.metrics.ssim import SSIM_SMALLEST, ssim
from lossylab.eval.options.latent import DOWNSCALE, JPEG, LatentStudyOptions
from lossylab.inference.export.degradation import Degradation
from lossylab.inference.export.rankiqa import RESIZED, Scorer
from lossylab.inference.importers import stylegan_files
from lossylab.inference.latent import cases as latent_cases
from lossylab.inference.latent import gaussian_file
from lossylab.inference.latent.cases import Case
from lossylab.inference.latent.generator import find_generator
from lossylab.inference.latent.prior import Prior
from lossylab.inference.latent.search import Search
from lossylab.losses.pulse import squared_error
from lossylab.models.layers.bicubic import downscale
from lossylab.models.layers.stylegan_base import StyleGAN

PROTOCOL = (
    "last iterate; PSNR and SSIM of RGB levels; latent: mean distance of a layer's style from the "
    "true one; nll by the longest trained degradation model"
)
_JUDGED = PROTOCOL.replace("the longest trained degradation model", "another training's model")


@dataclasses.dataclass(frozen=True)
class Trial:
    """One image, restored or not.

    Attributes:
      measures: some of `LATENT_MEASURES`.
      image: uint8 [R, R, 3].
    """

    measures: dict[str, float]
    image: np.ndarray


class Trials:
    """Networks and what is done with them.

    Attributes:
      options: of the study.
      generators: by version.
      protocol: how results are measured, in words.
    """

    def __init__(self, options: LatentStudyOptions):
        """Loads everything.

        Args:
          options: networks, tasks and how images are degraded.

        Raises:
          UsageError: if two generators have one version, a factor or the scorer's crops do not
            fit one, or a degradation model has learned something else.
          WorkError: if a file is not what it should be.
        """
        self.options = options
        self.generators: dict[int, StyleGAN] = {}
        self._fingerprints: dict[int, str] = {}
        self._gaussians: dict[int, str] = {}
        for path in options.generators:
            with naming("generators"):
                generator = find_generator(path)
            version, size = generator.version, generator.resolution
            require(version not in self.generators, f"`generators`: two are of version {version}")
            for task, factor in options.factors.items():
                require(
                    size % factor == 0 and size > factor,
                    f"`generators`: {path} makes images of {size} pixels: {task} cannot make them "
                    f"{factor} times smaller, change its factor",
                )
            self.generators[version] = generator
            self._gaussians[version] = gaussian_file.beside(path)
            self._fingerprints[version] = stylegan_files.fingerprint(generator)
        with naming("models"):
            self._models = {
                epochs: Degradation(path) for epochs, path in options.degradation_models().items()
            }
        for epochs, model in self._models.items():
            _check("models", epochs, model, options)
        # The model that results' likelihoods are measured by: one for all rows.
        self._judge = self._models[max(self._models)] if self._models else None
        if options.judge:
            with naming("judge"):
                self._judge = Degradation(options.judge)
            _check("judge", options.judge, self._judge, options)
            known = [
                epochs for epochs, m in self._models.items() if m.weights == self._judge.weights
            ]
            require(not known, f"`judge` is the model of `models`={known}, which searches see")
        with naming("rankiqa"):
            self._rankiqa = Scorer(options.rankiqa) if options.rankiqa else None
        if self._rankiqa is not None:
            for generator in self.generators.values():
                _require_crops(self._rankiqa.patch, generator.resolution, options.scoring)
        self.protocol = _JUDGED if options.judge else PROTOCOL
        self._priors: dict[tuple[int, int, int], Prior] = {}

    def possible(self, row: Row) -> bool:
        """Whether there are the networks that a row needs."""
        return row.version in self.generators and (not row.epochs or row.epochs in self._models)

    def identity(self, row: Row, task: str, case: Case) -> str:
        """Names what decides a trial's values, but for the budget."""
        model, judge = self._models.get(row.epochs), self._judge
        return rows.identity(
            row.settings.identity,
            *(self._fingerprints[row.version], model and model.weights, judge and judge.weights),
            *(self._rankiqa and (self._rankiqa.weights, self.options.scoring), task),
            *(self.options.factors[task], self.protocol, _revision(row, task)),
            *(self.options.quality if task == JPEG else 0, self.options.fit_samples),
            *(digest(case.clean), case.styles is not None and case.styles.tobytes()),
        )

    def degraded(self, case: Case, task: str) -> np.ndarray:
        """The image to restore, uint8."""
        factor = self.options.factors[task]
        return latent_cases.degrade(case.clean, task, self.options.quality, factor)

    def search(self, row: Row, task: str, cases: list[Case]) -> list[Trial]:
        """Searches for a batch by the settings of a row."""
        generator, settings = self.generators[row.version], row.settings
        given = np.stack([self.degraded(case, task) for case in cases])
        prior, model = self._prior(row), self._models.get(row.epochs)
        ends: list[float] = []
        search = Search(generator, prior, settings, given, model and model.nll)
        result = search.run(lambda *_: ends.append(time.perf_counter()))
        # Without the first step, in which the graph is built.
        step = (ends[-1] - ends[0]) / max(settings.steps - 1, 1)
        seconds = step * settings.steps / len(cases)
        threshold = prior.threshold(generator.num_layers, settings.gamma, settings.power)
        found, trials = result.last, []
        for index, case in enumerate(cases):
            image = np.clip(np.rint(found.images[index]), 0, 255).astype(np.uint8)
            measures = {name: float(values[index]) for name, values in found.losses.items()}
            measures |= {name: float(result.history[name][-1, index]) for name in ("norm", "angle")}
            measures |= {"threshold": threshold, "seconds": seconds}
            measures["own_nll"] = measures.pop("nll", math.nan)
            measures["best_step"] = int(result.best.steps[index])
            measures |= self._to_truth(prior, case, found.styles[index])
            measures |= self._judged(row, task, case, image, given[index])
            trials.append(Trial(measures, image))
        return trials

    def untouched(self, row: Row, task: str, case: Case) -> Trial:
        """What no search has found: see `latent_rows.UNTOUCHED`."""
        given = self.degraded(case, task)
        if row.name in UNSEARCHED:
            return self._unsearched(row, task, case, given)
        if row.name == ORIGINAL:
            measures = self._judged(row, task, case, case.clean, given)
            clean = tf.constant(case.clean[None], tf.float32)
            measures["pixel"] = _pixel_error(given, clean)
            if case.styles is not None:
                measures |= self._of_styles(row, case, case.styles)
            return Trial(measures, case.clean)
        if row.name == COMPRESSED:
            image = jpeg.degrade(case.clean, self.options.quality)
        else:
            image = scaled(given, len(case.clean))
        return Trial(self._judged(row, task, case, image, given), image)

    def _unsearched(self, row: Row, task: str, case: Case, given: np.ndarray) -> Trial:
        """The generator's image of styles that know nothing of the given image."""
        generator, prior = self.generators[row.version], self._prior(row)
        layers, seed = generator.num_layers, row.settings.seed
        if row.name == MEAN:
            styles = np.repeat(prior.mean[None], layers, 0)
        else:
            styles = prior.chance(layers, seed, zlib.crc32(case.name.encode()))
        made = generator.synthesis(tf.constant(styles[None]))
        image = np.clip(np.rint(made[0].numpy()), 0, 255).astype(np.uint8)
        measures = {"pixel": _pixel_error(given, made), **self._of_styles(row, case, styles)}
        return Trial(measures | self._judged(row, task, case, image, given), image)

    def _of_styles(self, row: Row, case: Case, styles: np.ndarray) -> dict[str, float]:
        """Where styles [L, D] lie: from the prior, and from the true ones."""
        prior, settings = self._prior(row), row.settings
        found = prior.discrepancy(tf.constant(styles[None]), settings.gamma, settings.power)
        norm = np.linalg.norm(styles, axis=1).mean()
        threshold = prior.threshold(len(styles), settings.gamma, settings.power)
        measures = {"mmd": float(found[0]), "norm": float(norm), "threshold": threshold}
        return measures | self._to_truth(prior, case, styles)

    def _to_truth(self, prior: Prior, case: Case, styles: np.ndarray) -> dict[str, float]:
        """Distance and cosine about the mean of styles from the true ones, where these are known.

        The mean itself has no direction: its cosine is NaN.
        """
        if case.styles is None:
            return {}
        gaps = np.linalg.norm(styles - case.styles, axis=1)
        found, true = (each.astype(np.float64) - prior.mean for each in (styles, case.styles))
        lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(true, axis=1)
        cosine = np.nan
        if lengths.min() > 0:
            cosine = np.mean(np.sum(found * true, 1) / lengths)
        return {"latent": float(gaps.mean()), "cosine": float(cosine)}

    def _prior(self, row: Row) -> Prior:
        settings = row.settings
        key = (row.version, settings.samples, settings.seed)
        if key not in self._priors:
            numbers = settings.samples, self.options.fit_samples, settings.seed
            generator, gaussian = self.generators[row.version], self._gaussians[row.version]
            self._priors[key] = Prior(generator, *numbers, gaussian)
        return self._priors[key]

    def _judged(
        self, row: Row, task: str, case: Case, image: np.ndarray, given: np.ndarray
    ) -> dict[str, float]:
        """Fidelity to the clean image, likelihood of the degraded image given this one, scores."""
        reference, restored = (each[None].astype(np.float32) for each in (case.clean, image))
        measures = {"psnr": psnr(case.clean, image)}
        if len(image) >= SSIM_SMALLEST:
            measures["ssim"] = float(ssim(reference, restored)[0])
        judge = self._judge
        if judge is not None and task == JPEG:
            small = scaled(image, len(given))
            models = {"nll": judge}
            if row.name == ORIGINAL and self._models:
                models["own_nll"] = self._models[min(self._models)]
                models["longest_nll"] = self._models[max(self._models)]
            for name, model in models.items():
                measures[name] = float(model.nll(given[None], small[None])[0])
        if self._rankiqa is not None:
            measures |= self._rankiqa.table2(image, row.settings.seed, scoring=self.options.scoring)
        return measures


def _revision(row: Row, task: str) -> int:
    """Of how a row is measured: with another one it is measured again.

    1: SSIM averaged in float32. 2: images to restore scaled down by Pillow, which only those of
    JPEG still are; the original's `pixel` not measured.
    """
    return 3 if task == DOWNSCALE or row.name == ORIGINAL else 2


def _pixel_error(given: np.ndarray, image: tf.Tensor) -> float:
    """Squared error of an image [1, R, R, 3], scaled down, from the given one, as the search's."""
    small = downscale(image, image.shape[1] // len(given))
    return float(squared_error(tf.constant(given[None], tf.float32), small)[0])


def _require_crops(patch: int, side: int, scoring: str) -> None:
    """Refuses a scorer whose crops do not fit, before anything is searched for."""
    if scoring != "resize":
        require(
            patch <= side,
            f"`rankiqa`: its crops of {patch} pixels do not fit into images of {side}: "
            "`scoring`=resize only",
        )
    if scoring != "crops":
        require(
            patch <= RESIZED,
            f"`rankiqa`: its crops of {patch} pixels do not fit into {RESIZED}: "
            "`scoring`=crops only",
        )


def _check(option: str, which: int | str, model: Degradation, options: LatentStudyOptions) -> None:
    """Refuses a degradation model that has learned something else than the study does."""
    learned = model.options
    mine = {"degradation": "jpeg", "severity": options.quality, "factor": options.factors.get(JPEG)}
    other = [
        f"{name} {learned.get(name)} instead of {value}"
        for name, value in mine.items()
        if value is not None and learned.get(name) != value
    ]
    require(not other, f"`{option}`: {which} has learned {', '.join(other)}")
