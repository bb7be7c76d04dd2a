"""The training loop with a toy task: resume, divergence, signals, tables, options."""

import csv
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf

from lossylab.core import checkpoints
from lossylab.core.errors import DivergedError, UsageError, WorkError
from lossylab.core.options import option, option_class
from lossylab.models.layers import precision
from lossylab.train.loop import fit as loop
from lossylab.train.loop.fit import LoopOptions, Stopped, Task, fit, is_chief
from lossylab.train.loop.optimizers import adam, gradients
from lossylab.train.loop.pace import Pace, duration
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


@option_class
class _BeginningOptions(LoopOptions):
    """Of a training that can begin with another run."""

    init_from: str | None = option(None, "Run to begin with.")


def _fit(task, folder, steps=20, kind=LoopOptions, **options):
    options = {"log_every": 5, "checkpoint_every": 5, "summary_every": 0, **options}
    run_dir = RunDir(str(folder))
    run_dir.open({"option": 1}, frozenset())
    try:
        fit(
            task,
            _numbers,
            kind(steps=steps, **options),
            tf.distribute.get_strategy(),
            run_dir,
        )
    finally:
        run_dir.close()


def _text(folder):
    return (folder / "metrics.csv").read_text()


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


class Scaled(Toy):
    """As float16 is trained: with a loss scale, which an overflow at step 3 halves."""

    def __init__(self):
        super().__init__()
        with precision.policy("mixed_float16"):
            self.adam = adam(0.1)

    def step(self, batch, step):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(self.weight - batch))
            large = loss * tf.where(step == 3, np.float32("inf"), 1.0)
        changes = gradients(tape, large, [self.weight], self.adam)
        self.adam.apply_gradients(zip(changes, [self.weight]))
        return {"loss": loss, "value": tf.identity(self.weight)}


def test_a_loss_scale_goes_on_where_it_was(tmp_path):
    straight, first, second = Scaled(), Scaled(), Scaled()
    before = float(straight.adam.loss_scale)
    _fit(straight, tmp_path / "a", 10)
    _fit(first, tmp_path / "b", 5)
    _fit(second, tmp_path / "b", 10)
    assert float(straight.adam.loss_scale) == float(second.adam.loss_scale) == before / 2
    assert _text(tmp_path / "a") == _text(tmp_path / "b")


def test_rows_are_means_over_the_steps_since_the_last(tmp_path):
    one, five = Toy(), Toy()
    _fit(one, tmp_path / "a", 10, log_every=1)
    _fit(five, tmp_path / "b", 10, log_every=5)
    single = [float(row["loss"]) for row in _rows(tmp_path / "a" / "metrics.csv")]
    grouped = [float(row["loss"]) for row in _rows(tmp_path / "b" / "metrics.csv")]
    np.testing.assert_allclose(grouped, [np.mean(single[:5]), np.mean(single[5:])], rtol=1e-4)


def test_other_events_end_no_row(tmp_path):
    """What a row has summed up so far is kept with a checkpoint."""
    single, straight, second = Toy(), Toy(), Toy()
    first = Toy(hook=lambda step: os.kill(os.getpid(), signal.SIGTERM) if step == 8 else None)
    every = {"log_every": 5, "checkpoint_every": 3, "validate_every": 4}
    _fit(single, tmp_path / "a", 12, log_every=1)
    _fit(straight, tmp_path / "b", 12, **every)
    rows = _rows(tmp_path / "b" / "metrics.csv")
    assert [row["step"] for row in rows] == ["5", "10", "12"]
    losses = [float(row["loss"]) for row in _rows(tmp_path / "a" / "metrics.csv")]
    means = [np.mean(losses[:5]), np.mean(losses[5:10]), np.mean(losses[10:])]
    np.testing.assert_allclose([float(row["loss"]) for row in rows], means, rtol=1e-4)
    with pytest.raises(Stopped):
        _fit(first, tmp_path / "c", 12, **every)
    assert checkpoints.newest(tmp_path / "c" / "checkpoints").endswith("ckpt-9")
    _fit(second, tmp_path / "c", 12, **every)
    assert _text(tmp_path / "b") == _text(tmp_path / "c")


