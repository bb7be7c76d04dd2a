"""The claims of ProxIQA that rows can decide."""

from __future__ import annotations

import itertools
import math

import pandas as pd

from lossylab.eval import published
from lossylab.eval.claims import UNDECIDED, Claim, Decision
from lossylab.eval.proxiqa_tables import CODECS, METRICS, Evidence

_CLASSICAL = ("jpeg2000", "hevc444", "hevc420")
_CLASSICAL_SCALE = "24 pictures, eight rates each"
_SETTLED = 0.25  # last share of a training whose scores are averaged
_COINCIDE = 5.0  # points of the score between proxy and metric
_APART = 15.0
_NEARLY_SAME = 5.0  # points of BD-rate; the paper's own pair differs by 3.4
_SAME_TIME = 1.15  # ratio


def _sign(test: str, metric: str, wanted: int, anchor: str = "bls_mse"):
    """A decision by the sign of a mean BD-rate."""

    def decide(evidence: Evidence) -> Decision:
        mean, std, count = evidence.bd(test, metric, anchor)
        if not count:
            return UNDECIDED
        values = evidence.per_picture(test, metric, anchor).values()
        agree = sum(v.percent * wanted > 0 for v in values if not v.reason)
        piecewise = evidence.bd(test, metric, anchor, "pchip")[0]
        text = f"{mean:+.1f} % ± {std:.1f} (pchip {piecewise:+.1f} %)"
        return Decision(
            f"{text}, the claimed sign on {agree} of {count} pictures", mean * wanted > 0
        )

    return decide


def _everywhere(test: str, anchor: str):
    """A decision that a codec saves rate by every metric."""

    def decide(evidence: Evidence) -> Decision:
        found = {name: evidence.bd(test, m, anchor) for name, m in METRICS.items()}
        if not all(count for _, _, count in found.values()):
            return UNDECIDED
        text = ", ".join(f"{name} {mean:+.1f} %" for name, (mean, _, _) in found.items())
        return Decision(text, all(mean < 0 for mean, _, _ in found.values()))

    return decide


def _gap(run: str, evidence: Evidence) -> tuple[float, float, float] | None:
    """Proxy, true score and their mean absolute gap at the end of a training."""
    table = evidence.training.get(run)
    if table is None:
        return None
    end = table[table.step > (1 - _SETTLED) * table.step.max()]
    gap = (end.proxy - end.score).abs().mean()
    return float(end.proxy.mean()), float(end.score.mean()), float(gap)


def _frozen(evidence: Evidence) -> Decision:
    found = _gap("frozen", evidence)
    if found is None:
        return UNDECIDED
    proxy, score, _ = found
    return Decision(f"proxy {proxy:.1f}, VMAF {score:.1f}", proxy - score > _APART)


def _alternating(evidence: Evidence) -> Decision:
    found = _gap("alternating", evidence)
    if found is None:
        return UNDECIDED
    proxy, score, gap = found
    return Decision(f"proxy {proxy:.1f}, VMAF {score:.1f}, mean gap {gap:.1f}", gap < _COINCIDE)


def _nearly_same(evidence: Evidence) -> Decision:
    one, two = (evidence.bd(name, "ssim") for name in ("bls_ssim_p", "bls_ssim_mse"))
    if not (one[2] and two[2]):
        return UNDECIDED
    text = f"SSIM_p {one[0]:+.1f} %, SSIM + L_d {two[0]:+.1f} %"
    return Decision(text, abs(one[0] - two[0]) <= _NEARLY_SAME)


def _jpeg_is_worst(evidence: Evidence) -> Decision:
    found = [evidence.bd(name, m, "jpeg") for name in _CLASSICAL for m in METRICS.values()]
    if not all(count for _, _, count in found):
        return UNDECIDED
    largest = max(mean for mean, _, _ in found)
    return Decision(f"all others save at least {-largest:.1f} % by every metric", largest < 0)


def _order_of_classical(evidence: Evidence) -> Decision:
    """Signs of BD-rates between the classical codecs, as the paper's Table II implies them."""
    values = published.numbers("proxiqa", "II")
    names = {mine: paper for paper, mine in CODECS.items()}
    wrong, total = [], 0
    for anchor, test in itertools.combinations(_CLASSICAL, 2):
        for name, metric in METRICS.items():
            mean, _, count = evidence.bd(test, metric, anchor)
            if not count:
                return UNDECIDED
            of_test, of_anchor = (values[names[c], f"Kodak/{name}", "mean"] for c in (test, anchor))
            implied = 100 * ((100 + of_test) / (100 + of_anchor) - 1)
            total += 1
            if mean * implied < 0:
                pair = f"{test} against {anchor} by {name}"
                wrong.append(f"{pair} (implied {implied:+.1f} %, measured {mean:+.1f} %)")
    text = f"{total - len(wrong)} of {total} orders as in Table II"
    return Decision(f"{text}; not {', '.join(wrong)}" if wrong else text, not wrong)


