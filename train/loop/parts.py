"""Parts of a batch: a step's gradients, summed over as many parts as memory asks for.

Each device works through its share of the batch in one or more equal parts, one after the other,
and changes its weights once. A part is to a step what a device is: it knows its number among all
parts of all devices, and what is drawn for it depends on that number alone.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

_tracing = threading.local()  # devices are traced by a thread each


class Place(NamedTuple):
    """Which part of the global batch it is.

    Attributes:
      index: among the parts of all devices, in order of their samples.
      count: parts of all devices.
      part: among the parts of this device.
      parts: of this device.
    """

    index: int | tf.Tensor
    count: int
    part: int | tf.Tensor
    parts: int

    def alone(self, values: tf.Tensor) -> tf.Tensor:
        """This part's values among zeros for the device's others: their sum has all.

        Args:
          values: of the part's samples, [B].

        Returns:
          For all samples of the device, [parts * B].
        """
        if self.parts == 1:
            return values
        mine = tf.one_hot(self.part, self.parts, dtype=values.dtype)
        return tf.reshape(mine[:, None] * values, (-1,))


def place() -> Place:
    """The part that is traced at present; outside of steps the only one."""
    replica = tf.distribute.get_replica_context()
    part, parts = getattr(_tracing, "part", (0, 1))
    index = replica.replica_id_in_sync_group
    if parts > 1:
        index = index * parts + part
    return Place(index, replica.num_replicas_in_sync * parts, part, parts)


@contextlib.contextmanager
def _at(part: int | tf.Tensor, parts: int) -> Iterator[None]:
    _tracing.part = part, parts
    try:
        yield
    finally:
        del _tracing.part


def divided(batch: Any, parts: int) -> Any:
    """Tensors [B, ...] of a structure as [parts, B // parts, ...], samples in order."""

    def one(values: tf.Tensor) -> tf.Tensor:
        local = values.shape[0] // parts
        shape = tf.concat([(parts, local), tf.shape(values)[1:]], 0)
        return tf.ensure_shape(tf.reshape(values, shape), (parts, local, *values.shape[1:]))

    return tf.nest.map_structure(one, batch)


def summed(
    learn: Callable[[Any], Any],
    batch: Any,
    parts: int,
    moments: Sequence[tf.Variable] = (),
) -> Any:
    """What is learned from the parts of a batch, summed.

    Only one part is in memory at a time.

    Args:
      learn: from a part to a structure of tensors, or None where there is no gradient.
      batch: this device's share.
      parts: how many.
      moments: variables that `learn` moves, such as those of batch normalization: each part moves
        them from where they were before, and they become the mean of that, as on several devices.

    Returns:
      The sum, in the structure that `learn` gives.
    """
    if parts == 1:
        return learn(batch)
    pieces = divided(batch, parts)
    before = [variable.read_value() for variable in moments]

    # Traced once, called for each: a loop inside the loop of steps would leak in TensorFlow 2.14,
    # whose rewriting of sums leaves temporary variables behind there.
    @tf.function(autograph=False)
    def one(piece: Any, part: tf.Tensor) -> tuple[Any, list[tf.Tensor]]:
        with _at(part, parts):
            found = learn(piece)
        moved = [variable.read_value() for variable in moments]
        for variable, value in zip(moments, before):
            variable.assign(value)
        return found, moved

    total: Any = None
    for part in range(parts):
        with tf.control_dependencies(_tensors(total)):  # of those before: one after the other
            number = tf.identity(part)
            piece = tf.nest.map_structure(lambda values: values[number], pieces)  # noqa: B023
        more = one(piece, number)
        total = more if total is None else tf.nest.map_structure(_sum, total, more)
    learned, moved = total
    for variable, value in zip(moments, moved):
        variable.assign(value / parts)
    return learned


def _tensors(structure: Any) -> list[tf.Tensor]:
    return [each for each in tf.nest.flatten(structure) if each is not None]


def _sum(one: tf.Tensor | None, other: tf.Tensor | None) -> tf.Tensor | None:
    return None if one is None else tf.convert_to_tensor(one) + tf.convert_to_tensor(other)


def moments_of(networks: Sequence[tf.Module]) -> list[tf.Variable]:
    """The moving moments of all batch normalizations in networks."""
    layers = [
        module
        for network in networks
        for module in network.submodules
        if isinstance(module, tf.keras.layers.BatchNormalization)
    ]
    return [variable for layer in layers for variable in layer.non_trainable_variables]
