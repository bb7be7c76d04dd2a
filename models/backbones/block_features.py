"""First parts of VGGs and ResNet-152 that give one feature vector an 8x8 block, trainable.

Each has `channels` and `receptive_field_radius`. Layers as Keras has them (tf.keras.applications),
under its names, so that its ImageNet weights fit; written out here because the applications build
the whole networks, and because batch normalization with fixed moments folds into the convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import tensorflow as tf

from lossylab.models.backbones.applications import fill
from lossylab.models.backbones.vgg import VGG
from lossylab.models.layers import precision
from lossylab.models.layers.base import Layer

_EPSILON = 1.001e-5  # of Keras's ResNet batch normalization


class _VGGBackbone(VGG):
    """A VGG up to block3_pool: 256 channels (Sec. 3.2), trainable."""

    channels, receptive_field_radius = 256, 32
    network: ClassVar[str]

    def __init__(
        self,
        weights: str = "imagenet",
        preprocess: bool = False,
        means: Sequence[float] | None = None,
        name: str | None = None,
        seed: int = 0,
    ):
        """Loads the network.

        Args:
          weights: 'imagenet', 'random', or the path of a file, see `backbones.vgg`.
          preprocess: feed Keras's preprocessing instead of RGB in 0..1.
          means: of the preprocessing; by default those of the weights.
          name: name of the module; by default the network's.
          seed: of random weights.

        Raises:
          BackboneError: if there are no such weights.
        """
        how = (preprocess, means, True, name, seed)
        super().__init__(self.network, weights, ("block3_pool",), *how)

    def call(self, image: tf.Tensor) -> tf.Tensor:
        """Features [B, H / 8, W / 8, 256] of RGB [B, H, W, 3] in pixel values, multiples of 8."""
        return super().call(image)[0]


@tf.keras.saving.register_keras_serializable("lossylab")
class VGG19Backbone(_VGGBackbone):
    """VGG-19, the paper's."""

    network = "vgg19"


@tf.keras.saving.register_keras_serializable("lossylab")
class VGG16Backbone(_VGGBackbone):
    """VGG-16, which has one convolution less in its third block."""

    network = "vgg16"


class _NormConv(Layer):
    """A convolution with bias and batch normalization by fixed moments, as one convolution."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, name: str = "conv"):
        super().__init__(name=name)
        with self.scope():
            self.kernel = tf.Variable(tf.zeros((size, size, inputs, outputs)), name="kernel")
            self.bias = tf.Variable(tf.zeros(outputs), name="bias")
            self.gamma = tf.Variable(tf.ones(outputs), name="gamma")
            self.beta = tf.Variable(tf.zeros(outputs), name="beta")
            self.mean = tf.Variable(tf.zeros(outputs), trainable=False, name="moving_mean")
            self.variance = tf.Variable(tf.ones(outputs), trainable=False, name="moving_variance")
        self._stride, self._size = stride, size

    def call(self, x: tf.Tensor) -> tf.Tensor:
        scale = self.gamma * tf.math.rsqrt(self.variance + _EPSILON)
        if self._size == 7:  # Keras pads the first layer on both sides
            x = tf.pad(x, ((0, 0), (3, 3), (3, 3), (0, 0)))
        padding = "VALID" if self._size == 7 else "SAME"
        y = precision.conv2d(x, self.kernel * scale, self._stride, padding)
        return tf.nn.bias_add(y, self.beta + (self.bias - self.mean) * scale)

    def arrays(self, name: str) -> dict[str, tuple[tf.Variable, ...]]:
        """Variables by Keras's layer names."""
        norm = (self.gamma, self.beta, self.mean, self.variance)
        return {f"{name}_conv": (self.kernel, self.bias), f"{name}_bn": norm}


