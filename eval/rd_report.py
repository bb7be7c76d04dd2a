"""Rows of rate and quality as CSV, a table at equal rates, and a plot."""

from __future__ import annotations

import json
import pathlib
import textwrap

import matplotlib
import numpy as np
import pandas as pd

from lossylab.data.files import replacing, write_text
from lossylab.eval.app import WorkError
from lossylab.eval.metrics.vmaf import REPORTED

_PLOTTED = {"vmaf": "VMAF", "psnr": "PSNR (Eq. 12), dB", "ssim": "SSIM", "ms_ssim": "MS-SSIM"}


def write(rows: pd.DataFrame, about: dict, folder: str, title: str) -> None:
    """Writes rows.csv, about.json, and what `remake` makes of them, into a folder.

    Args:
      rows: as `lossylab.eval.rd.measure` gives them.
      about: protocol and software, JSON values.
      folder: where to write.
      title: heading, with the budget if it is small.
    """
    place = pathlib.Path(folder)
    write_text(place / "rows.csv", rows.to_csv(index=False, float_format="%.6g"))
    write_text(place / "about.json", json.dumps({"title": title, **about}, indent=2) + "\n")
    remake(folder)


def remake(folder: str) -> None:
    """Makes table.md, rd.png and rd.svg of a folder's rows.csv and about.json.

    Raises:
      WorkError: if these are missing or damaged.
    """
    place = pathlib.Path(folder)
    rows, title = load(folder)
    write_text(place / "table.md", markdown(rows, title))
    for suffix in (".png", ".svg"):
        with replacing((place / "rd").with_suffix(suffix)) as temporary:
            plot(rows, title, temporary)


def load(folder: str) -> tuple[pd.DataFrame, str]:
    """Rows and title of a folder; raises WorkError if they are missing or damaged."""
    place = pathlib.Path(folder)
    try:
        rows = pd.read_csv(place / "rows.csv", dtype={"setting": str, "picture": str})
        title = json.loads((place / "about.json").read_text())["title"]
        rows[["codec", "bpp_file", *REPORTED]]
    except (OSError, ValueError, KeyError) as error:
        raise WorkError(f"{place} has no usable rows.csv and about.json: {error}") from error
    return rows, title


def markdown(rows: pd.DataFrame, title: str) -> str:
    """A table of means, and of differences at equal rate against each other codec."""
    learned = [name for name in rows.codec.unique() if name != "jpeg"]
    parts = [f"# {title}", "", _means(rows[rows.codec != "jpeg"]), ""]
    for name in learned:
        others = [other for other in rows.codec.unique() if other != name]
        parts += [f"## {name} at equal rate, minus the other codec", ""]
        parts += [_table(_against(rows, name, other) for other in others), ""]
    parts += [
        "At equal rate: each picture's curve of the other codec is interpolated linearly over the "
        "logarithm of the rate at the rates of the files compared; files whose rate lies outside "
        "that curve are left out and not counted.",
    ]
    return "\n".join(parts) + "\n"


def difference_at_equal_rate(
    rows: pd.DataFrame, name: str, other: str, metric: str
) -> tuple[float, int]:
    """Mean quality of one codec's files minus another's at the same rate.

    Returns:
      The mean over all files of `name` whose rate lies within `other`'s curve for the same
      picture (NaN if there are none), and how many these are.
    """
    differences = []
    for _, group in rows.groupby("picture"):
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


def plot(rows: pd.DataFrame, title: str, path: str) -> None:
    """Draws mean quality over mean rate, one panel a metric."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(11, 8), layout="constrained")
    curves = rows.groupby(["codec", "setting"], sort=False).mean(numeric_only=True).reset_index()
    low, high = curves[curves.codec != "jpeg"].bpp_file.agg(["min", "max"])
    for axis, (metric, label) in zip(axes.flat, _PLOTTED.items()):
        for name, curve in curves.groupby("codec", sort=False):
            curve = curve.sort_values("bpp_file")
            style = {"color": "0.5", "linestyle": "--"} if name == "jpeg" else {}
            axis.plot(curve.bpp_file, curve[metric], marker="o", label=name, **style)
        axis.set(xlabel="bits per pixel, of the files", ylabel=label)
        if np.isfinite(low):
            axis.set_xlim(0, 1.8 * high)
        axis.grid(alpha=0.3)
    axes[0, 0].legend()
    figure.suptitle("\n".join(textwrap.wrap(title, 100)))
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _means(rows: pd.DataFrame) -> str:
    means = rows.groupby(["codec", "setting"], sort=False).mean(numeric_only=True).reset_index()
    return _table(
        {
            "codec": row.codec,
            "setting": row.setting,
            "bpp of files": f"{row.bpp_file:.4f}",
            "bpp estimated": f"{row.bpp_estimated:.4f}",
            **{name: _cell(name, row[name]) for name in REPORTED},
        }
        for _, row in means.iterrows()
    )


def _against(rows: pd.DataFrame, name: str, other: str) -> dict:
    found = {m: difference_at_equal_rate(rows, name, other, m) for m in REPORTED}
    return {
        "other": other,
        "files": str(found["vmaf"][1]),
        "better VMAF": _pictures_better(rows, name, other),
        **{metric: _cell(metric, value, "+") for metric, (value, _) in found.items()},
    }


def _pictures_better(rows: pd.DataFrame, name: str, other: str) -> str:
    """On how many pictures, of those that can be compared, the VMAF at equal rate is higher."""
    by_picture = [
        difference_at_equal_rate(group, name, other, "vmaf")[0]
        for _, group in rows.groupby("picture")
    ]
    known = [value for value in by_picture if np.isfinite(value)]
    return f"{sum(value > 0 for value in known)} of {len(known)} pictures"


def _cell(metric: str, value: float, sign: str = "") -> str:
    if not np.isfinite(value):
        return "n/a"
    return format(value, f"{sign}.{2 if metric in ('psnr', 'vmaf') else 4}f")


def _table(rows) -> str:
    rows = list(rows)
    head = list(rows[0])
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row.values()) + " |" for row in rows])
