"""Figures of latent restoration: training curve (3), likelihoods (4), MMD."""

from __future__ import annotations

import pathlib
from functools import partial

import numpy as np

from lossylab.eval.degradation_nll import KINDS
from lossylab.eval.latent_rows import ROWS
from lossylab.eval.mmd_restoration.evidence import Evidence
from lossylab.eval.report import plots
from lossylab.eval.report.paper import Draw
from lossylab.inference.latent.cases import TASKS


def figures(evidence: Evidence) -> dict[str, Draw]:
    """What draws each figure; crops give figures 2, 5 and 6."""
    return {
        "fig03_curve": partial(_curve, evidence),
        "fig04_likelihoods": partial(_likelihoods, evidence),
        "mmd": partial(_discrepancies, evidence),
    }


def _curve(evidence: Evidence, path: pathlib.Path) -> bool:
    """Likelihood of held-out images over the steps of the training."""
    if not len(evidence.curve):
        return False
    with plots.figure(path, "Fig. 3: likelihood in training", 1, 1, (6.4, 4.2)) as axes:
        axis = axes[0, 0]
        for kind in KINDS:
            axis.plot(evidence.curve.step, evidence.curve[kind], label=kind)
        axis.set(xlabel="steps", ylabel="negative log-likelihood, bits/dim", yscale="log")
        axis.grid(alpha=0.3)
        axis.legend()
    return True


def _likelihoods(evidence: Evidence, path: pathlib.Path) -> bool:
    """Each image's likelihood given its own clean version and another's."""
    if not len(evidence.nll):
        return False
    models = list(dict.fromkeys(evidence.nll.model))
    size = (4.6 * len(models), 4.4)
    with plots.figure(
        path, "Fig. 4: likelihood of pairs and of others", 1, len(models), size
    ) as axes:
        for axis, model in zip(axes[0], models):
            mine = evidence.nll[evidence.nll.model == model]
            values = [mine[mine.kind == k].set_index("image").nll.sort_index() for k in KINDS]
            axis.scatter(*values, s=16)
            top = 1.05 * float(np.max(values))
            axis.plot([0, top], [0, top], color="0.6", linewidth=0.8)
            axis.set(xlim=(0, top), ylim=(0, top), title=model)
            axis.set(xlabel="paired, bits/dim", ylabel="unpaired, bits/dim")
            axis.grid(alpha=0.3)
    return True


def _discrepancies(evidence: Evidence, path: pathlib.Path) -> bool:
    """MMD to the prior and distance from the true styles that every row ends at."""
    tasks = [task for task in TASKS if (evidence.study.task == task).any()]
    if not tasks:
        return False
    with plots.figure(path, "Where searches end", len(tasks), 2, (11, 3.6 * len(tasks))) as axes:
        for line, task in zip(axes, tasks):
            names = [name for name in ROWS if len(evidence.trials(name, task))]
            for axis, measure, label in (
                (line[0], "mmd", "squared MMD to the prior"),
                (line[1], "latent", "distance from the true styles"),
            ):
                values = [evidence.trials(name, task)[measure].dropna() for name in names]
                axis.boxplot(values, showfliers=False)
                axis.set_xticks(range(1, len(names) + 1), names)
                axis.set(xlabel="row of Table 2", ylabel=label, title=task)
                axis.grid(alpha=0.3, axis="y")
            thresholds = evidence.study[evidence.study.task == task].threshold.dropna()
            line[0].axhline(thresholds.median(), color="0.5", linestyle="--", label="constraint")
            line[0].legend()
    return True
