"""The distortion GAN's evidence: measured rows, Table I and what lies beside it."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from lossylab.data.distortions import DISTORTIONS
from lossylab.eval.distortion_gan.evidence import Evidence
from lossylab.eval.distortion_gan.own_measures import kind_of
from lossylab.eval.options.distortions import REAL, UNTOUCHED
from lossylab.eval.report import published
from lossylab.eval.report.comparison import Cell, lines
from lossylab.eval.report.differences import mean_difference
from lossylab.eval.report.tables import Line, number
from lossylab.eval.schemas import SEVERITY_LIMITED, SHORT

DIGITS = 4
_SHOWN, _BESIDE = 4, 2  # of the severities within the limits, and of all others
# Variant -> lambda of Eq. 3, Fig. 3.
LAMBDAS = {"jpeg_lambda_0": 0.0, "jpeg_lambda_0.01": 0.01, "jpeg": 0.1, "jpeg_lambda_1": 1.0}
PIXEL = {"jpeg_l1": "l1", "jpeg_l2": "l2"}  # Fig. 4


def table1(evidence: Evidence) -> list[Line]:
    """The sixteen cells of Table I: paper | ours | difference | verdict."""
    names = {short: name for name, short in SHORT.items()}
    cells = [
        Cell(row, column, value, evidence.mean(names[row], names[column]), "bit", DIGITS)
        for (row, column, _), value in published.numbers("distortion_gan", "I").items()
    ]
    return lines(cells, "generated", "real")


def severities_said(evidence: Evidence) -> str:
    """The severities of the rows' real distortions, in words."""
    found = evidence.table.groupby("reference").severity.unique()
    return ", ".join(
        f"{short} {DISTORTIONS[name].said(severity)}"
        for name, short in SHORT.items()
        for severity in found.get(name, ())
    )


def matrix(evidence: Evidence) -> list[Line]:
    """Every method against every real distortion.

    The models' smallest of a row is bold, of a column italic.
    """
    models = [name for name in SHORT if name in evidence.methods]
    values = {(m, t): evidence.mean(m, t) for m in evidence.methods for t in SHORT}
    found = []
    for method in evidence.methods:
        line = {"distorted by": method}
        for real, short in SHORT.items():
            text = number(values[method, real], DIGITS)
            if method in models:
                if values[method, real] == min(values[method, t] for t in SHORT):
                    text = f"**{text}**"
                if values[method, real] == min(values[m, real] for m in models):
                    text = f"*{text}*"
            line[short] = text
        line["residual, pixel values"] = number(evidence.mean(method, "jpeg", "residual"), 2)
        found.append(line)
    return found


def ablations(evidence: Evidence) -> list[Line]:
    """JPEG by other weights of the sparsity and by pixel losses, against the real JPEG."""
    found = []
    trained = {name: f"lambda = {value:g}" for name, value in LAMBDAS.items()}
    trained |= {name: f"{norm} alone" for name, norm in PIXEL.items()}
    for method, words in trained.items():
        jsd = mean_difference(evidence.measure(method, "jpeg"))
        if not jsd or math.isnan(evidence.mean(method, "jpeg")):
            continue
        shown = f"{number(jsd.mean, DIGITS)} ± {number(jsd.margin, DIGITS)}"
        found.append(
            {
                "trained by": words,
                "JSD to real JPEG": shown,
                "residual, pixel values": number(evidence.mean(method, "jpeg", "residual"), 2),
            }
        )
    if found:
        real = evidence.mean(REAL + "jpeg", "jpeg", "residual")
        found.append(
            {
                "trained by": "nothing: the reference image",
                "JSD to real JPEG": number(evidence.mean(UNTOUCHED, "jpeg"), DIGITS),
                "residual, pixel values": number(0.0, 2),
            }
        )
        found.append(
            {
                "trained by": "real JPEG itself",
                "JSD to real JPEG": number(0.0, DIGITS),
                "residual, pixel values": number(real, 2),
            }
        )
    return found


def severities(evidence: Evidence) -> list[Line]:
    """The nearest severities within the limits, and the nearest of all."""
    kept = [line for line in evidence.severities if line.get(SEVERITY_LIMITED) == "yes"]
    others = [line for line in evidence.severities if line.get(SEVERITY_LIMITED) != "yes"]
    return [*kept[:_SHOWN], *others[:_BESIDE]]


def residuals(evidence: Evidence) -> list[Line]:
    """What the divergence does not see, of every method that imitates a distortion."""
    found = []
    for method in evidence.methods:
        kind = kind_of(method)
        if kind and np.isfinite(evidence.mean(method, kind, "blockiness")):
            found.append({"distorted by": method, **_residuals(evidence.images(method, kind))})
    return found


def _residuals(mine: pd.DataFrame) -> Line:
    ratio = (mine.high_frequency / mine.real_high_frequency).mean()
    return {
        "JSD (untouched image)": f"{number(mine.jsd.mean(), DIGITS)} "
        f"({number(mine.untouched.mean(), DIGITS)})",
        "blockiness (real)": f"{number(mine.blockiness.mean(), 2)} "
        f"({number(mine.real_blockiness.mean(), 2)})",
        "high-frequency energy, of the real": number(float(ratio), 2),
        "slope of the residual (real)": f"{number(mine.slope.mean(), 2)} "
        f"({number(mine.real_slope.mean(), 2)})",
        "unevenness, dB (real)": f"{number(mine.unevenness.mean(), 1)} "
        f"({number(mine.real_unevenness.mean(), 1)})",
        "from the real spectrum, dB": number(mine.spectrum_gap.mean(), 1),
    }
