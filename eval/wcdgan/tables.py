"""WCDGAN's Tables 1 to 6 from measured rows."""

from __future__ import annotations

import fnmatch
import math
from typing import cast

import pandas as pd

from lossylab.eval.report import published
from lossylab.eval.report.claims import ENOUGH_TRAININGS
from lossylab.eval.report.differences import Difference, mean_difference
from lossylab.eval.report.tables import NOT_MEASURED, Line, number
from lossylab.eval.schemas import OFFICIAL, UNTRAINED
from lossylab.eval.wcdgan.evidence import CONTENT, CONTINUED, Evidence, set_measures

SETS = {"Classic5": "classic5", "LIVE1": "live1", "DIV2K": "div2k_val"}
ABLATIONS = {
    "proposed": CONTENT,
    "without mixed convolution": f"{CONTENT}_no_mixed_conv",
    "without mixed attention": f"{CONTENT}_no_mixed_attention",
}
GAN_ABLATION = {"proposed": "wcdgan", "without perceptual loss and GAN": CONTENT}
_ELSEWHERE = {"SA-DCT": "sadct", "ARCNN": "arcnn_official", "DnCNN-3": "dncnn3_official"}
# What counts as reproduced; half of the last digit that is printed may be rounding.
DECIBEL, _SIMILARITY = 0.02 + 0.005 + 1e-9, 1e-3
_SMALL = "small budget"  # in the titles of such trainings
_WINDOWS = {"ssim_uniform": "uniform 8", "ssim": "Gaussian 11"}


def doubts(table: str, row: str, *columns: str) -> list[str]:
    """Why published cells are not ones to be reproduced, each reason once."""
    found = [
        entry["reason"]
        for entry in published.records("wcdgan_doubts")
        if entry["table"] == table
        and fnmatch.fnmatch(row, entry["row"])
        and any(fnmatch.fnmatch(column, entry["column"]) for column in columns)
    ]
    return list(dict.fromkeys(found))


def comparison_table(evidence: Evidence, table: str, channels: str) -> list[Line]:
    """Table 1 (luma) or 2 (RGB): a line for each published pair of PSNR and SSIM."""
    values = published.numbers("wcdgan", table)
    lines = []
    for (row, column, _), decibel in values.items():
        method, measure = column.split("/")
        if measure != "PSNR":
            continue
        data, quality = row.split("/")
        source = evidence.source(method, SETS[data], int(quality), channels)
        similarity = values[row, f"{method}/SSIM", "value"]
        lines.append(
            {
                "set": data,
                "q": quality,
                "method": method,
                "ours is": _named(evidence, source, SETS[data], int(quality), channels),
                **_pair(evidence, source, SETS[data], int(quality), channels, decibel, similarity),
                "doubts": _doubts(table, row, method),
            }
        )
    return lines


def _pair(
    evidence: Evidence,
    source: str,
    data: str,
    quality: int,
    channels: str,
    decibel: float,
    similarity: float,
) -> Line:
    """Paper's and our values of one cell, and the verdict."""
    mean, _ = evidence.mean_of_trainings(source, data, quality, channels)
    budget = evidence.budget(source, data, quality, channels)
    return {
        "paper, dB": number(decibel, 2),
        "ours, dB": number(mean.psnr, 2),
        "difference, dB": number(mean.psnr - decibel, 2, "+"),
        "paper, SSIM": number(similarity, 4),
        "ours, uniform 8": number(mean.ssim_uniform, 4),
        "ours, Gaussian 11": number(mean.ssim, 4),
        "verdict": verdict(mean, decibel, similarity, budget),
    }


def _named(evidence: Evidence, source: str, data: str, quality: int, channels: str) -> str:
    """A method, with the number of its trainings if several, and whether it is a smaller one."""
    _, count = evidence.mean_of_trainings(source, data, quality, channels)
    told = evidence.trained.get(f"{source} {channels} {quality}", {})
    words = [f"{count} trainings"] * (count > 1) + ["smaller"] * (told.get("size") == 0)
    return ", ".join([source, *words])


