"""The networks LPIPS looks through (Zhang et al. 2018): AlexNet, VGG-16, SqueezeNet 1.1.

Layers and names as torchvision has them. Weights come as one NumPy archive a network, with
torchvision's arrays (features.0.weight [out, in, h, w], features.0.bias, ...) and the authors'
weights of channels (lin0.weight, ...); `lossylab import lpips` makes it of the official files.
"""

from __future__ import annotations

import dataclasses
import zlib

import numpy as np
import tensorflow as tf

from lossylab.core.errors import BackboneError
from lossylab.models.backbones import archives
from lossylab.models.layers import precision
from lossylab.models.layers.base import Layer
from lossylab.models.names import LPIPS_NETWORKS as NETWORKS


@dataclasses.dataclass(frozen=True)
class _Conv:
    """A convolution with ReLU; `stride`, `pad` in pixels."""

    name: str
    inputs: int
    outputs: int
    kernel_size: int
    stride: int = 1
    pad: int = 0

    @property
    def convolutions(self):
        return (self,)


@dataclasses.dataclass(frozen=True)
class _Fire:
    """SqueezeNet's unit: a 1x1 convolution, then 1x1 and 3x3 ones beside each other."""

    name: str
    inputs: int
    squeeze: int
    expand: int

    @property
    def convolutions(self):
        return (
            _Conv(f"{self.name}.squeeze", self.inputs, self.squeeze, 1),
            _Conv(f"{self.name}.expand1x1", self.squeeze, self.expand, 1),
            _Conv(f"{self.name}.expand3x3", self.squeeze, self.expand, 3, pad=1),
        )


@dataclasses.dataclass(frozen=True)
class _Pool:
    """Maximum over size x size pixels, every two; `ceil` looks at a last window that sticks out."""

    size: int
    ceil: bool = False
    convolutions = ()


_COMPARED = "compared"  # the features here are


def _vgg16():
    plan, index, inputs = [], 0, 3
    for block, width in enumerate((64, 128, 256, 512, 512)):
        if block:
            plan.append(_Pool(2))
            index += 1
        for _ in range(2 if block < 2 else 3):
            plan.append(_Conv(f"features.{index}", inputs, width, 3, pad=1))
            inputs, index = width, index + 2
        plan.append(_COMPARED)
    return tuple(plan)


_PLANS = {
    "alex": (
        *(_Conv("features.0", 3, 64, 11, stride=4, pad=2), _COMPARED, _Pool(3)),
        *(_Conv("features.3", 64, 192, 5, pad=2), _COMPARED, _Pool(3)),
        *(_Conv("features.6", 192, 384, 3, pad=1), _COMPARED),
        *(_Conv("features.8", 384, 256, 3, pad=1), _COMPARED),
        *(_Conv("features.10", 256, 256, 3, pad=1), _COMPARED),
    ),
    "vgg": _vgg16(),
    "squeeze": (
        *(_Conv("features.0", 3, 64, 3, stride=2), _COMPARED, _Pool(3, ceil=True)),
        *(_Fire("features.3", 64, 16, 64), _Fire("features.4", 128, 16, 64), _COMPARED),
        *(_Pool(3, ceil=True), _Fire("features.6", 128, 32, 128)),
        *(_Fire("features.7", 256, 32, 128), _COMPARED, _Pool(3, ceil=True)),
        *(
            _Fire("features.9", 256, 48, 192),
            _COMPARED,
            _Fire("features.10", 384, 48, 192),
            _COMPARED,
        ),
        *(
            _Fire("features.11", 384, 64, 256),
            _COMPARED,
            _Fire("features.12", 512, 64, 256),
            _COMPARED,
        ),
    ),
}


