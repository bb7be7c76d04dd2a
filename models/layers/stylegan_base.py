"""What StyleGAN's two generators share: weights by their official names, mapping, truncation.

Karras, Laine, Aila, CVPR 2019 (version 1) and Karras et al., CVPR 2020 (version 2). The paper
searches for restored images among what these networks make (Sec. 3.1).
"""

from __future__ import annotations

import abc
import collections
import contextlib
import contextvars
import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from lossylab.models.layers.base import Network
from lossylab.models.layers.stylegan_sizes import Sizes, Weight, mapping_weights

SLOPE = 0.2  # of every leaky ReLU
_NORM_FLOOR = 1e-8  # added to the mean square of z
_served: contextvars.ContextVar[bool] = contextvars.ContextVar("served", default=False)


@contextlib.contextmanager
def served() -> Iterator[None]:
    """For graphs of SavedModels, which keep no gradients of gradients: none of our own inside."""
    token = _served.set(True)
    try:
        yield
    finally:
        _served.reset(token)


class StyleGAN(Network, abc.ABC):
    """A generator: z -> w (`map`), w for each layer -> image (`synthesis`).

    Attributes:
      version: 1 or 2.
      sizes: its `Sizes`.
      resolution: height and width of its images.
      num_layers: L, the number of vectors w that an image is made of.
      latent: width of z.
      width: D, the width of w.
      named_weights: trainable variables by their official names, in official layouts, but for the
        constant, [1, 4, 4, C].
      mean: variable [D], not trainable: the mean of mapped z, which truncation leads to.
      noise: variables [1, H, W, 1], not trainable, in the order of the layers.
    """

    version: int

    def __init__(self, sizes: Sizes, seed: int | None = None, name: str = "stylegan"):
        """Creates the network with its official initial values.

        Args:
          sizes: what it is made of.
          seed: of the initial values; None draws one by TensorFlow's generator.
          name: name of the model.
        """
        super().__init__(name=name)
        self.sizes = sizes
        self.resolution, self.latent, self.width = sizes.resolution, sizes.latent, sizes.width
        self.num_layers = 2 * len(sizes.sides)
        if seed is None:
            seed = tf.random.uniform((), maxval=2**31 - 1, dtype=tf.int32)
        numbers = itertools.count()

        def draw(shape: Sequence[int]) -> tf.Tensor:
            return tf.random.stateless_normal(shape, (seed, next(numbers)))

        with self.scope():
            self.named_weights = {
                key: tf.Variable(weight.mean + weight.std * draw(weight.shape), name=key)
                for key, weight in self.initial(sizes).items()
            }
            self.mean = tf.Variable(tf.zeros(self.width), trainable=False, name="dlatent_avg")
            self.noise = [
                tf.Variable(draw((1, side, side, 1)), trainable=False, name=f"noise{i}")
                for i, side in enumerate(self.noise_sides(sizes))
            ]

    def get_config(self) -> dict:
        """Plain values from which `from_config` makes a generator of these sizes."""
        return {"sizes": self.config, "name": self.name}

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> StyleGAN:
        """A generator of the sizes in `config`, with fresh weights."""
        return cls(**{**config, "sizes": Sizes(**config["sizes"])})

    @property
    def config(self) -> dict:
        """Plain values that `lossylab.models.stylegan.build` makes such a network of."""
        return {**dataclasses.asdict(self.sizes), "channels": list(self.sizes.channels)}

    @property
    def parameters(self) -> int:
        """Number of trainable weights."""
        return sum(variable.shape.num_elements() for variable in self.named_weights.values())

    def map(self, z: tf.Tensor) -> tf.Tensor:
        """The mapping network.

        Args:
          z: float32 [B, latent], normal; only its direction matters.

        Returns:
          w, float32 [B, D], not truncated.
        """
        x = z * tf.math.rsqrt(tf.reduce_mean(z**2, -1, keepdims=True) + _NORM_FLOOR)
        rate, gain = self.sizes.learning_rate, 2.0**0.5
        before, after = (gain, 1.0) if self.version == 1 else (1.0, gain)
        for i in range(self.sizes.depth):
            weight = self.named_weights[f"G_mapping/Dense{i}/weight"]
            x = tf.matmul(x, weight) * (rate * before * weight.shape[0] ** -0.5)
            x = after * tf.nn.leaky_relu(
                x + rate * self.named_weights[f"G_mapping/Dense{i}/bias"], SLOPE
            )
        return x

    def truncate(
        self, w: tf.Tensor, psi: float | tf.Tensor, cutoff: int | None = None
    ) -> tf.Tensor:
        """Moves vectors toward their mean: mean + psi * (w - mean).

        Args:
          w: float32 [B, L, D].
          psi: 1 keeps them, 0 gives the mean.
          cutoff: only the first so many of the L are moved; None for all.
        """
        last = self.num_layers if cutoff is None else cutoff
        factor = tf.where(tf.range(self.num_layers) < last, tf.cast(psi, w.dtype), 1.0)
        return self.mean + factor[:, None] * (w - self.mean)

    def synthesis(self, w: tf.Tensor, noise: Sequence[tf.Tensor] | None = None) -> tf.Tensor:
        """The image of style vectors, not truncated.

        Args:
          w: float32 [B, L, D].
          noise: tensors [1 or B, H, W, 1] used instead of the variables, as many and as large.

        Returns:
          float32 [B, R, R, 3], RGB; 0..255 is the nominal range, not clipped.

        Raises:
          ValueError: if w or the noise has another shape.
        """
        ((_, x),) = collections.deque(self.steps(w, noise), maxlen=1)
        return 127.5 * (x + 1.0)

    def steps(
        self, w: tf.Tensor, noise: Sequence[tf.Tensor] | None = None
    ) -> Iterator[tuple[str, tf.Tensor]]:
        """Names and outputs of the synthesis network's layers, one after another.

        Args and errors as for `synthesis`. The last is the image, nominally in -1..1.
        """
        if w.shape[1:] != (self.num_layers, self.width):
            raise ValueError(f"w must be [B, {self.num_layers}, {self.width}], got {w.shape}")
        noise = self.noise if noise is None else noise
        sides = self.noise_sides(self.sizes)
        if len(noise) != len(sides) or any(
            not n.shape[1:].is_compatible_with((side, side, 1)) for n, side in zip(noise, sides)
        ):
            raise ValueError(
                f"noise must be {len(sides)} tensors [B, H, W, 1] of sides {sides}, "
                f"got {[tuple(n.shape) for n in noise]}"
            )
        return self._steps(w, noise)

    def call(
        self,
        z: tf.Tensor,
        training: bool = False,
        psi: float | tf.Tensor | None = None,
        cutoff: int | None = None,
    ) -> tf.Tensor:
        """The full network, with truncation.

        Args:
          z: float32 [B, latent].
          training: of no effect.
          psi: truncation; None for the network's own.
          cutoff: layers that are truncated; None for the network's own number.

        Returns:
          Images as from `synthesis`.
        """
        del training
        w = tf.repeat(self.map(z)[:, None], self.num_layers, axis=1)
        psi = self.sizes.psi if psi is None else psi
        return self.synthesis(
            self.truncate(w, psi, self.sizes.truncated if cutoff is None else cutoff)
        )

    @classmethod
    def initial(cls, sizes: Sizes) -> dict[str, Weight]:
        """The trainable variables of a network of these sizes, by official name."""
        return {**mapping_weights(sizes), **cls.synthesis_weights(sizes)}

    @classmethod
    def official_shapes(cls, sizes: Sizes) -> dict[str, tuple[int, ...]]:
        """Shapes of all variables, trainable or not, by name, as official networks have them."""
        shapes = {name: weight.shape for name, weight in cls.initial(sizes).items()}
        for i, side in enumerate(cls.noise_sides(sizes)):
            shapes[f"G_synthesis/noise{i}"] = (1, side, side, 1)
        for name, shape in shapes.items():
            if _is_map(name):
                shapes[name] = (shape[0], shape[3], shape[1], shape[2])
        return {**shapes, "dlatent_avg": (sizes.width,)}

    def official(self) -> dict[str, np.ndarray]:
        """Values of all variables by official name, in official layouts."""
        return {k: _channels_first(k, v.numpy()) for k, v in self._official_variables().items()}

    def assign_official(self, arrays: dict[str, np.ndarray]) -> None:
        """Sets all variables; the inverse of `official`.

        Raises:
          KeyError, ValueError: if one is missing or has another shape.
        """
        for name, variable in self._official_variables().items():
            variable.assign(_channels_last(name, arrays[name]))

    def _official_variables(self) -> dict[str, tf.Variable]:
        noise = {f"G_synthesis/noise{i}": variable for i, variable in enumerate(self.noise)}
        return {**self.named_weights, **noise, "dlatent_avg": self.mean}

    @staticmethod
    @abc.abstractmethod
    def synthesis_weights(sizes: Sizes) -> dict[str, Weight]:
        """The synthesis network's trainable variables by official name."""

    @staticmethod
    @abc.abstractmethod
    def noise_sides(sizes: Sizes) -> list[int]:
        """Sides of the noise maps in order."""

    @abc.abstractmethod
    def _steps(self, w: tf.Tensor, noise: Sequence[tf.Tensor]) -> Iterator[tuple[str, tf.Tensor]]:
        """As `steps`, of checked arguments."""


