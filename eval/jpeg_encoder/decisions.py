"""How claims of the JPEG encoder's paper are decided, their trivial competitors and needs."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
import scipy.stats

from lossylab.eval.jpeg_encoder.evidence import (
    FLAT,
    HIGH,
    JPEG,
    LOW,
    Evidence,
    at_equal_rate,
    of_mean_curves,
)
from lossylab.eval.report.claims import (
    UNMEASURED,
    Check,
    Decide,
    Decision,
    Need,
    Obstacle,
    Swap,
    Verdict,
    all_known,
    decision_by_gains,
    published_size,
    repetitions,
    replaced,
    trainings,
)
from lossylab.eval.report.names import published_label, published_name
from lossylab.eval.schemas import COMPETITORS

# Signs of a gain.
_BETTER = {"mse": -1, "psnr_rgb": 1, "ms_ssim_rgb": 1, "lpips": -1, "vmaf": 1}
_WORDS = {
    **{"mse": ("MSE", ".1f"), "psnr_rgb": ("PSNR", ".2f"), "ms_ssim_rgb": ("MS-SSIM", ".4f")},
    **{"lpips": ("LPIPS", ".6f"), "vmaf": ("VMAF", ".2f")},
}
OTHERS = ("jpegli", "mozjpeg")  # what users pick instead
_TABLES = "tables_bits"
_EQUAL = 0.02  # fraction of MSE, or of what MS-SSIM lacks, that is as good as nothing
_PIXEL_VALUES = 2  # that decoders may differ by
_FAR_LESS = 0.1  # of the time
_CERTAIN = 0.05

_replaced = functools.partial(replaced, table="codec")
Wanted = tuple[str, str, str]  # better, worse, measure


def _less(better: str, worse: str) -> str:
    return f"{published_name(better)} less {published_name(worse)}:"


def all_gain(
    *wanted: Wanted,
    low: float = LOW,
    high: float = HIGH,
    not_worse: bool = False,
    huffman: str = "standard",
) -> Decide:
    """A decision that all differences at equal rate are gains, beyond their 95 % intervals.

    Args:
      wanted: better encoder, worse encoder and measure, each.
      low: least bits per pixel.
      high: most.
      not_worse: decide instead that none is a loss of more than `_EQUAL`.
      huffman: whose rate counts.
    """

    def decide(evidence: Evidence) -> Decision:
        found = {each: at_equal_rate(evidence, *each, huffman, low, high) for each in wanted}
        known = all_known(found)
        if known is None:
            return UNMEASURED
        text = "; ".join(
            f"{_less(better, worse)} {_WORDS[measure][0]} {gap.said(_WORDS[measure][1])}"
            for (better, worse, measure), gap in known.items()
        )
        gains = [(_BETTER[m] * gap.mean, gap.margin) for (_, _, m), gap in known.items()]
        if not_worse:
            allowed = [_negligible(m, gap.level) for (_, _, m), gap in known.items()]
            gains = [(gain + loss, noise) for (gain, noise), loss in zip(gains, allowed)]
        return decision_by_gains(text, gains)

    return decide


def _negligible(measure: str, level: float) -> float:
    """A difference of a measure that is as good as none, of a mean of `level`."""
    return _EQUAL * (1 - level if measure == "ms_ssim_rgb" else level)


def gains_at_mean_rate(better: str, worse: str, low: float, high: float) -> Decide:
    """A decision that a mean curve of MS-SSIM lies above another, as in the paper's figures."""

    def decide(evidence: Evidence) -> Decision:
        if not {better, worse} <= set(evidence.names):
            return UNMEASURED
        found = of_mean_curves(evidence, better, worse, "ms_ssim_rgb", low, high)
        if found is None:
            return UNMEASURED
        text = f"{_less(better, worse)} MS-SSIM {found.said('.4f')}"
        return decision_by_gains(text, [(found.mean, found.margin)])

    return decide


