"""Bjontegaard-delta rate: how much rate a codec needs more than another at equal quality.

G. Bjontegaard: "Calculation of average PSNR differences between RD-curves", VCEG-M33, 2001,
as ProxIQA uses it (Sec. IV-A): per image, then mean and standard deviation. Computed by
the package bjontegaard; curves that cannot be compared say why instead of a number.
"""

from __future__ import annotations

import contextlib
import dataclasses
import warnings

import numpy as np
import numpy.typing as npt
import pandas as pd

METHODS = ("cubic", "pchip")
_FEWEST = 4  # points of a curve: a cubic has four coefficients


@dataclasses.dataclass(frozen=True)
class BDRate:
    """A comparison of two curves.

    Attributes:
      percent: rate that the test needs more than the anchor; negative saves; NaN if unknown.
      overlap: fraction of the qualities of both curves together that both reach, 0..1.
      reason: why there is no number, else empty.
    """

    percent: float
    overlap: float = 0.0
    reason: str = ""


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
    """

    mean: float
    std: float
    compared: int
    images: int
    overlap: float
    reasons: dict[str, str]


def bd_rate(
    anchor: tuple[npt.ArrayLike, npt.ArrayLike],
    test: tuple[npt.ArrayLike, npt.ArrayLike],
    method: str = "cubic",
) -> BDRate:
    """Compares two curves.

    Args:
      anchor: rates (any unit, above 0) and qualities, in any order.
      test: rates and qualities of the codec in question.
      method: 'cubic', one polynomial a curve, or 'pchip', piecewise and monotone.

    Raises:
      ValueError: for another method.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got '{method}'")
    curves = []
    for name, (rates, qualities) in (("anchor", anchor), ("test", test)):
        rates, qualities = np.asarray(rates, float), np.asarray(qualities, float)
        reason = _unusable(rates, qualities, method)
        if reason:
            return BDRate(np.nan, reason=f"the {name} {reason}")
        order = np.argsort(qualities)
        curves.append((rates[order], qualities[order]))
    (rate_a, quality_a), (rate_t, quality_t) = curves
    low, high = max(quality_a[0], quality_t[0]), min(quality_a[-1], quality_t[-1])
    if low >= high:
        return BDRate(np.nan, reason="the curves reach no common quality")
    overlap = (high - low) / (max(quality_a[-1], quality_t[-1]) - min(quality_a[0], quality_t[0]))
    from bjontegaard import bd_rate as package  # its import takes a second

    with warnings.catch_warnings():
        # numpy says so where eight saturating qualities hardly determine a cubic.
        warnings.filterwarnings("ignore", "Polyfit may be poorly conditioned")
        with contextlib.suppress(OverflowError), np.errstate(over="ignore", invalid="ignore"):
            percent = package(
                rate_a,
                quality_a,
                rate_t,
                quality_t,
                method=method,
                require_matching_points=False,
                min_overlap=0,
            )
            if not isinstance(percent, tuple) and np.isfinite(percent):
                return BDRate(float(percent), float(overlap))
    return BDRate(np.nan, reason=f"{method} swings without bounds between these qualities")


def over_images(
    rows: pd.DataFrame, anchor: str, test: str, metric: str, method: str = "cubic"
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
    )


def per_image(
    rows: pd.DataFrame, anchor: str, test: str, metric: str, method: str = "cubic"
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
            values[image] = BDRate(np.nan, reason=f"no rows of {' and '.join(missing)}")
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
    if not (np.isfinite(rates).all() and np.isfinite(qualities).all()):
        return "has values that are not finite"
    if np.min(rates) <= 0:
        return "has rates that are not positive"
    different = len(np.unique(qualities))
    if method == "pchip" and different < len(qualities):
        return "has the same quality at several rates"
    if different < _FEWEST:
        return f"has {different} different qualities, {_FEWEST} are needed"
    return ""