class LPIPSFeatures(Layer):
    """One of the networks, and LPIPS's weights of its channels; nothing of it is trained.

    Attributes:
      arrays: variables by their names in the archive.
      linear: weights of channels, [C] for each layer that is compared.
    """

    def __init__(self, network: str, weights: str, name: str = "lpips_features"):
        """Loads the weights.

        Args:
          network: 'alex', 'vgg' or 'squeeze'.
          weights: path of the NumPy archive, or 'random'.
          name: name of the layer.

        Raises:
          BackboneError: if the file is missing, or lacks an array or has one of another shape.
          ValueError: for another network.
        """
        super().__init__(name=name)
        if network not in _PLANS:
            raise ValueError(f"network must be one of {', '.join(NETWORKS)}, got '{network}'")
        self._plan = _PLANS[network]
        shapes = array_shapes(network)
        arrays = _random(shapes) if weights == "random" else _read(weights)
        for key, shape in shapes.items():
            if key not in arrays:
                raise BackboneError(f"weights '{weights}' of LPIPS ({network}) lack '{key}'")
            if arrays[key].shape != shape and arrays[key].size != np.prod(shape):
                raise BackboneError(
                    f"weights '{weights}' of LPIPS ({network}): '{key}' is "
                    f"{list(arrays[key].shape)}, expected {list(shape)}"
                )
        with self.scope():
            self.arrays = {
                key: tf.Variable(_ours(arrays[key].reshape(shape)), trainable=False, name=key)
                for key, shape in shapes.items()
            }
        self.linear = [self.arrays[key] for key in shapes if key.startswith("lin")]

    def call(self, image: tf.Tensor) -> list[tf.Tensor]:
        """Features of the compared layers, of normalized RGB [B, H, W, 3]."""
        found, x = [], image
        for layer in self._plan:
            if layer == _COMPARED:
                found.append(x)
            elif isinstance(layer, _Pool):
                x = _pool(x, layer)
            elif isinstance(layer, _Fire):
                squeeze, *expand = layer.convolutions
                x = self._convolve(x, squeeze)
                x = tf.concat([self._convolve(x, conv) for conv in expand], -1)
            else:
                x = self._convolve(x, layer)
        return found

    def _convolve(self, x: tf.Tensor, layer: _Conv) -> tf.Tensor:
        kernel, bias = (self.arrays[f"{layer.name}.{part}"] for part in ("weight", "bias"))
        if layer.pad:
            x = tf.pad(x, ((0, 0), *[(layer.pad, layer.pad)] * 2, (0, 0)))
        return tf.nn.relu(precision.conv2d(x, kernel, layer.stride, "VALID") + bias)


def array_shapes(network: str) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays of a network's archive, by name, in order."""
    shapes, compared, outputs = {}, [], 0
    for layer in _PLANS[network]:
        if layer == _COMPARED:
            compared.append(outputs)
            continue
        for conv in layer.convolutions:
            shapes[f"{conv.name}.weight"] = (
                conv.outputs,
                conv.inputs,
                conv.kernel_size,
                conv.kernel_size,
            )
            shapes[f"{conv.name}.bias"] = (conv.outputs,)
            outputs = conv.outputs
        if isinstance(layer, _Fire):
            outputs = 2 * layer.expand
    return shapes | {f"lin{k}.weight": (width,) for k, width in enumerate(compared)}


def _pool(x: tf.Tensor, layer: _Pool) -> tf.Tensor:
    if layer.ceil:  # values are at least 0 after the ReLU, so zeros change nothing
        rest = [(tf.shape(x)[axis] - layer.size) % 2 for axis in (1, 2)]
        x = tf.pad(x, ((0, 0), (0, rest[0]), (0, rest[1]), (0, 0)))
    return tf.nn.max_pool2d(x, layer.size, 2, "VALID")


def _ours(array: np.ndarray) -> np.ndarray:
    """Kernels as TensorFlow has them: [h, w, in, out]."""
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array


def _random(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """He-normal kernels, each from its layer's name, zero biases, the mean over channels."""
    arrays = {}
    for key, shape in shapes.items():
        if key.startswith("lin"):
            arrays[key] = np.full(shape, 1 / shape[0], np.float32)
        elif len(shape) == 1:
            arrays[key] = np.zeros(shape, np.float32)
        else:
            generator = np.random.default_rng(zlib.crc32(key.removesuffix(".weight").encode()))
            std = (2 / np.prod(shape[1:])) ** 0.5
            arrays[key] = (generator.standard_normal(shape) * std).astype(np.float32)
    return arrays


def _read(path: str) -> dict[str, np.ndarray]:
    try:
        return archives.read(path)
    except ValueError as error:
        raise BackboneError(
            f"weights '{path}' of LPIPS cannot be read: expected 'random' or a NumPy archive that "
            f"`lossylab import lpips` made ({error})"
        ) from error