def _reference(evidence: Evidence) -> Decision:
    """Agreement with BD-rates of the same codecs that were measured independently."""
    largest, where = 0.0, ""
    for line in published.reference("proxiqa_classical").itertuples():
        mean, _, count = evidence.bd(line.codec, line.metric, "jpeg")
        if not count:
            return UNDECIDED
        if abs(mean - float(line.percent)) >= largest:
            largest, where = abs(mean - float(line.percent)), f"{line.codec}, {line.metric}"
    return Decision(f"largest difference {largest:.2f} points ({where})", largest <= 1.5)


def _by_rate(timing: pd.DataFrame, codec: str) -> float:
    """Encoding time at the most expensive rate over that at the cheapest."""
    times = timing[timing.codec == codec].groupby("point").encode_ms.mean()
    return float(times.max() / times.min()) if len(times) > 1 else math.nan


def _rate_independent(evidence: Evidence) -> Decision:
    names = ("bls_mse", "bls_vmaf_p", "hevc444")
    ratios = {name: _by_rate(evidence.timing, name) for name in names}
    if not all(math.isfinite(ratio) for ratio in ratios.values()):
        return UNDECIDED
    text = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
    flat = max(ratios["bls_mse"], ratios["bls_vmaf_p"]) < _SAME_TIME
    return Decision(f"slowest over fastest rate: {text}", flat and ratios["hevc444"] > _SAME_TIME)


def _same_time(evidence: Evidence) -> Decision:
    timing = evidence.timing
    means = [
        timing[timing.codec == n][["encode_ms", "decode_ms"]].mean()
        for n in ("bls_mse", "bls_vmaf_p")
    ]
    if any(mean.isna().any() for mean in means):
        return UNDECIDED
    ratios = means[1] / means[0]
    text = f"VMAF_p over MSE: encode {ratios.encode_ms:.2f}, decode {ratios.decode_ms:.2f}"
    return Decision(text, bool(ratios.between(1 / _SAME_TIME, _SAME_TIME).all()))


CLAIMS = (
    Claim("1a", "VMAF_p lowers the VMAF BD-rate against MSE", "-23.4 %", "mean below 0",
          _sign("bls_vmaf_p", "vmaf", -1)),
    Claim("1b", "VMAF_p raises the PSNR BD-rate", "+5.2 %", "mean above 0",
          _sign("bls_vmaf_p", "psnr", +1)),
    Claim("2a", "SSIM_p lowers the SSIM BD-rate", "-21.3 %", "mean below 0",
          _sign("bls_ssim_p", "ssim", -1)),
    Claim("2b", "MSIM_p lowers the MS-SSIM BD-rate", "-21.8 %", "mean below 0",
          _sign("bls_ms_ssim_p", "ms_ssim", -1)),
    Claim("3a", "With a frozen proxy its score runs towards 100, VMAF does not follow", "Fig. 7(a)",
          f"proxy more than {_APART:g} points above VMAF at the end", _frozen),
    Claim("3b", "Alternating, proxy and true score coincide", "Fig. 7(b)",
          f"mean gap below {_COINCIDE:g} points at the end", _alternating),
    Claim("4", "SSIM_p and SSIM + L_d give nearly the same SSIM BD-rate", "-19.0 %, -22.4 %",
          f"at most {_NEARLY_SAME:g} points apart", _nearly_same),
    Claim("5a", "BMSHJ beats BLS by every metric, both at MSE", "-10.2 % to -25.8 %",
          "all means below 0", _everywhere("bmshj_mse", "bls_mse")),
    Claim("5b", "VMAF_p helps BMSHJ too", "-25.8 % to -47.1 %", "mean below 0 against BMSHJ MSE",
          _sign("bmshj_vmaf_p", "vmaf", -1, "bmshj_mse")),
    Claim("6a", "JPEG is worse than all other classical codecs", "Table II", "by every metric",
          _jpeg_is_worst, _CLASSICAL_SCALE),
    Claim("6b", "JPEG 2000, HEVC 4:4:4 and 4:2:0 are ordered as Table II implies", "Table II",
          "all 15 signs", _order_of_classical, _CLASSICAL_SCALE),
    Claim("6c", "BD-rates against JPEG are those measured independently with the same software",
          "eval/published", "within 1.5 points", _reference, _CLASSICAL_SCALE),
    Claim("7a", "Encoding time of learned codecs does not depend on the rate, HEVC's does",
          "Fig. 12", f"slowest over fastest rate below, HEVC above {_SAME_TIME:g}",
          _rate_independent),
    Claim("7b", "Exports trained for MSE and VMAF_p take the same time", "Table V",
          f"within a factor of {_SAME_TIME:g}", _same_time),
)  # fmt: skip
