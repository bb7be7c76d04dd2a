"""train.mmd_restoration and what is done with its exports, on tiny budgets."""

import csv
import io
import pathlib
import shutil

import numpy as np
import pytest
import run_files
import tensorflow as tf
from measured_rows import measured_by_two
from PIL import Image
from scipy.special import expit

from lossylab.cli import __main__ as cli
from lossylab.cli import sample
from lossylab.core import flags as core_flags
from lossylab.core import rows
from lossylab.core.errors import ExportError, ImageError, UsageError, WorkError
from lossylab.data.decode import read_image
from lossylab.data.jpeg import degrade
from lossylab.data.scaled_pairs import (
    DegradedOptions,
    centered_pairs,
    degraded_crops,
    degraded_pair,
)
from lossylab.data.schedule import Schedule
from lossylab.eval import degradation_nll, one_spread, schemas
from lossylab.eval.report import crop_grid
from lossylab.inference.export.degradation import Degradation, degraded_options
from lossylab.inference.export.rankiqa import Scorer
from lossylab.losses.pixelcnn import bits_per_dim, discretized_mixture_nll
from lossylab.models.pixelcnn import ConditionalPixelCNN
from lossylab.models.rankiqa import RankIQA
from lossylab.train import mmd_restoration
from lossylab.train.loop.optimizers import AdamInside, Decay
from lossylab.train.options.mmd_restoration import MmdRestorationOptions
from lossylab.train.session import Files

_TINY = [
    *("--train_data=sample_train", "--patch=8", "--max_patch=16", "--batch=2", "--factor=1"),
    *("--filters=3", "--blocks=1", "--mixtures=2", "--condition_filters=2", "--dilations=1"),
    *("--log_every=1", "--summary_every=0", "--checkpoint_every=2", "--cache_mb=64"),
    *("--steps=4", "--average=0.75"),
]


