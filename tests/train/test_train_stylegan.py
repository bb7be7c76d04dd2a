"""train.stylegan, its discriminator, losses and data, on tiny budgets."""

import numpy as np
import pytest
import run_files
import tensorflow as tf
from PIL import Image

import lossylab
from lossylab.cli import __main__ as cli
from lossylab.core.errors import UsageError
from lossylab.data.schedule import Schedule
from lossylab.data.squares import read_square, square_images
from lossylab.eval.metrics import feature_frechet
from lossylab.eval.metrics.feature_frechet import FeatureFrechet
from lossylab.inference.latent.generator import find_generator
from lossylab.losses import adversarial
from lossylab.losses import stylegan as losses
from lossylab.models.layers.stylegan_base import filter_separably
from lossylab.models.stylegan2_discriminator import StyleGAN2Discriminator
from lossylab.train import stylegan
from lossylab.train.options.stylegan import StyleganOptions
from lossylab.train.session import Files
from lossylab.train.stylegan import StyleganTask

_SIZES = {"patch": 8, "batch": 4, "fmap_base": 16, "fmap_max": 4, "width": 6, "depth": 2}


def _train(images, run_dir, *extra, **changed):
    sizes = [f"--{name}={value}" for name, value in (_SIZES | changed).items()]
    loop = ["--log_every=1", "--summary_every=0", "--checkpoint_every=2", "--steps=4"]
    every = ["--r1_every=2", "--path_every=2", f"--train_data={images}", f"--run_dir={run_dir}"]
    cli.main(["train", "stylegan", *sizes, *loop, *every, *extra])


@pytest.fixture(scope="module", name="folder")
def _folder(tmp_path_factory):
    """Squares of one color each."""
    folder = tmp_path_factory.mktemp("squares")
    for index, color in enumerate(np.random.default_rng(1).integers(0, 256, (8, 3), np.uint8)):
        Image.fromarray(np.tile(color, (16, 16, 1))).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module", name="trained")
def _trained(folder, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("stylegan") / "run"
    _train(folder, run_dir, "--mirror", "--export_at=2")
    return run_dir


# The discriminator.


def test_down_sampling_is_of_filtered_images():
    """A constant stays: weights sum up to one, and the skip is of the same images."""
    x = tf.ones((1, 16, 16, 2))
    filtered = filter_separably(x, (0.125, 0.375, 0.375, 0.125), 2)
    assert filtered.shape == (1, 17, 17, 2)
    np.testing.assert_allclose(filtered[:, 2:-2, 2:-2], x[:, :13, :13], rtol=1e-6)


@pytest.mark.parametrize(
    ("kernel", "pad"), [((1, 3, 3, 1), 2), ((1, 2, 1), None), ((1, 3, 3, 1), 0)]
)
def test_a_filters_gradient_is_the_automatic_one(kernel, pad, random):
    """Of first and second order, of a function that is not linear."""
    x = tf.constant(random.normal(size=(2, 6, 5, 3)), tf.float32)
    width = (len(kernel) - 1) // 2 if pad is None else pad
    flat = tf.constant(np.outer(kernel, kernel), tf.float32)[..., None, None] * tf.eye(3)

    def plain(x):
        around = (width, width)
        return tf.nn.conv2d(x, flat, 1, ((0, 0), around, around, (0, 0)))

    found = []
    for function in (plain, lambda x: filter_separably(x, kernel, pad)):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                value = tf.reduce_sum(function(x) ** 3)
            slope = inner.gradient(value, x)
            steepness = tf.reduce_sum(slope**2)
        found.append((value, slope, outer.gradient(steepness, x)))
    for one, other in zip(*found):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-7 * np.abs(other).max())


