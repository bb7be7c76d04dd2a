"""Folders of rate and quality: rows, points measured elsewhere, tables and plot."""

from __future__ import annotations

import json
import logging
import pathlib
from collections.abc import Collection

import numpy as np
import pandas as pd

from lossylab.core import rows
from lossylab.core.errors import UsageError, WorkError
from lossylab.core.files import write_text
from lossylab.eval.measurements import without_data
from lossylab.eval.report import plots, rd_tables
from lossylab.eval.report.names import STOP
from lossylab.eval.schemas import CODED, LIBVMAF_MEASURES

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
_MOST = 6  # curves of a panel beside the anchor's
ELSEWHERE = "elsewhere.csv"
WRITTEN = ("table.md", "rd.png", "rd.svg")
_WORDS = ("codec", "data", "image", "setting")  # columns of text there

log = logging.getLogger("lossylab")


def add(points: pd.DataFrame, folder: str) -> None:
    """Adds points that were measured elsewhere to elsewhere.csv, before about.json is written.

    Args:
      points: they replace those of the same codecs and data, others stay.
      folder: with rows.csv.
    """
    if len(points):
        others = elsewhere(folder)
        same = others.codec.isin(points.codec) & others.data.isin(points.data)
        text = pd.concat([others[~same], points]).to_csv(index=False)
        write_text(pathlib.Path(folder) / ELSEWHERE, text)


def remake(folder: str) -> None:
    """Makes table.md, rd.png and rd.svg of a folder's rows.csv and about.json.

    Data sets are never averaged together: each has its tables, the plot is of the newest.

    Raises:
      WorkError: if these are missing or damaged.
    """
    root = pathlib.Path(folder)
    table, about = load(folder)
    sets = {str(data): mine for data, mine in table.groupby("data", sort=False)}
    titles = {
        data: f"{about['title']}: {data}" if len(sets) > 1 else about["title"] for data in sets
    }
    texts = [rd_tables.markdown(m, {**about, "title": titles[data]}) for data, m in sets.items()]
    write_text(root / "table.md", "\n".join(texts))
    shown = about["data"] if about["data"] in sets else next(iter(sets))
    plot(sets[shown], titles[shown], about["anchor"], root / "rd")