def _train(run_dir, *extra):
    cli.main(["train", "mmd_restoration", *_TINY, f"--run_dir={run_dir}", *extra])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of four steps with everything switched on."""
    path = tmp_path_factory.mktemp("degradation") / "run"
    checks = ["--validation_data=sample_test", "--validate_every=2", "--validation_size=24"]
    _train(path, *checks, "--export_at=2")
    return path


# Data.


@pytest.fixture
def files(tmp_path, images):
    """Three images as files."""
    paths = [str(tmp_path / f"{i}.png") for i in range(3)]
    for path, image in zip(paths, images):
        Image.fromarray(image).save(path)
    return paths


def test_images_are_degraded_whole_and_then_scaled(files, images):
    good, worse = degraded_pair(files[0], DegradedOptions(severity=5, factor=1))
    np.testing.assert_array_equal(good, images[0])
    np.testing.assert_array_equal(worse, degrade(images[0], 5))
    good, worse = degraded_pair(files[0], DegradedOptions(severity=5, factor=3))
    assert good.shape == worse.shape == (128 // 3, 160 // 3, 3)
    cut = images[0][:126, :159]
    blocks = cut.reshape(42, 3, 53, 3, 3).mean((1, 3))
    assert np.abs(good - blocks).mean() < 6  # bicubic is near the blocks' mean
    small = Image.fromarray(degrade(cut, 5)).resize((53, 42), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(worse, small)


def test_crops_are_pairs_of_one_place_and_of_the_steps_size(files):
    options = DegradedOptions(severity=5, factor=2, smallest=16, largest=32, grid=4)
    wholes = [np.concatenate(degraded_pair(path, options), -1) for path in files]
    sizes = set()
    for good, worse in degraded_crops(files, options, Schedule(2, seed=3)).take(8):
        sizes.add(good.shape[1:3])
        for crop in np.concatenate([good, worse], -1):
            side = len(crop)
            assert any(
                np.array_equal(crop, whole[y : y + side, x : x + side])
                for whole in wholes
                for y in range(0, len(whole) - side + 1, 4)
                for x in range(0, whole.shape[1] - side + 1, 4)
            )
    assert sizes == {(16, 16), (24, 24), (32, 32)}


def test_crops_are_a_function_of_seed_and_step(files):
    options = DegradedOptions(smallest=8, largest=24, factor=1)
    whole = list(degraded_crops(files, options, Schedule(4, 3)).take(4))
    later = list(degraded_crops(files, options, Schedule(4, 3, first_step=2)).take(2))
    shards = [
        list(degraded_crops(files, options, Schedule(4, 3, 0, i, 2)).take(4)) for i in range(2)
    ]
    other = list(degraded_crops(files, options, Schedule(4, 4)).take(4))
    for step in range(4):
        for side in range(2):
            both = tf.concat([shard[step][side] for shard in shards], 0)
            np.testing.assert_array_equal(both, whole[step][side])
            if step >= 2:
                np.testing.assert_array_equal(later[step - 2][side], whole[step][side])
    assert any(a[0].shape != b[0].shape or np.any(a[0] != b[0]) for a, b in zip(whole, other))


def test_images_kept_by_other_pipelines_are_checked_too(files):
    """What is read is shared by the pipelines of a process, whatever their crops."""
    small = DegradedOptions(smallest=32, largest=32)
    assert next(iter(degraded_crops(files, small, Schedule(3, 1))))[0].shape == (3, 32, 32, 3)
    large = DegradedOptions(smallest=40, largest=40)
    with pytest.raises(tf.errors.OpError, match="32x40 pixels after scaling, smaller than the cr"):
        next(iter(degraded_crops(files, large, Schedule(3, 1))))


def test_windows_are_the_middle_on_the_grid(files, images):
    options = DegradedOptions(factor=1, grid=16)
    pairs = centered_pairs(files, options, 40)
    for (good, worse), image in zip(pairs, images):
        np.testing.assert_array_equal(good, image[32:72, 48:88])
        np.testing.assert_array_equal(worse, degrade(image, 5)[32:72, 48:88])
    assert centered_pairs(files, options)[0][0].shape == (128, 160, 3)


def test_images_that_are_too_small(files):
    with pytest.raises(ImageError, match=r"32x40 pixels after scaling, smaller than windows"):
        centered_pairs(files, DegradedOptions(), 64)
    data = degraded_crops(files, DegradedOptions(), Schedule(2, 1))
    with pytest.raises(tf.errors.OpError, match="smaller than the crops of 96x96"):
        next(iter(data))
    with pytest.raises(ImageError, match="smaller than 200 pixels, the factor"):
        degraded_pair(files[0], DegradedOptions(factor=200))
    with pytest.raises(ValueError, match="factor must be at least 1, got 0"):
        DegradedOptions(factor=0)
    with pytest.raises(ValueError, match="largest crops of 8 pixels must not be smaller"):
        DegradedOptions(smallest=16, largest=8)
    with pytest.raises(ValueError, match="a multiple of 8 pixels larger .* of 16, got 20"):
        DegradedOptions(smallest=16, largest=20)
    with pytest.raises(ValueError, match="no images to cut crops from"):
        degraded_crops([], DegradedOptions(), Schedule(2, 1))


# The optimizer.


def test_adam_and_the_mean_are_the_official_ones(golden):
    """Five steps on a quadratic, by the code of PixelCNN++."""
    numbers = golden("pixelcnn.npz")
    p = tf.Variable(numbers["adam/p"][0])
    mean, rate = tf.Variable(p), Decay(1e-3, 0.999995)
    adam = AdamInside(rate, 0.95, 0.9995, epsilon=1e-8)
    for step in range(5):
        assert float(rate(step)) == pytest.approx(numbers["adam/lr"][step], rel=1e-6)
        gradient = 2 * numbers["adam/coef"] * (p - numbers["adam/target"])
        adam.apply_gradients([(gradient, p)])
        mean.assign_add(0.0005 * (p - mean))
        np.testing.assert_allclose(p, numbers["adam/p"][step + 1], rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(mean, numbers["adam/ema"][step + 1], rtol=1e-6, atol=1e-7)


def test_the_rate_is_right_after_many_steps():
    late = float(Decay(1e-3, 0.999995)(473_749))
    assert late == pytest.approx(1e-3 * 0.999995**473_750, rel=1e-5)
    assert Decay(1e-3, 0.5).get_config() == {"rate": 1e-3, "decay": 0.5}


# Training.


def test_defaults_are_the_papers():
    flags = MmdRestorationOptions(run_dir="r", train_data="x")
    assert (flags.filters, flags.blocks, flags.mixtures, flags.dropout) == (100, 6, 10, 0.5)
    assert (flags.batch, flags.patch, flags.max_patch, flags.factor) == (16, 64, 96, 4)
    assert (flags.learning_rate, flags.decay, flags.average) == (1e-3, 0.999995, 0.9995)
    assert (flags.beta_1, flags.beta_2) == (0.95, 0.9995)
    assert (flags.degradation, flags.quality, flags.merged, flags.phase) == ("jpeg", 5, False, 0)


def test_a_run_learns_validates_and_exports(trained):
    assert len(run_files.rows(trained)) == 4
    validation = run_files.rows(trained, "validation.csv")
    assert [row["step"] for row in validation] == [2, 4]
    assert all(0 < row["paired"] < 20 and 0 < row["unpaired"] < 20 for row in validation)
    model = Degradation(str(trained / "export"))
    assert (model.options["severity"], model.options["factor"]) == (5, 1)
    early = Degradation(str(trained / "export_2"))
    assert (early.card["steps"], model.card["steps"]) == (2, 4)
    before, after = run_files.weights(trained, 2), run_files.weights(trained, 4)
    for export, numbers in ((early, before), (model, after)):
        np.testing.assert_array_equal(
            export.network().out.v, numbers["mean/out/v/.ATTRIBUTES/VARIABLE_VALUE"]
        )


def test_what_is_validated_is_what_the_export_says(trained):
    from lossylab.data.collections import find_images

    model = Degradation(str(trained / "export"))
    pairs = centered_pairs(find_images("sample_test"), DegradedOptions(factor=1), 24)
    scores = degradation_nll.paired_and_unpaired(model.nll, pairs)
    assert scores.shape == (3, 2)
    row = run_files.rows(trained, "validation.csv")[-1]
    np.testing.assert_allclose(scores.mean(0), [row["paired"], row["unpaired"]], rtol=1e-4)


def test_resuming_is_exact(trained, tmp_path):
    """Validations and exports at other steps, which the whole run had, change no weight."""
    run_files.cut(trained, tmp_path / "parts", 2)
    _train(tmp_path / "parts", "--validation_size=16", "--export_at=3")
    run_files.assert_equal(trained, tmp_path / "parts")


@pytest.mark.long
def test_the_weights_begin_by_the_first_batch_and_the_mean_with_them(tmp_path):
    flags = ["--learning_rate=0", "--steps=1", "--dropout=0", "--noexport", "--max_patch=8"]
    _train(tmp_path / "run", *flags)
    numbers = run_files.weights(tmp_path / "run")
    weights = {name: value for name, value in numbers.items() if "OPTIMIZER" not in name}
    name = "out/{}/.ATTRIBUTES/VARIABLE_VALUE"
    assert np.ptp(weights["network/" + name.format("g")]) > 0
    assert np.any(weights["network/" + name.format("b")])
    for name in (n for n in weights if n.startswith("mean/")):
        np.testing.assert_array_equal(weights[name], weights[name.replace("mean/", "network/")])


def test_contexts_have_the_errors_of_draws(random):
    images = tf.constant(random.integers(60, 200, (512, 16, 12, 3)), tf.float32)
    seed = tf.constant((1, 2), tf.int64)
    made = mmd_restoration.as_drawn(images, 64.0, seed).numpy()
    np.testing.assert_array_equal(mmd_restoration.as_drawn(images, 64.0, seed), made)
    np.testing.assert_array_equal(made, np.round(made))
    assert (made.min(), made.max()) == (0, 255)
    gap = (made - images.numpy()).reshape(512, -1, 3)
    same, gray = (gap == 0).all((1, 2)), (made == 128).all((1, 2, 3))
    changed = np.abs(gap).max(2) > 0
    first = np.where(changed.any(1), changed.argmax(1), 0)
    broken = ~same & ~gray & (np.abs(gap).mean((1, 2)) > 5) & (first > 12)
    noisy = ~same & ~gray & ~broken
    assert [each.mean() for each in (same, gray)] == pytest.approx([0.5, 0.15], abs=0.06)
    assert broken.mean() == pytest.approx(0.15 * 15 / 16, abs=0.05)
    late = first[broken] / changed.shape[1]
    assert 0.3 < (late > 0.5).mean() < 0.7  # from any pixel on
    for index in np.flatnonzero(broken):
        assert changed[index, first[index] :].mean() > 0.5
    stds = gap[noisy].std((1, 2))
    assert stds.min() < 4
    assert 6 < np.median(stds) < 30  # 11 in the middle of 2 and 64, and some are broken early


def test_errors_in_the_context_leave_the_target(tmp_path, monkeypatch, random):
    options = core_flags.parse(
        MmdRestorationOptions, [*_TINY, f"--run_dir={tmp_path}", "--context_errors=30"]
    )
    task, seen = mmd_restoration.DegradationTask(options, Files([], [])), {}
    clean, degraded = (
        tf.constant(random.integers(0, 256, (8, 8, 8, 3)), tf.float32) for _ in range(2)
    )

    def nll(image, parameters, family):
        seen["target"] = image
        return discretized_mixture_nll(image, parameters, family)

    call = task.network.call
    monkeypatch.setattr(mmd_restoration, "discretized_mixture_nll", nll)
    monkeypatch.setattr(
        task.network, "call", lambda *a, **k: seen.update(context=a[0]) or call(*a, **k)
    )
    task.learn((clean, degraded), tf.constant(3, tf.int64))
    np.testing.assert_array_equal(seen["target"], degraded)
    assert np.abs(seen["context"] - degraded).mean() > 1


@pytest.mark.long
def test_training_lowers_the_loss(tmp_path):
    flags = ["--steps=40", "--learning_rate=2e-2", "--dropout=0", "--max_patch=8", "--noexport"]
    _train(tmp_path / "run", *flags, "--checkpoint_every=99", "--log_every=10", "--merged")
    losses = [row["loss"] for row in run_files.rows(tmp_path / "run")]
    assert losses[-1] < losses[0] - 0.5


@pytest.mark.long
def test_two_devices_share_a_batch(tmp_path):
    """Without dropout they do what one does, to float32's noise."""
    flags = ["--dropout=0", "--noexport", "--steps=2", "--max_patch=8", "--degradation=white"]
    _train(tmp_path / "one", *flags)
    _train(tmp_path / "two", *flags, "--strategy=mirrored", "--devices=CPU:0,CPU:1")
    one, two = ([row["loss"] for row in run_files.rows(tmp_path / name)] for name in ("one", "two"))
    np.testing.assert_allclose(one, two, rtol=1e-3)
    one, two = (run_files.weights(tmp_path / name) for name in ("one", "two"))
    kernels = [name for name in one if "/v/" in name and "OPTIMIZER" not in name]
    assert any(name.startswith("mean/") for name in kernels)
    for name in kernels:  # a step of Adam moves each by up to 1e-3
        np.testing.assert_allclose(one[name], two[name], atol=1e-4, err_msg=name)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--quality=101"],
            r"--quality of jpeg \(JPEG quality, 4:2:0\) must lie in 1..100, got 101",
        ),
        (["--severity=5"], "--severity is not for jpeg: give --quality"),
        (["--degradation=white", "--quality=5"], "--quality is not for white: give --severity"),
        (["--degradation=white", "--severity=300"], "--severity of white"),
        (["--max_patch=4"], "--max_patch=4 is below --patch=8"),
        (["--max_patch=20"], "--max_patch=20 must be --patch=8 plus a multiple of 8"),
        (["--dropout=1"], "--dropout=1.0 must be below 1"),
        (["--average=1"], "--average=1.0 must be below 1"),
        (["--beta_2=1"], "--beta_2=1.0 must be below 1"),
        (["--decay=0"], "--decay=0.0 must be above 0"),
        (["--dilations=1,x"], "--dilations takes a whole number, got 'x'"),
        (["--dilations=²"], "--dilations takes a whole number, got '²'"),
        (["--export_at=²"], "--export_at takes a whole number, got '²'"),
        (["--dilations="], "--dilations needs at least one number"),
        (["--export_at=0"], "--export_at=0 must be at least 1"),
        (["--export_at=9"], "--export_at=9 is after --steps=4"),
        (["--export_at=2", "--noexport"], "contradict each other"),
        (["--phase=16", "--grid=8"], "--phase=16 needs a --grid of its multiples, got 8"),
        (["--max_patch=4000"], "smaller than --max_patch times --factor of 4000x4000"),
        (["--validate_every=5"], "--validate_every needs --validation_data"),
        (["--init_from=nowhere"], "--init_from: no checkpoint in nowhere"),
        (["stray"], "unexpected arguments: stray"),
    ],
)
def test_bad_usage(flags, message, tmp_path):
    with pytest.raises((UsageError, ValueError), match=message):
        _train(tmp_path / "run", *flags)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_the_small_budget_is_a_reduced_network():
    path = pathlib.Path(mmd_restoration.__file__).parent / "flags" / "mmd_restoration_small.flags"
    words = [f"--flagfile={path}", "--run_dir=r"]
    options = core_flags.parse(MmdRestorationOptions, words)
    assert options.filters < 100
    assert options.blocks < 6
    assert options.export_at == (2000,)


