"""The scale hyperprior codec of Balle, Minnen, Singh, Hwang and Johnston (ICLR 2018).

  image   -> 4 x (5x5/2, GDN but for the last) -> latent y [H/16, W/16, M]
  |y|     -> 3x3, ReLU, 5x5/2, ReLU, 5x5/2     -> hyper-latent z [H/64, W/64, N]
  z       -> 5x5*2, ReLU, 5x5*2, ReLU, 3x3     -> standard deviation of every sample of y
  y       -> 4 x (5x5*2, IGDN but for the last) -> image

Layers, initial values and parameterization follow tensorflow-compression 1.2, the release
that ProxIQA names in Table III, by default with as many filters everywhere ("192 filters at
every layer", Sec. IV-A).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import tensorflow as tf

from lossylab.models.layers import factorized, gaussian
from lossylab.models.layers.base import Network
from lossylab.models.layers.conv import Chain, SignalConv
from lossylab.models.layers.gdn import GDN

STRIDE = 16  # pixels of the image per latent sample, each way
HYPER_STRIDE = 4  # latent samples per hyper-latent sample, each way


@tf.keras.saving.register_keras_serializable("lossylab")
class BMSHJ2018(Network):
    """Transforms, hyper-transforms and the hyper-latent's prior."""

    model_id = "bmshj2018"
    max_pixels = 2**24  # by estimate, some 16 GiB beyond it at N = 192
    tile_pixels = 2**19  # that transforms see at once: up to 1 KiB a pixel

    def __init__(
        self, filters: int = 192, latent_filters: int | None = None, name: str = "bmshj2018"
    ):
        """Creates the codec.

        Args:
          filters: N, channels of every hidden layer and of the hyper-latent.
          latent_filters: M, those of the latent; None is N, as in ProxIQA.
          name: name of the model.

        Raises:
          ValueError: if `filters` or `latent_filters` is below 1.
        """
        super().__init__(name=name)
        n, m = self.filters, self.latent_filters = factorized.widths(filters, latent_filters)
        with self.scope("analysis"):
            self.analysis_transform = _transform([3, n, n, n, m], up=False, name="analysis")
        with self.scope("synthesis"):
            self.synthesis_transform = _transform([m, n, n, n, 3], up=True, name="synthesis")
        with self.scope("hyper_analysis"):
            self.hyper_analysis_transform = Chain(
                [
                    SignalConv(m, n, 3, 1, name="conv0"),
                    tf.nn.relu,
                    SignalConv(n, n, 5, 2, name="conv1"),
                    tf.nn.relu,
                    SignalConv(n, n, 5, 2, bias=False, name="conv2"),
                ],
                name="hyper_analysis",
            )
        with self.scope("hyper_synthesis"):
            self.hyper_synthesis_transform = Chain(
                [
                    SignalConv(n, n, 5, 2, up=True, rdft=False, name="conv0"),
                    tf.nn.relu,
                    SignalConv(n, n, 5, 2, up=True, rdft=False, name="conv1"),
                    tf.nn.relu,
                    SignalConv(n, m, 3, 1, rdft=False, name="conv2"),
                ],
                name="hyper_synthesis",
            )
        with self.scope("prior"):
            self.prior = factorized.make_prior(n)

    def noise_shapes(self, height: int, width: int) -> tuple[tuple[int, int, int], ...]:
        """Shapes of one sample's noise for a call, for images of this size."""
        sides = -(-height // STRIDE), -(-width // STRIDE)
        hyper = -(-sides[0] // HYPER_STRIDE), -(-sides[1] // HYPER_STRIDE)
        return (*sides, self.latent_filters), (*hyper, self.filters)

    def analysis(self, image: tf.Tensor) -> tf.Tensor:
        """Latent [B, ceil(H/16), ceil(W/16), M] of an image [B, H, W, 3] in pixel values 0..255."""
        return self.analysis_transform(image / 255.0)

    def synthesis(self, latent: tf.Tensor) -> tf.Tensor:
        """Image [B, 16h, 16w, 3] in pixel values, unclipped, of a latent [B, h, w, M]."""
        return self.synthesis_transform(latent) * 255.0

    def hyper_analysis(self, latent: tf.Tensor) -> tf.Tensor:
        """Hyper-latent [B, ceil(h/4), ceil(w/4), N] of a latent [B, h, w, M]."""
        return self.hyper_analysis_transform(tf.abs(latent))

    def scales(self, hyper: tf.Tensor, latent: tf.Tensor) -> tf.Tensor:
        """Standard deviations for `latent`, of its shape, not yet bounded from below."""
        height, width = tf.unstack(tf.shape(latent)[1:3])
        return self.hyper_synthesis_transform(hyper)[:, :height, :width]

    def call(
        self, image: tf.Tensor, training: bool = False, noise: Sequence[tf.Tensor] | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Codes and decodes; in training, additive noise stands for quantization.

        Args:
          image: float32 [B, H, W, 3], pixel values 0..255, H and W multiples of 16.
          training: whether to add noise, uniform in [-.5, .5), instead of rounding the latents.
          noise: that of the latent and that of the hyper-latent, float32 tensors of their shapes,
            added whatever `training` is; None draws it.

        Returns:
          The reconstruction, unclipped pixel values, and the rate in bits [B].
        """
        noise = (None, None) if noise is None else noise
        latent = self.analysis(image)
        hyper = factorized.noisy(self.hyper_analysis(latent), training, noise[1])
        latent = factorized.noisy(latent, training, noise[0])
        rate = gaussian.bits(latent, self.scales(hyper, latent))
        return self.synthesis(latent), rate + factorized.bits(self.prior, hyper)

    def quantized(self, image: tf.Tensor, offset: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Latent as in a file, and the rate in bits [B].

        Args:
          image: float32 [B, H, W, 3], pixel values.
          offset: of the prior, see `factorized.quantization_offset`.
        """
        latent = self.analysis(image)
        hyper = tf.round(self.hyper_analysis(latent) - offset) + offset
        latent = tf.round(latent)
        rate = gaussian.bits(latent, self.scales(hyper, latent))
        return latent, rate + factorized.bits(self.prior, hyper)


def _transform(channels: Sequence[int], up: bool, name: str) -> Chain:
    """Convolutions with (inverse) GDN between them, from or to an image."""
    layers = []
    for i, (before, after) in enumerate(itertools.pairwise(channels)):
        if i:
            layers.append(GDN(before, inverse=up, name=f"gdn{i - 1}"))
        layers.append(SignalConv(before, after, 5, 2, up=up, name=f"conv{i}"))
    return Chain(layers, name)
