"""What is converted of each kind of exports: functions as their signatures, for images of any size.

  codec         analysis(image) -> latent, quantized_latent; hyper_analysis(latent) -> hyper_latent;
                synthesis(quantized_latent, height, width) -> reconstruction
  restorer      restore(image) -> restored
  distorter     distort(image [, noise]) -> distorted
  jpeg_encoder  encode(image) -> coefficients, tables; decode(coefficients, tables, height, width)
                -> image
  scorer        score(crops) -> scores
  degradation   nll(degraded, condition) -> bits
  generator     generate(latents, psi) -> images

Latents are float32 [h, w, N]; all else is as the modules of `inference/export/` say. Images go in
at once, not in tiles, and other runtimes do not check what they are given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from lossylab.inference.export.base import class_of, to_uint8

Function = Any  # of TensorFlow, with an input signature

KEPT = {
    "codec": (
        "compress and decompress stay with the export: the range coder and the exact tables that "
        "encoder and decoder must share are operations of tensorflow-compression"
    ),
    "degradation": (
        "drawing images stays with the export: it evaluates the network a wavefront of pixels at "
        "a time"
    ),
}
_CONVERTED = {
    "restorer": ("restore",),
    "distorter": ("distort",),
    "jpeg_encoder": ("encode", "decode"),
    "scorer": ("score",),
    "degradation": ("nll",),
    "generator": ("generate",),
}


def functions(network: Any, kind: str) -> Mapping[str, Function]:
    """The functions of a network that can be converted, by name; all in float32.

    Args:
      network: of an export, see `export.network_file`.
      kind: of that export.
    """
    if kind == "codec":
        return _transforms(network)
    served = class_of(kind).serve(network).functions
    return {name: served[name] for name in _CONVERTED[kind]}


def _transforms(network: Any) -> Mapping[str, Function]:
    """The transforms of a codec, of which kernels and GDN parameters are constants."""
    # Imported here: TensorFlow Probability takes half as long to load as TensorFlow.
    from lossylab.inference.export.served_codec import frozen
    from lossylab.models.layers.factorized import quantization_offset

    codec = frozen(network)
    image = tf.TensorSpec((None, None, 3), tf.uint8, name="image")
    latents = (None, None, codec.latent_filters)
    latent = tf.TensorSpec(latents, tf.float32, name="latent")
    quantized = tf.TensorSpec(latents, tf.float32, name="quantized_latent")
    height, width = (tf.TensorSpec((), tf.int32, name=name) for name in ("height", "width"))

    hyperprior = hasattr(codec, "hyper_analysis")
    # The hyperprior's latent has a density whose middle is 0.
    offset = np.float32(0) if hyperprior else quantization_offset(codec.prior).numpy()

    @tf.function(autograph=False, input_signature=[image])
    def analysis(image: tf.Tensor) -> dict[str, tf.Tensor]:
        latent = codec.analysis(tf.cast(image[None], tf.float32))[0]
        return {"latent": latent, "quantized_latent": tf.round(latent - offset) + offset}

    @tf.function(autograph=False, input_signature=[latent])
    def hyper_analysis(latent: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"hyper_latent": codec.hyper_analysis(latent[None])[0]}

    @tf.function(autograph=False, input_signature=[quantized, height, width])
    def synthesis(
        quantized_latent: tf.Tensor, height: tf.Tensor, width: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        # Cropped before the batch is taken off: tf2onnx moves no transposition past both at once.
        image = codec.synthesis(quantized_latent[None])[:, :height, :width]
        return {"reconstruction": to_uint8(image)[0]}

    found = {"analysis": analysis, "synthesis": synthesis}
    return {**found, "hyper_analysis": hyper_analysis} if hyperprior else found
