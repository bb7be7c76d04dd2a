"""Counts the answers of a user study: which method raters prefer, and how sure that is."""

from __future__ import annotations

import collections
import csv
import dataclasses
import datetime
import math
import re
import statistics
import sys
from collections.abc import Iterable, Sequence

import scipy.stats

from lossylab.core import command
from lossylab.core.errors import WorkError
from lossylab.core.files import make_folder, write_text
from lossylab.core.options import require
from lossylab.eval.options.study import StudyTallyOptions
from lossylab.eval.report import comparison, published, tables

COLUMNS = ("rater", "started", "pair", "left", "right", "choice", "seconds", "order")
METHODS = ("PULSE", "Ours")  # of Table 3
_Z = scipy.stats.norm.ppf(0.975)


@dataclasses.dataclass(frozen=True)
class Answer:
    """One choice.

    Attributes:
      rater: name or number.
      pair: of images.
      left: method on the left.
      right: the other.
      choice: one of both.
      seconds: it took.
      where: file and line.
    """

    rater: str
    pair: str
    left: str
    right: str
    choice: str
    seconds: float
    where: str


def tally(options: StudyTallyOptions) -> None:
    """Prints the preferences, and writes them if asked for.

    Raises:
      UsageError: if a comparison with Table 3 is asked for of other methods.
      WorkError: if a file is no file of answers.
    """
    answers = read_answers(options.answers)
    methods = _methods(answers)
    require(
        not options.out or set(methods) == set(METHODS),
        f"`out` compares {' and '.join(METHODS)} with Table 3, these answers are of "
        f"{' and '.join(methods)}",
    )
    found = {
        "preference": preferences(answers, methods),
        "raters": _groups(answers, methods, "rater"),
        "pairs": _groups(answers, methods, "pair"),
    }
    sys.stdout.write("\n\n".join(tables.markdown_table(lines) for lines in found.values()) + "\n")
    if options.out:
        out = make_folder(options.out)
        found["table_3"] = table_3_lines(answers)
        for name, lines in found.items():
            write_text(out / f"study_{name}.csv", tables.csv_table(lines))
        title = "Table 3: preference of the user study, paper | ours"
        text = f"# {title}\n\n{tables.markdown_table(found['table_3'])}\n"
        write_text(out / "study_table_3.md", text)


def read_answers(paths: Sequence[str]) -> list[Answer]:
    """Reads files of answers.

    Raises:
      WorkError: naming file and line, if one is missing or malformed, if a rater has answered a
        pair twice, or if the files are of other methods.
    """
    answers: list[Answer] = []
    known: dict[tuple[str, str], Answer] = {}
    for path in paths:
        mine = _read(path)
        if not mine:
            raise WorkError(f"{path} has no answers")
        for answer in mine:
            before = known.setdefault((answer.rater, answer.pair), answer)
            if before is not answer:
                same = before.choice == answer.choice
                raise WorkError(
                    f"{answer.where}: rater '{answer.rater}' has answered the pair '{answer.pair}' "
                    f"at {before.where} already, {'the same' if same else 'otherwise'}: "
                    + (
                        "keep one file of a session, the longest"
                        if same
                        else "remove one, or rename one of two raters"
                    )
                )
        answers += mine
    first = answers[0]
    for answer in answers:
        if {answer.left, answer.right} != {first.left, first.right}:
            raise WorkError(
                f"{answer.where} compares {answer.left} and {answer.right}, {first.where} "
                f"{first.left} and {first.right}: tally one study at a time"
            )
    return answers


def _read(path: str) -> list[Answer]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            head = next(reader, [])
            if tuple(head) != COLUMNS:
                expected, got = ",".join(COLUMNS), ",".join(head)
                raise WorkError(f"{path}, line 1: expected the columns {expected}, got {got}")
            return [_answer(row, f"{path}, line {reader.line_num}") for row in reader]
    except OSError as error:
        raise WorkError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise WorkError(f"{path} is no CSV file of answers: {error}") from error


def _answer(row: list[str], where: str) -> Answer:
    """A line as an answer; raises WorkError if it makes no sense."""

    def need(condition: object, what: str) -> None:
        if not condition:
            raise WorkError(f"{where}: {what}; restore the file as the page saved it")

    need(len(row) == len(COLUMNS), f"expected {len(COLUMNS)} fields, got {len(row)}")
    value = dict(zip(COLUMNS, row))
    for name in ("rater", "pair", "left", "right"):
        need(value[name].strip(), f"{name} is empty")
    need(value["left"] != value["right"], f"left and right are both '{value['left']}'")
    need(
        value["choice"] in (value["left"], value["right"]),
        f"choice '{value['choice']}' is neither '{value['left']}' nor '{value['right']}'",
    )
    seconds = _number(value["seconds"])
    need(seconds >= 0 and math.isfinite(seconds), f"seconds '{value['seconds']}' are no time")
    need(
        re.fullmatch("[1-9][0-9]{0,8}", value["order"]),
        f"order '{value['order'][:20]}' is no whole number from 1",
    )
    need(_is_time(value["started"]), f"started '{value['started']}' is no date and time")
    kept = {name: value[name] for name in ("rater", "pair", "left", "right", "choice")}
    return Answer(**kept, seconds=seconds, where=where)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _is_time(text: str) -> bool:
    try:
        datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return False
    return True


