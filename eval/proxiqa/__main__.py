"""ProxIQA's report: Tables I to V, Figures 6 to 12 and claims."""

from __future__ import annotations

from lossylab.core import command
from lossylab.eval.metrics import bd_rate
from lossylab.eval.options.paper import ProxiqaPaperOptions
from lossylab.eval.proxiqa import claims, figures, tables
from lossylab.eval.proxiqa.evidence import load
from lossylab.eval.report import comparison
from lossylab.eval.report.paper import Paper, Table

_STDS = (
    "± is the standard deviation over images, dividing by n: the paper's Table I shows that its "
    "own does so. BD-rates by pchip; a cubic that is not monotone on some image is refused. A "
    f"star: fewer than {bd_rate.ENOUGH} rates; a percentage in brackets: the qualities that both "
    "curves reach, of those of either, where these are less than half."
)
_TIMES = (
    "Another machine, other encoders: only ratios between codecs can be compared. Ours: means over "
    "all images and rates, one job at a time, model loaded; HEVC with the start of its process; "
    "learned codecs with the filters of the heading."
)


PAPER = Paper(
    stem="proxiqa",
    name="ProxIQA",
    evidence=load,
    tables=(
        Table(
            "table1",
            "Table I: BD-rate by image",
            lambda evidence: comparison.lines(
                tables.table_1(evidence), "image", "optimization, metric"
            ),
            lambda evidence: (
                f"{comparison.summary(tables.table_1(evidence))}. Each cell: paper / ours by pchip."
            ),
            page=tables.table_1_by_image,
        ),
        Table(
            "table2",
            "Table II: mean BD-rate against BLS MSE, Kodak",
            lambda evidence: comparison.lines(tables.table_2(evidence), "codec", "metric"),
            lambda evidence: f"{comparison.summary(tables.table_2(evidence))}. {_STDS}",
        ),
        Table("table3", "Table III: software", tables.table_3),
        Table(
            "table4",
            "Table IV: SSIM-driven optimization",
            lambda evidence: comparison.lines(tables.table_4(evidence), "metric", "optimization"),
            lambda evidence: f"{comparison.summary(tables.table_4(evidence))}. {_STDS}",
        ),
        Table(
            "table5",
            "Table V: run time",
            lambda evidence: comparison.lines(tables.table_5(evidence), "codec", "direction"),
            _TIMES,
        ),
        Table(
            "definitions",
            "How far BD-rates depend on their definition",
            tables.definitions,
            "Points of BD-rate by which one cubic differs from piecewise interpolation (pchip), "
            "and VIF's finest scale from VIF over four scales; means over the images that have "
            "both (how many).",
        ),
    ),
    figures=figures.figures,
    checks=claims.CHECKS,
    grids=figures.GRIDS,
)
publish = PAPER.publish

if __name__ == "__main__":
    command.as_program(ProxiqaPaperOptions, publish, "lossylab eval proxiqa")
