"""Section of the benchmark about where the time goes: operations, and the machine's limit."""

from __future__ import annotations

import collections
import glob
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from lossylab.cli.benchmark import steps
from lossylab.cli.benchmark.precisions import chosen
from lossylab.cli.benchmark.timing import InTurns
from lossylab.cli.options.installation import BenchmarkOptions

_POLICIES = ("float32", "mixed_bfloat16")
_SHOWN = 6  # kinds of operations
# Operations whose time is that of what they call.
_CALLS = frozenset(
    {"While", "StatelessWhile", "PartitionedCall", "StatefulPartitionedCall", "If", "StatelessIf"}
)
_SIDE, _CHANNELS = 4096, 128  # of the product and the convolution that show the limit


def profiles(in_turns: InTurns, options: BenchmarkOptions) -> Iterator[dict]:
    """Each training step and pass: share of the arithmetic limit, and of the operations."""
    limits = {}
    for policy in _POLICIES:
        dtype = tf.as_dtype(policy.removeprefix("mixed_"))
        limits[policy] = limit(in_turns, dtype, options.rounds)
        yield {"limit": policy, "gflops": limits[policy] / 1e9}
    passes = (*steps.PASSES, steps.STYLEGAN2)
    for name in chosen((*steps.TRAININGS, *passes), options):
        make = steps.network_pass if name in passes else steps.training_step
        for policy in _POLICIES:
            work = make(name, policy)
            (seconds,) = in_turns({name: work}, options.rounds).values()
            done = operations(work.graph)
            yield {
                "work": name,
                "precision": policy,
                "seconds": seconds,
                "gflop": done / 1e9,
                "share_of_limit": done / seconds / limits[policy],
                **shares(work),
            }


def limit(in_turns: InTurns, dtype: tf.DType, rounds: int) -> float:
    """Floating-point operations a second of a large matrix product or convolution, the faster."""
    matrix = tf.cast(tf.random.stateless_normal((_SIDE, _SIDE), (1, 2)), dtype)
    images = tf.reshape(matrix, (-1, 32, 32, _CHANNELS))
    kernel = tf.cast(tf.random.stateless_normal((3, 3, _CHANNELS, _CHANNELS), (3, 4)), dtype)
    product = steps.Timed(lambda x: tf.reduce_sum(tf.matmul(x, x)), matrix)
    filtered = steps.Timed(
        lambda x: tf.reduce_sum(tf.nn.conv2d(x, kernel, 1, "SAME")), images, keep=kernel
    )
    seconds = in_turns({"product": product, "filtered": filtered}, rounds)
    of_product = operations(product.graph) / seconds["product"]
    return max(of_product, operations(filtered.graph) / seconds["filtered"])


def operations(graph: tf.Graph) -> float:
    """Multiplications and additions of the convolutions and matrix products that a graph runs."""
    total = 0.0
    for op in _needed(graph):
        if op.type == "Conv2D":
            total += _products(op.inputs[1].shape, op.outputs[0].shape)
        elif op.type == "Conv2DBackpropInput":
            total += _products(_shape(op.inputs[1]), op.inputs[2].shape)
        elif op.type == "Conv2DBackpropFilter":
            total += _products(op.outputs[0].shape, op.inputs[2].shape)
        elif op.type in ("MatMul", "BatchMatMulV2"):
            turned = any(op.node_def.attr[name].b for name in ("transpose_a", "adj_x"))
            inner = op.inputs[0].shape[-2 if turned else -1]
            total += 2.0 * (inner or 0) * (op.outputs[0].shape.num_elements() or 0)
    for function in graph._functions.values():  # bodies of loops and custom gradients, once each
        total += operations(function.graph) if hasattr(function, "graph") else 0.0
    return total


def _needed(graph: tf.Graph) -> list[tf.Operation]:
    """Operations that outputs or effects depend on: gradients of frozen weights are not."""
    left = [*(tensor.op for tensor in graph.outputs), *graph.control_outputs]
    found: dict[str, tf.Operation] = {}
    while left:
        op = left.pop()
        if op.name not in found:
            found[op.name] = op
            left += [*(tensor.op for tensor in op.inputs), *op.control_inputs]
    return list(found.values())


def _shape(tensor: tf.Tensor) -> tf.TensorShape:
    return tf.TensorShape([*tensor.shape])


def _products(kernel: tf.TensorShape, wide: tf.TensorShape) -> float:
    """Operations of a convolution between its larger side and `wide`, its strided one."""
    if kernel.num_elements() is None or wide.num_elements() is None:
        return math.nan
    return 2.0 * kernel.num_elements() * wide.num_elements() / (wide[-1] or 1)


def shares(work: Callable[[], None]) -> dict[str, float]:
    """Shares of the kinds of operations in the time of all, the largest first."""
    found: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        work()
        time.sleep(0.01)  # seconds; threads of the pool report at their end
        tf.profiler.experimental.stop()
        (path,) = glob.glob(os.path.join(folder, "**", "*.xplane.pb"), recursive=True)
        space = xplane_pb2.XSpace()  # type: ignore[attr-defined]
        with open(path, "rb") as file:
            space.ParseFromString(file.read())
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                name, _, kind = plane.event_metadata[event.metadata_id].name.rpartition(":")
                ours = name and not name.endswith(":") and kind.isidentifier()
                if ours and kind not in _CALLS:
                    found[kind.removeprefix("_MklNative").removeprefix("_")] += event.duration_ps
    whole = sum(found.values()) or 1
    return {kind: duration / whole for kind, duration in found.most_common(_SHOWN)}
