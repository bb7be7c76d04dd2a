"""Lines of files of measured rows: CSV whose last field is a checksum of the others."""

from __future__ import annotations

import csv
import io
import pathlib
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from lossylab.core.errors import WorkError

CHECK = "check"
_PIECE = 1 << 22  # bytes that are read at a time
_SEPARATOR = b"\n"  # of a key's parts: no value has line breaks


def header(columns: Sequence[str]) -> bytes:
    """The first line of a file of these columns."""
    return _csv([*columns, CHECK]) + b"\n"


def line(fields: Sequence[str]) -> bytes:
    """A line of these fields, with its checksum and end."""
    body = _csv(fields)
    return body + b"," + _checksum(body) + b"\n"


def body_of(whole: bytes) -> bytes | None:
    """A line without its checksum and end, or None if it is not as it was written."""
    body = whole[:-10]
    return body if whole[-10:] == b"," + _checksum(body) + b"\n" else None


def key_of(values: Sequence[str]) -> int:
    """A hash, in this process, of the values that name a row."""
    return hash(_SEPARATOR.join([value.encode(errors="surrogatepass") for value in values]))


class Parser:
    """Takes the lines of a file apart, of whatever version it is."""

    def __init__(self, columns: Sequence[str], added: Mapping[str, str] | None = None):
        """Of these columns; the last of them may be `added`, with values of their own."""
        self.columns, self.added = tuple(columns), dict(added or {})
        self.written = tuple(name for name in columns if name not in self.added)

    def __call__(self, body: bytes) -> dict[str, str]:
        """The row of a line without its checksum."""
        row = dict(zip(self.written, _fields(body)))
        if not self.added:
            return row
        row |= self.added
        return {name: row[name] for name in self.columns}

    def only(self, columns: Sequence[str]) -> Callable[[bytes], tuple[str, ...]]:
        """What gives some columns of a line; quicker than whole rows."""
        if set(columns) & set(self.added):
            return lambda body: tuple(map(self(body).__getitem__, columns))
        places = [self.written.index(name) for name in columns]
        most = max(places, default=0) + 1

        def values(body: bytes) -> tuple[str, ...]:
            fields = _fields(body) if b'"' in body else body.decode().split(",", most)
            return tuple([fields[place] for place in places])

        return values

    def key(self, columns: Sequence[str]) -> Callable[[bytes], int]:
        """What gives `key_of` some columns of a line."""
        only = self.only(columns)
        if set(columns) & set(self.added):
            return lambda body: key_of(only(body))
        places = [self.written.index(name) for name in columns]
        most = max(places, default=0) + 1

        def key(body: bytes) -> int:
            if b'"' in body:
                return key_of(only(body))
            fields = body.split(b",", most)
            return hash(_SEPARATOR.join([fields[place] for place in places]))

        return key


class Lines:
    """The lines of a file without their checksums, each checked as it is read, in little memory."""

    def __init__(self, path: pathlib.Path, columns: Sequence[str] | None, added: Mapping[str, str]):
        """Reads the file's first line.

        Args:
          path: the file.
          columns: what it must have, or None.
          added: columns that it may lack, and what is taken for them.

        Raises:
          WorkError: if it is missing, no file of rows, or has other columns.
        """
        self.path = path
        try:
            with open(path, "rb") as file:
                first = file.readline()
        except OSError as error:
            raise WorkError(f"{path} is not readable: {error}") from error
        names = _fields(first.removesuffix(b"\n"))
        if not names or names[-1] != CHECK:
            raise WorkError(f"{path} is no file of measured rows")
        names = names[:-1]
        wanted = names if columns is None else columns
        self.parser = Parser(
            wanted, {k: v for k, v in added.items() if k in wanted and k not in names}
        )
        if tuple(names) != self.parser.written:
            raise WorkError(f"{path} has other columns, of another version: choose another folder")
        self._commas, self.begin = len(names) - 1, len(first)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Where each line begins, and its body; a last line that has no end is none.

        Raises:
          WorkError: that names a damaged line.
        """
        position, number, rest = self.begin, 1, b""
        crc32, commas = zlib.crc32, self._commas
        with open(self.path, "rb") as file:
            file.seek(position)
            while piece := file.read(_PIECE):
                lines = (rest + piece).split(b"\n")
                rest = lines.pop()
                for whole in lines:
                    number += 1
                    body = whole[:-9]
                    plain = body.isascii() and b'"' not in body
                    count = body.count(b",") if plain else len(_fields(body)) - 1
                    if whole[-9:] != b",%08x" % crc32(body) or count != commas:
                        raise WorkError(
                            f"{self.path}, line {number} is damaged: its checksum does not fit. "
                            "Restore the file, or delete the line to have it measured again"
                        )
                    yield position, body
                    position += len(whole) + 1


def _csv(fields: Sequence[str]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(fields)
    return buffer.getvalue().encode()


def _checksum(body: bytes) -> bytes:
    return b"%08x" % zlib.crc32(body)


def _fields(body: bytes) -> list[str]:
    """The fields of a line, none if it is no line of CSV."""
    try:
        if b'"' not in body:
            return body.decode().split(",")
        return next(csv.reader([body.decode()]), [])
    except (UnicodeDecodeError, csv.Error):
        return []
