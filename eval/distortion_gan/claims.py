"""What decides the claims of the distortion GAN's paper, and their trivial competitors."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lossylab.eval.distortion_gan.evidence import Evidence
from lossylab.eval.distortion_gan.own_measures import OWN, like_the_real, strength
from lossylab.eval.distortion_gan.tables import LAMBDAS, PIXEL
from lossylab.eval.options.distortions import UNTOUCHED
from lossylab.eval.report.claims import (
    UNMEASURED,
    Check,
    Decide,
    Decision,
    Obstacle,
    Swap,
    Verdict,
    all_known,
    decision_by_gains,
    published_size,
    replaced,
    trainings,
)
from lossylab.eval.report.differences import Difference
from lossylab.eval.report.names import published_name
from lossylab.eval.schemas import SHORT

_FAR = 10.0  # times; of the untouched image noise is 4 to 5 times as far
_SEEN = 0.1  # of the real distortion's residual, below which nothing is distorted
_HALF = 0.5  # of the untouched image's divergence: what is nearer is near
_COMPRESSION = ("jpeg", "jpeg2000")
_REAL_JPEG, _ON_GRID = "real jpeg", "jpeg_grid16"
_NOISE, _INPUT = ("white", "pink"), "_noise_input"

_replaced = functools.partial(replaced, table="generated")
Side = tuple[str, str]  # what generated, and the real distortion


def _decided(text: str, found: Mapping[Any, Difference | None]) -> Decision:
    """A decision that all differences are above zero."""
    known = all_known(found)
    if known is None:
        return UNMEASURED
    return decision_by_gains(text, ((gap.mean, gap.margin) for gap in known.values()))


def _above(evidence: Evidence, high: Side, low: Side, times: float = 1.0) -> Difference | None:
    """How far one divergence is above so many times another."""
    return evidence.difference(high, low, times=times)


def _below_half_of_nothing(evidence: Evidence, name: str) -> Difference | None:
    gap = evidence.difference((name, name), (UNTOUCHED, name), times=_HALF)
    return gap and dataclasses.replace(gap, mean=-gap.mean)


def _is_nearest(name: str) -> Decide:
    """Generated noise is nearest to its real noise, that to it, and far nearer than nothing."""

    def decide(evidence: Evidence) -> Decision:
        mine = (name, name)
        others = [(name, t) for t in SHORT if t != name] + [(m, name) for m in SHORT if m != name]
        found = {other: _above(evidence, other, mine) for other in others}
        text = (
            f"{evidence.mean(*mine):.4f}, others from "
            f"{min(evidence.mean(*other) for other in others):.4f}, untouched image "
            f"{evidence.mean(UNTOUCHED, name):.4f}"
        )
        return _decided(text, {**found, mine: _below_half_of_nothing(evidence, name)})

    return decide


def _near(evidence: Evidence) -> Decision:
    text = ", ".join(
        f"{SHORT[n]} {evidence.mean(n, n):.4f} (untouched {evidence.mean(UNTOUCHED, n):.4f})"
        for n in _COMPRESSION
    )
    return _decided(text, {n: _below_half_of_nothing(evidence, n) for n in _COMPRESSION})


def _far_from_noise(evidence: Evidence) -> Decision:
    text = ", ".join(
        f"{SHORT[n]} {evidence.mean(n, 'white') / evidence.mean(n, n):.1f} times"
        for n in _COMPRESSION
    )
    return _decided(text, {n: _above(evidence, (n, "white"), (n, n), _FAR) for n in _COMPRESSION})


def _nearer_to_jpeg2000(evidence: Evidence) -> Decision:
    sides = ("jpeg", "jpeg"), ("jpeg", "jpeg2000")
    text = "JPEG {:.4f}, JPEG 2000 {:.4f}".format(*(evidence.mean(*side) for side in sides))
    return _decided(text, {"": _above(evidence, *sides)})


def _alike(evidence: Evidence) -> Decision:
    pairs = list(zip(_COMPRESSION, reversed(_COMPRESSION)))
    text = "crosswise {:.4f} and {:.4f}, to white noise {:.4f} and {:.4f}".format(
        *(evidence.mean(*pair) for pair in pairs), *(evidence.mean(n, "white") for n, _ in pairs)
    )
    found = {pair: _above(evidence, (pair[0], "white"), pair, _FAR) for pair in pairs}
    return _decided(text, found)


def _measures(what: str, measure: str, pairs: Iterable[tuple[str, str]], digits: int = 2) -> Decide:
    """A decision that a measure of the first of each pair is above that of the second."""
    pairs = list(pairs)

    def decide(evidence: Evidence) -> Decision:
        names = dict.fromkeys(name for pair in pairs for name in pair)
        values = ", ".join(
            f"{published_name(name)} {evidence.mean(name, 'jpeg', measure):.{digits}f}"
            for name in names
        )
        found = {(a, b): evidence.difference((a, "jpeg"), (b, "jpeg"), measure) for a, b in pairs}
        return _decided(f"{what} {values}", found)

    return decide


def _too_subtle(evidence: Evidence) -> Decision:
    """The largest lambda's residual below the others', but still one."""
    heavy, others = ("jpeg_lambda_1", "jpeg"), (("jpeg", "jpeg"), (_REAL_JPEG, "jpeg"))
    found = {other: evidence.difference(other, heavy, "residual") for other in others}
    found[heavy] = evidence.difference(heavy, others[1], "residual", times=_SEEN)
    values = ", ".join(
        f"{published_name(name)} {evidence.mean(name, 'jpeg', 'residual'):.2f}"
        for name, _ in (*others, heavy)
    )
    return _decided(f"mean residual {values}", found)


def _noise_input_helps(evidence: Evidence) -> Decision:
    found = {
        kind: evidence.difference((kind, kind), (kind + _INPUT, kind), "spectrum_gap")
        for kind in _NOISE
    }
    text = "; ".join(
        f"{published_name(kind)} {evidence.mean(kind, kind, 'spectrum_gap'):.1f} dB, with noise "
        f"input {evidence.mean(kind + _INPUT, kind, 'spectrum_gap'):.1f} dB"
        for kind in _NOISE
    )
    return _decided(text, found)


def _without_input(evidence: Evidence) -> Evidence:
    for kind in _NOISE:
        evidence = _replaced(kind, kind + _INPUT)(evidence)
    return evidence


def _low_at_a_tenth(evidence: Evidence) -> Decision:
    found = {v: evidence.mean(method, "jpeg") for method, v in LAMBDAS.items()}
    text = ", ".join(f"{jsd:.4f} at {v:g}" for v, jsd in sorted(found.items()))
    others = [name for name in LAMBDAS if name != "jpeg"]
    return _decided(text, {n: _above(evidence, (n, "jpeg"), ("jpeg", "jpeg")) for n in others})


# Trivial competitors, and what is needed.


def _untouched(*models: str) -> dict[str, Swap]:
    return {"the untouched image": _replaced(UNTOUCHED, *models)}


def _spectrum(name: str) -> Callable[[Evidence], Obstacle | None]:
    """What noise adds must have the real noise's slope of the spectrum, by half of 0 to -1."""

    def need(evidence: Evidence) -> Obstacle | None:
        slope, real = (evidence.mean(name, name, m) for m in ("slope", "real_slope"))
        if math.isnan(slope - real):
            return Obstacle(Verdict.UNDECIDED, "the spectrum of what is added was not measured")
        if abs(slope - real) > _HALF:
            words = (
                f"the spectrum of what is added falls by {slope:.2f}, real noise's by {real:.2f}"
            )
            return Obstacle(Verdict.UNDECIDED, words)
        return None

    return need


