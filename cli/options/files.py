"""Options of all commands that make a file of each file."""

from __future__ import annotations

from lossylab.core.options import argument, option, option_class
from lossylab.core.trust import TrustOptions


@option_class
class FilesOptions(TrustOptions):
    """Files in, files out."""

    input: str = argument("Image file, folder, glob or named collection.")
    output: str = argument("File for one input, folder for several; NAME/ is a folder.")
    overwrite: bool = option(
        False,
        "Replace files that exist. Without it, what the same command has finished in a folder is "
        "left out.",
        may_differ=True,
    )


@option_class
class ImageFilesOptions(FilesOptions):
    """Images in, images out."""

    keep_profile: bool = option(
        False,
        "Leave pixel values as they are and write the files' color profiles again. Otherwise "
        "colors are converted to sRGB.",
    )
