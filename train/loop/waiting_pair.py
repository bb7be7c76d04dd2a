"""The pair of images whose scores a training step waits for."""

from __future__ import annotations

import tensorflow as tf


class WaitingPair(tf.Module):
    """The previous step's pair of each device."""

    def __init__(self, shape: tuple[int, int, int, int]) -> None:
        """Creates the variables; call inside the strategy's scope.

        Args:
          shape: of the patches that one device gets a step.
        """
        super().__init__(name="previous_pair")

        def local(value: tf.Tensor, name: str) -> tf.Variable:
            return tf.Variable(
                value,
                trainable=False,
                name=name,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )

        self.pair = [local(tf.zeros(shape), name) for name in ("reference", "distorted")]
        self.ticket = local(tf.constant(-1, tf.int64), "ticket")

    def swap(
        self, pair: tuple[tf.Tensor, tf.Tensor], ticket: tf.Tensor, replicas: int, first: tf.Tensor
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Keeps `pair`, returns the one kept before; if there is none, `pair` itself.

        With several devices only the first one's pair survives a restart, so the others
        train on their new pair once more: the ticket tells which is whose.

        Args:
          pair: reference and distorted patches.
          ticket: the pair's number, int64.
          replicas: devices in all; a device's tickets differ by so many.
          first: whether the training begins, so that nothing is kept.

        Returns:
          The pair, and its ticket.
        """
        fits = tf.equal(self.ticket.read_value(), ticket - replicas) & ~first
        kept = [tf.where(fits, old.read_value(), new) for old, new in zip(self.pair, pair)]
        tickets = tf.where(fits, ticket - replicas, ticket)
        with tf.control_dependencies([*kept, tickets]):
            for old, new in zip(self.pair, pair):
                old.assign(new)
            self.ticket.assign(ticket)
        return kept, tickets
