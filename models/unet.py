"""The residual U-Net of the distortion GAN (Sec. II-A): 7 layers down, 7 up."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from lossylab.models.layers import precision
from lossylab.models.layers.base import BatchNorm, Layer, Network
from lossylab.models.layers.blocks import SMALL, pad_to_multiple
from lossylab.models.names import UPSAMPLINGS

KERNEL_SIZE = 4
_WIDTHS = (1, 2, 4, 8, 8, 8, 8)  # times the filters of the first layer
MULTIPLE = 2 ** len(_WIDTHS)  # pixels: the sides of what the network sees
# Pixels on a side that one depends on: 7 strided convolutions see 127 before and 254 behind, and
# what is two of their samples away, of 128 pixels each, comes up again.
RECEPTIVE_FIELD_RADIUS = 2 * MULTIPLE + 254
_SLOPE = 0.2  # of LeakyReLU
# Taps of the deepest kernels that patches of 128 pixels meet, which leave those one place. The
# others begin at 0: of such patches they would stay what they began as, and whole images meet them.
# Larger patches teach them.
_MIDDLE, _DOUBLED = (0, 1, 1, 0), (1, 1, 1, 0)
_SEED = (0, 0)  # of the noise where none is given
# Pixels that are doubled and convolved with a kernel of 4 are, in even and odd rows, convolved with
# one of 3 before: some of the 4 weights meet the same pixel.
_PHASES = np.array(
    [
        [[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]],
        [[0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]],
    ],
    np.float32,
)
_FEW = 2**17  # kernels: with more, making those of the phases takes longer than they save


class _Down(Layer):
    """A strided convolution, batch normalization, LeakyReLU."""

    def __init__(self, inputs: int, outputs: int, name: str):
        super().__init__(name=name)
        with self.scope():
            self.kernel = tf.Variable(_initial(inputs, outputs), name="kernel")
            self.norm = BatchNorm(outputs)

    def call(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        y = precision.conv2d(x, self.kernel, 2, "SAME")  # pads a pixel on each side
        return tf.nn.leaky_relu(self.norm(y, training=training), _SLOPE)


class _Up(Layer):
    """Twice the size, then a convolution; batch normalization and LeakyReLU but in the last."""

    def __init__(self, inputs: int, outputs: int, last: bool, upsampling: str, name: str):
        super().__init__(name=name)
        kernel = _initial(inputs, outputs) * (SMALL**0.5 if last else 1.0)
        if upsampling == "transposed":
            kernel = tf.transpose(kernel, (0, 1, 3, 2))
        with self.scope():
            self.kernel = tf.Variable(kernel, name="kernel")
            self.bias = tf.Variable(tf.zeros(outputs), name="bias") if last else None
            self.norm = None if last else BatchNorm(outputs)
        self._transposed = upsampling == "transposed"
        self._phased = inputs * outputs <= _FEW

    def call(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        if self._transposed:
            batch, height, width, _ = tf.unstack(tf.shape(x))
            shape = (batch, 2 * height, 2 * width, self.kernel.shape[2])
            y = precision.conv2d_transpose(x, self.kernel, shape, 2, "SAME")
        elif self._phased:
            y = tf.nn.depth_to_space(precision.conv2d(x, self._kernel_of_phases(), 1, "SAME"), 2)
        else:
            twice = tf.repeat(tf.repeat(x, 2, 1), 2, 2)
            y = precision.conv2d(twice, self.kernel, 1, "SAME")
        if self.norm is None:
            return tf.nn.bias_add(y, self.bias)
        return tf.nn.leaky_relu(self.norm(y, training=training), _SLOPE)

    def _kernel_of_phases(self) -> tf.Tensor:
        """For the four places of a doubled pixel, [3, 3, inputs, 4 * outputs]."""
        kernel = tf.einsum("pyi,qxj,ijab->yxapqb", _PHASES, _PHASES, self.kernel)
        return tf.reshape(kernel, (3, 3, kernel.shape[2], -1))


@tf.keras.saving.register_keras_serializable("lossylab")
class ResidualUNet(Network):
    """Generator: what it makes of an image is added to the image."""

    model_id = "residual_unet"

    def __init__(
        self,
        filters: int = 64,
        upsampling: str = "nearest",
        noise_channels: int = 0,
        name: str = "generator",
    ):
        """Creates the network.

        Args:
          filters: of the first layer; the others have 2, 4 and four times 8 as many (assumed).
          upsampling: 'nearest' and a convolution, or 'transposed' convolutions.
          noise_channels: of Gaussian noise that is seen beside the image; the paper's has none.
          name: name of the model.

        Raises:
          ValueError: if there are no filters, or for another kind of up-sampling.
        """
        super().__init__(name=name)
        if filters < 1 or noise_channels < 0:
            raise ValueError(
                f"filters must be at least 1, got {filters}, noise_channels at least 0, got "
                f"{noise_channels}"
            )
        if upsampling not in UPSAMPLINGS:
            raise ValueError(
                f"upsampling must be one of {', '.join(UPSAMPLINGS)}, got '{upsampling}'"
            )
        self.noise_channels = noise_channels
        widths = [filters * factor for factor in _WIDTHS]
        with self.scope():
            self.down = [
                _Down(inputs, outputs, f"down{i}")
                for i, (inputs, outputs) in enumerate(zip([3 + noise_channels, *widths], widths))
            ]
        _keep(self.down[-1].kernel, _MIDDLE)
        # Each but the first sees the skip beside what comes from below.
        above = [*widths[-2::-1], 3]
        inputs = [widths[-1], *(2 * width for width in widths[-2::-1])]
        with self.scope():
            self.up = [
                _Up(a, b, i == len(above) - 1, upsampling, f"up{i}")
                for i, (a, b) in enumerate(zip(inputs, above))
            ]
        _keep(self.up[0].kernel, _DOUBLED if upsampling == "nearest" else _MIDDLE)

    def call(
        self, image: tf.Tensor, training: bool = False, noise: tf.Tensor | None = None
    ) -> tf.Tensor:
        """The distorted image, not clipped.

        Args:
          image: float32 [B, H, W, 3], RGB in pixel values; any size: the last row and column are
            repeated up to a multiple of 128.
          training: whether to normalize by the batch and update the moving moments.
          noise: float32 [B, H, W, noise_channels], of variance 1; if None, the draw of one seed.
        """
        height, width = tf.unstack(tf.shape(image)[1:3])
        padded = pad_to_multiple(image, MULTIPLE)
        x, skips = padded / 127.5 - 1.0, []
        if self.noise_channels:
            given = self.draw(image, _SEED) if noise is None else noise
            x = tf.concat([x, pad_to_multiple(given, MULTIPLE)], -1)
        for layer in self.down:
            x = layer(x, training)
            skips.append(x)
        for layer, skip in zip(self.up, [None, *skips[-2::-1]]):
            x = layer(x if skip is None else tf.concat([x, skip], -1), training)
        distorted = (padded + 127.5 * x)[:, :height, :width]
        return tf.ensure_shape(distorted, image.shape)

    def draw(self, image: tf.Tensor, seed: tf.Tensor | tuple[int, int]) -> tf.Tensor:
        """Noise for images [B, H, W, C], float32 [B, H, W, noise_channels], of a seed, int [2]."""
        shape = tf.concat([tf.shape(image)[:3], (self.noise_channels,)], 0)
        drawn = tf.random.stateless_normal(shape, seed)
        return tf.ensure_shape(drawn, (*image.shape[:3], self.noise_channels))


def _initial(inputs: int, outputs: int) -> tf.Tensor:
    """He-normal for LeakyReLU."""
    std = (2.0 / (1.0 + _SLOPE**2) / (KERNEL_SIZE * KERNEL_SIZE * inputs)) ** 0.5
    return tf.random.normal((KERNEL_SIZE, KERNEL_SIZE, inputs, outputs), stddev=std)


def _keep(kernel: tf.Variable, taps: tuple[int, ...]) -> None:
    """Sets all rows and columns of a kernel to 0 but these."""
    kept = np.outer(taps, taps)[..., None, None]
    kernel.assign(kernel * kept.astype(np.float32))
