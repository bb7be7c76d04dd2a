"""Measurements by one process and by two shards, for tests of each."""

from lossylab.cli import __main__ as cli
from lossylab.core import rows

_TIMES = ("encode_ms", "decode_ms", "seconds")


def measured_by_two(words, out, schema, file="rows.csv"):
    """Rows but for times, in their keys' order: of one process, and of two shards merged."""
    cli.main([*words, f"--out={out / 'whole'}"])
    parts = [str(out / f"part{number}") for number in (1, 2)]
    for number, part in enumerate(parts, 1):
        cli.main([*words, f"--out={part}", f"--shard={number}/2"])
    cli.main(["eval", "merge", str(out / "merged"), *parts])
    return [
        sorted(
            ({k: v for k, v in row.items() if k not in _TIMES} for row in found),
            key=lambda row: [row[name] for name in schema.key],
        )
        for found in (rows.read(out / name / file, schema.columns) for name in ("whole", "merged"))
    ]
