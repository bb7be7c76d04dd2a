"""What decides the claims of ProxIQA, and their trivial competitors."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from lossylab.eval.proxiqa import decisions
from lossylab.eval.proxiqa.decisions import CLASSICAL, PROXIES, bd_rates, paired
from lossylab.eval.proxiqa.evidence import ANCHOR, Evidence
from lossylab.eval.proxiqa.tables import METRICS
from lossylab.eval.report.claims import (
    Check,
    Decide,
    Need,
    Obstacle,
    Swap,
    Verdict,
    published_size,
    replaced,
)
from lossylab.eval.report.names import published_name

# What two trainings of one budget may differ in: whether the proxy learns, draws, and bookkeeping.
_MAY_DIFFER = {
    *("optimize", "seed", "run_dir", "log_every", "checkpoint_every", "summary_every"),
    *("keep_checkpoints", "validate_every", "validate_images", "validation_data", "proxy_patches"),
    *("export", "export_precision", "cache_mb", "check_images", "skip_bad", "skip_small"),
    *("data_service", "dry_run", "environment"),
}
ALL_PAIRS = "all pairs"  # what the scores of a training may be of, by training/about.json
_ENCODERS = {"jpeg2000": "Kakadu", "hevc444": "HM"}  # of the paper's classical codecs
_LEARNED = 0.8  # correlation by image with the true score from which a proxy counts as learned


def _replaced(models: tuple[str, ...], rival: str) -> Swap:
    """Evidence in which a rival stands in the place of models."""

    def swap(evidence: Evidence) -> Evidence:
        found = replaced(rival, *models, table="codec", timing="codec")(evidence)
        return dataclasses.replace(found, _found={})

    return swap


def _mse_at_every_stop(evidence: Evidence) -> Evidence:
    """Evidence in which VMAF_p after any steps is MSE after as many."""
    for name in [n for n in evidence.names if n.startswith("bls_vmaf_p")]:
        evidence = _replaced((name,), name.replace("vmaf_p", "mse"))(evidence)
    return evidence


def _constant(run: str) -> Swap:
    """Evidence in which the proxy's score is the true one's mean, whatever the image."""

    def swap(evidence: Evidence) -> Evidence:
        training = dict(evidence.training)
        if run in training:
            training[run] = training[run].assign(proxy=training[run].score.mean())
        return dataclasses.replace(evidence, training=training)

    return swap


def _line(run: str) -> Swap:
    """Evidence in which the proxy's score is a line over the steps, the one nearest to the true."""

    def swap(evidence: Evidence) -> Evidence:
        training = dict(evidence.training)
        if run in training:
            training[run] = training[run].assign(proxy=decisions.score_by_line(training[run]))
        return dataclasses.replace(evidence, training=training)

    return swap


def _never_frozen(evidence: Evidence) -> Evidence:
    """Evidence in which the frozen proxy's training is the alternating one."""
    alternating = evidence.training.get("alternating")
    training = {} if alternating is None else {"frozen": alternating}
    return dataclasses.replace(evidence, training=training)


def _permuted(evidence: Evidence) -> Evidence:
    """Evidence in which every codec's times are in another order of its rates."""
    timing = evidence.timing.copy()
    for _, group in evidence.timing.groupby("codec"):
        order = np.random.default_rng(0).permutation(len(group))
        timing.loc[group.index, "encode_ms"] = group.encode_ms.to_numpy()[order]
    return dataclasses.replace(evidence, timing=timing)


def proxy_had_learned(metric: str) -> Need:
    """A proxy's correlation with its metric on held-out patches, where it was logged."""

    def need(evidence: Evidence) -> Obstacle | None:
        run = "alternating" if metric == "vmaf" else f"alternating_{metric}"
        table = evidence.training.get(run)
        found = None if table is None else table.get("proxy_correlation")
        if found is None:
            return Obstacle(Verdict.UNTESTABLE, "whether the proxy had learned was not measured")
        if not found.iloc[-1] >= _LEARNED:
            reason = f"the proxy had not learned: correlation {found.iloc[-1]:.2f}"
            return Obstacle(Verdict.UNTESTABLE, reason)
        return None

    return need


def one_budget(one: str, other: str) -> Need:
    """Two trainings that differ in nothing but whether the proxy is frozen, by their options."""

    def need(evidence: Evidence) -> Obstacle | None:
        a, b = (evidence.options.get(run) for run in (one, other))
        if a is None or b is None:
            reason = f"training/about.json does not tell the options of {one} and {other}"
            return Obstacle(Verdict.UNDECIDED, reason)
        differ = [n for n in sorted({*a, *b} - _MAY_DIFFER) if a.get(n) != b.get(n)]
        if differ:
            reason = f"{one} and {other} also differ in {', '.join(differ)}"
            return Obstacle(Verdict.UNDECIDED, reason)
        return None

    return need


def _trained(
    decide: Decide, *tests: str, anchor: str = ANCHOR, others: Sequence[str] = (), **more: Any
) -> Check:
    """A check of codecs against the one trained for MSE.

    Args:
      decide: the decision.
      tests: the codecs.
      anchor: what they are compared with.
      others: further rivals: codecs that must not pass in their place, as far as measured.
      more: of the check.
    """
    rivals = {"the anchor itself": _replaced(tests, anchor)}
    more["others"] = {f"{published_name(n)} in its place": _replaced(tests, n) for n in others}
    more.setdefault("for_failing", (published_size,))
    return Check(decide, rivals, (paired(*((test, anchor) for test in tests)),), **more)


