"""train.rankiqa and data.ratings on tiny budgets."""

import collections
import json
import pathlib

import numpy as np
import pytest
import run_files
import tensorflow as tf
from PIL import Image

from lossylab.cli import __main__ as cli
from lossylab.core import flags as core_flags
from lossylab.core.errors import CollectionError, UsageError
from lossylab.data.collections import find_images
from lossylab.data.patches import CropOptions
from lossylab.data.ratings import Rated, rated_crops, read_ratings, split
from lossylab.data.schedule import Schedule
from lossylab.inference.export.rankiqa import Scorer
from lossylab.losses import rankiqa as losses
from lossylab.models import rankiqa as rankiqa_model
from lossylab.models.rankiqa import RankIQA
from lossylab.train import rankiqa
from lossylab.train.loop.strategy import make_strategy
from lossylab.train.options import rankiqa as rankiqa_options
from lossylab.train.options.rankiqa import RankiqaOptions
from lossylab.train.session import Files

_TINY = [
    *("--patch=32", "--steps=4", "--filters=2", "--units=8", "--weights=random"),
    *("--log_every=1", "--summary_every=0", "--noexport", "--checkpoint_every=2"),
    "--cache_mb=64",
]
_RANK = ["--batch=24"]
_TUNE = ["--phase=finetune", "--batch=4"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, images):
    """Six small images of three scenes, and their ratings."""
    place = tmp_path_factory.mktemp("rated")
    lines = ["image,score,reference"]
    for index, image in enumerate(images):
        for half in (0, 1):
            name = f"{index}{half}.png"
            Image.fromarray(image[:64, 80 * half : 80 * half + 80]).save(place / name)
            lines.append(f"{name},{20 * index + half},scene{index}")
    (place / "scores.csv").write_text("\n".join(lines) + "\n")
    return place


def _train(folder, run, phase, *extra):
    flags = [f"--train_data={folder}", f"--run_dir={run}"]
    flags += [f"--scores={folder / 'scores.csv'}"] if phase is _TUNE else []
    cli.main(["train", "rankiqa", *flags, *_TINY, *phase, *extra])
    return run


@pytest.fixture
def train(tmp_path, folder):
    """Trains in a folder of the test by its name; gives the run's folder."""
    return lambda name, *flags: _train(folder, tmp_path / name, *flags)


_TWO_STEPS = ["--steps=2", "--checkpoint_every=1", "--export"]


@pytest.fixture(scope="module")
def ranked(folder, tmp_path_factory):
    """A run of two steps by rankings."""
    return _train(folder, tmp_path_factory.mktemp("ranked") / "run", _RANK, *_TWO_STEPS)


@pytest.fixture(scope="module")
def tuned(folder, tmp_path_factory):
    """A run of two steps by ratings, with a validation at the end."""
    flags = ["--validate_every=2", "--validation_crops=2"]
    return _train(folder, tmp_path_factory.mktemp("tuned") / "run", _TUNE, *_TWO_STEPS, *flags)


_PHASES = pytest.mark.parametrize(
    ("phase", "name"), [(_RANK, "ranked"), (_TUNE, "tuned")], ids=["rank", "finetune"]
)


def _flags(*arguments):
    return core_flags.parse(RankiqaOptions, ["--train_data=x", "--run_dir=y", *arguments])


def _task(options):
    return rankiqa.RankIQATask(options, Files([], []), None)


def test_defaults_are_the_authors():
    flags = _flags()
    found = (flags.steps, flags.batch, flags.learning_rate, flags.decay, flags.decay_every)
    assert found == (50_000, 48, 1e-5, 0.1, 10_000)
    assert (flags.patch, flags.filters, flags.units) == (224, 64, 4096)
    assert (flags.margin, flags.weight_decay, flags.dropout) == (10, 5e-4, 0.5)
    assert (flags.weights, flags.optimizer) == ("imagenet", "sgd")
    flags = _flags("--phase=finetune", "--scores=s.csv")
    found = (flags.steps, flags.batch, flags.learning_rate, flags.decay, flags.decay_every)
    assert found == (20_000, 30, 1e-6, 0.5, 5000)
    assert _flags("--phase=finetune", "--scores=s.csv", "--steps=50000").steps == 50_000
    assert _flags().steps == 50_000


