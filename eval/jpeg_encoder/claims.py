"""The claims of the JPEG encoder's paper that rows can decide."""

from __future__ import annotations

from collections.abc import Sequence

from lossylab.eval.jpeg_encoder.evidence import HIGH, JPEG, LOW, Evidence, at_equal_rate
from lossylab.eval.report.claims import (
    UNDECIDED,
    Claim,
    Decide,
    Decision,
    all_known,
    decision_by_gains,
)
from lossylab.eval.report.tables import number

_DECIDED = 2.0  # standard errors of the mean over images
_BETTER = {"mse": -1, "ms_ssim_rgb": 1, "lpips": -1}  # sign of a gain
_WORDS = {"mse": ("MSE", 2), "ms_ssim_rgb": ("MS-SSIM", 4), "lpips": ("LPIPS", 6)}
_NEARLY = {"mse": 0.05, "ms_ssim_rgb": 0.01}  # fraction by which quality is nearly equal
_PIXEL_VALUES = 2  # that decoders may differ by


def _gains(
    evidence: Evidence,
    wanted: Sequence[tuple[str, str, str]],
    low: float = LOW,
    high: float = HIGH,
) -> dict[tuple[str, str, str], tuple[str, float, float]] | None:
    """For each (better, worse, measure): words, mean gain and its noise; None if unknown."""
    found = {}
    for better, worse, measure in wanted:
        difference = at_equal_rate(evidence, better, worse, measure, low=low, high=high)
        if difference is None:
            return None
        name, digits = _WORDS[measure]
        text = (
            f"{name} of {better} - {worse} {number(difference.mean, digits, '+')} ± "
            f"{number(difference.error, digits)}"
        )
        found[better, worse, measure] = (text, _BETTER[measure] * difference.mean, difference.noise)
    return found


def _all_gain(*wanted: tuple[str, str, str], low: float = LOW, high: float = HIGH) -> Decide:
    """A decision that all differences are gains beyond noise."""

    def decide(evidence: Evidence) -> Decision:
        gains = _gains(evidence, wanted, low, high)
        if gains is None:
            return UNDECIDED
        text = "; ".join(text for text, *_ in gains.values())
        return decision_by_gains(text, ((gain, noise) for _, gain, noise in gains.values()))

    return decide


def _ms_ssim_only_gains(evidence: Evidence) -> Decision:
    """MS-SSIM rises; MSE and LPIPS do not get worse beyond noise."""
    measures = [m for m in _BETTER if evidence.table[m].notna().all()]
    gains = _gains(evidence, [("vgg_ms_ssim", "vgg", m) for m in measures])
    if gains is None:
        return UNDECIDED
    text = "; ".join(text for text, *_ in gains.values())
    if any(gain < -noise for _, gain, noise in gains.values()):
        return Decision(text, False)
    _, gain, noise = gains["vgg_ms_ssim", "vgg", "ms_ssim_rgb"]
    return decision_by_gains(text, [(gain, noise)])


def _trains_faster(evidence: Evidence) -> Decision:
    names = ("resnet152", "vgg19")
    rows = all_known({name: evidence.timing.get((name, "training step")) for name in names})
    if rows is None:
        return UNDECIDED
    resnet, vgg = rows.values()
    text = (
        f"{resnet['steps_per_second']:.3f} and {vgg['steps_per_second']:.3f} steps/s: "
        f"{100 * (resnet['steps_per_second'] / vgg['steps_per_second'] - 1):+.0f} %"
    )
    gain = vgg["seconds"] - resnet["seconds"]
    noise = _DECIDED * (vgg["standard_error"] ** 2 + resnet["standard_error"] ** 2) ** 0.5
    return Decision(text, gain > 0 if abs(gain) > noise else None)


