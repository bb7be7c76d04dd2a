"""The claims of the distortion GAN's paper that rows can decide."""

from __future__ import annotations

import math

from lossylab.eval.distortion_gan.evidence import Evidence
from lossylab.eval.distortion_gan.tables import LAMBDAS, PIXEL
from lossylab.eval.distortions import PRISTINE
from lossylab.eval.report.claims import UNDECIDED, Claim, Decision, all_known, decision_by_gains
from lossylab.eval.report.tables import number
from lossylab.eval.severity_search import SHORT

_FAR = 5.0  # times
_NOISE, _COMPRESSION = ("white", "pink"), ("jpeg", "jpeg2000")


def _values(evidence: Evidence) -> dict[tuple[str, str], float] | None:
    """Table I; None unless all of it was measured."""
    values = {(one, true): evidence.mean(one, true) for one in SHORT for true in SHORT}
    return None if any(math.isnan(value) for value in values.values()) else values


def _noise_diagonals(evidence: Evidence) -> Decision:
    values = _values(evidence)
    if values is None:
        return UNDECIDED
    text, holds = [], True
    for name in _NOISE:
        others = [values[name, t] for t in SHORT if t != name]
        others += [values[m, name] for m in SHORT if m != name]
        text.append(f"{SHORT[name]} {values[name, name]:.4f}, others from {min(others):.4f}")
        holds = holds and values[name, name] < min(others)
    return Decision("; ".join(text), holds)


def _compression_diagonals(evidence: Evidence) -> Decision:
    values = _values(evidence)
    if values is None:
        return UNDECIDED
    ratios = {name: values[name, "white"] / values[name, name] for name in _COMPRESSION}
    nothing = {name: evidence.mean(PRISTINE, name) for name in _COMPRESSION}
    text = ", ".join(
        f"{SHORT[name]} {ratio:.1f} times, {values[name, name]:.4f} (untouched {nothing[name]:.4f})"
        for name, ratio in ratios.items()
    )
    nearer = all(values[name, name] < nothing[name] for name in _COMPRESSION)
    return Decision(text, min(ratios.values()) >= _FAR and nearer)


def _alike(evidence: Evidence) -> Decision:
    values = _values(evidence)
    if values is None:
        return UNDECIDED
    one, other = _COMPRESSION
    text = (
        f"{SHORT[one]}-{SHORT[other]} {values[one, other]:.4f}, {SHORT[other]}-{SHORT[one]} "
        f"{values[other, one]:.4f}, to white noise {values[one, 'white']:.4f} and "
        f"{values[other, 'white']:.4f}"
    )
    far = all(values[a, b] * _FAR <= values[a, "white"] for a, b in ((one, other), (other, one)))
    return Decision(text, far)


def _residual_falls(evidence: Evidence) -> Decision:
    found = {v: evidence.mean(method, "jpeg", "residual") for method, v in LAMBDAS.items()}
    if any(math.isnan(value) for value in found.values()):
        return UNDECIDED
    ordered = [found[value] for value in sorted(found)]
    text = ", ".join(f"{number(r, 2)} at {v:g}" for v, r in sorted(found.items()))
    true = evidence.mean("true jpeg", "jpeg", "residual")
    falling = all(a > b for a, b in zip(ordered, ordered[1:])) and ordered[0] > true > ordered[-1]
    return Decision(f"{text}; true JPEG {true:.2f}", falling)


def _low_at_a_tenth(evidence: Evidence) -> Decision:
    found = {v: evidence.mean(method, "jpeg") for method, v in LAMBDAS.items()}
    if any(math.isnan(value) for value in found.values()):
        return UNDECIDED
    text = ", ".join(f"{number(j, 4)} at {v:g}" for v, j in sorted(found.items()))
    others = [name for name in LAMBDAS if name != "jpeg"]
    gaps = all_known({name: evidence.difference(name, "jpeg", "jpeg") for name in others})
    if gaps is None:
        return UNDECIDED
    return decision_by_gains(text, [(gap.mean, gap.noise) for gap in gaps.values()])


def _pixel_losses_are_worse(evidence: Evidence) -> Decision:
    gaps = {norm: evidence.difference(name, "jpeg", "jpeg") for name, norm in PIXEL.items()}
    known = all_known(gaps)
    if known is None:
        return UNDECIDED
    text = ", ".join(f"{n} {g.mean:+.4f} ± {g.error:.4f}" for n, g in known.items())
    return decision_by_gains(text, [(gap.mean, gap.noise) for gap in known.values()])


CLAIMS = (
    Claim(
        "1a",
        "generated noise is nearest to the true noise that it imitates, and that to it",
        "Table I: .0008 and .0062",
        "diagonals of white and pink noise smallest of their row and column",
        _noise_diagonals,
    ),
    Claim(
        "1b",
        "generated compression is far from noise",
        "Table I: 20 and 75 times",
        f"true white noise at least {_FAR:g} times as far as the true distortion that is imitated, "
        "and that nearer than to the untouched image",
        _compression_diagonals,
    ),
    Claim(
        "2",
        "JPEG and JPEG 2000 are alike in these statistics",
        "Table I: .0043 and .0116",
        f"at most 1/{_FAR:g} of the divergence to white noise",
        _alike,
    ),
    Claim(
        "3a",
        "without sparsity artifacts are excessive, with much of it too subtle",
        "Fig. 3",
        "the mean residual falls from lambda to lambda, from above the true one's to below it",
        _residual_falls,
    ),
    Claim(
        "3b",
        "lambda = 0.1 gives a low divergence",
        "Fig. 3",
        "lowest of the lambdas by two standard errors over images; no other lower",
        _low_at_a_tenth,
    ),
    Claim(
        "4",
        "pixel losses are farther from true JPEG than the GAN",
        "Fig. 4: blurred",
        "JSD of l1 and of l2 minus the GAN's above 0 by two standard errors",
        _pixel_losses_are_worse,
    ),
)
