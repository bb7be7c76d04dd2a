"""The run directory: a training's options, environment, numbers and checkpoints explain it."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import logging
import math
import os
import pathlib
import time
from collections.abc import Mapping
from typing import IO, Any

from lossylab.core import checkpoints
from lossylab.core.environment import environment
from lossylab.core.errors import OutputError, UsageError, WorkError
from lossylab.core.files import make_folder, remove_rests, write_text
from lossylab.core.options import require

log = logging.getLogger("lossylab")

_LOCK_SECONDS = 1.0  # that a run waits for its folder


class RunDir:
    """Paths and files of one run; also a lock against two processes in one folder."""

    def __init__(self, path: str) -> None:
        """Names the folder; nothing is created yet."""
        self.path = pathlib.Path(path)
        self.options = self.path / "options.json"
        self.environment = self.path / "environment.json"
        self.metrics = self.path / "metrics.csv"
        self.validation = self.path / "validation.csv"
        self.checkpoints = self.path / "checkpoints"
        self.summaries = self.path / "summaries"
        self.export = self.path / "export"
        self._lock: IO | None = None

    def open(
        self, options: dict, may_differ: frozenset[str], defaults: Mapping[str, Any] | None = None
    ) -> None:
        """Creates the folder or checks that it belongs to the same run.

        Args:
          options: the resolved options, JSON values.
          may_differ: names that a resumed run may change.
          defaults: what holds for runs of versions that did not have an option yet.

        Raises:
          OutputError: if the folder cannot be written.
          UsageError: if another process trains there, the run there has other options or has lost
            its checkpoints or options, or the folder holds something else.
        """
        self._refuse_foreign_files()
        make_folder(self.path)
        try:
            self._take_lock()
            checkpoints.remove_rests(self.checkpoints)
            remove_rests(self.path)
            self._check_progress(options, may_differ, defaults or {})
            self._write_environment()
            write_text(self.options, json.dumps(options, indent=2, sort_keys=True) + "\n")
        except BaseException:
            self.close()
            raise

    def in_use(self) -> bool:
        """Whether a process trains there."""
        try:
            with open(self.path / "lock", "r+") as lock:  # NFS locks what may be written alone
                return not _try_lock(lock)
        except OSError:
            return False

    def close(self) -> None:
        """Gives the lock back."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _refuse_foreign_files(self) -> None:
        """Looks first: a file of one of a run's names in a folder that is no run's is not ours."""
        if checkpoints.complete(self.checkpoints) or _sessions(self.environment):
            return
        lock = self.path / "lock"
        names = [self.options, self.environment, self.metrics, self.validation]
        names += [lock] if lock.is_dir() or (lock.exists() and lock.stat().st_size) else []
        names += [each for each in (self.checkpoints, self.summaries) if not _is_empty(each)]
        foreign = [path.name for path in names if path.exists()]
        require(
            not foreign,
            f"{self.path} has {', '.join(foreign)} but is no training's folder: choose another "
            "`run_dir`",
        )

    def _check_progress(
        self, options: dict, may_differ: frozenset[str], defaults: Mapping[str, Any]
    ) -> None:
        """Refuses to begin beside what a run has left, and to go on with other options."""
        newest = checkpoints.newest(self.checkpoints)
        if newest is None:
            self._refuse_lost_checkpoints()
            return
        try:
            self._compare(options, may_differ, newest, defaults)
        except UsageError:
            if checkpoints.step_of(newest):
                raise
            log.warning("%s had learned nothing that is saved: it begins anew", self.path)
            for each in checkpoints.complete(self.checkpoints):
                checkpoints.remove(each)
            return
        done, steps = checkpoints.step_of(newest), options.get("steps", math.inf)
        require(
            done <= steps,
            f"{self.path} has done {done} steps, `steps`={steps} are fewer: give at least as many, "
            "or another `run_dir`",
        )

    def _refuse_lost_checkpoints(self) -> None:
        rows = Table.read(self.metrics)
        last = rows[-1]["step"] if rows else 0
        require(
            not rows,
            f"{self.path} has {len(rows)} rows in metrics.csv, up to step {last}, but no complete "
            "checkpoint: put checkpoints/ back, with ckpt-N.index and its data, or choose another "
            "`run_dir` to begin anew",
        )

    def _write_environment(self) -> None:
        """Adds this session to those that made the run."""
        path, sessions = self.environment, _sessions(self.environment)
        if not sessions and path.exists():
            log.warning("%s is damaged: it goes to %s.damaged", path, path.name)
            os.replace(path, f"{path}.damaged")
        write_text(path, json.dumps([*sessions, environment()], indent=2) + "\n")

    def _take_lock(self) -> None:
        """Waits a second: who looks whether a run is in use holds its lock for a moment."""
        try:
            self._lock = open(self.path / "lock", "a")  # noqa: SIM115 - held until close()
            deadline = time.monotonic() + _LOCK_SECONDS
            while not _try_lock(self._lock):
                require(
                    time.monotonic() < deadline,
                    f"another process is training in {self.path}: stop it or choose another "
                    "`run_dir`",
                )
                time.sleep(0.05)
            os.utime(self._lock.name)  # tells since when
        except OSError as error:
            raise OutputError(f"cannot write {self.path / 'lock'}: {error.strerror}") from error

    def _compare(
        self,
        options: dict,
        may_differ: frozenset[str],
        newest: str,
        defaults: Mapping[str, Any],
    ) -> None:
        try:
            before = json.loads(self.options.read_bytes())
        except (ValueError, OSError, RecursionError):
            before = None
        missing = "damaged or not readable" if self.options.exists() else "missing"
        if not isinstance(before, dict):
            raise UsageError(
                f"{self.options} is {missing}, so that nobody knows how {newest} was trained: put "
                "it back, or choose another `run_dir`"
            )
        before = {**defaults, **before}
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


def _try_lock(file: IO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sessions(path: pathlib.Path) -> list[dict]:
    """The sessions of an environment.json; none if it is no such file."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return []
    ours = isinstance(found, list) and all(isinstance(each, dict) for each in found)
    return found if ours and all("packages" in each for each in found) else []


def _is_empty(folder: pathlib.Path) -> bool:
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


class Table:
    """A CSV file of rows with a `step`, which forgets rows beyond the step resumed from.

    Attributes:
      last_step: of the newest row, -1 without one.
    """

    def __init__(self, path: pathlib.Path, resumed_step: int) -> None:
        """Opens the table and drops rows after `resumed_step`, also half-written ones.

        Raises:
          WorkError: if the file is no such table; it stays as it is.
        """
        self._path = path
        self._columns: list[str] | None = None
        self.last_step = -1
        if path.exists():
            kept = [row for row in self.read(path) if int(row["step"]) <= resumed_step]
            if kept:
                self._columns, self.last_step = list(kept[0]), int(kept[-1]["step"])
            write_text(path, self._text(kept, header=True) if kept else "")

    @staticmethod
    def read(path: pathlib.Path) -> list[dict[str, str]]:
        """The complete rows of a table, none if there is no file; raises WorkError."""
        try:
            rows = csv.DictReader(io.StringIO(path.read_bytes().decode()))
            found = [row for row in rows if _complete(row)]
            names = rows.fieldnames or ["step"]
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise WorkError(
                f"{path} is damaged, no text of rows: move it away ({error})"
            ) from error
        if names[0] != "step" and not "step".startswith(names[0]):
            raise WorkError(f"{path} is no table of a training, which begins with 'step'")
        return found

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
        self.last_step = step

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
    step = row.get("step") or ""
    return None not in row.values() and step.isdecimal() and len(step) < 19  # digits of int64
