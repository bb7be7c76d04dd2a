"""Local work on large images tile by tile, inside a graph: exports do it without lossylab."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Span:
    """A part of a height or width, with its surroundings; scalar int32 tensors.

    Attributes:
      start: where it begins.
      stop: where it ends.
      low: where its surroundings begin.
      high: where they end.
    """

    start: tf.Tensor
    stop: tf.Tensor
    low: tf.Tensor
    high: tf.Tensor

    def wide(self, scale: int = 1) -> slice:
        """The part with its surroundings, in samples `scale` times as small."""
        return slice(self.low * scale, self.high * scale)

    def inside(self, scale: int = 1) -> slice:
        """Where the part lies in that."""
        return slice((self.start - self.low) * scale, (self.stop - self.low) * scale)


def in_tiles(
    work: Callable[[Span, Span], tf.Tensor],
    size: tuple[tf.Tensor, tf.Tensor],
    positions: int,
    halo: int,
    result: tf.TensorSpec,
    scale: int = 1,
) -> tf.Tensor:
    """The whole of what is computed tile by tile; small images are one tile.

    Args:
      work: from rows and columns to what lies there, without the surroundings.
      size: what rows and columns cover.
      positions: rows times columns of a tile, without its surroundings.
      halo: of the surroundings.
      result: of the work, [None, None, channels].
      scale: rows and columns of the result for each of `size`.
    """
    height, width = size
    columns = positions // tf.minimum(height, math.isqrt(positions))
    rows = positions // tf.minimum(width, columns)

    def add_line(i: tf.Tensor, lines: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        across = _span(i, rows, height, halo)

        def add_tile(j: tf.Tensor, line: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            tile = work(across, _span(j, columns, width, halo))
            return j + 1, tf.concat([line, tile], 1)

        begun = (scale * (across.stop - across.start), 0, result.shape[2])
        line = _loop(add_tile, -(-width // columns), tf.zeros(begun, result.dtype), result.shape)
        return i + 1, lines.write(i, line)

    count = -(-height // rows)
    lines = tf.TensorArray(result.dtype, count, infer_shape=False, element_shape=result.shape)
    whole = _loop(add_line, count, lines, tf.TensorShape(None)).concat()
    whole.set_shape(result.shape)
    return whole


def total(
    work: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], height: tf.Tensor, rows: tf.Tensor
) -> tf.Tensor:
    """The sum of float32 scalars computed of rows start..stop - 1, `rows` of a height at a time."""

    def add(i: tf.Tensor, found: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        span = _span(i, rows, height, 0)
        return i + 1, found + work(span.start, span.stop)

    return _loop(add, -(-height // rows), tf.constant(0.0), tf.TensorShape([]))


def _span(i: tf.Tensor, size: tf.Tensor, length: tf.Tensor, halo: int) -> Span:
    start = i * size
    stop = tf.minimum(start + size, length)
    return Span(start, stop, tf.maximum(start - halo, 0), tf.minimum(stop + halo, length))


def _loop(body: Callable, count: tf.Tensor, value: Any, shape: tf.TensorShape) -> Any:
    """What a body makes of a value, called with 0..count - 1."""
    return tf.while_loop(
        lambda i, _: i < count,
        body,
        (tf.constant(0), value),
        (tf.TensorShape([]), shape),
        parallel_iterations=1,
    )[1]
