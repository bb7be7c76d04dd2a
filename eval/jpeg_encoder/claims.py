"""What decides the claims of the JPEG encoder's paper, and their trivial competitors."""

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
    Obstacle,
    Swap,
    Verdict,
    all_known,
    decision_by_gains,
    published_size,
    replaced,
    timed_on_a_gpu,
    trainings,
)
from lossylab.eval.report.names import published_label, published_name

_BETTER = {"mse": -1, "ms_ssim_rgb": 1, "lpips": -1}  # sign of a gain
_WORDS = {"mse": ("MSE", ".1f"), "ms_ssim_rgb": ("MS-SSIM", ".4f"), "lpips": ("LPIPS", ".6f")}
_EQUAL = 0.02  # fraction by which MSE is nearly equal
_PIXEL_VALUES = 2  # that decoders may differ by
_FAR_LESS = 0.1  # of the time
_CERTAIN = 0.05

_replaced = functools.partial(replaced, table="codec")
Wanted = tuple[str, str, str]  # better, worse, measure


def _less(better: str, worse: str) -> str:
    return f"{published_name(better)} less {published_name(worse)}:"


def _gains(
    *wanted: Wanted, low: float = LOW, high: float = HIGH, not_worse: bool = False
) -> Decide:
    """A decision that all differences at equal rate are gains, beyond their 95 % intervals.

    Args:
      wanted: better encoder, worse encoder and measure, each.
      low: least bits per pixel.
      high: most.
      not_worse: decide instead that none is a loss.
    """

    def decide(evidence: Evidence) -> Decision:
        found = {each: at_equal_rate(evidence, *each, low=low, high=high) for each in wanted}
        known = all_known(found)
        if known is None:
            return UNMEASURED
        text = "; ".join(
            f"{_less(better, worse)} {_WORDS[measure][0]} {gap.said(_WORDS[measure][1])}"
            for (better, worse, measure), gap in known.items()
        )
        gains = [(_BETTER[m] * gap.mean, gap.margin) for (_, _, m), gap in known.items()]
        if not_worse:
            return Decision(text, all(gain > -noise for gain, noise in gains))
        return decision_by_gains(text, gains)

    return decide


def _gains_at_mean_rate(better: str, worse: str, low: float, high: float) -> Decide:
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


def _trains_faster(evidence: Evidence) -> Decision:
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


def _nearly_equal(evidence: Evidence) -> Decision:
    found = at_equal_rate(evidence, "resnet", "vgg", "mse")
    if found is None:
        return UNMEASURED
    text = f"MSE {found.said('.1f')} of {found.level:.0f}"
    bound = _EQUAL * found.level
    if abs(found.mean) + found.margin <= bound:
        return Decision(text, True)
    return Decision(text, False if abs(found.mean) - found.margin > bound else None)


def _faster_than_bls(evidence: Evidence) -> Decision:
    bls = [row for (name, _), row in evidence.timing.items() if name.startswith("bls")]
    ours = evidence.timing.get(("vgg19", "encode"))
    if not bls or ours is None:
        return UNMEASURED
    slowest = max(bls, key=lambda row: row["seconds"])
    text = (
        f"{ours['seconds']:.3f} s, {published_label(slowest['network'])} {slowest['seconds']:.3f} s"
    )
    return Decision(text, ours["seconds"] <= _FAR_LESS * slowest["seconds"])


def _decoders_agree(evidence: Evidence) -> Decision:
    gaps = evidence.table.decoder_difference
    if gaps.isna().any():
        return UNMEASURED
    text = f"pixel values differ by at most {gaps.max():.0f} over {len(gaps)} files"
    return Decision(text, bool(gaps.max() <= _PIXEL_VALUES))


def _moves_with_steps(kind: str) -> Decide:
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


def _timed_as(name: str, rival: str) -> Swap:
    def swap(evidence: Evidence) -> Evidence:
        timing = dict(evidence.timing)
        for (network, work), row in evidence.timing.items():
            if network == rival:
                timing[name, work.removesuffix(" and decode")] = row
        return dataclasses.replace(evidence, timing=timing)

    return swap


def _in_place_of(*models: str) -> dict[str, Swap]:
    """JPEG without any learning: with the standard's tables, and with flat ones."""
    return {
        "plain JPEG": _replaced(JPEG, *models),
        "JPEG with a flat quantization table": _replaced(FLAT, *models),
    }


def _files_of_jpeg(evidence: Evidence) -> Evidence:
    table = evidence.table[evidence.table.codec == JPEG]
    return dataclasses.replace(evidence, table=table)


def _no_training(kind: str) -> dict[str, Swap]:
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


