"""WCDGAN's tables beside the paper's: what its losses change, and what users get of color files."""

from __future__ import annotations

import math

import pandas as pd

from lossylab.eval.report.differences import mean_difference
from lossylab.eval.report.names import published_name
from lossylab.eval.report.tables import Line, number
from lossylab.eval.wcdgan.evidence import FILE, Evidence
from lossylab.eval.wcdgan.tables import said

_QUALITY = 10
_FIRST = "live1"  # of the sets in the users' table
_LOSSES = {
    "wcdgan_perceptual": "with perceptual",
    "wcdgan_adversarial": "with adversarial",
    "wcdgan": "with perceptual and adversarial",
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
    """Perceptual and adversarial loss, each alone and both, against neither; what there is."""
    lines = []
    for data in ("live1", "classic5"):
        for name, words in _LOSSES.items():
            where = data, _QUALITY
            control = evidence.control(*where)
            gaps = {
                title: evidence.difference(name, control, measure, *where)
                for title, (measure, _) in _JUDGED.items()
            }
            line = {"set": data, "q": str(_QUALITY), "losses": words}
            line["against"] = published_name(control)
            line |= {title: said(gap, _JUDGED[title][1]) for title, gap in gaps.items()}
            line["seen through"] = evidence.perceptual(name, *where)
            line["judged by"] = evidence.judge(name, *where)
            lines += [line] if any(gaps.values()) else []
    return lines


def users(evidence: Evidence) -> list[Line]:
    """Color files in, images out: gains of every method on every set, and the worst image."""
    table, lines = evidence.files, []
    for data in sorted(set(table.data), key=lambda data: (data != _FIRST, data)):
        of_set = table[table.data == data]
        for quality in sorted(set(of_set.quality)):
            mine = of_set[of_set.quality == quality]
            gains = {title: _gains_by_image(mine, channels) for title, channels in FILE.items()}
            for method in dict.fromkeys(mine.method):
                if method != "jpeg":
                    line = {"set": data, "q": str(quality), **_user_line(method, mine, gains)}
                    lines.append(line)
    return lines


def users_note(evidence: Evidence) -> str:
    """What is said below the heading of the users' table."""
    note = (
        "Files as Pillow writes them, 4:2:0, restored as `lossylab restore` does: gain of PSNR "
        "over the files, mean over all images of a set ± half of a 95 % interval."
    )
    if any(data.startswith("bsds500") for data in evidence.files.data):
        note += (
            " The references of bsds500 are decoded JPEG files themselves, of the collection that "
            "networks here learn from: of fine qualities they say little."
        )
    return note


def _gains_by_image(table: pd.DataFrame, channels: str) -> pd.DataFrame:
    """PSNR over JPEG's: a row an image, a column a method."""
    mine = table[table.channels == channels]
    wide = mine.set_index(["image", "method"]).psnr.unstack("method")
    return wide.sub(wide.get("jpeg", math.nan), axis=0)


def _user_line(method: str, table: pd.DataFrame, gains: dict[str, pd.DataFrame]) -> Line:
    """A method on a set at a quality; without means if images are missing."""
    found = {title: gain[method] for title, gain in gains.items() if method in gain}
    means = {title: mean_difference(gain) for title, gain in found.items()}
    of_rgb = found.get("RGB", pd.Series(dtype=float)).dropna()
    whole = table.image.nunique()
    worst = of_rgb.idxmin() if len(of_rgb) else ""
    known = len(of_rgb) == whole
    return {
        "method": published_name(method),
        "images": str(whole) if known else f"{len(of_rgb)} of {whole}",
        **{f"gain of {title}, dB": said(means.get(title) if known else None, 2) for title in FILE},
        "worst image, dB": f"{of_rgb.min():+.2f} ({worst})" if known else number(math.nan, 2),
        "s per image": number(table[table.method == method].seconds.mean(), 2),
    }
