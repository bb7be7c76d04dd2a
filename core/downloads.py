"""Whether Keras may download weights: nothing is fetched unless it is asked for.

with downloads.allowed(True):
    vgg = lossylab.models.backbones.VGG("vgg19", "imagenet")
"""

from __future__ import annotations

import contextlib
import contextvars
import pathlib
from collections.abc import Iterator

from lossylab.core.errors import BackboneError
from lossylab.core.options import Options, option, option_class

KEPT = pathlib.Path("~/.keras/models")  # where Keras keeps what it has downloaded
_allowed: contextvars.ContextVar[bool] = contextvars.ContextVar("allowed", default=False)


@option_class
class OfflineOptions(Options):
    """Options of commands that look through networks trained by others."""

    offline: bool = option(
        True,
        f"Download nothing: weights called imagenet are taken from {KEPT}, where Keras keeps what "
        "it has downloaded. Otherwise Keras fetches them, and holds them to a hash.",
        may_differ=True,
    )


@contextlib.contextmanager
def allowed(yes: bool) -> Iterator[None]:
    """In it, Keras may download weights if `yes`; otherwise nothing changes."""
    before = _allowed.set(yes or _allowed.get())
    try:
        yield
    finally:
        _allowed.reset(before)


def are_allowed() -> bool:
    """Whether Keras may download weights here."""
    return _allowed.get()


def require_kept(file: str, name: str) -> str:
    """The path of a file that Keras keeps; raises BackboneError if it is needed and not there."""
    path = KEPT.expanduser() / file
    if not are_allowed() and not path.exists():
        raise BackboneError(
            f"weights 'imagenet' of {name} are not in {path}, and nothing is downloaded unasked: "
            "--nooffline lets Keras fetch them (in Python lossylab.core.downloads.allowed(True)), "
            "or give the path of another file, or use 'random'"
        )
    return str(path)
