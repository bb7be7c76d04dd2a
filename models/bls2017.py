"""The codec of Balle, Laparra and Simoncelli (ICLR 2017), as ProxIQA trains it.

  image  -> 9x9/4 GDN -> 5x5/2 GDN -> 5x5/2 -> latent [H/16, W/16, M]
  latent -> 5x5*2 IGDN -> 5x5*2 IGDN -> 9x9*4 -> image

Layers, initial values and parameterization follow tensorflow-compression 1.0, the release
that ProxIQA names in Table III; the density is tfc's factorized prior.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from lossylab.models.layers import factorized
from lossylab.models.layers.base import Network
from lossylab.models.layers.conv import Chain, SignalConv
from lossylab.models.layers.gdn import GDN

STRIDE = 16  # pixels of the image per latent sample, each way


@tf.keras.saving.register_keras_serializable("lossylab")
class BLS2017(Network):
    """Analysis, synthesis and prior of the BLS codec."""

    model_id = "bls2017"
    max_pixels = 2**26  # 8192x8192: by estimate, more than 16 GiB beyond it at N = 192
    tile_pixels = 2**21  # that transforms see at once: some 150 bytes a pixel

    def __init__(
        self, filters: int = 192, latent_filters: int | None = None, name: str = "bls2017"
    ):
        """Creates the codec.

        Args:
          filters: N, channels of every hidden layer; 192 in ProxIQA (Sec. IV-A).
          latent_filters: M, those of the latent; None is N, as in ProxIQA.
          name: name of the model.

        Raises:
          ValueError: if `filters` or `latent_filters` is below 1.
        """
        super().__init__(name=name)
        n, m = self.filters, self.latent_filters = factorized.widths(filters, latent_filters)
        with self.scope("analysis"):
            self.analysis_transform = Chain(
                [
                    SignalConv(3, n, 9, 4, name="conv0"),
                    GDN(n, name="gdn0"),
                    SignalConv(n, n, 5, 2, name="conv1"),
                    GDN(n, name="gdn1"),
                    SignalConv(n, m, 5, 2, bias=False, name="conv2"),
                ],
                name="analysis",
            )
        with self.scope("synthesis"):
            self.synthesis_transform = Chain(
                [
                    SignalConv(m, n, 5, 2, up=True, name="conv0"),
                    GDN(n, inverse=True, name="gdn0"),
                    SignalConv(n, n, 5, 2, up=True, name="conv1"),
                    GDN(n, inverse=True, name="gdn1"),
                    SignalConv(n, 3, 9, 4, up=True, name="conv2"),
                ],
                name="synthesis",
            )
        with self.scope("prior"):
            self.prior = factorized.make_prior(m)

    def noise_shapes(self, height: int, width: int) -> tuple[tuple[int, int, int]]:
        """Shape of one sample's noise for a call, for images of this size."""
        return ((-(-height // STRIDE), -(-width // STRIDE), self.latent_filters),)

    def analysis(self, image: tf.Tensor) -> tf.Tensor:
        """Latent [B, ceil(H/16), ceil(W/16), M] of an image [B, H, W, 3] in pixel values 0..255."""
        return self.analysis_transform(image / 255.0)

    def synthesis(self, latent: tf.Tensor) -> tf.Tensor:
        """Image [B, 16h, 16w, 3] in pixel values, unclipped, of a latent [B, h, w, M]."""
        return self.synthesis_transform(latent) * 255.0

    def call(
        self, image: tf.Tensor, training: bool = False, noise: Sequence[tf.Tensor] | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Codes and decodes; in training, additive noise stands for quantization.

        Args:
          image: float32 [B, H, W, 3], pixel values 0..255, H and W multiples of 16.
          training: whether to add noise, uniform in [-.5, .5), instead of rounding the latent.
          noise: that noise, a float32 tensor of the latent's shape in a sequence, added whatever
            `training` is; None draws it.

        Returns:
          The reconstruction, unclipped pixel values, and the rate in bits [B].
        """
        latent = factorized.noisy(
            self.analysis(image), training, None if noise is None else noise[0]
        )
        return self.synthesis(latent), factorized.bits(self.prior, latent)

    def quantized(self, image: tf.Tensor, offset: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Latent as in a file, and the rate in bits [B].

        Args:
          image: float32 [B, H, W, 3], pixel values.
          offset: of the prior, see `factorized.quantization_offset`.
        """
        latent = tf.round(self.analysis(image) - offset) + offset
        return latent, factorized.bits(self.prior, latent)