def test_the_spread_of_a_group_is_seen(random):
    network = StyleGAN2Discriminator((4, 4), group=2)
    image = tf.constant(random.uniform(0, 255, (1, 8, 8, 3)), tf.float32)
    other = tf.constant(random.uniform(0, 255, (1, 8, 8, 3)), tf.float32)
    alike = network(tf.concat([image, image, other, other], 0))
    np.testing.assert_allclose(alike[0], alike[1], rtol=1e-5)
    mixed = network(tf.concat([image, other, other, other], 0))
    assert abs(float(mixed[0] - alike[0])) > 1e-4
    np.testing.assert_allclose(mixed[2:], alike[2:], rtol=1e-4)  # groups do not meet


def test_bad_discriminators():
    with pytest.raises(ValueError, match="channels and group must be at least 1"):
        StyleGAN2Discriminator((4, 0))
    with pytest.raises(ValueError, match="channels and group must be at least 1"):
        StyleGAN2Discriminator(())


# Losses.


def test_logistic_losses_are_cross_entropies():
    zero = tf.zeros(3)
    assert float(adversarial.logistic_discriminator(zero, zero)) == pytest.approx(2 * np.log(2))
    assert float(adversarial.logistic_generator(zero)) == pytest.approx(np.log(2))
    sure = adversarial.logistic_discriminator(tf.fill((2,), 50.0), tf.fill((2,), -50.0))
    assert float(sure) == pytest.approx(0, abs=1e-6)
    # It does not saturate: where the discriminator is sure, the slope is 1.
    score = tf.constant(-50.0)
    with tf.GradientTape() as tape:
        tape.watch(score)
        loss = adversarial.logistic_generator(score)
    assert float(tape.gradient(loss, score)) == pytest.approx(-1)


def test_r1_is_the_squared_norm():
    slope = tf.fill((2, 4, 4, 3), 0.5)
    assert float(losses.r1(slope)) == pytest.approx(48 * 0.25)


def test_path_lengths_of_a_linear_generator(random):
    """Its slope is the matrix times the noise: the expected square is the matrix's norm / R^2."""
    side, width = 4, 3
    matrix = random.normal(size=(width, side * side * 3))
    noise = random.normal(size=(4000, side * side * 3)) / side
    lengths = losses.path_lengths(tf.constant((noise @ matrix.T)[:, None], tf.float32))
    wanted = (matrix**2).sum() / side**2
    assert float(tf.reduce_mean(lengths**2)) == pytest.approx(wanted, rel=0.05)


# Data.


def test_squares_are_central_and_scaled(tmp_path):
    image = np.zeros((20, 60, 3), np.uint8)
    image[:, 20:40] = 200
    Image.fromarray(image).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_square(str(tmp_path / "a.png"), 10), 200)


@pytest.mark.parametrize("mirror", [False, True])
def test_half_of_the_squares_are_mirrored(mirror, tmp_path):
    image = np.repeat(np.arange(8, dtype=np.uint8)[None, :, None], 8, 0).repeat(3, 2)
    Image.fromarray(image).save(tmp_path / "a.png")
    data = square_images([str(tmp_path / "a.png")], 8, mirror, 16, Schedule(64, 1))
    turned = [bool(each[0, 0, 0] == 7) for each in next(iter(data)).numpy()]
    assert 16 < sum(turned) < 48 if mirror else not any(turned)


# The training.


def test_a_run_is_exported_with_its_mean_weights(trained):
    assert lossylab.load(trained / "export").generate(2).shape == (2, 8, 8, 3)
    generator = find_generator(trained / "export")
    assert (generator.version, generator.resolution, generator.width) == (2, 8, 6)
    z = tf.random.stateless_normal((10_000, 6), (1, 2))
    mean = tf.reduce_mean(generator.map(z), 0)
    np.testing.assert_allclose(generator.mean, mean, atol=0.05)
    learned = run_files.weights(trained)
    name = "G_mapping/Dense0/weight"
    (kernel,) = (v for k, v in learned.items() if k.startswith("mean/") and name in _named(k))
    np.testing.assert_array_equal(generator.named_weights[name], kernel)


def _named(key):
    return key.replace(".S", "/")


def test_a_run_is_exported_at_other_steps_too(trained):
    halfway, end = (lossylab.load(trained / name) for name in ("export_2", "export"))
    assert (halfway.card["steps"], end.card["steps"]) == (2, 4)
    assert halfway.weights != end.weights


