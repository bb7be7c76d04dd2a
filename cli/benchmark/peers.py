"""Section of the benchmark against other software, which runs in a process of its own."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from lossylab.cli.benchmark import steps
from lossylab.cli.benchmark.precisions import chosen
from lossylab.cli.benchmark.timing import InTurns
from lossylab.cli.benchmark.untrained import untrained
from lossylab.cli.options.installation import BenchmarkOptions
from lossylab.core.errors import WorkError
from lossylab.inference.export.codec import Codec
from lossylab.models.bmshj2018 import BMSHJ2018

_STEPS = ("bls2017_128", "bls2017_192", "bmshj2018_192")
_PASSES = ("wcdgan_rgb", "dncnn3", steps.STYLEGAN2)
_NARROW = "mixed_bfloat16"
_CODINGS = ("bmshj2018_192 encode", "bmshj2018_192 decode")


class Peer:
    """Another program that does work by name, such as docs/peers/twins.py."""

    def __init__(self, command: str) -> None:
        """Starts it."""
        pipe = subprocess.PIPE
        self._process: Any = subprocess.Popen(
            shlex.split(command), stdin=pipe, stdout=pipe, text=True
        )

    def do(self, name: str) -> None:
        """Lets it do work and waits; raises WorkError if it ends."""
        questions, answers = self._process.stdin, self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            questions.write(f"{name}\n")
            questions.flush()
        if answers.readline().strip() != "done":
            raise WorkError(f"`peer`: it did not do '{name}', see what it said")

    def close(self) -> None:
        """Ends it."""
        self._process.communicate()


def peers(in_turns: InTurns, options: BenchmarkOptions) -> Iterator[dict]:
    """Steps, passes and coding here and there, in turns, in float32 and in bfloat16."""
    peer = Peer(options.peer or "")
    try:
        for name in chosen((*_STEPS, *_PASSES, *_CODINGS), options):
            yield _compared(in_turns, options.rounds, peer, name)
    finally:
        peer.close()


def _compared(in_turns: InTurns, rounds: int, peer: Peer, name: str) -> dict:
    actions: dict[str, Callable[[], object]] = {"peer": partial(peer.do, name)}
    if name in _CODINGS:
        actions["ours"] = _coding(name)
    else:
        make = steps.training_step if name in _STEPS else steps.network_pass
        actions |= {"ours": make(name, "float32"), "ours_bfloat16": make(name, _NARROW)}
        actions["peer_bfloat16"] = partial(peer.do, f"{name}:bfloat16")
    seconds = in_turns(actions, rounds)
    row: dict = {"work": name, **{f"{who}_ms": 1e3 * time for who, time in seconds.items()}}
    row["ratio"] = seconds["peer"] / seconds["ours"]
    if "ours_bfloat16" in seconds:
        row["ratio_bfloat16"] = seconds["peer"] / seconds["ours_bfloat16"]
        row["ratio_both_bfloat16"] = seconds["peer_bfloat16"] / seconds["ours_bfloat16"]
    return row


def _coding(name: str) -> Callable[[], object]:
    codec: Codec = untrained(BMSHJ2018, 192)
    image = np.random.default_rng(0).integers(0, 256, (512, 768, 3), np.uint8)
    coded = codec.compress(image)
    if name.endswith("decode"):
        return partial(codec.decompress, coded)
    return partial(codec.compress, image)