def _is_map(name: str) -> bool:
    """Whether a variable lies as images do: channels first officially, last here."""
    return name.endswith("/const") or name.startswith("G_synthesis/noise")


def _channels_first(name: str, array: np.ndarray) -> np.ndarray:
    return array.transpose(0, 3, 1, 2) if _is_map(name) else array


def _channels_last(name: str, array: np.ndarray) -> np.ndarray:
    return array.transpose(0, 2, 3, 1) if _is_map(name) else array


def filter_separably(x: tf.Tensor, kernel: Sequence[float], pad: int | None = None) -> tf.Tensor:
    """Filters the rows and columns of each channel, zeros outside.

    Args:
      x: float32 [B, H, W, C].
      kernel: weights along each axis, n of them, the same from both ends.
      pad: rows and columns of zeros on each side; None for (n - 1) // 2.

    Returns:
      float32 [B, H', W', C]: each side is n - 1 shorter than the padded one.
    """
    pad = (len(kernel) - 1) // 2 if pad is None else pad

    def filtered(x: tf.Tensor) -> tf.Tensor:
        around = (pad, pad)
        for shape, padding in (((-1, 1), (around, (0, 0))), ((1, -1), ((0, 0), around))):
            line = tf.reshape(tf.constant(kernel, x.dtype), (*shape, 1, 1))
            filters = tf.tile(line, (1, 1, x.shape[-1], 1))
            x = tf.nn.depthwise_conv2d(x, filters, (1, 1, 1, 1), ((0, 0), *padding, (0, 0)))
        return x

    # The adjoint is such a filter, too, and four times as fast as TensorFlow's gradient.
    @tf.custom_gradient
    def with_gradient(x: tf.Tensor) -> tuple:
        return filtered(x), lambda dy: filter_separably(dy, kernel, len(kernel) - 1 - pad)

    return filtered(x) if _served.get() else with_gradient(x)
