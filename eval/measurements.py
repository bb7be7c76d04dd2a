"""Measurements that are made once: rows found again by their key, and what a folder is about.

  with Measurements(out / "rows.csv", COLUMNS, key=("codec", "image")) as table:
      row = table.get_or_measure({"codec": "jpeg", "image": "a"}, {"identity": "5f2c"}, measure)

A key names a row; its identity is what decides the row's values: weights, options, contents,
protocol. A row of the same key but another identity is measured again, and the old one is
superseded: it moves to a file beside. A process that is killed at any moment leaves all rows that
were finished; given again, it measures those that are missing.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pathlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from typing_extensions import Self

from lossylab.core import rows
from lossylab.core.environment import environment
from lossylab.core.files import make_folder, write_text
from lossylab.core.options import require
from lossylab.eval.schemas import Schema

Row = dict[str, str]
_TOGETHER = 1000  # rows that are forced to disk together


class Measurements:
    """The rows of one file, which this process alone writes; usable by several threads."""

    def __init__(
        self,
        path: str | pathlib.Path | None,
        columns: Sequence[str],
        key: Sequence[str],
        identity: Sequence[str] = ("identity",),
        added: Mapping[str, str] | None = None,
    ):
        """Opens or creates the file; a known row then costs a look-up.

        Args:
          path: the file; None keeps rows in memory only.
          columns: of every row.
          key: those that name a row.
          identity: those that say what decides its values.
          added: columns that files of earlier versions lack, and what is taken for them there.

        Raises:
          WorkError: if the file is damaged or has other columns.
          UsageError: if another process has it open.
          OutputError: if it cannot be written.
        """
        self._key, self._identity = tuple(key), tuple(identity)
        self._table: rows.Rows | _Memory = _Memory(columns, self._key)
        if path is not None:
            self._table = rows.Rows(path, columns, added, self._key)
        self._guard = threading.Lock()

    @classmethod
    def of(
        cls,
        path: str | pathlib.Path | None,
        schema: Schema,
        added: Mapping[str, str] | None = None,
    ) -> Self:
        """Opens or creates a file of a schema's rows.

        Args:
          path: the file; None keeps rows in memory only.
          schema: of its rows.
          added: columns beside the schema's that older files lack, and what is taken for them.

        Raises:
          WorkError, UsageError, OutputError: as the constructor.
        """
        more = {**schema.added, **(added or {})}
        return cls(path, schema.columns, schema.key, schema.identity, more)

    def __len__(self) -> int:
        """How many rows hold."""
        return len(self._table) - len(self._table.outdated)

    def __iter__(self) -> Iterator[Row]:
        """All rows that hold, as text, in the order in which their keys were met first."""
        return self._table.held()

    @property
    def rows(self) -> list[Row]:
        """Those rows as a list."""
        return list(self)

    def find(self, key: Mapping[str, Any]) -> Row | None:
        """The row of a key, whatever decided it, or None."""
        number = self._table.find([rows.text(key[name]) for name in self._key])
        return None if number is None else self._table[number]

    def _known(self, key: Mapping[str, Any], decides: Row) -> Row | None:
        """The row of a key if what decides it is the same."""
        row = self.find(key)
        return row if row is not None and decides.items() <= row.items() else None

    def get_or_measure(
        self,
        key: Mapping[str, Any],
        identity: Mapping[str, Any],
        function: Callable[[], Mapping[str, Any]],
    ) -> Row:
        """A row, measured now unless it is known.

        Args:
          key: values of the columns that name it.
          identity: values of those that decide it.
          function: measures the other columns.

        Returns:
          The row as it is read from the file, as text.

        Raises:
          UsageError: if a text has line breaks.
          OutputError: if the file cannot be written.
        """
        decides = {name: rows.text(identity[name]) for name in self._identity}
        known = self._known(key, decides)
        if known is not None:
            return known
        row = {**key, **identity, **function()}
        with self._guard:
            known = self._known(key, decides)
            if known is not None:
                return known  # another thread was faster
            return self._table.append(row)

    def add(self, measured: Iterable[Row]) -> None:
        """Adds rows of other files, each unless it is known; raises as `get_or_measure`."""
        left = iter(measured)
        while some := list(itertools.islice(left, _TOGETHER)):
            with self._guard:
                new = {
                    tuple([row[name] for name in self._key]): row
                    for row in some
                    if self._known(row, {name: row[name] for name in self._identity}) is None
                }
                self._table.extend(new.values())

    def supersede(
        self, is_old: Callable[[Row], bool], why: str, columns: Sequence[str] | None = None
    ) -> None:
        """Moves rows to the file of superseded ones; see `Rows.supersede`."""
        if isinstance(self._table, rows.Rows):
            self._table.supersede(is_old, why, columns)

    def close(self) -> None:
        """Supersedes rows that were measured again, and lets other processes write."""
        if not isinstance(self._table, rows.Rows):
            return
        try:
            self._table.supersede_numbers(
                self._table.outdated, "were measured again, as something has changed"
            )
        finally:
            self._table.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Memory:
    """Rows that are in no file."""

    def __init__(self, columns: Sequence[str], key: Sequence[str]) -> None:
        self._columns, self._key = tuple(columns), tuple(key)
        self._rows: list[Row] = []
        self._index: dict[tuple[str, ...], int] = {}
        self.outdated: set[int] = set()

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> Row:
        return self._rows[number]

    def find(self, values: Sequence[str]) -> int | None:
        return self._index.get(tuple(values))

    def held(self) -> Iterator[Row]:
        return (self._rows[number] for number in self._index.values())

    def append(self, row: Mapping[str, Any]) -> Row:
        texts = {name: rows.text(row[name]) for name in self._columns}
        key = tuple([texts[name] for name in self._key])
        if key in self._index:
            self.outdated.add(self._index[key])
        self._index[key] = len(self._rows)
        self._rows.append(texts)
        return texts

    def extend(self, some: Iterable[Mapping[str, Any]]) -> None:
        for row in some:
            self.append(row)


def write_about(
    folder: str | pathlib.Path, facts: Mapping[str, Any], name: str = "about.json"
) -> None:
    """Writes what a reader needs to know of a folder's rows: facts, software, command, commit.

    Args:
      folder: of the rows.
      facts: JSON values.
      name: of the file.

    Raises:
      OutputError: if it cannot be written.
    """
    text = json.dumps({**facts, **environment()}, indent=1)
    write_text(pathlib.Path(folder) / name, text + "\n")


def about(folder: str | pathlib.Path, name: str = "about.json") -> dict[str, Any]:
    """What `write_about` wrote before; nothing where there is none or it is no JSON object."""
    with contextlib.suppress(OSError, ValueError):
        facts = json.loads((pathlib.Path(folder) / name).read_text())
        return facts if isinstance(facts, dict) else {}
    return {}


def without_data(folder: str | pathlib.Path) -> dict[str, str]:
    """The data set of rows that do not say theirs: earlier versions wrote it beside them only."""
    return {"data": str(about(folder).get("data", ""))}


def own_folder(
    folder: str | pathlib.Path, written: Sequence[str], table: str = "rows.csv"
) -> pathlib.Path:
    """Creates a folder for results; looks first whether what would be replaced there is ours.

    Args:
      folder: of the rows.
      written: names of the files that are replaced, the first of them `write_about`'s.
      table: name of the file of rows.

    Returns:
      The folder.

    Raises:
      UsageError: if files of these names lie there, but neither rows nor facts of a measurement.
      OutputError: if it cannot be written.
    """
    path = pathlib.Path(folder)
    foreign = [name for name in written if os.path.lexists(path / name)]
    ours = "packages" in about(path, written[0]) or rows.is_table(path / table)
    require(
        ours or not foreign,
        f"{path} has {', '.join(foreign)}, which no measurement wrote: choose another `out`",
    )
    return make_folder(path)
