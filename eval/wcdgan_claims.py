"""The claims of WCDGAN that rows can decide."""

from __future__ import annotations

import math

from lossylab.eval.claims import UNDECIDED, Claim, Decision
from lossylab.eval.wcdgan_tables import ABLATIONS, CONTENT, Evidence

_SETS = ("live1", "classic5")
_QUALITY = 10
_DECIDED = 2.0  # standard errors of the mean over pictures


def _difference(evidence, better, worse, measure, quality=_QUALITY):
    """Mean of better - worse over all pictures, its standard error and how many; or None."""
    gaps = []
    for data in _SETS:
        one, other = (evidence.pictures(m, data, quality)[measure] for m in (better, worse))
        if one.empty or list(one.index) != list(other.index):
            return None
        gaps += list(one - other)
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / (len(gaps) - 1)
    return mean, math.sqrt(variance / len(gaps)), len(gaps)


def _order(pairs, quality=_QUALITY):
    """A decision that in each pair the second is better in PSNR."""

    def decide(evidence: Evidence) -> Decision:
        found = [_difference(evidence, better, worse, "psnr", quality) for worse, better in pairs]
        if None in found:
            return UNDECIDED
        text = ", ".join(
            f"{better} - {worse} {mean:+.2f} ± {error:.2f} dB"
            for (worse, better), (mean, error, _) in zip(pairs, found)
        )
        if any(mean < -_DECIDED * error for mean, error, _ in found):
            return Decision(text, False)
        if all(mean > _DECIDED * error for mean, error, _ in found):
            return Decision(text, True)
        return Decision(f"{text}: within noise", None)

    return decide


def _lowers(variant: str, reference: str):
    """A decision that a variant has lower PSNR and SSIM than its reference."""

    def decide(evidence: Evidence) -> Decision:
        found = [_difference(evidence, variant, reference, m) for m in ("psnr", "ssim")]
        if None in found:
            return UNDECIDED
        (decibel, error, count), (similarity, other, _) = found
        text = (
            f"PSNR {decibel:+.3f} ± {error:.3f} dB, SSIM {similarity:+.4f} ± {other:.4f}, "
            f"{count} pictures, one training each"
        )
        certain = abs(decibel) > _DECIDED * error and abs(similarity) > _DECIDED * other
        if not certain:
            return Decision(f"{text}: within noise", None)
        return Decision(text, decibel < 0 and similarity < 0)

    return decide


def _gan_raises(evidence: Evidence) -> Decision:
    found = _difference(evidence, "wcdgan", CONTENT, "psnr")
    if found is None:
        return UNDECIDED
    mean, error, count = found
    text = f"{mean:+.2f} ± {error:.2f} dB over {count} pictures, luma"
    return Decision(text, mean > 0 if abs(mean) > _DECIDED * error else None)


def _sizes(evidence: Evidence) -> Decision:
    printed = {"arcnn": 0.1, "dncnn": 0.6, "memnet": 2.9, "mwcnn": 25.1, "wcdgan": 1.7}
    if not all(f"{name}_rgb" in evidence.timing for name in printed):
        return UNDECIDED
    sizes = {name: evidence.timing[f"{name}_rgb"]["parameters"] / 1e6 for name in printed}
    wrong = [name for name, size in sizes.items() if round(size, 1) != printed[name]]
    text = ", ".join(f"{name} {size:.2f} M" for name, size in sizes.items())
    return Decision(f"{text}{'; differs: ' + ', '.join(wrong) if wrong else ''}", not wrong)


def _no_slower(evidence: Evidence) -> Decision:
    names = ("wcdgan", "memnet", "mwcnn")
    if not all(f"{name}_rgb" in evidence.timing for name in names):
        return UNDECIDED
    times = {name: evidence.timing[f"{name}_rgb"]["seconds"] for name in names}
    text = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in times.items())
    holds = times["wcdgan"] <= min(times["memnet"], times["mwcnn"])
    return Decision(f"{text} for 768x512 on a CPU", holds)


def _official(evidence: Evidence) -> str:
    del evidence
    return "official weights of ARCNN and DnCNN-3, both sets"


def _full_size(evidence: Evidence) -> str:
    machine = next(iter(evidence.timing.values()), {}).get("machine", "")
    return f"networks as published, RGB; {machine}"


_ABOVE = "each mean difference above 0 by two standard errors"

CLAIMS = (
    Claim(
        "1a",
        "JPEG < ARCNN < DnCNN in PSNR at q = 10",
        "27.77, 28.98, 29.19 dB (LIVE1)",
        _ABOVE,
        _order((("jpeg", "arcnn_official"), ("arcnn_official", "dncnn3_official"))),
        _official,
    ),
    Claim(
        "1b",
        "the same at q = 20",
        "30.07, 31.29, 31.59 dB (LIVE1)",
        _ABOVE,
        _order((("jpeg", "arcnn_official"), ("arcnn_official", "dncnn3_official")), 20),
        _official,
    ),
    Claim(
        "1c",
        "JPEG < ARCNN < DnCNN < MemNet, MWCNN in PSNR at q = 10",
        "27.77, 28.98, 29.19, 29.45, 29.51 dB (LIVE1)",
        _ABOVE,
        _order((("jpeg", "arcnn"), ("arcnn", "dncnn"), ("dncnn", "memnet"), ("dncnn", "mwcnn"))),
    ),
    Claim(
        "1d",
        "WCDGAN above MemNet in PSNR at q = 10",
        "29.56 and 29.45 dB (LIVE1)",
        _ABOVE,
        _order((("memnet", "wcdgan"),)),
    ),
    Claim(
        "2a",
        "without mixed convolution PSNR and SSIM fall",
        "-0.15 to -0.2 dB, -.016 to -.018",
        "both means below 0 by two standard errors",
        _lowers(ABLATIONS["without mixed convolution"], CONTENT),
    ),
    Claim(
        "2b",
        "without mixed attention PSNR and SSIM fall",
        "-0.08 dB, -.014",
        "both means below 0 by two standard errors",
        _lowers(ABLATIONS["without mixed attention"], CONTENT),
    ),
    Claim(
        "3a",
        "perceptual and adversarial loss raise PSNR",
        "+0.35 to +1.64 dB (LIVE1, RGB)",
        "mean difference above 0 by two standard errors; not expected: theory says the contrary",
        _gan_raises,
    ),
    Claim(
        "3b",
        "they lower FID",
        "45.9 and 42.5 instead of 56.9 and 53.8 (LIVE1)",
        "needs ImageNet weights of VGG-19 and Inception, and thousands of pictures",
        lambda evidence: UNDECIDED,
    ),
    Claim(
        "4a",
        "model sizes .1, .6, 2.9, 25.1 and 1.7 M",
        "Table 3",
        "equal when rounded",
        _sizes,
        _full_size,
    ),
    Claim(
        "4b",
        "WCDGAN runs no slower than MemNet and MWCNN",
        "1.46, 1.69 and 1.48 s",
        "shortest of the three times",
        _no_slower,
        _full_size,
    ),
)
