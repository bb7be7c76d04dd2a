"""Networks trained for other tasks whose features losses and metrics look at.

Weights are given by name: 'imagenet' is Keras's download, a path is a Keras weights file, and
'random' draws them from the layers' names, the same everywhere, for tests and for machines
without a network.
"""

from __future__ import annotations

import collections
import os
import re
import zipfile
import zlib

import numpy as np
import tensorflow as tf


class BackboneError(ValueError):
    """Weights that cannot be had; the message says what to do."""


class VGG19Features(tf.Module):
    """VGG-19 up to its last convolution, block5_conv4 with its ReLU."""

    def __init__(self, weights: str = "imagenet", name: str = "vgg19"):
        """Loads the network.

        Args:
          weights: 'imagenet', 'random', or the path of a Keras weights file without top.
          name: name of the module.

        Raises:
          BackboneError: if there are no such weights.
        """
        super().__init__(name=name)
        self._model = tf.keras.applications.VGG19(include_top=False, weights=None)
        _load(self._model, weights, tf.keras.applications.VGG19, include_top=False)
        layer = self._model.get_layer("block5_conv4")
        self._model = tf.keras.Model(self._model.input, layer.output)
        self._model.trainable = False

    def __call__(self, picture: tf.Tensor) -> tf.Tensor:
        """Features [B, H / 16, W / 16, 512] of RGB [B, H, W, 3] in levels, at least 32x32."""
        return self._model(tf.keras.applications.vgg19.preprocess_input(picture), training=False)


def _load(model: tf.keras.Model, weights: str, application, **options) -> None:
    """Fills a Keras application with weights; raises BackboneError."""
    if weights == "random":
        draw_by_name(model)
        return
    try:
        if weights == "imagenet":
            model.set_weights(application(weights="imagenet", **options).get_weights())
        elif os.path.isfile(weights) or os.path.isfile(f"{weights}.index"):
            model.load_weights(weights)
        else:
            raise BackboneError(
                f"weights '{weights}' of {model.name}: no such file; expected 'imagenet', "
                "'random' or the path of a Keras weights file"
            )
    except BackboneError:
        raise
    except Exception as error:  # Keras raises bare Exception when a download fails
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BackboneError(
            f"weights '{weights}' of {model.name} cannot be loaded: {reason}. Without a network, "
            "download the file elsewhere and give its path, or use 'random'"
        ) from error


def draw_by_name(model: tf.keras.Model) -> None:
    """He-normal kernels, each from a seed made of its layer's name, and zero biases."""
    met = collections.Counter()
    for variable in model.variables:
        # Keras numbers layers without a name through the process: their order counts instead.
        name = re.sub(r"_\d+/", "/", variable.name)
        seed = zlib.crc32(f"{name}{met[name] or ''}".encode())
        met[name] += 1
        shape = variable.shape.as_list()
        if "kernel" in variable.name:
            deviation = (2.0 / tf.reduce_prod(tf.cast(shape[:-1], tf.float32))) ** 0.5
            values = tf.random.stateless_normal(shape, (seed, 0), stddev=deviation)
            variable.assign(values)


class InceptionFeatures(tf.Module):
    """Inception-v3: pooled features and class probabilities."""

    def __init__(self, weights: str = "imagenet", name: str = "inception"):
        """Loads the network; arguments and errors as for `VGG19Features`, with top."""
        super().__init__(name=name)
        application = tf.keras.applications.InceptionV3
        model = application(weights=None)
        _load(model, weights, application)
        outputs = [model.get_layer("avg_pool").output, model.output]
        self._model = tf.keras.Model(model.input, outputs)
        self._model.trainable = False

    def __call__(self, picture: tf.Tensor) -> list[tf.Tensor]:
        """Features [B, 2048] and probabilities [B, 1000] of RGB [B, 299, 299, 3] in levels."""
        scaled = tf.keras.applications.inception_v3.preprocess_input(picture)
        return self._model(scaled, training=False)


class AlexNetFeatures(tf.Module):
    """AlexNet's five convolutions as torchvision has them, and LPIPS's weights of channels.

    Attributes:
      linear: five weights of channels, [C] each.
    """

    # Index in torchvision's `features`, inputs, outputs, taps, stride, padding, pool before.
    _LAYERS = (
        (0, 3, 64, 11, 4, 2, False),
        (3, 64, 192, 5, 1, 2, True),
        (6, 192, 384, 3, 1, 1, True),
        (8, 384, 256, 3, 1, 1, False),
        (10, 256, 256, 3, 1, 1, False),
    )

    def __init__(self, weights: str, name: str = "alexnet"):
        """Loads the weights.

        Args:
          weights: a NumPy archive, or 'random'; see `eval.metrics.lpips`.
          name: name of the module.

        Raises:
          BackboneError: if the file is missing or lacks an array.
        """
        super().__init__(name=name)
        arrays = self._random() if weights == "random" else self._read(weights)
        try:
            self.kernels = [
                tf.Variable(arrays[f"features.{i}.weight"].transpose(2, 3, 1, 0), trainable=False)
                for i, *_ in self._LAYERS
            ]
            self.biases = [
                tf.Variable(arrays[f"features.{i}.bias"], trainable=False) for i, *_ in self._LAYERS
            ]
            self.linear = [
                tf.Variable(arrays[f"lin{k}.weight"].reshape(-1), trainable=False)
                for k in range(len(self._LAYERS))
            ]
        except KeyError as error:
            raise BackboneError(f"weights '{weights}' of LPIPS lack the array {error}") from error

    def __call__(self, picture: tf.Tensor) -> list[tf.Tensor]:
        """The five layers after their ReLUs, of normalised RGB [B, H, W, 3]."""
        found, x = [], picture
        for (_, _, _, _, stride, pad, pooled), kernel, bias in zip(
            self._LAYERS, self.kernels, self.biases
        ):
            if pooled:
                x = tf.nn.max_pool2d(x, 3, 2, "VALID")
            x = tf.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
            x = tf.nn.relu(tf.nn.conv2d(x, kernel, stride, "VALID") + bias)
            found.append(x)
        return found

    @classmethod
    def _random(cls) -> dict[str, np.ndarray]:
        arrays = {}
        for k, (i, inputs, outputs, taps, *_) in enumerate(cls._LAYERS):
            generator = np.random.default_rng(zlib.crc32(f"features.{i}".encode()))
            kernel = generator.standard_normal((outputs, inputs, taps, taps))
            kernel *= (2 / (inputs * taps * taps)) ** 0.5
            arrays[f"features.{i}.weight"] = kernel.astype(np.float32)
            arrays[f"features.{i}.bias"] = np.zeros(outputs, np.float32)
            arrays[f"lin{k}.weight"] = np.full(outputs, 1 / outputs, np.float32)
        return arrays

    @staticmethod
    def _read(path: str) -> dict[str, np.ndarray]:
        try:
            with np.load(path) as file:
                return {name: file[name].astype(np.float32) for name in file.files}
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise BackboneError(
                f"weights '{path}' of LPIPS cannot be read: expected 'random' or a NumPy archive "
                f"({error})"
            ) from error
