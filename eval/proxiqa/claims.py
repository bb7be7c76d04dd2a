"""The claims of ProxIQA that rows can decide."""

from __future__ import annotations

import itertools
import math

import pandas as pd

from lossylab.eval.proxiqa.tables import CODECS, METRICS, Evidence
from lossylab.eval.report import published
from lossylab.eval.report.claims import UNDECIDED, Claim, Decision
from lossylab.losses.proxiqa import UPPER_BOUND

_CLASSICAL = ("jpeg2000", "hevc444", "hevc420")
_BELOW = "mean below 0, beyond noise"
_SETTLED = 0.25  # last share of a training whose scores are averaged
_COINCIDE = 5.0  # points of the score between proxy and metric
_APART = 15.0
_NEARLY_SAME = 5.0  # points of BD-rate; the paper's own pair differs by 3.4
_SAME_TIME = 1.15  # ratio


def _classical_scale(evidence: Evidence) -> str:
    """What the classical codecs were measured at; it is not the budget of a training."""
    mine = evidence.table[evidence.table.codec.isin(_CLASSICAL)]
    if mine.empty:
        return ""
    rates = mine.groupby(["codec", "image"]).size()
    return (
        f"no training: {mine.image.nunique()} images, {rates.min()} to {rates.max()} rates, "
        f"{mine.bpp_file.min():.2f} to {mine.bpp_file.max():.2f} bpp"
    )


def _known(evidence: Evidence, test: str, metric: str, anchor: str) -> tuple[float, float] | None:
    """Mean BD-rate and its standard error; None unless every image could be compared."""
    mean, std, count = evidence.bd(test, metric, anchor)
    images = len(evidence.per_image(test, metric, anchor))
    return (mean, std / math.sqrt(count)) if count and count == images else None


def _certain(evidence: Evidence, test: str, metric: str, anchor: str) -> bool:
    """Whether a mean's sign is more than noise and a matter of one odd cubic."""
    mean, error = _known(evidence, test, metric, anchor)
    piecewise = evidence.bd(test, metric, anchor, "pchip")[0]
    return abs(mean) > 2 * error and mean * piecewise > 0


def _sign(test: str, metric: str, wanted: int, anchor: str = "bls_mse"):
    """A decision by the sign of a mean BD-rate."""

    def decide(evidence: Evidence) -> Decision:
        if _known(evidence, test, metric, anchor) is None:
            return UNDECIDED
        mean, std, count = evidence.bd(test, metric, anchor)
        values = evidence.per_image(test, metric, anchor).values()
        agree = sum(v.percent * wanted > 0 for v in values)
        piecewise = evidence.bd(test, metric, anchor, "pchip")[0]
        text = (
            f"{mean:+.1f} % ± {std:.1f} (pchip {piecewise:+.1f} %), the claimed sign on {agree} of "
            f"{count} images"
        )
        if not _certain(evidence, test, metric, anchor):
            return Decision(f"{text}: within noise", None)
        return Decision(text, mean * wanted > 0)

    return decide


def _everywhere(test: str, anchor: str):
    """A decision that a codec saves rate by every metric."""

    def decide(evidence: Evidence) -> Decision:
        found = {name: _known(evidence, test, m, anchor) for name, m in METRICS.items()}
        if None in found.values():
            return UNDECIDED
        text = ", ".join(f"{name} {mean:+.1f} %" for name, (mean, _) in found.items())
        holds = all(mean < 0 for mean, _ in found.values())
        if holds and not all(_certain(evidence, test, m, anchor) for m in METRICS.values()):
            return Decision(f"{text}: within noise", None)
        return Decision(text, holds)

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
    first = evidence.training["frozen"].iloc[0]
    text = (
        f"proxy {first.proxy:.1f} to {proxy:.1f}, VMAF {first.score:.1f} to {score:.1f}; without "
        "a bound in Eq. 9 the proxy's score goes on beyond 100"
        if proxy > UPPER_BOUND
        else f"proxy {first.proxy:.1f} to {proxy:.1f}, VMAF {first.score:.1f} to {score:.1f}"
    )
    left_behind = proxy - score > _APART and proxy - first.proxy > score - first.score
    return Decision(text, bool(left_behind and proxy > UPPER_BOUND - _APART))


def _alternating(evidence: Evidence) -> Decision:
    found = _gap("alternating", evidence)
    if found is None:
        return UNDECIDED
    proxy, score, gap = found
    return Decision(f"proxy {proxy:.1f}, VMAF {score:.1f}, mean gap {gap:.1f}", gap < _COINCIDE)


