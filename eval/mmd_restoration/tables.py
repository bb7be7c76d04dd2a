"""Evidence of latent restoration: measured rows, Tables 1 to 3 and what lies beside them."""

from __future__ import annotations

import pathlib

from lossylab.eval.latent_rows import ROWS, UNTOUCHED
from lossylab.eval.mmd_restoration.evidence import (
    LONGEST,
    Evidence,
    likelihood,
    same,
    speedup,
    trained,
)
from lossylab.eval.options.latent import JPEG, TASKS
from lossylab.eval.report import published
from lossylab.eval.report.comparison import Cell, lines
from lossylab.eval.report.tables import Line, number
from lossylab.eval.schemas import KINDS, PAIRED, SCORES
from lossylab.eval.user_study import tally

STEM = "mmd_restoration"
_PUBLISHED_SCORES = tuple(
    (column, statistic) for column in ("score", "resized") for statistic in ("mean", "median")
)


def table1(evidence: Evidence) -> list[Line]:
    """Likelihoods of pairs by the longest trained model, and by epochs: paper | ours."""
    cells = [
        Cell("Table 1", kind, value, likelihood(evidence, LONGEST, kind), "bits/dim", 2)
        for (_, kind, _), value in published.numbers(STEM, "1").items()
    ]
    for (_, words, _), value in published.numbers(STEM, "4.3").items():
        model = words.replace("epoch ", "epochs_")
        ours = likelihood(evidence, model, PAIRED)
        cells.append(Cell(f"Sec. 4.3, {words}", PAIRED, value, ours, "bits/dim", 2))
    return lines(cells, "", "pairs")


def table2(evidence: Evidence) -> list[Line]:
    """RankIQA's scores: paper | ours, of JPEG."""
    ours = dict(zip(_PUBLISHED_SCORES, SCORES))
    cells = [
        Cell(
            _words(row),
            f"{column}, {statistic}",
            value,
            evidence.mean(row, JPEG, ours[column, statistic]),
            "1",
            2,
        )
        for (row, column, statistic), value in published.numbers(STEM, "2").items()
    ]
    return lines(cells, "row", "score")


def _words(name: str) -> str:
    return ROWS[name].label if name in ROWS else name


def table3(evidence: Evidence) -> list[Line]:
    """Preferences of raters: paper | ours; nothing without votes."""
    return tally.table_3_lines(evidence.votes) if evidence.votes else []


def study(evidence: Evidence, task: str) -> list[Line]:
    """What each row of Table 2 gave back of known images, a line a row.

    Means are over the images and the seeds that all searches were made with.
    """
    shown = {"psnr": 2, "ssim": 4, "latent": 3, "cosine": 2}
    shown |= {"mmd": 5, "pixel": 5, "nll": 3, "angle": 1}
    if not evidence.study.cosine.notna().any():
        del shown["cosine"]  # not measured by earlier versions
    searched = [name for name in ROWS if len(evidence.trials(name, task))]
    seeds = (
        set.intersection(*(evidence.seeds(name, task) for name in searched)) if searched else set()
    )
    found = []
    untouched = [(name, version) for name in UNTOUCHED for version in (1, 2)]
    for name, version in (*untouched, *((name, row.version) for name, row in ROWS.items())):
        mine = evidence.trials(name, task, version=version)
        if name in ROWS:
            mine = mine[mine.index.get_level_values("seed").isin(seeds)]
        if not len(mine):
            continue
        words = ROWS[name].words if name in ROWS else dict.fromkeys(ROWS["1"].words, "")
        line = {"row": name, **words, "StyleGAN V": f"v{version}", "trials": str(len(mine))}
        line |= {measure: number(mine[measure].mean(), d) for measure, d in shown.items()}
        line |= {"met": "", "s": ""}
        if name in ROWS:
            line["met"] = f"{100 * (mine.mmd <= mine.threshold).mean():.0f} %"
            line["s"] = number(mine.seconds.mean(), 2)
        found.append(line)
    return found


