"""The distortion GAN's report: Table I, comparison grids, studies and claims."""

from __future__ import annotations

from lossylab.core import command
from lossylab.eval.distortion_gan import claims, figures, own_measures, tables
from lossylab.eval.distortion_gan.evidence import load
from lossylab.eval.metrics import nss
from lossylab.eval.options.paper import DistortionGanPaperOptions
from lossylab.eval.report.paper import Paper, Table

PAPER = Paper(
    stem="distortion_gan",
    name="Distortion GAN",
    evidence=load,
    tables=(
        Table(
            "table1",
            "Table I: generated against real distortions",
            tables.table1,
            lambda evidence: (
                "Jensen-Shannon divergence, bit, mean over images; "
                f"{nss.PROTOCOL}. Real distortions: {tables.severities_said(evidence)}; the paper "
                "prints neither bins nor base nor severities."
            ),
        ),
        Table(
            "matrix",
            "Everything against the four real distortions",
            tables.matrix,
            "Of the four models the smallest of a row is bold, of a column italic, as in Table I. "
            "'real white' and 'real pink' are noise of another seed.",
        ),
        Table(
            "ablations",
            "Fig. 3 and 4: weight of the sparsity, pixel losses",
            tables.ablations,
            "JPEG. Mean over images ± half of its 95 % interval.",
        ),
        Table(
            "residuals",
            "Blocks, detail and spectra of what is added",
            tables.residuals,
            "Each against the distortion that it imitates, means over images. Blockiness of 1 is "
            "none, energy above a quarter of a cycle a pixel below 1 blurred. The slope is that of "
            "the residual's amplitude over the frequency: 0 is white noise, -1 pink.",
        ),
        Table(
            "own_measures",
            "Each distortion by its own measure",
            own_measures.table,
            "Means over images; error: from the real distortion's value, mean ± half of its 95 % "
            "interval. Blockiness of 1 is none, ringing the power of the residual beside edges. "
            "Flatness of ideal white noise is -2.51 dB, the slope of pink noise -1.",
        ),
        Table(
            "severities",
            "Severities that come nearest to Table I",
            tables.severities,
            "Divergences of real distortions from each other. The first line is the default: "
            "within limits that keep distortions and image visible. JPEG: quality, at most 40; "
            "JPEG 2000: ratio; noise: standard deviation of pixel values in 0..255, of white noise "
            "at most 60, of pink at least 10.",
        ),
    ),
    figures=figures.figures,
    checks=claims.CHECKS,
)
publish = PAPER.publish

if __name__ == "__main__":
    command.as_program(DistortionGanPaperOptions, publish, "lossylab eval distortion_gan")
