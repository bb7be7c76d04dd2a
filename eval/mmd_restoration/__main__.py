"""Latent restoration's report: Tables 1 to 3, searches of known images, figures and claims."""

from __future__ import annotations

import functools

from lossylab.core import command
from lossylab.eval.mmd_restoration import claims, figures, tables
from lossylab.eval.mmd_restoration.evidence import load
from lossylab.eval.options.latent import TASKS
from lossylab.eval.options.paper import MmdRestorationPaperOptions
from lossylab.eval.report.paper import Paper, Table

_KNOWN = (
    "PSNR and SSIM against the known original; latent: mean distance of a layer's style from the "
    "true one, where a version restores images of its own; met: MMD at most that of 95 of 100 "
    "perfect sets of styles. 'Given' is the image to restore, scaled up. Means over the images "
    "and the seeds that all searches have; 29 and 379 epochs of the paper stand for our shorter "
    "and longer training."
)

PAPER = Paper(
    stem="mmd_restoration",
    name="Latent restoration",
    evidence=load,
    tables=(
        Table(
            "table1",
            "Table 1: likelihood of degraded images",
            tables.table1,
            "Mean over images; Table 1 by the longest trained model.",
        ),
        Table(
            "table2",
            "Table 2: RankIQA",
            tables.table2,
            "Smaller is better. The paper's are of faces and the official networks.",
        ),
        Table("table3", "Table 3: preferences", tables.table3, "Per cent of answers."),
        *(
            Table(
                f"study_{task}",
                f"Table 2's searches of known images, {task}",
                functools.partial(tables.study, task=task),
                _KNOWN,
            )
            for task in TASKS
        ),
        Table(
            "effects",
            "Effects of single settings",
            tables.effects,
            "Differences by image over the seeds of both rows: mean ± half of its 95 % interval.",
        ),
        Table("variants", "Other settings", tables.variants, "Of the same images and seeds."),
        Table("likelihoods", "Degradation models", tables.likelihoods),
        Table("ranks", "RankIQA: rank accuracy", tables.ranks),
        Table("sampling", "Two samplers", tables.sampling, "The same random numbers drawn."),
    ),
    figures=figures.figures,
    checks=claims.CHECKS,
    grids=figures.GRIDS,
)
publish = PAPER.publish

if __name__ == "__main__":
    command.as_program(MmdRestorationPaperOptions, publish, "lossylab eval mmd_restoration")
