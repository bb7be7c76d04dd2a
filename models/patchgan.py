"""PatchGAN (Isola et al. 2017): tells true from made images patch by patch."""

from __future__ import annotations

import tensorflow as tf

from lossylab.models.unet import norm

_TAPS = 4
_LAYERS = ((1, 2), (2, 2), (4, 2), (8, 1))  # width in filters, stride; then one score a patch
_SLOPE = 0.2  # of LeakyReLU
SMALLEST = 32  # pixels: smaller images leave no patch


class PatchGAN(tf.Module):
    """Conditional discriminator with receptive fields of 70x70 pixels."""

    model_id = "patchgan"

    def __init__(self, filters: int = 64, residual_gain: float = 0.0, name: str = "discriminator"):
        """Creates the network.

        Args:
          filters: of the first layer, at most 8 times as many later.
          residual_gain: 0 sees the two images; else the pristine one and so many times the
            difference. That is a linear change of the first layer's input, with which faint
            distortions are noticed early in training.
          name: name of the module.
        """
        super().__init__(name=name)
        self._gain = residual_gain
        # What a level of the second image changes in what is seen.
        self.scale = (residual_gain or 1.0) / 127.5
        self.kernels, self.norms, inputs = [], [], 6
        for index, (factor, _) in enumerate((*_LAYERS, (0, 1))):
            outputs = factor * filters or 1
            deviation = (2.0 / (1.0 + _SLOPE**2) / (_TAPS * _TAPS * inputs)) ** 0.5
            shape = (_TAPS, _TAPS, inputs, outputs)
            kernel = tf.random.normal(shape, stddev=deviation)
            self.kernels.append(tf.Variable(kernel, name=f"kernel{index}"))
            if 0 < index < len(_LAYERS):
                self.norms.append(norm(outputs))
            inputs = outputs
        self.first_bias = tf.Variable(tf.zeros(filters), name="first_bias")
        self.last_bias = tf.Variable(tf.zeros(1), name="last_bias")

    def __call__(
        self, pristine: tf.Tensor, distorted: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """Scores of patches: positive means true.

        Args:
          pristine: float32 [B, H, W, 3] in levels, sides multiples of 8 from 32.
          distorted: likewise, true or made.
          training: whether to normalize by the batch and update the moving moments.

        Returns:
          float32 [B, H / 8 - 2, W / 8 - 2, 1]: 30x30 at 256x256.
        """
        x = self.seen(pristine, distorted)
        strides = [stride for _, stride in _LAYERS]
        for index, stride in enumerate(strides):
            x = _convolve(x, self.kernels[index], stride)
            if index:
                x = self.norms[index - 1](x, training=training)
            else:
                x = tf.nn.bias_add(x, self.first_bias)
            x = tf.nn.leaky_relu(x, _SLOPE)
        return tf.nn.bias_add(_convolve(x, self.kernels[-1], 1), self.last_bias)

    def seen(self, pristine: tf.Tensor, distorted: tf.Tensor) -> tf.Tensor:
        """The input [B, H, W, 6] of the first layer: one image, the other or the difference."""
        pristine, distorted = pristine / 127.5 - 1.0, distorted / 127.5 - 1.0
        second = self._gain * (distorted - pristine) if self._gain else distorted
        return tf.concat([pristine, second], -1)


def _convolve(x: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    x = tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return tf.nn.conv2d(x, kernel, stride, "VALID")
