"""How what is optional is installed: lossylab is on no package index, its extras' packages are."""

from __future__ import annotations

import shlex
from importlib import metadata


def cure(extra: str) -> str:
    """The command that installs the packages of an extra, such as 'onnx'."""
    of_it = f'extra == "{extra}"'
    known = (line.partition(";") for line in metadata.requires("lossylab") or ())
    names = [name.strip().replace(" ", "") for name, _, marker in known if of_it in marker]
    return f"pip install {shlex.join(names)}"
