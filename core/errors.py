"""Every error that a user can cause, under one base class.

Messages say what was expected, what came and what to do. Names of options stand in backquotes; the
command line shows them as its flags.
"""

from __future__ import annotations

NO_TFC = (
    "learned codecs need tensorflow-compression 2.14.1, which has wheels for Linux and macOS on "
    "x86-64 alone: install it there, or use the Dockerfile; restorers, distorters, JPEG encoders "
    "and scorers do without it"
)


class LossylabError(Exception):
    """Base of all errors that a user can understand and act on.

    Attributes:
      exit_status: of a command that ends by it: 1 failed at work, 2 wrong usage.
    """

    exit_status = 1


class UsageError(LossylabError, ValueError):
    """Options or arguments that do not make sense; the message says what to change."""

    exit_status = 2


class CollectionError(UsageError):
    """A collection that is unknown, missing, incomplete or empty."""


class ImageError(UsageError):
    """A file that cannot be used as an image; the message names it and the reason."""


class ExportError(UsageError):
    """A folder that is no usable lossylab export; the message says what is wrong."""


class BackboneError(UsageError):
    """Pretrained weights that cannot be had; the message says what to do."""


class WorkError(LossylabError, RuntimeError):
    """A failure during the work that the user can understand and act on."""


class OutputError(LossylabError, OSError):
    """A place that cannot be written to; the message says what to do."""


class FFmpegError(LossylabError, RuntimeError):
    """ffmpeg is missing or failed; the message ends with what it said."""


class CodecError(LossylabError, RuntimeError):
    """A codec that is missing, fails, or cannot take an image; the message names it."""


class DivergedError(WorkError):
    """Training met a value that is not finite; the last good checkpoint is kept."""


class BitstreamError(LossylabError, ValueError):
    """A compressed file that cannot be decoded: damaged, or made by something else."""


class IndexMismatchError(BitstreamError):
    """A file whose scale indexes come out differently here than where it was encoded."""
