"""Figures of latent restoration: training curve (3), likelihoods (4), MMD."""

from __future__ import annotations

import math
import pathlib
from functools import partial
from typing import Any

import pandas as pd

from lossylab.eval.latent_rows import MEAN, ROWS
from lossylab.eval.mmd_restoration.evidence import Evidence, budget, trained
from lossylab.eval.options.latent import JPEG, TASKS
from lossylab.eval.report import plots
from lossylab.eval.report.names import published_name
from lossylab.eval.report.paper import Draw
from lossylab.eval.schemas import KINDS, PAIRED, UNPAIRED

# What the searches of row 5 are swept over, and where its own value comes from.
_SWEPT = {
    "mmd_weight": ("weight of the MMD", "assumed"),
    "gamma": ("gamma of the MMD", "the paper's"),
    "samples": ("samples of the prior", "the paper's"),
}
_FEWEST = 3  # values of a setting that make a curve
_MEASURES = {
    "psnr": "PSNR, dB",
    "latent": "distance from the true styles",
    "mmd": "squared MMD to the prior",
    "nll": "NLL of the given image, bits/dim",
}
GRIDS = {
    "fig02_downscale": "Fig. 2: restoring images that were scaled down",
    "fig05_samples": "Fig. 5: images drawn from the degradation model; some turn to noise",
    "fig05_untrained": "As Fig. 5, drawn from a model that has learned nothing",
    "fig06_jpeg": "Fig. 6: restoring JPEG images",
}


def figures(evidence: Evidence) -> dict[str, Draw]:
    """What draws each figure; crops give figures 2, 5 and 6."""
    return {
        "fig03_curve": partial(_curve, evidence),
        "fig04_likelihoods": partial(_likelihoods, evidence),
        "mmd": partial(_discrepancies, evidence),
        "sweeps": partial(_sweeps, evidence),
    }


def _curve(evidence: Evidence, path: pathlib.Path) -> bool:
    """Likelihood of held-out images over the steps of the training."""
    if not len(evidence.curve):
        return False
    title = "Fig. 3: likelihood of held-out images in training"
    with plots.figure(path, title, 1, 1, (5, 3.4), note=budget(evidence.learned)) as axes:
        axis = axes[0, 0]
        for kind in KINDS:
            axis.plot(evidence.curve.step, evidence.curve[kind], label=kind)
        axis.set(xlabel="steps", ylabel="negative log-likelihood, bits/dim")
        axis.set_ylim(bottom=0)
        axis.legend()
    return True


def _likelihoods(evidence: Evidence, path: pathlib.Path) -> bool:
    """Each image's likelihood given its own clean version and another's, and restored ones'."""
    panels = _pairs(evidence)
    if not panels:
        return False
    size = (3.4 * len(panels), 3.9)
    note = "; ".join(filter(None, map(budget, (evidence.learned, evidence.study))))
    title = "Fig. 4: negative log-likelihood of a degraded image, bits/dim"
    with plots.figure(path, title, 1, len(panels), size, note=note) as axes:
        for axis, (heading, points) in zip(axes[0], panels.items()):
            (one, x), (other, y) = points.items()
            axis.scatter(x, y, s=14, color=plots.COLORS[0], marker="o")
            ends = min(x.min(), y.min()), max(x.max(), y.max())
            axis.axline((ends[0], ends[0]), slope=1, color="0.6", lw=0.8)
            axis.set(title=heading, xlabel=one, ylabel=other)
    return True


def _pairs(evidence: Evidence) -> dict[str, dict[str, pd.Series]]:
    """What the panels of Fig. 4 show: by heading two measures by image, with their labels."""
    panels = {}
    for model in dict.fromkeys(evidence.learned.model):
        mine = evidence.nll[evidence.nll.model == model]
        by_kind = {k: mine[mine.kind == k].set_index("image").nll.sort_index() for k in KINDS}
        panels[f"left: {trained(evidence, str(model))}"] = {
            f"given {words} clean image": by_kind[kind]
            for kind, words in ((PAIRED, "its own"), (UNPAIRED, "another"))
        }
    seeds = evidence.seeds("2", JPEG) & evidence.seeds("5", JPEG)
    restored = {row: evidence.by_image(row, JPEG, "nll", seeds) for row in ("2", "5")}
    if seeds and all(len(values) for values in restored.values()):
        panels["right: images restored from JPEG"] = {
            f"given the image by {words}": restored[row]
            for row, words in (("2", "PULSE"), ("5", "the search with MMD"))
        }
    return panels