def variants(evidence: Evidence) -> list[Line]:
    """Rows with other settings than the paper's or the assumed ones, over the seeds of all."""
    shown = {"psnr": 2, "latent": 3, "mmd": 5, "pixel": 5, "nll": 3}
    found = []
    for task in TASKS:
        for name, row in ROWS.items():
            mine = {v: evidence.trials(name, task, v) for v in ("", *evidence.variants)}
            mine = {variant: trials for variant, trials in mine.items() if len(trials)}
            if len(mine) < 2:
                continue
            same = set.intersection(*(set(trials.index) for trials in mine.values()))
            for variant, trials in mine.items():
                trials = trials.loc[sorted(same)]
                line = {"task": task, "row": row.label, "change": variant or "none"}
                line["trials"] = str(len(trials))
                line |= {m: number(trials[m].mean(), digits) for m, digits in shown.items()}
                line["met"] = f"{100 * (trials.mmd <= trials.threshold).mean():.0f} %"
                found.append(line)
    return found


def effects(evidence: Evidence) -> list[Line]:
    """What the constraint, and the longer training, change: by image."""
    pairs = (
        ("MMD, from the mean", "5", "3"),
        ("MMD, against PULSE", "5", "2"),
        ("beginning at the mean, with MMD", "5", "4"),
        ("sphere, with MMD", "5", "7"),
        ("1000 steps for 100", "6", "5"),
        ("likelihood for squared error", "11", "5"),
        ("longer training of the model, x1", "9", "8"),
        ("longer training of the model, x10", "12", "11"),
    )
    found = []
    for task in TASKS:
        for words, one, other in pairs:
            line = {"change": words, "rows": f"{one} - {other}", "task": task}
            known = False
            for measure, digits in (("mmd", 5), ("latent", 3), ("psnr", 2), ("nll", 3)):
                gap = evidence.difference(one, other, task, measure)
                known = known or gap is not None
                line[measure] = gap.said(f".{digits}f") if gap else "n/a"
            if known:
                found.append(line)
    return found


def likelihoods(evidence: Evidence) -> list[Line]:
    """Paired and unpaired likelihoods of every degradation model."""
    table, found = evidence.nll, []
    for model in dict.fromkeys(table.model):
        mine = table[table.model == model]
        means = {kind: float(mine[mine.kind == kind].nll.mean()) for kind in KINDS}
        found.append(
            {
                "model": trained(evidence, str(model)),
                "data": ", ".join(dict.fromkeys(mine.data)),
                **{kind: number(value, 3) for kind, value in means.items()},
                "paired / unpaired": number(means[KINDS[0]] / means[KINDS[1]], 3),
                "images": str(mine.image.nunique()),
            }
        )
    return found


def ranks(evidence: Evidence) -> list[Line]:
    """Rank accuracy by distortion."""
    return [
        {
            "model": row["model"],
            "distortion": row["distortion"],
            "distortion levels": row["levels"],
            "pairs of levels in order": number(row["accuracy"], 3),
            "of the same image": number(row["accuracy_same"], 3),
            "Spearman": number(row["srocc"], 3),
        }
        for row in evidence.ranks.to_dict("records")
    ]


def sampling(evidence: Evidence) -> list[Line]:
    """Time of both samplers for the same images."""
    found = []
    for source in evidence.drawn["wavefront"]:
        fast = evidence.drawn["wavefront"][source]
        slow = evidence.drawn["naive"].get(source)
        line = {"image": f"{pathlib.Path(source).stem}, {fast['width']}x{fast['height']}"}
        line["wavefront, s"] = fast["seconds"]
        line["naive, s"] = slow["seconds"] if slow else "n/a"
        line["times"] = number(speedup(fast, slow), 1) if slow else "n/a"
        line["same image"] = ("yes" if same(fast, slow) else "**no**") if slow else "n/a"
        found.append(line)
    return found
