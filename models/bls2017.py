"""The codec of Balle, Laparra and Simoncelli (ICLR 2017), as ProxIQA trains it.

  image -> 9x9/4 GDN -> 5x5/2 GDN -> 5x5/2 -> latent [H/16, W/16, N]
  latent  -> 5x5*2 IGDN -> 5x5*2 IGDN -> 9x9*4 -> image

Layers, initial values and parameterisation follow tensorflow-compression 1.0, the release
that ProxIQA names in Table III; the density is tfc's factorised prior.
"""

import tensorflow as tf

from lossylab.models.layers import factorized
from lossylab.models.layers.conv import Chain, SignalConv
from lossylab.models.layers.gdn import GDN

STRIDE = 16  # pixels of the image per latent sample, each way


class BLS2017(tf.Module):
    """Analysis, synthesis and prior of the BLS codec."""

    model_id = "bls2017"
    max_pixels = 2**26  # 8192x8192: by estimate, more than 16 GiB beyond it at N = 192

    def __init__(self, num_filters: int = 192, name: str = "bls2017"):
        """Creates the codec.

        Args:
          num_filters: N, channels of every hidden layer and of the latent; 192 in ProxIQA
            (Sec. IV-A).
          name: name of the module.

        Raises:
          ValueError: if `num_filters` is below 1.
        """
        super().__init__(name=name)
        if num_filters < 1:
            raise ValueError(f"num_filters must be at least 1, got {num_filters}")
        n = self.num_filters = num_filters
        self.analysis_transform = Chain(
            [
                SignalConv(3, n, 9, 4),
                GDN(n),
                SignalConv(n, n, 5, 2),
                GDN(n),
                SignalConv(n, n, 5, 2, bias=False),
            ],
            name="analysis",
        )
        self.synthesis_transform = Chain(
            [
                SignalConv(n, n, 5, 2, up=True),
                GDN(n, inverse=True),
                SignalConv(n, n, 5, 2, up=True),
                GDN(n, inverse=True),
                SignalConv(n, 3, 9, 4, up=True),
            ],
            name="synthesis",
        )
        self.prior = factorized.make_prior(n)

    def noise_shapes(self, height: int, width: int) -> tuple[tuple[int, int, int]]:
        """Shape of one sample's noise for `__call__`, for images of this size."""
        return ((-(-height // STRIDE), -(-width // STRIDE), self.num_filters),)

    def analyze(self, image: tf.Tensor) -> tf.Tensor:
        """Latent [B, ceil(H/16), ceil(W/16), N] of an image [B, H, W, 3] in levels 0..255."""
        return self.analysis_transform(image / 255.0)

    def synthesize(self, latent: tf.Tensor) -> tf.Tensor:
        """Image [B, 16h, 16w, 3] in levels, unclipped, of a latent [B, h, w, N]."""
        return self.synthesis_transform(latent) * 255.0

    def __call__(self, image: tf.Tensor, noise: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Training pass: additive noise stands for quantization.

        Args:
          image: float32 [B, H, W, 3], levels 0..255, H and W multiples of 16.
          noise: float32, latent's shape, uniform in [-.5, .5).

        Returns:
          The reconstruction in levels, unclipped, and the rate in bits [B].
        """
        latent = self.analyze(image) + noise
        return self.synthesize(latent), factorized.bits(self.prior, latent)

    def quantized(self, image: tf.Tensor, offset: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Latent as in a file, and the rate in bits [B].

        Args:
          image: float32 [B, H, W, 3], levels.
          offset: of the prior, see `factorized.quantization_offset`.
        """
        latent = tf.round(self.analyze(image) - offset) + offset
        return latent, factorized.bits(self.prior, latent)