def test_rows_end_where_a_phase_does(tmp_path):
    task = Toy()
    task.boundaries = (3,)
    _fit(task, tmp_path, 10)
    assert [row["step"] for row in _rows(tmp_path / "metrics.csv")] == ["3", "5", "10"]


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
    assert "new `run_dir` with a smaller `learning_rate`" in str(e.value)
    healed = Toy()
    _fit(healed, tmp_path)
    straight = Toy()
    _fit(straight, tmp_path / "straight")
    assert float(healed.weight) == float(straight.weight)


def test_divergence_offers_the_run_to_trainings_that_can_begin_with_one(tmp_path):
    with pytest.raises(DivergedError, match="with `init_from`=.* and a smaller `learning_rate`"):
        _fit(Toy(bad_step=13), tmp_path, kind=_BeginningOptions)


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
    assert "ckpt-8" in str(tf.train.latest_checkpoint(str(tmp_path / "a" / "checkpoints")))
    resumed, straight = Toy(), Toy()
    _fit(resumed, tmp_path / "a", log_every=4)
    _fit(straight, tmp_path / "b", log_every=4)
    assert float(resumed.weight) == float(straight.weight)


def test_a_stop_inside_a_row_loses_nothing_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(Pace, "begin", lambda self: 3)  # as if steps took three seconds
    kill = Toy(hook=lambda step: os.kill(os.getpid(), signal.SIGTERM) if step == 11 else None)
    with pytest.raises(Stopped):
        _fit(kill, tmp_path / "a", log_every=10, checkpoint_every=100)
    assert checkpoints.newest(tmp_path / "a" / "checkpoints").endswith("ckpt-13")
    monkeypatch.undo()
    resumed, straight = Toy(), Toy()
    _fit(resumed, tmp_path / "a", log_every=10, checkpoint_every=100)
    _fit(straight, tmp_path / "b", log_every=10, checkpoint_every=100)
    assert float(resumed.weight) == float(straight.weight)
    assert _text(tmp_path / "a") == _text(tmp_path / "b")


def test_calls_are_as_short_as_asked_and_the_rest_is_forecast():
    now = [0.0]
    pace = Pace(lambda: now[0])

    def call(seconds_a_step):
        steps = min(pace.begin(), 100)
        now[0] += steps * seconds_a_step
        pace.end(steps)
        return steps

    assert [call(60.0), pace.forecast(100)] == [1, ""]  # with tracing in it
    assert [call(0.5), call(0.5), call(4.0), call(30.0), call(0.01)] == [1, 20, 20, 2, 1]
    text = pace.forecast(86400 * 100)
    assert text.startswith("8640000 steps are left at 0.01 s each: about 1 d 0 h, until ")
    assert not pace.forecast(100)
    pace.retraced()
    assert call(1) == 1


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (61, "1 min 1 s"), (334 * 3600, "13 d 22 h")]
)
def test_durations_have_their_two_largest_units(seconds, text):
    assert duration(seconds) == text