def test_a_run_begins_with_anothers_networks(folder, trained, tmp_path):
    words = [f"--init_from={trained}", "--learning_rate=0", "--steps=1", "--path_weight=0"]
    _train(folder, tmp_path / "run", "--noexport", *words)
    before, after = run_files.weights(trained), run_files.weights(tmp_path / "run")
    for part in ("generator/", "discriminator/", "mean/", "path_length"):
        names = [n for n in after if n.startswith(part) and "OPTIMIZER" not in n]
        assert names
        for name in names:
            np.testing.assert_allclose(after[name], before[name], rtol=1e-4, atol=1e-4)
    with pytest.raises(UsageError, match="the discriminator needs a run"):
        _train(folder, tmp_path / "no", f"--init_from={trained / 'export'}")
    with pytest.raises(UsageError, match="--init_from: .* does not fit this model's options"):
        _train(folder, tmp_path / "no", f"--init_from={trained}", "--width=5")


def _task(folder, **changed):
    options = StyleganOptions(run_dir="r", train_data="x", **_SIZES, **changed)
    paths = [str(path) for path in sorted(folder.iterdir())]
    return StyleganTask(options, Files(paths, paths))


def test_few_images_are_made_at_once_and_of_large_ones_few_are_shown(folder, monkeypatch):
    task = _task(folder)
    whole = task.images()["samples"]
    assert whole.shape == (1, 64, 64, 3)
    monkeypatch.setattr(stylegan, "_MAX_PIXELS", 16 * 8 * 8)
    assert task._at_once == 16
    np.testing.assert_allclose(task.images()["samples"], whole, atol=1e-2)
    monkeypatch.setattr(stylegan, "_SHOWN_PIXELS", 32)
    fewer = task.images()["samples"]
    np.testing.assert_allclose(fewer[:, :8, :32], whole[:, :8, :32], atol=1e-2)
    assert fewer.shape == (1, 32, 32, 3)
    monkeypatch.setattr(stylegan, "_MAX_PIXELS", 1)
    assert task._at_once == 1


def test_validation_draws_noise_for_each_image(folder, monkeypatch):
    """As `lossylab generate` does."""
    task, seen = _task(folder), []

    class Distance:
        def features(self, images):
            seen.append(np.stack(list(images)).astype(float))
            return seen[-1].reshape(len(seen[-1]), -1)

    for name, variable in task.mean.served.named_weights.items():
        if name.endswith("/noise_strength"):
            variable.assign(3.0)
        if name.startswith("G_mapping"):
            variable.assign(tf.zeros_like(variable))  # all styles are equal
    task.__dict__["_distance"] = (Distance(), np.random.default_rng(1).normal(size=(8, 192)))
    assert task.validate() == task.validate()
    one, again = seen
    np.testing.assert_array_equal(one, again)
    assert len(one) == 8
    assert min(np.abs(one[0] - other).max() for other in one[1:]) > 0


@pytest.mark.long
def test_resuming_is_exact(folder, trained, tmp_path):
    """Also when the step that was killed has regularizations."""
    run_files.cut(trained, tmp_path / "parts", 2)
    _train(folder, tmp_path / "parts", "--mirror")
    run_files.assert_equal(trained, tmp_path / "parts")


def test_regularization_comes_now_and_then(trained):
    rows = run_files.rows(trained)
    assert all(np.isfinite(list(row.values())).all() for row in rows)
    assert [row["r1"] > 0 for row in rows] == [True, False, True, False]  # steps 0 and 2
    lengths = [row["path_length"] for row in rows]
    assert lengths[0] == lengths[1] < lengths[2] == lengths[3]


@pytest.mark.long
def test_regularization_can_be_left_out(folder, tmp_path):
    _train(folder, tmp_path / "run", "--noexport", r1=0, path_weight=0)
    rows = run_files.rows(tmp_path / "run")
    assert all(row["r1"] == row["path_length"] == 0 for row in rows)


