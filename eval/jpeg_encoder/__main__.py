"""The JPEG encoder's report: Figures 5 to 15, tables of their points, BD-rates and claims."""

from __future__ import annotations

from lossylab.core import command
from lossylab.eval.jpeg_encoder import claims, figures, tables
from lossylab.eval.jpeg_encoder.evidence import HIGH, LOW, load
from lossylab.eval.metrics import bd_rate
from lossylab.eval.options.paper import JpegEncoderPaperOptions
from lossylab.eval.report.paper import Paper, Table

PAPER = Paper(
    stem="jpeg_encoder",
    name="Learned JPEG encoder",
    evidence=load,
    tables=(
        Table(
            "bd_rates",
            "BD-rates against standard JPEG",
            tables.bd_rates,
            "Rate needed more than standard JPEG at equal quality, both with one kind of Huffman "
            "codes: mean over images by pchip ± standard deviation (images); negative saves. "
            "A column's means are over the same images; an encoder whose curves do not "
            f"compare on {tables.COMMON:.0%} of them has none. A star: fewer than "
            f"{bd_rate.ENOUGH} rates.",
        ),
        Table(
            "equal_rate",
            "At equal rate, minus standard JPEG",
            tables.equal_rate,
            "Mean over all images ± half of its 95 % interval (images), over the rates that both "
            f"curves of an image reach. {LOW} to {HIGH} bits per pixel is the range of the "
            "paper's Fig. 5.",
        ),
        Table(
            "others",
            "At equal size, minus what users pick instead",
            tables.others,
            "As above, over all rates that both reach, optimized Huffman codes on all sides. "
            "jpegli and MozJPEG code 4:2:0 and quantize adaptively or by trellis, which standard "
            "decoders read as well.",
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
            "Times are of other machines, only ratios can be compared. Ours: the widest BLS codec "
            "timed; the paper names neither size nor unit.",
        ),
        Table(
            "timing",
            "Times",
            tables.timing,
            "Mean ± standard error. Encoding: from an image in memory to the bytes of its file.",
        ),
    ),
    figures=figures.figures,
    checks=claims.CHECKS,
    grids=figures.GRIDS,
)
publish = PAPER.publish

if __name__ == "__main__":
    command.as_program(JpegEncoderPaperOptions, publish, "lossylab eval jpeg_encoder")
