"""How rows decide the claims of ProxIQA."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from lossylab.eval.proxiqa.evidence import ANCHOR, Evidence, lambda_of
from lossylab.eval.proxiqa.tables import CODECS, METRICS
from lossylab.eval.report import published
from lossylab.eval.report.claims import (
    ENOUGH_TRAININGS,
    UNMEASURED,
    Decide,
    Decision,
    Need,
    Obstacle,
    all_known,
    decision_by_gains,
    repetitions,
    too_few,
)
from lossylab.eval.report.differences import mean_difference
from lossylab.eval.report.names import published_name

CLASSICAL = ("jpeg2000", "hevc444", "hevc420")
PROXIES = ("bls_vmaf_p", "bls_ssim_p", "bls_ms_ssim_p")
DIFFERENT = 15.0  # points of the score
_END, _EARLY = 0.25, 0.75  # last fractions of a training whose scores are looked at
_NEARLY_SAME = 5.0  # points of BD-rate; the paper's own pair differs by 3.4
_SAME_TIME = 1.15  # ratio
_BEST = -20.0  # per cent
_NAMES = {name: paper for paper, name in METRICS.items()}


def paired(*pairs: tuple[str, str]) -> Need:
    """Several pairs of trainings from the same start, or several trainings, of each two codecs.

    A pair may be of each rate, although codecs of one seed are handed from rate to rate and so are
    no independent trainings: the decision says of how many seeds and rates it is.
    """

    def need(evidence: Evidence) -> Obstacle | None:
        for test, anchor in pairs:
            gaps = _pairs(evidence, test, "psnr", anchor)
            fewest = max(_seeds(evidence, test, anchor), 0 if gaps is None else gaps.shape[1])
            if obstacle := too_few(fewest):
                return obstacle
        return None

    return need


def _start(codec: str) -> str:
    """Which training a codec begins with: that of its network."""
    return codec.split("_", 1)[0]


def _seeds(evidence: Evidence, test: str, anchor: str) -> int:
    """Trainings of each of two codecs."""
    return min(len(repetitions(evidence.names, name)) for name in (test, anchor))


def _pairs(evidence: Evidence, test: str, metric: str, anchor: str) -> pd.DataFrame | None:
    """Rates of the pairs of trainings from the same start; None for networks of several."""
    return evidence.pairs(test, metric, anchor) if _start(test) == _start(anchor) else None


def _gain(
    evidence: Evidence, test: str, metric: str, sign: int, anchor: str
) -> tuple[str, list[tuple[float, float]]] | None:
    """In words, and the gains over images and over trainings, with their margins.

    Of too few seeds the gains at single rates stand for trainings, as far as all images have them.
    """
    found = evidence.difference(test, metric, anchor)
    if found is None:
        return None
    text, gains = f"{_NAMES[metric]} {found.said('.1f')} %", [(sign * found.mean, found.margin)]
    pairs = _pairs(evidence, test, metric, anchor)
    if pairs is None or _seeds(evidence, test, anchor) >= ENOUGH_TRAININGS:
        return text, gains
    rates = pairs.dropna(axis=1).mean()
    over = mean_difference(rates)
    if over is None or over.count < ENOUGH_TRAININGS:
        return f"{text} (comparable rates: {len(rates)})", [(0.0, math.inf)]  # nothing is known
    gains.append((sign * over.mean, over.margin))
    return f"{text} ({over.count} rates: {over.said('.1f')} %)", gains


def bd_rates(*wanted: tuple[str, str, int], anchor: str = ANCHOR) -> Decide:
    """A decision by the signs of mean BD-rates.

    Args:
      wanted: codec, metric and the sign that its BD-rate has by the claim, each.
      anchor: what it is compared with.
    """

    def decide(evidence: Evidence) -> Decision:
        known = all_known(dict(enumerate(_gain(evidence, *each, anchor) for each in wanted)))
        if known is None:
            return UNMEASURED
        several = len({test for test, _, _ in wanted}) > 1
        words = [
            f"{_short(test)}: {text}" if several else text
            for (test, _, _), (text, _) in zip(wanted, known.values())
        ]
        seeds = min(_seeds(evidence, test, anchor) for test, _, _ in wanted)
        text = f"{', '.join(words)}; {seeds} seed{'s' * (seeds > 1)}"
        return decision_by_gains(text, itertools.chain(*(g for _, g in known.values())))

    return decide


def _short(codec: str) -> str:
    return next((paper for paper, name in CODECS.items() if name == codec), codec)


def best_image(test: str, metric: str) -> Decide:
    """Whether some image saves as much as the paper's best."""

    def decide(evidence: Evidence) -> Decision:
        values = evidence.percents(test, metric)
        if values.empty or values.isna().any():
            return UNMEASURED
        return Decision(f"{values.min():+.1f} % ({values.idxmin()})", bool(values.min() <= _BEST))

    return decide


