"""Options of `lossylab jpeg`."""

from __future__ import annotations

from lossylab.cli.options.files import (
    QUALITY,
    ImageFilesOptions,
    max_pixels,
    output_beside,
    require_one_rate,
)
from lossylab.core.options import option, option_class
from lossylab.core.trust import EXPORT

QUALITIES = range(1, 7)  # of which each has twice the lambda of the one before


@option_class
class JpegOptions(ImageFilesOptions):
    """Writes standard .jpg files with a learned encoder.

    lossylab jpeg photo.png
    lossylab jpeg photos coded
    lossylab jpeg photos coded --quality=6 --huffman=optimized --verify
    lossylab jpeg image.png image.jpg --model=runs/vgg_0.01/export

    Without --model learned tables that come with lossylab are taken. The files are baseline JFIF,
    4:4:4, with the exact coefficients and tables of the encoder: every decoder reads them. Gray
    images become gray files. A table of what was written goes to standard output, as CSV.
    """

    output: str = output_beside(".learned.jpg")
    model: str | None = option(None, f"Exported JPEG encoder: {EXPORT}.", may_differ=True)
    quality: int | None = option(
        None,
        "Rate of the tables that are taken without `model`: from 1, about .3 bits per pixel of "
        f"photographs with optimized Huffman codes, to 6, about 1.6; {QUALITY} if not given.",
        minimum=QUALITIES[0],
        maximum=QUALITIES[-1],
    )
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

    def check(self) -> None:
        """Refuses a quality of an encoder that has one already."""
        super().check()
        require_one_rate(self.model, self.quality, "encoder")
