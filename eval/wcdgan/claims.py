"""What decides the claims of WCDGAN, and their trivial competitors."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Sequence

from lossylab.eval.report import budgets, published
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
    repetitions,
    replaced,
    timed_on_a_gpu,
    too_few,
)
from lossylab.eval.report.differences import Difference
from lossylab.eval.report.names import published_name
from lossylab.eval.schemas import ENOUGH_IMAGES, OFFICIAL
from lossylab.eval.wcdgan.evidence import CONTENT, CONTINUED, Evidence, set_measures
from lossylab.eval.wcdgan.tables import ABLATIONS, DECIBEL, SETS

_SETS = ("live1", "classic5")
_QUALITY = 10
_SAME_TIME = 0.1  # fraction by which times of one machine differ anyway
_OTHERS = ("arcnn", "tnrd", "dncnn", "memnet", "mwcnn")
_COLOR_OTHERS = ("arcnn", "dncnn", "memnet", "mwcnn")
_WORDS = {"psnr": "", "ssim": "SSIM ", "psnr_b": "PSNR-B ", "lpips": "LPIPS "}
_WORDS |= {"feature_distance": "feature distance "}
_WORDS |= {"feature_frechet": "Fréchet distance of features "}
_UNITS = {"psnr": " dB", "psnr_b": " dB"}
_NAMES = {"arcnn_official": "ARCNN", "dncnn3_official": "DnCNN"}
_LENGTH = ("steps", "batch", "patch", "begun")  # of trainings
_WITHOUT = "WCDGAN without perceptual and adversarial loss"
_NAMES |= {CONTENT: _WITHOUT, CONTINUED: f"{_WITHOUT} from the same start"}
_NAMES |= {name: words for words, name in ABLATIONS.items() if words != "proposed"}

_replaced = functools.partial(replaced, table="method")
Wanted = tuple[str, str, str]  # better, worse, measure


def _said(wanted: Wanted, gaps: Iterable[Difference], ours: str = "") -> str:
    """A difference on every set, in their order; `ours` has a published name."""
    better, worse, measure = wanted
    names = " over ".join(
        published_name(name) if name == ours else _NAMES.get(name) or published_name(name)
        for name in (better, worse)
    )
    spec = ".2f" if measure in _UNITS else ".4f"
    text = " and ".join(gap.said(spec) for gap in gaps)
    return f"{names} {_WORDS[measure]}{text}{_UNITS.get(measure, '')}"


def _differ(
    *wanted: Wanted,
    sign: int = 1,
    quality: int = _QUALITY,
    channels: str = "y",
    sets: Sequence[str] = _SETS,
    ours: str = "",
) -> Decide:
    """A decision that differences of methods have a sign on every set; `ours` as for `_said`."""

    def decide(evidence: Evidence) -> Decision:
        found = {
            (each, data): evidence.difference(*each, data, quality, channels)
            for each in wanted
            for data in sets
        }
        known = all_known(found)
        if known is None:
            return UNMEASURED
        text = "; ".join(_said(each, [known[each, data] for data in sets], ours) for each in wanted)
        text += f" ({', '.join(sets)})"
        return decision_by_gains(text, ((sign * gap.mean, gap.margin) for gap in known.values()))

    return decide


def _above_all(evidence: Evidence) -> Decision:
    """WCDGAN above every other network that was trained, by the nearest one."""
    ours = _of_luma(evidence)
    found = {
        (other, measure, data): evidence.difference(ours, other, measure, data)
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
    text = f"{_said((ours, other, 'psnr'), [least], ours)} ({data})"
    return decision_by_gains(text, ((gap.mean, gap.margin) for gap in known.values()))


def _of_luma(evidence: Evidence) -> str:
    """What stands for the paper's network for luma."""
    return evidence.source("WCDGAN", _SETS[0], _QUALITY) or "wcdgan"


def _restores(evidence: Evidence) -> Decision:
    """WCDGAN above JPEG."""
    ours = _of_luma(evidence)
    return _differ((ours, "jpeg", "psnr"), (ours, "jpeg", "psnr_b"), ours=ours)(evidence)


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
    """By Inception where that was measured, else by a trained VGG's features of single images."""
    methods = ("wcdgan", CONTENT)
    found = all_known({n: set_measures(evidence, n, _SETS[0], _QUALITY, "rgb") for n in methods})
    if found is None:
        return _against_control("feature_frechet", sign=-1)(evidence)
    ours, without = found.values()
    text = (
        f"FID {ours['fid']:.1f} and {without['fid']:.1f}, Inception Score "
        f"{ours['inception_score']:.2f} and {without['inception_score']:.2f}"
    )
    better = ours["fid"] < without["fid"]
    return Decision(text, better and ours["inception_score"] > without["inception_score"])


def _control(evidence: Evidence) -> str:
    return evidence.control(_SETS[0], _QUALITY)