def trains_faster(evidence: Evidence) -> Decision:
    """A step with ResNet-152 takes less time than one with VGG-19."""
    names = ("resnet152", "vgg19")
    rows = all_known({name: evidence.timing.get((name, "training step")) for name in names})
    if rows is None:
        return UNMEASURED
    resnet, vgg = rows.values()
    text = f"{100 * (vgg['seconds'] / resnet['seconds'] - 1):+.0f} % steps a second"
    margins = [
        scipy.stats.t.ppf(1 - _CERTAIN / 2, row["times"] - 1) * row["standard_error"]
        for row in (resnet, vgg)
    ]
    return decision_by_gains(text, [(vgg["seconds"] - resnet["seconds"], math.hypot(*margins))])


def nearly_equal(evidence: Evidence) -> Decision:
    """MSE with ResNet-152 is that with VGG-19 within 2 %."""
    found = at_equal_rate(evidence, "resnet", "vgg", "mse")
    if found is None:
        return UNMEASURED
    text = f"MSE {found.said('.1f')} of {found.level:.0f}"
    bound = _negligible("mse", found.level)
    if abs(found.mean) + found.margin <= bound:
        return Decision(text, True)
    return Decision(text, False if abs(found.mean) - found.margin > bound else None)


def faster_than_bls(evidence: Evidence) -> Decision:
    """Encoding with VGG-19 takes a tenth of the slowest BLS codec's time."""
    bls = [row for (name, _), row in evidence.timing.items() if name.startswith("bls")]
    ours = evidence.timing.get(("vgg19", "encode"))
    if not bls or ours is None:
        return UNMEASURED
    slowest = max(bls, key=lambda row: row["seconds"])
    text = (
        f"{ours['seconds']:.3f} s, {published_label(slowest['network'])} {slowest['seconds']:.3f} s"
    )
    return Decision(text, ours["seconds"] <= _FAR_LESS * slowest["seconds"])


def decoders_agree(evidence: Evidence) -> Decision:
    """Two decoders give nearly the same of every learned file."""
    others = (*COMPETITORS, JPEG, FLAT)
    gaps = evidence.table[~evidence.table.codec.isin(others)].decoder_difference
    if gaps.empty or gaps.isna().any():
        return UNMEASURED
    text = f"pixel values differ by at most {gaps.max():.0f} over {len(gaps)} files"
    return Decision(text, bool(gaps.max() <= _PIXEL_VALUES))


def moves_with_steps(kind: str) -> Decide:
    """Rate falls, MSE rises, MS-SSIM falls with the steps: by rank correlations."""

    def decide(evidence: Evidence) -> Decision:
        table = evidence.training.get(kind)
        if table is None or "ms_ssim" not in table:
            return UNMEASURED
        gains, words = [], []
        for name, sign in (("bpp", -1), ("mse", 1), ("ms_ssim", -1)):
            rank, chance = np.asarray(scipy.stats.spearmanr(table.step, table[name]))
            gains.append((sign * rank, 0.0 if chance < _CERTAIN else math.inf))
            words.append(f"{name} {rank:+.2f}")
        return decision_by_gains(f"rank correlations {', '.join(words)}", gains)

    return decide


# Trivial competitors, and what is needed.


def timed_as(name: str, rival: str) -> Swap:
    """Evidence in which a network takes a rival's time."""

    def swap(evidence: Evidence) -> Evidence:
        timing = dict(evidence.timing)
        for (network, work), row in evidence.timing.items():
            if network == rival:
                timing[name, work.removesuffix(" and decode")] = row
        return dataclasses.replace(evidence, timing=timing)

    return swap


def in_place_of(*models: str) -> dict[str, Swap]:
    """JPEG without any learning: with the standard's tables, and with flat ones."""
    return {
        "plain JPEG": _replaced(JPEG, *models),
        "JPEG with a flat quantization table": _replaced(FLAT, *models),
    }


def without_attention(*models: str) -> dict[str, Swap]:
    """The same, and learned tables alone, which see no image."""
    return {**in_place_of(*models), published_name("tables"): _replaced("tables", *models)}


def next_file(evidence: Evidence) -> Evidence:
    """Evidence of a decoder that shows each image as the encoder's file of the next higher rate.

    Decoded images whose errors are so far apart differ by at least that much in some pixel.
    """
    table = evidence.table.sort_values(["codec", "image", "bpp"])
    error = table.mse**0.5
    apart = (error - error.groupby([table.codec, table.image]).shift(-1)).abs()
    return dataclasses.replace(evidence, table=table.assign(decoder_difference=apart.fillna(0.0)))


