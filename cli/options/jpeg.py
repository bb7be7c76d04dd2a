"""Options of `lossylab jpeg`."""

from __future__ import annotations

from lossylab.cli.options.files import ImageFilesOptions, max_pixels
from lossylab.core.options import option, option_class
from lossylab.core.trust import EXPORT


@option_class
class JpegOptions(ImageFilesOptions):
    """Writes standard .jpg files with a learned encoder.

    lossylab jpeg image.png image.jpg --model=runs/vgg_0.01/export
    lossylab jpeg photos coded --model=runs/vgg_0.01/export --huffman=optimized --verify

    The files are baseline JFIF, 4:4:4, with the exact coefficients and tables of the encoder: every
    decoder reads them. Gray images become gray files. A table of what was written goes to standard
    output, as CSV.
    """

    model: str = option(help=f"Exported JPEG encoder: {EXPORT}.", may_differ=True)
    huffman: str = option(
        "standard",
        "Huffman codes: those of the standard, or optimized for each image, which makes smaller "
        "files.",
        choices=("standard", "optimized"),
    )
    verify: bool = option(
        False,
        "Read every file back and compare coefficients, tables, and what Pillow decodes with what "
        "the encoder expects.",
        may_differ=True,
    )
    max_pixels: int = max_pixels(2**20, "strips over the whole width")
