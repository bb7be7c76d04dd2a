"""What decides the claims of WCDGAN, and their trivial competitors."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Sequence

from lossylab.eval.report import published
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
from lossylab.eval.report.differences import Difference
from lossylab.eval.report.names import published_name
from lossylab.eval.schemas import ENOUGH_IMAGES
from lossylab.eval.wcdgan.evidence import Evidence, set_measures
from lossylab.eval.wcdgan.tables import ABLATIONS, CONTENT, SETS

_SETS = ("live1", "classic5")
_QUALITY = 10
_SAME_TIME = 0.1  # fraction by which times of one machine differ anyway
_OTHERS = ("arcnn", "tnrd", "dncnn", "memnet", "mwcnn")
_WORDS = {"psnr": "", "ssim": "SSIM ", "psnr_b": "PSNR-B ", "lpips": "LPIPS "}
_UNITS = {"psnr": " dB", "psnr_b": " dB"}
_NAMES = {"arcnn_official": "ARCNN", "dncnn3_official": "DnCNN"}
_NAMES |= {CONTENT: "content loss alone"}
_NAMES |= {name: words for words, name in ABLATIONS.items() if words != "proposed"}

_replaced = functools.partial(replaced, table="method")
Wanted = tuple[str, str, str]  # better, worse, measure


def _said(wanted: Wanted, gaps: Iterable[Difference]) -> str:
    """A difference on every set, in their order."""
    better, worse, measure = wanted
    names = " over ".join(_NAMES.get(name) or published_name(name) for name in (better, worse))
    spec = ".2f" if measure in _UNITS else ".4f"
    text = " and ".join(gap.said(spec) for gap in gaps)
    return f"{names} {_WORDS[measure]}{text}{_UNITS.get(measure, '')}"


def _differ(
    *wanted: Wanted,
    sign: int = 1,
    quality: int = _QUALITY,
    channels: str = "y",
    sets: Sequence[str] = _SETS,
) -> Decide:
    """A decision that differences of methods have a sign on every set."""

    def decide(evidence: Evidence) -> Decision:
        found = {
            (each, data): evidence.difference(*each, data, quality, channels)
            for each in wanted
            for data in sets
        }
        known = all_known(found)
        if known is None:
            return UNMEASURED
        text = "; ".join(_said(each, [known[each, data] for data in sets]) for each in wanted)
        text += f" ({', '.join(sets)})"
        return decision_by_gains(text, ((sign * gap.mean, gap.margin) for gap in known.values()))

    return decide


def _above_all(evidence: Evidence) -> Decision:
    """WCDGAN above every other network that was trained, by the nearest one."""
    found = {
        (other, measure, data): evidence.difference("wcdgan", other, measure, data)
        for other in _OTHERS
        for measure in ("psnr", "ssim")
        for data in _SETS
    }
    known = all_known(found)
    if known is None:
        return UNMEASURED
    (other, _, data), least = min(
        ((key, gap) for key, gap in known.items() if key[1] == "psnr"), key=lambda x: x[1].mean
    )
    text = f"{_said(('wcdgan', other, 'psnr'), [least])} ({data})"
    return decision_by_gains(text, ((gap.mean, gap.margin) for gap in known.values()))


def _printed(
    columns: Sequence[tuple[str, str]],
    table: str,
    channels: str,
    tolerance: float,
    qualities: Sequence[int],
    sets: Sequence[str] = ("LIVE1", "Classic5"),
) -> Decide:
    """A decision that measured means are the printed ones.

    Args:
      columns: of the paper, and the method that stands for each.
      table: of the paper.
      channels: y or rgb.
      tolerance: dB.
      qualities: of JPEG.
      sets: as the paper calls them.
    """

    def decide(evidence: Evidence) -> Decision:
        values = published.numbers("wcdgan", table)
        gaps = {
            (column, data, quality): evidence.mean(method, SETS[data], quality, channels).psnr
            - values[f"{data}/{quality}", f"{column}/PSNR", "value"]
            for column, method in columns
            for data in sets
            for quality in qualities
        }
        if any(math.isnan(gap) for gap in gaps.values()):
            return UNMEASURED
        near = sum(abs(gap) <= tolerance for gap in gaps.values())
        worst = max(gaps, key=lambda key: abs(gaps[key]))
        where = f"{worst[0]}, {worst[1]}, q = {worst[2]}"
        text = f"{near} of {len(gaps)}, the farthest by {gaps[worst]:+.2f} dB ({where})"
        return Decision(text, near == len(gaps))

    return decide


def _realism(evidence: Evidence) -> Decision:
    methods = ("wcdgan", CONTENT)
    found = all_known({n: set_measures(evidence, n, _SETS[0], _QUALITY, "rgb") for n in methods})
    if found is None:
        return UNMEASURED
    ours, without = found.values()
    text = (
        f"FID {ours['fid']:.1f} and {without['fid']:.1f}, Inception Score "
        f"{ours['inception_score']:.2f} and {without['inception_score']:.2f}"
    )
    better = ours["fid"] < without["fid"]
    return Decision(text, better and ours["inception_score"] > without["inception_score"])


def _large_sets(evidence: Evidence) -> Obstacle | None:
    row = set_measures(evidence, "wcdgan", _SETS[0], _QUALITY, "rgb") or {}
    if row.get("weights") == "random":
        return Obstacle(Verdict.UNTESTABLE, "Inception had random weights")
    if row.get("images", 0) < ENOUGH_IMAGES:
        words = f"{row.get('images')} images, {ENOUGH_IMAGES} are needed"
        return Obstacle(Verdict.UNTESTABLE, words)
    return None


def _trained_vgg(evidence: Evidence) -> Obstacle | None:
    """The perceptual loss had a trained network."""
    if "random" in evidence.budget("wcdgan", _SETS[0], _QUALITY).lower():
        return Obstacle(Verdict.UNTESTABLE, "the perceptual loss had random weights")
    return None


def _timed(evidence: Evidence, key: str, names: Iterable[str]) -> dict[str, float] | None:
    return all_known({n: evidence.timing.get(f"{n}_rgb", {}).get(key) for n in names})


def _sizes(evidence: Evidence) -> Decision:
    printed = {
        column.lower(): value
        for (row, column, _), value in published.numbers("wcdgan", "3").items()
        if row == "model size"
    }
    found = _timed(evidence, "parameters", printed)
    if found is None:
        return UNMEASURED
    sizes = {name: round(count / 1e6, 1) for name, count in found.items()}
    wrong = [name for name, size in sizes.items() if size != printed[name]]
    text = f"{len(sizes) - len(wrong)} of {len(sizes)} as printed"
    words = ", ".join(f"{published_name(name)} {sizes[name]} M" for name in wrong)
    return Decision(f"{text}; not {words}" if wrong else text, not wrong)


def _smallest(key: str, least: float, unit: str, scale: float) -> Decide:
    """WCDGAN below MemNet and MWCNN by a fraction."""

    def decide(evidence: Evidence) -> Decision:
        found = _timed(evidence, key, ("wcdgan", "memnet", "mwcnn"))
        if found is None:
            return UNMEASURED
        text = ", ".join(
            f"{published_name(name)} {value / scale:.2f} {unit}" for name, value in found.items()
        )
        ours, *others = found.values()
        return decision_by_gains(text, [(min(others) / ours - 1, least)])

    return decide


# Trivial competitors.


def _timed_as(rival: str) -> Swap:
    def swap(evidence: Evidence) -> Evidence:
        timing = dict(evidence.timing)
        if f"{rival}_rgb" in timing:
            timing["wcdgan_rgb"] = timing[f"{rival}_rgb"]
        return dataclasses.replace(evidence, timing=timing)

    return swap


def _other_quality(evidence: Evidence) -> Evidence:
    """JPEG files of each quality in the next one's place."""
    table = evidence.table.replace({"quality": {5: 10, 10: 20, 20: 5}})
    return dataclasses.replace(evidence, table=table)


