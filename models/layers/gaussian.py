"""Rate of a latent under a zero-mean normal density whose std is sent beside it.

For coding, standard deviations come from a table (Balle et al. 2018; tfc 1.2): encoder and decoder
need equal tables of the range coder, so they exchange an index, that of the next greater
value of the table.
"""

import math

import numpy as np
import tensorflow as tf

from lossylab.models.layers.compression import tfc

SMALLEST_SCALE, LARGEST_SCALE, NUM_SCALES = 0.11, 256.0, 64
_STEP = math.log(LARGEST_SCALE / SMALLEST_SCALE) / (NUM_SCALES - 1)
_LIKELIHOOD_FLOOR = 1e-9


def scale_table() -> np.ndarray:
    """The scales that are coded with, ascending, float64 [64], spaced logarithmically."""
    return np.exp(math.log(SMALLEST_SCALE) + _STEP * np.arange(NUM_SCALES))


def scale_of_index(index: tf.Tensor) -> tf.Tensor:
    """Entry of the table, float32, of an index; tfc builds its tables with this."""
    return tf.exp(math.log(SMALLEST_SCALE) + _STEP * tf.cast(index, tf.float32))


def bits(latent: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """Information of each sample in bits, -log2 p, with p of an interval of width 1.

    Args:
      latent: float32 [B, h, w, C].
      scale: standard deviations, likewise; those below the table's smallest count as that one.

    Returns:
      float32 [B].
    """
    # Gradients pass the bounds where they lead back inside, as in tfc 1.2.
    inverse = 1.0 / (math.sqrt(2.0) * tfc.lower_bound(scale, SMALLEST_SCALE))
    distance = tf.abs(latent)
    upper = tf.math.erfc((distance - 0.5) * inverse)
    lower = tf.math.erfc((distance + 0.5) * inverse)
    likelihood = tfc.lower_bound(0.5 * (upper - lower), _LIKELIHOOD_FLOOR)
    return tf.reduce_sum(tf.math.log(likelihood), (1, 2, 3)) / -math.log(2.0)
