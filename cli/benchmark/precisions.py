"""Sections of the benchmark about narrow types and GPUs."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator

import tensorflow as tf

from lossylab.cli.benchmark import steps
from lossylab.cli.benchmark.timing import InTurns
from lossylab.cli.options.installation import BenchmarkOptions
from lossylab.models.layers import precision

_POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")
_MIXED = ("bls2017_128", "bls2017_192", "bmshj2018_192", "wcdgan", "jpeg_encoder")
_PASSES = ("wcdgan_rgb", "dncnn3")


def chosen(names: Iterable[str], options: BenchmarkOptions) -> list[str]:
    """Those that the options ask for."""
    return [name for name in names if not options.works or name in options.works]


def machine() -> str:
    """Processor and GPUs that a row is measured on."""
    gpus = tf.config.list_physical_devices("GPU")
    names = [
        tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus
    ]
    return f"{os.cpu_count()} {platform.machine()} cores, {', '.join(names) or 'no GPU'}"


def gpu(in_turns: InTurns, options: BenchmarkOptions) -> Iterator[dict]:
    """All trainings in three precisions, with and without XLA."""
    yield {"machine": machine()}
    for name in chosen(steps.TRAININGS, options):
        tried = list(steps.variants(name, _POLICIES))
        actions: dict[str, Callable[[], object]] = {
            str(i): step for i, (_, step) in enumerate(tried) if callable(step)
        }
        seconds = in_turns(actions, options.rounds)
        for i, (row, step) in enumerate(tried):
            if str(i) in seconds:
                found = {
                    "steps_per_second": 1 / seconds[str(i)],
                    "ratio": seconds["0"] / seconds[str(i)] if "0" in seconds else float("nan"),
                }
            else:
                found = {"not_possible": step}
            yield {**row, **found}


def mixed(in_turns: InTurns, options: BenchmarkOptions) -> Iterator[dict]:
    """Training steps and passes in the fastest narrow type against float32, in turns."""
    narrow = precision.fastest()
    narrow = "mixed_bfloat16" if narrow == "float32" else narrow
    for make, names in ((steps.training_step, _MIXED), (steps.network_pass, _PASSES)):
        for name in chosen(names, options):
            actions: dict[str, Callable[[], object]] = {
                policy: make(name, policy) for policy in ("float32", narrow)
            }
            seconds = in_turns(actions, options.rounds)
            yield {
                "work": name,
                "float32_ms": seconds["float32"] * 1e3,
                f"{narrow}_ms": seconds[narrow] * 1e3,
                "ratio": seconds["float32"] / seconds[narrow],
            }
