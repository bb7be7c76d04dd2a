"""The exponential mean of a network's weights along its training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import tensorflow as tf


class WeightMean:
    """A copy of a network that follows its weights and moving moments, or no copy at all."""

    def __init__(
        self, network: tf.Module, make_copy: Callable[[], tf.Module], decay: float
    ) -> None:
        """Begins with the network as it is; call inside the strategy's scope.

        Args:
          network: that learns.
          make_copy: makes another of the same kind.
          decay: weight of the past in the mean, below 1; 0 for none, the network is served then.
        """
        self._network, self._decay, self._copy = network, decay, None
        if decay:
            with tf.variable_creator_scope(_averaged):
                self._copy = make_copy()
            self.begin()

    @property
    def checkpointed(self) -> dict[str, tf.Module]:
        """What a checkpoint has of it."""
        return {} if self._copy is None else {"mean": self._copy}

    @property
    def served(self) -> tf.Module:
        """The network that is validated and exported."""
        return self._network if self._copy is None else self._copy

    def begin(self) -> None:
        """Forgets the past: the mean is the network as it is."""
        for mean, variable in self._pairs():
            mean.assign(variable)

    def update(self) -> None:
        """One step of the mean, after one of the network."""
        for mean, variable in self._pairs():
            mean.assign_add((1.0 - self._decay) * (variable - mean))

    def _pairs(self) -> Iterable[tuple[tf.Variable, tf.Variable]]:
        return zip(self._copy.variables, self._network.variables) if self._copy is not None else ()


def _averaged(creator: Callable[..., tf.Variable], **options: Any) -> tf.Variable:
    """A variable that several devices may change: what they would write is averaged."""
    if options.get("dtype") is not None and not tf.as_dtype(options["dtype"]).is_floating:
        return creator(**options)  # Keras's counters, which nothing here changes
    return creator(**{**options, "aggregation": tf.VariableAggregation.MEAN})
