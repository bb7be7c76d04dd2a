"""What a degradation model must beat: the clean image, with one spread about all its pixels.

A degraded number is distributed by a logistic about the clean one, discretized as PixelCNN++'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.optimize
import scipy.special

_VALUES = 256
_BOUNDS = (1e-2, 1e3)  # of the spread, in pixel values
_DIGITS = 4  # significant digits of the spread, which any machine finds alike


class OneSpread:
    """Likelihoods of degraded images, given clean ones.

    Attributes:
      spread: scale of the logistic in pixel values.
    """

    def __init__(self, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        """Fits the spread by maximum likelihood, to the images that are measured: it favors this.

        Args:
          pairs: clean and degraded images, uint8 of one shape [H, W, 3].
        """
        counts = np.zeros(_VALUES**2, np.int64)
        for clean, degraded in pairs:
            both = _VALUES * clean.astype(np.int64) + degraded
            counts += np.bincount(both.ravel(), minlength=_VALUES**2)
        counts = counts.reshape(_VALUES, _VALUES)
        found = scipy.optimize.minimize_scalar(
            lambda log: np.sum(counts * bits(np.exp(log))), bounds=np.log(_BOUNDS), method="bounded"
        )
        self.spread = float(f"{np.exp(found.x):.{_DIGITS}g}")
        self._bits = bits(self.spread)

    def nll(self, degraded: Any, condition: Any) -> np.ndarray:
        """Negative log-likelihoods [B], bits for each number.

        Args:
          degraded: images [B, H, W, 3] in whole pixel values, arrays or tensors.
          condition: the clean images, likewise.
        """
        clean, given = (np.asarray(each).astype(np.int64) for each in (condition, degraded))
        return self._bits[clean, given].mean((1, 2, 3))


def bits(spread: float) -> np.ndarray:
    """Bits [256, 256] of each degraded value, by the clean one's row.

    Args:
      spread: scale of the logistic, above 0.
    """
    edges = np.concatenate([[-np.inf], np.arange(_VALUES - 1) + 0.5, [np.inf]])
    at = (edges - np.arange(_VALUES)[:, None]) / spread
    # Of the sigmoid s, s(b) - s(a) = s(b) s(-a) (1 - exp(a - b)), which loses no digits.
    nats = scipy.special.log_expit(at[:, 1:]) + scipy.special.log_expit(-at[:, :-1])
    return -(nats + np.log(-np.expm1(-np.diff(at)))) / np.log(2)
