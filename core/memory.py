"""Memory under a limit of the process: asked for before libraries crash for want of it."""

from __future__ import annotations

import mmap
import resource

from lossylab.core.errors import WorkError


def demand(size: float, cure: str = "") -> None:
    """Makes sure that so much memory can be had, where the process's address space is limited.

    TensorFlow ends by a segmentation fault when an allocation fails. Without a limit (`ulimit -v`)
    the system gives any address space, and nothing can be told beforehand.

    Args:
      size: bytes.
      cure: what may be done about it, for the message.

    Raises:
      WorkError: if it cannot be had.
    """
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return
    try:
        mmap.mmap(-1, max(1, int(size))).close()
    except (OSError, ValueError, OverflowError, MemoryError) as error:
        raise WorkError(
            f"not enough memory: some {size / 2**20:.0f} MiB more are needed, which the limit of "
            f"this process does not allow{cure}"
        ) from error
