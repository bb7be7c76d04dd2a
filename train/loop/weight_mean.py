"""The exponential mean of a network's weights along its training."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


class WeightMean:
    """A twin of a network that follows its weights and moving moments, or no twin at all."""

    def __init__(self, network: tf.Module, twin: Callable[[], tf.Module], share: float):
        """Begins with the network as it is; call inside the strategy's scope.

        Args:
          network: that learns.
          twin: makes another of the same kind.
          share: of the past in the mean, below 1; 0 for none, the network itself is served then.
        """
        self._network, self._share, self._twin = network, share, None
        if share:
            with tf.variable_creator_scope(_averaged):
                self._twin = twin()
            self.begin()

    @property
    def checkpointed(self) -> dict[str, tf.Module]:
        """What a checkpoint has of it."""
        return {} if self._twin is None else {"mean": self._twin}

    @property
    def served(self) -> tf.Module:
        """The network that is validated and exported."""
        return self._network if self._twin is None else self._twin

    def begin(self) -> None:
        """Forgets the past: the mean is the network as it is."""
        for mean, variable in self._pairs():
            mean.assign(variable)

    def update(self) -> None:
        """One step of the mean, after one of the network."""
        for mean, variable in self._pairs():
            mean.assign_add((1.0 - self._share) * (variable - mean))

    def _pairs(self):
        return zip(self._twin.variables, self._network.variables) if self._twin is not None else ()


def _averaged(creator, **options):
    """A variable that several devices may change: what they would write is averaged."""
    return creator(**{**options, "aggregation": tf.VariableAggregation.MEAN})
