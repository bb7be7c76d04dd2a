"""Options of `lossylab compress` and `lossylab decompress`."""

from __future__ import annotations

from lossylab.cli.options.files import QUALITY, FilesOptions, output_beside, require_one_rate
from lossylab.core.options import argument, option, option_class
from lossylab.core.trust import EXPORT

QUALITIES = range(1, 9)  # of which each has twice the lambda of the one before


@option_class
class CompressOptions(FilesOptions):
    """Compresses images with a learned codec.

    lossylab compress photo.png
    lossylab compress photos coded --quality=6
    lossylab compress photo.png photo.lossy --model=runs/vmaf/export

    Without --model a codec that comes with lossylab is taken. A table of what was written goes to
    standard output, as CSV.
    """

    output: str = output_beside(".lossy")
    model: str | None = option(None, f"Exported codec: {EXPORT}.", may_differ=True)
    quality: int | None = option(
        None,
        "Rate of the codec that is taken without `model`, the nearest that has a name: 1 to 5 give "
        f"about .3 bits per pixel, 6 and 7 about .7, 8 about 1.4; {QUALITY} if not given.",
        minimum=QUALITIES[0],
        maximum=QUALITIES[-1],
    )
    compare: bool | None = option(
        None,
        "Decode each file and say its PSNR, and that of JPEG with as many bytes. By default yes "
        "for single images without `model`.",
        may_differ=True,
    )

    def check(self) -> None:
        """Refuses a quality of a codec that has one already."""
        super().check()
        require_one_rate(self.model, self.quality, "codec")


@option_class
class DecompressOptions(FilesOptions):
    """Decompresses files that `lossylab compress` wrote.

    lossylab decompress photo.lossy
    lossylab decompress photo.lossy photo.png --model=runs/vmaf/export

    Without --model it is found by what the file says, among the models that have names.

    A table of what was written goes to standard output, as CSV.
    """

    input: str = argument("Compressed file, folder of such files, or glob.")
    output: str = output_beside(".decoded.png", "image")
    model: str | None = option(
        None, f"Exported codec that compressed them: {EXPORT}.", may_differ=True
    )
