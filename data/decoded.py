"""Decoded images kept in memory, shared by all input pipelines of a process."""

from __future__ import annotations

import atexit
import collections
import os
import threading
import time
from collections.abc import Callable, Hashable

import numpy as np

_QUIET_SECONDS = 0.1


class ImageCache:
    """Arrays made of files, the least recently used forgotten beyond a limit.

    There is one for a process, `SHARED`: TensorFlow holds on to the functions of a pipeline after
    its end, and a process that trains one model after the other would keep every image once for
    each. Its limit is what the pipeline that was made last asked for.

    Attributes:
      reading: calls that load a file at the moment.
      last_read: time of the newest call.
      bytes: size of all that is kept.
    """

    def __init__(self, limit_mb: int = 0) -> None:
        """Keeps nothing yet.

        Args:
          limit_mb: of all arrays together, MiB; see `resize`.
        """
        self.reading, self.last_read, self.bytes = 0, float("-inf"), 0
        self._limit = limit_mb * 2**20
        self._lock = threading.Lock()
        self._kept: collections.OrderedDict[tuple, np.ndarray] = collections.OrderedDict()

    def resize(self, limit_mb: int) -> None:
        """Sets the limit, MiB, and forgets what is beyond."""
        with self._lock:
            self._limit = limit_mb * 2**20
            self._forget()

    def get_or_load(self, key: tuple, load: Callable[[], np.ndarray]) -> np.ndarray:
        """The array of a key: the kept one, or what `load` gives."""
        with self._lock:
            image = self._kept.get(key)
            if image is not None:
                self._kept.move_to_end(key)
                return image
            self.reading += 1
        try:
            image = load()
        finally:
            with self._lock:
                self.reading -= 1
        with self._lock:
            if key not in self._kept:
                self._kept[key] = image
                self.bytes += image.nbytes
            self._forget()
        return image

    def _forget(self) -> None:
        """Drops what is beyond the limit; the caller holds the lock."""
        while self._kept and self.bytes > self._limit:
            self.bytes -= self._kept.popitem(last=False)[1].nbytes


SHARED = ImageCache()

# An endless pipeline that still prefetches dead-locks the interpreter's exit: its threads wait
# for Python while Python waits for its threads. So at exit reading fails at once, which fills
# the bounded buffers, and the interpreter goes on when no thread has asked for a while.
_exiting = threading.Event()


@atexit.register
def _stop_reading() -> None:
    _exiting.set()
    while SHARED.reading or time.monotonic() - SHARED.last_read < _QUIET_SECONDS:
        time.sleep(_QUIET_SECONDS / 4)


class Decoded:
    """What is made of image files, by their index, kept in `SHARED`."""

    def __init__(
        self,
        paths: list[str],
        load: Callable[..., np.ndarray],
        cache_mb: int,
        kind: tuple = (),
    ) -> None:
        """Sets the limit of `SHARED`.

        Args:
          paths: image files.
          load: from a path, and whatever else `read` is given, to the array to keep.
          cache_mb: limit of all that is kept in the process, MiB.
          kind: what tells this `load` from those of other pipelines.
        """
        self._paths, self._load, self._kind = paths, load, kind
        SHARED.resize(cache_mb)

    def read(self, index: int | np.integer, *how: Hashable) -> np.ndarray:
        """What `load` makes of the file of that index; raises ImageError with its name."""
        SHARED.last_read = time.monotonic()
        if _exiting.is_set():
            raise RuntimeError("the program is ending")
        path = self._paths[index]
        key = (*_identity(path), *self._kind, *how)
        return SHARED.get_or_load(key, lambda: self._load(path, *how))


def _identity(path: str) -> tuple:
    """Path, time and size of a file; only the path if it is gone, which reading will say."""
    try:
        status = os.stat(path)
    except OSError:
        return (path,)
    return path, status.st_mtime_ns, status.st_size