def _nearly_equal(evidence: Evidence) -> Decision:
    text: list[str] = []
    equal = True
    for measure, fraction in _NEARLY.items():
        found = at_equal_rate(evidence, "resnet_ms_ssim", "vgg_ms_ssim", measure)
        if found is None:
            return UNDECIDED
        level = found.level
        name, digits = _WORDS[measure]
        text.append(f"{name} {number(found.mean, digits, '+')} ({found.mean / level:+.1%})")
        equal = equal and abs(found.mean) <= fraction * level
    return Decision(", ".join(text), bool(equal))


def _faster_than_bls(evidence: Evidence) -> Decision:
    bls = [row for (name, _), row in evidence.timing.items() if name.startswith("bls")]
    ours = evidence.timing.get(("vgg19", "encode"))
    if not bls or ours is None:
        return UNDECIDED
    fastest = min(bls, key=lambda row: row["seconds"])
    text = (
        f"{ours['seconds']:.3f} ± {ours['standard_error']:.3f} s with VGG-19, "
        f"{fastest['seconds']:.3f} ± {fastest['standard_error']:.3f} s ({fastest['network']})"
    )
    plain = evidence.timing.get(("no attention", "encode"))
    if plain is not None:
        text += f"; tables alone {plain['seconds']:.4f} s"
    return Decision(text, ours["seconds"] < fastest["seconds"])


def _decoders_agree(evidence: Evidence) -> Decision:
    gaps = evidence.table.decoder_difference
    if gaps.isna().any():
        return UNDECIDED
    text = f"pixel values differ by at most {gaps.max():.0f} over {len(gaps)} files"
    return Decision(text, bool(gaps.max() <= _PIXEL_VALUES))


def _machine(evidence: Evidence) -> str:
    return next(iter(evidence.timing.values()), {}).get("machine", "not timed")


_AT = f"{LOW} to {HIGH} bits per pixel, each mean beyond two standard errors over images"

CLAIMS = (
    Claim(
        "1a",
        "learned encoders beat standard JPEG in MSE and MS-SSIM at equal rate",
        "Fig. 5",
        f"vgg_ms_ssim, {_AT}",
        _all_gain(("vgg_ms_ssim", JPEG, "mse"), ("vgg_ms_ssim", JPEG, "ms_ssim_rgb")),
    ),
    Claim(
        "1b",
        "tables alone beat standard JPEG in MSE at equal rate",
        "the baseline's paper",
        f"tables, {_AT}",
        _all_gain(("tables", JPEG, "mse")),
    ),
    Claim(
        "2",
        "MS-SSIM in the loss raises MS-SSIM and costs no MSE or LPIPS",
        "Fig. 5",
        f"vgg_ms_ssim against vgg, {_AT}; the others not worse by as much",
        _ms_ssim_only_gains,
    ),
    Claim(
        "3a",
        "ResNet-152 trains faster than VGG-19",
        "+57 % steps a second",
        "mean times of a training step differ by two standard errors",
        _trains_faster,
        _machine,
    ),
    Claim(
        "3b",
        "at nearly equal quality",
        "Fig. 10",
        "MSE within 5 %, MS-SSIM within 1 % at equal rate, both with MS-SSIM in the loss",
        _nearly_equal,
    ),
    Claim(
        "4",
        "attention by LSTM and Bi-LSTM does worse than by convolution",
        "Fig. 15",
        f"vgg against both in MS-SSIM at equal rate, all rates, {_AT.split(', ', 1)[1]}",
        _all_gain(
            ("vgg", "lstm", "ms_ssim_rgb"),
            ("vgg", "bilstm", "ms_ssim_rgb"),
            low=0.0,
            high=float("inf"),
        ),
    ),
    Claim(
        "5",
        "inference is far faster than a BLS codec's encoding and decoding",
        "0.126 and 7.667 s",
        "mean time with VGG-19 below that of the narrowest BLS codec",
        _faster_than_bls,
        _machine,
    ),
    Claim(
        "6",
        "files decode alike in independent decoders",
        "'traditional JPEG decoders'",
        f"pixel values by Pillow and ffmpeg differ by at most {_PIXEL_VALUES}, every file",
        _decoders_agree,
    ),
)
