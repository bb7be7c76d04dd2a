"""Exported degradation models: writing and loading.

Loading needs TensorFlow, but no lossylab:

  import tensorflow as tf
  model = tf.saved_model.load("runs/jpeg5/export").signatures
  bits = model["nll"](degraded=jpeg, condition=image)["bits"]  # float32 [B, H, W, 3] in levels
"""

from __future__ import annotations

import functools
import os

import tensorflow as tf

from lossylab.core.errors import ExportError
from lossylab.data.scaled_pairs import DegradedOptions
from lossylab.inference.export import base as saved_model
from lossylab.inference.export.served_degradation import SIGNATURES, ServedDegradation
from lossylab.losses.pixelcnn import bits_per_dim
from lossylab.models.pixelcnn import ConditionalPixelCNN


class Degradation(saved_model.Loaded):
    """A loaded export: how probable degraded images are, given good ones."""

    def __init__(self, path: str):
        """Loads an export; raises ExportError if `path` is no degradation model's."""
        super().__init__(path, SIGNATURES, "degradation model")

    def nll(self, degraded: tf.Tensor, condition: tf.Tensor) -> tf.Tensor:
        """Negative log-likelihood of degraded images; gradients pass to the condition.

        Args:
          degraded: uint8 or float [B, H, W, 3], RGB in whole levels.
          condition: the good images, the same shape, any levels.

        Returns:
          float32 [B], bits for each number of an image.

        Raises:
          ValueError: if the shapes differ or are no images'.
        """
        shapes = [tf.TensorShape(side.shape) for side in (degraded, condition)]
        images = tf.TensorShape((None, None, None, 3))
        if not (images.is_compatible_with(shapes[0]) and shapes[0].is_compatible_with(shapes[1])):
            raise ValueError(
                "expected degraded images and conditions of one shape [B, H, W, 3], got "
                f"{shapes[0]} and {shapes[1]}"
            )
        sides = [tf.cast(side, tf.float32) for side in (degraded, condition)]
        return self._functions["nll"](degraded=sides[0], condition=sides[1])["bits"]

    @functools.cached_property
    def network(self) -> ConditionalPixelCNN:
        """The network itself, for the samplers."""
        network = ConditionalPixelCNN(**self.info["network"])
        stored = tf.train.Checkpoint(network=network)
        try:
            status = stored.read(os.path.join(self.path, "variables", "variables"))
            status.assert_existing_objects_matched().expect_partial()
        except (AssertionError, IndexError, ValueError, tf.errors.OpError) as error:
            reason = str(error).splitlines()[0]
            raise ExportError(f"--model={self.path}: damaged weights: {reason}") from error
        return network


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
            f"--model={model.path}: the export does not say {', '.join(missing)} of its training"
        )
    return DegradedOptions(
        *(options["degradation"], options["severity"], options["factor"]), grid=options["grid"]
    )


def save_degradation(network: ConditionalPixelCNN, path: str, options: dict) -> None:
    """Writes a network as a SavedModel, beside first, then renamed.

    Args:
      network: the network, with a condition.
      path: folder to write; an export that is there is replaced.
      options: how it was trained, JSON values.

    Raises:
      ValueError: if the network has no condition.
      OutputError: if the folder cannot be written.
    """
    if network.encoder is None:
        raise ValueError("a degradation model needs a condition (condition_filters above 0)")
    family = network.options["family"]
    bits = functools.partial(bits_per_dim, family=family)
    served = ServedDegradation(network, bits, options)
    saved_model.write(served, served.signatures(), path)
