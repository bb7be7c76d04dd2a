"""How well a codec in training codes whole images, quantized as in a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from lossylab.data.decode import read_image
from lossylab.eval.metrics import vmaf
from lossylab.models.bls2017 import BLS2017
from lossylab.models.bmshj2018 import BMSHJ2018
from lossylab.models.layers import factorized

Trained = BLS2017 | BMSHJ2018


def codec_quality(codec: Trained, paths: Sequence[str]) -> dict[str, float]:
    """Means over images: estimated bits per pixel and all metrics that the images' sizes allow."""
    evaluate = evaluator(codec)
    rows = []
    for path in paths:
        image = read_image(path)[None]
        decoded, bits = evaluate(image)
        names = vmaf.reported_for(*image.shape[1:3])
        scores = vmaf.measure(image, tf.saturate_cast(decoded, tf.uint8).numpy(), names)
        row = {name: float(values[0]) for name, values in scores.items()}
        rows.append({"bpp_estimated": float(bits[0]) / image[0, ..., 0].size, **row})
    names = ("bpp_estimated", *vmaf.REPORTED)
    values = {name: [row[name] for row in rows if name in row] for name in names}
    return {name: float(np.mean(column)) for name, column in values.items() if column}


def evaluator(codec: Trained) -> Callable[[np.ndarray], tuple[tf.Tensor, tf.Tensor]]:
    """Function from uint8 [1, H, W, 3] to the decoded image and the rate in bits [1]."""
    offset = factorized.quantization_offset(codec.prior)

    @tf.function(autograph=False, input_signature=[tf.TensorSpec((1, None, None, 3), tf.uint8)])
    def evaluate(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        latent, bits = codec.quantized(tf.cast(image, tf.float32), offset)
        decoded = codec.synthesis(latent)
        decoded = decoded[:, : tf.shape(image)[1], : tf.shape(image)[2]]
        return tf.round(tf.clip_by_value(decoded, 0.0, 255.0)), bits

    return evaluate