def _against_control(*measures: str, sign: int) -> Decide:
    """All losses against those without both, by the first measure that there is, labeled."""

    def decide(evidence: Evidence) -> Decision:
        where, found = (_SETS[0], _QUALITY), UNMEASURED
        for measure in measures:
            found = _differ(("wcdgan", _control(evidence), measure), sign=sign)(evidence)
            if found is not UNMEASURED:
                break
        else:
            return found
        judge = evidence.judge("wcdgan", *where) if measure.startswith("feature") else ""
        return _labeled(found, evidence, judge)

    return decide


def _lowers_ssim(evidence: Evidence) -> Decision:
    """SSIM below that of the network without both, but above the JPEG image's."""
    found = _differ((_control(evidence), "wcdgan", "ssim"), ("wcdgan", "jpeg", "ssim"))(evidence)
    return found if found is UNMEASURED else _labeled(found, evidence)


def _labeled(found: Decision, evidence: Evidence, judge: str = "") -> Decision:
    """With what the perceptual loss and the judge of a measure look through."""
    seen = evidence.perceptual("wcdgan", _SETS[0], _QUALITY)
    labels = [f"perceptual loss by {seen}"] * bool(seen) + [f"judged by {judge}"] * bool(judge)
    return Decision("; ".join([found.measured, *labels]), found.holds)


def _judges(evidence: Evidence) -> Obstacle | None:
    """Large sets and a trained Inception, or the features of a trained network."""
    row = set_measures(evidence, "wcdgan", _SETS[0], _QUALITY, "rgb")
    if row is None:
        return _trained_judge(evidence)
    if row.get("weights") == "random":
        return Obstacle(Verdict.UNTESTABLE, "Inception had random weights")
    if row.get("images", 0) < ENOUGH_IMAGES:
        words = f"{row.get('images')} images, {ENOUGH_IMAGES} are needed"
        return Obstacle(Verdict.UNTESTABLE, words)
    return None


def _trained_judge(evidence: Evidence) -> Obstacle | None:
    """The features that judge are a trained network's."""
    random = "random" in evidence.judge("wcdgan", _SETS[0], _QUALITY)
    return Obstacle(Verdict.UNTESTABLE, "the judge had random weights") if random else None


def _trained_vgg(evidence: Evidence) -> Obstacle | None:
    """The perceptual loss had a trained network."""
    if "random" in evidence.budget("wcdgan", _SETS[0], _QUALITY).lower():
        return Obstacle(Verdict.UNTESTABLE, "the perceptual loss had random weights")
    return None


def _paired(evidence: Evidence) -> Obstacle | None:
    """Runs from one start, or enough trainings of both."""
    if _control(evidence) == CONTINUED:
        return None
    return _often("wcdgan", CONTENT)(evidence)


def _sized(*names: str, channels: str = "y") -> Need:
    """Networks and steps of the paper, of these methods but those with official weights."""

    def need(evidence: Evidence) -> Obstacle | None:
        ours = [n for n in names if evidence.budget(n, _SETS[0], _QUALITY, channels) != OFFICIAL]
        words = budgets.smaller(
            "wcdgan", evidence.trained, [f"{n} {channels} {_QUALITY}" for n in ours]
        )
        return Obstacle(Verdict.UNTESTABLE, words) if words else None

    return need


def _often(*names: str, channels: str = "y") -> Need:
    """Enough trainings of each of these methods, for these channels."""

    def need(evidence: Evidence) -> Obstacle | None:
        sets = _SETS if channels == "y" else _SETS[:1]
        found = (evidence.trainings(n, data, _QUALITY, channels) for n in names for data in sets)
        return too_few(min(len(each) for each in found))

    return need


def _alike(*names: str) -> Need:
    """Networks of the paper's sizes that learned as long as each other from as many pixels.

    All trainings count: those of other seeds decide, too.
    """

    def need(evidence: Evidence) -> Obstacle | None:
        all_of_them = [each for name in names for each in repetitions(evidence.names, name)]
        found = [evidence.trained.get(f"{name} y {_QUALITY}") or {} for name in all_of_them]
        if not found or not all(found):
            return Obstacle(Verdict.UNTESTABLE, "about.json does not tell all networks and steps")
        if not all(each.get("size") for each in found):
            return Obstacle(Verdict.UNTESTABLE, "networks smaller than the paper's")
        if len({tuple(each.get(name) for name in _LENGTH) for each in found}) > 1:
            return Obstacle(Verdict.UNTESTABLE, "not of equal steps, patches and beginnings")
        return None

    return need


def _above_all_in_color(evidence: Evidence) -> Decision:
    ours = _of_color(evidence)
    wanted = [(ours, other, "psnr") for other in _COLOR_OTHERS]
    return _differ(*wanted, channels="rgb", sets=_SETS[:1], ours=ours)(evidence)


def _of_color(evidence: Evidence) -> str:
    """What stands for the paper's network for RGB."""
    return evidence.source("WCDGAN", _SETS[0], _QUALITY, "rgb") or "wcdgan"