@_PHASES
def test_resuming_is_exact(phase, name, train, tmp_path, request):
    whole = request.getfixturevalue(name)
    run_files.cut(whole, tmp_path / "parts", 1)
    run_files.assert_equal(whole, train("parts", phase, "--steps=2"))


@_PHASES
def test_runs_are_exported_with_their_options(phase, name, images, request):
    run = request.getfixturevalue(name)
    assert len(run_files.rows(run)) == 2
    model = Scorer(str(run / "export"))
    assert (model.options["filters"], model.options["batch"]) == (2, 24 if phase is _RANK else 4)
    assert model.patch == 32
    assert np.isfinite(list(model.table2(images[0], crops=3).values())).all()


@pytest.mark.long
def test_ranking_learns_to_order(train):
    flags = ["--steps=120", "--checkpoint_every=99", "--optimizer=adam", "--learning_rate=3e-3"]
    run = train("run", _RANK, *flags, "--dropout=0", "--margin=1", "--filters=4", "--units=16")
    rows = run_files.rows(run)
    late = np.mean([row["loss"] for row in rows[-10:]])
    assert late < 0.8 * 60 / 24  # without any order each of the 60 pairs costs the margin
    assert np.mean([row["ordered"] for row in rows[-10:]]) > 0.6


def _stepped(crops, *flags):
    """Variables of a task before and after two steps on the same crops."""
    tf.random.set_seed(1)
    task = _task(_flags(*_TINY, *_RANK, "--dropout=0", *flags))
    task.checkpointed()
    states = [[v.numpy() for v in task.network.trainable_variables]]
    for step in range(2):
        task.step(crops, tf.constant(step, tf.int64))
        states.append([v.numpy() for v in task.network.trainable_variables])
    return task, states


def test_steps_are_caffes(random):
    """Momentum SGD with weight decay; larger rates for biases and the last layer."""
    rate, decay = 1e-3, 0.5
    crops = tf.constant(random.integers(0, 256, (24, 32, 32, 3)), tf.float32)
    flags = [f"--learning_rate={rate}", "--margin=1000"]  # at which the loss is linear
    task, (before, one, two) = _stepped(crops, *flags, "--weight_decay=0")
    _, (same, decayed, _) = _stepped(crops, *flags, f"--weight_decay={decay}")
    network = RankIQA(2, 8, 32, "random")
    for variable, value in zip(network.trainable_variables, before):
        variable.assign(value)
    slopes = []
    for values in (before, one):
        for variable, value in zip(network.trainable_variables, values):
            variable.assign(value)
        with tf.GradientTape() as tape:
            loss = losses.ranking_hinge(network(tf.cast(crops, tf.float32)), margin=1000.0)
        slopes.append(tape.gradient(loss, network.trainable_variables))
    for index, variable in enumerate(task.network.trainable_variables):
        is_bias = variable.shape.rank == 1
        is_last = variable.shape.as_list() in ([8, 1], [1])
        factor = (10 if is_last else 1) * (2 if is_bias else 1)
        first, second = (rate * factor * slope[index].numpy() for slope in slopes)
        scale = 1e-3 * np.abs(first).max() + 1e-7
        np.testing.assert_allclose(one[index], before[index] - first, atol=scale)
        expected = one[index] - second - 0.9 * first
        np.testing.assert_allclose(two[index], expected, atol=10 * scale)
        np.testing.assert_array_equal(same[index], before[index])
        shrunk = 0 if is_bias else rate * factor * decay * before[index]
        np.testing.assert_allclose(decayed[index], one[index] - shrunk, atol=scale)


def test_some_images_can_be_taken_of_many(folder):
    names = {0: 6, 1: 1, 4: 4, 99: 6}
    for count, taken in names.items():
        options = _flags(*_TINY, *_RANK, f"--train_data={folder}", f"--images={count}")
        paths = rankiqa._chosen(Files.of(options), options).train
        assert len(set(paths)) == len(paths) == taken
        assert paths == sorted(paths)


def test_the_rate_falls_by_steps():
    optimizer = rankiqa._optimizer(_flags())
    rates = [float(optimizer.learning_rate(step)) for step in (0, 9999, 10_000, 25_000)]
    assert rates == pytest.approx([1e-5, 1e-5, 1e-6, 1e-7])


