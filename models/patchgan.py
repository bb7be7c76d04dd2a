"""PatchGAN (Isola et al. 2017): tells real from generated images patch by patch."""

from __future__ import annotations

import tensorflow as tf

from lossylab.models.layers import precision
from lossylab.models.layers.base import BatchNorm, Network

_KERNEL_SIZE = 4
_LAYERS = ((1, 2), (2, 2), (4, 2), (8, 1))  # width in filters, stride; then one score a patch
_SLOPE = 0.2  # of LeakyReLU
SMALLEST = 32  # pixels: smaller images leave no patch


@tf.keras.saving.register_keras_serializable("lossylab")
class PatchGAN(Network):
    """Conditional discriminator with receptive fields of 70x70 pixels."""

    model_id = "patchgan"

    def __init__(self, filters: int = 64, residual_gain: float = 0.0, name: str = "discriminator"):
        """Creates the network.

        Args:
          filters: of the first layer, at most 8 times as many later.
          residual_gain: 0 sees the two images; else the reference and so many times the
            difference. That is a linear change of the first layer's input, with which faint
            distortions are noticed early in training.
          name: name of the model.
        """
        super().__init__(name=name)
        self._gain = residual_gain
        # What a pixel value more in the second image changes in what is seen.
        self.scale = (residual_gain or 1.0) / 127.5
        kernels, norms, inputs = [], [], 6
        for index, (factor, _) in enumerate((*_LAYERS, (0, 1))):
            outputs = factor * filters or 1
            std = (2.0 / (1.0 + _SLOPE**2) / (_KERNEL_SIZE * _KERNEL_SIZE * inputs)) ** 0.5
            shape = (_KERNEL_SIZE, _KERNEL_SIZE, inputs, outputs)
            kernel = tf.random.normal(shape, stddev=std)
            with self.scope():
                kernels.append(tf.Variable(kernel, name=f"kernel{index}"))
                if 0 < index < len(_LAYERS):
                    norms.append(BatchNorm(outputs, name=f"norm{index}"))
            inputs = outputs
        self.kernels, self.norms = kernels, norms
        with self.scope():
            self.first_bias = tf.Variable(tf.zeros(filters), name="first_bias")
            self.last_bias = tf.Variable(tf.zeros(1), name="last_bias")

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Scores of patches: positive means real.

        Args:
          inputs: reference and distorted images, each float32 [B, H, W, 3] in pixel values,
            height and width multiples of 8 from 32; the distorted ones are real or generated.
          training: whether to normalize by the batch and update the moving moments.

        Returns:
          float32 [B, H / 8 - 2, W / 8 - 2, 1]: 30x30 at 256x256.
        """
        x = self.seen(*inputs)
        strides = [stride for _, stride in _LAYERS]
        for index, stride in enumerate(strides):
            x = _convolve(x, self.kernels[index], stride)
            if index:
                x = self.norms[index - 1](x, training=training)
            else:
                x = tf.nn.bias_add(x, self.first_bias)
            x = tf.nn.leaky_relu(x, _SLOPE)
        return tf.nn.bias_add(_convolve(x, self.kernels[-1], 1), self.last_bias)

    def seen(self, reference: tf.Tensor, distorted: tf.Tensor) -> tf.Tensor:
        """The input [B, H, W, 6] of the first layer: one image, the other or the difference."""
        reference, distorted = reference / 127.5 - 1.0, distorted / 127.5 - 1.0
        second = self._gain * (distorted - reference) if self._gain else distorted
        return tf.concat([reference, second], -1)


def _convolve(x: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    x = tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return precision.conv2d(x, kernel, stride, "VALID")
