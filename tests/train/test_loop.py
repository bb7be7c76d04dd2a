"""The training loop with a toy task: resume, divergence, signals, tables, options."""

import csv
import json
import os
import signal

import numpy as np
import pytest
import tensorflow as tf

from lossylab.core.errors import DivergedError, UsageError, WorkError
from lossylab.train.loop import fit as loop
from lossylab.train.loop.fit import LoopOptions, Stopped, Task, fit, is_chief
from lossylab.train.loop.run_dir import RunDir, Table


class Toy(Task):
    """Fits a number to the mean of the data; does what the test asks at one step."""

    metrics = ("loss", "value")

    def __init__(self, bad_step=-1, hook=None):
        self.weight = tf.Variable(1.0)
        self.adam = tf.keras.optimizers.legacy.Adam(0.1)
        self.bad_step, self.hook, self.exported, self.validated = bad_step, hook, [], []

    def checkpointed(self):
        self.adam._create_all_weights([self.weight])
        return {"weight": self.weight, "adam": self.adam}

    def step(self, batch, step):
        if self.hook is not None:
            tf.numpy_function(self.hook, [step], [])
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(self.weight - batch))
        self.adam.apply_gradients([(tape.gradient(loss, self.weight), self.weight)])
        poison = tf.where(step == self.bad_step, np.float32("nan"), 0.0)
        return {"loss": loss + poison, "value": tf.identity(self.weight)}

    def validate(self):
        self.validated.append(float(self.weight))
        return {"weight": float(self.weight)}

    def export(self, path):
        self.exported.append(path)

    def describe_batch(self, step):
        return f"batch {step}"


def _numbers(first_step, context):
    del context
    steps = tf.data.Dataset.range(first_step, 10**9)
    return steps.map(lambda n: tf.random.stateless_uniform((2,), tf.stack([n, 7])))


def _fit(task, folder, steps=20, **options):
    options = {"log_every": 5, "checkpoint_every": 5, "summary_every": 0, **options}
    run_dir = RunDir(str(folder))
    run_dir.open({"option": 1}, frozenset())
    try:
        fit(
            task,
            _numbers,
            LoopOptions(steps=steps, **options),
            tf.distribute.get_strategy(),
            run_dir,
        )
    finally:
        run_dir.close()


def _rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def test_resumed_equals_straight(tmp_path):
    straight, first, second = Toy(), Toy(), Toy()
    _fit(straight, tmp_path / "a", 20)
    _fit(first, tmp_path / "b", 10)
    _fit(second, tmp_path / "b", 20)
    assert float(straight.weight) == float(second.weight)
    for name in ("metrics.csv",):
        assert (tmp_path / "a" / name).read_text() == (tmp_path / "b" / name).read_text()


def test_rows_are_means_over_the_steps_since_the_last(tmp_path):
    one, five = Toy(), Toy()
    _fit(one, tmp_path / "a", 10, log_every=1)
    _fit(five, tmp_path / "b", 10, log_every=5)
    single = [float(row["loss"]) for row in _rows(tmp_path / "a" / "metrics.csv")]
    grouped = [float(row["loss"]) for row in _rows(tmp_path / "b" / "metrics.csv")]
    np.testing.assert_allclose(grouped, [np.mean(single[:5]), np.mean(single[5:])], rtol=1e-4)


def test_a_finished_run_is_not_trained_again(tmp_path):
    _fit(Toy(), tmp_path, 10)
    task = Toy(hook=lambda step: pytest.fail(f"step {step} ran"))
    _fit(task, tmp_path, 10)
    assert task.exported == [str(tmp_path / "export")]


def test_divergence_names_the_step_and_batch_and_keeps_the_last_good_checkpoint(tmp_path):
    with pytest.raises(
        DivergedError, match="step 13: the loss is not finite. Batch: batch 13"
    ) as e:
        _fit(Toy(bad_step=13), tmp_path)
    newest = tf.train.latest_checkpoint(str(tmp_path / "checkpoints"))
    assert newest.endswith("ckpt-10")
    assert newest in str(e.value)
    healed = Toy()
    _fit(healed, tmp_path)
    straight = Toy()
    _fit(straight, tmp_path / "straight")
    assert float(healed.weight) == float(straight.weight)


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    task = Toy()

    def poison(step):
        if step == 9:
            task.weight.assign(np.nan)

    task.hook = poison
    with pytest.raises(DivergedError, match="not finite"):
        _fit(task, tmp_path, log_every=5)
    assert tf.train.latest_checkpoint(str(tmp_path / "checkpoints")).endswith("ckpt-5")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_stops_and_the_run_resumes_exactly(number, tmp_path):
    kill = Toy(hook=lambda step: os.kill(os.getpid(), number) if step == 7 else None)
    with pytest.raises(Stopped) as stopped:
        _fit(kill, tmp_path / "a", log_every=4)
    assert stopped.value.code == 128 + number
    assert not kill.exported
    assert tf.train.latest_checkpoint(str(tmp_path / "a" / "checkpoints")).endswith("ckpt-8")
    resumed, straight = Toy(), Toy()
    _fit(resumed, tmp_path / "a", log_every=4)
    _fit(straight, tmp_path / "b", log_every=4)
    assert float(resumed.weight) == float(straight.weight)


def test_signal_handlers_are_given_back(tmp_path):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    _fit(Toy(), tmp_path, 5)
    assert before == (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))


def test_validation_happens_when_due(tmp_path):
    task = Toy()
    _fit(task, tmp_path, 20, validate_every=10)
    rows = _rows(tmp_path / "validation.csv")
    assert [row["step"] for row in rows] == ["10", "20"]
    np.testing.assert_allclose([float(row["weight"]) for row in rows], task.validated, rtol=1e-5)


