"""Versions, git commit, command and time: what made a number."""

from __future__ import annotations

import pathlib
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any, TypeVar

from lossylab.core import ffmpeg

_PACKAGES = (
    "lossylab",
    "tensorflow",
    "tensorflow-compression",
    "numpy",
    "pillow",
    "imageio-ffmpeg",
    "bjontegaard",
    "jpeglib",
)

_Value = TypeVar("_Value")


def environment() -> dict:
    """Command, commit, Python, machine and package versions of this process, JSON values."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "command": [_program(), *sys.argv[1:]],
        "commit": _commit(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "packages": versions,
        "ffmpeg": _ffmpeg(),
    }


def timed(function: Callable[..., _Value], *arguments: Any) -> tuple[_Value, float]:
    """What a function returns, and the milliseconds it took."""
    start = time.perf_counter()
    value = function(*arguments)
    return value, 1000 * (time.perf_counter() - start)


def _program() -> str:
    """What the user called."""
    name = pathlib.Path(sys.argv[0]).name
    return "lossylab" if name == "__main__.py" else name


def _ffmpeg() -> str | None:
    """Version of the ffmpeg that scores, if there is one."""
    try:
        return ffmpeg.version(ffmpeg.executable())
    except ffmpeg.FFmpegError:
        return None


def _commit() -> str | None:
    """Commit of the checkout that this package lies in, if it does."""
    root = pathlib.Path(__file__).resolve().parent.parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True)
        return done.stdout.strip()

    try:
        if git("rev-parse", "--show-toplevel") != str(root):
            return None  # installed inside somebody else's checkout
        return git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*") or None
    except OSError:
        return None
