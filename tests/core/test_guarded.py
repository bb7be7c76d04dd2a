"""core.guarded: whatever a function does to its process ends in one error, soon."""

import os
import signal
import time

import numpy as np
import pytest

from lossylab.core import guarded


def doubled(path):
    """Twice the array of a file."""
    return {"a": 2 * np.load(path)}


def crashes(path):
    """Dies as a library does that reads what is not its own."""
    os.kill(os.getpid(), signal.SIGSEGV)


def takes_all(path):
    """Asks for more memory than there may be."""
    return {"a": np.ones(2**32)}


def never_ends(path):
    """Computes for ever."""
    while True:
        pass


def fails(path):
    """Raises."""
    raise KeyError("net")


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Lets the child import this module."""
    folder = os.path.dirname(__file__)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")]))


def _call(function, path, **limits):
    return guarded.arrays(f"{__name__.split('.')[-1]}:{function.__name__}", str(path), **limits)


def test_arrays_come_back(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(6).reshape(2, 3))
    found = _call(doubled, tmp_path / "a.npy")
    np.testing.assert_array_equal(found["a"], 2 * np.arange(6).reshape(2, 3))


@pytest.mark.parametrize(
    ("function", "message", "limits"),
    [
        (crashes, "reading it ended by SIGSEGV", {}),
        (takes_all, "more memory|Unable to allocate", {}),
        (fails, "KeyError: 'net'", {}),
        (never_ends, "SIGKILL|SIGXCPU|could not be read", {"seconds": 1}),
    ],
)
def test_whatever_happens_is_one_error(function, message, limits, tmp_path):
    start = time.monotonic()
    with pytest.raises(guarded.GuardedError, match=message):
        _call(function, tmp_path / "a", **limits)
    assert time.monotonic() - start < 60
