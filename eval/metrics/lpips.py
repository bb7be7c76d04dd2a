"""LPIPS (Zhang et al. 2018), version 0.1, of image files."""

from __future__ import annotations

import hashlib

import numpy as np
import tensorflow as tf

from lossylab.data.decode import as_rgb
from lossylab.eval.metrics.psnr import check_same_shape
from lossylab.losses import lpips

SMALLEST = lpips.SMALLEST


class LPIPS:
    """The distance, at least 0, lower is better."""

    def __init__(self, weights: str, network: str = "alex"):
        """Loads the weights; arguments and errors as for `losses.lpips.LPIPS`."""
        self._distance = lpips.LPIPS(weights, network)
        self._per_layer = tf.function(
            self._distance.per_layer, autograph=False, reduce_retracing=True
        )

    def fingerprint(self) -> str:
        """Names the weights, wherever they lie: the begin of a SHA-256.

        Rows are found again by it: what the variables are called here does not count.
        """
        arrays, digest = self._distance.arrays, hashlib.sha256()
        for name in sorted(arrays, key=lambda name: (arrays[name].shape.as_list(), name)):
            value = arrays[name].numpy()
            digest.update(f"Variable:0 {value.dtype} {value.shape}".encode())
            digest.update(value.tobytes())
        return digest.hexdigest()[:16]

    def __call__(self, reference: np.ndarray, distorted: np.ndarray) -> float:
        """Distance of two images, uint8 [H, W, 1 or 3], at least 32x32 pixels."""
        return float(self.per_layer(reference, distorted).sum())

    def per_layer(self, reference: np.ndarray, distorted: np.ndarray) -> np.ndarray:
        """The layers' parts, float64 [layers]."""
        check_same_shape(reference, distorted)
        pair = [tf.constant(as_rgb(x), tf.float32)[None] for x in (reference, distorted)]
        return self._per_layer(*pair)[0].numpy().astype(np.float64)
