"""Exports whose convolutions compute in bfloat16: refused where that shows.

What counts is the mean absolute difference to float32 of the images that a user sees, over a few
patches of the images that scikit-image packages.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from lossylab.core.errors import ExportError
from lossylab.data.collections import find_images
from lossylab.data.jpeg import degrade
from lossylab.data.lattice_pairs import read_planes
from lossylab.models.layers import precision

FLOAT32 = "float32"
LARGEST_DIFFERENCE = 0.5  # pixel values
_PATCH, _COUNT, _QUALITY = 96, 4, 10


def policy(name: str) -> str:
    """Keras's policy for the convolutions of an export, float32 or bfloat16."""
    return name if name == FLOAT32 else f"mixed_{name}"


def difference(shown: Callable[[tf.Tensor], tf.Tensor], images: tf.Tensor, name: str) -> float:
    """What another type than float32 changes of what is shown, mean pixel values.

    Args:
      shown: from images to those that a user sees, float32 in pixel values.
      images: float32 [B, H, W, C], pixel values.
      name: bfloat16.

    Raises:
      ExportError: if it is more than half a pixel value, or not finite.
    """
    results = []
    for each in (FLOAT32, name):
        with precision.policy(policy(each), chained=True):
            seen = tf.function(shown, autograph=False)(images)
        results.append(tf.saturate_cast(tf.round(seen), tf.uint8))
    exact, narrow = (tf.cast(image, tf.float32) for image in results)
    found = float(tf.reduce_mean(tf.abs(narrow - exact)))
    if not found <= LARGEST_DIFFERENCE:
        raise ExportError(
            f"{name} changes images by {found:.2f} pixel values on average, more than "
            f"{LARGEST_DIFFERENCE}: export in {FLOAT32}"
        )
    return found


def patches(channels: int, coded: bool) -> tf.Tensor:
    """The middles of a few images, float32 [4, 96, 96, channels]; coded as JPEG of quality 10."""
    images = []
    for path in find_images("sample_train")[:_COUNT]:
        image = read_planes(path, channels)
        image = degrade(image, _QUALITY) if coded else image
        top, left = ((side - _PATCH) // 2 for side in image.shape[:2])
        images.append(image[top : top + _PATCH, left : left + _PATCH])
    return tf.constant(np.stack(images), tf.float32)
