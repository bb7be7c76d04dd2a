"""Official files, known by their SHA-256: known.csv says what each is and where it comes from.

Of torchvision's files the first eight digits are known, which stand in their names. No hashes are
published of StyleGAN's pickles and LPIPS's channel weights; those of Keras's files are Keras's, who
holds to them what it downloads.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import logging
import pathlib

from lossylab.core.digest import file_digest

log = logging.getLogger("lossylab")


@dataclasses.dataclass(frozen=True)
class Official:
    """A file of authors.

    Attributes:
      sha256: of its content, or how that begins.
      what: it is.
      source: where it comes from.
      license: in words.
      kind: 'restorer', or 'lpips' for what LPIPS looks through.
      quality: of JPEG that a restorer is for; empty for all, and of other networks.
    """

    sha256: str
    what: str
    source: str
    license: str
    kind: str
    quality: str


def find(path: str) -> Official | None:
    """The official file that a file is; None if it is none that is known."""
    digest = file_digest(path)
    return next((each for each in _known() if digest.startswith(each.sha256)), None)


def say(path: str) -> None:
    """Logs what a file is, with a warning if it is none that is known."""
    found = find(path)
    if found:
        log.info("%s: %s (%s; license: %s)", path, found.what, found.source, found.license)
    else:
        log.warning("%s: its SHA-256 is none of an official file that is known here", path)


@functools.cache
def _known() -> list[Official]:
    with open(pathlib.Path(__file__).with_name("known.csv"), newline="") as file:
        return [Official(**row) for row in csv.DictReader(file)]
