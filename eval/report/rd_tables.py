"""Tables of rate and quality: means of every point, BD-rates, differences at equal rate."""

from __future__ import annotations

import collections
from typing import cast

import numpy as np
import pandas as pd

from lossylab.eval.metrics import bd_rate
from lossylab.eval.report.tables import markdown_table, number
from lossylab.eval.sweep import MEASURED


def markdown(table: pd.DataFrame, about: dict) -> str:
    """Means of every point, then BD-rates and differences at equal rate against the anchor."""
    anchor = about["anchor"]
    others = [name for name in table.codec.unique() if name != anchor]
    parts = [f"# {about['title']}", "", _means(table), ""]
    if others and anchor in set(table.codec):
        for method in bd_rate.METHODS:
            parts += [f"## BD-rate against {anchor}, per cent ({method})", ""]
            parts += [_bd_rates(table, anchor, others, method), ""]
        parts += [
            "Mean over images ± standard deviation (n - 1); in brackets on how many images "
            "curves could be compared, and the mean fraction of both curves' qualities that both "
            "reach. Negative saves rate. A cubic through four points has nothing left to smooth: "
            "where it differs much from pchip, neither says much.",
            "",
            f"## At equal rate, minus {anchor}",
            "",
            markdown_table([_against(table, name, anchor) for name in others]),
            "",
            "Each image's curve of the anchor is interpolated linearly over the logarithm of the "
            "rate at the rates of the files compared; files whose rate lies outside that curve are "
            "left out and not counted.",
        ]
    return "\n".join(parts) + "\n"


def difference_at_equal_rate(
    table: pd.DataFrame, name: str, other: str, metric: str
) -> tuple[float, int]:
    """Mean quality of one codec's files minus another's at the same rate.

    Returns:
      The mean over all files of `name` whose rate lies within `other`'s curve for the same
      image (NaN if there are none), and how many these are.
    """
    differences = []
    for _, group in table.groupby("image"):
        curve = group[group.codec == other].sort_values("bpp_file")
        points = group[group.codec == name]
        curve = curve[curve[metric].notna()]
        points = points[points[metric].notna()]
        inside = points.bpp_file.between(curve.bpp_file.min(), curve.bpp_file.max())
        if len(curve) < 2 or not inside.any():
            continue
        rate = np.log(points.bpp_file[inside])
        same = np.interp(rate, np.log(curve.bpp_file), curve[metric])
        differences += list(points[metric][inside] - same)
    return (float(np.mean(differences)) if differences else float("nan")), len(differences)


def _means(table: pd.DataFrame) -> str:
    lines = []
    for key, group in table.groupby(["codec", "point"], sort=False):
        codec, point = cast("tuple[str, int]", key)
        settings = list(dict.fromkeys(group.setting))
        means = group.mean(numeric_only=True)
        lines.append(
            {
                "codec": codec,
                "point": str(int(point) + 1),
                "setting": settings[0] if len(settings) == 1 else "per image",
                "images": str(len(group)),
                "bpp of files": number(means.bpp_file, 4),
                "bpp estimated": number(means.get("bpp_estimated", np.nan), 4),
                **{m: number(means.get(m, np.nan), _digits(m)) for m in MEASURED},
            }
        )
    return markdown_table(lines)


def _bd_rates(table: pd.DataFrame, anchor: str, others: list[str], method: str) -> str:
    lines, missing = [], collections.defaultdict(list)
    for name in others:
        line = {"codec": name}
        for metric in MEASURED:
            found = bd_rate.over_images(table, anchor, name, metric, method)
            text = (
                f"{number(found.mean, 1)} ± {number(found.std, 1)} "
                f"({found.compared}; {found.overlap:.0%})"
            )
            line[metric] = text if found.compared else "n/a"
            for reason, count in collections.Counter(found.reasons.values()).items():
                missing[name, reason, f"{count} of {found.images}"].append(metric)
        lines.append(line)
    notes = [
        f"- {name}, {count} images: {reason} ({', '.join(metrics)})"
        for (name, reason, count), metrics in missing.items()
    ]
    return "\n".join([markdown_table(lines), *(["", "Not compared:", "", *notes] if notes else [])])


def _against(table: pd.DataFrame, name: str, other: str) -> dict[str, str]:
    found = {m: difference_at_equal_rate(table, name, other, m) for m in MEASURED}
    return {
        "codec": name,
        "files": str(found["vmaf"][1]),
        "better VMAF": _images_better(table, name, other),
        **{metric: number(value, _digits(metric), "+") for metric, (value, _) in found.items()},
    }


def _images_better(table: pd.DataFrame, name: str, other: str) -> str:
    """On how many images, of those that can be compared, the VMAF at equal rate is higher."""
    by_image = [
        difference_at_equal_rate(group, name, other, "vmaf")[0]
        for _, group in table.groupby("image")
    ]
    known = [value for value in by_image if np.isfinite(value)]
    return f"{sum(value > 0 for value in known)} of {len(known)} images"


def _digits(metric: str) -> int:
    return 2 if metric in ("psnr", "psnr_rgb", "vmaf") else 4