def _color_sized(evidence: Evidence) -> Obstacle | None:
    return _sized(_of_color(evidence), *_COLOR_OTHERS, channels="rgb")(evidence)


def _color_trainings(evidence: Evidence) -> Obstacle | None:
    return _often(_of_color(evidence), *_COLOR_OTHERS, channels="rgb")(evidence)


def _luma_sized(evidence: Evidence) -> Obstacle | None:
    return _sized(_of_luma(evidence))(evidence)


def _luma_trainings(evidence: Evidence) -> Obstacle | None:
    return _often(_of_luma(evidence), *_OTHERS)(evidence)


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


def _without(variant: str, sized: Callable[..., Need] = _sized) -> Check:
    """A part that is left out, against the network with all parts and the same losses."""
    name = ABLATIONS[variant]
    return Check(
        _differ((CONTENT, name, "psnr"), (CONTENT, name, "ssim")),
        {"the network without it in its own place": _replaced(name, CONTENT)},
        (sized(CONTENT, name), _often(CONTENT, name)),
    )


def _in_order(*wanted: tuple[str, str]) -> Check:
    """Networks better than others by PSNR, all trained here, at equal steps."""
    trained = [*dict.fromkeys(name for pair in wanted for name in pair if name != "jpeg")]
    better = [pair[0] for pair in wanted]
    return Check(
        _differ(*((*pair, "psnr") for pair in wanted)),
        _untouched(*better),
        (_alike(*trained), _often(*trained)),
    )


def _control_in_its_place(evidence: Evidence) -> Evidence:
    both = {"table": "method", "sets": "method"}
    return replaced(_control(evidence), "wcdgan", **both)(evidence)


_PUBLISHED = _sized("wcdgan", CONTENT)


def _losses(decide: Decide, *needs: Need, sized: Need = _PUBLISHED) -> Check:
    """Perceptual and adversarial loss against the network without both."""
    return Check(
        decide,
        {"the network without both in its own place": _control_in_its_place},
        (*needs, _trained_vgg, sized, _paired),
    )


def _from_one_start(evidence: Evidence) -> Obstacle | None:
    """Runs of equal steps that began with one network."""
    if _control(evidence) != CONTINUED:
        return Obstacle(Verdict.UNTESTABLE, "not begun with one network")
    return _alike("wcdgan", CONTINUED)(evidence)


CHECKS = {
    "1a": Check(_differ(*_ORDER), _untouched(*_OFFICIAL)),
    "1b": Check(_differ(*_ORDER, quality=20), _untouched(*_OFFICIAL)),
    "1c": Check(
        _differ(*_TRAINED),
        _untouched("memnet", "mwcnn"),
        (_sized("dncnn", "memnet", "mwcnn"), _often("dncnn", "memnet", "mwcnn")),
    ),
    "1d": Check(
        _above_all,
        _untouched("wcdgan", CONTENT),
        (_luma_sized, _sized(*_OTHERS), _luma_trainings),
    ),
    "1e": Check(
        _printed([("JPEG", "jpeg")], "1", "y", 0.01, (5, 10, 20)),
        {"JPEG of another quality": _other_quality},
    ),
    "1f": Check(
        _printed(list(zip(("ARCNN", "DnCNN"), _OFFICIAL)), "1", "y", DECIBEL, (10, 20)),
        _untouched(*_OFFICIAL),
    ),
    "1g": Check(
        _restores,
        _untouched("wcdgan", CONTENT),
        for_failing=(_luma_sized,),
    ),
    "2a": _without("without mixed convolution"),
    "2b": _without("without mixed attention"),
    "3a": _losses(_against_control("psnr", sign=1)),
    "3b": _losses(_lowers_ssim),
    "3c": _losses(_realism, _judges),
    "3d": _losses(_against_control("lpips", "feature_distance", sign=-1), _judges),
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
        _above_all_in_color,
        _untouched("wcdgan", CONTENT),
        (_color_sized, _color_trainings),
    ),
    "5b": Check(
        _printed([("JPEG", "jpeg")], "2", "rgb", 0.01, (5, 10), ("LIVE1",)),
        {"JPEG of another quality": _other_quality},
    ),
    "6a": _in_order(("arcnn", "jpeg"), ("dncnn", "arcnn")),
    "6b": _in_order(*((name, "dncnn") for name in ("memnet", "mwcnn", CONTENT))),
    "6c": _in_order((CONTENT, "memnet"), (CONTENT, "mwcnn")),
    "6d": _without("without mixed convolution", _alike),
    "6e": _without("without mixed attention", _alike),
    "6f": _losses(_against_control("psnr", sign=1), sized=_from_one_start),
    "6g": _losses(_lowers_ssim, sized=_from_one_start),
    "6h": _losses(
        _against_control("feature_distance", sign=-1), _trained_judge, sized=_from_one_start
    ),
    "6i": _losses(
        _against_control("feature_frechet", sign=-1), _trained_judge, sized=_from_one_start
    ),
}
