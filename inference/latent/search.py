"""Searches a StyleGAN's latent space for images that degrade to given ones.

PULSE (Menon et al. 2020) and the search under an MMD constraint (Han et al., Sec. 3.1, 4.1). Every
image of a batch is searched for by itself. Its result depends on the size of the batch all the
same: sums are taken in another order, and a search makes of that a few pixel values. Gray images
are searched for among the means of the generator's channels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from lossylab.data.color import is_gray
from lossylab.inference.latent import optimizer as spherical
from lossylab.inference.latent.latents import noise_maps
from lossylab.inference.latent.prior import Prior, normal
from lossylab.inference.latent.settings import SMALLEST, Settings
from lossylab.losses import pulse
from lossylab.models.layers.bicubic import downscale
from lossylab.models.layers.stylegan_base import StyleGAN

_TO_DEGREES = 180 / np.pi


@dataclasses.dataclass
class Iterate:
    """An iterate of a batch.

    Attributes:
      images: float32 [B, R, R, 3] in pixel values, not clipped.
      styles: float32 [B, L, D].
      steps: [B], the steps that were made before it.
      losses: by name, [B], also those of weight 0 but for the likelihood; 'total' is their
        weighted sum with errors below epsilon counted as epsilon.
      noise: the maps that are searched for too, float32 [B, H, W, 1], coarsest first.
    """

    images: np.ndarray
    styles: np.ndarray
    steps: np.ndarray
    losses: dict[str, np.ndarray]
    noise: list[np.ndarray]

    def update(self, other: Iterate) -> None:
        """Takes over the images that are better in the other."""
        better = other.losses["total"] < self.losses["total"]
        for mine, new in (
            (self.images, other.images),
            (self.styles, other.styles),
            (self.steps, other.steps),
            *((self.losses[name], other.losses[name]) for name in self.losses),
            *zip(self.noise, other.noise),
        ):
            mine[better] = new[better]

    def copy(self) -> Iterate:
        """An independent copy."""
        losses = {name: values.copy() for name, values in self.losses.items()}
        noise = [each.copy() for each in self.noise]
        return Iterate(self.images.copy(), self.styles.copy(), self.steps.copy(), losses, noise)


class Search(tf.Module):
    """A search for a batch of images."""

    def __init__(
        self,
        generator: StyleGAN,
        prior: Prior,
        settings: Settings,
        given: np.ndarray,
        nll: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None,
    ) -> None:
        """Makes the latents and noise to begin with.

        Args:
          generator: what makes the images.
          prior: its styles.
          settings: of the search.
          given: [B, S, S, 3] in pixel values, the degraded images; S divides the resolution.
          nll: from (given, found image at their size) to bits/dim [B].

        Raises:
          ValueError: if the images do not fit the generator, or a weight has no model.
        """
        super().__init__()
        self._generator, self._prior, self.settings, self._nll = generator, prior, settings, nll
        self._given = tf.constant(given, tf.float32)
        batch, height, width, channels = self._given.shape
        size = generator.resolution
        if height != width or channels != 3 or size % height or height < SMALLEST:
            raise ValueError(
                f"images must be square RGB with a side that divides {size}, from {SMALLEST} on, "
                f"got {given.shape}"
            )
        if settings.nll_weight and nll is None:
            raise ValueError("a weight of the likelihood needs a degradation model")
        self._gray = is_gray(np.asarray(given))[:, None, None, None]
        self._factor = size // height
        self._mean = prior.mean if settings.mean == "sampled" else prior.stored_mean
        self._latents = tf.Variable(tf.repeat(self._first_latents(), batch, 0), name="latents")
        self._noise = self._first_noise(batch)
        trained = [tensor for tensor in self._noise if isinstance(tensor, tf.Variable)]
        self._variables, self._trained = [self._latents, *trained], trained
        centered = settings.sphere == "mean"
        self._descent = spherical.SphericalOptimizer(
            self._variables,
            [None if settings.sphere == "none" else (2,), *((1, 2, 3) for _ in trained)],
            [self._mean if centered else 0.0, *(0.0 for _ in trained)],
            [prior.radius(self._mean) if centered else None, *(None for _ in trained)],
        )
        self._before = self.styles().numpy()

    def _first_latents(self) -> tf.Tensor:
        """[1, L, D], or [1, 1, D] for one in all layers."""
        settings, width = self.settings, self._generator.width
        layers = 1 if settings.tile_latent else self._generator.num_layers
        if settings.space == "z":
            return normal((1, layers, width), "start", settings.seed)
        if settings.mean_init:
            return tf.repeat(tf.constant(self._mean)[None, None], layers, 1)
        return tf.constant(self._prior.draw(layers, settings.seed))[None]

    def _first_noise(self, batch: int) -> list[tf.Tensor | tf.Variable]:
        """PULSE's: the coarsest maps are searched for too, the finest is 0, the rest fixed."""
        settings = self.settings
        maps = noise_maps(self._generator, settings.noise, settings.seed)
        trained = settings.noise_layers if settings.noise == "trainable" else 0
        return [
            tf.Variable(tf.repeat(drawn, batch, 0), name=f"noise{index}")
            if index < min(trained, len(maps) - 1)
            else drawn
            for index, drawn in enumerate(maps)
        ]

    def styles(self) -> tf.Tensor:
        """The styles as they are, [B, L, D]; later steps do not change what is returned."""
        latents = tf.identity(self._latents)
        if self.settings.tile_latent:
            latents = tf.repeat(latents, self._generator.num_layers, 1)
        return self._prior.styles(latents) if self.settings.space == "z" else latents

    def _losses(self, styles: tf.Tensor, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Each loss [B]; those that cost little are measured even with weight 0."""
        settings = self.settings
        small = downscale(images, self._factor) if self._factor > 1 else images
        found = {
            "pixel": pulse.squared_error(self._given, small),
            "geocross": pulse.geocross(styles),
            "mmd": self._prior.discrepancy(styles, settings.gamma, settings.power),
        }
        if settings.nll_weight and self._nll is not None:
            found["nll"] = self._nll(self._given, small)
        counted = {**found, "pixel": tf.maximum(found["pixel"], settings.epsilon)}
        weights = settings.weights
        found["total"] = tf.add_n([weights[name] * value for name, value in counted.items()])
        return found

    @tf.function(autograph=False)
    def _step(
        self, rate: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor], list[tf.Tensor]]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._variables)
            styles, noise = self.styles(), [tf.identity(each) for each in self._trained]
            images = self._generator.synthesis(styles, self._noise)
            if self._gray.any():
                gray = tf.repeat(tf.reduce_mean(images, 3, keepdims=True), 3, 3)
                images = tf.where(self._gray, gray, images)
            losses = self._losses(styles, images)
            total = tf.reduce_sum(losses["total"])
        self._descent.apply(tape.gradient(total, self._variables), rate)
        return images, styles, losses, noise

    def run(self, on_step: Callable[[Iterate, Iterate], None] | None = None) -> Result:
        """All steps.

        Args:
          on_step: called after each with the iterate and the best so far.
        """
        settings, history = self.settings, []
        last: Iterate | None = None
        best: Iterate | None = None
        for step in range(settings.steps):
            rate = settings.learning_rate * spherical.multiplier(
                settings.schedule, step, settings.steps
            )
            images, styles, losses, noise = self._step(tf.constant(rate, tf.float32))
            losses = {name: value.numpy() for name, value in losses.items()}
            if not all(np.isfinite(value).all() for value in losses.values()):
                raise FloatingPointError(f"step {step}: a loss is not finite: {losses}")
            steps = np.full(len(self._given), step)
            maps = [each.numpy() for each in noise]
            last = Iterate(images.numpy(), styles.numpy(), steps, losses, maps)
            history.append({**losses, **self._geometry(last.styles)})
            best = best or last.copy()
            best.update(last)
            if on_step is not None:
                on_step(last, best)
        if last is None or best is None:
            raise ValueError("a search takes at least one step")
        names = history[0]
        return Result(last, best, {n: np.stack([h[n] for h in history]) for n in names})

    def _geometry(self, styles: np.ndarray) -> dict[str, np.ndarray]:
        """Mean norm of the styles, and their angle to those of the beginning in degrees."""
        norms = np.linalg.norm(styles, axis=2)
        before = np.linalg.norm(self._before, axis=2)
        cosines = np.sum(styles * self._before, 2) / np.maximum(norms * before, 1e-12)
        angles = np.arccos(np.clip(cosines, -1, 1)) * _TO_DEGREES
        return {"norm": norms.mean(1), "angle": angles.mean(1)}


@dataclasses.dataclass(frozen=True)
class Result:
    """What a search found.

    Attributes:
      last: the last iterate, the paper's result.
      best: that with the smallest total loss, for each image.
      history: losses, norms of the styles and angles to the first ones, [steps, B].
    """

    last: Iterate
    best: Iterate
    history: dict[str, np.ndarray]
