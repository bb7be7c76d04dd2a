"""Bjontegaard-delta rate: how much rate a codec needs more than another at equal quality.

G. Bjontegaard: "Calculation of average PSNR differences between RD-curves", VCEG-M33, 2001,
as ProxIQA uses it (Sec. IV-A): per image, then mean and standard deviation. Computed by
the package bjontegaard, between curves that are monotone: 'pchip' is so between rising points,
and a 'cubic' that is not is refused. Curves that cannot be compared say why instead of a number.
"""

from __future__ import annotations

import contextlib
import dataclasses
import warnings

import numpy as np
import numpy.typing as npt
import pandas as pd

METHODS = ("pchip", "cubic")  # the headline, and the classical one
ENOUGH = 6  # rates of a curve with which it is known well
MISSING = "no rows of"  # begins the reason where an image was not measured
_FEWEST = 4  # points of a curve: a cubic has four coefficients
_GRID = 65  # qualities at which a cubic's slope is looked at


@dataclasses.dataclass(frozen=True)
class BDRate:
    """A comparison of two curves.

    Attributes:
      percent: rate that the test needs more than the anchor; negative saves; NaN if unknown.
      overlap: fraction of the qualities of both curves together that both reach, 0..1.
      reason: why there is no number, else empty.
      rates: points of the shorter curve.
    """

    percent: float
    overlap: float = 0.0
    reason: str = ""
    rates: int = 0


@dataclasses.dataclass(frozen=True)
class Summary:
    """BD-rates over images.

    Attributes:
      mean: percent, over the images that could be compared; NaN if there is none.
      std: standard deviation of percent, with n - 1; NaN below two.
      compared: how many these are.
      images: how many there are.
      overlap: mean fraction of qualities that the integral covers.
      reasons: why images are missing, by image.
      rates: of the shorter curve, least over the images that could be compared; 0 if there is none.
    """

    mean: float
    std: float
    compared: int
    images: int
    overlap: float
    reasons: dict[str, str]
    rates: int = 0

    @property
    def mark(self) -> str:
        """Said beside the number: a star where curves have fewer rates than `ENOUGH`."""
        return "*" if 0 < self.rates < ENOUGH else ""


