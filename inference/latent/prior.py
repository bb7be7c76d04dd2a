"""What is known of a StyleGAN's W before a search: samples, their mean, PULSE's Gaussian."""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

from lossylab.inference.importers import stylegan_files
from lossylab.inference.latent import gaussian_file
from lossylab.inference.latent.settings import FIT_SAMPLES, SAMPLES
from lossylab.losses import mmd
from lossylab.models.layers.stylegan_base import StyleGAN
from lossylab.models.names import MMD_GAMMA

_MEAN_SAMPLES = 10_000  # as the official projector
_SETS, _SHARE = 200, 0.95  # sets of perfect samples, and how many of them meet the constraint
_AT_ONCE = 10_000
_SLOPE = 0.2  # of the mapping's last LeakyReLU
# What random numbers are drawn for: no two purposes share theirs.
_PURPOSES = (
    "samples",
    "mean",
    "fit",
    "sets",
    "start",
    "noise",
    "truth",
    "noise of a truth",
    "chance",
)


def key(purpose: str, *numbers: int) -> np.ndarray:
    """A seed of TensorFlow's stateless operations, int64 [2].

    Args:
      purpose: what is drawn.
      *numbers: seed and counts, as many each time that this purpose is asked for: zeros at the end
        make no difference.
    """
    words = np.random.SeedSequence((_PURPOSES.index(purpose), *numbers)).generate_state(2)
    return words.astype(np.int64)


def normal(shape: tuple[int, ...], purpose: str, *numbers: int) -> tf.Tensor:
    """Standard normal numbers, float32, that purpose and counts decide."""
    return tf.random.stateless_normal(shape, key(purpose, *numbers))


class Prior:
    """The distribution of a generator's styles, by seeded samples of its mapping network."""

    def __init__(
        self,
        generator: StyleGAN,
        samples: int = SAMPLES,
        fit_samples: int = FIT_SAMPLES,
        seed: int = 0,
        gaussian_path: str | None = None,
    ) -> None:
        """Draws the samples that stand for the prior; the rest is computed when it is asked for.

        Args:
          generator: its mapping network is used.
          samples: k' of Eq. 7, the same ones through all of a search.
          fit_samples: for PULSE's Gaussian, which has a seed of its own.
          seed: of all else that is drawn.
          gaussian_path: file that the Gaussian is kept in, see `gaussian_file.beside`.

        Raises:
          ValueError: for fewer than two samples.
        """
        if min(samples, fit_samples) < 2:
            raise ValueError(f"at least two samples are needed, got {min(samples, fit_samples)}")
        self._generator, self._seed, self._fit_samples = generator, seed, fit_samples
        self._path = gaussian_path
        self._map = tf.function(generator.map, autograph=False, reduce_retracing=True)
        self._thresholds: dict[tuple[int, float, int], float] = {}
        self._terms: dict[tuple[float, int], float] = {}
        self.samples = self._mapped(samples, "samples", seed)

    def _mapped(self, count: int, purpose: str, *numbers: int) -> np.ndarray:
        return self._map(normal((count, self._generator.latent), purpose, *numbers)).numpy()

    @functools.cached_property
    def mean(self) -> np.ndarray:
        """E[f(z)] by 10,000 samples, as the official projector: float32 [D]."""
        return self._mapped(_MEAN_SAMPLES, "mean", self._seed).mean(0, dtype=np.float64).astype("f")

    @property
    def stored_mean(self) -> np.ndarray:
        """The mean that the network has learned along in its training, float32 [D]."""
        return self._generator.mean.numpy()

    @functools.cached_property
    def gaussian(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and std, float32 [D] each, of styles before the mapping's last LeakyReLU."""
        if self._path is None:
            return self._fitted()
        name = stylegan_files.fingerprint(self._generator)
        kept = gaussian_file.load(self._path, name, self._fit_samples, self._generator.width)
        if kept is None:
            kept = self._fitted()
            gaussian_file.save(self._path, name, self._fit_samples, kept)
        return kept

    def _fitted(self) -> tuple[np.ndarray, np.ndarray]:
        sums, squares, left, index = 0.0, 0.0, self._fit_samples, 0
        while left:
            count = min(left, _AT_ONCE)
            styles = self._mapped(count, "fit", index).astype(np.float64)
            linear = np.where(styles > 0, styles, styles / _SLOPE)
            sums, squares = sums + linear.sum(0), squares + np.square(linear).sum(0)
            left, index = left - count, index + 1
        mean = np.asarray(sums / self._fit_samples)
        std = np.sqrt(np.maximum(squares / self._fit_samples - np.square(mean), 0))
        return mean.astype("f"), std.astype("f")

    def styles(self, latents: tf.Tensor) -> tf.Tensor:
        """PULSE's map from standard normal latents [..., D] to styles."""
        mean, std = self.gaussian
        return tf.nn.leaky_relu(latents * std + mean, _SLOPE)

    def draw(self, layers: int, seed: int) -> np.ndarray:
        """Independent samples of W, float32 [layers, D]."""
        return self._mapped(layers, "start", seed)

    def chance(self, layers: int, seed: int, image: int) -> np.ndarray:
        """Independent samples of W that no search has anything to do with, float32 [layers, D]."""
        return self._mapped(layers, "chance", seed, image)

    def radius(self, center: np.ndarray) -> float:
        """Mean distance of the samples from a center."""
        return float(np.linalg.norm(self.samples - center, axis=1).mean())

    def threshold(self, layers: int, gamma: float = MMD_GAMMA, power: int = 1) -> float:
        """The squared discrepancy that 95 of 100 sets of independent samples stay below.

        Eq. 5 leaves its epsilon open. Styles that are no farther from the prior than perfect ones
        usually are meet the constraint; no search can be asked for more.

        Args:
          layers: styles of a set.
          gamma: bandwidth.
          power: of the distance, see `losses/mmd.py`.
        """
        if (layers, gamma, power) not in self._thresholds:
            sets = self._mapped(_SETS * layers, "sets", self._seed).reshape(_SETS, 1, layers, -1)
            found = [self.discrepancy(tf.constant(each), gamma, power) for each in sets]
            threshold = float(np.quantile(np.concatenate(found), _SHARE))
            self._thresholds[layers, gamma, power] = threshold
        return self._thresholds[layers, gamma, power]

    def discrepancy(self, styles: tf.Tensor, gamma: float, power: int) -> tf.Tensor:
        """The squared discrepancy of styles from the samples (Eq. 7).

        Args:
          styles: float32 [B, k, D].
          gamma: bandwidth.
          power: of the distance, see `losses/mmd.py`.

        Returns:
          float32 [B].
        """
        if (gamma, power) not in self._terms:  # what no search changes
            self._terms[gamma, power] = mmd.prior_term(self.samples, gamma, power)
        return mmd.squared_mmd(styles, self.samples, self._terms[gamma, power], gamma, power)
