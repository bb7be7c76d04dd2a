"""Versions, git commit and command: what made a number."""

from __future__ import annotations

import pathlib
import platform
import subprocess
import sys
from importlib import metadata

_PACKAGES = (
    "lossylab",
    "tensorflow",
    "tensorflow-compression",
    "numpy",
    "pillow",
    "imageio-ffmpeg",
)


def environment() -> dict:
    """Command, commit, Python, machine and package versions of this process, JSON values."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "command": [pathlib.Path(sys.argv[0]).name, *sys.argv[1:]],
        "commit": _commit(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "packages": versions,
    }


def _commit() -> str | None:
    """Commit of the checkout that this package lies in, if it does."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(
            command, cwd=pathlib.Path(__file__).parent, capture_output=True, text=True
        )
    except OSError:
        return None
    return done.stdout.strip() or None
