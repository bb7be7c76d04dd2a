"""Tables as text: Markdown, CSV and LaTeX from the same cells."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

import numpy as np

Line = dict[str, str]  # cells by heading
Lines = Iterable[Line]

NOT_MEASURED = "not measured"  # said in a cell of a line that a report leaves out
_MISSING = "n/a"
_LATEX = {
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "±": r"$\pm$",
    "–": "--",
} | {letter: f"\\{letter}" for letter in "&%_#${}"}


def number(value: float, digits: int, sign: str = "") -> str:
    """A number with so many digits after the point; n/a if it is not finite."""
    return format(value, f"{sign}.{digits}f") if np.isfinite(value) else _MISSING


def markdown_table(lines: Lines) -> str:
    """A Markdown table; the first line's keys are the heading."""
    lines = list(lines)
    head = list(lines[0])
    text = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(text + ["| " + " | ".join(line.values()) + " |" for line in lines])


def csv_table(lines: Lines) -> str:
    """The same as CSV."""
    lines = list(lines)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def latex_table(lines: Lines, caption: str, note: str = "") -> str:
    """The same as a LaTeX table with booktabs' rules; `note` is in small letters below it."""
    lines = list(lines)
    head = list(lines[0])
    body = [" & ".join(map(_latex, row)) + r" \\" for row in (head, *(r.values() for r in lines))]
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{_latex(caption)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
            r"\toprule",
            body[0],
            r"\midrule",
            *body[1:],
            r"\bottomrule",
            r"\end{tabular}",
            *([rf"\par\footnotesize {_latex(note)}"] if note else []),
            r"\end{table}",
            "",
        ]
    )


def _latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)