def test_validation_images_are_made_when_they_are_needed(files, monkeypatch):
    made = []

    def count(*arguments):
        made.append(arguments)
        return centered_pairs(*arguments)

    monkeypatch.setattr(mmd_restoration, "centered_pairs", count)
    words = [*_TINY, "--run_dir=r", "--validation_size=16"]
    options = core_flags.parse(MmdRestorationOptions, words)
    task = mmd_restoration.DegradationTask(options, Files(files, files))
    assert not made
    assert task.images()["degraded"].shape == (1, 16, 16, 3)
    assert set(task.validate()) == {"paired", "unpaired"}
    assert len(made) == 1


def test_one_validation_image_is_too_few(tmp_path, files):
    with pytest.raises(UsageError, match="needs at least two images"):
        _train(tmp_path / "run", f"--validation_data={files[0]}", "--validate_every=2")


@pytest.mark.long
def test_a_run_can_begin_with_another(trained, tmp_path):
    flags = ["--learning_rate=0", "--steps=1", "--noexport", f"--init_from={trained}"]
    _train(tmp_path / "two", *flags)
    one, two = run_files.weights(trained), run_files.weights(tmp_path / "two")
    for name in (n for n in one if n.startswith("network/") and "OPTIMIZER" not in n):
        np.testing.assert_array_equal(one[name], two[name])


