"""How what is optional is installed: lossylab is on no package index, its extras' packages are."""

from __future__ import annotations

import re
import shlex
from importlib import metadata


def cure(extra: str) -> str:
    """The command that installs the packages of an extra, such as 'onnx'."""
    try:
        lines = metadata.requires("lossylab") or []
    except metadata.PackageNotFoundError:  # run from its sources
        lines = []
    known = (line.partition(";") for line in lines)
    of_it = re.compile(rf"extra == [\"']{extra}[\"']")
    names = [name.strip().replace(" ", "") for name, _, marker in known if of_it.search(marker)]
    return f"pip install {shlex.join(names) or f'the packages of the extra {extra}'}"