def _nearly_same(evidence: Evidence) -> Decision:
    pair = ("bls_ssim_p", "bls_ssim_mse")
    found = [_known(evidence, name, "ssim", "bls_mse") for name in pair]
    if None in found:
        return UNDECIDED
    (one, _), (two, _) = found
    text = f"SSIM_p {one:+.1f} %, SSIM + L_d {two:+.1f} %"
    if not any(_certain(evidence, name, "ssim", "bls_mse") for name in pair):
        return Decision(f"{text}: neither differs from MSE by more than noise", None)
    return Decision(text, abs(one - two) <= _NEARLY_SAME)


def _jpeg_is_worst(evidence: Evidence) -> Decision:
    found = {
        (name, metric): _known(evidence, name, m, "jpeg")
        for name in _CLASSICAL
        for metric, m in METRICS.items()
    }
    if None in found.values():
        return UNDECIDED
    (name, metric), (largest, _) = max(found.items(), key=lambda item: item[1][0])
    text = f"the least that another saves: {-largest:.1f} % ({name} by {metric})"
    return Decision(text, largest < 0)


def _order_of_classical(evidence: Evidence) -> Decision:
    """Signs of BD-rates between the classical codecs, as the paper's Table II implies them."""
    values = published.numbers("proxiqa", "II")
    names = {mine: paper for paper, mine in CODECS.items()}
    wrong, total = [], 0
    for anchor, test in itertools.combinations(_CLASSICAL, 2):
        for name, metric in METRICS.items():
            if _known(evidence, test, metric, anchor) is None:
                return UNDECIDED
            mean = evidence.bd(test, metric, anchor)[0]
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
        if _known(evidence, line.codec, line.metric, "jpeg") is None:
            return UNDECIDED
        mean = evidence.bd(line.codec, line.metric, "jpeg")[0]
        if abs(mean - float(line.percent)) >= largest:
            largest, where = abs(mean - float(line.percent)), f"{line.codec}, {line.metric}"
    return Decision(f"largest difference {largest:.2f} points ({where})", largest <= 1.5)


def _by_rate(timing: pd.DataFrame, codec: str) -> float:
    """Longest mean encoding time of a rate over the shortest."""
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
    Claim("1a", "VMAF_p lowers the VMAF BD-rate against MSE", "-23.4 %", _BELOW,
          _sign("bls_vmaf_p", "vmaf", -1)),
    Claim("1b", "VMAF_p raises the PSNR BD-rate", "+5.2 %", "mean above 0, beyond noise",
          _sign("bls_vmaf_p", "psnr", +1)),
    Claim("2a", "SSIM_p lowers the SSIM BD-rate", "-21.3 %", _BELOW,
          _sign("bls_ssim_p", "ssim", -1)),
    Claim("2b", "MSIM_p lowers the MS-SSIM BD-rate", "-21.8 %", _BELOW,
          _sign("bls_ms_ssim_p", "ms_ssim", -1)),
    Claim("3a", "With a frozen proxy its score runs toward 100, VMAF does not follow", "Fig. 7(a)",
          f"at the end proxy above {UPPER_BOUND - _APART:g}, {_APART:g} above VMAF, and rose more",
          _frozen),
    Claim("3b", "Alternating, proxy and true score coincide", "Fig. 7(b)",
          f"mean gap below {_COINCIDE:g} points at the end", _alternating),
    Claim("4", "SSIM_p and SSIM + L_d give nearly the same SSIM BD-rate", "-19.0 %, -22.4 %",
          f"at most {_NEARLY_SAME:g} points apart", _nearly_same),
    Claim("5a", "BMSHJ beats BLS by every metric, both at MSE", "-10.2 % to -25.8 %",
          f"all: {_BELOW}", _everywhere("bmshj_mse", "bls_mse")),
    Claim("5b", "VMAF_p helps BMSHJ too", "-25.8 % and -47.1 % against BLS",
          f"{_BELOW}, against BMSHJ MSE", _sign("bmshj_vmaf_p", "vmaf", -1, "bmshj_mse")),
    Claim("6a", "JPEG is worse than all other classical codecs", "Table II", "by every metric",
          _jpeg_is_worst, _classical_scale),
    Claim("6b", "JPEG 2000, HEVC 4:4:4 and 4:2:0 are ordered as Table II implies", "Table II",
          "all 15 signs", _order_of_classical, _classical_scale),
    Claim("6c", "Not of the paper: BD-rates against JPEG are those measured independently",
          "none", "within 1.5 points", _reference, _classical_scale),
    Claim("7a", "Encoding time of learned codecs does not depend on the rate, HEVC's does",
          "Fig. 12", f"slowest over fastest rate below, HEVC above {_SAME_TIME:g}",
          _rate_independent),
    Claim("7b", "Exports trained for MSE and VMAF_p take the same time", "Table V",
          f"within a factor of {_SAME_TIME:g}", _same_time),
)  # fmt: skip
