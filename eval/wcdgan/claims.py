"""The claims of WCDGAN that rows can decide."""

from __future__ import annotations

from collections.abc import Sequence

from lossylab.eval.metrics import inception
from lossylab.eval.report.claims import (
    UNDECIDED,
    Claim,
    Decide,
    Decision,
    all_known,
    decision_by_gains,
)
from lossylab.eval.report.differences import Difference, mean_difference
from lossylab.eval.wcdgan.evidence import Evidence, set_measures
from lossylab.eval.wcdgan.tables import ABLATIONS, CONTENT

_SETS = ("live1", "classic5")
_QUALITY = 10
_SAME_TIME = 0.1  # fraction by which times of one machine differ anyway


def _difference(
    evidence: Evidence, better: str, worse: str, measure: str, data: str, quality: int = _QUALITY
) -> Difference | None:
    """Of better - worse over a set's images; None if unknown."""
    one, other = (evidence.images(m, data, quality)[measure] for m in (better, worse))
    return mean_difference(one - other) if list(one.index) == list(other.index) else None


def _decision(found: dict[str, Difference | None], sign: int = 1) -> Decision:
    """Whether differences, by what they are of, all have the wanted sign beyond noise."""
    known = all_known(found)
    if known is None:
        return UNDECIDED
    text = ", ".join(f"{name} {gap.mean:+.3g} ± {gap.error:.1g}" for name, gap in known.items())
    return decision_by_gains(text, ((sign * gap.mean, gap.noise) for gap in known.values()))


def _order(pairs: Sequence[tuple[str, str]], quality: int = _QUALITY) -> Decide:
    """A decision that in each pair the second is better in PSNR, on both sets."""

    def decide(evidence: Evidence) -> Decision:
        return _decision(
            {
                f"{better} - {worse} ({data})": _difference(
                    evidence, better, worse, "psnr", data, quality
                )
                for worse, better in pairs
                for data in _SETS
            }
        )

    return decide


def _lowers(variant: str, reference: str) -> Decide:
    """A decision that a variant has lower PSNR and SSIM than its reference, on both sets."""

    def decide(evidence: Evidence) -> Decision:
        found = {
            f"{words} ({data})": _difference(evidence, variant, reference, measure, data)
            for measure, words in (("psnr", "PSNR"), ("ssim", "SSIM"))
            for data in _SETS
        }
        return _decision(found, -1)

    return decide


def _gan(measure: str, sign: int) -> Decide:
    """A decision that perceptual and adversarial loss move a measure in a direction."""

    def decide(evidence: Evidence) -> Decision:
        decision = _decision(
            {d: _difference(evidence, "wcdgan", CONTENT, measure, d) for d in _SETS}, sign
        )
        if "random" in evidence.budget("wcdgan", _SETS[0], _QUALITY):
            words = "VGG-19 had random weights, which is not the paper's loss"
            return Decision(f"{decision.measured}; {words}", None)
        return decision

    return decide


def _fid(evidence: Evidence) -> Decision:
    methods = ("wcdgan", CONTENT)
    found = all_known(
        {name: set_measures(evidence, name, _SETS[0], _QUALITY, "rgb") for name in methods}
    )
    if found is None:
        return UNDECIDED
    ours, without = found.values()
    text = f"{ours['fid']:.1f} and {without['fid']:.1f}, {ours['images']} images"
    if ours["images"] < inception.ENOUGH or ours["weights"] == "random":
        return Decision(f"{text}: too few images or random weights", None)
    return Decision(text, ours["fid"] < without["fid"])


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
    image = evidence.timing["wcdgan_rgb"]["image"]
    fastest = min(times["memnet"], times["mwcnn"])
    same = abs(times["wcdgan"] / fastest - 1) < _SAME_TIME
    return Decision(f"{text} for {image}", None if same else times["wcdgan"] < fastest)


def _official(evidence: Evidence) -> str:
    del evidence
    return "official weights of ARCNN and DnCNN-3"


def _full_size(evidence: Evidence) -> str:
    machine = next(iter(evidence.timing.values()), {}).get("machine", "")
    return f"networks as published, RGB; {machine}"


_ABOVE = "each mean difference above 0 by two standard errors over images, one training each"

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
        "all means below 0 by two standard errors over images, one training each",
        _lowers(ABLATIONS["without mixed convolution"], CONTENT),
    ),
    Claim(
        "2b",
        "without mixed attention PSNR and SSIM fall",
        "-0.08 dB, -.014",
        "all means below 0 by two standard errors over images, one training each",
        _lowers(ABLATIONS["without mixed attention"], CONTENT),
    ),
    Claim(
        "3a",
        "perceptual and adversarial loss raise PSNR",
        "+0.35 to +1.64 dB (LIVE1, RGB)",
        f"{_ABOVE}; not expected: theory says the contrary",
        _gan("psnr", 1),
    ),
    Claim(
        "3b",
        "they lower FID",
        "45.9 and 42.5 instead of 56.9 and 53.8 (LIVE1)",
        f"lower, with {inception.ENOUGH} images and ImageNet weights",
        _fid,
    ),
    Claim(
        "3c",
        "they lower LPIPS",
        "not measured by the paper",
        "mean differences below 0 by two standard errors",
        _gan("lpips", -1),
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
        "shortest of the three times, by a tenth",
        _no_slower,
        _full_size,
    ),
)
