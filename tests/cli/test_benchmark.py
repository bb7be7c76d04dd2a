"""The benchmark's sections run, and say what they should; how fast is not tested."""

import json
import math
import shlex
import sys

import pytest
import tensorflow as tf

from lossylab.cli import __main__ as cli
from lossylab.cli.benchmark import __main__ as benchmark
from lossylab.cli.benchmark import profiles, steps
from lossylab.core.errors import UsageError, WorkError
from lossylab.train.proxiqa import ProxIQATask

_TINY = {"metric": "mse", "filters": 4, "patch": 32, "batch": 1}
_PEER = """
for name in iter(input, "stop"):
    print("done" if name.startswith("dncnn3") else "no", flush=True)
"""


@pytest.fixture
def tiny(monkeypatch):
    """Trainings and networks so small that all is compiled in seconds."""
    make, kind, _ = steps.TRAININGS["bls2017_128"]
    monkeypatch.setattr(steps, "TRAININGS", {"bls2017_128": (make, kind, _TINY)})
    small = {"layers": 2, "batch_normalization": False, "filters": 4}
    monkeypatch.setattr(steps, "PASSES", {"dncnn3": ("dncnn", 1, small)})
    monkeypatch.setattr(steps, "_SIZE", (32, 48))
    monkeypatch.setattr(profiles, "_SIDE", 1024)


def _rows(capsys, *words):
    cli.main(["benchmark", "--json", "--rounds=3", *words])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.long
def test_steps_are_the_trainings_own(capsys, monkeypatch):
    """Of each codec its own weights move, tfc's among them."""
    monkeypatch.setattr(benchmark, "_BATCH", 2)
    monkeypatch.setattr(benchmark, "_PATCH", 32)
    moved = []
    change = ProxIQATask.change

    def seen(task, learned):
        moved.append((type(task.codec).__name__, len(learned["codec"])))
        return change(task, learned)

    monkeypatch.setattr(ProxIQATask, "change", seen)
    bls, bmshj = _rows(capsys, "--sections=step", "--filters=4")
    assert (bls["codec"], bmshj["codec"]) == ("bls2017", "bmshj2018")
    ratio = bls["steps_per_second"] / bls["tfc_steps_per_second"]
    assert bls["ratio"] == pytest.approx(ratio)
    assert {name for name, _ in moved} == {"BLS2017", "_TfcBLS", "BMSHJ2018"}
    assert all(count > 0 for _, count in moved)


@pytest.mark.long
def test_the_section_for_gpus_runs_without_one(tiny, capsys):
    machine, *rows = _rows(capsys, "--sections=gpu")
    assert "no GPU" in machine["machine"]
    assert [(row["precision"], row["jit"]) for row in rows] == [
        (policy, jit)
        for policy in ("float32", "mixed_bfloat16", "mixed_float16")
        for jit in (False, True)
    ]
    assert rows[0]["ratio"] == 1
    assert all(row["steps_per_second"] > 0 for row in rows if "not_possible" not in row)


@pytest.mark.long
def test_narrow_types_are_compared_and_profiled(tiny, capsys):
    rows = _rows(capsys, "--sections=mixed,profiles", "--works=bls2017_128,dncnn3")
    mixed = [row for row in rows if row["section"] == "mixed"]
    assert [row["work"] for row in mixed] == ["bls2017_128", "dncnn3"]
    works = [row for row in rows if "share_of_limit" in row]
    assert [row["work"] for row in works] == ["bls2017_128"] * 2 + ["dncnn3"] * 2
    assert all(0 < row["share_of_limit"] < math.inf for row in works)
    assert any("Conv2D" in kind for kind in works[-1])


def test_operations_are_counted():
    kernel = tf.Variable(tf.ones((3, 3, 4, 5)))

    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.nn.conv2d(x, kernel, 2, "SAME")
            loss = tf.reduce_sum(tf.matmul(y, tf.ones((5, 7))) ** 2)
        return tf.add_n([tf.reduce_sum(each) for each in tape.gradient(loss, [x, kernel])])

    once = 2 * 8 * 6 * 9 * 4 * 5, 2 * 8 * 6 * 5 * 7
    work = steps.Timed(step, tf.ones((1, 16, 12, 4)))
    assert profiles.operations(work.graph) == 3 * once[0] + 2 * once[1]


def test_another_program_is_timed_in_turns(tiny, capsys):
    program = f"{sys.executable} -c {shlex.quote(_PEER)}"
    (row,) = _rows(capsys, "--sections=peers", "--works=dncnn3", f"--peer={program}")
    assert row["ratio"] == pytest.approx(row["peer_ms"] / row["ours_ms"])
    assert row["ratio_both_bfloat16"] > 0
    with pytest.raises(WorkError, match="it did not do 'bls2017_128'"):
        _rows(capsys, "--sections=peers", "--works=bls2017_128", f"--peer={program}")
    with pytest.raises(UsageError, match="goes with the section peers"):
        _rows(capsys, "--sections=step", f"--peer={program}")