@pytest.mark.long
def test_it_learns_colors(folder, tmp_path):
    """Of the true images' mean and spread, which an untrained generator does not have."""
    options = StyleganOptions(run_dir="r", train_data="x", average=50, **_SIZES | {"batch": 8})
    task = StyleganTask(options, Files([str(path) for path in sorted(folder.iterdir())], []))
    task.checkpointed()
    step = tf.function(task.step, autograph=False)
    before = task.images()["samples"]
    for number, batch in enumerate(task.dataset(Schedule(8, 1)).take(60)):
        step(batch, tf.constant(number, tf.int64))
    after = task.images()["samples"]
    true = np.mean([np.asarray(Image.open(path)).mean((0, 1)) for path in folder.iterdir()], 0)
    far, near = (np.abs(np.mean(grid, (0, 1, 2)) - true).mean() for grid in (before, after))
    assert near < far


@pytest.mark.long
def test_validation_tells_the_distance_of_features(folder, tmp_path):
    words = ["--validate_every=4", "--noexport"]
    _train(folder, tmp_path / "run", f"--validation_data={folder}", *words)
    (row,) = run_files.rows(tmp_path / "run", "validation.csv")
    assert row["frechet"] > 0
    with pytest.raises(UsageError, match="--validation_data needs at least two images"):
        _train(folder, tmp_path / "one", f"--validation_data={folder / '0.png'}", *words)


def test_the_distance_of_features_is_small_for_the_same_kind_of_images(random, monkeypatch):
    """Of two draws of one distribution, against another's."""
    distance = FeatureFrechet()
    assert distance.label == "VGG-16 (random weights)"
    dark, more, light = (
        random.integers(low, low + 60, (40, 16, 16, 3), np.uint8) for low in (0, 0, 190)
    )
    assert distance(dark, dark) == pytest.approx(0, abs=1e-3)
    assert distance(dark, more) < 0.2 * distance(dark, light)
    whole = distance.features(dark)
    for pixels in (3 * 16 * 16, 1):  # however many are seen at once
        monkeypatch.setattr(feature_frechet, "_MAX_PIXELS", pixels)
        np.testing.assert_allclose(distance.features(iter(dark)), whole, rtol=1e-3, atol=1e-4)


@pytest.mark.long
def test_the_slow_mean_follows_the_generator(folder, tmp_path):
    """With a half-life of one batch it is in the middle."""
    _train(folder, tmp_path / "run", "--noexport", "--checkpoint_every=1", average=4)
    before, after = run_files.weights(tmp_path / "run", 3), run_files.weights(tmp_path / "run", 4)
    names = [n for n in after if n.startswith("mean/") and "OPTIMIZER" not in n]
    assert names
    for name in names:
        new = after[name.replace("mean/", "generator/", 1)]
        np.testing.assert_allclose(after[name], (before[name] + new) / 2, rtol=1e-4, atol=1e-5)


@pytest.mark.long
def test_two_devices_share_a_batch(folder, tmp_path):
    devices = ["--strategy=mirrored", "--devices=CPU:0,CPU:1", "--noexport"]
    _train(folder, tmp_path / "run", *devices, batch=8)
    rows = run_files.rows(tmp_path / "run")
    assert np.isfinite([list(row.values()) for row in rows]).all()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--patch=48"], "--patch=48 must be a power of two in 8..1024"),
        (["--batch=6"], "--batch=6 must be a multiple of 4"),
        (["--patch=64"], "images are smaller than the patch of 64x64 pixels"),
        (["--mixing=2"], "--mixing=2.0 must be at most 1"),
        (["--export_at=9"], "--export_at=9 is after --steps=4"),
        (["--export_at=2", "--noexport"], "contradict each other"),
        (["--init_from=nowhere"], "--init_from: no checkpoint in nowhere"),
    ],
)
def test_wrong_usage(flags, message, folder, tmp_path):
    with pytest.raises(UsageError, match=message):
        _train(folder, tmp_path / "run", *flags)
