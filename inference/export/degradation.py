"""Exported degradation models: how probable degraded images are, given clean ones.

For pixel values 0..255, float32 [B, H, W, 3]:

  nll(degraded, condition)           -> bits, float32 [B]: for each number of an image
  parameters(degraded, condition)    -> parameters, float32 [B, H, W, 10 mixtures]

Gradients pass through the loaded functions, to the condition above all.
"""

from __future__ import annotations

import functools
import math
import os
from typing import Any

import numpy as np
import tensorflow as tf

from lossylab.core.errors import ExportError
from lossylab.data.scaled_pairs import DegradedOptions
from lossylab.inference.export.base import Export, Served
from lossylab.inference.export.sampler import draw_uniforms, sample_wavefront
from lossylab.losses.pixelcnn import bits_per_dim
from lossylab.models.pixelcnn import ConditionalPixelCNN

_OLD_NAMES = {"channels": "filters"}  # of the network's options, in exports of version 0.1.0


class Degradation(Export):
    """A loaded export: likelihoods of degraded images, and degraded images drawn by them."""

    kind = "degradation"
    signatures = ("nll", "parameters")

    @classmethod
    def serve(cls, network: ConditionalPixelCNN) -> Served:
        """The likelihood and its parameters; raises ValueError if there is no condition."""
        if network.encoder is None:
            raise ValueError("a degradation model needs a condition (condition_filters above 0)")
        family = network.options["family"]
        spec = [
            tf.TensorSpec((None, None, None, 3), tf.float32, name=name)
            for name in ("degraded", "condition")
        ]

        @tf.function(autograph=False, input_signature=spec)
        def nll(degraded: tf.Tensor, condition: tf.Tensor) -> dict[str, tf.Tensor]:
            degraded = _pixel_values(degraded, condition)
            return {"bits": bits_per_dim(degraded, network(degraded, condition), family=family)}

        @tf.function(autograph=False, input_signature=spec)
        def parameters(degraded: tf.Tensor, condition: tf.Tensor) -> dict[str, tf.Tensor]:
            degraded = _pixel_values(degraded, condition)
            return {"parameters": network(degraded, condition)}

        functions = {"nll": nll, "parameters": parameters}
        return Served(network, functions, {"network": network.options})

    def nll(self, degraded: tf.Tensor, condition: tf.Tensor) -> tf.Tensor:
        """Negative log-likelihood of degraded images; gradients pass to the condition.

        Args:
          degraded: uint8 or float [B, H, W, 3], RGB in whole pixel values.
          condition: the clean images, the same shape, any pixel values.

        Returns:
          float32 [B], bits for each number of an image.

        Raises:
          ValueError: if the shapes differ or are no images'.
        """
        shapes = [tf.TensorShape(each.shape) for each in (degraded, condition)]
        images = tf.TensorShape((None, None, None, 3))
        if not (images.is_compatible_with(shapes[0]) and shapes[0].is_compatible_with(shapes[1])):
            raise ValueError(
                "expected degraded images and conditions of one shape [B, H, W, 3], got "
                f"{shapes[0]} and {shapes[1]}"
            )
        degraded, condition = (tf.cast(each, tf.float32) for each in (degraded, condition))
        return self._only("nll", degraded=degraded, condition=condition)

    def log_prob(self, degraded: tf.Tensor, condition: tf.Tensor) -> tf.Tensor:
        """Natural logarithm of the images' probabilities, float32 [B]; otherwise as `nll`."""
        count = tf.cast(tf.reduce_prod(tf.shape(degraded)[1:]), tf.float32)
        return -math.log(2) * count * self.nll(degraded, condition)

    def sample(self, condition: np.ndarray, seed: int = 0, temperature: float = 1.0) -> np.ndarray:
        """Draws degraded images pixel by pixel: seconds for 64x64 pixels.

        Args:
          condition: the clean images, [B, H, W, 3] in pixel values.
          seed: of the draw.
          temperature: below 1 draws likelier images than the model's, see `sampler.draw`.

        Returns:
          uint8 of the same shape.
        """
        mixtures = self._network.options["mixtures"]
        batch, height, width = condition.shape[:3]
        uniforms = draw_uniforms(seed, batch, height, width, mixtures)
        return sample_wavefront(self._network, condition, uniforms, temperature=temperature)

    def network(self) -> ConditionalPixelCNN:
        """The network itself, for the samplers; see `Export.network`."""
        return self._network

    @functools.cached_property
    def _network(self) -> ConditionalPixelCNN:
        saved: dict[str, Any] = self.card["network"]
        config = {_OLD_NAMES.get(name, name): value for name, value in saved.items()}
        network = ConditionalPixelCNN(**config)
        stored = tf.train.Checkpoint(network=network)
        try:
            status = stored.read(os.path.join(self.path, "variables", "variables"))
            status.assert_existing_objects_matched().expect_partial()
        except (AssertionError, IndexError, ValueError, tf.errors.OpError) as error:
            reason = str(error).splitlines()[0]
            raise ExportError(f"{self.path}: damaged weights: {reason}") from error
        return network


def _pixel_values(degraded: tf.Tensor, condition: tf.Tensor) -> tf.Tensor:
    """The degraded images; an InvalidArgumentError if they are none of the condition's shape."""
    alike = tf.debugging.assert_equal(
        tf.shape(degraded), tf.shape(condition), "degraded and condition have other shapes"
    )
    whole = tf.reduce_all(tf.logical_and(tf.abs(degraded - 127.5) <= 127.5, degraded % 1 == 0))
    legal = tf.debugging.Assert(whole, ["degraded: whole pixel values in 0..255 are expected"])
    with tf.control_dependencies([each for each in (alike, legal) if each is not None]):
        return tf.identity(degraded)


def degraded_options(model: Degradation) -> DegradedOptions:
    """What a model has learned, from the options it was exported with.

    Raises:
      ExportError: if the export does not say it.
    """
    options = model.options
    names = ("degradation", "severity", "factor", "grid")
    missing = [name for name in names if name not in options]
    if missing:
        raise ExportError(
            f"{model.path}: the export does not say {', '.join(missing)} of its training"
        )
    return DegradedOptions(
        options["degradation"], options["severity"], options["factor"], grid=options["grid"]
    )