def bd_rate(
    anchor: tuple[npt.ArrayLike, npt.ArrayLike],
    test: tuple[npt.ArrayLike, npt.ArrayLike],
    method: str = "pchip",
) -> BDRate:
    """Compares two curves.

    Args:
      anchor: rates (any unit, above 0) and qualities, in any order.
      test: rates and qualities of the codec in question.
      method: 'pchip', piecewise and monotone, or 'cubic', one polynomial a curve.

    Raises:
      ValueError: for another method.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got '{method}'")
    curves: list[tuple[npt.NDArray, npt.NDArray]] = []
    for name, (rates, qualities) in (("anchor", anchor), ("test", test)):
        points = np.stack([np.asarray(rates, float), np.asarray(qualities, float)], 1)
        rates, qualities = np.unique(
            points, axis=0
        ).T  # settings below a codec's least rate are one
        reason = _unusable(rates, qualities, method)
        if reason:
            return BDRate(np.nan, reason=f"the {name} {reason}")
        order = np.lexsort((rates, qualities))
        curves.append((rates[order], qualities[order]))
    (rate_a, quality_a), (rate_t, quality_t) = curves
    low, high = max(quality_a[0], quality_t[0]), min(quality_a[-1], quality_t[-1])
    if low >= high:
        return BDRate(np.nan, reason="the curves reach no common quality")
    overlap = (high - low) / (max(quality_a[-1], quality_t[-1]) - min(quality_a[0], quality_t[0]))
    for name, curve in zip(("anchor", "test"), curves):
        if _falls(*curve, low, high):
            return BDRate(np.nan, reason=f"the {name} has a lower quality at a higher rate")
        if method == "cubic" and not _cubic_rises(*curve, low, high):
            reason = f"the cubic of the {name}'s rates over its qualities is not monotone"
            return BDRate(np.nan, reason=reason)
    percent = _integrated(curves, method)
    if percent is None:
        return BDRate(np.nan, reason=f"{method} swings without bounds between these qualities")
    return BDRate(percent, float(overlap), rates=min(len(rate_a), len(rate_t)))


def _integrated(curves: list[tuple[npt.NDArray, npt.NDArray]], method: str) -> float | None:
    """By the package; None where it is not finite."""
    from bjontegaard import bd_rate as package  # its import takes a second

    with warnings.catch_warnings():
        # numpy says so where eight saturating qualities hardly determine a cubic.
        warnings.filterwarnings("ignore", "Polyfit may be poorly conditioned")
        with contextlib.suppress(OverflowError), np.errstate(over="ignore", invalid="ignore"):
            percent = package(
                *curves[0],
                *curves[1],
                method=method,
                require_matching_points=False,
                min_overlap=0,
            )
            if not isinstance(percent, tuple) and np.isfinite(percent):
                return float(percent)
    return None


def _cubic_rises(
    rates: npt.NDArray[np.float64], qualities: npt.NDArray[np.float64], low: float, high: float
) -> bool:
    """Whether the least-squares cubic of log-rates rises with the quality between two."""
    position = (qualities - low) / (high - low)  # the overlap is 0..1
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The fit may be poorly conditioned")
        fit = np.polynomial.Polynomial.fit(position, np.log(rates), 3)
    return bool((fit.deriv()(np.linspace(0, 1, _GRID)) > 0).all())


def over_images(
    rows: pd.DataFrame, anchor: str, test: str, metric: str, method: str = "pchip"
) -> Summary:
    """BD-rates of one codec's rows against another's, image by image.

    Args:
      rows: with columns codec, image, bpp_file and the metric.
      anchor: name of the codec compared with.
      test: name of the codec in question.
      metric: column to compare at equal values of.
      method: see `bd_rate`.
    """
    values = per_image(rows, anchor, test, metric, method)
    known = [value for value in values.values() if not value.reason]
    percents = [value.percent for value in known]
    return Summary(
        mean=float(np.mean(percents)) if known else np.nan,
        std=float(np.std(percents, ddof=1)) if len(known) > 1 else np.nan,
        compared=len(known),
        images=len(values),
        overlap=float(np.mean([value.overlap for value in known])) if known else 0.0,
        reasons={image: v.reason for image, v in values.items() if v.reason},
        rates=min((value.rates for value in known), default=0),
    )


def per_image(
    rows: pd.DataFrame, anchor: str, test: str, metric: str, method: str = "pchip"
) -> dict[str, BDRate]:
    """BD-rate of each image that either codec has rows of; see `over_images`."""
    curves = {
        name: {str(image): mine for image, mine in rows[rows.codec == name].groupby("image")}
        for name in (anchor, test)
    }
    values = {}
    for image in sorted(curves[anchor].keys() | curves[test].keys()):
        missing = [name for name in (anchor, test) if image not in curves[name]]
        if missing:
            values[image] = BDRate(np.nan, reason=f"{MISSING} {' and '.join(missing)}")
            continue
        of_anchor, of_test = (
            (curves[name][image].bpp_file.to_numpy(), curves[name][image][metric].to_numpy())
            for name in (anchor, test)
        )
        values[image] = bd_rate(of_anchor, of_test, method)
    return values


def _unusable(
    rates: npt.NDArray[np.float64], qualities: npt.NDArray[np.float64], method: str
) -> str:
    """Why a curve cannot be compared, or nothing."""
    if len(rates) < _FEWEST:
        return f"has {len(rates)} points, {_FEWEST} are needed"
    different = len(np.unique(qualities))
    finite = bool(np.isfinite(rates).all() and np.isfinite(qualities).all())
    reasons = {
        "has values that are not finite": not finite,
        "has rates that are not positive": finite and np.min(rates) <= 0,
        "has the same quality at several rates": method == "pchip" and different < len(qualities),
        f"has {different} different qualities, {_FEWEST} are needed": different < _FEWEST,
    }
    return next((reason for reason, found in reasons.items() if found), "")


def _falls(
    rates: npt.NDArray[np.float64], qualities: npt.NDArray[np.float64], low: float, high: float
) -> bool:
    """Whether a curve has a lower quality at a higher rate between two qualities or just beside."""
    first = max(np.searchsorted(qualities, low, "right") - 1, 0)
    last = min(np.searchsorted(qualities, high, "left"), len(qualities) - 1)
    near = slice(first, last + 1)
    return bool((np.diff(rates[near])[np.diff(qualities[near]) > 0] < 0).any())