@pytest.mark.long
def test_fine_tuning_begins_with_all_but_the_last_layer(ranked, train):
    flags = ["--steps=1", "--learning_rate=0", f"--init_from={ranked}"]
    one = run_files.weights(ranked)
    tuned, again = (run_files.weights(train(*run, *flags)) for run in (("t", _TUNE), ("r", _RANK)))
    kernels = [n for n in one if "kernel" in n and "OPTIMIZER" not in n]
    for name in kernels:
        np.testing.assert_array_equal(one[name], again[name])
        assert np.array_equal(one[name], tuned[name]) == name.startswith("body/"), name


@pytest.mark.long
def test_fine_tuning_comes_near_the_ratings(train):
    flags = ["--steps=80", "--checkpoint_every=99", "--optimizer=adam", "--learning_rate=3e-3"]
    rows = run_files.rows(train("run", _TUNE, *flags, "--dropout=0"))
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]


def test_validations(tuned, train, folder):
    flags = ["--validate_every=2", "--validation_crops=2", "--steps=2"]
    run = train("ranked", _RANK, *flags, f"--validation_data={folder}")
    (row,) = run_files.rows(run, "validation.csv")
    assert {"blur_trained", "jpeg2000_held_out", "accuracy_trained", "srocc_held_out"} <= set(row)
    assert all(-1 <= value <= 1 for name, value in row.items() if name != "step")
    assert row["accuracy_trained"] == pytest.approx(
        np.mean([row[f"{n}_trained"] for n in ("blur", "noise", "jpeg", "jpeg2000")]), abs=1e-6
    )
    (row,) = run_files.rows(tuned, "validation.csv")
    assert set(row) == {"step", "srocc", "lcc", "rmse"}
    assert row["rmse"] > 0


def _shared_step(phase, parts, devices):
    """Losses and weights after a step in which each of two devices gets one of two parts.

    On one device the parts are two halves of the batch, whose gradients are averaged by hand.
    """
    flags = _flags(*_TINY, *phase, "--dropout=0", "--learning_rate=1e-2", *devices)
    strategy = make_strategy(flags)
    with strategy.scope():
        tf.random.set_seed(1)
        task = _task(flags)
        task.checkpointed()
    rows = strategy.experimental_distribute_values_from_function(
        lambda context: parts[context.replica_id_in_sync_group]
    )
    loss = strategy.run(lambda part: task.step(part, tf.constant(0, tf.int64))["loss"], (rows,))
    loss = strategy.reduce(tf.distribute.ReduceOp.SUM, loss, axis=None)
    return float(loss), [v.numpy() for v in task.network.trainable_variables]


_TWO = ["--strategy=mirrored", "--devices=CPU:0,CPU:1"]


def test_two_devices_learn_what_one_does_of_the_same_crops(random):
    """The loss of a rating is a mean over crops: one device has both parts in one."""
    crops = tf.constant(random.integers(0, 256, (4, 32, 32, 3)), tf.float32)
    targets = tf.constant([1.0, 5.0, -3.0, 2.0])
    tune = [*_TUNE, "--scores=s"]
    halves = [(crops[:2], targets[:2]), (crops[2:], targets[2:])]
    loss, weights = _shared_step(tune, halves, _TWO)
    whole_loss, whole = _shared_step(tune, [(crops, targets)], [])
    assert loss == pytest.approx(whole_loss, rel=1e-5)
    tf.random.set_seed(1)
    begun = _task(_flags(*_TINY, *tune)).network.trainable_variables
    for mine, other, before in zip(weights, whole, begun):
        moved = np.abs(other - before).max()
        assert moved > 0
        np.testing.assert_allclose(mine, other, atol=1e-3 * moved)


