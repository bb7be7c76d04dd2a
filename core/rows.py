"""Measured rows in a CSV file that only grows: safe to kill, and damage does not pass unnoticed.

Each line ends with a checksum of itself. A last line without an end is what a killed process
leaves behind: it is reported and removed, and what it held is measured again. Any other line that
is not as it was written is an error that names it.
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import hashlib
import io
import logging
import os
import pathlib
import threading
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

import pandas as pd

from lossylab.core.errors import OutputError, UsageError, WorkError
from lossylab.core.files import make_folder, write_bytes

log = logging.getLogger("lossylab")

_CHECK = "check"
_DIGITS = 9  # significant digits kept of a number


class Rows:
    """An open file of rows that this process alone appends to; usable by several threads.

    Lines are kept as they are written and taken apart when they are asked for: a row of 24 columns
    takes some 300 bytes of memory.
    """

    def __init__(
        self,
        path: str | pathlib.Path,
        columns: Sequence[str],
        added: Mapping[str, str] | None = None,
    ) -> None:
        """Opens or creates the file.

        Args:
          path: the file; its folder is created.
          columns: of every row.
          added: columns that files of earlier versions lack, and what is taken for them there;
            with the first row that is appended such a file gets them.

        Raises:
          WorkError: if the file is damaged or has other columns.
          UsageError: if another process has it open.
          OutputError: if it cannot be written.
        """
        self.path, self.columns = pathlib.Path(path), tuple(columns)
        self._added = dict(added or {})
        self._guard = threading.RLock()
        make_folder(self.path.parent)
        self._take()

    def _take(self) -> None:
        self._file = self._locked()
        try:
            self._remove_torn_line()
            if self.path.stat().st_size:
                self._parser, self._lines = _parsed(self.path, self.columns, self._added)
            else:
                self._parser, self._lines = _Parser(self.columns), []
                self._write(_line([*self.columns, _CHECK], header=True))
        except BaseException:
            self.close()
            raise

    def _locked(self):
        """The file, opened and locked; again if it was replaced in between."""
        while True:
            try:
                file = open(self.path, "ab")  # noqa: SIM115 - held until close()
            except OSError as error:
                raise OutputError(f"cannot write {self.path}: {error.strerror}") from error
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(file.fileno()), os.stat(self.path)):
                    return file
            except BlockingIOError as error:
                file.close()
                raise UsageError(
                    f"another process writes {self.path}: wait for it or choose another folder; "
                    "a folder takes one process at a time, and rows of two are not merged"
                ) from error
            except OSError as error:
                file.close()
                raise OutputError(f"cannot lock {self.path}: {error.strerror}") from error
            file.close()

    def _remove_torn_line(self) -> None:
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        header = _line([*self.columns, _CHECK], header=True)
        if data and not (is_table(self.path) if whole else header.startswith(data)):
            raise WorkError(f"{self.path} is no file of measured rows: choose another folder")
        if whole < len(data):
            log.warning("%s: removing a last line that was not finished", self.path)
            os.ftruncate(self._file.fileno(), whole)

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._lines)

    def __iter__(self) -> Iterator[dict[str, str]]:
        """The rows, each taken apart when it is its turn."""
        return map(self._parser, self._lines)

    def __getitem__(self, number: int) -> dict[str, str]:
        """A row by its number, counted from 0."""
        return self._parser(self._lines[number])

    def values(self, columns: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """These columns of all rows; quicker than whole rows."""
        return map(self._parser.only(columns), self._lines)

    def append(self, row: dict) -> dict[str, str]:
        """Adds a row and forces it to disk; returns it as it will be read.

        Raises:
          UsageError: if a text has line breaks, which would tear the file's lines.
          OutputError: if the file cannot be written.
        """
        texts = [text(row[name]) for name in self.columns]
        broken = [each for each in texts if "\n" in each or "\r" in each]
        if broken:
            raise UsageError(f"{broken[0]!r} has a line break: rename it")
        with self._guard:
            if self._parser.added:
                self.replace(list(self))  # written with all columns
            line = _line(texts)
            self._write(line)
            self._lines.append(_body(line))
        return dict(zip(self.columns, texts))

    def replace(self, rows: Iterable[dict[str, str]]) -> None:
        """Makes these rows, of those read, the file's contents, at once."""
        rows = list(rows)
        lines = [_line([*self.columns, _CHECK], header=True)]
        lines += [_line([row[name] for name in self.columns]) for row in rows]
        with self._guard:
            old = self._file  # stays locked until the new file is
            write_bytes(self.path, b"".join(lines))
            try:
                self._take()
            finally:
                old.close()

    def supersede(self, is_old: Callable[[dict[str, str]], bool], why: str) -> bool:
        """Moves rows to another file beside this one.

        It is superseded.csv for rows.csv and STEM_superseded.csv for STEM.csv: a folder may have
        several files of rows, of different columns.

        Args:
          is_old: whether a row is to go.
          why: what is said of them, such as 'are of other weights'.

        Returns:
          Whether there were any.
        """
        numbers = {number for number, row in enumerate(self) if is_old(row)}
        if not numbers:
            return False
        self._supersede(numbers, why)
        return True

    def supersede_numbers(self, numbers: Collection[int], why: str) -> None:
        """Moves rows by their numbers; see `supersede`."""
        if numbers:
            self._supersede(set(numbers), why)

    def _supersede(self, numbers: set[int], why: str) -> None:
        stem = self.path.stem
        name = "superseded.csv" if stem == "rows" else f"{stem}_superseded.csv"
        path = self.path.with_name(name)
        log.warning("%d rows %s: moved to %s", len(numbers), why, path)
        with contextlib.closing(Rows(path, self.columns, self._added)) as superseded:
            superseded.replace([*superseded, *(self[number] for number in sorted(numbers))])
        self.replace(row for number, row in enumerate(self) if number not in numbers)

    def close(self) -> None:
        """Lets other processes write."""
        self._file.close()

    def _write(self, line: bytes) -> None:
        try:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror}") from error


