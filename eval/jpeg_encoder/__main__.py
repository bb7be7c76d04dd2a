"""The JPEG encoder's report: Figures 5 to 15, tables of their points, BD-rates and claims."""

from __future__ import annotations

from lossylab.core import command
from lossylab.eval.jpeg_encoder import claims, figures, tables
from lossylab.eval.jpeg_encoder.evidence import HIGH, LOW, load
from lossylab.eval.options.paper import JpegEncoderPaperOptions
from lossylab.eval.report.paper import Paper, Table

PAPER = Paper(
    name="Learned JPEG encoder",
    evidence=load,
    tables=(
        Table(
            "bd_rates",
            "BD-rates against standard JPEG",
            tables.bd_rates,
            "Rate needed more than standard JPEG at equal quality, per image by pchip, mean ± "
            "standard deviation (images compared); negative saves. Both sides have the same "
            "kind of Huffman codes, 4:4:4. JPEG: qualities 1 to 9 and 10 to 90 by fives. An "
            "image counts where both curves have some quality in common.",
        ),
        Table(
            "equal_rate",
            "At equal rate, minus standard JPEG",
            tables.equal_rate,
            "Mean over images ± standard error (images), over all rates that both curves of an "
            f"image reach. {LOW} to {HIGH} bits per pixel is the range of the paper's Fig. 5; "
            "lines of different encoders are of different rates and images there.",
        ),
        Table(
            "points",
            "Points of the curves",
            tables.points,
            "Means over the images, of decoded files; bpp with standard Huffman codes and with "
            "codes optimized for each image.",
        ),
        Table(
            "printed",
            "Numbers that the paper prints",
            tables.printed,
            "Times are of other machines, only ratios can be compared. Ours: VGG-19's attention, "
            "and the widest BLS codec timed; the paper names neither size nor unit.",
        ),
        Table(
            "timing",
            "Times",
            tables.timing,
            "Mean ± standard error. Encoding: from an image in memory to the bytes of its file.",
        ),
    ),
    figures=figures.figures,
    claims=claims.CLAIMS,
)
publish = PAPER.publish

if __name__ == "__main__":
    command.as_program(JpegEncoderPaperOptions, publish, "lossylab eval jpeg_encoder")