def no_training(kind: str) -> dict[str, Swap]:
    """What moves, or does not move, without any training."""
    return {
        "plain JPEG of falling quality": _falling_quality(kind),
        "the steps in another order": _shuffled(kind),
    }


def _falling_quality(kind: str) -> Swap:
    """Evidence in which the steps of a training are standard JPEG's qualities, falling."""

    def swap(evidence: Evidence) -> Evidence:
        curve = evidence.curve(JPEG).sort_values("bpp", ascending=False)
        points = curve[["bpp", "mse"]].assign(ms_ssim=curve.ms_ssim_rgb, step=range(len(curve)))
        return dataclasses.replace(evidence, training={**evidence.training, kind: points})

    return swap


def _shuffled(kind: str) -> Swap:
    """Evidence in which the steps of a training are in another order."""

    def swap(evidence: Evidence) -> Evidence:
        training = dict(evidence.training)
        if kind in training:
            steps = np.random.default_rng(0).permutation(training[kind].step)
            training[kind] = training[kind].assign(step=steps)
        return dataclasses.replace(evidence, training=training)

    return swap


def trained_backbones(*names: str) -> Need:
    """Of these encoders; further trainings of theirs count as well."""

    def need(evidence: Evidence) -> Obstacle | None:
        models = evidence.about["models"]
        mine = [each for name in names for each in repetitions(models, name)]
        options = [each for name in mine for each in models[name].values()]
        if any(each.get("weights") == "random" for each in options):
            return Obstacle(Verdict.UNTESTABLE, "the backbones had random weights")
        return None

    return need


def trained(decide: Decide, *names: str, rival: str, models: Sequence[str]) -> Check:
    """A check of trained encoders; `rival` stands in the place of `models`."""
    instead = "plain JPEG" if rival == JPEG else published_name(rival)
    words = f"{instead} in the place of {', '.join(map(published_name, models))}"
    needs = (trained_backbones(*names), published_size, trainings(*names))
    return Check(decide, {words: _replaced(rival, *models)}, needs)


def ours(decide: Decide, better: str, worse: str, *needs: Need) -> Check:
    """A check of ours, of trainings from the same tables at whatever budget."""
    words = f"{published_name(worse)} in the place of {published_name(better)}"
    return Check(decide, {words: _replaced(worse, better)}, (*needs, trainings(better, worse)))


def better_in_both(better: str, worse: str, *needs: Need) -> Check:
    """A check of ours that an encoder is better than another in MSE and MS-SSIM."""
    measures = ("mse", "ms_ssim_rgb")
    return ours(all_gain(*((better, worse, m) for m in measures)), better, worse, *needs)


def random_backbones(name: str) -> Need:
    """Of an encoder that is there to show what random features do."""

    def need(evidence: Evidence) -> Obstacle | None:
        models = evidence.about["models"]
        mine = repetitions(models, name)
        weights = {each.get("weights") for n in mine for each in models[n].values()}
        known = weights <= {"random"}
        return None if known else Obstacle(Verdict.UNTESTABLE, "its backbone was a trained one")

    return need


def everywhere(better: str, worse: str, measure: str) -> Decide:
    """A decision that a measure is better in each third of the range of Fig. 5."""
    edges = [LOW + (HIGH - LOW) * i / 3 for i in range(4)]
    thirds = [
        all_gain((better, worse, measure), low=low, high=high)
        for low, high in zip(edges, edges[1:])
    ]

    def decide(evidence: Evidence) -> Decision:
        found = [third(evidence) for third in thirds]
        if any(each is UNMEASURED for each in found):
            return UNMEASURED
        holds = [each.holds for each in found]
        text = "; ".join(each.measured for each in found)
        return Decision(text, False if False in holds else None if None in holds else True)

    return decide


def beats_the_others(measure: str) -> Check:
    """A check that learned tables are better than encoders that users pick, at equal size."""
    decide = all_gain(
        *((_TABLES, other, measure) for other in OTHERS),
        low=0.0,
        high=math.inf,
        huffman="optimized",
    )
    return Check(decide, {"plain JPEG in their place": _replaced(JPEG, _TABLES)})
