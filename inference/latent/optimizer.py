"""PULSE's descent on spheres: an optimizer whose variables keep their norms, and its rates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from lossylab.inference.latent.settings import SCHEDULES

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8
_TINY = 1e-9


class Adam(tf.Module):
    """Adam with epsilon beside the corrected root, as PULSE's (PyTorch's).

    Keras adds it to the root before the correction: in the first steps that is thirty times as
    much, and latents whose gradients are that small go another way.
    """

    def __init__(self, variables: Sequence[tf.Variable]) -> None:
        """Moments of 0 for these variables; beta .9 and .999, epsilon 1e-8."""
        super().__init__()
        self._count = tf.Variable(0.0, dtype=tf.float64)  # .999 in float32 is too coarse
        self._first = [tf.Variable(tf.zeros_like(v), name="first") for v in variables]
        self._second = [tf.Variable(tf.zeros_like(v), name="second") for v in variables]

    def steps(self, gradients: Sequence[tf.Tensor], rate: tf.Tensor) -> list[tf.Tensor]:
        """What to subtract from the variables; counts the step."""
        count, found = self._count.assign_add(1.0), []
        scale_1, scale_2 = (tf.cast(1 - beta**count, rate.dtype) for beta in (_BETA_1, _BETA_2))
        for gradient, first, second in zip(gradients, self._first, self._second):
            m = first.assign(_BETA_1 * first + (1 - _BETA_1) * gradient) / scale_1
            v = second.assign(_BETA_2 * second + (1 - _BETA_2) * tf.square(gradient))
            found.append(rate * m / (tf.sqrt(v / scale_2) + _EPSILON))
        return found


class SphericalOptimizer(tf.Module):
    """Steps by raw gradients; on spheres, each is followed by a return to the first norms.

    Gradients are not projected on the tangent and moments are left as they are, as in PULSE.
    """

    def __init__(
        self,
        variables: Sequence[tf.Variable],
        axes: Sequence[Sequence[int] | None],
        centers: Sequence[tf.Tensor | float] | None = None,
        radii: Sequence[float | None] | None = None,
        adam: bool = True,
    ) -> None:
        """Measures the norms that later steps keep.

        Args:
          variables: what is changed.
          axes: of each variable, those that its norm runs over: (2,) of latents [B, L, D],
            (1, 2, 3) of noise [B, H, W, 1]; None leaves its norm free.
          centers: what each norm is measured from, broadcast to the variable; None: the origin.
          radii: norms to keep instead of those of the beginning, None for these.
          adam: steps by Adam; else by the gradient itself.
        """
        super().__init__()
        self._variables, self._axes = list(variables), list(axes)
        self._centers = list(centers) if centers is not None else [0.0] * len(self._variables)
        self._adam = Adam(self._variables) if adam else None
        given = radii if radii is not None else [None] * len(self._variables)
        self.radii = [
            _norm(variable - center, each) if each is not None and radius is None else radius
            for variable, center, each, radius in zip(
                self._variables, self._centers, self._axes, given
            )
        ]

    def apply(self, gradients: Sequence[tf.Tensor], rate: tf.Tensor | float) -> None:
        """One step; gradients in the order of the variables."""
        rate = tf.convert_to_tensor(rate, tf.float32)
        if self._adam is None:
            steps = [rate * gradient for gradient in gradients]
        else:
            steps = self._adam.steps(gradients, rate)
        places = zip(self._variables, steps, self._axes, self._centers, self.radii)
        for variable, step, axes, center, radius in places:
            moved = variable - step
            if axes is not None:
                offset = moved - center
                moved = center + offset * (radius / _norm(offset, axes))
            variable.assign(moved)


def _norm(x: tf.Tensor, axes: Sequence[int]) -> tf.Tensor:
    return tf.sqrt(tf.reduce_sum(tf.square(x), axes, keepdims=True) + _TINY)


def multiplier(schedule: str, step: int, steps: int) -> float:
    """What the learning rate is multiplied with at a step, counted from 0.

    Args:
      schedule: 'fixed'; 'linear1cycle': from .1 to 1 in the middle and back; or
        'linear1cycledrop': up to 45 % of the steps, back at 90 %, then down to .001.
      step: 0..steps.
      steps: of the whole search.

    Raises:
      ValueError: for another schedule.
    """
    if schedule == "fixed":
        return 1.0
    if schedule == "linear1cycle":
        return float(np.interp(step / steps, (0, 0.5, 1), (0.1, 1, 0.1)))
    if schedule == "linear1cycledrop":
        return float(np.interp(step / steps, (0, 0.45, 0.9, 1), (0.1, 1, 0.1, 0.001)))
    raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got '{schedule}'")
