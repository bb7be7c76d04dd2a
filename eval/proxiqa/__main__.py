"""ProxIQA's Tables I to V and figures 6 to 12 from measured rows, and its claims decided.

  python -m lossylab.eval.proxiqa [--results=results/proxiqa] [--claims=results/claims.md]

The results folder has rows.csv and about.json (`lossylab eval rd`, `lossylab train
proxiqa_study --results`); timing/rows.csv (the same with --jobs=1) for Table V and Fig. 12;
training/frozen.csv and alternating.csv (metrics.csv of two runs) for Fig. 7; crops/fig06,
fig08 and fig10 (`lossylab eval crops`). What is missing is said and left out. Nothing is trained
or measured here: tables.md, tables/ (CSV, LaTeX), figures/ and claims.md are made anew.
"""

from __future__ import annotations

import pathlib

from lossylab.core.app import launch, new_flags, parse, require
from lossylab.eval.proxiqa import figures as proxiqa_figures
from lossylab.eval.proxiqa import tables as proxiqa_tables
from lossylab.eval.proxiqa.claims import CLAIMS
from lossylab.eval.proxiqa.tables import ANCHOR, Evidence
from lossylab.eval.report import claims, comparison, rd_report, tables
from lossylab.eval.report import publish as report

FLAGS = new_flags()
report.define(FLAGS, "proxiqa")


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    extra = parse(FLAGS, argv, __doc__)
    require(not extra, f"unexpected arguments: {' '.join(extra)}")
    place = pathlib.Path(FLAGS.results)
    evidence = proxiqa_tables.load(str(place))
    require(
        ANCHOR in set(evidence.table.codec),
        f"{place} has no rows of {ANCHOR}, the baseline of the paper's BD-rates",
    )
    rd_report.remake(str(place))
    drawn = proxiqa_figures.draw(evidence, str(place))
    report.publish(FLAGS, texts(evidence), drawn, lambda: section(evidence))


def section(evidence: Evidence) -> str:
    """The paper's section of claims.md."""
    return claims.ledger("ProxIQA", evidence.about["title"], CLAIMS, evidence)


def texts(evidence: Evidence) -> dict[str, str]:
    """Contents of the text files, by path in the results folder."""
    budget = evidence.about["title"]
    made = {
        "table1": (
            "Table I: BD-rate by image",
            comparison.lines(proxiqa_tables.table_1(evidence), "image", "optimization, metric"),
        ),
        "table2": (
            "Table II: mean BD-rate against BLS MSE, Kodak",
            comparison.lines(proxiqa_tables.table_2(evidence), "codec", "metric"),
        ),
        "table3": ("Table III: software", proxiqa_tables.table_3(evidence)),
        "table4": (
            "Table IV: SSIM-driven optimization",
            comparison.lines(proxiqa_tables.table_4(evidence), "metric", "optimization"),
        ),
        "table5": (
            "Table V: run time",
            comparison.lines(proxiqa_tables.table_5(evidence), "codec", "direction"),
        ),
    }
    files = {}
    for name, (heading, lines) in made.items():
        files[f"tables/{name}.csv"] = tables.csv_table(lines)
        files[f"tables/{name}.tex"] = tables.latex_table(lines, f"{heading}. {budget}")
    files["tables.md"] = _markdown(evidence, made)
    return files


def _markdown(evidence: Evidence, made: dict) -> str:
    """All tables as one page; of Table I a line an image."""
    budget = evidence.about["title"]
    cells = proxiqa_tables.table_1(evidence)
    notes = {
        "table1": comparison.summary(cells) + ". Each cell: paper / ours.",
        "table2": comparison.summary(proxiqa_tables.table_2(evidence))
        + ". ± is the standard deviation over images, dividing by n: the paper's Table I shows "
        "that its own does so. Tecnick and NFLX were not measured.",
        "table3": "",
        "table4": comparison.summary(proxiqa_tables.table_4(evidence)) + ".",
        "table5": "Another machine, other encoders: only ratios between codecs can be compared. "
        "Ours: means over all images and rates, one piece of work at a time, model loaded; "
        "HEVC with the start of its process; learned codecs with the filters of the heading.",
    }
    parts = ["# ProxIQA: paper and ours", "", f"Ours: {budget}", ""]
    for name, (heading, lines) in made.items():
        lines = _wide(cells) if name == "table1" else lines
        parts += [f"## {heading}", "", f"*{budget}*", "", notes[name], ""]
        parts += [tables.markdown_table(lines), ""]
    parts += [
        "## How far BD-rates depend on their definition",
        "",
        "Points of BD-rate by which piecewise interpolation (pchip) differs from one cubic, and "
        "VIF's finest scale from VIF over four scales.",
        "",
        tables.markdown_table(proxiqa_tables.agreement(evidence.table)),
    ]
    return "\n".join(parts) + "\n"


def _wide(cells: list[comparison.Cell]) -> list[dict[str, str]]:
    """Table I with a line for each image."""
    lines: dict[str, dict[str, str]] = {}
    for cell in cells:
        pair = f"{tables.number(cell.paper, 1)} / {tables.number(cell.ours, 1)}"
        lines.setdefault(cell.row, {"image": cell.row})[cell.column] = pair
    return list(lines.values())


if __name__ == "__main__":
    launch(main)
