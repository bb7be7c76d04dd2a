"""WCDGAN's tables beside the paper's: what its losses change, and what users get of color files."""

from __future__ import annotations

import math
from typing import cast

import pandas as pd

from lossylab.eval.report.differences import mean_difference
from lossylab.eval.report.names import published_name
from lossylab.eval.report.tables import Line, number
from lossylab.eval.wcdgan.evidence import FILE, Evidence
from lossylab.eval.wcdgan.tables import said

_QUALITY = 10
_LOSSES = {
    "wcdgan_perceptual": "content, perceptual",
    "wcdgan_adversarial": "content, adversarial",
    "wcdgan": "content, perceptual, adversarial",
}
_JUDGED = {
    "PSNR, dB": ("psnr", 2),
    "SSIM": ("ssim", 4),
    "VMAF": ("vmaf", 2),
    "feature distance": ("feature_distance", 4),
    "Fréchet distance": ("feature_frechet", 2),
    "LPIPS": ("lpips", 4),
}


def losses(evidence: Evidence) -> list[Line]:
    """Perceptual and adversarial loss, each alone and both, against content loss; what there is."""
    lines = []
    for data in ("live1", "classic5"):
        for name, words in _LOSSES.items():
            where = data, _QUALITY
            gaps = {
                title: evidence.difference(name, evidence.control, measure, *where)
                for title, (measure, _) in _JUDGED.items()
            }
            line = {"set": data, "q": str(_QUALITY), "losses": words}
            line["against"] = published_name(evidence.control)
            line |= {title: said(gap, _JUDGED[title][1]) for title, gap in gaps.items()}
            line["seen through"] = evidence.perceptual(name, *where)
            line["judged by"] = evidence.judge(name, *where)
            lines += [line] if any(gaps.values()) else []
    return lines


def users(evidence: Evidence) -> list[Line]:
    """Color files in, images out: gains of every method over all images, and the worst image."""
    table, lines = evidence.files, []
    for quality in sorted(set(table.quality)):
        mine = table[table.quality == quality]
        gains = {title: _gains_by_image(mine, channels) for title, channels in FILE.items()}
        for method in dict.fromkeys(mine.method):
            if method != "jpeg":
                lines.append(_user_line(str(quality), method, mine, gains))
    return lines


def _gains_by_image(table: pd.DataFrame, channels: str) -> pd.DataFrame:
    """PSNR over JPEG's: a row an image (set and name), a column a method."""
    mine = table[table.channels == channels]
    wide = mine.set_index(["data", "image", "method"]).psnr.unstack("method")
    return wide.sub(wide.get("jpeg", math.nan), axis=0)


def _user_line(
    quality: str, method: str, table: pd.DataFrame, gains: dict[str, pd.DataFrame]
) -> Line:
    """A method at a quality; without means if images are missing."""
    found = {title: gain[method] for title, gain in gains.items() if method in gain}
    means = {title: mean_difference(gain) for title, gain in found.items()}
    of_rgb = found.get("RGB", pd.Series(dtype=float)).dropna()
    whole = table[["data", "image"]].drop_duplicates()
    worst = cast("tuple[str, str]", of_rgb.idxmin()) if len(of_rgb) else ("", "")
    known = len(of_rgb) == len(whole)
    return {
        "q": quality,
        "method": published_name(method),
        "sets": ", ".join(sorted(set(whole.data))),
        "images": str(len(whole)) if known else f"{len(of_rgb)} of {len(whole)}",
        **{f"gain of {title}, dB": said(means.get(title) if known else None, 2) for title in FILE},
        "worst image, dB": f"{of_rgb.min():+.2f} ({worst[1]})" if known else number(math.nan, 2),
        "s per image": number(table[table.method == method].seconds.mean(), 2),
    }
