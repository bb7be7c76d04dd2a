"""Networks trained for other tasks whose features losses and metrics look at.

Weights are given by name: 'imagenet' is Keras's download, a path is a Keras weights file, and
'random' draws them from the layers' names, the same everywhere, for tests and for machines
without a network.
"""

from __future__ import annotations

import collections
import os
import re
import zlib

import tensorflow as tf

from lossylab.core.errors import BackboneError
from lossylab.models.layers import precision
from lossylab.models.layers.base import Layer

# Random residual networks would double their variance with every block: the last scale of each is
# small, as trained ones are.
_LAST_NORM, _LAST_GAMMA = "_3_bn", 0.2


class VGG19Features(Layer):
    """VGG-19 up to its last convolution, block5_conv4 with its ReLU."""

    def __init__(self, weights: str = "imagenet", name: str = "vgg19"):
        """Loads the network.

        Args:
          weights: 'imagenet', 'random', or the path of a Keras weights file without top.
          name: name of the layer.

        Raises:
          BackboneError: if there are no such weights.
        """
        super().__init__(name=name)
        model = _make(tf.keras.applications.VGG19, weights, self.name, include_top=False)
        self._model = tf.keras.Model(model.input, model.get_layer("block5_conv4").output)
        self._model.trainable = False

    def call(self, image: tf.Tensor) -> tf.Tensor:
        """Features [B, H / 16, W / 16, 512] of RGB [B, H, W, 3] in pixel values, at least 32x32."""
        x = tf.keras.applications.vgg19.preprocess_input(image)
        for layer in self._model.layers[1:]:
            x = _relu_conv(layer, x) if isinstance(layer, tf.keras.layers.Conv2D) else layer(x)
        return x


def _relu_conv(layer: tf.keras.layers.Conv2D, x: tf.Tensor) -> tf.Tensor:
    """A layer of VGG in the policy's precision; Keras's would keep that of its construction."""
    y = precision.bias_add(precision.conv2d(x, layer.kernel, 1, "SAME"), layer.bias)
    return precision.behind_cast(tf.nn.relu, y)


def _make(application, weights: str, name: str, **options) -> tf.keras.Model:
    """A Keras application with weights; raises BackboneError."""
    files = (weights, f"{weights}.index")
    if weights not in ("imagenet", "random") and not any(map(os.path.isfile, files)):
        raise BackboneError(
            f"weights '{weights}' of {name}: no such file; expected 'imagenet', 'random' or the "
            "path of a Keras weights file"
        )
    try:
        with precision.policy("float32"):  # Keras's layers keep the policy of their construction
            if weights == "imagenet":
                return application(weights="imagenet", **options)
            model = application(weights=None, **options)
        if weights == "random":
            draw_by_name(model)
        else:
            model.load_weights(weights)
        return model
    except Exception as error:  # Keras raises bare Exception when a download fails
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BackboneError(
            f"weights '{weights}' of {name} cannot be loaded: {reason}. Without a network, "
            "download the file elsewhere and give its path, or use 'random'"
        ) from error


def fill(application, weights: str, name: str, layers: dict[str, tuple[tf.Variable, ...]]) -> None:
    """Fills the variables of a network written out here with those of a Keras application.

    Args:
      application: from tf.keras.applications.
      weights: 'imagenet', 'random', or the path of a Keras weights file without top.
      name: of the network, for messages.
      layers: variables by the names of Keras's layers, in Keras's order.

    Raises:
      BackboneError: if there are no such weights.
    """
    if weights == "random":
        for layer, (kernel, *_) in layers.items():
            if kernel.shape.rank == 4:
                kernel.assign(_he_normal(kernel.shape.as_list(), f"{layer}/kernel:0"))
            elif layer.endswith(_LAST_NORM):
                kernel.assign(tf.fill(kernel.shape, _LAST_GAMMA))
        return
    model = _make(application, weights, name, include_top=False)
    for layer, variables in layers.items():
        for variable, value in zip(variables, model.get_layer(layer).get_weights()):
            variable.assign(value)


def draw_by_name(model: tf.keras.Model) -> None:
    """He-normal kernels, each from a seed made of its layer's name, and zero biases."""
    met = collections.Counter()
    for variable in model.variables:
        # Keras numbers layers without a name through the process: their order counts instead.
        name = re.sub(r"_\d+/", "/", variable.name)
        text = f"{name}{met[name] or ''}"
        met[name] += 1
        shape = variable.shape.as_list()
        if "kernel" in variable.name:
            variable.assign(_he_normal(shape, text))


def _he_normal(shape: list[int], seed: str) -> tf.Tensor:
    std = (2.0 / tf.reduce_prod(tf.cast(shape[:-1], tf.float32))) ** 0.5
    return tf.random.stateless_normal(shape, (zlib.crc32(seed.encode()), 0), stddev=std)


class InceptionFeatures(Layer):
    """Inception-v3: pooled features and class probabilities."""

    def __init__(self, weights: str = "imagenet", name: str = "inception"):
        """Loads the network; arguments and errors as for `VGG19Features`, with top."""
        super().__init__(name=name)
        model = _make(tf.keras.applications.InceptionV3, weights, self.name)
        outputs = [model.get_layer("avg_pool").output, model.output]
        self._model = tf.keras.Model(model.input, outputs)
        self._model.trainable = False

    def call(self, image: tf.Tensor) -> list[tf.Tensor]:
        """Features [B, 2048] and probabilities [B, 1000] of RGB pixel values [B, 299, 299, 3]."""
        scaled = tf.keras.applications.inception_v3.preprocess_input(image)
        return self._model(scaled, training=False)