def test_two_devices_average_what_their_levels_teach(random):
    """Pairs are of one device: the loss is the mean of the parts', and so is the step."""
    groups = [tf.constant(random.integers(0, 256, (24, 32, 32, 3)), tf.float32) for _ in range(2)]
    rank = [*_RANK, "--batch=48", "--margin=1000"]
    loss, weights = _shared_step(rank, groups, _TWO)
    parts = [_shared_step([*rank, "--batch=24"], [part], []) for part in groups]
    assert loss == pytest.approx(np.mean([part[0] for part in parts]), rel=1e-5)
    assert parts[0][0] != parts[1][0]
    # Both begin with the same weights, so the mean of both ends is what the mean gradient gives.
    for mine, one, two in zip(weights, parts[0][1], parts[1][1]):
        expected = (one + two) / 2
        gap = np.abs(one - two).max()
        np.testing.assert_allclose(mine, expected, atol=1e-3 * gap + 1e-6)


@pytest.mark.long
def test_two_devices_run_through_the_loop(train):
    run = train("run", _RANK, *_TWO, "--batch=48", "--steps=2")
    assert [row["step"] for row in run_files.rows(run)] == [1, 2]


# Resuming.


def test_other_ratings_are_no_resumed_run(train, folder, tmp_path):
    """The file may lie elsewhere, but must say the same of the same images."""
    run = ["run", _TUNE, "--steps=1"]
    train(*run)
    text = (folder / "scores.csv").read_text()
    moved = tmp_path / "moved.csv"
    moved.write_text(text)
    again = ["run", _TUNE, "--steps=2", f"--scores={moved}", "--validation_crops=3"]
    train(*again)
    for old, new in ((",41,", ",42,"), (",41,scene2", ",41,other")):
        assert old in text
        moved.write_text(text.replace(old, new))
        with pytest.raises(UsageError, match="other options: `ratings` was '[0-9a-f]{16}', is"):
            train(*again)


@pytest.mark.long
def test_weights_are_read_by_runs_that_begin_only(train, monkeypatch):
    """A resumed run has them in its checkpoint: the file may be gone."""
    tiny = {"filters": 2, "units": 8, "patch": 32}  # as if it were VGG-16's
    for module in (rankiqa_options, rankiqa_model):
        monkeypatch.setattr(module, "RANKIQA_SIZES", tiny)

    def fill(application, weights, name, layers):
        assert weights == "vgg.h5"
        for kernel, bias in layers.values():
            kernel.assign(tf.fill(kernel.shape, 0.01))
            bias.assign(tf.ones(bias.shape))

    monkeypatch.setattr(rankiqa_model.applications, "fill", fill)
    flags = ["run", _RANK, "--weights=vgg.h5", "--learning_rate=0"]
    run = train(*flags, "--steps=1")
    found = run_files.weights(run)
    (name,) = [n for n in found if "layers/0/kernel" in n and "OPTIMIZER" not in n]
    np.testing.assert_array_equal(found[name], np.full((3, 3, 3, 2), 0.01, np.float32))
    monkeypatch.setattr(rankiqa_model.applications, "fill", lambda *_: pytest.fail("read again"))
    train(*flags, "--steps=2")
    np.testing.assert_array_equal(found[name], run_files.weights(run)[name])


# Ratings.


def test_no_reference_is_on_both_sides(folder):
    ratings = read_ratings(str(folder / "scores.csv"), find_images(str(folder)))
    assert [rated.score for rated in ratings] == [0, 1, 20, 21, 40, 41]
    tests = collections.Counter()
    for seed in range(20):
        train, test = split(ratings, 0.2, seed)
        assert sorted([*train, *test], key=lambda r: r.path) == ratings
        assert not {r.reference for r in train} & {r.reference for r in test}
        assert len({r.reference for r in test}) == 1
        assert (train, test) == split(ratings, 0.2, seed)
        tests[test[0].reference] += 1
    assert len(tests) == 3
    live = [Rated(str(i), i, f"r{i % 29}") for i in range(982)]
    assert len({r.reference for r in split(live, 0.2, 1)[1]}) == 6