def verdict(mean: pd.Series, decibel: float, similarity: float, budget: str) -> str:
    """How a cell compares, in words."""
    if not math.isfinite(mean.psnr):
        return NOT_MEASURED
    agrees = abs(mean.psnr - decibel) <= DECIBEL
    windows = [name for key, name in _WINDOWS.items() if abs(mean[key] - similarity) <= _SIMILARITY]
    if agrees and windows:
        return f"reproduced, SSIM {windows[0]}"
    if agrees:
        return "PSNR reproduced, SSIM not"
    if _SMALL in budget.lower():
        return _SMALL
    return "not reproduced" if budget in ("", OFFICIAL, UNTRAINED) else "trained for less"


def _doubts(table: str, row: str, method: str) -> str:
    return "; ".join(doubts(table, row, f"{method}/PSNR", f"{method}/SSIM"))


def elsewhere(evidence: Evidence) -> list[Line]:
    """Methods that need no training here, against what their own papers and codes publish."""
    lines = []
    published_similarity = f"published, SSIM ({'/'.join(_WINDOWS.values())})"
    for entry in published.records("wcdgan_elsewhere"):
        source = _ELSEWHERE.get(entry["method"], "")
        mean = evidence.mean(source, entry["data"], int(entry["quality"]))
        if not math.isfinite(mean.psnr):
            continue
        decibel, similarity = float(entry["psnr"]), float(entry["ssim"])
        window = next(key for key, name in _WINDOWS.items() if name == entry["window"])
        lines.append(
            {
                "set": entry["data"],
                "q": entry["quality"],
                "method": entry["method"],
                "published by": entry["source"],
                "published, dB": entry["psnr"],
                "ours, dB": number(mean.psnr, 2),
                "difference, dB": number(mean.psnr - decibel, 2, "+"),
                published_similarity: f"{entry['ssim']} {entry['window']}",
                "ours, SSIM": number(mean[window], 4),
                "verdict": verdict(mean, decibel, similarity, ""),
            }
        )
    return lines


def everything(evidence: Evidence) -> list[Line]:
    """Every method at every set and quality, with its gain over JPEG; no means of parts of sets."""
    lines = []
    groups = evidence.published.groupby(["channels", "data", "quality"], sort=True)
    for key, mine in groups:
        channels, data, quality = cast("tuple[str, str, int]", key)
        whole = evidence.whole(data, quality, channels)
        for method in dict.fromkeys(mine.method):
            mean = evidence.mean(method, data, quality, channels)
            count = len(evidence.images(method, data, quality, channels))
            gap = evidence.gap(method, "jpeg", "psnr", data, quality, channels)
            gain = None if gap is None else mean_difference(gap)
            budget = evidence.budget(method, data, quality, channels)
            lines.append(
                {
                    "set": data,
                    "channels": channels,
                    "q": str(quality),
                    "method": method,
                    "images": str(count) if count == whole else f"{count} of {whole}",
                    "PSNR, dB": number(mean.psnr, 2),
                    "gain, dB": gain.said(".2f") if gain and method != "jpeg" else "",
                    "SSIM, uniform 8": number(mean.ssim_uniform, 4),
                    "SSIM, Gaussian 11": number(mean.ssim, 4),
                    "PSNR-B, dB": number(mean.psnr_b, 2),
                    "budget": _SMALL if budget == evidence.title else budget,
                }
            )
    return lines


