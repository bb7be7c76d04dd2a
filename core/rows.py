"""Measured rows in a CSV file that only grows: safe to kill, and damage does not pass unnoticed.

Each line ends with a checksum of itself. A last line without an end is what a killed process
leaves behind: it is reported and removed, and what it held is measured again. Any other line that
is not as it was written is an error that names it.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import hashlib
import logging
import os
import pathlib
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

import pandas as pd

from lossylab.core.errors import OutputError, UsageError, WorkError
from lossylab.core.files import make_folder, replacing
from lossylab.core.row_index import Index
from lossylab.core.row_lines import CHECK, Lines, body_of, header, key_of, line

log = logging.getLogger("lossylab")

_DIGITS = 9  # significant digits kept of a number
_TAIL = 1 << 16  # bytes that are looked at for the last line's end


class Rows:
    """An open file of rows that this process alone appends to; usable by several threads.

    Rows stay in the file and are read when they are asked for: in memory each takes some 30 bytes.
    """

    def __init__(
        self,
        path: str | pathlib.Path,
        columns: Sequence[str],
        added: Mapping[str, str] | None = None,
        key: Sequence[str] = (),
    ) -> None:
        """Opens or creates the file.

        Args:
          path: the file; its folder is created.
          columns: of every row.
          added: columns that files of earlier versions lack, and what is taken for them there;
            with the first row that is appended such a file gets them.
          key: columns that name a row, for `find`; of rows of one key the last holds.

        Raises:
          WorkError: if the file is damaged or has other columns.
          UsageError: if another process has it open.
          OutputError: if it cannot be written.
        """
        self.path, self.columns, self.key = pathlib.Path(path), tuple(columns), tuple(key)
        self._added = dict(added or {})
        self._guard = threading.RLock()
        make_folder(self.path.parent)
        self._take()

    def _take(self) -> None:
        self._file = self._locked()
        try:
            self._remove_torn_line()
            if not os.fstat(self._file.fileno()).st_size:
                self._write(header(self.columns))
            self._read()
        except BaseException:
            self.close()
            raise

    def _read(self) -> None:
        """Checks all lines, notes where they begin, and which are of one key."""
        self._lines = Lines(self.path, self.columns, self._added)
        self._end = os.fstat(self._file.fileno()).st_size
        self._begins, keys = array.array("q"), array.array("q")
        key = self._lines.parser.key(self.key)
        for position, body in self._lines:
            self._begins.append(position)
            if self.key:
                keys.append(key(body))
        self._index = Index(keys)
        self._first: dict[int, int] = {}  # by the row that holds, the one whose place it takes
        self.outdated: set[int] = set()
        for numbers in self._index.repeated():
            newest: dict[tuple[str, ...], int] = {}
            for number in numbers:
                row = self[number]
                self._note(newest, tuple([row[name] for name in self.key]), number)

    def _note(self, newest: dict[tuple[str, ...], int], key: tuple[str, ...], number: int) -> None:
        if key in newest:
            self._outdate(newest[key], number)
        newest[key] = number

    def _outdate(self, old: int, new: int) -> None:
        self.outdated.add(old)
        self._first[new] = self._first.pop(old, old)

    def _locked(self):
        """The file, opened and locked; again if it was replaced in between."""
        while True:
            try:
                file = open(self.path, "a+b", buffering=0)  # noqa: SIM115 - held until close()
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
        number = self._file.fileno()
        size, first = os.fstat(number).st_size, header(self.columns)
        whole = _end_of_lines(number, size)
        begun = first.startswith(os.pread(number, len(first) + 1, 0))
        if size and not (is_table(self.path) if whole else begun):
            raise WorkError(f"{self.path} is no file of measured rows: choose another folder")
        if whole < size:
            log.warning("%s: removing a last line that was not finished", self.path)
            os.ftruncate(number, whole)

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._begins)

    def __iter__(self) -> Iterator[dict[str, str]]:
        """The rows, each read when it is its turn."""
        return (self._lines.parser(body) for _, body in self._bodies())

    def __getitem__(self, number: int) -> dict[str, str]:
        """A row by its number, counted from 0; raises WorkError if it was damaged meanwhile."""
        return self._lines.parser(self._body(number))

    def _body(self, number: int) -> bytes:
        with self._guard:
            begin = self._begins[number]
            end = self._begins[number + 1] if number + 1 < len(self._begins) else self._end
        body = body_of(os.pread(self._file.fileno(), end - begin, begin))
        if body is None:
            raise WorkError(f"{self.path}, line {number + 2} was damaged while it was open")
        return body

    def _bodies(self) -> Iterator[tuple[int, bytes]]:
        """Numbers and lines of the rows that there are now."""
        return zip(range(len(self)), (body for _, body in self._lines))

    def find(self, values: Sequence[str]) -> int | None:
        """The number of the row that holds for these values of `key`, or None."""
        with self._guard:
            for number in self._index.find(key_of(values)):
                row = self[number]
                if all(row[name] == value for name, value in zip(self.key, values)):
                    return number
        return None

    def held(self) -> Iterator[dict[str, str]]:
        """The rows that hold, in the order in which their keys were met first."""
        moved = {first: new for new, first in self._first.items()}
        for number, body in self._bodies():
            if number in moved:
                yield self[moved[number]]
            elif number not in self.outdated and number not in self._first:
                yield self._lines.parser(body)

    def values(self, columns: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """These columns of all rows; quicker than whole rows."""
        only = self._lines.parser.only(columns)
        return (only(body) for _, body in self._bodies())

    def append(self, row: Mapping[str, object]) -> dict[str, str]:
        """Adds a row and forces it to disk; returns it as it will be read.

        Raises:
          UsageError: if a text has line breaks, which would tear the file's lines.
          OutputError: if the file cannot be written.
        """
        texts = self._texts(row)
        with self._guard:
            self._append([texts])
        return dict(zip(self.columns, texts))

    def extend(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Adds rows that are forced to disk together; raises as `append`."""
        self._append([self._texts(row) for row in rows])

    def _texts(self, row: Mapping[str, object]) -> list[str]:
        texts = [text(row[name]) for name in self.columns]
        broken = [each for each in texts if "\n" in each or "\r" in each]
        if broken:
            raise UsageError(f"{broken[0]!r} has a line break: rename it")
        return texts

    def _append(self, batch: Sequence[list[str]]) -> None:
        with self._guard:
            if self._lines.parser.added:
                self.replace(self)  # written with all columns
            lines = [line(texts) for texts in batch]
            try:
                self._write(b"".join(lines))
            except OutputError:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._file.fileno(), self._end)
                raise
            for texts, written in zip(batch, lines):
                self._begins.append(self._end)
                self._end += len(written)
                if self.key:
                    self._add(dict(zip(self.columns, texts)))

    def _add(self, row: dict[str, str]) -> None:
        """Notes the key of the last row."""
        values, number = [row[name] for name in self.key], len(self) - 1
        old = self.find(values)
        if old is not None:
            self._outdate(old, number)
        self._index.add(key_of(values), number)

    def replace(self, rows: Iterable[Mapping[str, str]]) -> None:
        """Makes these rows, of those read, the file's contents, at once."""
        self._rewrite(line([row[name] for name in self.columns]) for row in rows)

    def _rewrite(self, lines: Iterable[bytes]) -> None:
        with self._guard:
            old = self._file  # stays locked until the new file is
            with replacing(self.path) as temporary, open(temporary, "wb") as file:
                file.write(header(self.columns))
                file.writelines(lines)
            try:
                self._take()
            finally:
                old.close()

    def supersede(
        self,
        is_old: Callable[[dict[str, str]], bool],
        why: str,
        columns: Sequence[str] | None = None,
    ) -> bool:
        """Moves rows to another file beside this one.

        It is superseded.csv for rows.csv and STEM_superseded.csv for STEM.csv: a folder may have
        several files of rows, of different columns.

        Args:
          is_old: whether a row is to go.
          why: what is said of them, such as 'are of other weights'.
          columns: those that `is_old` looks at; all if not given, which takes longer.

        Returns:
          Whether there were any.
        """
        names = self.columns if columns is None else tuple(columns)
        rows = (dict(zip(names, values)) for values in self.values(names))
        numbers = {number for number, row in enumerate(rows) if is_old(row)}
        self.supersede_numbers(numbers, why)
        return bool(numbers)

    def supersede_numbers(self, numbers: Collection[int], why: str) -> None:
        """Moves rows by their numbers; see `supersede`."""
        if not numbers:
            return
        stem, numbers = self.path.stem, set(numbers)
        name = "superseded.csv" if stem == "rows" else f"{stem}_superseded.csv"
        path = self.path.with_name(name)
        log.warning("%d rows %s: moved to %s", len(numbers), why, path)
        with contextlib.closing(Rows(path, self.columns, self._added)) as superseded:
            superseded.replace([*superseded, *(self[number] for number in sorted(numbers))])
        self.replace(row for number, row in enumerate(self) if number not in numbers)

    def close(self) -> None:
        """Lets other processes write."""
        self._file.close()

    def _write(self, data: bytes) -> None:
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(self._file.fileno(), left) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror}") from error


