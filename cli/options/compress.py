"""Options of `lossylab compress` and `lossylab decompress`."""

from __future__ import annotations

from lossylab.core.options import Options, argument, option, option_class


@option_class
class CompressOptions(Options):
    """Compresses images with an exported codec.

    lossylab compress photo.png photo.lossy --model=runs/vmaf/export

    A table of what was written goes to standard output, as CSV.
    """

    input: str = argument("Image file, folder, glob or named collection.")
    output: str = argument("File for one input, folder for several.")
    model: str = option(help="Folder of the exported codec.")
    overwrite: bool = option(False, "Replace files that exist.")


@option_class
class DecompressOptions(Options):
    """Decompresses files that `lossylab compress` wrote.

    lossylab decompress photo.lossy photo.png --model=runs/vmaf/export

    A table of what was written goes to standard output, as CSV.
    """

    input: str = argument("Compressed file, folder of such files, or glob.")
    output: str = argument("Image file for one input, folder for several.")
    model: str = option(help="Folder of the exported codec that compressed them.")
    overwrite: bool = option(False, "Replace files that exist.")