def wilson(chosen: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a fraction, as fractions.

    Args:
      chosen: how often.
      count: of how many, at least one.
    """
    fraction, squared = chosen / count, _Z**2 / count
    center = (fraction + squared / 2) / (1 + squared)
    half = math.sqrt(fraction * (1 - fraction) * squared + squared**2 / 4) / (1 + squared)
    return float(max(center - half, 0.0)), float(min(center + half, 1.0))


def _methods(answers: Iterable[Answer]) -> list[str]:
    """Both methods, in the paper's order if they are the paper's."""
    found = {name for answer in answers for name in (answer.left, answer.right)}
    return [name for name in METHODS if name in found] + sorted(found - set(METHODS))


def preferences(answers: Sequence[Answer], methods: Sequence[str]) -> list[dict[str, str]]:
    """How often each method is chosen, as lines of a table."""
    lines, count = [], len(answers)
    left = sum(answer.choice == answer.left for answer in answers)
    for method in (*methods, "left side"):
        chosen = left if method == "left side" else sum(a.choice == method for a in answers)
        low, high = wilson(chosen, count)
        test = scipy.stats.binomtest(chosen, count)
        lines.append(
            {
                **{"chosen": method, "times": str(chosen), "of": str(count)},
                "share, %": tables.number(100 * chosen / count, 1),
                "95 % interval": f"{100 * low:.1f} to {100 * high:.1f}",
                "p (against 50 %)": f"{test.pvalue:.2g}",
            }
        )
    return lines


def _groups(
    answers: Sequence[Answer], methods: Sequence[str], attribute: str
) -> list[dict[str, str]]:
    """How often each method is chosen by rater or pair."""
    groups = collections.defaultdict(list)
    for answer in answers:
        groups[getattr(answer, attribute)].append(answer)
    return [
        {
            attribute: name.replace("|", "/"),
            **{m: str(sum(a.choice == m for a in groups[name])) for m in methods},
            f"{methods[-1]}, %": tables.number(
                100 * sum(a.choice == methods[-1] for a in groups[name]) / len(groups[name]), 1
            ),
            "median seconds": tables.number(statistics.median(a.seconds for a in groups[name]), 1),
        }
        for name in sorted(groups)
    ]


def table_3(answers: Sequence[Answer]) -> list[comparison.Cell]:
    """Table 3's cells: per cent of all answers."""
    paper_of = published.numbers("mmd_restoration", "3")
    return [
        comparison.Cell(
            method,
            "Preference",
            paper_of["preference", method, "value"],
            100 * sum(answer.choice == method for answer in answers) / len(answers),
            unit="per cent",
        )
        for method in METHODS
    ]


def mean_over_raters(answers: Sequence[Answer], method: str) -> float:
    """Mean of the raters' own fractions of a method, which count alike however much they answer."""
    chosen = collections.defaultdict(list)
    for answer in answers:
        chosen[answer.rater].append(answer.choice == method)
    return statistics.fmean(statistics.fmean(mine) for mine in chosen.values())


def table_3_lines(answers: Sequence[Answer]) -> list[dict[str, str]]:
    """Table 3 as paper | ours, with what the shares are of and how sure they are.

    Ours is the fraction of all answers together (pooled), of which Wilson's interval is.
    """
    counts = {
        "answers": str(len(answers)),
        **{f"{name}s": str(len({getattr(a, name) for a in answers})) for name in ("rater", "pair")},
    }
    lines = []
    for line in comparison.lines(table_3(answers), "method", "value"):
        method = line["method"]
        low, high = wilson(sum(a.choice == method for a in answers), len(answers))
        lines.append(
            {
                **line,
                "95 % interval (Wilson)": f"{100 * low:.1f} to {100 * high:.1f}",
                "mean over raters, per cent": tables.number(
                    100 * mean_over_raters(answers, method), 1
                ),
                **counts,
            }
        )
    return lines


if __name__ == "__main__":
    command.as_program(StudyTallyOptions, tally, "lossylab eval study_tally")