def load(folder: str) -> tuple[pd.DataFrame, dict]:
    """Rows, with points measured elsewhere, and about.json of a folder; raises WorkError.

    Rows of all data sets: their column `data` says which one they are of.
    """
    root = pathlib.Path(folder)
    table = rows.frame(rows.read(root / "rows.csv", CODED.columns, without_data(root)), CODED.text)
    try:
        about = json.loads((root / "about.json").read_text())
        for key in ("title", "anchor", "data", "codecs", "packages"):
            about[key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkError(f"{root} has no usable about.json: {error}") from error
    if (root / ELSEWHERE).exists():
        table = pd.concat([table, elsewhere(folder)], ignore_index=True)
    if table.empty:
        raise WorkError(f"{root} has no rows yet")
    # Rows are in the order in which several threads finished them.
    codecs = list(dict.fromkeys([*about.get("codecs", ()), *sorted(table.codec.unique())]))
    table = _numbered(table).sort_values(
        ["codec", "image", "point"],
        key=lambda column: column.map(codecs.index) if column.name == "codec" else column,
        kind="stable",
    )
    return table.reset_index(drop=True), about


def of_newest(table: pd.DataFrame, about: dict) -> pd.DataFrame:
    """The rows of the data set measured last: a paper's tables are of one set."""
    if table.data.nunique() < 2:
        return table
    others = sorted(set(table.data) - {about["data"]})
    log.warning("rows of %s are left out: only %s is shown", ", ".join(others), about["data"])
    return table[table.data == about["data"]].reset_index(drop=True)


def _numbered(table: pd.DataFrame) -> pd.DataFrame:
    """Counts the points of curves anew whose models were measured in several turns."""
    place = ["codec", "data", "image", "point"]
    for codec in table.codec[table.duplicated(place)].unique():
        mine = table.codec == codec
        rates = table[mine].groupby("setting").bpp_file.mean().sort_values()
        order = {setting: point for point, setting in enumerate(rates.index)}
        table.loc[mine, "point"] = table.setting[mine].map(order)
    return table


def measured(folder: str) -> set[str]:
    """Names of the codecs that a folder has rows of."""
    return {row["codec"] for row in _rows(folder)}


def known(folder: str, data: str, images: Collection[str]) -> set[str]:
    """Names of the codecs of which a folder has points of some of these images."""
    points = [*_rows(folder), *elsewhere(folder).to_dict("records")]
    return {each["codec"] for each in points if each["data"] == data and each["image"] in images}


def _rows(folder: str) -> list[dict[str, str]]:
    """The rows of a folder, none if it has none yet."""
    path = pathlib.Path(folder) / "rows.csv"
    return rows.read(path, CODED.columns, without_data(folder)) if path.exists() else []


def elsewhere(folder: str) -> pd.DataFrame:
    """The points of a folder that were measured elsewhere, none if there are none."""
    path = pathlib.Path(folder) / ELSEWHERE
    if not path.exists():
        return no_points()
    table = read_elsewhere(path)
    return table if "data" in table else table.assign(**without_data(folder))


def no_points() -> pd.DataFrame:
    """A table of no points."""
    words = {"codec": [], "data": [], "image": []}
    return pd.DataFrame(words, dtype=str).assign(bpp_file=[], point=[])


def read_elsewhere(path: str | pathlib.Path) -> pd.DataFrame:
    """Points of another codec from a CSV file.

    Args:
      path: a file with the columns codec, image, bpp_file and any of `LIBVMAF_MEASURES`.

    Raises:
      UsageError: if the file is missing, or lacks something.
    """
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(_WORDS, str))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    lacking = [name for name in ("codec", "image", "bpp_file") if name not in table]
    if lacking:
        raise UsageError(f"{path} has no column {', '.join(lacking)}")
    metrics = [name for name in LIBVMAF_MEASURES if name in table]
    if not metrics:
        raise UsageError(f"{path} has none of the columns {', '.join(LIBVMAF_MEASURES)}")
    numbers = table[["bpp_file", *metrics]].apply(pd.to_numeric, errors="coerce")
    if table[["codec", "image"]].isna().any(axis=None):
        raise UsageError(f"{path} has lines without codec or image")
    if not ((numbers.bpp_file > 0) & np.isfinite(numbers.bpp_file)).all():
        raise UsageError(f"{path} has rates that are not positive numbers")
    place = [name for name in ("codec", "data", "image") if name in table]
    table = table[place].join(numbers)
    table["setting"] = ""
    table["point"] = table.groupby(place).bpp_file.rank(method="first") - 1
    return table


def plot(table: pd.DataFrame, title: str, anchor: str, path: pathlib.Path) -> None:
    """Draws mean quality over mean rate, one panel a metric, in rows of a few codecs.

    Args:
      table: rows of one data set.
      title: of the whole: what was measured.
      anchor: the codec that every row of panels shows beside its own.
      path: of the files, without suffix.
    """
    curves = table.groupby(["codec", "point"], sort=False).mean(numeric_only=True).reset_index()
    names = [n for n in curves.codec.unique() if n != anchor and not STOP.fullmatch(n)]
    lines = [names[start : start + _MOST] for start in range(0, len(names), _MOST)] or [[]]
    size = (3.1 * len(_PLOTTED), 0.7 + 2.9 * len(lines))
    heading = "Rate and quality, means over the images"
    with plots.figure(path, heading, len(lines), len(_PLOTTED), size, note=title) as axes:
        for line, shown in zip(axes, lines):
            for axis, metric in zip(line, _PLOTTED):
                for name in (anchor, *shown):
                    curve = curves[curves.codec == name].sort_values("bpp_file")
                    style = plots.BASELINE if name == anchor else {}
                    label = plots.label(name)
                    axis.plot(curve.bpp_file, curve[metric], label=label, **style)
                axis.set(xlabel="bits per pixel, of the files", ylabel=LABELS[metric])
                axis.set_xlim(left=0)
            line[0].legend()
