"""Options of shards and of `lossylab eval merge`."""

from __future__ import annotations

import re

from lossylab.core.options import Options, argument, option, option_class, require


def of_shard(shard: str) -> tuple[int, int]:
    """Number, counted from 1, and count of a shard; raises UsageError if it is none."""
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", shard)
    number, count = (int(part) for part in found.groups()) if found else (0, 0)
    require(1 <= number <= count, f"`shard` is I/N, from 1/N to N/N, got '{shard}'")
    return number, count


@option_class
class ShardOptions(Options):
    """A measurement that several machines can share."""

    shard: str = option(
        "",
        "I/N measures the I-th of N parts of the images, chosen by their contents, into a folder "
        "of its own; `lossylab eval merge` puts the folders together.",
    )

    def check(self) -> None:
        """See `Options.check`."""
        super().check()
        if self.shard:
            of_shard(self.shard)


@option_class
class MergeOptions(Options):
    """Puts the rows of shards into one folder, as one process would have measured them.

      lossylab eval rd --shard=1/2 --out=part1 ...    # on one machine
      lossylab eval rd --shard=2/2 --out=part2 ...    # on another
      lossylab eval merge all part1 part2
      lossylab eval rd --remake --out=all

    Each row is there once, however often the command is given. Rows of one name that something
    else decided, such as other weights, are refused, and so is a division of which a part is
    missing.
    """

    out: str = argument("Folder to write to.")
    shards: tuple[str, ...] = argument("Folders of the shards.")

    def check(self) -> None:
        """See `Options.check`."""
        super().check()
        require(self.out not in self.shards, "OUT is one of the shards: choose another folder")