def _discrepancies(evidence: Evidence, path: pathlib.Path) -> bool:
    """MMD to the prior and distance from the true styles that every row ends at."""
    tasks = [task for task in TASKS if (evidence.study.task == task).any()]
    if not tasks:
        return False
    title = "Where the searches of Table 2 end"
    note = budget(evidence.study)
    size = (8.4, 0.7 + 2.6 * len(tasks))
    with plots.figure(path, title, len(tasks), 2, size, note=note) as axes:
        for line, task in zip(axes, tasks):
            names = [name for name in ROWS if len(evidence.trials(name, task))]
            for axis, measure, label in (
                (line[0], "mmd", "squared MMD to the prior"),
                (line[1], "latent", "distance from the true styles"),
            ):
                values = [evidence.trials(name, task)[measure].dropna() for name in names]
                axis.boxplot(values, showfliers=False)
                axis.set_xticks(range(1, len(names) + 1), names)
                axis.set(xlabel="row of Table 2", ylabel=label, title=published_name(task))
                axis.grid(visible=False, axis="x")
            thresholds = evidence.study[evidence.study.task == task].threshold.dropna()
            line[0].axhline(
                thresholds.median(), color=plots.COLORS[1], linestyle="--", label="constraint"
            )
            line[0].legend()
    return True


def _sweeps(evidence: Evidence, path: pathlib.Path) -> bool:
    """What row 5 gives with other weights, bandwidths and samples of the MMD than its own."""
    swept = {name: values for name in _SWEPT if len(values := _values(evidence, name)) >= _FEWEST}
    if not swept:
        return False
    title = "Row 5 of Table 2 with other settings of the MMD: means over the same images"
    size, note = (2.7 * len(_MEASURES), 0.8 + 2.4 * len(swept)), budget(evidence.study)
    with plots.figure(path, title, len(swept), len(_MEASURES), size, note=note) as axes:
        for line, (name, values) in zip(axes, swept.items()):
            words, source = _SWEPT[name]
            own = getattr(ROWS["5"].settings, name)
            for axis, (measure, label) in zip(line, _MEASURES.items()):
                for task in TASKS:
                    _sweep(axis, evidence, task, values, measure)
                axis.axvline(own, color="0.6", lw=0.8, label=f"{source}: {own:g}")
                axis.set(xscale="log", xlabel=words, ylabel=label)
            thresholds = evidence.trials("5", TASKS[0]).threshold.dropna()
            if name == "mmd_weight" and len(thresholds):  # it is another with each kernel
                least = line[2].axhline(thresholds.median(), linestyle=":", color="0.3")
                line[2].legend([least], ["constraint"])
        axes[0, 1].legend()
    return True


def _values(evidence: Evidence, name: str) -> dict[float, str]:
    """Variants that change this setting alone, by its value; the rows' own among them."""
    changed = [v for v in evidence.variants if v.startswith(f"{name}=") and " " not in v]
    found = {float(v.partition("=")[2]): v for v in changed}
    return dict(sorted({**found, float(getattr(ROWS["5"].settings, name)): ""}.items()))


def _sweep(
    axis: Any, evidence: Evidence, task: str, values: dict[float, str], measure: str
) -> None:
    """Means over what all variants were measured on, and the mean style's without a search."""
    trials = {value: evidence.trials("5", task, v)[measure].dropna() for value, v in values.items()}
    trials = {value: mine for value, mine in trials.items() if len(mine)}
    if len(trials) < _FEWEST:
        return
    same = sorted(set.intersection(*(set(mine.index) for mine in trials.values())))
    color, name = plots.COLORS[TASKS.index(task)], published_name(task)
    axis.plot(
        [*trials],
        [mine.loc[same].mean() for mine in trials.values()],
        "o-",
        color=color,
        label=name,
    )
    unsearched = evidence.mean(MEAN, task, measure)
    if measure != "mmd" and not math.isnan(unsearched):
        axis.axhline(unsearched, color=color, linestyle="--", lw=0.8, label=f"{name}, mean style")