def _difference_of_rates(
    evidence: Evidence, one: str, other: str, metric: str
) -> tuple[float, float] | None:
    """BD-rate of one codec minus that of another, both against the anchor, and its margin."""
    a, b = (evidence.percents(name, metric) for name in (one, other))
    found = mean_difference(a - b)
    return found and (found.mean, found.margin)


def gap_to_ssim(evidence: Evidence) -> Decision:
    """Whether SSIM itself saves more than through the proxy."""
    found = _difference_of_rates(evidence, "bls_ssim_p", "bls_ssim", "ssim")
    if found is None:
        return UNMEASURED
    one, two = (evidence.bd(name, "ssim")[0] for name in ("bls_ssim_p", "bls_ssim"))
    return decision_by_gains(f"SSIM_p {one:+.1f} %, SSIM {two:+.1f} %", [found])


def nearly_the_same(evidence: Evidence) -> Decision:
    """Whether SSIM through the proxy and SSIM beside the pixel loss save alike."""
    pair = ("bls_ssim_p", "bls_ssim_mse")
    found = all_known({name: evidence.difference(name, "ssim") for name in pair})
    if found is None:
        return UNMEASURED
    one, two = found.values()
    text = f"SSIM_p {one.said('.1f')} %, SSIM + L_d {two.said('.1f')} %"
    save = all(each.mean + each.margin < 0 for each in (one, two))
    return Decision(text, save and abs(one.mean - two.mean) <= _NEARLY_SAME)


def costs_most_psnr(evidence: Evidence) -> Decision:
    """Whether SSIM alone has less PSNR at equal rate than SSIM + L_d and SSIM_p."""
    names = ("bls_ssim", "bls_ssim_p", "bls_ssim_mse")
    known = all_known({name: evidence.quality_gaps(name, "psnr") for name in names})
    if known is None:
        return UNMEASURED
    whole = [frame.dropna(axis=1) for frame in known.values()]
    shared = sorted(set.intersection(*(set(frame.columns) for frame in whole)))
    if not shared:
        return UNMEASURED
    alone, *others = (frame[shared].mean(axis=1) for frame in whole)
    found = [mean_difference(other - alone) for other in others]
    if any(each is None for each in found):
        return UNMEASURED
    text = f"{alone.mean():+.1f} dB against {others[0].mean():+.1f} and {others[1].mean():+.1f} dB"
    return decision_by_gains(text, ((each.mean, each.margin) for each in found if each))


def _end(run: str, evidence: Evidence, fraction: float) -> pd.DataFrame | None:
    """The last scores of a training."""
    table = evidence.training.get(run)
    return None if table is None else table[table.step > (1 - fraction) * table.step.max()]


def frozen_proxy_runs_away(evidence: Evidence) -> Decision:
    """Whether a frozen proxy's score leaves the true one behind."""
    end = _end("frozen", evidence, _END)
    if end is None:
        return UNMEASURED
    first = evidence.training["frozen"].iloc[0]
    proxy, score = float(end.proxy.mean()), float(end.score.mean())
    text = f"proxy {first.proxy:.0f} to {proxy:.0f}, VMAF {first.score:.0f} to {score:.0f}"
    risen = (proxy - first.proxy) - (score - first.score)
    return Decision(text, bool(proxy - score > DIFFERENT and risen > DIFFERENT))


def alternating_proxy_follows(evidence: Evidence) -> Decision:
    """Whether the proxy's means follow the true ones better than a line over the steps would."""
    end = _end("alternating", evidence, _EARLY)
    if end is None:
        return UNMEASURED
    steps = _steps_of_rows(evidence.training["alternating"])[end.index]
    rms, spread = (
        float(np.average((end.score - guess) ** 2, weights=steps) ** 0.5)
        for guess in (end.proxy, score_by_line(evidence.training["alternating"])[end.index])
    )
    text = f"rms gap {rms:.2f} points, deviation of VMAF from its line {spread:.2f}"
    return Decision(text, rms < spread and not math.isclose(rms, spread, rel_tol=1e-6))


def _steps_of_rows(table: pd.DataFrame) -> pd.Series:
    """How many steps each row of a training is the mean of."""
    return table.step.diff().fillna(table.step)


def score_by_line(table: pd.DataFrame) -> pd.Series:
    """The true scores of a training by the line over its steps that fits the later ones best."""
    late = table.step > (1 - _EARLY) * table.step.max()
    weights = np.sqrt(_steps_of_rows(table)[late])
    degree = min(1, late.sum() - 1)  # a single row has no line
    line = np.polynomial.Polynomial.fit(table.step[late], table.score[late], degree, w=weights)
    return line(table.step)


def jpeg_is_worst(evidence: Evidence) -> Decision:
    """Whether every other classical codec saves rate against JPEG by every metric."""
    found = all_known(
        {
            (name, metric): evidence.difference(name, m, "jpeg")
            for name in CLASSICAL
            for metric, m in METRICS.items()
        }
    )
    if found is None:
        return UNMEASURED
    (name, metric), least = max(found.items(), key=lambda item: item[1].mean)
    saved = f"{-least.mean:.1f} % ± {least.margin:.1f}"
    text = f"the least that another saves is {saved} ({_short(name)}, {metric})"
    return decision_by_gains(text, ((-each.mean, each.margin) for each in found.values()))


