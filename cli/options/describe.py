"""Options of `lossylab describe`."""

from __future__ import annotations

from lossylab.core.options import argument, option_class
from lossylab.core.trust import TrustOptions


@option_class
class DescribeOptions(TrustOptions):
    """Prints what an export says of itself, and its hash, as JSON.

    lossylab describe runs/vmaf/export

    The hash is SHA-256 over all files of the export. An export is a program, which can read and
    write files when it is loaded: given the hash of one that you trust, --trusted_hash makes every
    command refuse any other.
    """

    export: str = argument("Export: a folder or a name that `lossylab models` lists.")