def read(
    path: str | pathlib.Path,
    columns: Sequence[str] | None = None,
    added: Mapping[str, str] | None = None,
) -> list[dict[str, str]]:
    """The rows of a file, as text.

    Args:
      path: a file that `Rows` wrote.
      columns: what it must have, or None.
      added: columns that files of earlier versions lack, and what is taken for them there.

    Raises:
      WorkError: if the file is missing, has other columns, or a line of it is damaged.
    """
    parser, lines = _parsed(pathlib.Path(path), columns, dict(added or {}))
    return [parser(line) for line in lines]


class _Parser:
    """Takes the lines of a file apart, of whatever version it is."""

    def __init__(self, columns: Sequence[str], added: Mapping[str, str] | None = None):
        """Of these columns; the last of them may be `added`, with values of their own."""
        self.columns, self.added = tuple(columns), dict(added or {})
        self.written = tuple(name for name in columns if name not in self.added)

    def __call__(self, line: bytes) -> dict[str, str]:
        row = dict(zip(self.written, _fields(line)))
        if not self.added:
            return row
        row |= self.added
        return {name: row[name] for name in self.columns}

    def only(self, columns: Sequence[str]) -> Callable[[bytes], tuple[str, ...]]:
        """What gives some columns of a line."""
        if set(columns) & set(self.added):
            return lambda line: tuple(map(self(line).__getitem__, columns))
        places = [self.written.index(name) for name in columns]

        def values(line: bytes) -> tuple[str, ...]:
            fields = _fields(line)
            return tuple([fields[place] for place in places])

        return values


def _parsed(
    path: pathlib.Path, columns: Sequence[str] | None, added: dict[str, str]
) -> tuple[_Parser, list[bytes]]:
    """What takes the lines of a file apart, and its lines without their checksums, all checked."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise WorkError(f"{path} is not readable: {error}") from error
    names = _fields(lines[0])
    if not names or names[-1] != _CHECK:
        raise WorkError(f"{path} is no file of measured rows")
    names = names[:-1]
    wanted = names if columns is None else columns
    parser = _Parser(wanted, {k: v for k, v in added.items() if k in wanted and k not in names})
    if tuple(names) != parser.written:
        raise WorkError(f"{path} has other columns, of another version: choose another folder")
    bodies = []
    for number, line in enumerate(lines[1:-1], 2):
        body, check = line[:-9], line[-9:]
        if check != b"," + _checksum(body) or _count(body) != len(names):
            raise WorkError(
                f"{path}, line {number} is damaged: its checksum does not fit. Restore the file, "
                "or delete the line to have it measured again"
            )
        bodies.append(body)
    return parser, bodies


def is_table(path: str | pathlib.Path) -> bool:
    """Whether a file begins as those that `Rows` writes."""
    try:
        with open(path, "rb") as file:
            return file.readline().endswith(f",{_CHECK}\n".encode())
    except OSError:
        return False


def frame(rows: Iterable[dict[str, str]], text: Sequence[str]) -> pd.DataFrame:
    """Rows as a table: numbers but for the columns named in `text`."""
    rows = list(rows)
    return pd.DataFrame(
        {
            name: [row[name] if name in text else _number(row[name]) for row in rows]
            for name in (rows[0] if rows else ())
        }
    )


def identity(*parts) -> str:
    """Names what decides a row's values: 16 hexadecimal digits of a hash of the parts."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _number(text: str) -> int | float:
    return int(text) if text.isdigit() else float(text)


def text(value: object) -> str:
    """A value as a row has it: numbers with nine significant digits."""
    return f"{value:.{_DIGITS}g}" if isinstance(value, float) else str(value)


def _line(fields: list[str], header: bool = False) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(fields)
    body = buffer.getvalue().encode()
    return body + b"\n" if header else body + b"," + _checksum(body) + b"\n"


def _body(line: bytes) -> bytes:
    """A line without its checksum and end."""
    return line[:-10]


def _checksum(body: bytes) -> bytes:
    return b"%08x" % zlib.crc32(body)


def _count(line: bytes) -> int:
    """How many fields a line has."""
    plain = line.isascii() and b'"' not in line
    return line.count(b",") + 1 if plain else len(_fields(line))


def _fields(line: bytes) -> list[str]:
    """The fields of a line, none if it is no line of CSV."""
    try:
        if b'"' not in line:
            return line.decode().split(",")
        return next(csv.reader([line.decode()]), [])
    except (UnicodeDecodeError, csv.Error):
        return []