def test_crops_come_with_their_ratings(folder):
    ratings = read_ratings(str(folder / "scores.csv"), find_images(str(folder)))
    by_score = {r.score: np.array(Image.open(r.path)) for r in ratings}
    data = rated_crops(ratings, CropOptions(64, 64), Schedule(6, 1))
    ((crops, scores),) = data.take(1)
    assert sorted(scores.numpy()) == sorted(by_score)
    for crop, score in zip(crops.numpy(), scores.numpy()):
        whole = by_score[float(score)]
        places = [whole[:, left : left + 64] for left in range(17)]
        assert any(np.array_equal(crop, place) for place in places)
    (later,) = rated_crops(ratings, CropOptions(64, 64), Schedule(6, 1, 3)).take(1)
    np.testing.assert_array_equal(later[0], list(data.take(4))[3][0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,score\n00.png,1\n", "line 1: expected the columns image, score .*; image miss"),
        ("", "image and score missing"),
        ("image,score\n", "has no ratings"),
        ("image,score\nx.png,1\n", "line 2: image 'x.png' is 0 times among the 6"),
        ("image,score\n00.png,1\n00.png,2\n", "line 3: image '00.png' is rated a second time"),
        ("image,score\n00.png,good\n", "line 2: score 'good' is no number"),
        ("image,score\n00.png,inf\n", "line 2: score 'inf' is no number"),
        ("image,score\n00.png\n", "line 2: score '' is no number"),
        ("image,score\n00.png,1\n", "1 reference cannot be split"),
        ("image,score\n00.png,1,2,3\n", "line 2: expected 2 fields, got 4; quote names"),
        ('image,score\n"00.png\n01.png,1",2\n', "line 3: the image has a line break; is a quo"),
        ('image,score,reference\n00.png,1,"a\rb"\n', "the reference has a line break"),
        ('image,score\n"00.png"x,1\n', "is no CSV file: .* expected after"),
        ('image,score\n"00.png,1\n', "is no CSV file: unexpected end of data"),
    ],
)
def test_bad_ratings(text, message, folder, tmp_path):
    (tmp_path / "scores.csv").write_text(text)
    with pytest.raises(CollectionError, match=message):
        split(read_ratings(str(tmp_path / "scores.csv"), find_images(str(folder))), 0.2, 1)
    with pytest.raises(CollectionError, match="cannot read the ratings nowhere.csv"):
        read_ratings("nowhere.csv", [])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--batch=20"], "--batch: a batch of 20 crops a device is no multiple of 24"),
        (["--patch=16"], "--patch must be at least 32, got 16"),
        (["--weights=imagenet"], "--weights=imagenet fit .* only, got .* use --weights=random"),
        (["--phase=finetune"], "--phase=finetune needs --scores"),
        (["--scores=s.csv"], "--scores goes with --phase=finetune"),
        (["--phase=finetune", "--scores=s", "--validation_data=x"], "has the images to test"),
        (
            ["--phase=finetune", "--scores=s", "--test_share=1"],
            "--test_share=1.0 must be below 1",
        ),
        (["--phase=finetune", "--scores=s", "--images=3"], "--images goes with --phase=rank"),
        (["--decay=0"], "--decay=0.0 must be above 0"),
        (["--dropout=1"], "--dropout=1.0 must be below 1"),
        (["--init_from=nowhere"], "--init_from: no checkpoint in nowhere"),
        (["--patch=90"], "images are smaller than the patch of 90x90 pixels"),
        (["stray"], "unexpected arguments: stray"),
    ],
)
def test_bad_usage(flags, message, train, tmp_path):
    with pytest.raises((UsageError, ValueError), match=message):
        train("run", _RANK, *flags)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_weights_that_are_not_there_are_refused(folder, tmp_path):
    flags = [f"--train_data={folder}", f"--run_dir={tmp_path / 'run'}", "--weights=nowhere.h5"]
    task = _task(_flags(*flags))
    with pytest.raises(UsageError, match="weights 'nowhere.h5' of rankiqa: no such file"):
        task.begin()


def test_the_small_budget_is_a_reduced_network():
    path = pathlib.Path(rankiqa.__file__).parent / "flags" / "rankiqa_small.flags"
    options = core_flags.parse(RankiqaOptions, [f"--flagfile={path}", "--run_dir=r"])
    assert options.weights == "random"
    assert options.filters < 64


def test_a_run_that_is_fine_tuned_tells_what_it_was_given(tuned):
    options = json.loads((tuned / "options.json").read_text())
    assert options["validation_data"] is None
    assert options["scores"].endswith("scores.csv")
    assert (options["decay_every"], options["decay"]) == (5000, 0.5)
