"""Options of all commands that make a file of each file."""

from __future__ import annotations

from typing import Any

from lossylab.core.options import argument, option, option_class, require
from lossylab.core.trust import TrustOptions
from lossylab.eval.options.merge import of_shard

QUALITY = 4  # of what comes with lossylab, where neither a model nor a quality is given


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
    shard: str = option(
        "",
        "I/N takes the I-th of N parts of the inputs, chosen by their contents; all parts may be "
        "written into one folder at the same time.",
        may_differ=True,
    )

    def check(self) -> None:
        """See `Options.check`."""
        super().check()
        if self.shard:
            of_shard(self.shard)


@option_class
class ImageFilesOptions(FilesOptions):
    """Images in, images out."""

    keep_profile: bool = option(
        False,
        "Leave pixel values as they are and write the files' color profiles again. Otherwise "
        "colors are converted to sRGB.",
    )


def output_beside(suffix: str, made: str = "file") -> Any:
    """The argument `output` of a command that writes one input's file beside it; see `argument`.

    Args:
      suffix: of that file, for its help.
      made: what it is, likewise.
    """
    return argument(
        f"File for one input, folder for several; NAME/ is a folder. By default one input's {made} "
        f"is written beside it, with the suffix {suffix}.",
        "",
    )


def max_pixels(default: int, seen: str) -> Any:
    """The option `max_pixels` of a network's command; see `option`.

    Args:
      default: its value.
      seen: the parts of larger images, for its help.
    """
    return option(
        default,
        "Largest number of pixels that the network sees at once, by which its memory grows. Larger "
        f"images are taken in {seen}.",
        minimum=2**12,
        unit="pixels",
        may_differ=True,
    )


def require_one_rate(model: str | None, quality: int | None, kind: str) -> None:
    """Raises UsageError of a quality beside a model of this kind, which has one already."""
    require(
        model is None or quality is None,
        f"`quality` goes without `model`: an exported {kind} has one rate",
    )
