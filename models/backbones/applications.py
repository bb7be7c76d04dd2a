"""Networks trained for other tasks whose features losses and metrics look at.

Weights are given by name: 'imagenet' is Keras's own file, see `core.downloads`; a path is a Keras
weights file, and 'random' draws them from the layers' names, the same everywhere, for tests and for
machines without a network. VGG's are in `vgg`.
"""

from __future__ import annotations

import collections
import os
import re
import zlib
from collections.abc import Collection

import tensorflow as tf

from lossylab.core import downloads
from lossylab.core.errors import BackboneError
from lossylab.models.backbones import archives
from lossylab.models.layers import precision
from lossylab.models.layers.base import Layer

# Random residual networks would double their variance with every block: the last scale of each is
# small, as trained ones are.
_LAST_NORM, _LAST_GAMMA = "_3_bn", 0.2


def _make(application, weights: str, name: str, **options) -> tf.keras.Model:
    """A Keras application with weights; raises BackboneError."""
    keras_name = application.__name__.lower()
    kept = require_weights(keras_name, weights, name, options.get("include_top", True))
    try:
        with precision.policy("float32"):  # Keras's layers keep the policy of their construction
            if weights == "imagenet" and downloads.are_allowed():
                return application(weights="imagenet", **options)
            model = application(weights=None, **options)
        if weights == "random":
            draw_by_name(model)
        else:
            model.load_weights(kept or weights)
        return model
    except Exception as error:  # Keras raises bare Exception when a download fails
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BackboneError(
            f"weights '{weights}' of {name} cannot be loaded: {reason}. Without a network, "
            "download the file elsewhere and give its path, or use 'random'"
        ) from error


def require_weights(network: str, weights: str, name: str, top: bool = False) -> str:
    """Raises BackboneError if weights of a Keras application are not there; reads none.

    Args:
      network: name of the application in small letters, such as vgg16.
      weights: see the module.
      name: of the network, for messages.
      top: whether Keras's weights have the dense layers, too.

    Returns:
      The file in which Keras keeps 'imagenet', or ''.
    """
    _require_file(weights, name)
    if weights != "imagenet":
        return ""
    network = network.replace("inceptionv3", "inception_v3")
    tail = "" if top else "_notop"
    return downloads.require_kept(f"{network}_weights_tf_dim_ordering_tf_kernels{tail}.h5", name)


def _require_file(weights: str, name: str) -> None:
    """Raises BackboneError if weights are neither a word nor a file."""
    files = (weights, f"{weights}.index")
    if weights not in ("imagenet", "random") and not any(map(os.path.isfile, files)):
        raise BackboneError(
            f"weights '{weights}' of {name}: no such file; expected 'imagenet', 'random' or the "
            "path of a Keras weights file"
        )


def fill(
    application,
    weights: str,
    name: str,
    layers: dict[str, tuple[tf.Variable, ...]],
    others: Collection[str] = (),
    top: bool = False,
    seed: int = 0,
) -> None:
    """Fills the variables of a network written out here with those of a Keras application.

    Args:
      application: from tf.keras.applications.
      weights: 'imagenet', 'random', the path of a Keras weights file, or of an .npz
        archive of LAYER/kernel and LAYER/bias.
      name: of the network, for messages.
      layers: variables by the names of Keras's layers, in Keras's order.
      others: names of further layers that an archive may have.
      top: whether Keras's weights have the dense layers, too.
      seed: of random weights.

    Raises:
      BackboneError: if there are no such weights.
    """
    if weights == "random":
        for layer, (kernel, *_) in layers.items():
            if kernel.shape.rank == 4:
                kernel.assign(_he_normal(kernel.shape.as_list(), f"{layer}/kernel:0", seed))
            elif layer.endswith(_LAST_NORM):
                kernel.assign(tf.fill(kernel.shape, _LAST_GAMMA))
        return
    if weights.endswith(".npz"):
        _fill_from_archive(weights, name, layers, others)
        return
    model = _make(application, weights, name, include_top=top)
    for layer, variables in layers.items():
        for variable, value in zip(variables, model.get_layer(layer).get_weights()):
            variable.assign(value)


def _fill_from_archive(
    path: str, name: str, layers: dict[str, tuple[tf.Variable, ...]], others: Collection[str]
) -> None:
    wanted = {
        f"{layer}/{variable.name.rpartition('/')[2].partition(':')[0]}": variable
        for layer, variables in layers.items()
        for variable in variables
    }
    _require_file(path, name)
    try:
        found = archives.read(path)
        shapes = {key: variable.shape.as_list() for key, variable in wanted.items()}
        archives.require_arrays(found, shapes, "its arrays")
        strange = {key.partition("/")[0] for key in found} - {*layers, *others}
        if others and strange:
            raise ValueError(f"{name} has no layer {min(strange)}")
    except ValueError as error:
        raise BackboneError(f"weights '{path}' of {name} cannot be loaded: {error}") from error
    for key, variable in wanted.items():
        variable.assign(found[key])


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


def _he_normal(shape: list[int], name: str, seed: int = 0) -> tf.Tensor:
    std = (2.0 / tf.reduce_prod(tf.cast(shape[:-1], tf.float32))) ** 0.5
    return tf.random.stateless_normal(shape, (zlib.crc32(name.encode()), seed), stddev=std)


class InceptionFeatures(Layer):
    """Inception-v3: pooled features and class probabilities."""

    def __init__(self, weights: str = "imagenet", name: str = "inception"):
        """Loads the network; from 'imagenet', 'random' or a Keras weights file with top."""
        super().__init__(name=name)
        model = _make(tf.keras.applications.InceptionV3, weights, self.name)
        outputs = [model.get_layer("avg_pool").output, model.output]
        self._model = tf.keras.Model(model.input, outputs)
        self._model.trainable = False

    def call(self, image: tf.Tensor) -> list[tf.Tensor]:
        """Features [B, 2048] and probabilities [B, 1000] of RGB pixel values [B, 299, 299, 3]."""
        scaled = tf.keras.applications.inception_v3.preprocess_input(image)
        return self._model(scaled, training=False)
