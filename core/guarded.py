"""Reading foreign files with libraries that may crash or take all memory: in a child with limits.

  python -m lossylab.core.guarded MODULE:FUNCTION FILE ARRAYS.npz SECONDS BYTES

The function gets the file's name and returns NumPy arrays by name, which come back through a file.
Whatever it does to the process, a damaged pointer or a bomb, ends in one error here.
"""

from __future__ import annotations

import importlib
import pathlib
import resource
import signal
import subprocess
import sys
import tempfile

import numpy as np

SECONDS = 60
MEMORY = 2**31  # bytes of address space: libraries alone take half a gigabyte of it


class GuardedError(ValueError):
    """A file that the function could not read within its limits; the message says how it ended."""


def arrays(
    function: str, path: str, seconds: int = SECONDS, memory: int = MEMORY
) -> dict[str, np.ndarray]:
    """What a function makes of a file, in a process of its own.

    Args:
      function: `module:name`, which takes the file's name and returns arrays by name.
      path: the file.
      seconds: of processor time, and twice as many by the clock.
      memory: bytes of address space.

    Returns:
      The arrays by name.

    Raises:
      GuardedError: if it fails, crashes, or wants more than it may have.
    """
    with tempfile.TemporaryDirectory() as folder:
        target = pathlib.Path(folder) / "arrays.npz"
        words = [__spec__.name, function, path, str(target), str(seconds), str(memory)]
        try:
            done = subprocess.run(
                [sys.executable, "-m", *words],
                capture_output=True,
                timeout=2 * seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise GuardedError(f"it could not be read in {2 * seconds} s") from error
        if done.returncode < 0:
            name = signal.Signals(-done.returncode).name
            raise GuardedError(f"reading it ended by {name}")
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise GuardedError(said[-1] if said else f"reading it ended with {done.returncode}")
        with np.load(target, allow_pickle=False) as found:
            return dict(found)


def main(words: list[str]) -> None:
    """The child: limits itself, reads, writes."""
    function, path, target = words[:3]
    seconds, memory = map(int, words[3:])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    module, name = function.split(":")
    try:
        found = getattr(importlib.import_module(module), name)(path)
        np.savez(target, **found)
    except MemoryError:
        sys.exit("it wants more memory than a file of its kind can need")
    except Exception as error:  # noqa: BLE001 - libraries raise all kinds for damaged files
        sys.exit(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")


if __name__ == "__main__":
    main(sys.argv[1:])