def _end_of_lines(file: int, size: int) -> int:
    """Where the last line ends that has an end."""
    end = size
    while end:
        begin = max(0, end - _TAIL)
        found = os.pread(file, end - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


def each(
    path: str | pathlib.Path,
    columns: Sequence[str] | None = None,
    added: Mapping[str, str] | None = None,
) -> Iterator[dict[str, str]]:
    """The rows of a file, as text, each read when it is its turn.

    Args:
      path: a file that `Rows` wrote.
      columns: what it must have, or None.
      added: columns that files of earlier versions lack, and what is taken for them there.

    Raises:
      WorkError: if the file is missing, has other columns, or a line of it is damaged.
    """
    lines = Lines(pathlib.Path(path), columns, dict(added or {}))
    return (lines.parser(body) for _, body in lines)


def read(
    path: str | pathlib.Path,
    columns: Sequence[str] | None = None,
    added: Mapping[str, str] | None = None,
) -> list[dict[str, str]]:
    """The rows of a file as a list; see `each`."""
    return list(each(path, columns, added))


def is_table(path: str | pathlib.Path) -> bool:
    """Whether a file begins as those that `Rows` writes."""
    try:
        with open(path, "rb") as file:
            return file.readline().endswith(f",{CHECK}\n".encode())
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
