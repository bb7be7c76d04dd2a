"""VGG-16 and VGG-19 (Simonyan, Zisserman 2015) without top: features of any of their layers.

Layers have Keras's names, block1_conv1 to block5_conv4. Weights are given by name: 'imagenet' is
Keras's own file, 'random' draws them from the layers' names, a path is a Keras weights file (.h5)
or a NumPy archive (.npz) of arrays block1_conv1/kernel [3, 3, inputs, outputs], block1_conv1/bias
[outputs] and so on.

A VGG-16 that learned to find edges (HED: Xie, Tu, ICCV 2015; from ImageNet's weights) is known by
its SHA-256: it is called by its name, and has its own means.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import tensorflow as tf

from lossylab.core.digest import file_digest
from lossylab.models.backbones.applications import fill
from lossylab.models.layers import precision
from lossylab.models.layers.base import Layer

# Channels of the convolutions of each block, and how what is odd is pooled: HED keeps the rest.
_BLOCKS = {
    "vgg16": ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3),
    "vgg19": ((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,) * 4),
}
_POOLING = {"vgg16": "SAME", "vgg19": "VALID"}
_TITLES = {"vgg16": "VGG-16", "vgg19": "VGG-19"}
_MEANS = (103.939, 116.779, 123.68)  # of B, G, R in ImageNet, as Keras has them
_HED = "16050000e3654a28651e4226fce30b7160b46ebfb4c0d30a95e9f1101a58991c"
_HED_MEANS = (104.00699, 116.66877, 122.67892)
NETWORKS = tuple(_BLOCKS)


def last_conv(network: str, block: int = 5) -> str:
    """The last convolution of a block 1..5, such as block5_conv4 of VGG-19."""
    return f"block{block}_conv{len(_BLOCKS[network][block - 1])}"


def label(network: str, weights: str) -> str:
    """What a reader calls a network with these weights, such as 'VGG-16 (HED)'."""
    return f"{_TITLES[network]} ({_source(weights)})"


def _source(weights: str) -> str:
    if weights in ("imagenet", "random") or not os.path.isfile(weights):
        return {"imagenet": "ImageNet", "random": "random weights"}.get(weights, "unknown weights")
    digest = file_digest(weights)
    return "HED" if digest == _HED else f"weights {digest[:16]}"


@tf.keras.saving.register_keras_serializable("lossylab")
class VGG(Layer):
    """Features of some layers of a network, each after its ReLU.

    Attributes:
      layers: their names.
      kernels: variables of the convolutions up to the last of them.
      biases: likewise.
    """

    def __init__(
        self,
        network: str = "vgg19",
        weights: str = "imagenet",
        layers: Sequence[str] = (),
        preprocess: bool = True,
        means: Sequence[float] | None = None,
        trainable: bool = False,
        name: str | None = None,
        seed: int = 0,
    ):
        """Loads the network.

        Args:
          network: 'vgg16' or 'vgg19'.
          weights: 'imagenet', 'random', or the path of a file, see the module.
          layers: names of Keras's layers, pools too (block3_pool); by default the last convolution.
          preprocess: whether images become BGR minus the means; else RGB in 0..1.
          means: of B, G and R in pixel values; by default those of the weights.
          trainable: whether the weights learn.
          name: of the layer; by default the network's.
          seed: of random weights.

        Raises:
          BackboneError: if there are no such weights.
          ValueError: for another network or layer.
        """
        super().__init__(name=name or network)
        if network not in _BLOCKS:
            raise ValueError(f"network must be one of {', '.join(_BLOCKS)}, got '{network}'")
        self.layers = tuple(layers) or (last_conv(network),)
        self._pooling, self._preprocess = _POOLING[network], preprocess
        self._plan = _plan(network, self.layers)
        self.kernels, self.biases, arrays, inputs = [], [], {}, 3
        for layer, width in self._plan:
            if not width:
                continue
            with self.scope(), tf.name_scope(layer):
                kernel = tf.zeros((3, 3, inputs, width))
                self.kernels.append(tf.Variable(kernel, trainable, name="kernel"))
                self.biases.append(tf.Variable(tf.zeros(width), trainable, name="bias"))
            arrays[layer] = (self.kernels[-1], self.biases[-1])
            inputs = width
        others = {layer for layer, width in _plan(network) if width}
        fill(
            getattr(tf.keras.applications, network.upper()),
            weights,
            self.name,
            arrays,
            others,
            seed=seed,
        )
        self._means = tuple(means or (_HED_MEANS if _source(weights) == "HED" else _MEANS))

    def get_config(self) -> dict:
        """The constructor's arguments; a copy begins at random instead of reading a file again."""
        return {**super().get_config(), "weights": "random", "means": list(self._means)}

    def call(self, image: tf.Tensor) -> list[tf.Tensor]:
        """Features [B, h, w, C] of each of `layers`, of RGB [B, H, W, 3] in pixel values.

        Block n has h = H / 2^(n - 1), rounded up by VGG-16 and down by VGG-19.
        """
        x = image[..., ::-1] - self._means if self._preprocess else image / 255.0
        found, convolutions = {}, iter(zip(self.kernels, self.biases))
        for layer, width in self._plan:
            if width:
                kernel, bias = next(convolutions)
                x = precision.bias_add(precision.conv2d(x, kernel, 1, "SAME"), bias)
                x = precision.behind_cast(tf.nn.relu, x)
            else:
                x = precision.behind_cast(lambda y: tf.nn.max_pool2d(y, 2, 2, self._pooling), x)
            found[layer] = x
        return [found[layer] for layer in self.layers]


def _plan(network: str, layers: Iterable[str] = ()) -> list[tuple[str, int]]:
    """Names and channels, 0 of pools, of all layers, or of those up to the last that is named."""
    plan = []
    for block, widths in enumerate(_BLOCKS[network], 1):
        plan += [(f"block{block}_conv{i}", width) for i, width in enumerate(widths, 1)]
        plan += [(f"block{block}_pool", 0)]
    names = [name for name, _ in plan]
    strange = [layer for layer in layers if layer not in names]
    if strange:
        raise ValueError(f"{network} has no layer {', '.join(strange)}, only {', '.join(names)}")
    return plan[: 1 + max(map(names.index, layers), default=len(plan))]
