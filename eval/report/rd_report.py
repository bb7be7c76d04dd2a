"""Tables and a plot of a folder's rows of rate and quality."""

from __future__ import annotations

import collections
import contextlib
import json
import pathlib
import textwrap
from typing import cast

import matplotlib
import numpy as np
import pandas as pd

from lossylab.core import rows
from lossylab.core.errors import UsageError, WorkError
from lossylab.core.files import replacing, write_text
from lossylab.eval.metrics import bd_rate
from lossylab.eval.report.tables import markdown_table, number
from lossylab.eval.sweep import COLUMNS, MEASURED, TEXT

LABELS = {
    "psnr": "PSNR (Eq. 12), dB",
    "psnr_rgb": "PSNR of RGB, dB",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "vif": "VIF",
    "vif_scale0": "VIF, finest scale",
    "vmaf": "VMAF",
}
_PLOTTED = ("vmaf", "psnr", "ssim", "ms_ssim")
ELSEWHERE = "elsewhere.csv"


def write(points: pd.DataFrame, about: dict, folder: str) -> None:
    """Writes about.json, elsewhere.csv, and what `remake` makes of the folder.

    Args:
      points: measured elsewhere; they replace those of the same codecs, others stay.
      about: protocol and software, JSON values; codecs of earlier sweeps are kept.
      folder: with rows.csv.
    """
    place = pathlib.Path(folder)
    before = {}
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        before = dict(json.loads((place / "about.json").read_text())["codecs"])
    about = {**about, "codecs": {**before, **about["codecs"]}}
    write_text(place / "about.json", json.dumps(about, indent=2) + "\n")
    if len(points):
        others = elsewhere(folder)
        others = others[~others.codec.isin(points.codec)]
        write_text(place / ELSEWHERE, pd.concat([others, points]).to_csv(index=False))
    remake(folder)


def remake(folder: str) -> None:
    """Makes table.md, rd.png and rd.svg of a folder's rows.csv and about.json.

    Raises:
      WorkError: if these are missing or damaged.
    """
    place = pathlib.Path(folder)
    table, about = load(folder)
    write_text(place / "table.md", markdown(table, about))
    for suffix in (".png", ".svg"):
        with replacing((place / "rd").with_suffix(suffix)) as temporary:
            plot(table, about["title"], temporary)


def load(folder: str) -> tuple[pd.DataFrame, dict]:
    """Rows, with points measured elsewhere, and about.json of a folder; raises WorkError."""
    place = pathlib.Path(folder)
    table = rows.frame(rows.read(place / "rows.csv", COLUMNS), TEXT)
    try:
        about = json.loads((place / "about.json").read_text())
        for key in ("title", "anchor", "data", "codecs", "packages"):
            about[key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkError(f"{place} has no usable about.json: {error}") from error
    if (place / ELSEWHERE).exists():
        table = pd.concat([table, elsewhere(folder)], ignore_index=True)
    if table.empty:
        raise WorkError(f"{place} has no rows yet")
    # Rows are in the order in which several threads finished them.
    codecs = list(dict.fromkeys([*about.get("codecs", ()), *sorted(table.codec.unique())]))
    table = table.sort_values(
        ["codec", "image", "point"],
        key=lambda column: column.map(codecs.index) if column.name == "codec" else column,
        kind="stable",
    )
    return table.reset_index(drop=True), about


def measured(folder: str) -> set[str]:
    """Names of the codecs that a folder has rows of."""
    path = pathlib.Path(folder) / "rows.csv"
    return {row["codec"] for row in rows.read(path, COLUMNS)} if path.exists() else set()


def elsewhere(folder: str) -> pd.DataFrame:
    """The points of a folder that were measured elsewhere, none if there are none."""
    path = pathlib.Path(folder) / ELSEWHERE
    return read_elsewhere(path) if path.exists() else no_points()


def no_points() -> pd.DataFrame:
    """A table of no points."""
    return pd.DataFrame({"codec": [], "image": []}, dtype=str).assign(bpp_file=[], point=[])


def read_elsewhere(path: str | pathlib.Path) -> pd.DataFrame:
    """Points of another codec from a CSV file.

    Args:
      path: a file with the columns codec, image, bpp_file and any of `MEASURED`.

    Raises:
      UsageError: if the file is missing, or lacks something.
    """
    try:
        table = pd.read_csv(path, dtype={"codec": str, "image": str, "setting": str})
    except (OSError, ValueError) as error:
        raise UsageError(f"--csv: {path} cannot be read: {error}") from error
    lacking = [name for name in ("codec", "image", "bpp_file") if name not in table]
    if lacking:
        raise UsageError(f"--csv: {path} has no column {', '.join(lacking)}")
    metrics = [name for name in MEASURED if name in table]
    if not metrics:
        raise UsageError(f"--csv: {path} has none of the columns {', '.join(MEASURED)}")
    numbers = table[["bpp_file", *metrics]].apply(pd.to_numeric, errors="coerce")
    if table[["codec", "image"]].isna().any(axis=None):
        raise UsageError(f"--csv: {path} has lines without codec or image")
    if not ((numbers.bpp_file > 0) & np.isfinite(numbers.bpp_file)).all():
        raise UsageError(f"--csv: {path} has rates that are not positive numbers")
    table = table[["codec", "image"]].join(numbers)
    table["setting"] = ""
    table["point"] = table.groupby(["codec", "image"]).bpp_file.rank(method="first") - 1
    return table


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


def plot(table: pd.DataFrame, title: str, path: str) -> None:
    """Draws mean quality over mean rate, one panel a metric."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "rd"  # equal rows give an equal file
    figure, axes = pyplot.subplots(2, 2, figsize=(11, 8), layout="constrained")
    curves = table.groupby(["codec", "point"], sort=False).mean(numeric_only=True).reset_index()
    many = curves.codec.nunique() > 10
    colormap, count = matplotlib.colormaps["tab20" if many else "tab10"], 20 if many else 10
    colors = [colormap(index) for index in range(count)]
    for axis, metric in zip(axes.flat, _PLOTTED):
        axis.set_prop_cycle(color=colors)
        for name, curve in curves.groupby("codec", sort=False):
            curve = curve.sort_values("bpp_file")
            style = {"color": "0.5", "linestyle": "--"} if name == "jpeg" else {}
            axis.plot(curve.bpp_file, curve[metric], marker="o", ms=4, label=name, **style)
        axis.set(xlabel="bits per pixel, of the files", ylabel=LABELS[metric])
        axis.set_xlim(left=0)
        axis.grid(alpha=0.3)
    axes[0, 0].legend(fontsize=7 if many else 10)
    figure.suptitle("\n".join(textwrap.wrap(title, 100)))
    figure.savefig(path, dpi=120, metadata={"Date": None} if str(path).endswith("svg") else None)
    pyplot.close(figure)


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