def complexity(evidence: Evidence) -> list[Line]:
    """Table 3: model size and run time."""
    values = published.numbers("wcdgan", "3")
    lines = []
    for name in ("ARCNN", "DnCNN", "MemNet", "MWCNN", "WCDGAN"):
        timing = evidence.timing.get(f"{name.lower()}_rgb", {})
        size = timing.get("parameters", math.nan) / 1e6
        published_size = values["model size", name, "value"]
        same = abs(size - published_size) <= 0.05 + 1e-9
        lines.append(
            {
                "method": name,
                "paper, M": number(published_size, 1),
                "ours, M": number(size, 2),
                "size": ("same" if same else "differs") if timing else NOT_MEASURED,
                "paper, s": number(values["runtime", name, "value"], 4),
                "ours, s": number(timing.get("seconds", math.nan), 2),
                "ours, WCDGAN = 1": _ratio(evidence, name),
            }
        )
    return lines


def _ratio(evidence: Evidence, name: str) -> str:
    one, ours = (evidence.timing.get(f"{n}_rgb") for n in (name.lower(), "wcdgan"))
    return number(one["seconds"] / ours["seconds"], 2) if one and ours else number(math.nan, 2)


def ablation(evidence: Evidence, table: str) -> list[Line]:
    """Table 4 or 5: changes of PSNR and SSIM against the proposed network, paper's and ours."""
    variants = ABLATIONS if table == "4" else GAN_ABLATION
    values = published.numbers("wcdgan", table)
    lines = []
    for row in dict.fromkeys(row for row, _, _ in values):
        data, quality = row.split("/")
        first, *others = variants
        where = SETS[data], int(quality)
        small = _SMALL in evidence.budget(variants[first], *where).lower()
        for column in others:
            line, decided = {"set": data, "q": quality, "variant": column}, []
            for measure, key, digits in (("PSNR", "psnr", 3), ("SSIM", "ssim", 4)):
                unit = ", dB" if measure == "PSNR" else ""
                printed = [values[row, f"{c}/{measure}", "value"] for c in (first, column)]
                change = printed[1] - printed[0]
                other = variants[column] if table == "4" else evidence.control(*where)
                gap = evidence.difference(other, variants[first], key, *where)
                line[f"paper, {measure}{unit}"] = number(change, digits, "+")
                line[f"ours, {measure}{unit}"] = said(gap, digits)
                words = _sides(gap, change, other == CONTINUED) if gap else ""
                decided.append(f"{measure} {words}" if gap else NOT_MEASURED)
                line["trainings"] = str(gap.trainings) if gap else ""
            words = _SMALL if small and NOT_MEASURED not in decided else ", ".join(decided)
            words = NOT_MEASURED if NOT_MEASURED in decided else words
            lines.append({**line, "verdict": words, "doubts": _doubts(table, row, first)})
    return lines


def said(gap: Difference | None, digits: int) -> str:
    """A difference with its margin; n/a where there is none."""
    return gap.said(f".{digits}f") if gap else number(math.nan, digits)


def _sides(gap: Difference, printed: float, one_start: bool) -> str:
    """Whether a change goes the paper's way, in words; too few trainings need one start."""
    enough = one_start or gap.trainings >= ENOUGH_TRAININGS
    if abs(gap.mean) <= gap.margin or not enough:
        return "undecided"
    return "as the paper's" if gap.mean * printed > 0 else "the other way"


def realism(evidence: Evidence) -> list[Line]:
    """Table 6: Inception Score and FID."""
    lines = []
    for (row, column, _), value in published.numbers("wcdgan", "6").items():
        data, quality = row.split("/")
        variant, measure = column.split("/")
        found = set_measures(evidence, GAN_ABLATION[variant], SETS[data], int(quality), "rgb")
        ours = found[{"IS": "inception_score", "FID": "fid"}[measure]] if found else math.nan
        lines.append(
            {
                "set": data,
                "q": quality,
                "variant": variant,
                "measure": measure,
                "paper": number(value, 4),
                "ours": number(ours, 4) if found else NOT_MEASURED,
                "weights": found["weights"] if found else "",
                "doubts": "; ".join(doubts("6", row, column)),
            }
        )
    return lines
