"""Whole images as squares of one size: what an unconditional generator learns."""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

from lossylab.data.decode import read_image
from lossylab.data.decoded import Decoded
from lossylab.data.scaling import scaled
from lossylab.data.schedule import Schedule, Stream


def read_square(path: str, size: int) -> np.ndarray:
    """The largest central square of an image, scaled down: uint8 [size, size, 3].

    Raises:
      ImageError: if the file cannot be read.
    """
    image = read_image(path)
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return scaled(image[top : top + side, left : left + side], size)


def square_images(
    paths: list[str], size: int, mirror: bool, cache_mb: int, schedule: Schedule
) -> tf.data.Dataset:
    """Endless batches of squares.

    Args:
      paths: image files.
      size: height and width of the squares, pixels.
      mirror: whether every second one, at random, is turned left to right.
      cache_mb: squares kept in memory, MiB.
      schedule: which images, and in which order.

    Returns:
      Data set of float32 [device_batch, size, size, 3], pixel values 0..255.
    """
    load = functools.partial(read_square, size=size)
    images = Decoded(paths, load, cache_mb, ("square", size))

    def square(number: tf.Tensor) -> tf.Tensor:
        index = schedule.image_index(number, len(paths))
        image = tf.numpy_function(images.read, [index], tf.uint8)
        image = tf.ensure_shape(image, (size, size, 3))
        if mirror:
            draw = tf.random.stateless_uniform((), schedule.key(number, Stream.MIRROR))
            image = tf.where(draw < 0.5, image[:, ::-1], image)
        return image

    return schedule.batches(square).map(lambda batch: tf.cast(batch, tf.float32)).prefetch(4)
