"""What the files of a folder were made of: a command that is given again goes on where it was."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pathlib

from lossylab.core.digest import file_digest
from lossylab.core.errors import OutputError

NAME = ".lossylab.jsonl"


class Journal:
    """A line a file that was begun, and one when it was finished; several may write at a time."""

    def __init__(self, folder: str | pathlib.Path) -> None:
        """Reads what is there; lines that are not whole are none."""
        self._path = pathlib.Path(folder) / NAME
        self._entries: dict[str, dict] = {}
        text = ""
        with contextlib.suppress(OSError):
            text = self._path.read_text(errors="replace")
        for line in text.splitlines():
            with contextlib.suppress(ValueError, TypeError, KeyError):
                entry = json.loads(line)
                self._entries[entry["file"]] = entry

    def knows(self, target: str) -> bool:
        """Whether a file was begun here."""
        return os.path.basename(target) in self._entries

    def state(self, target: str, identity: str) -> str:
        """What is known of a file that exists, and should be of this identity.

        Returns:
          'finished', 'begun' (it may be replaced), or 'other' if it is of something else.
        """
        entry = self._entries.get(os.path.basename(target), {})
        if entry.get("identity") != identity:
            return "other"
        if "sha256" not in entry:
            return "begun"
        return "finished" if entry["sha256"] == file_digest(target) else "other"

    def begin(self, target: str, identity: str) -> None:
        """Notes that a file will be made; raises OutputError."""
        self._add({"file": os.path.basename(target), "identity": identity})

    def end(self, target: str, identity: str) -> None:
        """Notes that a file is as it is to be; raises OutputError."""
        sha256 = file_digest(target)
        self._add({"file": os.path.basename(target), "identity": identity, "sha256": sha256})

    def _add(self, entry: dict) -> None:
        line = f"\n{json.dumps(entry)}\n"  # begins anew after a line that a killed process left
        try:
            with open(self._path, "a") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.write(line)
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror}") from error
