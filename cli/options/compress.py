"""Options of `lossylab compress` and `lossylab decompress`."""

from __future__ import annotations

from lossylab.cli.options.files import FilesOptions
from lossylab.core.options import argument, option, option_class
from lossylab.core.trust import EXPORT


@option_class
class CompressOptions(FilesOptions):
    """Compresses images with an exported codec.

    lossylab compress photo.png photo.lossy --model=runs/vmaf/export

    A table of what was written goes to standard output, as CSV.
    """

    model: str = option(help=f"Exported codec: {EXPORT}.", may_differ=True)


@option_class
class DecompressOptions(FilesOptions):
    """Decompresses files that `lossylab compress` wrote.

    lossylab decompress photo.lossy photo.png --model=runs/vmaf/export

    A table of what was written goes to standard output, as CSV.
    """

    input: str = argument("Compressed file, folder of such files, or glob.")
    model: str = option(help=f"Exported codec that compressed them: {EXPORT}.", may_differ=True)
