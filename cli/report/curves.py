"""Panels of charts: learning curves, rate and quality, and dots of means with their intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from lossylab.cli.report.blocks import DOTS, Panel, Series, Table
from lossylab.eval.report.differences import margin
from lossylab.eval.report.names import STOP, published_name
from lossylab.eval.report.tables import Line

_POINTS = 300  # of a learning curve
_MOST = 7  # curves that are drawn unasked
_DECADE = 10  # largest over smallest value beyond which an axis is logarithmic
_STEP = "step"


def learning_panels(runs: Mapping[str, tuple[Sequence[Line], Sequence[Line]]]) -> list[Panel]:
    """A panel for every measure of training and validation, a curve a run.

    Args:
      runs: lines of metrics.csv and validation.csv by the runs' names.
    """
    panels = []
    for part, prefix in enumerate(("", "validation: ")):
        tables = {name: lines[part] for name, lines in runs.items()}
        measures = dict.fromkeys(key for lines in tables.values() for key in (lines or [{}])[0])
        for measure in measures:
            if measure != _STEP:
                panels += _learning_panel(prefix, measure, tables)
    return panels


def _learning_panel(prefix: str, measure: str, tables: Mapping[str, Sequence[Line]]) -> list[Panel]:
    """The panel of one measure, none if no run has a number of it."""
    found = []
    for name, lines in tables.items():
        points = [(int(line[_STEP]), number(line.get(measure, ""))) for line in lines]
        points = thinned([(x, y) for x, y in points if math.isfinite(y)])
        if points:
            shown = len(found) < _MOST
            found.append(Series(name, *map(list, zip(*points)), shown=shown))
    if not found:
        return []
    values = [y for series in found for y in series.y]
    title = measure.replace("_", " ")
    log = logarithmic(values)
    return [Panel(prefix + title, "training steps", title, found, log_y=log)]


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most so many of the points, evenly, the last among them."""
    every = math.ceil(len(points) / _POINTS)
    return list(points[::-1][::every][::-1]) if every > 1 else list(points)


def logarithmic(values: Sequence[float]) -> bool:
    """Whether values are read better on a logarithmic axis."""
    least = min(values)
    return least > 0 and max(values) > _DECADE * least


def number(text: str) -> float:
    """The number of a cell, NaN if it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def rate_panels(
    table: pd.DataFrame, measures: Mapping[str, tuple[str, bool]], anchor: str
) -> tuple[list[Panel], Table]:
    """Mean quality over mean rate, a panel for each data set and measure, a curve a codec.

    Points that some images lack have no mean: it would be over other images than the rest.

    Args:
      table: rows of codecs.
      measures: heading by column, and whether its axis is logarithmic, the first is shown first.
      anchor: what others are compared with.

    Returns:
      The panels, and their numbers.
    """
    panels, numbers = [], []
    sets = {str(data): mine for data, mine in table.groupby("data", sort=False)}
    for data, mine in sets.items():
        means = _means(mine)
        place = f" on {data}" if len(sets) > 1 else ""
        known = [name for name in measures if name in means and means[name].notna().any()]
        for name in known:
            heading, log_y = measures[name]
            order = mine.codec.unique()
            series = _rate_series(means.dropna(subset=name), name, anchor, order)
            panels.append(
                Panel(heading + place, "bits per pixel, of the files", heading, series,
                      log_x=True, log_y=log_y)
            )  # fmt: skip
        numbers += [_rate_line(point, data, known, measures) for point in means.to_dict("records")]
    return panels, Table("Numbers of the curves", numbers)


def _means(table: pd.DataFrame) -> pd.DataFrame:
    """Means of every point that all images have, by codec and rate."""
    groups = table.groupby(["codec", "point"], sort=False)
    means = groups.mean(numeric_only=True)
    settings = groups.setting.unique()
    means["setting"] = settings.map(lambda found: found[0] if len(found) == 1 else "per image")
    whole = groups.image.nunique() == table.image.nunique()
    means = means[whole].replace([math.inf, -math.inf], math.nan)
    return means.reset_index().sort_values("bpp_file", kind="stable")


def _rate_series(
    means: pd.DataFrame, measure: str, anchor: str, order: Iterable[str]
) -> list[Series]:
    codecs = [name for name in order if name in set(means.codec)]
    codecs.sort(key=lambda name: (name != anchor, bool(STOP.fullmatch(name))))
    found = []
    for place, codec in enumerate(codecs):
        mine = means[means.codec == codec]
        found.append(
            Series(
                published_name(codec),
                [float(f"{x:.5g}") for x in mine.bpp_file],
                [float(f"{y:.6g}") for y in mine[measure]],
                [str(setting) for setting in mine.setting],
                shown=place <= _MOST and not STOP.fullmatch(codec),
                baseline=codec == anchor,
            )
        )
    return found


def _rate_line(
    point: dict, data: str, known: Sequence[str], measures: Mapping[str, tuple[str, bool]]
) -> Line:
    quality = {measures[name][0]: f"{point[name]:.4g}" for name in known}
    where = {"codec": published_name(point["codec"]), "images": data, "setting": point["setting"]}
    return {**where, "bits per pixel": f"{point['bpp_file']:.4f}", **quality}


def dots_panel(
    label: str, title: str, values: Mapping[str, pd.Series], log: bool = False
) -> Panel | None:
    """Means of several methods with their 95 % intervals, from the best to the worst.

    Args:
      label: to choose the panel by.
      title: of the axis.
      values: by method, one value an image.
      log: whether the axis may be logarithmic.

    Returns:
      None where there are no numbers.
    """
    known = {name: each[np.isfinite(each)] for name, each in values.items()}
    most = max((len(each) for each in known.values()), default=0)
    whole = {name: each for name, each in known.items() if len(each) == most and most}
    if not whole:
        return None
    order = sorted(whole, key=lambda name: whole[name].mean())
    means = [float(f"{whole[name].mean():.5g}") for name in order]
    margins = [margin(whole[name]) for name in order]
    series = Series(
        title,
        means,
        [published_name(name) for name in order],
        [f"mean of {most}"] * len(order),
        [float(f"{each:.3g}") if math.isfinite(each) else 0.0 for each in margins],
    )
    return Panel(label, title, "", [series], DOTS, log_x=log and logarithmic(means))
