"""What decides the claims of latent restoration's paper, and their trivial competitors."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lossylab.eval.latent_rows import GIVEN, MEAN, ORIGINAL, SAMPLES
from lossylab.eval.mmd_restoration.evidence import (
    LONGEST,
    SHORTEST,
    Evidence,
    budget,
    same,
    speedup,
)
from lossylab.eval.options.latent import JPEG, TASKS
from lossylab.eval.report.claims import (
    UNMEASURED,
    Check,
    Decide,
    Decision,
    Obstacle,
    Swap,
    Verdict,
    by_seed,
    decision_by_gains,
    published_size,
    replaced,
    trainings,
)
from lossylab.eval.report.differences import (
    Difference,
    mean_difference,
    over_trainings,
    pairs_of_trainings,
)
from lossylab.eval.schemas import PAIRED, UNPAIRED, one_spread

_FEWEST = 8  # images that a claim is decided by
_BETTER = 0.25  # dB: less is no better
_LIKELIER = 0.05  # bits/dim: less is no likelier
_FARTHER = 2.0  # times the pixel error: more is another image
_FASTER = 20.0  # times
_SMALL = 64  # pixels, of the images that both samplers draw
_DRAWN, _GIVEN = "drawn", "degraded"  # how labels of Fig. 5 begin
_BLOCK = 8
_NOISE = 60.0  # levels; 85 between two of uniform noise


def _lower(
    measure: str, *pairs: tuple[str, str], tasks: Sequence[str] = TASKS, digits: int = 4
) -> Decide:
    """Decides whether a row's measure is lower than another's, for each pair and task."""

    def decide(evidence: Evidence) -> Decision:
        found = {
            (pair, task): evidence.difference(*pair, task, measure)
            for pair in pairs
            for task in tasks
        }
        known = {key: gap for key, gap in found.items() if gap}
        if {pair for pair, _ in known} != set(pairs) or _few(known):
            return UNMEASURED
        text = ", ".join(
            f"{one} - {other} {task}: {gap.said(f'.{digits}f')}"
            for ((one, other), task), gap in known.items()
        )
        return decision_by_gains(text, ((-gap.mean, gap.margin) for gap in known.values()))

    return decide


def _near_to_the_prior(evidence: Evidence) -> Decision:
    """Whether row 5's MMD is the lowest, of images that agree with the given ones as row 3's do."""
    found = _lower("mmd", ("5", "3"), ("5", "2"), digits=5)(evidence)
    if found is UNMEASURED:
        return found
    mine, other = ([evidence.mean(row, task, "pixel") for task in TASKS] for row in ("5", "3"))
    ratio = max((a / b for a, b in zip(mine, other) if a >= 0 and b > 0), default=0.0)
    if ratio <= _FARTHER:
        return found
    return Decision(f"{found.measured}; pixel error {ratio:.1f} times row 3's", False)


def _few(gaps: Mapping[Any, Difference]) -> bool:
    return min((gap.count for gap in gaps.values()), default=0) < _FEWEST


def _nll(evidence: Evidence, model: str, kind: str) -> pd.Series:
    """Likelihoods by a degradation model, by image."""
    table = evidence.nll
    mine = table[(table.model == model) & (table.kind == kind)]
    return mine.set_index("image").nll.sort_index().astype(float)


def _paired_is_likelier(evidence: Evidence) -> Decision:
    """Pairs at most half of others, by the model that Table 1 is compared with."""
    paired, unpaired = (_nll(evidence, LONGEST, kind) for kind in (PAIRED, UNPAIRED))
    gap = mean_difference(unpaired / 2 - paired) if len(paired) else None
    if gap is None:
        return UNMEASURED
    text, gaps = f"{paired.mean():.2f} and {unpaired.mean():.2f} bits/dim", [gap]
    spread = _nll(evidence, _name_of_one_spread(evidence), PAIRED)
    over = mean_difference(spread - paired) if len(spread) else None
    if over is not None:
        text, gaps = f"{text}, {spread.mean():.2f} by one spread", [gap, over]
    return decision_by_gains(text, ((each.mean, each.margin) for each in gaps))


def _longer_is_likelier(evidence: Evidence) -> Decision:
    """The longer trained model's bits below the shorter's, over all seeds that both have."""
    names = (by_seed(evidence.nll.model, model) for model in (LONGEST, SHORTEST))
    both = [
        [_nll(evidence, model, PAIRED) for model in pair] for pair in pairs_of_trainings(*names)
    ]
    gap = over_trainings([short - long for long, short in both])
    if gap is None:
        return UNMEASURED
    means = [np.mean([each.mean() for each in side]) for side in zip(*both)]
    text = f"{means[0]:.2f} against {means[1]:.2f} bits/dim"
    return decision_by_gains(text, [(gap.mean, gap.margin)])


def _longer_restores_no_better(evidence: Evidence) -> Decision:
    # The original's likelihood by the two models: the premise is that the longer trained one's is
    # better. Without a judge of its own `nll` is the longer's.
    measured = (evidence.mean(ORIGINAL, JPEG, name) for name in ("longest_nll", "nll", "own_nll"))
    longest, judged, short = measured
    long = judged if math.isnan(longest) else longest
    pairs = (("9", "8"), ("12", "11"))
    gaps = {rows: gap for rows in pairs if (gap := evidence.difference(*rows, JPEG, "psnr"))}
    if len(gaps) < len(pairs) or not long < short or _few(gaps):
        return UNMEASURED
    text = ", ".join(f"{gap.said('.2f')} dB" for gap in gaps.values())
    return decision_by_gains(text, ((_BETTER - gap.mean, gap.margin) for gap in gaps.values()))


def _no_lower_nll(evidence: Evidence) -> Decision:
    pairs = (("8", "5"), ("9", "5"))
    gaps = {rows: gap for rows in pairs if (gap := evidence.difference(*rows, JPEG, "nll"))}
    if len(gaps) < len(pairs) or _few(gaps):
        return UNMEASURED
    text = ", ".join(f"{a} - {b}: {gap.said('.3f')} bits/dim" for (a, b), gap in gaps.items())
    return decision_by_gains(text, ((_LIKELIER + gap.mean, gap.margin) for gap in gaps.values()))


def _sampler_is_exact_and_fast(evidence: Evidence) -> Decision:
    fast, slow = (evidence.drawn[name] for name in ("wavefront", "naive"))
    both = [name for name in fast if name in slow and int(fast[name]["width"]) >= _SMALL]
    if not both:
        return UNMEASURED
    times = [speedup(fast[name], slow[name]) for name in both]
    equal = all(same(fast[name], slow[name]) for name in both)
    text = f"{min(times):.0f} times, images {'equal' if equal else 'differ'}"
    return Decision(text, equal and min(times) >= _FASTER)


def _turns_to_noise(evidence: Evidence) -> Decision:
    """Whether some draw of Fig. 5, not most, has a block as rough as uniform noise nearly is."""
    draws = [tile for tiles in evidence.samples for tile in tiles if tile.label.startswith(_DRAWN)]
    if not draws:
        return UNMEASURED
    noisy = sum(_roughest(tile.pixels) >= _NOISE for tile in draws)
    return Decision(f"{noisy} of {len(draws)} draws", 0 < noisy < len(draws) / 2)


def _roughest(pixels: np.ndarray) -> float:
    """The largest mean difference of levels side by side of any 8x8 block."""
    rough = np.abs(np.diff(pixels.astype(float), axis=1)).mean(-1)
    height, width = (size // _BLOCK * _BLOCK for size in rough.shape)
    blocks = rough[:height, :width].reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
    return float(blocks.mean((1, 3)).max())


# Trivial competitors, and what is needed.


def _row(rival: str, *models: str) -> Swap:
    """Evidence in which one row's trials stand in the place of others'."""

    def swap(evidence: Evidence) -> Evidence:
        published = dataclasses.replace(
            evidence, study=evidence.study[evidence.study.variant == ""]
        )
        return replaced(rival, *models, study="row")(published)

    return swap


def _one_spread(evidence: Evidence) -> Evidence:
    """Evidence in which the longest trained model's rival stands in its place."""
    return replaced(_name_of_one_spread(evidence), LONGEST, nll="model")(evidence)