def order_of_classical(evidence: Evidence) -> Decision:
    """Signs of BD-rates between the classical codecs, as the paper's Table II implies them."""
    values = published.numbers("proxiqa", "II")
    names = {mine: paper for paper, mine in CODECS.items()}
    gains, wrong = [], []
    for anchor, test in itertools.combinations(CLASSICAL, 2):
        for name, metric in METRICS.items():
            found = evidence.difference(test, metric, anchor)
            if found is None:
                return UNMEASURED
            of_test, of_anchor = (values[names[c], f"Kodak/{name}", "mean"] for c in (test, anchor))
            implied = (100 + of_test) / (100 + of_anchor) - 1
            gains.append((math.copysign(found.mean, found.mean * implied), found.margin))
            if found.mean * implied < 0:
                wrong.append(
                    f"{names[test]} against {names[anchor]} by {name} ({found.said('.1f')} %)"
                )
    text = f"{len(gains) - len(wrong)} of {len(gains)} orders"
    return decision_by_gains(f"{text}; not {', '.join(wrong)}" if wrong else text, gains)


def on_one_image(test: str, image: str, metric: str, anchors: Sequence[str]) -> Decide:
    """Whether a codec saves rate on one image against each of others."""

    def decide(evidence: Evidence) -> Decision:
        found = {a: evidence.percents(test, metric, a).get(image, math.nan) for a in anchors}
        if any(math.isnan(value) for value in found.values()):
            return UNMEASURED
        text = ", ".join(
            f"{value:+.1f} % against {published_name(name)}" for name, value in found.items()
        )
        return Decision(text, all(value < 0 for value in found.values()))

    return decide


def improves_with_steps(evidence: Evidence) -> Decision:
    """Whether the saving against MSE after the fewest steps grows from each stop to the next."""
    stops = sorted(
        int(n.split("_at_")[1]) for n in evidence.names if n.startswith("bls_vmaf_p_at_")
    )
    ends = [*(f"_at_{stop}" for stop in stops), ""]
    anchor = f"{ANCHOR}{ends[0]}"  # one baseline for all, as the solid line of Fig. 11
    curves = [evidence.percents(f"bls_vmaf_p{end}", "vmaf", anchor) for end in ends]
    if len(curves) < 2 or any(curve.empty or curve.isna().any() for curve in curves):
        return UNMEASURED
    gaps = [mean_difference(one - two) for one, two in itertools.pairwise(curves)]
    text = ", ".join(f"{curve.mean():+.1f} %" for curve in curves)
    words = f"{text} after {', '.join(map(str, stops))} steps and at the end"
    return decision_by_gains(words, ((gap.mean, gap.margin) for gap in gaps if gap))


def _by_rate(timing: pd.DataFrame, codec: str) -> float:
    """Mean encoding time of the highest rate over the lowest's."""
    mine = timing[timing.codec == codec].groupby("point")[["bpp_file", "encode_ms"]].mean()
    if len(mine) < 2:
        return math.nan
    times = mine.sort_values("bpp_file").encode_ms
    return float(times.iloc[-1] / times.iloc[0])


def time_depends_on_rate(evidence: Evidence) -> Decision:
    """Whether classical codecs take longer at high rates, and learned ones do not.

    One that does not do so decides, whatever else was measured.
    """
    names = (ANCHOR, "jpeg", "jpeg2000", "hevc444")
    ratios = {name: _by_rate(evidence.timing, name) for name in names}
    known = {name: ratio for name, ratio in ratios.items() if math.isfinite(ratio)}
    holds = all((ratio > _SAME_TIME) == (name != ANCHOR) for name, ratio in known.items())
    if holds and len(known) < len(names):
        return UNMEASURED
    text = ", ".join(f"{'BLS' if n == ANCHOR else _short(n)} {r:.2f}" for n, r in known.items())
    return Decision(f"times {text}", holds)


def same_time(evidence: Evidence) -> Decision:
    """Whether codecs trained for MSE and for VMAF take the same time."""
    timing = evidence.timing.assign(lmbda=evidence.timing.setting.map(lambda_of))
    mine, theirs = (timing[timing.codec == name] for name in ("bls_vmaf_p", ANCHOR))
    if mine.lmbda.notna().all():  # at the rates of both
        mine, theirs = mine[mine.lmbda.isin(theirs.lmbda)], theirs[theirs.lmbda.isin(mine.lmbda)]
    if mine.empty or theirs.empty:
        return UNMEASURED
    columns = ["encode_ms", "decode_ms"]
    encode, decode = (mine[name].mean() / theirs[name].mean() for name in columns)
    text = f"{encode:.2f} times to encode, {decode:.2f} to decode"
    return Decision(text, all(1 / _SAME_TIME <= each <= _SAME_TIME for each in (encode, decode)))
