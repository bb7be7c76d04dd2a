"""RankIQA's network: VGG-16 whose last layer gives one score, larger for worse images.

X. Liu, J. van de Weijer, A. D. Bagdanov: "RankIQA: Learning from Rankings for No-reference Image
Quality Assessment", ICCV 2017. As in the authors' code, its input is BGR in pixel values 0..255
of which no mean is subtracted.
"""

from __future__ import annotations

import tensorflow as tf

from lossylab.models.backbones import applications
from lossylab.models.layers import precision
from lossylab.models.layers.base import Layer, Network
from lossylab.models.names import RANKIQA_SHRINK, RANKIQA_SIZES

_BLOCKS = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))  # widths in filters of the first layer
DROPOUT = 0.5  # of the authors' code


@tf.keras.saving.register_keras_serializable("lossylab")
class RankIQA(Network):
    """Scores of images of one size.

    Attributes:
      patch: their height and width in pixels.
      body: all layers but the last.
      last: the last one.
    """

    model_id = "rankiqa"

    def __init__(
        self,
        filters: int = RANKIQA_SIZES["filters"],
        units: int = RANKIQA_SIZES["units"],
        patch: int = RANKIQA_SIZES["patch"],
        weights: str | None = "imagenet",
        dropout: float = DROPOUT,
        name: str = "rankiqa",
    ):
        """Creates the network.

        Args:
          filters: of the first convolution, at most eight times as many later.
          units: of the two hidden dense layers.
          patch: height and width of what it sees, at least 32.
          weights: of all layers but the last: 'imagenet', the path of a Keras weights file of
            VGG-16 with top, or 'random'; None leaves zeros, for `fill` or a checkpoint.
          dropout: fraction of the dense layers' features that are dropped in training.
          name: name of the model.

        Raises:
          ValueError: for sizes below these, or weights that a reduced network cannot take.
          BackboneError: if there are no such weights.
        """
        if filters < 1 or units < 1 or patch < RANKIQA_SHRINK:
            raise ValueError(
                f"filters and units must be at least 1 and patch {RANKIQA_SHRINK}, got {filters}, "
                f"{units} and {patch}"
            )
        sizes = {"filters": filters, "units": units, "patch": patch}
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {dropout}")
        super().__init__(name=name)
        self.patch = patch
        self._misfit = "" if sizes == RANKIQA_SIZES else f"fit {RANKIQA_SIZES} only, got {sizes}"
        with self.scope():
            self.body = _Body(filters, units, patch, dropout, drawn=weights == "random")
            self.last = _Weights((units, 1), units**-0.5, "last")
        if weights not in ("random", None):
            self.fill(weights)

    def fill(self, weights: str) -> None:
        """Sets the weights of all layers but the last.

        Args:
          weights: 'imagenet', or the path of a Keras weights file of VGG-16 with top.

        Raises:
          ValueError: if the network is reduced and cannot take them.
          BackboneError: if there are no such weights.
        """
        if self._misfit:
            raise ValueError(f"weights '{weights}' {self._misfit}: use weights 'random'")
        layers = {layer.label: (layer.kernel, layer.bias) for layer in self.body.layers}
        applications.fill(tf.keras.applications.VGG16, weights, self.name, layers, top=True)

    def get_config(self) -> dict:
        """The constructor's arguments; a copy begins with zeros instead of reading a file again."""
        return {**super().get_config(), "weights": None}

    def call(
        self, image: tf.Tensor, training: bool = False, dropout_seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Scores float32 [B] of crops.

        Args:
          image: the crops, RGB float32 [B, patch, patch, 3] in pixel values.
          training: whether to draw a seed of the dropout if none is given.
          dropout_seed: int [2], what is dropped; switches dropout on.
        """
        if training and dropout_seed is None:
            dropout_seed = tf.random.uniform((2,), maxval=2**31 - 1, dtype=tf.int32)
        features = self.body(image, dropout_seed)
        return tf.nn.bias_add(features @ self.last.kernel, self.last.bias)[:, 0]


class _Weights(Layer):
    """Kernel and bias of one layer."""

    def __init__(self, shape: tuple[int, ...], std: float, label: str):
        super().__init__(name=label)
        self.label = label  # Keras's name
        kernel = tf.random.normal(shape, stddev=std) if std else tf.zeros(shape)
        with self.scope():
            self.kernel = tf.Variable(kernel, name="kernel")
            self.bias = tf.Variable(tf.zeros(shape[-1]), name="bias")


class _Body(Layer):
    """VGG-16 to fc7, with its ReLU."""

    def __init__(self, filters: int, units: int, patch: int, dropout: float, drawn: bool):
        super().__init__(name="body")
        self._dropout = dropout
        layers, inputs = [], 3
        for block, widths in enumerate(_BLOCKS, 1):
            for number, width in enumerate(widths, 1):
                shape = (3, 3, inputs, width * filters)
                label = f"block{block}_conv{number}"
                with self.scope():
                    layers.append(_Weights(shape, drawn * (2 / (9 * inputs)) ** 0.5, label))
                inputs = width * filters
        inputs *= (patch // RANKIQA_SHRINK) ** 2
        for label in ("fc1", "fc2"):
            with self.scope():
                layers.append(_Weights((inputs, units), drawn * (2 / inputs) ** 0.5, label))
            inputs = units
        self.layers = layers

    def call(self, image: tf.Tensor, dropout_seed: tf.Tensor | None) -> tf.Tensor:
        x, layers = image[..., ::-1], iter(self.layers)
        for widths in _BLOCKS:
            for _, layer in zip(widths, layers):
                x = precision.conv2d(x, layer.kernel, 1, "SAME")
                x = tf.nn.relu(tf.nn.bias_add(x, layer.bias))
            x = tf.nn.max_pool2d(x, 2, 2, "VALID")
        x = tf.reshape(x, (-1, x.shape[1] * x.shape[2] * x.shape[3]))
        for number, layer in enumerate(layers):
            x = tf.nn.relu(tf.nn.bias_add(x @ layer.kernel, layer.bias))
            if dropout_seed is not None and self._dropout:
                seed = tf.random.fold_in(dropout_seed, number)
                x = tf.nn.experimental.stateless_dropout(x, self._dropout, seed)
        return x
