"""Whether images can be used, before work begins: all of them, in parallel, and remembered.

A file that is cut in the middle would end a training in the hour when it is first read. What was
found good is kept in a file below `core.files.cache_folder`, by path, time and size.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import logging
import os
import pathlib
import re
from collections.abc import Iterator
from importlib import metadata

import tqdm

from lossylab.core.errors import ImageError
from lossylab.core.files import cache_folder
from lossylab.data.decode import decode_image, stored_size

log = logging.getLogger("lossylab")

_CHUNK = 512  # files between two writes of what is remembered
_MOST = 2**26  # bytes of the memory; a larger one begins anew
_NAMED = 3
_LINE = re.compile(r"([0-9a-f]{32}) (\d+) (\d+)")
_VERSION = 1  # raised when files that were good may be none any more


@dataclasses.dataclass(frozen=True)
class Looked:
    """What was found of a file.

    Attributes:
      path: of the file.
      size: height and width as stored, pixels.
      fault: why it cannot be used; empty if it can.
    """

    path: str
    size: tuple[int, int]
    fault: str = ""


def usable(
    paths: list[str],
    size: int,
    needed_by: str = "the patch",
    *,
    skip_bad: bool | None = None,
    skip_small: bool | None = None,
    pixels: bool = True,
) -> list[str]:
    """The images among some that can be read and are large enough.

    Args:
      paths: image files.
      size: smallest height and width in pixels.
      needed_by: what needs that size, for the message.
      skip_bad: whether files that cannot be read are left out, and counted; None if users have
        no such option.
      skip_small: likewise for small images.
      pixels: whether all pixels are decoded, or headers are enough.

    Raises:
      ImageError: naming every file that cannot be read, or small ones and how many there are; and
        if none is left.
    """
    found = look(paths, pixels)
    bad = [each for each in found if each.fault]
    if bad and not skip_bad:
        faults = "".join(f"\n  {each.fault}" for each in bad)
        way_out = "" if skip_bad is None else ", or give `skip_bad`"
        raise ImageError(
            f"{len(bad)} of {len(paths)} images cannot be read:{faults}\nremove them{way_out}"
        )
    if bad:
        names = ", ".join(each.path for each in bad[:_NAMED])
        log.warning("%d of %d images cannot be read: left out (%s)", len(bad), len(paths), names)
    good = [each for each in found if not each.fault]
    small = [(each.path, min(each.size)) for each in good if min(each.size) < size]
    leave_out(small, len(paths), size, needed_by, skip_small)
    left_out = {path for path, _ in small}
    left = [each.path for each in good if each.path not in left_out]
    if paths and not left:
        raise ImageError(f"none of {len(paths)} images can be used")
    return left


def leave_out(
    small: list[tuple[str, int]], total: int, size: int, needed_by: str, skip: bool | None
) -> None:
    """Says that images are too small, or refuses them.

    Args:
      small: paths and smaller sides.
      total: images that were looked at.
      size: smallest side in pixels.
      needed_by: what needs it.
      skip: whether they may be left out; None if users have no such option.

    Raises:
      ImageError: if not; naming the first, and how many there are.
    """
    if not small:
        return
    names = ", ".join(f"{path} ({side} pixels)" for path, side in small[:_NAMED])
    names += ", ..." if len(small) > _NAMED else ""
    said = f"are smaller than {needed_by} of {size}x{size} pixels"
    if not skip:
        way_out = "" if skip is None else ", or give `skip_small`"
        raise ImageError(
            f"{len(small)} images {said}: {names}; remove them or choose something smaller{way_out}"
        )
    log.warning("%d of %d images %s: left out (%s)", len(small), total, said, names)


def look(paths: list[str], pixels: bool = True) -> list[Looked]:
    """Looks at every file, those that are remembered excepted, with progress after a while.

    Args:
      paths: image files.
      pixels: whether all pixels are decoded, or headers are enough.
    """
    kept = _remembered() if pixels else {}
    found: dict[str, Looked] = {}
    with (
        concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm.tqdm(total=len(paths), desc="checking images", unit="file", delay=2) as bar,
        interruptible(pool),
    ):
        for first in range(0, len(paths), _CHUNK):
            chunk = list(dict.fromkeys(paths[first : first + _CHUNK]))
            keys = {path: _key(path) for path in chunk}
            known = [path for path in chunk if keys[path] in kept]
            found |= {path: Looked(path, kept[keys[path]]) for path in known}
            new = [path for path in chunk if path not in found]
            looked = list(pool.map(_decoded if pixels else _header, new))
            found |= {each.path: each for each in looked}
            if pixels:
                _remember([(keys[each.path], each.size) for each in looked if not each.fault])
            bar.update(len(paths[first : first + _CHUNK]))
    return [found[path] for path in paths]


@contextlib.contextmanager
def interruptible(pool: concurrent.futures.Executor) -> Iterator[None]:
    """Lets Ctrl-C end a pool's work at once."""
    try:
        yield
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def _header(path: str) -> Looked:
    try:
        return Looked(path, stored_size(path))
    except ImageError as error:
        return Looked(path, (0, 0), str(error))


def _decoded(path: str) -> Looked:
    try:
        height, width = decode_image(path).pixels.shape[:2]
        return Looked(path, (height, width))
    except ImageError as error:
        return Looked(path, (0, 0), str(error))


def _key(path: str) -> str:
    """Names a file as it is now; what is gone is not known under any name."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return ""
    parts = (os.path.abspath(path), status.st_mtime_ns, status.st_size, _VERSION)
    text = repr((*parts, _pillow()))
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=16).hexdigest()


@functools.cache
def _pillow() -> str:
    return metadata.version("pillow")


def _memory() -> pathlib.Path:
    return cache_folder() / "good_images.txt"


def _remembered() -> dict[str, tuple[int, int]]:
    """Sizes of files that were good, by key; lines that are none are passed over."""
    memory = _memory()
    try:
        if memory.stat().st_size > _MOST:
            memory.unlink()
            return {}
        lines = memory.read_text(errors="replace").splitlines()
    except OSError:
        return {}
    found = filter(None, map(_LINE.fullmatch, lines))
    return {each[1]: (int(each[2]), int(each[3])) for each in found}


def _remember(good: list[tuple[str, tuple[int, int]]]) -> None:
    """Appends to what is remembered, if that can be written."""
    with contextlib.suppress(OSError):
        memory = _memory()
        memory.parent.mkdir(parents=True, exist_ok=True)
        with open(memory, "a") as file:
            file.write("".join(f"{key} {size[0]} {size[1]}\n" for key, size in good if key))
