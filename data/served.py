"""Batches made by data workers: pipelines that TensorFlow runs without Python.

A pipeline that is sent to another process has TensorFlow decode the images. What it makes of 8-bit
PNG files and of JPEG files is what Pillow makes of them, value by value, unless the file asks for
more: a color profile, transparency, an orientation, 16 bits. So files are compared before a
training begins, and it is refused for others.

Which worker makes which batch is settled by the batch's number, and batches come in their order:
data stay a function of seed and step.
"""

from __future__ import annotations

import concurrent.futures
import os
import re
import socket
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
import tqdm

from lossylab.core.errors import CollectionError, ImageError
from lossylab.core.options import require
from lossylab.data.checking import interruptible
from lossylab.data.decode import read_image

_SCHEME = "grpc://"
_PATIENCE = 5.0  # seconds until a worker answers
_NAMED = 3  # files, in a message


def read(path: tf.Tensor) -> tf.Tensor:
    """A PNG or JPEG file as RGB by TensorFlow, uint8 [H, W, 3]; gray is repeated.

    Args:
      path: string scalar; an InvalidArgumentError says that it is of another kind or damaged.
    """
    data = tf.io.read_file(path)
    # libjpeg's own default, and Pillow's; TensorFlow's is faster and another.
    image = tf.cond(
        tf.io.is_jpeg(data),
        lambda: tf.io.decode_jpeg(data, 3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_png(data, 3),
    )
    return tf.ensure_shape(image, (None, None, 3))


def require_equal(paths: Sequence[str]) -> None:
    """Refuses images that `read` decodes otherwise than `read_image`, or not at all.

    Raises:
      CollectionError: naming the first and how many there are.
    """
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool, interruptible(pool):
        done = pool.map(_is_equal, paths)
        equal = list(tqdm.tqdm(done, "comparing decoders", len(paths), unit="file", delay=2))
    others = [path for path, same in zip(paths, equal) if not same]
    if others:
        raise CollectionError(
            f"data workers cannot read {len(others)} of {len(paths)} images as they are read here, "
            f"such as {', '.join(others[:_NAMED])}: they decode PNG and JPEG files of 8 bits "
            "without color profile, transparency and orientation; convert the others to such, or "
            "train without data workers"
        )


def _is_equal(path: str) -> bool:
    try:
        return np.array_equal(read(tf.constant(path)).numpy(), read_image(path))
    except (ImageError, tf.errors.OpError):
        return False


def require_workers(services: Sequence[str]) -> None:
    """Refuses addresses of which one is none, or where nobody answers; raises UsageError."""
    for service in services:
        place = service.removeprefix(_SCHEME)
        require(
            re.fullmatch(r"[^\s/]+:\d{1,5}", place),
            f"`data_service`: {service} is no address such as {_SCHEME}host:5050",
        )
        host, _, port = place.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE):
                pass
        except (OSError, OverflowError) as error:
            require(
                False,
                f"`data_service`: nobody answers at {place} ({error}); start "
                f"`lossylab data_worker --port={port}` there",
            )


def merged(services: Sequence[str], make: Callable[[int, int], tf.data.Dataset]) -> tf.data.Dataset:
    """The elements of an endless data set, made by data workers in turn, in order.

    Args:
      services: addresses of the workers, each with a dispatcher of its own; none makes all here.
      make: from a worker's number and how many there are to the elements that it makes: of all, in
        order, every so many from the number on.

    Returns:
      All of them.
    """
    if not services:
        return make(0, 1)
    count = len(services)
    parts = [
        make(number, count).apply(
            tf.data.experimental.service.distribute(
                tf.data.experimental.service.ShardingPolicy.OFF,
                _SCHEME + service.removeprefix(_SCHEME),
                compression=None,
            )
        )
        for number, service in enumerate(services)
    ]
    return tf.data.Dataset.choose_from_datasets(parts, tf.data.Dataset.range(count).repeat())
