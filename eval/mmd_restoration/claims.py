"""The claims of latent restoration's paper that rows can decide."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lossylab.eval.degradation_nll import KINDS
from lossylab.eval.latent_rows import ORIGINAL
from lossylab.eval.mmd_restoration.evidence import LONGEST, Evidence, likelihood, same, speedup
from lossylab.eval.report.claims import (
    UNDECIDED,
    Claim,
    Decide,
    Decision,
    all_known,
    decision_by_gains,
)
from lossylab.inference.latent.cases import JPEG, TASKS

_FEWEST = 8  # images that a claim is decided by
_BETTER = 0.25  # dB: less is no better
_FASTER = 20.0  # times
_SMALL = 64  # pixels, of the images that both samplers draw


def _paired_is_likelier(evidence: Evidence) -> Decision:
    """By the model that Table 1 is compared with; the others stand beside it."""
    text = []
    for model in dict.fromkeys(evidence.nll.model):
        paired, unpaired = (likelihood(evidence, model, kind) for kind in KINDS)
        text.append(f"{model}: {paired:.3f} against {unpaired:.3f}")
    paired, unpaired = (likelihood(evidence, LONGEST, kind) for kind in KINDS)
    if math.isnan(paired + unpaired):
        return UNDECIDED
    return Decision("; ".join(text), paired <= unpaired / 2)


def _lower(measure: str, one: str, other: str, tasks: Sequence[str] = TASKS) -> Decide:
    """Decides whether a row's measure is lower than another's."""

    def decide(evidence: Evidence) -> Decision:
        gaps = {
            task: gap
            for task in tasks
            if (gap := evidence.difference(one, other, task, measure)) is not None
        }
        if not gaps or min(gap.count for gap in gaps.values()) < _FEWEST:
            return UNDECIDED
        text = ", ".join(f"{t} {g.mean:+.4g} ± {g.margin:.2g}" for t, g in gaps.items())
        text += f" ({min(gap.count for gap in gaps.values())} images)"
        return decision_by_gains(text, ((-gap.mean, gap.margin) for gap in gaps.values()))

    return decide


def _sampler_is_exact_and_fast(evidence: Evidence) -> Decision:
    fast, slow = (evidence.drawn[name] for name in ("wavefront", "naive"))
    both = [name for name in fast if name in slow and int(fast[name]["width"]) >= _SMALL]
    if not both:
        return UNDECIDED
    times = [speedup(fast[name], slow[name]) for name in both]
    equal = all(same(fast[name], slow[name]) for name in both)
    text = f"{min(times):.0f} times, images {'equal' if equal else 'differ'}"
    return Decision(text, equal and min(times) >= _FASTER)


def _longer_training_restores_no_better(evidence: Evidence) -> Decision:
    # The original's likelihood by the two models: the premise is that the longer trained one's is
    # better.
    long, short = (evidence.mean(ORIGINAL, JPEG, name) for name in ("nll", "own_nll"))
    pairs = (("9", "8"), ("12", "11"))
    known = all_known({rows: evidence.difference(*rows, JPEG, "psnr") for rows in pairs})
    if known is None or not long < short:
        return UNDECIDED
    gaps = list(known.values())
    if min(gap.count for gap in gaps) < _FEWEST:
        return UNDECIDED
    text = ", ".join(f"{gap.mean:+.2f} ± {gap.margin:.2f} dB" for gap in gaps)
    text = f"{long:.2f} against {short:.2f} bits/dim; {text}"
    if any(gap.mean > gap.margin for gap in gaps):
        return Decision(text, False)
    return Decision(text, True if all(g.mean + g.margin < _BETTER for g in gaps) else None)


CLAIMS = (
    Claim(
        "1",
        "degraded images are far likelier given their own clean version",
        "Table 1: .39 against 2.26 bits/dim",
        "paired at most half of unpaired, by the longest trained model",
        _paired_is_likelier,
    ),
    Claim(
        "2a",
        "with the constraint the search ends nearer to the prior",
        "Sec. 4.2",
        "MMD of row 5 minus row 3's below 0 by its 95 % interval over images",
        _lower("mmd", "5", "3"),
    ),
    Claim(
        "2b",
        "and at latents nearer to the true ones",
        "Fig. 4",
        "distance from the true styles, row 5 minus row 3, below 0 likewise",
        _lower("latent", "5", "3"),
    ),
    Claim(
        "2c",
        "nearer to the prior than PULSE",
        "Fig. 2, 6",
        "MMD of row 5 minus row 2's below 0 likewise",
        _lower("mmd", "5", "2"),
    ),
    Claim(
        "2d",
        "and nearer to the true latents than PULSE",
        "Fig. 2, 6",
        "distance from the true styles, row 5 minus row 2, below 0 likewise",
        _lower("latent", "5", "2"),
    ),
    Claim(
        "2e",
        "and at better scores without a reference",
        "Table 2: 9.78 against 21.33",
        "RankIQA of the resized images, row 5 minus row 3, below 0 likewise",
        _lower("resize_mean", "5", "3", tasks=(JPEG,)),
    ),
    Claim(
        "3",
        "drawing along wavefronts gives the same images, much faster",
        "Sec. 4.3: hours an image",
        f"equal images of at least {_SMALL} pixels, at least {_FASTER:g} times faster",
        _sampler_is_exact_and_fast,
    ),
    Claim(
        "4",
        "a longer trained degradation model restores no better",
        "Table 2, rows 8, 9, 11, 12",
        f"PSNR of rows 9 - 8 and 12 - 11 above by less than {_BETTER:g} dB at lower NLL, 95 %",
        _longer_training_restores_no_better,
    ),
)
