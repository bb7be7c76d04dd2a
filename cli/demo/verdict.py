"""Who wins in the demo, in words made of its rows."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping, Sequence

import pandas as pd

from lossylab.core import rows
from lossylab.eval.report import rd_report
from lossylab.eval.report.names import published_name
from lossylab.eval.report.rd_tables import difference_at_equal_rate
from lossylab.eval.schemas import RESTORATION

TUNED = "tuned"  # the curve of the codec that the demo trains on
TABLES = "jpeg_tables"  # that of the learned tables, whose files have the standard's codes
JPEG_STANDARD, JPEG, JPEG2000 = CLASSICAL = ("jpeg", "jpeg_optimized", "jpeg2000")
_MEASURES = {"psnr_rgb": ("PSNR", " dB"), "vmaf": ("VMAF", "")}


def curve(model: str) -> str:
    """The curve of a packaged model: bls_mse of bls-mse-0.016."""
    return re.sub(r"-[\d.]+$", "", model).replace("-", "_")


def rate(folder: pathlib.Path, codec: str) -> float:
    """Mean rate of a codec's files in a folder of rows, bits per pixel."""
    table, _ = rd_report.load(str(folder))
    return float(table[table.codec == codec].bpp_file.mean())


def text(results: pathlib.Path, restored: pathlib.Path, base: str, said: Sequence[str]) -> str:
    """What was measured, a line each.

    Args:
      results: folder of the codecs' rows.
      restored: folder of the restored files' rows.
      base: curve of the codec that was trained on.
      said: further lines.
    """
    table, _ = rd_report.load(str(results))
    ours = [name for name in table.codec.unique() if name not in CLASSICAL]
    lines = [f"Files of {table.image.nunique()} images; differences at equal rate, mean of images:"]
    for name in ours:
        for other in (JPEG_STANDARD, JPEG2000) if name == TABLES else CLASSICAL:
            gaps = {m: difference_at_equal_rate(table, name, other, m) for m in _MEASURES}
            lines.append(f"  {published_name(name)} against {published_name(other)}: {_said(gaps)}")
    lines.append(_tuning(table, base))
    return "\n".join([*lines, _restoration(restored), *said]) + "\n"


def judged(gaps: pd.Series, measure: str) -> str:
    """Whether it wins by a measure: on all images, on none, or it is not decided."""
    title, unit = _MEASURES[measure]
    known = gaps.dropna()
    if known.empty:
        return f"not comparable by {title}"
    better = int((known > 0).sum())
    word = {len(known): "wins", 0: "loses"}.get(better, "undecided")
    return f"{word} by {title} ({known.mean():+.2f}{unit}, better on {better} of {len(known)})"


def _said(gaps: Mapping[str, pd.Series]) -> str:
    return ", ".join(judged(each, measure) for measure, each in gaps.items())


def _tuning(table: pd.DataFrame, base: str) -> str:
    """What training on for VMAF did, each beside JPEG at its own rate."""
    changes = {}
    for measure in _MEASURES:
        after, before = (
            difference_at_equal_rate(table, name, JPEG, measure) for name in (TUNED, base)
        )
        changes[measure] = after - before
    return f"Trained on for VMAF, against itself before: {_said(changes)}"


def _restoration(folder: pathlib.Path) -> str:
    """What restoring did to color files."""
    table = rows.frame(rows.read(folder / "rows.csv", RESTORATION.columns), RESTORATION.text)
    table = table[table.channels == "file_rgb"]
    before, after = (
        table[table.method == method].set_index("image").psnr for method in ("jpeg", "restore")
    )
    return f"Restored JPEG files, against these: {judged(after - before, 'psnr_rgb')}"
