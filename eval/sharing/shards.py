"""Parts of a measurement of images for several machines; `merge` puts their rows together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from lossylab.core.digest import file_digest
from lossylab.core.options import require
from lossylab.eval.options.merge import of_shard

T = TypeVar("T")


def part(paths: Sequence[str], shard: str) -> list[str]:
    """The images of a shard: every n-th in the order of their contents' hashes.

    Args:
      paths: image files, the same on every machine.
      shard: 'i/n', or '' for all.

    Returns:
      Some of them, in their order; all shards together have each once, and sizes that differ by
      one at most.

    Raises:
      UsageError: if there are fewer images than shards.
    """
    if not shard:
        return list(paths)
    count = of_shard(shard)[1]
    require(count <= len(paths), f"`shard`={shard}: there are {len(paths)} images only")
    mine = set(every(sorted(paths, key=file_digest), shard))
    return [path for path in paths if path in mine]


def every(items: Sequence[T], shard: str) -> list[T]:
    """Every n-th item of a shard 'i/n', from the i-th on; all of the shard ''."""
    number, count = of_shard(shard) if shard else (1, 1)
    return list(items[number - 1 :: count])


def said(shard: str, beam: str | None = None) -> dict[str, str]:
    """What a measurement says beside its rows of who has measured what."""
    if beam is not None:
        return {"workers": "Apache Beam's: times are those of each one's machine"}
    return {"shard": shard} if shard else {}
