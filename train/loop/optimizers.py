"""Adam and its rates as the papers' codes have them, and Muon in its place."""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from lossylab.models.layers import precision
from lossylab.train.loop.muon import Muon
from lossylab.train.options.rates import RateOptions

Rate = float | tf.keras.optimizers.schedules.LearningRateSchedule


def adam(rate: Rate, beta_1: float = 0.9, beta_2: float = 0.999) -> tf.keras.optimizers.Optimizer:
    """TensorFlow 1's Adam, epsilon (1e-8) included, in one fused operation."""
    return loss_scaled(tf.keras.optimizers.legacy.Adam(rate, beta_1, beta_2, epsilon=1e-8))


def chosen(options: RateOptions, usual: Rate, beta_1: float = 0.9) -> tf.keras.optimizers.Optimizer:
    """The optimizer that the options ask for, at their rate.

    Args:
      options: of the training.
      usual: rate where they do not ask for another course, see `scheduled`.
      beta_1: of Adam's mean of gradients.
    """
    return named(options.optimizer, scheduled(options, usual), beta_1)


def named(name: str, rate: Rate, beta_1: float = 0.9) -> tf.keras.optimizers.Optimizer:
    """Adam or Muon, by the name that options give it."""
    if name == "adam":
        return adam(rate, beta_1)
    return loss_scaled(Muon(rate, beta_1=beta_1, epsilon=1e-8))


def scheduled(options: RateOptions, usual: Rate) -> Rate:
    """The rate that the options ask for: the usual one or a half cosine, after a warm-up.

    Args:
      options: of the training, whose `steps` the cosine ends with.
      usual: where no last rate is given.
    """
    rate = usual
    if options.final_learning_rate is not None:
        last = options.final_learning_rate / options.learning_rate
        rate = tf.keras.optimizers.schedules.CosineDecay(options.learning_rate, options.steps, last)
    return WarmUp(rate, options.warmup) if options.warmup else rate


def loss_scaled(optimizer: tf.keras.optimizers.Optimizer) -> tf.keras.optimizers.Optimizer:
    """The optimizer, under a float16 policy with Keras's dynamic loss scale around it."""
    if precision.compute_dtype() != tf.float16:
        return optimizer
    return tf.keras.mixed_precision.LossScaleOptimizer(optimizer)


def gradients(
    tape: tf.GradientTape,
    loss: tf.Tensor,
    variables: Sequence[tf.Variable],
    optimizer: tf.keras.optimizers.Optimizer,
) -> list[tf.Tensor]:
    """Gradients of a loss, through the optimizer's loss scale if it has one."""
    if not isinstance(optimizer, tf.keras.mixed_precision.LossScaleOptimizer):
        return tape.gradient(loss, variables)
    scaled = tape.gradient(loss, variables, output_gradients=optimizer.loss_scale)
    return optimizer.get_unscaled_gradients(scaled)


def with_slots(
    optimizer: tf.keras.optimizers.Optimizer, network: tf.Module
) -> tf.keras.optimizers.Optimizer:
    """The optimizer with all its variables for a network, so that a checkpoint knows them."""
    optimizer._create_all_weights(network.trainable_variables)
    return optimizer


class WarmUp(tf.keras.optimizers.schedules.LearningRateSchedule):
    """Rises on a line from 0 to another rate, which holds from then on."""

    def __init__(self, rate: Rate, steps: int) -> None:
        """Creates the schedule.

        Args:
          rate: that is risen to; a schedule goes its own way meanwhile.
          steps: until then, at least 1; the first has 1 / steps of the rate.
        """
        self._rate, self._steps = rate, steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """The rate of the step that follows so many."""
        rate = self._rate(step) if callable(self._rate) else self._rate
        return rate * tf.minimum((tf.cast(step, tf.float32) + 1.0) / self._steps, 1.0)


class Halving(tf.keras.optimizers.schedules.LearningRateSchedule):
    """Halved at multiples of the training's steps, whenever the optimizer itself began."""

    def __init__(self, rate: float, every: int, begins_at: int = 0) -> None:
        """Creates the schedule.

        Args:
          rate: in the beginning.
          every: steps of the training after which it is halved.
          begins_at: the training's step that is the optimizer's first.
        """
        self._rate, self._every, self._begins_at = rate, every, begins_at

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """The rate of the step that follows so many of the optimizer."""
        passed = (tf.cast(step, tf.int64) + self._begins_at) // self._every
        return self._rate * tf.pow(0.5, tf.cast(passed, tf.float32))


class AdamInside(tf.keras.optimizers.legacy.Adam):
    """Adam as PixelCNN++'s code has it: epsilon inside the square root.

    p -= rate * m / sqrt(v + epsilon), with the moments m and v corrected for their start.
    """

    def _resource_apply_dense(
        self, grad: tf.Tensor, var: tf.Variable, apply_state: dict | None = None
    ) -> tf.Operation:
        constants = (apply_state or {})[(var.device, var.dtype.base_dtype)]
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        m = m.assign(constants["beta_1_t"] * m + constants["one_minus_beta_1_t"] * grad)
        v = v.assign(constants["beta_2_t"] * v + constants["one_minus_beta_2_t"] * grad**2)
        mean = m / (1.0 - constants["beta_1_power"])
        square = v / (1.0 - constants["beta_2_power"])
        change = constants["lr_t"] * mean * tf.math.rsqrt(square + constants["epsilon"])
        return var.assign_sub(change)


class Decay(tf.keras.optimizers.schedules.LearningRateSchedule):
    """rate * decay^(step + 1), also right for decays near 1 and many steps.

    PixelCNN++'s code lowers its rate before each step, the first one too.
    """

    def __init__(self, rate: float, decay: float) -> None:
        """Creates the schedule.

        Args:
          rate: before the first step.
          decay: factor of each step, above 0.
        """
        self._rate, self._decay = rate, decay

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """The rate of the step that follows so many."""
        # float32 has only 80 numbers between .999995 and 1: its logarithm is exact enough.
        return self._rate * tf.exp(math.log(self._decay) * (tf.cast(step, tf.float32) + 1.0))

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {"rate": self._rate, "decay": self._decay}