def _untouched(*models: str) -> dict[str, Swap]:
    return {"the JPEG image itself": _replaced("jpeg", *models)}


_OFFICIAL = ("arcnn_official", "dncnn3_official")
_ORDER = (("arcnn_official", "jpeg", "psnr"), ("dncnn3_official", "arcnn_official", "psnr"))
_TRAINED = tuple((a, "dncnn", "psnr") for a in ("memnet", "mwcnn"))


def _without(variant: str) -> Check:
    """A part that is left out, against the network with all parts and the same losses."""
    name = ABLATIONS[variant]
    return Check(
        _differ((CONTENT, name, "psnr"), (CONTENT, name, "ssim")),
        {"the network without it in its own place": _replaced(name, CONTENT)},
        (published_size, trainings(CONTENT, name)),
    )


def _losses(measure: str, sign: int) -> Check:
    """Perceptual and adversarial loss against content loss alone."""
    return Check(
        _differ(("wcdgan", CONTENT, measure), sign=sign),
        {"content loss alone in its place": _replaced(CONTENT, "wcdgan")},
        (_trained_vgg, published_size, trainings("wcdgan", CONTENT)),
    )


CHECKS = {
    "1a": Check(_differ(*_ORDER), _untouched(*_OFFICIAL)),
    "1b": Check(_differ(*_ORDER, quality=20), _untouched(*_OFFICIAL)),
    "1c": Check(
        _differ(*_TRAINED),
        _untouched("memnet", "mwcnn"),
        (published_size, trainings("dncnn", "memnet", "mwcnn")),
    ),
    "1d": Check(_above_all, _untouched("wcdgan"), (published_size, trainings("wcdgan", *_OTHERS))),
    "1e": Check(
        _printed([("JPEG", "jpeg")], "1", "y", 0.01, (5, 10, 20)),
        {"JPEG of another quality": _other_quality},
    ),
    "1f": Check(
        _printed(list(zip(("ARCNN", "DnCNN"), _OFFICIAL)), "1", "y", 0.05, (10, 20)),
        _untouched(*_OFFICIAL),
    ),
    "1g": Check(
        _differ(("wcdgan", "jpeg", "psnr"), ("wcdgan", "jpeg", "psnr_b")),
        {**_untouched("wcdgan"), "SA-DCT, which learns nothing": _replaced("sadct", "wcdgan")},
        for_failing=(published_size,),
    ),
    "2a": _without("without mixed convolution"),
    "2b": _without("without mixed attention"),
    "3a": _losses("psnr", 1),
    "3b": _losses("ssim", -1),
    "3c": Check(
        _realism,
        {"content loss alone in its place": replaced(CONTENT, "wcdgan", sets="method")},
        (_large_sets, _trained_vgg, published_size, trainings("wcdgan", CONTENT)),
    ),
    "3d": _losses("lpips", -1),
    "4a": Check(_sizes, {"MemNet in WCDGAN's place": _timed_as("memnet")}),
    "4b": Check(
        _smallest("parameters", 0.0, "M", 1e6), {"MemNet in WCDGAN's place": _timed_as("memnet")}
    ),
    "4c": Check(
        _smallest("seconds", _SAME_TIME, "s", 1.0),
        {"MemNet in WCDGAN's place": _timed_as("memnet")},
        (timed_on_a_gpu,),
    ),
    "5a": Check(
        _differ(
            *(("wcdgan", other, "psnr") for other in ("arcnn", "dncnn", "memnet", "mwcnn")),
            channels="rgb",
            sets=("live1",),
        ),
        _untouched("wcdgan"),
        (published_size, trainings("wcdgan", "memnet", "mwcnn")),
    ),
    "5b": Check(
        _printed([("JPEG", "jpeg")], "2", "rgb", 0.01, (5, 10), ("LIVE1",)),
        {"JPEG of another quality": _other_quality},
    ),
}
