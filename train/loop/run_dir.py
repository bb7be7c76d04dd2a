"""The run directory: a training's options, environment, numbers and checkpoints explain it."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import pathlib
from typing import IO

from lossylab.core.environment import environment
from lossylab.core.errors import OutputError, UsageError
from lossylab.core.files import make_folder, write_text


class RunDir:
    """Paths and files of one run; also a lock against two processes in one folder."""

    def __init__(self, path: str) -> None:
        """Names the folder; nothing is created yet."""
        self.path = pathlib.Path(path)
        self.options = self.path / "options.json"
        self.checkpoints = self.path / "checkpoints"
        self.summaries = self.path / "summaries"
        self.export = self.path / "export"
        self._lock: IO | None = None

    def open(self, options: dict, may_differ: frozenset[str]) -> None:
        """Creates the folder or checks that it belongs to the same run.

        Args:
          options: the resolved options, JSON values.
          may_differ: names that a resumed run may change.

        Raises:
          OutputError: if the folder cannot be written.
          UsageError: if another process trains there, or the run there has other options.
        """
        make_folder(self.path)
        try:
            self._take_lock()
            if self.options.exists() and any(self.checkpoints.glob("*.index")):
                self._compare(options, may_differ)
            write_text(self.options, json.dumps(options, indent=2, sort_keys=True) + "\n")
            self._write_environment()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Gives the lock back."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _write_environment(self) -> None:
        """Adds this session to those that made the run."""
        path = self.path / "environment.json"
        try:
            sessions = json.loads(path.read_text()) if path.exists() else []
        except ValueError:
            sessions = []
        write_text(path, json.dumps([*sessions, environment()], indent=2) + "\n")

    def _take_lock(self) -> None:
        try:
            self._lock = open(self.path / "lock", "w")  # noqa: SIM115 - held until close()
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except PermissionError as error:
            raise OutputError(f"no permission to write {self.path / 'lock'}") from error
        except BlockingIOError as error:
            raise UsageError(
                f"another process is training in {self.path}: stop it or choose another `run_dir`"
            ) from error

    def _compare(self, options: dict, may_differ: frozenset[str]) -> None:
        try:
            before = json.loads(self.options.read_text())
        except (ValueError, OSError) as error:
            raise UsageError(
                f"{self.options} is damaged or not readable; choose another `run_dir`"
            ) from error
        differing = [
            f"`{name}` was {before.get(name)!r}, is {options.get(name)!r}"
            for name in sorted(before.keys() | options.keys())
            if name not in may_differ and before.get(name) != options.get(name)
        ]
        if differing:
            raise UsageError(
                f"{self.path} holds a run with other options: {'; '.join(differing)}. Give the "
                "same options to resume it, or another `run_dir` to start a new one"
            )


class Table:
    """A CSV file of rows with a `step`, which forgets rows beyond the step resumed from."""

    def __init__(self, path: pathlib.Path, resumed_step: int) -> None:
        """Opens the table and drops rows after `resumed_step`, also half-written ones."""
        self._path = path
        self._columns: list[str] | None = None
        if path.exists():
            rows = list(csv.DictReader(io.StringIO(path.read_text())))
            kept = [r for r in rows if _complete(r) and int(r["step"]) <= resumed_step]
            self._columns = list(kept[0]) if kept else None
            write_text(path, self._text(kept, header=True) if kept else "")

    def append(self, step: int, values: dict[str, float]) -> None:
        """Adds a row."""
        row = {"step": step, **{name: f"{value:.6g}" for name, value in values.items()}}
        header = self._columns is None
        self._columns = self._columns or list(row)
        try:
            with open(self._path, "a") as file:
                file.write(self._text([row], header))
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror}") from error

    def _text(self, rows: list[dict], header: bool) -> str:
        text = io.StringIO()
        writer = csv.DictWriter(
            text, self._columns or [], lineterminator="\n", extrasaction="ignore"
        )
        if header:
            writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()


def _complete(row: dict) -> bool:
    return None not in row.values() and row.get("step", "").isdigit()