def _name_of_one_spread(evidence: Evidence) -> str:
    first = evidence.nll[evidence.nll.model == LONGEST].iloc[0]
    return one_spread(first.degradation, first.severity, first.factor)


def _real_jpeg(evidence: Evidence) -> Evidence:
    """Evidence in which the images drawn are the degraded ones themselves."""
    samples = [
        [dataclasses.replace(tile, label=_DRAWN) for tile in tiles if tile.label.startswith(_GIVEN)]
        for tiles in evidence.samples
    ]
    return dataclasses.replace(evidence, samples=samples)


def _untrained(evidence: Evidence) -> Evidence:
    """Evidence of the draws of a model that has learned nothing."""
    return dataclasses.replace(evidence, samples=evidence.untrained)


def _naive_twice(evidence: Evidence) -> Evidence:
    return dataclasses.replace(
        evidence, drawn={**evidence.drawn, "wavefront": evidence.drawn["naive"]}
    )


def _calibrated(evidence: Evidence) -> Obstacle | None:
    """Distances from styles need a mapping whose styles are distributed as StyleGAN's."""
    trained = budget(evidence.study)
    if "calibrated" not in trained and ("untrained" in trained or "random weights" in trained):
        words = "the generators' mapping is random, and the sign depends on it"
        return Obstacle(Verdict.UNTESTABLE, words)
    return None


