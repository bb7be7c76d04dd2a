"""Tables 1 to 3 and figures of latent restoration from measured rows, and its claims decided.

  python -m lossylab.eval.mmd_restoration [--results=results/mmd_restoration] [--claims=CLAIMS.md]

The results folder has rows.csv (`lossylab eval latent_study`), nll.csv (`eval degradation_nll`),
rank_accuracy.csv (`eval rank_accuracy`), sampling/wavefront.csv and naive.csv (what `lossylab
sample` printed), curve.csv (validation.csv of a training), votes/ (answers of a user study) and
crops/ (`eval latent_study --sheets`). What is missing is left out. Nothing is trained or measured
here: tables.md, tables/ (CSV, LaTeX), figures/ and claims.md are made anew.
"""

from __future__ import annotations

from lossylab.core.app import launch, new_flags, parse, require
from lossylab.eval.mmd_restoration import figures as mmd_restoration_figures
from lossylab.eval.mmd_restoration import tables as mmd_restoration_tables
from lossylab.eval.mmd_restoration.claims import CLAIMS
from lossylab.eval.mmd_restoration.tables import Evidence
from lossylab.eval.report import claims
from lossylab.eval.report import publish as report
from lossylab.inference.latent.cases import TASKS

FLAGS = new_flags()
report.define(FLAGS, "mmd_restoration")


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    extra = parse(FLAGS, argv, __doc__)
    require(not extra, f"unexpected arguments: {' '.join(extra)}")
    evidence = mmd_restoration_tables.load(FLAGS.results)
    drawn = mmd_restoration_figures.draw(evidence, FLAGS.results)
    report.publish(FLAGS, texts(evidence), drawn, lambda: section(evidence))


def section(evidence: Evidence) -> str:
    """The paper's section of claims.md."""
    return claims.ledger("Latent restoration", evidence.title, CLAIMS, evidence)


def texts(evidence: Evidence) -> dict[str, str]:
    """Contents of the text files, by path in the results folder."""
    return report.texts("Latent restoration", evidence.title, _made(evidence))


def _made(evidence: Evidence) -> dict[str, tuple[str, str, list[dict[str, str]]]]:
    """Heading, note and lines of every table."""
    tables = mmd_restoration_tables
    known = "PSNR and SSIM against the known original; latent: mean distance of a layer's style "
    known += "from the true one; met: MMD at most that of 95 of 100 perfect sets of styles. Each "
    known += "version of StyleGAN restores images of its own. Given: the image to restore, "
    known += "scaled up."
    return {
        "table1": (
            "Table 1: likelihood of degraded images",
            "Mean over images; Table 1 by the longest trained model.",
            tables.table1(evidence),
        ),
        "table2": (
            "Table 2: RankIQA",
            "Smaller is better. The paper's are of faces and the official networks.",
            tables.table2(evidence),
        ),
        "table3": ("Table 3: preferences", "Per cent of answers.", tables.table3(evidence)),
        **{
            f"study_{task}": (f"Table 2's searches of known images, {task}", known,
                              tables.study(evidence, task))
            for task in TASKS
        },
        "effects": (
            "What changes what",
            "Differences of rows by image: mean over images ± half of the 95 % interval.",
            tables.effects(evidence),
        ),
        "variants": ("Other settings", "Of the same images.", tables.variants(evidence)),
        "likelihoods": ("Degradation models", "", tables.likelihoods(evidence)),
        "ranks": ("RankIQA: rank accuracy", "", tables.ranks(evidence)),
        "sampling": ("Two samplers", "The same numbers drawn.", tables.sampling(evidence)),
    }  # fmt: skip


if __name__ == "__main__":
    launch(main)
