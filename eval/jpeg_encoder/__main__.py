"""The JPEG encoder's figures 5 to 15, tables of their points, BD-rates, and claims decided.

  python -m lossylab.eval.jpeg_encoder [--results=results/jpeg_encoder] [--claims=results/claims.md]

The results folder has rows.csv (`lossylab eval jpeg_rd`), timing.jsonl (`lossylab benchmark
--sections=jpeg,jpeg_training --json`) for Fig. 11 and 12, training/with_attention.csv and
without_attention.csv (validation.csv of two runs) for Fig. 13 and 14, and crops
(`lossylab eval crops`) for Fig. 6 and 9. What is missing is left out. Nothing is trained or
measured here: tables.md, tables/ (CSV, LaTeX), figures/ and claims.md are made anew.
"""

from __future__ import annotations

from lossylab.core.app import launch, new_flags, parse, require
from lossylab.eval.jpeg_encoder import figures as jpeg_encoder_figures
from lossylab.eval.jpeg_encoder import tables as jpeg_encoder_tables
from lossylab.eval.jpeg_encoder.claims import CLAIMS
from lossylab.eval.jpeg_encoder.tables import HIGH, LOW, Evidence
from lossylab.eval.report import claims
from lossylab.eval.report import publish as report

FLAGS = new_flags()
report.define(FLAGS, "jpeg_encoder")


def main(argv: list[str]) -> None:
    """Runs the command; argv[0] is the program's name."""
    extra = parse(FLAGS, argv, __doc__)
    require(not extra, f"unexpected arguments: {' '.join(extra)}")
    evidence = jpeg_encoder_tables.load(FLAGS.results)
    drawn = jpeg_encoder_figures.draw(evidence, FLAGS.results)
    report.publish(FLAGS, texts(evidence), drawn, lambda: section(evidence))


def section(evidence: Evidence) -> str:
    """The paper's section of claims.md."""
    return claims.ledger("Learned JPEG encoder", evidence.title, CLAIMS, evidence)


def texts(evidence: Evidence) -> dict[str, str]:
    """Contents of the text files, by path in the results folder."""
    return report.texts("The learned JPEG encoder", evidence.title, _made(evidence))


def _made(evidence: Evidence) -> dict[str, tuple[str, str, list[dict[str, str]]]]:
    """Heading, note and lines of every table."""
    return {
        "bd_rates": (
            "BD-rates against standard JPEG",
            "Rate needed more than standard JPEG at equal quality, per image by pchip, mean ± "
            "standard deviation (images compared); negative saves. Both sides have the same "
            "kind of Huffman codes, 4:4:4. JPEG: qualities 1 to 9 and 10 to 90 by fives. A "
            "image counts where both curves share some quality.",
            jpeg_encoder_tables.bd_rates(evidence),
        ),
        "equal_rate": (
            "At equal rate, minus standard JPEG",
            "Mean over images ± standard error (images), over all rates that both curves of a "
            f"image reach. {LOW} to {HIGH} bits per pixel is the range of the paper's Fig. 5; "
            "lines of different encoders are of different rates and images there.",
            jpeg_encoder_tables.equal_rate(evidence),
        ),
        "points": (
            "Points of the curves",
            "Means over the images, of decoded files; bpp with standard Huffman codes and with "
            "codes optimized for each image.",
            jpeg_encoder_tables.points(evidence),
        ),
        "printed": (
            "Numbers that the paper prints",
            "Times are of other machines, only ratios can be compared. Ours: VGG-19's attention, "
            "and the widest BLS codec timed; the paper names neither size nor unit.",
            jpeg_encoder_tables.printed(evidence),
        ),
        "timing": (
            "Times",
            "Mean ± standard error. Encoding: from an image in memory to the bytes of its file.",
            jpeg_encoder_tables.timing(evidence),
        ),
    }


if __name__ == "__main__":
    launch(main)