def _trained_backbone(evidence: Evidence) -> Obstacle | None:
    models = [each for model in evidence.about["models"].values() for each in model.values()]
    if any(each.get("weights") == "random" for each in models):
        return Obstacle(Verdict.UNTESTABLE, "the backbones had random weights")
    return None


def _trained(decide: Decide, *names: str, rival: str, models: Sequence[str]) -> Check:
    """A check of trained encoders; `rival` stands in the place of `models`."""
    instead = "plain JPEG" if rival == JPEG else published_name(rival)
    words = f"{instead} in the place of {', '.join(map(published_name, models))}"
    needs = (_trained_backbone, published_size, trainings(*names))
    return Check(decide, {words: _replaced(rival, *models)}, needs)


_LSTMS = ("lstm", "bilstm")

CHECKS = {
    "1a": Check(
        _gains(
            *(
                (n, JPEG, m)
                for n in ("vgg", "resnet", "vgg_ms_ssim")
                for m in ("mse", "ms_ssim_rgb")
            )
        ),
        _in_place_of("vgg", "resnet", "vgg_ms_ssim"),
        for_failing=(_trained_backbone, published_size),
    ),
    "1b": Check(_gains(("tables", JPEG, "mse")), _in_place_of("tables")),
    "1c": _trained(
        _gains(("vgg", "tables", "mse"), ("vgg", "tables", "ms_ssim_rgb")),
        *("vgg", "tables"),
        rival="tables",
        models=("vgg",),
    ),
    "2a": _trained(
        _gains(("vgg_ms_ssim", "vgg", "ms_ssim_rgb")),
        *("vgg_ms_ssim", "vgg"),
        rival="vgg",
        models=("vgg_ms_ssim",),
    ),
    "2b": _trained(
        _gains(("vgg_ms_ssim", "vgg", "mse"), not_worse=True),
        *("vgg_ms_ssim", "vgg"),
        rival=JPEG,
        models=("vgg_ms_ssim",),
    ),
    "2d": _trained(
        _gains(
            ("vgg_half_weights", "vgg", "ms_ssim_rgb"),
            ("vgg_ms_ssim", "vgg_half_weights", "ms_ssim_rgb"),
        ),
        *("vgg", "vgg_half_weights", "vgg_ms_ssim"),
        rival="vgg",
        models=("vgg_half_weights", "vgg_ms_ssim"),
    ),
    "3a": Check(
        _trains_faster,
        {"VGG-19 in ResNet's place": _timed_as("resnet152", "vgg19")},
        (timed_on_a_gpu,),
    ),
    "3b": _trained(_nearly_equal, "resnet", "vgg", rival=JPEG, models=("resnet",)),
    "3c": _trained(
        _gains_at_mean_rate("vgg", "resnet", 0.26, 0.31),
        *("resnet", "vgg"),
        rival="vgg",
        models=("resnet",),
    ),
    "3d": _trained(
        _gains_at_mean_rate("resnet_ms_ssim", "vgg_ms_ssim", 0.30, 0.38),
        *("resnet_ms_ssim", "vgg_ms_ssim"),
        rival="vgg_ms_ssim",
        models=("resnet_ms_ssim",),
    ),
    "3e": _trained(
        _gains(*(("resnet_ms_ssim", other, "ms_ssim_rgb") for other in ("resnet", "vgg_ms_ssim"))),
        *("resnet_ms_ssim", "resnet", "vgg_ms_ssim"),
        rival="resnet",
        models=("resnet_ms_ssim",),
    ),
    "4a": _trained(
        _gains(*(("vgg", name, "ms_ssim_rgb") for name in _LSTMS), low=0.0, high=math.inf),
        *("vgg", *_LSTMS),
        rival="vgg",
        models=_LSTMS,
    ),
    "4b": _trained(
        _gains(("lstm", "bilstm", "ms_ssim_rgb"), low=0.0, high=math.inf),
        *_LSTMS,
        rival="lstm",
        models=("bilstm",),
    ),
    "4d": _trained(
        _gains(*((JPEG, name, "ms_ssim_rgb") for name in _LSTMS), not_worse=True, low=0.0),
        *_LSTMS,
        rival="tables",
        models=_LSTMS,
    ),
    "5a": Check(
        _faster_than_bls,
        {"BLS in VGG-19's place": _timed_as("vgg19", "bls2017, 192 filters")},
        (timed_on_a_gpu,),
    ),
    "6": Check(_decoders_agree, {"standard JPEG's own files": _files_of_jpeg}),
    "7a": Check(
        _moves_with_steps("with"),
        _no_training("with"),
        for_failing=(_trained_backbone, published_size),
    ),
    "7b": Check(
        _moves_with_steps("without"),
        _no_training("without"),
        for_failing=(published_size,),
    ),
}
