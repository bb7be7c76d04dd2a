"""One folder of the rows of all shards of a measurement."""

from __future__ import annotations

import csv
import itertools
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lossylab.core import command, rows
from lossylab.core.errors import WorkError
from lossylab.core.options import require
from lossylab.eval.measurements import Measurements, about, own_folder, without_data, write_about
from lossylab.eval.options.merge import MergeOptions, of_shard
from lossylab.eval.schemas import FILES, OF_IMAGES, Schema

Row = dict[str, str]


def merge(options: MergeOptions) -> None:
    """Adds the rows of shards to a folder, each once.

    Raises:
      UsageError: if shards contradict each other or the folder, or one is missing.
      WorkError: if a folder has no rows, or damaged ones.
    """
    _check_all_given(options.shards)
    names = [name for name in FILES if any(_path(s, name).exists() for s in options.shards)]
    require(bool(names), f"no {' or '.join(FILES)} in {', '.join(options.shards)}")
    out = own_folder(options.out, [FILES[name] for name in names], names[0])
    for name in names:
        schema = _schema_of_all(options.shards, name)
        paths = [_path(folder, name) for folder in options.shards]
        with Measurements.of(out / name, schema, without_data(options.shards[0])) as table:
            count = _check_alike(options.out, table, schema, paths)
            before = len(table)
            for path in paths:
                table.add(_rows(path))
            new = len(table) - before
        sys.stdout.write(f"{name}: {count} rows, {new} of them new\n")
        write_about(out, _facts(options.shards, FILES[name]), FILES[name])
    command.written(out, ", ".join([*names, *(FILES[name] for name in names)]))


def _path(folder: str, name: str) -> pathlib.Path:
    return pathlib.Path(folder) / name


def _check_all_given(folders: Sequence[str]) -> None:
    """Refuses shards of different divisions, and a division of which one is not given."""
    given: dict[str, str] = {}
    for folder in folders:
        for name in FILES.values():
            shard = about(folder, name).get("shard", "")
            if shard:
                other = given.setdefault(shard, folder)
                require(other == folder, f"{other} and {folder} are both shard {shard}")
    counts = {of_shard(shard)[1] for shard in given}
    require(len(counts) < 2, f"shards of different divisions: {', '.join(sorted(given))}")
    for count in counts:
        missing = [f"{i}/{count}" for i in range(1, count + 1) if f"{i}/{count}" not in given]
        require(not missing, f"shard {', '.join(missing)} is missing: give all at once")


def _schema_of_all(folders: Sequence[str], name: str) -> Schema:
    """What the rows of all folders are; raises WorkError, UsageError."""
    for folder in folders:
        if not _path(folder, name).exists():
            raise WorkError(f"{folder} has no {name}: measure its shard to the end")
    schemas = [_schema(_path(folder, name)) for folder in folders]
    kinds = {schema.columns for schema in schemas}
    require(len(kinds) == 1, f"{name} of {', '.join(folders)} are of different measurements")
    return schemas[0]


def _rows(path: pathlib.Path) -> Iterator[Row]:
    schema = _schema(path)
    return rows.each(path, schema.columns, schema.added)


def _schema(path: pathlib.Path) -> Schema:
    """The schema that a file's header is of."""
    with open(path, newline="") as file:
        header = set(next(csv.reader(file), []))
    for schema in OF_IMAGES[path.name]:
        needed = set(schema.columns) - set(schema.added)
        if needed <= header and header - {"check"} <= set(schema.columns):
            return schema
    raise WorkError(f"{path} has columns of no measurement: {', '.join(sorted(header))}")


def _check_alike(
    out: str, table: Measurements, schema: Schema, paths: Sequence[pathlib.Path]
) -> int:
    """Refuses rows of one name that something else decided, before any is written.

    Returns:
      How many rows the files have.
    """
    decided: dict[int, int] = {}  # hashes of keys and identities: rows may be many
    count = 0
    for path in paths:
        for row in _rows(path):
            count += 1
            key, identity = _hash(row, schema.key), _hash(row, schema.identity)
            known = table.find(row)
            differs = known is not None and _hash(known, schema.identity) != identity
            if differs or decided.setdefault(key, identity) != identity:
                _refuse(out, [*([known] if known else ()), *_of_key(row, schema, paths)], schema)
    return count


def _hash(row: Row, names: Sequence[str]) -> int:
    return hash(tuple([row[name] for name in names]))


def _of_key(row: Row, schema: Schema, paths: Sequence[pathlib.Path]) -> Iterator[Row]:
    """All rows of the files that have the name of this one."""
    for other in itertools.chain.from_iterable(map(_rows, paths)):
        if all(other[name] == row[name] for name in schema.key):
            yield other


def _refuse(out: str, alike: Sequence[Row], schema: Schema) -> None:
    """Refuses rows of one name if something else decided them; raises UsageError."""
    key = ", ".join(alike[0][name] for name in schema.key)
    differ = [name for name in schema.identity if len({row[name] for row in alike}) > 1]
    require(
        not differ,
        f"{key}: two rows of different {' and '.join(differ)}, as of other weights, options or "
        f"images: measure one of them again, or choose another folder than {out}",
    )


def _facts(folders: Sequence[str], name: str) -> Mapping[str, Any]:
    """What the folders say of themselves, put together."""
    merged: dict[str, Any] = {}
    for folder in folders:
        for key, value in about(folder, name).items():
            known = merged.get(key)
            if isinstance(value, dict) and isinstance(known, dict):
                value = {**known, **value}
            elif isinstance(value, list) and isinstance(known, list):
                value = [*known, *(each for each in value if each not in known)]
            merged[key] = value
    shards = merged.pop("shard", "")
    if shards:
        merged["shards"] = f"{len(folders)}, measured apart: times are those of each one's machine"
    return merged
