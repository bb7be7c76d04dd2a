"""One folder of the rows of all shards of a measurement."""

from __future__ import annotations

import csv
import pathlib
import sys
from collections.abc import Mapping, Sequence
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
        schema, found = _read(options.shards, name)
        added = without_data(options.shards[0])
        with Measurements.of(out / name, schema, added) as table:
            _check_alike(options.out, table, schema, found)
            before = len(table.rows)
            for row in found:
                table.get_or_measure(row, row, dict)
        sys.stdout.write(f"{name}: {len(found)} rows, {len(table.rows) - before} of them new\n")
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


def _read(folders: Sequence[str], name: str) -> tuple[Schema, list[Row]]:
    """The rows of all folders, with what kind they are; raises WorkError."""
    found: list[tuple[Schema, list[Row]]] = []
    for folder in folders:
        path = _path(folder, name)
        if not path.exists():
            raise WorkError(f"{folder} has no {name}: measure its shard to the end")
        schema = _schema(path)
        found.append((schema, rows.read(path, schema.columns, schema.added)))
    kinds = {schema.columns for schema, _ in found}
    require(len(kinds) == 1, f"{name} of {', '.join(folders)} are of different measurements")
    return found[0][0], [row for _, some in found for row in some]


def _schema(path: pathlib.Path) -> Schema:
    """The schema that a file's header is of."""
    with open(path, newline="") as file:
        header = set(next(csv.reader(file), []))
    for schema in OF_IMAGES[path.name]:
        needed = set(schema.columns) - set(schema.added)
        if needed <= header and header - {"check"} <= set(schema.columns):
            return schema
    raise WorkError(f"{path} has columns of no measurement: {', '.join(sorted(header))}")


def _check_alike(out: str, table: Measurements, schema: Schema, found: Sequence[Row]) -> None:
    """Refuses rows of one name that something else decided, before any is written."""
    decided: dict[tuple[str, ...], Row] = {}
    for row in [*table, *found]:
        key = tuple(row[name] for name in schema.key)
        known = decided.setdefault(key, row)
        differ = [name for name in schema.identity if known[name] != row[name]]
        require(
            not differ,
            f"{', '.join(key)}: two rows of different {' and '.join(differ)}, as of other weights, "
            f"options or images: measure one of them again, or choose another folder than {out}",
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
