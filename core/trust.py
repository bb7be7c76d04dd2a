"""Which exports may be loaded: a SavedModel is a program, which can read and write files.

with trust.only(("ab12...",)):
    codec = lossylab.load("downloaded/export")
"""

from __future__ import annotations

import contextlib
import contextvars
import re
from collections.abc import Iterator, Sequence

from lossylab.core.errors import ExportError
from lossylab.core.options import Options, option, option_class, require

# What options of exports take, for their help.
EXPORT = "a folder or a name that `lossylab models` lists"
_hashes: contextvars.ContextVar[tuple[str, ...]] = contextvars.ContextVar("hashes", default=())


@option_class
class TrustOptions(Options):
    """Options of commands that load exports; `core.command` holds them to it."""

    trusted_hash: tuple[str, ...] = option(
        (),
        "Exports are programs that can read and write files: only those with one of these hashes, "
        "which `lossylab describe EXPORT` prints, are loaded. All if not given.",
        may_differ=True,
    )

    def check(self) -> None:
        """See `Options.check`."""
        super().check()
        for text in self.trusted_hash:
            require(
                bool(re.fullmatch("[0-9a-fA-F]{64}", text)),
                f"`trusted_hash` takes SHA-256 in 64 hexadecimal digits, got '{text}'",
            )


@contextlib.contextmanager
def only(hashes: Sequence[str]) -> Iterator[None]:
    """In it, exports with other hashes are refused; with none given, nothing changes."""
    before = _hashes.set(tuple(text.lower() for text in hashes) or _hashes.get())
    try:
        yield
    finally:
        _hashes.reset(before)


def hashes() -> tuple[str, ...]:
    """Those that are trusted here; none if all are."""
    return _hashes.get()


def check(path: str, found: str) -> None:
    """Raises ExportError if an export's hash is none of those that are trusted here."""
    if hashes() and found not in hashes():
        raise ExportError(
            f"{path}: its hash is {found}, not the trusted one: it was not loaded, for an export "
            "is a program (`trusted_hash`)"
        )
