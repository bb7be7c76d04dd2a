"""The distortion GAN's Table I, its sheets and studies from measured rows, and its claims decided.

  python -m lossylab.eval.distortion_gan [--results=results/distortion_gan] [--claims=CLAIMS.md]

The results folder has rows.csv (`lossylab eval distortions`), severity.csv (the same with
--search) and folders of crops in sheets/ (the same with --sheets) for Fig. 2, 3 and 4. What is
missing is left out. Nothing is trained or measured here: tables.md, tables/ (CSV, LaTeX), figures/
and claims.md are made anew.
"""

from __future__ import annotations

from lossylab.core.app import launch, new_flags, parse, require
from lossylab.eval.distortion_gan import figures as distortion_gan_figures
from lossylab.eval.distortion_gan import tables as distortion_gan_tables
from lossylab.eval.distortion_gan.claims import CLAIMS
from lossylab.eval.distortion_gan.tables import Evidence
from lossylab.eval.metrics import nss
from lossylab.eval.report import claims
from lossylab.eval.report import publish as report

FLAGS = new_flags()
report.define(FLAGS, "distortion_gan")
_SHOWN = 5  # of the severities that fit


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    extra = parse(FLAGS, argv, __doc__)
    require(not extra, f"unexpected arguments: {' '.join(extra)}")
    evidence = distortion_gan_tables.load(FLAGS.results)
    drawn = distortion_gan_figures.draw(evidence, FLAGS.results)
    report.publish(FLAGS, texts(evidence), drawn, lambda: section(evidence))


def section(evidence: Evidence) -> str:
    """The paper's section of claims.md."""
    return claims.ledger("Distortion GAN", evidence.title, CLAIMS, evidence)


def texts(evidence: Evidence) -> dict[str, str]:
    """Contents of the text files, by path in the results folder."""
    return report.texts("The distortion GAN", evidence.title, _made(evidence))


def _made(evidence: Evidence) -> dict[str, tuple[str, str, list[dict[str, str]]]]:
    """Heading, note and lines of every table."""
    return {
        "table1": (
            "Table I: generated against true distortions",
            f"Jensen-Shannon divergence, bit, mean over images; {nss.PROTOCOL}. The paper "
            "prints neither bins nor base nor severities.",
            distortion_gan_tables.table1(evidence),
        ),
        "matrix": (
            "Everything against the four truths",
            "Of the four models the smallest of a row is bold, of a column italic, as in Table I. "
            "'true white' and 'true pink' are noise of another seed.",
            distortion_gan_tables.matrix(evidence),
        ),
        "ablations": (
            "Fig. 3 and 4: weight of the sparsity, pixel losses",
            "JPEG, one training each. Mean ± standard error over images.",
            distortion_gan_tables.ablations(evidence),
        ),
        "severities": (
            "Severities that come nearest to Table I",
            "Divergences of true distortions from each other; the first line is what is trained. "
            "JPEG: quality; JPEG 2000: ratio; noise: standard deviation in levels.",
            evidence.severities[:_SHOWN],
        ),
    }


if __name__ == "__main__":
    launch(main)
