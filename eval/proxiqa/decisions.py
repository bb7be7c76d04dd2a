"""How rows decide the claims of ProxIQA."""

from __future__ import annotations

import itertools
import math

import pandas as pd

from lossylab.eval.proxiqa.evidence import Evidence
from lossylab.eval.proxiqa.tables import CODECS, METRICS
from lossylab.eval.report import published
from lossylab.eval.report.claims import UNDECIDED, Decide, Decision, all_known
from lossylab.losses.proxiqa import UPPER_BOUND

_CLASSICAL = ("jpeg2000", "hevc444", "hevc420")
_SETTLED = 0.25  # last fraction of a training whose scores are averaged
COINCIDE = 5.0  # points of the score between proxy and metric
DIFFERENT = 15.0
NEARLY_SAME = 5.0  # points of BD-rate; the paper's own pair differs by 3.4
SAME_TIME = 1.15  # ratio


def classical_scale(evidence: Evidence) -> str:
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
    found = _known(evidence, test, metric, anchor)
    if found is None:
        return False
    mean, error = found
    piecewise = evidence.bd(test, metric, anchor, "pchip")[0]
    return abs(mean) > 2 * error and mean * piecewise > 0


def sign_of_bd_rate(test: str, metric: str, wanted: int, anchor: str = "bls_mse") -> Decide:
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


def saves_by_every_metric(test: str, anchor: str) -> Decide:
    """A decision that a codec saves rate by every metric."""

    def decide(evidence: Evidence) -> Decision:
        found = all_known(
            {name: _known(evidence, test, metric, anchor) for name, metric in METRICS.items()}
        )
        if found is None:
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


def frozen_proxy_runs_away(evidence: Evidence) -> Decision:
    """Whether a frozen proxy's score leaves the true one behind."""
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
    left_behind = proxy - score > DIFFERENT and proxy - first.proxy > score - first.score
    return Decision(text, bool(left_behind and proxy > UPPER_BOUND - DIFFERENT))


def alternating_proxy_follows(evidence: Evidence) -> Decision:
    """Whether proxy and true score end alike."""
    found = _gap("alternating", evidence)
    if found is None:
        return UNDECIDED
    proxy, score, gap = found
    return Decision(f"proxy {proxy:.1f}, VMAF {score:.1f}, mean gap {gap:.1f}", gap < COINCIDE)


def nearly_the_same(evidence: Evidence) -> Decision:
    """Whether SSIM through the proxy and SSIM beside the pixel loss save alike."""
    pair = ("bls_ssim_p", "bls_ssim_mse")
    found = all_known({name: _known(evidence, name, "ssim", "bls_mse") for name in pair})
    if found is None:
        return UNDECIDED
    (one, _), (two, _) = found.values()
    text = f"SSIM_p {one:+.1f} %, SSIM + L_d {two:+.1f} %"
    if not any(_certain(evidence, name, "ssim", "bls_mse") for name in pair):
        return Decision(f"{text}: neither differs from MSE by more than noise", None)
    return Decision(text, abs(one - two) <= NEARLY_SAME)


def jpeg_is_worst(evidence: Evidence) -> Decision:
    """Whether every other classical codec saves rate against JPEG by every metric."""
    found = all_known(
        {
            (name, metric): _known(evidence, name, m, "jpeg")
            for name in _CLASSICAL
            for metric, m in METRICS.items()
        }
    )
    if found is None:
        return UNDECIDED
    (name, metric), (largest, _) = max(found.items(), key=lambda item: item[1][0])
    text = f"the least that another saves: {-largest:.1f} % ({name} by {metric})"
    return Decision(text, largest < 0)


def order_of_classical(evidence: Evidence) -> Decision:
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


def reference_agrees(evidence: Evidence) -> Decision:
    """Agreement with BD-rates of the same codecs that were measured independently."""
    largest, where = 0.0, ""
    for line in published.records("proxiqa_classical"):
        codec, metric = line["codec"], line["metric"]
        if _known(evidence, codec, metric, "jpeg") is None:
            return UNDECIDED
        gap = abs(evidence.bd(codec, metric, "jpeg")[0] - float(line["percent"]))
        if gap >= largest:
            largest, where = gap, f"{codec}, {metric}"
    return Decision(f"largest difference {largest:.2f} points ({where})", largest <= 1.5)


def _by_rate(timing: pd.DataFrame, codec: str) -> float:
    """Longest mean encoding time of a rate over the shortest."""
    times = timing[timing.codec == codec].groupby("point").encode_ms.mean()
    return float(times.max() / times.min()) if len(times) > 1 else math.nan


def time_is_independent_of_rate(evidence: Evidence) -> Decision:
    """Whether learned codecs take the same time at every rate, and HEVC does not."""
    names = ("bls_mse", "bls_vmaf_p", "hevc444")
    ratios = {name: _by_rate(evidence.timing, name) for name in names}
    if not all(math.isfinite(ratio) for ratio in ratios.values()):
        return UNDECIDED
    text = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
    flat = max(ratios["bls_mse"], ratios["bls_vmaf_p"]) < SAME_TIME
    return Decision(f"slowest over fastest rate: {text}", flat and ratios["hevc444"] > SAME_TIME)


def same_time(evidence: Evidence) -> Decision:
    """Whether codecs trained for MSE and for VMAF take the same time."""
    timing = evidence.timing
    means = [
        timing[timing.codec == n][["encode_ms", "decode_ms"]].mean()
        for n in ("bls_mse", "bls_vmaf_p")
    ]
    if any(mean.isna().any() for mean in means):
        return UNDECIDED
    ratios = means[1] / means[0]
    text = f"VMAF_p over MSE: encode {ratios.encode_ms:.2f}, decode {ratios.decode_ms:.2f}"
    return Decision(text, bool(ratios.between(1 / SAME_TIME, SAME_TIME).all()))