class _Bottleneck(Layer):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int, projected: bool, name: str):
        super().__init__(name=name)
        self.shortcut = None
        with self.scope():
            if projected:
                self.shortcut = _NormConv(inputs, 4 * width, 1, stride, name="conv0")
            self.layers = [
                _NormConv(inputs, width, 1, stride, name="conv1"),
                _NormConv(width, width, 3, name="conv2"),
                _NormConv(width, 4 * width, 1, name="conv3"),
            ]

    def call(self, x: tf.Tensor) -> tf.Tensor:
        first, second, third = self.layers
        y = third(tf.nn.relu(second(tf.nn.relu(first(x)))))
        return tf.nn.relu(y + (x if self.shortcut is None else self.shortcut(x)))

    def arrays(self, name: str) -> dict[str, tuple[tf.Variable, ...]]:
        """Variables by Keras's layer names."""
        found = {} if self.shortcut is None else self.shortcut.arrays(f"{name}_0")
        for number, layer in enumerate(self.layers, 1):
            found |= layer.arrays(f"{name}_{number}")
        return found


@tf.keras.saving.register_keras_serializable("lossylab")
class ResNet152Backbone(Layer):
    """ResNet-152 up to a block of its third stage: 512 channels (Sec. 5.2).

    Batch normalization uses the stored moments, in training too; its scales and offsets learn.
    """

    channels = 512
    _BLOCKS = 8  # of the third stage

    def __init__(
        self,
        weights: str = "imagenet",
        preprocess: bool = False,
        block: int = 7,
        name: str = "resnet152",
        seed: int = 0,
    ):
        """Loads the network.

        Args:
          weights: as for `VGG19Backbone`.
          preprocess: likewise.
          block: of the third stage, 1 to 8; the paper tries 1 and 7.
          name: name of the module.
          seed: of random weights.

        Raises:
          BackboneError: if there are no such weights.
          ValueError: if there is no such block.
        """
        if not 1 <= block <= self._BLOCKS:
            raise ValueError(f"block must lie in 1..{self._BLOCKS}, got {block}")
        super().__init__(name=name)
        applications = tf.keras.applications
        self._preprocess = applications.resnet.preprocess_input if preprocess else None
        # Stem and pooling see 5 pixels, each unit of the second stage 4, of the third 8.
        self.receptive_field_radius = -(-(5 + 3 * 4 + 8 * block) // 8) * 8 + 8
        with self.scope():
            self.stem = _NormConv(3, 64, 7, 2, name="conv1")
        blocks, arrays = [], self.stem.arrays("conv1")
        plan = [(64 if i == 1 else 256, 64, 1, f"conv2_block{i}") for i in (1, 2, 3)]
        plan += [
            (256 if i == 1 else 512, 128, 2 if i == 1 else 1, f"conv3_block{i}")
            for i in range(1, block + 1)
        ]
        for inputs, width, stride, label in plan:
            with self.scope():
                blocks.append(_Bottleneck(inputs, width, stride, label.endswith("block1"), label))
            arrays |= blocks[-1].arrays(label)
        self.blocks = blocks
        fill(applications.ResNet152, weights, self.name, arrays, seed=seed)

    def get_config(self) -> dict:
        """The constructor's arguments; a copy begins at random instead of reading a file again."""
        return {**super().get_config(), "weights": "random"}

    def call(self, image: tf.Tensor) -> tf.Tensor:
        """Features [B, H / 8, W / 8, 512] of RGB [B, H, W, 3] in pixel values, multiples of 8."""
        scaled = image / 255.0 if self._preprocess is None else self._preprocess(image)
        x = tf.nn.relu(self.stem(scaled))
        x = tf.nn.max_pool2d(tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), 3, 2, "VALID")
        for block in self.blocks:
            x = block(x)
        return x


BACKBONES = {
    "vgg19": VGG19Backbone,
    "vgg16": VGG16Backbone,
    "resnet152": ResNet152Backbone,
    "resnet152_block1": lambda **options: ResNet152Backbone(block=1, **options),
}