_ALL = tuple(METRICS.values())
_OTHER_PROXIES = tuple(name for name in PROXIES if name != "bls_vmaf_p")


def _ssim_of_rgb(evidence: Evidence) -> Obstacle | None:
    """SSIM of luma leaves the colors to themselves, which costs PSNR that SSIM itself does not."""
    if evidence.trained.get("bls_ssim", {}).get("ssim_channels") == "rgb":
        return None
    return Obstacle(Verdict.UNTESTABLE, "not known to be trained for SSIM of RGB, as the paper's")


def _scores_of_the_codec(evidence: Evidence) -> Obstacle | None:
    """The paper's scores are of what the codec makes, without pairs that only the proxy sees."""
    if evidence.options.get("alternating", {}).get("scores") == ALL_PAIRS:
        words = "scores are of all pairs that the proxy was shown, sharpened ones too"
        return Obstacle(Verdict.UNTESTABLE, words)
    return None


def _the_papers_encoders(evidence: Evidence) -> Obstacle | None:
    """JPEG 2000 and HEVC by Kakadu and HM."""
    made_by = {name: str(c.get("version", "")) for name, c in evidence.about["codecs"].items()}
    others = [
        f"{made_by[name]} in the place of {papers}"
        for name, papers in _ENCODERS.items()
        if name in made_by and papers not in made_by[name]
    ]
    return Obstacle(Verdict.UNTESTABLE, ", ".join(others)) if others else None


CHECKS = {
    "1a": _trained(bd_rates(("bls_vmaf_p", "vmaf", -1)), "bls_vmaf_p", others=_OTHER_PROXIES),
    "1b": _trained(decisions.best_image("bls_vmaf_p", "vmaf"), "bls_vmaf_p", others=_OTHER_PROXIES),
    "1c": _trained(
        bd_rates(*((name, "psnr", 1) for name in PROXIES)), *PROXIES, others=(f"{ANCHOR}_at_800",)
    ),
    "1d": _trained(
        bd_rates(*(("bls_vmaf_p", metric, 1 if metric == "psnr" else -1) for metric in _ALL)),
        "bls_vmaf_p",
    ),
    "2a": _trained(
        bd_rates(("bls_ssim_p", "ssim", -1)),
        "bls_ssim_p",
        for_failing=(proxy_had_learned("ssim"), published_size),
    ),
    "2b": _trained(
        bd_rates(("bls_ms_ssim_p", "ms_ssim", -1)),
        "bls_ms_ssim_p",
        for_failing=(proxy_had_learned("ms_ssim"), published_size),
    ),
    "3a": Check(
        decisions.frozen_proxy_runs_away,
        {"a constant score": _constant("frozen"), "an alternating proxy": _never_frozen},
        (one_budget("frozen", "alternating"),),
        for_failing=(published_size,),
    ),
    "3b": Check(
        decisions.alternating_proxy_follows,
        {"a constant score": _constant("alternating"), "a line": _line("alternating")},
        (_scores_of_the_codec, proxy_had_learned("vmaf")),
        for_failing=(published_size,),
    ),
    "4a": Check(
        decisions.gap_to_ssim,
        {"the anchor in SSIM's place": _replaced(("bls_ssim",), ANCHOR)},
        (paired(("bls_ssim", "bls_ssim_p")), proxy_had_learned("ssim")),
        (published_size,),
    ),
    "4b": Check(
        decisions.nearly_the_same,
        {"the anchor in both places": _replaced(("bls_ssim_p", "bls_ssim_mse"), ANCHOR)},
        (paired(("bls_ssim_mse", "bls_ssim_p")), proxy_had_learned("ssim")),
        (published_size,),
    ),
    "4c": Check(
        decisions.costs_most_psnr,
        {"SSIM + L_d in SSIM's place": _replaced(("bls_ssim",), "bls_ssim_mse")},
        (paired(("bls_ssim", ANCHOR)), _ssim_of_rgb),
        (published_size,),
    ),
    "5a": _trained(bd_rates(*(("bmshj_mse", m, -1) for m in _ALL)), "bmshj_mse"),
    "5b": _trained(
        bd_rates(("bmshj_vmaf_p", "vmaf", -1), anchor="bmshj_mse"),
        "bmshj_vmaf_p",
        anchor="bmshj_mse",
    ),
    "6a": Check(
        decisions.jpeg_is_worst, {"JPEG in the others' place": _replaced(CLASSICAL, "jpeg")}
    ),
    "6b": Check(
        decisions.order_of_classical,
        {"JPEG 2000 in the others' place": _replaced(CLASSICAL[1:], CLASSICAL[0])},
        for_failing=(_the_papers_encoders,),
    ),
    "6d": _trained(
        decisions.on_one_image("bls_vmaf_p", "kodim19", "vmaf", (ANCHOR, "jpeg2000", "hevc444")),
        "bls_vmaf_p",
    ),
    "7a": Check(
        decisions.improves_with_steps,
        {"MSE after as many steps in VMAF_p's place": _mse_at_every_stop},
        (paired(("bls_vmaf_p", ANCHOR)),),
        (published_size,),
    ),
    "8a": Check(
        decisions.same_time,
        {
            "HEVC in VMAF_p's place": _replaced(("bls_vmaf_p",), "hevc444"),
            "the same codec twice": _replaced(("bls_vmaf_p",), "bls_mse"),
        },
    ),
    "8b": Check(
        decisions.time_depends_on_rate,
        {"times in another order": _permuted},
        for_failing=(_the_papers_encoders,),
    ),
}
