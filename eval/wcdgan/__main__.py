"""WCDGAN's Tables 1 to 6 and figures from measured rows, and its claims decided.

  python -m lossylab.eval.wcdgan [--results=results/wcdgan] [--claims=results/claims.md]

The results folder has rows.csv (`lossylab eval restoration`), timing.jsonl
(`lossylab benchmark --sections=restoration --json`) for Table 3, and folders of crops (`lossylab
eval restoration --crops`). What is missing is said. Nothing is trained or measured here: tables.md,
tables/ (CSV, LaTeX), figures/ and claims.md are made anew.
"""

from __future__ import annotations

from lossylab.core.app import launch, new_flags, parse, require
from lossylab.eval.report import claims
from lossylab.eval.report import publish as report
from lossylab.eval.wcdgan import figures as wcdgan_figures
from lossylab.eval.wcdgan import tables as wcdgan_tables
from lossylab.eval.wcdgan.claims import CLAIMS
from lossylab.eval.wcdgan.tables import Evidence

FLAGS = new_flags()
report.define(FLAGS, "wcdgan")


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    extra = parse(FLAGS, argv, __doc__)
    require(not extra, f"unexpected arguments: {' '.join(extra)}")
    evidence = wcdgan_tables.load(FLAGS.results)
    drawn = wcdgan_figures.draw(evidence, FLAGS.results)
    report.publish(FLAGS, texts(evidence), drawn, lambda: section(evidence))


def section(evidence: Evidence) -> str:
    """The paper's section of claims.md."""
    return claims.ledger("WCDGAN", evidence.title, CLAIMS, evidence)


def texts(evidence: Evidence) -> dict[str, str]:
    """Contents of the text files, by path in the results folder."""
    return report.texts("WCDGAN", evidence.title, _made(evidence))


def _made(evidence: Evidence) -> dict[str, tuple[str, str, list[dict[str, str]]]]:
    """Heading, note and lines of every table."""
    sources = (
        "*_official are the authors' own weights (of DnCNN the blind network with 20 layers); the "
        "rest was trained here with the budgets of the table 'Everything measured'. The paper "
        "mixes two windows of SSIM: ours has both."
    )
    return {
        "table1": (
            "Table 1: luma, Classic5 and LIVE1",
            sources,
            wcdgan_tables.comparison_table(evidence, "1", "y"),
        ),
        "elsewhere": (
            "Methods that need no training here, against their own papers",
            "A difference of 0.01 dB and 1e-3 of SSIM counts as reproduced. SA-DCT is an "
            "implementation of our own: the authors' is closed.",
            wcdgan_tables.elsewhere(evidence),
        ),
        "all": (
            "Everything measured",
            "Means over the images of each set.",
            wcdgan_tables.everything(evidence),
        ),
        "table2": (
            "Table 2: RGB, LIVE1 and DIV2K validation",
            "Color files with 4:2:0, PSNR of all three channels, SSIM the mean of theirs.",
            wcdgan_tables.comparison_table(evidence, "2", "rgb"),
        ),
        "table3": (
            "Table 3: model size and run time",
            "Networks as published, in RGB, one image; timing.jsonl says of what size and on "
            "what machine, which is not the paper's: only ratios can be compared. MWCNN is the "
            "journal's network.",
            wcdgan_tables.complexity(evidence),
        ),
        "table4": (
            "Table 4: without mixed convolution, without mixed attention",
            "Changes against the proposed network, SSIM with the Gaussian window. Ours: luma, all "
            "three without perceptual and adversarial loss, one training each.",
            wcdgan_tables.ablation(evidence, "4"),
        ),
        "table5": (
            "Table 5: without perceptual loss and GAN",
            "Changes against the proposed network, SSIM with the Gaussian window. The paper's are "
            "of RGB, ours of luma, one training each.",
            wcdgan_tables.ablation(evidence, "5"),
        ),
        "table6": (
            "Table 6: Inception Score and FID",
            "By Keras's Inception-v3 where measured; both sets are too small for either measure.",
            wcdgan_tables.realism(evidence),
        ),
    }


if __name__ == "__main__":
    launch(main)