def _trained(decide: Decide, *names: str, rivals: dict[str, Swap]) -> Check:
    return Check(decide, rivals, (trainings(*names),), (published_size,))


_SMALL = (published_size,)

CHECKS = {
    "1a": Check(_is_nearest("white"), _untouched("white"), (_spectrum("white"),), _SMALL),
    "1b": Check(_is_nearest("pink"), _untouched("pink"), (_spectrum("pink"),), _SMALL),
    "1c": Check(_near, _untouched(*_COMPRESSION), for_failing=_SMALL),
    "1d": Check(_far_from_noise, _untouched(*_COMPRESSION), for_failing=_SMALL, strict=True),
    "1e": Check(_nearer_to_jpeg2000, _untouched("jpeg"), for_failing=_SMALL),
    "2": Check(_alike, _untouched(*_COMPRESSION), for_failing=_SMALL, strict=True),
    "3a": Check(
        _measures("mean residual", "residual", [("jpeg_lambda_0", _REAL_JPEG)]),
        _untouched("jpeg_lambda_0"),
        for_failing=_SMALL,
    ),
    "3b": _trained(
        _too_subtle,
        *("jpeg", "jpeg_lambda_1"),
        rivals={**_untouched("jpeg_lambda_1"), "lambda = .1": _replaced("jpeg", "jpeg_lambda_1")},
    ),
    "3c": _trained(_low_at_a_tenth, *LAMBDAS, rivals=_untouched("jpeg")),
    "4a": _trained(
        _measures("energy of detail", "high_frequency", (("jpeg", name) for name in PIXEL), 1),
        *("jpeg", *PIXEL),
        rivals={"real JPEG in their place": _replaced(_REAL_JPEG, *PIXEL)},
    ),
    "4b": Check(
        _measures("blockiness", "blockiness", [("jpeg", UNTOUCHED)]),
        _untouched("jpeg"),
        for_failing=_SMALL,
    ),
    "4c": _trained(
        _measures("divergence", "jsd", ((name, "jpeg") for name in PIXEL), 4),
        *("jpeg", *PIXEL),
        rivals={"the GAN in their place": _replaced("jpeg", *PIXEL)},
    ),
    **{
        number: Check(like_the_real((kind, OWN[kind])), _untouched(kind), for_failing=_SMALL)
        for number, kind in zip(("9a", "9b", "9c", "9d"), OWN)
    },
    "9e": Check(
        like_the_real(*((kind, strength(kind)) for kind in OWN)),
        _untouched(*OWN),
        for_failing=_SMALL,
    ),
    "9f": Check(
        like_the_real(*((kind, own) for kind in _NOISE for own in (OWN[kind], strength(kind)))),
        _untouched(*_NOISE),
        for_failing=_SMALL,
    ),
    "9g": _trained(
        _noise_input_helps,
        *(f"{kind}{suffix}" for kind in _NOISE for suffix in ("", _INPUT)),
        rivals={"no noise input": _without_input},
    ),
    "9h": Check(like_the_real((_ON_GRID, OWN["jpeg"])), _untouched(_ON_GRID), for_failing=_SMALL),
}
