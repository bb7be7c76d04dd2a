"""The claims of latent restoration's paper that rows can decide."""

from __future__ import annotations

import math

from lossylab.eval.claims import UNDECIDED, Claim, Decision
from lossylab.eval.degradation_nll import KINDS
from lossylab.eval.latent_cases import JPEG, TASKS
from lossylab.eval.mmd_restoration_tables import Evidence, same, speedup

_DECIDED = 2.0  # standard errors of the mean over pictures
_FASTER = 20.0  # times
_SMALL = 64  # pixels, of the pictures that both samplers draw


def _paired_is_likelier(evidence: Evidence) -> Decision:
    table = evidence.nll
    if not len(table):
        return UNDECIDED
    text, holds = [], True
    for model in dict.fromkeys(table.model):
        mine = table[table.model == model]
        paired, unpaired = (float(mine[mine.kind == kind].nll.mean()) for kind in KINDS)
        text.append(f"{model}: {paired:.3f} against {unpaired:.3f}")
        holds = holds and paired <= unpaired / 2
    return Decision("; ".join(text), holds)


def _lower(measure: str, one: str, other: str, sign: int = -1, tasks=TASKS):
    """Decides whether a row's measure is lower (sign -1) or higher than another's."""

    def decide(evidence: Evidence) -> Decision:
        gaps = {task: evidence.difference(one, other, task, measure) for task in tasks}
        gaps = {task: gap for task, gap in gaps.items() if gap is not None}
        if not gaps:
            return UNDECIDED
        text = ", ".join(f"{t} {g.mean:+.4g} ± {g.error:.2g}" for t, g in gaps.items())
        if any(sign * gap.mean < -_DECIDED * gap.error for gap in gaps.values()):
            return Decision(text, False)
        every = all(sign * gap.mean > _DECIDED * gap.error for gap in gaps.values())
        return Decision(text, True if every else None)

    return decide


def _sampler_is_exact_and_fast(evidence: Evidence) -> Decision:
    fast, slow = (evidence.drawn[name] for name in ("wavefront", "naive"))
    both = [name for name in fast if name in slow and int(fast[name]["width"]) >= _SMALL]
    if not both:
        return UNDECIDED
    times = [speedup(fast[name], slow[name]) for name in both]
    equal = all(same(fast[name], slow[name]) for name in both)
    text = f"{min(times):.0f} times, pictures {'equal' if equal else 'differ'}"
    return Decision(text, equal and min(times) >= _FASTER)


def _longer_training_restores_no_better(evidence: Evidence) -> Decision:
    nll = [evidence.mean(row, JPEG, "nll") for row in ("11", "12")]
    gaps = [
        evidence.difference(long, short, JPEG, "psnr") for long, short in (("9", "8"), ("12", "11"))
    ]
    if None in gaps or any(map(math.isnan, nll)):
        return UNDECIDED
    text = ", ".join(f"{gap.mean:+.2f} ± {gap.error:.2f} dB" for gap in gaps)
    if any(gap.mean > _DECIDED * gap.error for gap in gaps):
        return Decision(text, False)
    return Decision(text, True)


CLAIMS = (
    Claim(
        "1",
        "degraded pictures are far likelier given their own good version",
        "Table 1: .39 against 2.26 bits/dim",
        "paired at most half of unpaired",
        _paired_is_likelier,
    ),
    Claim(
        "2a",
        "with the constraint the search ends nearer to the prior",
        "Sec. 4.2",
        "MMD of row 5 minus row 3's below 0 by two standard errors over pictures",
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
        "than PULSE, too",
        "Fig. 2, 6",
        "MMD of row 5 minus row 2's below 0 likewise",
        _lower("mmd", "5", "2"),
    ),
    Claim(
        "2d",
        "and at better scores without a reference",
        "Table 2: 9.78 against 21.33",
        "RankIQA of the resized pictures, row 5 minus row 3, below 0 likewise",
        _lower("resize_mean", "5", "3", tasks=(JPEG,)),
    ),
    Claim(
        "3",
        "drawing along wavefronts gives the same pictures, much faster",
        "Sec. 4.3: hours a picture",
        f"equal pictures of at least {_SMALL} pixels, at least {_FASTER:g} times faster",
        _sampler_is_exact_and_fast,
    ),
    Claim(
        "4",
        "a longer trained degradation model restores no better",
        "Table 2, rows 8, 9, 11, 12",
        "PSNR of rows 9 - 8 and 12 - 11 not above 0 by two standard errors",
        _longer_training_restores_no_better,
    ),
)