@pytest.mark.parametrize("chief", [True, False])
def test_the_chief_alone_is_called_at_stops(chief, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "is_chief", lambda strategy: chief)
    task, seen, traced = Toy(), [], []
    task.stops = (3, 7, 20)
    task.at_stop = lambda step: seen.append((step, float(task.weight)))
    step_of_toy = task.step
    task.step = lambda *arguments: traced.append(1) or step_of_toy(*arguments)
    _fit(task, tmp_path / "a", 20)
    if not chief:
        assert not seen
        return
    assert [step for step, _ in seen] == [3, 7, 20]
    assert len(traced) == 1  # a stop is no phase: the graph stays
    straight = Toy()
    _fit(straight, tmp_path / "b", 7, log_every=7)
    assert seen[1][1] == float(straight.weight)
    _fit(task, tmp_path / "a", 20)
    assert len(seen) == 3


def test_only_the_newest_checkpoints_are_kept(tmp_path):
    _fit(Toy(), tmp_path, 20, keep=2)
    names = sorted(p.name for p in (tmp_path / "checkpoints").glob("*.index"))
    assert names == ["ckpt-15.index", "ckpt-20.index"]


def test_a_failing_pipeline_names_the_cause_not_the_graph(tmp_path):
    def broken(step):
        raise ValueError(f"image {step} is damaged")

    with pytest.raises(WorkError, match=r"near step \d: image 0 is damaged"):
        _fit(Toy(hook=broken), tmp_path)


def test_table_forgets_rows_after_the_resumed_step_and_half_written_ones(tmp_path):
    path = tmp_path / "metrics.csv"
    table = Table(path, 0)
    for step in (10, 20, 30):
        table.append(step, {"loss": step / 10})
    with open(path, "a") as file:
        file.write("40")
    Table(path, 20).append(25, {"loss": 2.5})
    assert path.read_text() == "step,loss\n10,1\n20,2\n25,2.5\n"
    Table(path, 0).append(5, {"loss": 1, "other": 2})
    assert path.read_text() == "step,loss,other\n5,1,2\n"


def test_a_run_explains_itself(tmp_path):
    _fit(Toy(), tmp_path, 5)
    assert json.loads((tmp_path / "options.json").read_text()) == {"option": 1}
    _fit(Toy(), tmp_path, 6)
    first, second = json.loads((tmp_path / "environment.json").read_text())
    assert first == second
    assert first["packages"]["tensorflow"] == "2.14.1"
    assert set(first) == {"command", "commit", "python", "machine", "packages", "ffmpeg"}


def _pretend_progress(path):
    (path / "checkpoints").mkdir()
    (path / "checkpoints" / "ckpt-1.index").touch()


def test_a_run_that_never_saved_takes_corrected_options(tmp_path):
    run = RunDir(str(tmp_path))
    for value in (1, 2):
        run.open({"lmbda": value}, frozenset())
        run.close()
    assert json.loads((tmp_path / "options.json").read_text()) == {"lmbda": 2}


class _Resolver:
    """What a strategy says of its cluster."""

    def __init__(self, cluster, task_type, task_id):
        self.task_type, self.task_id = task_type, task_id
        self._cluster = cluster

    def cluster_spec(self):
        return tf.train.ClusterSpec(self._cluster)


@pytest.mark.parametrize(
    ("cluster", "task", "chief"),
    [
        ({"worker": ["a:1", "b:1"]}, ("worker", 0), True),
        ({"worker": ["a:1", "b:1"]}, ("worker", 1), False),
        ({"chief": ["c:1"], "worker": ["a:1"]}, ("chief", 0), True),
        ({"chief": ["c:1"], "worker": ["a:1"]}, ("worker", 0), False),
    ],
)
def test_one_process_of_a_cluster_is_the_chief(cluster, task, chief):
    class Strategy:
        cluster_resolver = _Resolver(cluster, *task)

    assert is_chief(Strategy()) == chief


def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path):
    _fit(Toy(), tmp_path, 5)
    other = Toy()
    other.weight = tf.Variable([1.0, 2.0])
    with pytest.raises(WorkError, match="ckpt-5 cannot be resumed, is it damaged"):
        _fit(other, tmp_path, 10)


def test_resuming_with_other_options_names_them(tmp_path):
    run = RunDir(str(tmp_path))
    run.open({"metric": "mse", "lmbda": 0.1, "keep": 3}, frozenset({"keep"}))
    run.close()
    _pretend_progress(tmp_path)
    with pytest.raises(UsageError) as error:
        run.open({"metric": "vmaf", "lmbda": 0.1, "keep": 5, "new": 1}, frozenset({"keep"}))
    run.close()
    assert "`metric` was 'mse', is 'vmaf'; `new` was None, is 1." in str(error.value)
    assert "lmbda" not in str(error.value)
    assert json.loads((tmp_path / "options.json").read_text())["metric"] == "mse"
    run.open({"metric": "mse", "lmbda": 0.1, "keep": 5}, frozenset({"keep"}))
    run.close()


def test_damaged_options_are_refused(tmp_path):
    (tmp_path / "options.json").write_text("{")
    _pretend_progress(tmp_path)
    with pytest.raises(UsageError, match="options.json is damaged"):
        RunDir(str(tmp_path)).open({}, frozenset())


def test_two_processes_cannot_share_a_run(tmp_path):
    one, two = RunDir(str(tmp_path)), RunDir(str(tmp_path))
    one.open({}, frozenset())
    with pytest.raises(UsageError, match="another process is training in"):
        two.open({}, frozenset())
    one.close()
    two.open({}, frozenset())
    two.close()
