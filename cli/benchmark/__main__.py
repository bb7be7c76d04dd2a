"""Measures speed and memory; prints a table, or JSON."""

from __future__ import annotations

import itertools
import json
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import tensorflow as tf

from lossylab.cli.benchmark import generators as benchmark_generators
from lossylab.cli.benchmark import jpeg as benchmark_jpeg
from lossylab.cli.benchmark import restoration as benchmark_restoration
from lossylab.cli.benchmark.peers import peers
from lossylab.cli.benchmark.precisions import gpu, mixed
from lossylab.cli.benchmark.profiles import profiles
from lossylab.cli.benchmark.untrained import untrained
from lossylab.cli.options.installation import SECTIONS, BenchmarkOptions
from lossylab.core import command
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.data.patches import PatchOptions, check_sizes, random_patches
from lossylab.data.schedule import Schedule
from lossylab.models.bls2017 import BLS2017
from lossylab.models.bmshj2018 import BMSHJ2018
from lossylab.models.layers import precision
from lossylab.models.layers.compression import tfc
from lossylab.train.loop.oracle import Oracle
from lossylab.train.options.proxiqa import ProxiqaOptions
from lossylab.train.proxiqa import ProxIQATask
from lossylab.train.session import Files

_BATCH, _PATCH = 8, 128
_MANY_PATHS = 1_000_000
_MEMORY_STEPS = 2_000
_LONG = 3.0  # seconds of a turn


def benchmark(options: BenchmarkOptions) -> list[dict]:
    """Runs the sections; returns the rows that it prints."""
    rows = []
    for name in SECTIONS:
        if name in options.sections:
            work = _RUN.get(name) or partial(_WITH_OPTIONS[name], in_turns, options)
            given = (options.filters, options.rounds) if name in _RUN else ()
            for row in work(*given):
                rows.append({"section": name, **row})
                _print(rows[-1], options.json)
    return rows


