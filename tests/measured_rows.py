"""Rows of measurements without their times, and those of two shards beside one process's."""

from lossylab.cli import __main__ as cli
from lossylab.core import rows
from lossylab.eval.schemas import CODED

_TIMES = ("encode_ms", "decode_ms", "seconds")


def without_times(row):
    return {name: value for name, value in row.items() if name not in _TIMES}


def measured(path, schema=CODED, file="rows.csv"):
    """Rows of a folder but for their times, in an order of their own."""
    return sorted(map(without_times, rows.read(path / file, schema.columns)), key=str)


def measured_by_two(words, out, schema, file="rows.csv"):
    """The rows of one process, and those of two shards merged."""
    cli.main([*words, f"--out={out / 'whole'}"])
    parts = [str(out / f"part{number}") for number in (1, 2)]
    for number, part in enumerate(parts, 1):
        cli.main([*words, f"--out={part}", f"--shard={number}/2"])
    cli.main(["eval", "merge", str(out / "merged"), *parts])
    return [measured(out / name, schema, file) for name in ("whole", "merged")]
