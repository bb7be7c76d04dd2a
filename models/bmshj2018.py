"""The scale hyperprior codec of Balle, Minnen, Singh, Hwang and Johnston (ICLR 2018).

  image -> 4 x (5x5/2, GDN but for the last) -> latent y [H/16, W/16, N]
  |y|     -> 3x3, ReLU, 5x5/2, ReLU, 5x5/2     -> hyper-latent z [H/64, W/64, N]
  z       -> 5x5*2, ReLU, 5x5*2, ReLU, 3x3     -> deviation of every sample of y
  y       -> 4 x (5x5*2, IGDN but for the last) -> image

Layers, initial values and parameterisation follow tensorflow-compression 1.2, the release
that ProxIQA names in Table III, with as many filters everywhere ("192 filters at every
layer", Sec. IV-A).
"""

import tensorflow as tf

from lossylab.models.layers import factorized, gaussian
from lossylab.models.layers.conv import Chain, SignalConv
from lossylab.models.layers.gdn import GDN

STRIDE = 16  # pixels of the image per latent sample, each way
HYPER_STRIDE = 4  # latent samples per hyper-latent sample, each way


class BMSHJ2018(tf.Module):
    """Transforms, hyper-transforms and the hyper-latent's prior."""

    model_id = "bmshj2018"
    max_pixels = 2**24  # by estimate, some 16 GiB beyond it at N = 192

    def __init__(self, num_filters: int = 192, name: str = "bmshj2018"):
        """Creates the codec.

        Args:
          num_filters: N = M, channels of every hidden layer and of both latents.
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
                *(SignalConv(3, n, 5, 2), GDN(n)),
                *(SignalConv(n, n, 5, 2), GDN(n)),
                *(SignalConv(n, n, 5, 2), GDN(n)),
                SignalConv(n, n, 5, 2),
            ],
            name="analysis",
        )
        self.synthesis_transform = Chain(
            [
                *(SignalConv(n, n, 5, 2, up=True), GDN(n, inverse=True)),
                *(SignalConv(n, n, 5, 2, up=True), GDN(n, inverse=True)),
                *(SignalConv(n, n, 5, 2, up=True), GDN(n, inverse=True)),
                SignalConv(n, 3, 5, 2, up=True),
            ],
            name="synthesis",
        )
        self.hyper_analysis = Chain(
            [
                *(SignalConv(n, n, 3, 1), tf.nn.relu),
                *(SignalConv(n, n, 5, 2), tf.nn.relu),
                SignalConv(n, n, 5, 2, bias=False),
            ],
            name="hyper_analysis",
        )
        self.hyper_synthesis = Chain(
            [
                *(SignalConv(n, n, 5, 2, up=True, rdft=False), tf.nn.relu),
                *(SignalConv(n, n, 5, 2, up=True, rdft=False), tf.nn.relu),
                SignalConv(n, n, 3, 1, rdft=False),
            ],
            name="hyper_synthesis",
        )
        self.prior = factorized.make_prior(n)

    def noise_shapes(self, height: int, width: int) -> tuple[tuple[int, int, int], ...]:
        """Shapes of one sample's noise for `__call__`, for images of this size."""
        sides = -(-height // STRIDE), -(-width // STRIDE)
        hyper = -(-sides[0] // HYPER_STRIDE), -(-sides[1] // HYPER_STRIDE)
        return (*sides, self.num_filters), (*hyper, self.num_filters)

    def analyze(self, image: tf.Tensor) -> tf.Tensor:
        """Latent [B, ceil(H/16), ceil(W/16), N] of an image [B, H, W, 3] in levels 0..255."""
        return self.analysis_transform(image / 255.0)

    def synthesize(self, latent: tf.Tensor) -> tf.Tensor:
        """Image [B, 16h, 16w, 3] in levels, unclipped, of a latent [B, h, w, N]."""
        return self.synthesis_transform(latent) * 255.0

    def analyze_hyper(self, latent: tf.Tensor) -> tf.Tensor:
        """Hyper-latent [B, ceil(h/4), ceil(w/4), N] of a latent [B, h, w, N]."""
        return self.hyper_analysis(tf.abs(latent))

    def scales(self, hyper: tf.Tensor, latent: tf.Tensor) -> tf.Tensor:
        """Deviations for `latent`, of its shape, not yet bounded from below."""
        height, width = tf.unstack(tf.shape(latent)[1:3])
        return self.hyper_synthesis(hyper)[:, :height, :width]

    def __call__(
        self, image: tf.Tensor, noise: tf.Tensor, hyper_noise: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Training pass: additive noise stands for quantization.

        Args:
          image: float32 [B, H, W, 3], levels 0..255, H and W multiples of 16.
          noise: float32, the latent's shape, uniform in [-.5, .5).
          hyper_noise: likewise, the hyper-latent's shape.

        Returns:
          The reconstruction in levels, unclipped, and the rate in bits [B].
        """
        latent = self.analyze(image)
        hyper = self.analyze_hyper(latent) + hyper_noise
        latent += noise
        rate = gaussian.bits(latent, self.scales(hyper, latent))
        return self.synthesize(latent), rate + factorized.bits(self.prior, hyper)

    def quantized(self, image: tf.Tensor, offset: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Latent as in a file, and the rate in bits [B].

        Args:
          image: float32 [B, H, W, 3], levels.
          offset: of the prior, see `factorized.quantization_offset`.
        """
        latent = self.analyze(image)
        hyper = tf.round(self.analyze_hyper(latent) - offset) + offset
        latent = tf.round(latent)
        rate = gaussian.bits(latent, self.scales(hyper, latent))
        return latent, rate + factorized.bits(self.prior, hyper)