@pytest.fixture
def hangups():
    """Hang-ups end programs, whatever started the tests."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def test_a_hangup_saves_unless_it_is_ignored(tmp_path, hangups):
    kill = Toy(hook=lambda step: os.kill(os.getpid(), signal.SIGHUP) if step == 7 else None)
    with pytest.raises(Stopped) as stopped:
        _fit(kill, tmp_path / "a", log_every=4)
    assert stopped.value.code == 128 + signal.SIGHUP
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    _fit(kill, tmp_path / "b", log_every=4)


def test_what_fails_in_a_step_is_saved_first(tmp_path, monkeypatch):
    monkeypatch.setattr(Pace, "begin", lambda self: 2)
    monkeypatch.setattr(loop, "LIMIT", 0)

    def fail(step):
        if step == 13:
            raise ValueError("no ffmpeg any more")

    with pytest.raises(WorkError, match="no ffmpeg any more; step 12 is saved: the same command"):
        _fit(Toy(hook=fail), tmp_path / "a", log_every=10, checkpoint_every=100)
    resumed, straight = Toy(), Toy()
    _fit(resumed, tmp_path / "a", log_every=10, checkpoint_every=100)
    _fit(straight, tmp_path / "b", log_every=10, checkpoint_every=100)
    assert float(resumed.weight) == float(straight.weight)
    assert _text(tmp_path / "a") == _text(tmp_path / "b")


def test_divergence_at_the_first_step_has_a_cure(tmp_path):
    with pytest.raises(DivergedError, match="the same command a smaller `learning_rate`"):
        _fit(Toy(bad_step=0), tmp_path)
    run = RunDir(str(tmp_path))
    run.open({"option": 2}, frozenset())  # other options: nothing was learned before
    run.close()
    _fit(Toy(), tmp_path, 5)
    straight = Toy()
    _fit(straight, tmp_path / "b", 5)
    assert _text(tmp_path) == _text(tmp_path / "b")


@pytest.mark.parametrize("name", ["a[b]c", "a\\b", "a*b", "a b"])
def test_names_that_look_like_patterns_resume_and_prune(name, tmp_path):
    folder = tmp_path / name
    _fit(Toy(), folder, 10, keep_checkpoints=1)
    task = Toy()
    _fit(task, folder, 20, keep_checkpoints=1)
    straight = Toy()
    _fit(straight, tmp_path / "straight", 20)
    assert float(task.weight) == float(straight.weight)
    files = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert files == ["checkpoint", "ckpt-20.data-00000-of-00001", "ckpt-20.index"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of 20 steps with checkpoints at 10, 15 and 20."""
    folder = tmp_path_factory.mktemp("finished")
    _fit(Toy(), folder, 20)
    return folder