# Exports.


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A network that was set by data only, and its export."""
    generator = np.random.default_rng(5)
    tf.random.set_seed(5)
    network = ConditionalPixelCNN(4, 2, 2, condition_filters=3, dilations=(1, 2), phase=4)
    network.initialize(
        *(tf.constant(generator.integers(0, 256, (2, 16, 16, 3)), tf.float32) for _ in range(2))
    )
    path = str(tmp_path_factory.mktemp("pixelcnn") / "export")
    options = {"degradation": "jpeg", "severity": 5, "factor": 1, "grid": 4}
    Degradation.save(network, path, options)
    return network, path


def test_a_loaded_model_scores_and_differentiates_as_the_live_one(exported, random):
    network, path = exported
    model = Degradation(path)
    degraded = random.integers(0, 256, (2, 9, 13, 3)).astype(np.uint8)
    condition = tf.constant(random.uniform(0, 255, (2, 9, 13, 3)), tf.float32)
    found = []
    for score in (
        model.nll,
        lambda degraded, condition: bits_per_dim(
            tf.cast(degraded, tf.float32), network(tf.cast(degraded, tf.float32), condition)
        ),
    ):
        with tf.GradientTape() as tape:
            tape.watch(condition)
            bits = score(degraded, condition)
        found.append((bits, tape.gradient(bits, condition)))
    (loaded, loaded_gradient), (live, live_gradient) = found
    assert loaded.shape == (2,)
    np.testing.assert_allclose(loaded, live, rtol=1e-5)
    assert np.abs(live_gradient).max() > 0
    np.testing.assert_allclose(loaded_gradient, live_gradient, rtol=1e-3, atol=1e-7)


def test_the_network_comes_back_from_an_export(exported, random):
    network, path = exported
    model = Degradation(path)
    assert model.network().options == network.options
    assert model.parameters == sum(v.shape.num_elements() for v in network.trainable_variables)
    pair = [tf.constant(random.uniform(0, 255, (1, 8, 8, 3)), tf.float32) for _ in range(2)]
    np.testing.assert_array_equal(model.network()(*pair), network(*pair))
    old = Degradation(path)
    old.card["network"]["channels"] = old.card["network"].pop("filters")
    assert old.network().options == network.options


def test_bad_exports(exported, tmp_path):
    model = Degradation(exported[1])
    with pytest.raises(ValueError, match=r"of one shape \[B, H, W, 3\], got \(1, 4, 4, 3\) and"):
        model.nll(tf.zeros((1, 4, 4, 3)), tf.zeros((1, 4, 5, 3)))
    with pytest.raises(ExportError, match="no such folder"):
        Degradation("nowhere")
    tf.saved_model.save(tf.Module(), str(tmp_path / "other"))
    with pytest.raises(ExportError, match="of kind degradation, it lacks"):
        Degradation(str(tmp_path / "other"))
    damaged = shutil.copytree(exported[1], tmp_path / "damaged")
    model = Degradation(str(damaged))
    (numbers,) = (damaged / "variables").glob("variables.data*")
    numbers.write_bytes(numbers.read_bytes()[:100])
    with pytest.raises(ExportError, match="damaged: damaged weights: "):
        model.network()
    with pytest.raises(ValueError, match="needs a condition"):
        Degradation.save(ConditionalPixelCNN(2, 1, 1, condition_filters=0), "x", {})


# Commands.


def _sample(capsys, *arguments):
    cli.main(["sample", *map(str, arguments)])
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


@pytest.mark.long
def test_samples_of_files_are_the_same_by_both_samplers(exported, tmp_path, capsys, images):
    (tmp_path / "in").mkdir()
    for i, image in enumerate(images[:2]):
        Image.fromarray(image[:7, : 8 + i]).save(tmp_path / "in" / f"{i}.png")
    flag = f"--model={exported[1]}"
    found = _sample(capsys, tmp_path / "in", tmp_path / "fast", flag)
    assert [row["width"] for row in found] == ["8", "9"]
    _sample(capsys, tmp_path / "in", tmp_path / "slow", flag, "--sampler=naive")
    for i in range(2):
        fast, slow = (read_image(tmp_path / way / f"{i}.png") for way in ("fast", "slow"))
        assert fast.shape == (7, 8 + i, 3)
        np.testing.assert_array_equal(fast, slow)
    assert {(row["model"], row["seed"]) for row in found} == {
        (Degradation(exported[1]).weights[:16], "0")
    }
    one = tmp_path / "in" / "0.png"
    _sample(capsys, one, tmp_path / "again.png", flag, "--seed=3")
    assert np.any(read_image(tmp_path / "again.png") != read_image(tmp_path / "fast" / "0.png"))


def test_a_image_without_a_row_is_not_written(exported, tmp_path, capsys, monkeypatch, images):
    def fail(*sides):
        raise WorkError("no score")

    monkeypatch.setattr(sample, "psnr", fail)
    Image.fromarray(images[0][:3, :4]).save(tmp_path / "a.png")
    with pytest.raises(WorkError):
        _sample(capsys, tmp_path / "a.png", tmp_path / "b.png", f"--model={exported[1]}")
    assert not (tmp_path / "b.png").exists()


def _score(*arguments):
    cli.main(["eval", "degradation_nll", *map(str, arguments)])


def test_scores_become_rows_once(exported, tmp_path, capsys, monkeypatch):
    flags = [f"--model={exported[1]}", "--data=sample_test", "--window=16", "--budget=tiny"]
    _score(*flags, f"--out={tmp_path}")
    said = capsys.readouterr().out
    assert "paired" in said
    found = rows.read(tmp_path / "nll.csv", schemas.DEGRADATION_NLL.columns)
    rival = schemas.one_spread("jpeg", 5.0, 1)
    assert [row["model"] for row in found] == [*["pixelcnn"] * 6, *[rival] * 6]
    assert all(row["budget"].startswith("no training: a spread of") for row in found[6:])
    paired = [row for row in found if row["kind"] == "paired"]
    assert all(row["condition"] == row["image"] for row in paired)
    assert {row["condition"] for row in found if row["kind"] == "unpaired"} == {
        row["image"] for row in paired
    }
    monkeypatch.setattr(degradation_nll, "_measure", pytest.fail)  # nothing is measured again
    _score(*flags, f"--out={tmp_path}")
    assert capsys.readouterr().out == said
    assert len(rows.read(tmp_path / "nll.csv")) == 12


def test_the_rivals_rows_of_other_data_stay(exported, files, tmp_path):
    """Its spread is another there, which supersedes nothing; other windows do."""
    flags = [f"--model={exported[1]}", "--budget=tiny", f"--out={tmp_path / 'out'}"]
    _score(*flags, "--data=sample_test", "--window=16")
    _score(*flags, f"--data={pathlib.Path(files[0]).parent}", "--window=16")
    found = rows.read(tmp_path / "out" / "nll.csv")
    assert len(found) == 24
    assert len({row["identity"] for row in found}) == 3  # one of the model
    _score(*flags, "--data=sample_test", "--window=24")
    assert len(rows.read(tmp_path / "out" / "nll.csv")) == 24
    assert len(rows.read(tmp_path / "out" / "nll_superseded.csv")) == 12


def test_one_spread_is_the_likeliest_logistic(random):
    clean = random.integers(0, 256, (3, 32, 32, 3), np.uint8)
    noisy = np.clip(np.rint(clean + random.logistic(0, 7, clean.shape)), 0, 255).astype(np.uint8)
    rival = one_spread.OneSpread(list(zip(clean, noisy)))
    assert rival.spread == pytest.approx(7, rel=0.05)
    tensors = [tf.constant(each, tf.float32) for each in (noisy, clean)]
    found = rival.nll(*tensors).mean()
    for factor in (0.9, 1.1):
        assert one_spread.bits(factor * rival.spread)[clean, noisy].mean() > found
    # About 100, by hand; whatever is below 0 is 0.
    table = one_spread.bits(7.0)
    edges = expit((np.array([0.5, 99.5, 100.5, 254.5]) - 100) / 7)
    by_hand = -np.log2([edges[0], edges[2] - edges[1], 1 - edges[3]])
    np.testing.assert_allclose(table[100, [0, 100, 255]], by_hand, rtol=1e-6)
    np.testing.assert_allclose(np.exp2(-table).sum(1), 1, rtol=1e-9)
    assert np.isfinite(one_spread.bits(0.01)).all()


def test_shards_have_the_scores_of_one_process(exported, tmp_path):
    words = [f"--model={exported[1]}", "--data=sample_test", "--window=16", "--budget=tiny"]
    whole, merged = measured_by_two(
        ["eval", "degradation_nll", *words], tmp_path, schemas.DEGRADATION_NLL, "nll.csv"
    )
    assert len(whole) == 12
    assert merged == whole


def test_a_grid_has_what_was_drawn(exported, tmp_path):
    words = [f"--model={exported[1]}", "--data=sample_test", "--window=16"]
    with pytest.raises(UsageError, match="--out and --crops_dir need --budget"):
        cli.main(["eval", "degradation_nll", *words, f"--crops_dir={tmp_path / 'a'}"])
    cli.main(["eval", "degradation_nll", *words, f"--crops_dir={tmp_path / 'a'}", "--budget=tiny"])
    images = crop_grid.read(tmp_path / "a").images
    assert len(images) == 3
    for items in images.values():
        assert [item.label.split("\n")[0] for item in items] == [
            *("original", "degraded", "drawn, seed 0", "drawn, seed 1"),
        ]
        sides = [item.pixels for item in items]
        assert {side.shape for side in sides} == {(16, 16, 3)}
        assert np.abs(sides[2].astype(int) - sides[3]).max() > 0


@pytest.mark.long
def test_scores_of_other_windows_are_superseded(exported, tmp_path):
    flags = [f"--model={exported[1]}", "--data=sample_test", "--window=16", "--budget=tiny"]
    _score(*flags, f"--out={tmp_path}")
    before = rows.read(tmp_path / "nll.csv")
    _score(*flags, f"--out={tmp_path}", "--name=another")
    _score(*flags, f"--out={tmp_path}", "--window=24")
    after = [row for row in rows.read(tmp_path / "nll.csv") if row["model"] == "pixelcnn"]
    assert (len(before), len(after)) == (12, 6)
    superseded = rows.read(tmp_path / "nll_superseded.csv")
    assert sorted(superseded, key=str) == sorted(before, key=str)
    assert len(rows.read(tmp_path / "nll.csv")) == 18  # another model's rows stay
    assert {row["width"] for row in after} == {"24"}


def test_scores_of_images_that_are_gone_are_superseded(exported, files, tmp_path):
    """The partner of another image is another one then, too."""
    folder = pathlib.Path(files[0]).parent
    flags = [f"--model={exported[1]}", f"--data={folder}", "--window=16", "--budget=tiny"]
    _score(*flags, f"--out={tmp_path / 'out'}")
    pathlib.Path(files[2]).unlink()
    _score(*flags, f"--out={tmp_path / 'out'}")
    found = rows.read(tmp_path / "out" / "nll.csv")
    mine = [row for row in found if row["model"] == "pixelcnn"]
    assert sorted((row["image"], row["condition"]) for row in mine) == [
        *(("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")),
    ]
    gone = rows.read(tmp_path / "out" / "nll_superseded.csv")
    assert len([row for row in gone if row["model"] == "pixelcnn"]) == 3


@pytest.mark.long
def test_both_kinds_of_rows_can_be_superseded_in_one_folder(exported, files, tmp_path):
    Scorer.save(RankIQA(2, 8, 32, "random"), str(tmp_path / "rankiqa"), {})
    shared = [f"--data={pathlib.Path(files[0]).parent}", f"--out={tmp_path / 'out'}"]
    for title in ("--budget=one", "--budget=two"):
        _score(f"--model={exported[1]}", "--window=8", *shared, title)
        ranks = [f"--model={tmp_path / 'rankiqa'}", "--num_crops=1", *shared, title]
        cli.main(["eval", "rank_accuracy", *ranks])
    measured = {"nll": schemas.DEGRADATION_NLL, "rank_accuracy": schemas.RANK_ACCURACY}
    for name, schema in measured.items():
        for file, budget in ((name, "two"), (f"{name}_superseded", "one")):
            found = rows.read(tmp_path / "out" / f"{file}.csv", schema.columns)
            said = {row["budget"] for row in found}
            assert {each for each in said if schemas.UNTRAINED not in each} == {budget}


def test_scores_without_a_folder(exported, capsys):
    _score(f"--model={exported[1]}", "--data=sample_test", "--window=8")
    assert "| pixelcnn | 3 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--data=sample_test"], "--model is needed"),
        (["--model=nowhere"], "nowhere: no such folder"),
        (["--model=nowhere", "--out=x"], "need --budget: the model's budget"),
        (["stray"], "unexpected arguments: stray"),
    ],
)
def test_bad_scores(flags, message):
    with pytest.raises(UsageError, match=message):
        _score("--data=sample_test", *flags)


def test_scores_need_two_images_of_some_size(exported, files):
    with pytest.raises(UsageError, match="--data needs at least two images"):
        _score(f"--model={exported[1]}", f"--data={files[0]}")
    with pytest.raises(ImageError, match="smaller than windows of 4000x4000"):
        _score(f"--model={exported[1]}", "--data=sample_test", "--window=4000")


def test_an_export_says_what_it_learned(exported, tmp_path):
    network = ConditionalPixelCNN(2, 1, 1, condition_filters=2, dilations=(1,))
    Degradation.save(network, str(tmp_path / "export"), {"factor": 1})
    found = degraded_options(Degradation(exported[1]))
    assert found == DegradedOptions("jpeg", 5, 1, grid=4)
    with pytest.raises(ExportError, match="does not say degradation, severity, grid"):
        _score(f"--model={tmp_path / 'export'}", "--data=sample_test")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["in.png"], "OUTPUT is needed: file for one input"),
        (["in.png", "out.png"], "--model is needed"),
        (["in.png", "out.png", "--model=nowhere"], "nowhere: no such folder"),
        (["in.png", "out.jpg", "--model={model}"], "which lose nothing"),
    ],
)
def test_bad_samples(arguments, message, exported, tmp_path, monkeypatch, images):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(images[0][:4, :4]).save("in.png")
    with pytest.raises(UsageError, match=message):
        cli.main(["sample", *(a.format(model=exported[1]) for a in arguments)])
    assert not pathlib.Path("out.png").exists()


def test_bad_files_do_not_stop_the_others(exported, tmp_path, capsys, images):
    (tmp_path / "in").mkdir()
    Image.fromarray(images[0][:3, :4]).save(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "b.png").write_bytes(b"no image")
    with pytest.raises(WorkError, match="1 of 2 files failed"):
        _sample(capsys, tmp_path / "in", tmp_path / "out", f"--model={exported[1]}")
    assert {path.name for path in (tmp_path / "out").glob("[!.]*")} == {"a.png"}