def _by_score(other: str) -> Check:
    return Check(
        _lower("resize_mean", ("5", other), tasks=(JPEG,), digits=2),
        {f"row {other} in row 5's place": _row(other, "5"), "the mean style": _row(MEAN, "5")},
        (published_size,),
    )


CHECKS = {
    "1a": Check(
        _paired_is_likelier,
        {"the clean image with one spread": _one_spread},
        for_failing=(published_size,),
    ),
    "2a": Check(
        _lower("nll", ("4", "2"), ("5", "2"), tasks=(JPEG,)),
        {
            "PULSE itself": _row("2", "4", "5"),
            "the search of row 3, without MMD": _row("3", "4", "5"),
            "the input itself, scaled up": _row(GIVEN, "4", "5"),
            "the mean style without a search": _row(MEAN, "4", "5"),
        },
        for_failing=(published_size,),
    ),
    "2b": Check(
        _near_to_the_prior,
        {
            "independent samples": _row(SAMPLES, "5"),
            "the mean style without a search": _row(MEAN, "5"),
        },
    ),
    "2c": Check(
        _lower("latent", ("5", "3"), digits=2),
        {"the mean style without a search": _row(MEAN, "5"), "row 3": _row("3", "5")},
        (_calibrated,),
    ),
    "2d": Check(
        _lower("latent", ("5", "2"), ("5", MEAN), digits=2),
        {"the mean style without a search": _row(MEAN, "5")},
        (_calibrated,),
    ),
    "2e": _by_score("3"),
    "2f": _by_score("4"),
    "2g": _by_score("7"),
    "2h": _by_score(ORIGINAL),
    "3b": Check(
        _turns_to_noise,
        {"the degraded images": _real_jpeg, "an untrained sampler": _untrained},
        for_failing=(published_size,),
    ),
    "3d": Check(_sampler_is_exact_and_fast, {"pixel by pixel": _naive_twice}),
    "4a": Check(
        _longer_is_likelier,
        {"the shorter training": replaced(SHORTEST, LONGEST, nll="model")},
        (trainings(LONGEST, SHORTEST),),
        for_failing=(published_size,),
    ),
    "4b": Check(
        _longer_restores_no_better,
        {"row 5, without a degradation model": _row("5", "9", "12")},
        for_failing=(published_size,),
    ),
    "4c": Check(
        _no_lower_nll,
        {"the clean original": _row(ORIGINAL, "8", "9")},
        for_failing=(published_size,),
    ),
}
