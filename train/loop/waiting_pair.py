"""The pair of images whose scores a training step waits for."""

from __future__ import annotations

import tensorflow as tf

from lossylab.train.loop.parts import Place


class WaitingPair(tf.Module):
    """The previous step's pair of each device and part."""

    def __init__(self, shape: tuple[int, int, int, int], parts: int = 1) -> None:
        """Creates the variables; call inside the strategy's scope.

        Args:
          shape: of the patches that are learned from at a time.
          parts: of a step on one device, each with a pair of its own.
        """
        super().__init__(name="previous_pair")
        every = (parts,) if parts > 1 else ()

        def local(value: tf.Tensor, name: str) -> tf.Variable:
            return tf.Variable(
                value,
                trainable=False,
                name=name,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )

        self.pair = [local(tf.zeros((*every, *shape)), name) for name in ("reference", "distorted")]
        self.ticket = local(tf.fill(every, tf.constant(-1, tf.int64)), "ticket")

    def swap(
        self, pair: tuple[tf.Tensor, tf.Tensor], ticket: tf.Tensor, here: Place, first: tf.Tensor
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Keeps `pair`, returns the one kept before; if there is none, `pair` itself.

        With several devices only the first one's pairs survive a restart, so the others
        train on their new pair once more: the ticket tells which is whose.

        Args:
          pair: reference and distorted patches.
          ticket: the pair's number, int64.
          here: whose pair it is; the tickets of a part differ by the parts of all devices.
          first: whether the training begins, so that nothing is kept.

        Returns:
          The pair, and its ticket.
        """
        fits = tf.equal(_read(self.ticket, here), ticket - here.count) & ~first
        kept = [tf.where(fits, _read(old, here), new) for old, new in zip(self.pair, pair)]
        tickets = tf.where(fits, ticket - here.count, ticket)
        with tf.control_dependencies([*kept, tickets]):
            for old, new in zip(self.pair, pair):
                _write(old, new, here)
            _write(self.ticket, ticket, here)
        return kept, tickets


def _read(variable: tf.Variable, here: Place) -> tf.Tensor:
    values = variable.read_value()
    return values if here.parts == 1 else values[here.part]


def _write(variable: tf.Variable, value: tf.Tensor, here: Place) -> None:
    if here.parts > 1:
        values = variable.read_value()
        value = tf.tensor_scatter_nd_update(values, [[here.part]], value[None])
    variable.assign(value)
