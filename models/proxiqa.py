"""The ProxIQA network (ProxIQA, Fig. 4): a small CNN that predicts a quality score."""

from __future__ import annotations

import math

import tensorflow as tf

from lossylab.models.layers import precision
from lossylab.models.layers.base import Network

PATCH = 128  # the dense layer fixes the patch size (Fig. 4)


@tf.keras.saving.register_keras_serializable("lossylab")
class ProxIQA(Network):
    """Score of a pair (reference, distorted) of 128x128 patches; 82,897 parameters."""

    def __init__(self, patch: int = PATCH, name: str = "proxiqa"):
        """Creates the network.

        Args:
          patch: height and width of the patches in pixels, a multiple of 8; 128 in the paper.
          name: name of the model.

        Raises:
          ValueError: if `patch` is not a positive multiple of 8.
        """
        super().__init__(name=name)
        if patch < 8 or patch % 8:
            raise ValueError(f"patch must be a positive multiple of 8, got {patch}")
        self.patch = patch
        widths = (6, 16, 32, 64)
        with self.scope():
            self.kernels = [
                tf.Variable(_glorot((5, 5, a, b)), name=f"kernel{i}")
                for i, (a, b) in enumerate(zip(widths, widths[1:]))
            ]
            self.biases = [
                tf.Variable(tf.zeros([b]), name=f"bias{i}") for i, b in enumerate(widths[1:])
            ]
            self.dense = tf.Variable(_glorot(((patch // 8) ** 2 * widths[-1], 1)), name="dense")
            self.dense_bias = tf.Variable(tf.zeros([1]), name="dense_bias")

    def begin_with_differences(self) -> None:
        """First kernels of opposite sign for the two images, and no weight for any feature.

        The score then begins as that of equal images, whatever they show.
        """
        first = self.kernels[0]
        first.assign(tf.concat([first[:, :, :3], -first[:, :, :3]], 2))
        self.dense.assign(tf.zeros_like(self.dense))

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Predicts the scores of patches.

        Args:
          inputs: reference and distorted patches, each float32 [B, patch, patch, 3], pixel values
            0..255; the distorted ones are clipped by the caller, not rounded.
          training: of no effect.

        Returns:
          float32 [B], on the scale of the metric it was trained for (0..100); not clipped.

        Raises:
          ValueError: if the patches have another size than the network.
        """
        del training
        x = tf.concat(inputs, -1) / 255.0
        x.shape.assert_is_compatible_with((None, self.patch, self.patch, 6))
        for kernel, bias in zip(self.kernels, self.biases):
            x = tf.nn.relu(tf.nn.bias_add(precision.conv2d(x, kernel, 1, "SAME"), bias))
            x = tf.nn.max_pool2d(x, 2, 2, "VALID")
        x = tf.reshape(x, (-1, self.dense.shape[0]))
        return tf.squeeze(tf.matmul(x, self.dense) + self.dense_bias, -1)


def _glorot(shape: tuple[int, ...]) -> tf.Tensor:
    """Uniform initial weights of variance 2 / (fan-in + fan-out), TensorFlow 1's default."""
    area = math.prod(shape[:-2])
    limit = math.sqrt(6 / (area * (shape[-2] + shape[-1])))
    return tf.random.uniform(shape, -limit, limit)
