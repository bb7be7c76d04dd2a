"""Decoded images kept in memory, shared by all input pipelines of a process."""

from __future__ import annotations

import atexit
import collections
import os
import threading
import time
from collections.abc import Callable

import numpy as np

# An endless pipeline that still prefetches dead-locks the interpreter's exit: its threads wait
# for Python while Python waits for its threads. So at exit reading fails at once, which fills
# the bounded buffers, and the interpreter goes on when no thread has asked for a while.
_exiting = threading.Event()
_QUIET_SECONDS = 0.1


@atexit.register
def _stop_reading() -> None:
    _exiting.set()
    while Decoded.reading or time.monotonic() - Decoded.last_read < _QUIET_SECONDS:
        time.sleep(_QUIET_SECONDS / 4)


class Decoded:
    """Decoded images by index, the least recently used forgotten beyond the limit.

    What is kept is shared by all instances: TensorFlow holds on to the functions of a pipeline
    after its end, and a process that trains one model after the other would keep every image
    once for each.
    """

    last_read = float("-inf")  # time of the newest call, of all instances
    reading = 0  # calls in progress, of all instances
    _lock = threading.Lock()
    _kept: collections.OrderedDict[tuple, np.ndarray] = collections.OrderedDict()
    _bytes = 0

    def __init__(
        self,
        paths: list[str],
        load: Callable[[str], np.ndarray],
        cache_mb: int,
        kind: tuple = (),
    ):
        """Keeps nothing yet.

        Args:
          paths: image files.
          load: from a path to the array to keep.
          cache_mb: limit of all instances together, MiB, which this one sets.
          kind: what tells this `load` from those of other instances.
        """
        self._paths, self._load, self._kind = paths, load, kind
        self._limit = cache_mb * 2**20
        with self._lock:
            self._forget()

    def read(self, index: np.int64) -> np.ndarray:
        """What `load` makes of the file of that index; raises ImageError with its name."""
        Decoded.last_read = time.monotonic()
        if _exiting.is_set():
            raise RuntimeError("the program is ending")
        path = self._paths[index]
        key = (*_identity(path), *self._kind)
        with self._lock:
            image = self._kept.get(key)
            if image is not None:
                self._kept.move_to_end(key)
            else:
                Decoded.reading += 1
        if image is None:
            try:
                image = self._load(path)
            finally:
                with self._lock:
                    Decoded.reading -= 1
            self._keep(key, image)
        return image

    def _keep(self, key: tuple, image: np.ndarray) -> None:
        with self._lock:
            if key not in self._kept:
                self._kept[key] = image
                Decoded._bytes += image.nbytes
            self._forget()

    def _forget(self) -> None:
        """Drops what is beyond this instance's limit; the caller holds the lock."""
        while self._kept and Decoded._bytes > self._limit:
            Decoded._bytes -= self._kept.popitem(last=False)[1].nbytes


def _identity(path: str) -> tuple:
    """Path, time and size of a file; only the path if it is gone, which reading will say."""
    try:
        status = os.stat(path)
    except OSError:
        return (path,)
    return path, status.st_mtime_ns, status.st_size