def in_turns(actions: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each action, the actions taking turns after warm-up calls."""
    return {name: statistics.median(values) for name, values in samples(actions, rounds).items()}


def samples(actions: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """The seconds themselves, `rounds` of each action; one warm-up if that is long, else three."""
    turns: list[dict[str, float]] = []
    warm_ups = 3
    while len(turns) < rounds + warm_ups:
        turns.append({})
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            turns[-1][name] = time.perf_counter() - start
        if sum(turns[0].values()) > _LONG:
            warm_ups = 1
    return {name: [turn[name] for turn in turns[-rounds:]] for name in actions}


def _print(row: dict, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(row) + "\n")
    else:
        cells = [f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()]
        sys.stdout.write("  ".join(cells) + "\n")
    sys.stdout.flush()


def _step(filters: Sequence[int], rounds: int):
    """The BLS training step against the same on tfc's own layers, and the BMSHJ step."""
    image = tf.constant(
        np.random.default_rng(0).random((_BATCH, _PATCH, _PATCH, 3)) * 255, tf.float32
    )
    for n in filters:
        steps = {
            "ours": _training_step(image, "bls2017", n),
            "tfc": _training_step(image, "bls2017", n, codec=_TfcBLS(n)),
            "narrow": _training_step(image, "bls2017", n, "mixed_bfloat16"),
        }
        seconds = in_turns(steps, rounds)
        yield {
            "codec": BLS2017.model_id,
            "filters": n,
            "steps_per_second": 1 / seconds["ours"],
            "tfc_steps_per_second": 1 / seconds["tfc"],
            "ratio": seconds["tfc"] / seconds["ours"],
            "ratio_mixed_bfloat16": seconds["tfc"] / seconds["narrow"],
        }
        seconds = in_turns({"ours": _training_step(image, "bmshj2018", n)}, rounds)
        yield {
            "codec": BMSHJ2018.model_id,
            "filters": n,
            "steps_per_second": 1 / seconds["ours"],
        }


def _training_step(
    image: tf.Tensor, kind: str, n: int, policy: str = "float32", codec: tf.Module | None = None
) -> Callable[[], object]:
    """A step for MSE of `lossylab train proxiqa`, of another codec if one is given."""
    options = ProxiqaOptions(
        run_dir="none", train_data="none", metric="mse", codec=kind, filters=n, batch=_BATCH,
        patch=_PATCH, precision=policy,
    )  # fmt: skip
    with precision.policy(policy):
        task = ProxIQATask(options, Files([], []))
        if codec is not None:
            task.codec = codec
        task.checkpointed()
    return _stepper(tf.distribute.get_strategy(), task, image, 1)


class _TfcBLS(tf.Module):
    """The same codec on tfc's SignalConv2D, GDN and entropy model."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.filters = n

        def conv(filters, kernel_size, up, stride, activation=None, bias=True):
            return tfc.SignalConv2D(
                filters,
                (kernel_size, kernel_size),
                corr=not up,
                padding="same_zeros",
                use_bias=bias,
                activation=activation,
                **{"strides_up" if up else "strides_down": stride},
            )

        def gdn(inverse):
            return tfc.GDN(inverse=inverse, alpha_parameter=2, epsilon_parameter=0.5)

        self.analysis = tf.keras.Sequential(
            [
                conv(n, 9, False, 4, gdn(False)),
                conv(n, 5, False, 2, gdn(False)),
                conv(n, 5, False, 2, bias=False),
            ]
        )
        self.synthesis = tf.keras.Sequential(
            [conv(n, 5, True, 2, gdn(True)), conv(n, 5, True, 2, gdn(True)), conv(3, 9, True, 4)]
        )
        prior = tfc.NoisyDeepFactorized(batch_shape=(n,), num_filters=(3, 3, 3), init_scale=10)
        self.entropy_model = tfc.ContinuousBatchedEntropyModel(prior, 3, compression=False)
        self(tf.zeros((1, _PATCH, _PATCH, 3)))

    def noise_shapes(self, height, width):
        return ()  # tfc draws its own

    def __call__(self, image, noise=()):
        latent, bits = self.entropy_model(self.analysis(image / 255.0), training=True)
        return self.synthesis(latent) * 255.0, bits


def _oracle(filters: Sequence[int], rounds: int):
    """A VMAF training step with the oracle free, overlapped and sequential."""
    image = tf.constant(_sample_patches())
    strategy = tf.distribute.get_strategy()
    for n in filters:
        actions, tasks = {}, []
        for name in ("free", "overlapped", "sequential"):
            order = "sequential" if name == "free" else name
            options = ProxiqaOptions(run_dir="none", train_data="none", filters=n, oracle=order)
            task = ProxIQATask(options, Files([], []))
            task.checkpointed()
            if name == "free":
                task.close()
                task._oracle = Oracle(lambda a, b: np.full(len(a), 50.0, np.float32))
            tasks.append(task)
            actions[name] = _stepper(strategy, task, image)
        seconds = in_turns(actions, rounds)
        for task in tasks:
            task.close()
        yield {
            "filters": n,
            "free_ms": seconds["free"] * 1e3,
            "overlapped_ms": seconds["overlapped"] * 1e3,
            "sequential_ms": seconds["sequential"] * 1e3,
            "overlapped_extra_percent": (seconds["overlapped"] / seconds["free"] - 1) * 100,
            "sequential_extra_ms": (seconds["sequential"] - seconds["free"]) * 1e3,
        }


def _stepper(strategy, task, image, length=5):
    """Runs several steps a call, as training does, and returns when they are done."""
    count = tf.Variable(0, dtype=tf.int64)

    def one(step):
        with precision.policy(task.options.precision):
            return task.step(image, step)

    @tf.function
    def steps():
        total = 0.0
        for _ in tf.range(length):
            total += strategy.run(one, args=(count.read_value(),))["loss"]
            count.assign_add(1)
        return total

    return lambda: steps().numpy()


def _sample_patches() -> np.ndarray:
    data = random_patches(
        find_images("sample_train"), PatchOptions(_PATCH), Schedule(_BATCH, seed=1)
    )
    return next(iter(data)).numpy()


def _coding(filters: Sequence[int], rounds: int):
    """Coding a 768x512 image inside the process, model loaded."""
    image = read_image(find_images("sample_train")[-1])[:512, :768]
    for kind, n in itertools.product((BLS2017, BMSHJ2018), filters):
        codec = untrained(kind, n)
        encoded = codec.compress(image)
        seconds = in_turns(
            {
                "encode": partial(codec.compress, image),
                "decode": partial(codec.decompress, encoded),
            },
            rounds,
        )
        yield {
            "codec": kind.model_id,
            "filters": n,
            "image": f"{image.shape[1]}x{image.shape[0]}",
            "encode_ms": seconds["encode"] * 1e3,
            "decode_ms": seconds["decode"] * 1e3,
            "bpp_file": 8 * len(encoded.string) / image[..., 0].size,
        }


def _pipeline(filters: Sequence[int], rounds: int):
    """Batches per second, start on a million paths, and memory over many steps."""
    del filters
    paths = find_images("sample_train")
    options = PatchOptions(_PATCH, min_scale=0.5, noise=1.0)
    for name, cache in (("cached", 1024), ("decoding every image", 0)):
        batches = iter(
            random_patches(paths, PatchOptions(_PATCH, 0.5, 1.0, cache), Schedule(_BATCH, seed=1))
        )
        seconds = in_turns({"batch": partial(next, batches)}, 20 * rounds)
        yield {"images": name, "batches_per_second": 1 / seconds["batch"]}
        del batches
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(paths[i % len(paths)] for i in range(_MANY_PATHS)))
        file.flush()
        start = time.perf_counter()
        many = find_images(f"@{file.name}")
    check_sizes(many, _PATCH)
    batches = iter(random_patches(many, options, Schedule(_BATCH, seed=1)))
    next(batches)
    yield {"paths": _MANY_PATHS, "start_seconds": time.perf_counter() - start}
    for _ in range(_MEMORY_STEPS // 2):
        next(batches)
    before = _resident_mib()
    for _ in range(_MEMORY_STEPS):
        next(batches)
    yield {"steps": _MEMORY_STEPS, "memory_growth_mib": _resident_mib() - before}


def _resident_mib() -> float:
    if platform.system() != "Linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


_RUN = {
    "step": _step,
    "oracle": _oracle,
    "coding": _coding,
    "pipeline": _pipeline,
    "restoration": partial(benchmark_restoration.networks, in_turns),
    "pairs": partial(benchmark_restoration.pairs_of_patches, in_turns),
    "large": partial(benchmark_restoration.large, in_turns),
    "jpeg": partial(benchmark_jpeg.encoders, samples, partial(untrained, BLS2017)),
    "jpeg_training": partial(benchmark_jpeg.training, samples),
    "distortions": partial(benchmark_generators.distortions, in_turns),
    "latent": partial(benchmark_generators.latent, in_turns),
    "sampling": partial(benchmark_generators.sampling, in_turns),
}

_WITH_OPTIONS = {"gpu": gpu, "mixed": mixed, "profiles": profiles, "peers": peers}

if __name__ == "__main__":
    command.as_program(BenchmarkOptions, benchmark, "lossylab benchmark")