@pytest.fixture
def run_copy(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


def _empty(path):
    path.write_bytes(b"")


def _cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def _flip(path):
    path.write_bytes(bytes([path.read_bytes()[0] ^ 255]) + path.read_bytes()[1:])


@pytest.mark.parametrize(
    ("file", "damage", "step"),
    [
        ("checkpoint", os.unlink, 20),
        pytest.param("checkpoint", _empty, 20, marks=pytest.mark.long),
        ("checkpoint", lambda path: path.write_bytes(b"\xff garbage"), 20),
        ("ckpt-20.index", os.unlink, 15),
        pytest.param("ckpt-20.index", _empty, 15, marks=pytest.mark.long),
        ("ckpt-20.index", _cut, 15),
        ("ckpt-20.data-00000-of-00001", os.unlink, 15),
        pytest.param("ckpt-20.data-00000-of-00001", _cut, 15, marks=pytest.mark.long),
        ("ckpt-20.data-00000-of-00001", _flip, 15),
    ],
)
def test_a_run_goes_on_from_the_newest_checkpoint_that_is_whole(
    file, damage, step, run_copy, caplog
):
    damage(run_copy / "checkpoints" / file)
    caplog.set_level("INFO", "lossylab")
    task = Toy()
    _fit(task, run_copy, 25, keep_checkpoints=1)
    assert f"resuming at step {step} from" in caplog.text
    straight = Toy()
    _fit(straight, run_copy.parent / "straight", 25)
    assert float(task.weight) == float(straight.weight)
    assert _text(run_copy) == _text(run_copy.parent / "straight")
    assert [path.name for path in (run_copy / "checkpoints").glob("*.index")] == ["ckpt-25.index"]


@pytest.mark.parametrize("step", ["\u00b2", "9" * 5000, "-5", "", "x"])
def test_rows_whose_step_is_no_number_are_none(step, tmp_path):
    (tmp_path / "metrics.csv").write_text(f"step,loss\n5,1\n{step},2\n")
    assert [row["step"] for row in Table.read(tmp_path / "metrics.csv")] == ["5"]


def test_rows_without_a_checkpoint_are_refused(run_copy):
    shutil.rmtree(run_copy / "checkpoints")
    before = _text(run_copy)
    with pytest.raises(UsageError, match="4 rows in metrics.csv, up to step 20, but no complete"):
        _fit(Toy(), run_copy, 25)
    assert _text(run_copy) == before


def test_checkpoints_that_are_all_damaged_are_refused(run_copy):
    for path in (run_copy / "checkpoints").glob("*.data*"):
        _cut(path)
    with pytest.raises(WorkError, match="no checkpoint in .* can be read"):
        _fit(Toy(), run_copy, 25)


@pytest.mark.parametrize("text", [None, "", "{", "[]", "null", "[" * 100_000])
def test_options_that_are_lost_or_damaged_are_refused(text, run_copy):
    path = run_copy / "options.json"
    path.unlink() if text is None else path.write_text(text)
    words = "is missing" if text is None else "is damaged or not readable"
    with pytest.raises(UsageError, match=rf"options.json {words}.*ckpt-20 was trained") as error:
        _fit(Toy(), run_copy, 25)
    assert "put it back, or choose another `run_dir`" in str(error.value)


@pytest.mark.parametrize("text", [b"5", b"[5]", b"{}", b"\xff", b""])
def test_a_damaged_environment_is_put_aside(text, run_copy):
    (run_copy / "environment.json").write_bytes(text)
    _fit(Toy(), run_copy, 20)
    assert len(json.loads((run_copy / "environment.json").read_text())) == 1
    assert (run_copy / "environment.json.damaged").read_bytes() == text


@pytest.mark.parametrize("text", [b"\xff\xfe", b"step,loss\n5,\xff\n", b"a,b\n1,2\n"])
def test_damaged_rows_are_refused_and_kept(text, run_copy):
    (run_copy / "metrics.csv").write_bytes(text)
    with pytest.raises(WorkError, match="metrics.csv is"):
        _fit(Toy(), run_copy, 25)
    assert (run_copy / "metrics.csv").read_bytes() == text


@pytest.mark.parametrize(
    "name", ["options.json", "metrics.csv", "validation.csv", "environment.json", "lock"]
)
def test_a_folder_of_somebody_else_is_left_alone(name, tmp_path):
    (tmp_path / name).write_text('{"mine": 1}')
    with pytest.raises(UsageError, match=f"has {name} but is no training's folder"):
        _fit(Toy(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == '{"mine": 1}'


def test_what_killed_processes_left_is_removed(run_copy):
    rests = ["checkpoints/ckpt-25_temp/part-0", "checkpoints/ckpt-25.index.tempstate123"]
    for name in [*rests, ".lossylab-0123456789ab.json", "checkpoints/ckpt-5.data-00000-of-00001"]:
        (run_copy / name).parent.mkdir(exist_ok=True)
        (run_copy / name).write_bytes(b"x")
    _fit(Toy(), run_copy, 25)
    names = sorted(path.name for path in (run_copy / "checkpoints").iterdir())
    assert [name for name in names if not name.endswith(("index", "00001"))] == ["checkpoint"]
    assert not [name for name in names if name.startswith("ckpt-5.")]
    assert not list(run_copy.glob(".lossylab-*"))


def test_a_killed_process_loses_what_it_had_not_saved_and_nothing_else(tmp_path):
    """Killed between checkpoints, after rows that are written again."""
    script = (
        "import os, pathlib, signal, sys, test_loop\n"
        "kill = lambda step: os.kill(os.getpid(), signal.SIGKILL) if step == 13 else None\n"
        "test_loop._fit(test_loop.Toy(hook=kill), pathlib.Path(sys.argv[1]), log_every=2)\n"
    )
    here = {**os.environ, "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a")], env=here, stderr=subprocess.DEVNULL
    )
    assert done.returncode == -signal.SIGKILL
    assert tf.train.latest_checkpoint(str(tmp_path / "a" / "checkpoints")).endswith("ckpt-10")
    assert _rows(tmp_path / "a" / "metrics.csv")[-1]["step"] == "12"
    resumed, straight = Toy(), Toy()
    _fit(resumed, tmp_path / "a", log_every=2)
    _fit(straight, tmp_path / "b", log_every=2)
    assert float(resumed.weight) == float(straight.weight)
    one, other = (tmp_path / name / "metrics.csv" for name in "ab")
    assert one.read_text() == other.read_text()


def test_a_signal_in_the_last_call_is_not_lost(tmp_path):
    """What is finished is exported; a study must not go on."""
    kill = Toy(hook=lambda step: os.kill(os.getpid(), signal.SIGTERM) if step == 19 else None)
    with pytest.raises(Stopped) as stopped:
        _fit(kill, tmp_path, 20)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert kill.exported


def test_fewer_steps_than_are_done_are_refused(tmp_path):
    _fit(Toy(), tmp_path, 10)
    before = (tmp_path / "options.json").read_text()
    with pytest.raises(UsageError, match="has done 10 steps, `steps`=5 are fewer"):
        RunDir(str(tmp_path)).open({"option": 1, "steps": 5}, frozenset({"steps"}))
    assert (tmp_path / "options.json").read_text() == before
    run_dir = RunDir(str(tmp_path))
    run_dir.open({"option": 1, "steps": 10}, frozenset({"steps"}))
    run_dir.close()


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


@pytest.mark.parametrize("step", [10, 20])
def test_a_validation_that_a_kill_prevented_is_made_up_for(step, tmp_path, monkeypatch):
    straight, killed, resumed = Toy(), Toy(), Toy()
    _fit(straight, tmp_path / "a", 20, validate_every=10)
    monkeypatch.setattr(killed, "validate", lambda: _raise_at(killed, step))
    with pytest.raises(KeyboardInterrupt):
        _fit(killed, tmp_path / "b", 20, validate_every=10)
    _fit(resumed, tmp_path / "b", 20, validate_every=10)
    assert _rows(tmp_path / "a" / "validation.csv") == _rows(tmp_path / "b" / "validation.csv")
    _fit(Toy(hook=lambda step: pytest.fail("trained")), tmp_path / "b", 20, validate_every=10)
    assert len(_rows(tmp_path / "b" / "validation.csv")) == 2


def _raise_at(task, step):
    if task.adam.iterations == step:
        raise KeyboardInterrupt
    return Toy.validate(task)


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
    _fit(Toy(), tmp_path, 20, keep_checkpoints=2)
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
    for suffix in ("index", "data-00000-of-00001"):
        (path / "checkpoints" / f"ckpt-1.{suffix}").write_bytes(b"x")


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
    with pytest.raises(WorkError, match="ckpt-5 cannot be resumed: was it trained on"):
        _fit(other, tmp_path, 10)


def test_resuming_with_other_options_names_them(tmp_path):
    run = RunDir(str(tmp_path))
    run.open(
        {"metric": "mse", "lmbda": 0.1, "keep_checkpoints": 3}, frozenset({"keep_checkpoints"})
    )
    run.close()
    _pretend_progress(tmp_path)
    with pytest.raises(UsageError) as error:
        run.open(
            {"metric": "vmaf", "lmbda": 0.1, "keep_checkpoints": 5, "new": 1},
            frozenset({"keep_checkpoints"}),
        )
    run.close()
    assert "`metric` was 'mse', is 'vmaf'; `new` was None, is 1." in str(error.value)
    assert "lmbda" not in str(error.value)
    assert json.loads((tmp_path / "options.json").read_text())["metric"] == "mse"
    run.open(
        {"metric": "mse", "lmbda": 0.1, "keep_checkpoints": 5}, frozenset({"keep_checkpoints"})
    )
    run.close()


def test_damaged_options_are_refused(tmp_path):
    (tmp_path / "options.json").write_text("{")
    _pretend_progress(tmp_path)
    with pytest.raises(UsageError, match="options.json is damaged"):
        RunDir(str(tmp_path)).open({}, frozenset())


def test_a_run_waits_for_who_only_looks_whether_it_is_in_use(tmp_path):
    looking = open(tmp_path / "lock", "a")  # noqa: SIM115 - closed by the timer
    fcntl.flock(looking, fcntl.LOCK_EX)
    threading.Timer(0.2, looking.close).start()
    run = RunDir(str(tmp_path))
    run.open({}, frozenset())
    run.close()


def test_two_processes_cannot_share_a_run(tmp_path):
    one, two = RunDir(str(tmp_path)), RunDir(str(tmp_path))
    one.open({}, frozenset())
    with pytest.raises(UsageError, match="another process is training in"):
        two.open({}, frozenset())
    one.close()
    two.open({}, frozenset())
    two.close()
