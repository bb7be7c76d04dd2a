"""Tables of rate and quality: means of every point, BD-rates, differences at equal rate."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import cast

import numpy as np
import pandas as pd

from lossylab.eval.metrics import bd_rate
from lossylab.eval.report.tables import Line, markdown_table, number
from lossylab.eval.schemas import LIBVMAF_MEASURES

_HEADINGS = {"pchip": "pchip: monotone", "cubic": "cubic: one polynomial a curve"}


def markdown(table: pd.DataFrame, about: dict) -> str:
    """Means of every point, then BD-rates and differences at equal rate against the anchor."""
    anchor = about["anchor"]
    others = [name for name in table.codec.unique() if name != anchor]
    parts = [f"# {about['title']}", "", _means(table), ""]
    if others and anchor in set(table.codec):
        for method in bd_rate.METHODS:
            parts += [f"## BD-rate against {anchor}, per cent ({_HEADINGS[method]})", ""]
            parts += [_bd_rates(table, anchor, others, method), ""]
        parts += [
            "Mean over images ± standard deviation (n - 1); in brackets the number of images and "
            "the mean fraction of both curves' qualities that both reach. Negative saves rate. "
            f"A star: fewer than {bd_rate.ENOUGH} rates a curve. No mean is given where some "
            "images cannot be compared, and no cubic where it is not monotone.",
            "",
            f"## At equal rate, minus {anchor}",
            "",
            markdown_table([_against(table, name, anchor) for name in others]),
            "",
            "Mean over the images of each one's mean. An image's curve of the anchor is "
            "interpolated linearly over the logarithm of the rate at the rates of the files "
            "compared; files whose rate lies outside that curve are left out, and a codec that has "
            "no other file of some image has no mean.",
        ]
    return "\n".join(parts) + "\n"


def difference_at_equal_rate(table: pd.DataFrame, name: str, other: str, metric: str) -> pd.Series:
    """Quality of one codec's files minus another's at the same rate, by image.

    Returns:
      The mean over the files of `name` whose rate lies within `other`'s curve for the same image;
      NaN for an image without such files.
    """
    return pd.Series(
        {
            str(image): _difference(group, name, other, metric)
            for image, group in table.groupby("image")
        },
        dtype=float,
    )


def _difference(group: pd.DataFrame, name: str, other: str, metric: str) -> float:
    """The same of one image's rows."""
    curve = group[group.codec == other].sort_values("bpp_file")
    points = group[group.codec == name]
    curve, points = curve[curve[metric].notna()], points[points[metric].notna()]
    points = points[points.bpp_file.between(curve.bpp_file.min(), curve.bpp_file.max())]
    if len(curve) < 2 or points.empty:
        return float("nan")
    same = np.interp(np.log(points.bpp_file), np.log(curve.bpp_file), curve[metric])
    return float((points[metric] - same).mean())


def _means(table: pd.DataFrame) -> str:
    lines, images = [], table.image.nunique()
    for key, group in table.groupby(["codec", "point"], sort=False):
        codec, point = cast("tuple[str, int]", key)
        settings = list(dict.fromkeys(group.setting))
        whole = group.image.nunique() == images
        # Means over other images than the lines above and below have would mislead.
        means = group.mean(numeric_only=True) if whole else pd.Series(dtype=float)
        lines.append(
            {
                "codec": codec,
                "point": str(int(point) + 1),
                "setting": settings[0] if len(settings) == 1 else "per image",
                "images": str(images) if whole else f"{group.image.nunique()} of {images}",
                "bpp of files": number(means.get("bpp_file", np.nan), 4),
                "bpp estimated": number(means.get("bpp_estimated", np.nan), 4),
                **{m: number(means.get(m, np.nan), _digits(m)) for m in LIBVMAF_MEASURES},
            }
        )
    return markdown_table(lines)


def _bd_rates(table: pd.DataFrame, anchor: str, others: list[str], method: str) -> str:
    lines, missing = bd_rate_lines(table, anchor, others, method)
    notes = ["", "Not compared:", "", *(f"- {each}" for each in missing)] if missing else []
    return "\n".join([markdown_table(lines), *notes])


def bd_rate_lines(
    table: pd.DataFrame, anchor: str, others: Sequence[str], method: str
) -> tuple[list[Line], list[str]]:
    """BD-rates of codecs against the anchor, a line a codec, and why some were not compared."""
    lines, missing = [], collections.defaultdict(list)
    for name in others:
        line = {"codec": name}
        for metric in LIBVMAF_MEASURES:
            found = bd_rate.over_images(table, anchor, name, metric, method)
            line[metric] = bd_rate_text(found)
            for reason, count in collections.Counter(found.reasons.values()).items():
                missing[name, reason, f"{count} of {found.images}"].append(metric)
        lines.append(line)
    notes = [
        f"{name}, {count} images: {reason} ({', '.join(metrics)})"
        for (name, reason, count), metrics in missing.items()
    ]
    return lines, notes


def bd_rate_text(found: bd_rate.Summary) -> str:
    """A mean BD-rate as a cell; none where only some images could be compared."""
    if not found.compared:
        return "n/a"
    if found.compared < found.images:
        return f"n/a ({found.compared} of {found.images} images)"
    spread = f"{number(found.mean, 1)} ± {number(found.std, 1)}{found.mark}"
    return f"{spread} ({found.compared}; {found.overlap:.0%})"


def _against(table: pd.DataFrame, name: str, other: str) -> dict[str, str]:
    found = {m: difference_at_equal_rate(table, name, other, m) for m in LIBVMAF_MEASURES}
    known = found["vmaf"].dropna()
    return {
        "codec": name,
        "images": f"{len(known)}"
        if len(known) == len(found["vmaf"])
        else f"{len(known)} of {len(found['vmaf'])}",
        "better VMAF": f"{(known > 0).sum()} of {len(known)} images",
        **{m: number(gaps.mean(skipna=False), _digits(m), "+") for m, gaps in found.items()},
    }


def _digits(metric: str) -> int:
    return 2 if metric in ("psnr", "psnr_rgb", "vmaf") else 4
