"""Whether files are as the rows say."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence

from lossylab.core.errors import WorkError

_DRAWN_BY = re.compile(r"Matplotlib v[\w.]+")
# What matplotlib calls clips and markers: hashes of places, to the last bit of the processor's.
_NAME = re.compile(r"\b[mp][0-9a-f]{10}\b")


def texts(files: Mapping[pathlib.Path, str], tables: pathlib.Path) -> list[str]:
    """What is wrong with texts, byte for byte, and tables that no rows are left for."""
    found = []
    for path, text in files.items():
        if not path.is_file():
            found.append(f"{path} is missing")
        elif path.read_bytes() != text.encode():
            found.append(f"{path} says something else")
    left = sorted(set(tables.glob("*")) - set(files))
    return found + [f"{path} has no rows" for path in left]


def figures(fresh: pathlib.Path, there: pathlib.Path) -> list[str]:
    """What is wrong with figures: missing, left over, or drawn otherwise by the same matplotlib."""
    now, before = (_names(folder) for folder in (fresh, there))
    found = [f"{there / name} is missing" for name in sorted(now - before)]
    found += [f"{there / name} has no rows" for name in sorted(before - now)]
    for name in sorted(now & before):
        if name.endswith(".svg") and _differ(
            (fresh / name).read_text(), (there / name).read_text()
        ):
            found.append(f"{there / name} shows something else")
    return found


def refuse(found: Sequence[str], remedy: str) -> None:
    """Raises WorkError if something is wrong; `remedy` is the command that makes it right."""
    if found:
        raise WorkError(f"not as the rows say: {'; '.join(found)}. Make them anew with `{remedy}`")


def _names(folder: pathlib.Path) -> set[str]:
    return {path.name for path in folder.glob("*") if path.suffix in (".png", ".svg")}


def _differ(fresh: str, there: str) -> bool:
    versions: Iterable[list[str]] = (_DRAWN_BY.findall(text) for text in (fresh, there))
    one, other = versions
    return one == other and _renamed(fresh) != _renamed(there)


def _renamed(text: str) -> str:
    """The text with names in the order of their appearance."""
    names: dict[str, str] = {}
    return _NAME.sub(lambda found: names.setdefault(found[0], f"name{len(names)}"), text)
