"""train.distortion_gan, its networks and losses, `lossylab distort`, on tiny budgets."""

import csv
import io
import logging

import numpy as np
import pytest
import run_files
import tensorflow as tf
from PIL import Image

from lossylab.cli import __main__ as cli
from lossylab.core import flags as core_flags
from lossylab.core.errors import ExportError, UsageError, WorkError
from lossylab.data.decode import read_image
from lossylab.data.distortions import DISTORTIONS, distort
from lossylab.data.patch_pairs import noise_seed
from lossylab.data.schedule import Schedule
from lossylab.inference.export.distorter import Distorter
from lossylab.losses import adversarial
from lossylab.losses import distortion_gan as losses
from lossylab.models.patchgan import PatchGAN
from lossylab.models.unet import ResidualUNet, _Up
from lossylab.train.distortion_gan import DistortionTask
from lossylab.train.loop.strategy import _mirrored
from lossylab.train.options import studies
from lossylab.train.options.distortion_gan import DistortionGanOptions
from lossylab.train.session import Files

_TINY = [
    *("--train_data=sample_train", "--patch=32", "--batch=2", "--steps=4", "--filters=2"),
    *("--log_every=1", "--summary_every=0", "--noexport", "--checkpoint_every=2"),
    "--cache_mb=64",
]
_GAN = "--discriminator_filters=2"


def _train(run_dir, *extra):
    cli.main(["train", "distortion_gan", *_TINY, f"--run_dir={run_dir}", *extra])


# Networks.


@pytest.mark.parametrize("upsampling", ["nearest", "transposed"])
def test_the_generator_begins_near_the_image(upsampling, random):
    network = ResidualUNet(4, upsampling)
    assert len(network.down) == len(network.up) == 7
    image = tf.constant(random.uniform(0, 255, (2, 130, 65, 3)), tf.float32)
    made = network(image)
    assert made.shape == image.shape
    assert 0 < np.abs(made - image).max() < 40


def test_up_sampling_by_phases_is_the_same_convolution(random):
    layer = _Up(6, 5, False, "nearest", "up")
    x = tf.constant(random.normal(size=(2, 5, 7, 6)), tf.float32)
    phased = layer(x, training=True)
    layer._phased = False
    np.testing.assert_allclose(phased, layer(x, training=True), atol=1e-5)
    gradients = []
    for way in (True, False):
        layer._phased = way
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x, training=False) ** 2 * tf.range(5.0))
        gradients.append(tape.gradient(loss, [x, layer.kernel]))
    for one, other in zip(*gradients):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("upsampling", ["nearest", "transposed"])
def test_what_patches_of_128_cannot_teach_the_deepest_layers_is_not_there(upsampling, random):
    """Where the gradient of a patch is zero, whole images meet no tap that it left as drawn."""
    network = ResidualUNet(2, upsampling)
    deepest = [network.down[-1].kernel, network.up[0].kernel]
    learned = []
    for side in (128, 256):
        image = tf.constant(random.uniform(0, 255, (4, side, side, 3)), tf.float32)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(network(image, training=True) * tf.range(3.0))
        changes = tape.gradient(loss, deepest)
        learned.append([np.abs(change).max((2, 3)) > 0 for change in changes])
    for kernel, small, large in zip(deepest, *learned):
        taps = np.abs(kernel).max((2, 3)) > 0
        np.testing.assert_array_equal(taps, small)
        assert large.sum() > small.sum()


@pytest.mark.parametrize("upsampling", ["nearest", "transposed"])
def test_large_images_are_distorted_in_tiles_that_do_not_show(upsampling, tmp_path, random):
    network = ResidualUNet(1, upsampling)
    kernel = network.up[-1].kernel
    kernel.assign(kernel * 300)  # so that it changes the image
    Distorter.save(network, tmp_path / "export", {})
    image = random.integers(0, 256, (200, 1700, 3), np.uint8)
    whole = Distorter(tmp_path / "export").distort(image)
    assert np.abs(whole.astype(int) - image).mean() > 5
    tiles = Distorter(tmp_path / "export", 2**12).distort(image)
    np.testing.assert_allclose(tiles.astype(int), whole, atol=1)  # sums are rounded otherwise
    assert (tiles == whole).mean() > 0.999


def test_generators_say_what_memory_they_take(tmp_path):
    """Tiles of 256 pixels see 512 more on each side, and small images are padded to 128."""
    for name, options in (("a", {"filters": 16}), ("b", {})):
        Distorter.save(ResidualUNet(1), tmp_path / name, options)
    network, unknown = (Distorter(tmp_path / name, 2**12) for name in "ab")
    assert (network.bytes_per_pixel, unknown.bytes_per_pixel) == (224, 704)
    sizes = [network.pixels_at_once(*size) for size in ((40, 50), (200, 1700), (5000, 4000))]
    assert sizes == [128 * 128, 256 * 1280, 1280 * 1280]


def test_noise_that_the_generator_sees_comes_by_seed_and_is_cut_with_the_image(tmp_path, random):
    network = ResidualUNet(2, noise_channels=3)
    kernel = network.up[-1].kernel
    kernel.assign(kernel * 300)
    Distorter.save(network, tmp_path / "export", {})
    image = np.full((150, 1500, 3), 128, np.uint8)
    whole = Distorter(tmp_path / "export")
    assert whole.noise_channels == 3
    one, same, other = (whole.distort(image, seed).astype(int) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).mean() > 1
    tiles = Distorter(tmp_path / "export", 2**12).distort(image, 1)
    np.testing.assert_allclose(tiles, one, atol=1)
    plain = ResidualUNet(2)
    assert network.down[0].kernel.shape[2] - plain.down[0].kernel.shape[2] == 3
    batch = tf.constant(random.uniform(0, 255, (1, 32, 40, 3)), tf.float32)
    np.testing.assert_array_equal(network(batch), network(batch))  # without noise: one draw
    drawn = network.draw(batch, (3, 4))
    assert drawn.shape == (1, 32, 40, 3)
    assert np.abs(network(batch, noise=drawn) - network(batch)).mean() > 0.1


def test_bad_generators():
    with pytest.raises(ValueError, match="filters must be at least 1, got 0"):
        ResidualUNet(0)
    with pytest.raises(ValueError, match="noise_channels at least 0, got -1"):
        ResidualUNet(1, noise_channels=-1)
    with pytest.raises(ValueError, match="upsampling must be one of nearest, transposed"):
        ResidualUNet(4, "bilinear")


def test_the_discriminator_scores_thirty_patches(random):
    network = PatchGAN(2)
    pair = [tf.constant(random.uniform(0, 255, (1, 256, 256, 3)), tf.float32) for _ in range(2)]
    assert network(pair).shape == (1, 30, 30, 1)


def test_a_score_sees_seventy_pixels(random):
    network = PatchGAN(4)
    reference = tf.constant(random.uniform(0, 255, (1, 256, 256, 3)), tf.float32)
    distorted = tf.Variable(reference)
    with tf.GradientTape() as tape:
        score = network((reference, distorted))[0, 15, 15, 0]
    seen = np.abs(tape.gradient(score, distorted)[0]).max(-1) > 0
    rows, columns = np.where(seen)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (70, 70)


def test_the_residual_is_a_linear_change_of_the_input(random):
    """A discriminator that sees differences equals one that sees images, with other kernels."""
    plain, residual = PatchGAN(4), PatchGAN(4, residual_gain=8.0)
    for mine, theirs in zip(plain.variables, residual.variables):
        mine.assign(theirs)
    kernel = residual.kernels[0].numpy()
    on_reference, on_residual = kernel[:, :, :3], kernel[:, :, 3:]
    changed = np.concatenate([on_reference - 8 * on_residual, 8 * on_residual], 2)
    plain.kernels[0].assign(changed)
    # Inside, as the images' -1 at the edge of zeros is another constant.
    pair = [tf.constant(random.uniform(0, 255, (1, 64, 64, 3)), tf.float32) for _ in range(2)]
    np.testing.assert_allclose(
        plain(pair)[:, 2:-2, 2:-2], residual(pair)[:, 2:-2, 2:-2], rtol=1e-2, atol=1e-2
    )


# Losses.


def test_hinge_losses_are_bounded_below():
    true, made = tf.constant([2.0, 0.5]), tf.constant([-3.0, 0.5])
    assert float(adversarial.hinge_discriminator(true, made)) == pytest.approx(0.25 + 0.75)
    perfect = adversarial.hinge_discriminator(tf.fill((4,), 100.0), tf.fill((4,), -100.0))
    assert float(perfect) == 0
    assert float(adversarial.hinge_generator(made)) == pytest.approx(1.25)


def test_the_gradient_penalty_is_of_one_sample(random):
    """A score that is 3 times the mean entry has n ds/du = 3, whatever the size and the batch."""
    for shape in ((1, 4, 4, 3), (5, 8, 4, 3)):
        x = tf.constant(random.normal(size=shape), tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(x)
            score = 3 * tf.reduce_mean(x)
        penalty = adversarial.gradient_penalty(tape.gradient(score, x))
        assert float(penalty) == pytest.approx(9, rel=1e-5)


def test_sparsity_and_pixel_losses():
    one, other = tf.zeros((1, 2, 2, 3)), tf.fill((1, 2, 2, 3), -3.0)
    assert float(losses.sparsity(one, other)) == 3
    assert float(losses.pixel_loss(one, other, "l1")) == 3
    assert float(losses.pixel_loss(one, other, "l2")) == 9
    with pytest.raises(ValueError, match="norm must be 'l1' or 'l2', got 'l0'"):
        losses.pixel_loss(one, other, "l0")


# Training.


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of four steps with everything that one phase can have."""
    path = tmp_path_factory.mktemp("gan") / "run"
    _train(
        path, _GAN, "--average=0.75", "--sparsity_weight=3", "--learning_rate=1e-2", "--export",
        "--checkpoint_every=1", "--keep_checkpoints=4",
        "--validation_data=sample_test", "--validate_every=2",
    )  # fmt: skip
    return path


_PHASES = [_GAN, "--discriminator_first=2", "--moments_steps=3", "--gradient_penalty=0.1"]


@pytest.fixture(scope="module")
def phased(tmp_path_factory):
    """The discriminator learns alone in the first two steps, moments move in the first three."""
    path = tmp_path_factory.mktemp("phases") / "run"
    _train(path, *_PHASES, "--checkpoint_every=1", "--keep_checkpoints=4")
    return path


@pytest.fixture(scope="module")
def regressed(tmp_path_factory):
    """A run without a discriminator."""
    path = tmp_path_factory.mktemp("pixels") / "run"
    _train(path, "--pixel_loss=l1")
    return path


def _assert_exported(run_dir, name, images):
    network = Distorter(str(run_dir / "export"))
    assert network.options["severity"] == DISTORTIONS[name].severity
    for size in ((1, 1), (40, 57), (128, 160)):
        image = images[0][: size[0], : size[1]]
        assert network.distort(image).shape == image.shape


def test_a_run_is_exported(trained, images):
    _assert_exported(trained, "jpeg", images)


@pytest.mark.long
@pytest.mark.parametrize("name", DISTORTIONS)
def test_every_distortion_trains_and_is_exported(name, tmp_path, images):
    _train(tmp_path / "run", _GAN, f"--distortion={name}", "--export", "--steps=2")
    rows = run_files.rows(tmp_path / "run")
    assert len(rows) == 2
    assert all(np.isfinite(list(row.values())).all() for row in rows)
    _assert_exported(tmp_path / "run", name, images)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_a_training_sees_the_distortion_that_it_names(name, tmp_path, images):
    Image.fromarray(images[0][:32, :32]).save(tmp_path / "a.png")
    words = [*_TINY, f"--run_dir={tmp_path}", f"--distortion={name}"]
    options = core_flags.parse(DistortionGanOptions, words)
    task = DistortionTask(options, Files([str(tmp_path / "a.png")], []))
    reference, distorted = next(iter(task.dataset(Schedule(1, 1))))
    np.testing.assert_array_equal(reference[0], images[0][:32, :32])
    wanted = distort(images[0][:32, :32], name, options.chosen_severity, noise_seed("a.png"))
    if not DISTORTIONS[name].random:
        np.testing.assert_array_equal(distorted[0], wanted)
    error = np.abs(distorted[0] - reference[0]).mean()
    assert error == pytest.approx(np.abs(wanted.astype(float) - reference[0]).mean(), rel=0.3)


def test_defaults_are_the_papers():
    flags = DistortionGanOptions(run_dir="r", train_data="x")
    assert (flags.batch, flags.patch, flags.filters, flags.discriminator_filters) == (
        *(16, 256),
        *(64, 64),
    )
    assert (flags.learning_rate, flags.discriminator_learning_rate) == (3e-4, 1e-4)
    assert (flags.sparsity_weight, flags.residual_gain, flags.pixel_loss) == (0.1, 0, "none")
    assert (flags.gradient_penalty, flags.moments_steps, flags.average) == (0, None, 0)
    assert (flags.grid, flags.discriminator_first, flags.noise_input) == (1, 0, 0)


def test_losses_weigh_as_told(trained):
    rows = run_files.rows(trained)
    assert len(rows) == 4
    for row in rows:
        assert np.isfinite(list(row.values())).all()
        assert row["loss"] == pytest.approx(row["adversarial"] + 3 * row["residual"], rel=1e-4)
        assert row["adversarial"] == pytest.approx(-row["score_generated"], abs=1e-3)


@pytest.mark.long
@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_pixel_losses_train_alone(norm, tmp_path):
    flags = [f"--pixel_loss={norm}", "--steps=40", "--learning_rate=1e-2", "--checkpoint_every=99"]
    _train(tmp_path / "run", *flags, "--severity=5")
    rows = run_files.rows(tmp_path / "run")
    assert set(rows[0]) == {"step", "loss", "residual"}
    assert np.mean([r["loss"] for r in rows[-5:]]) < np.mean([r["loss"] for r in rows[:5]])
    assert not any(name.startswith("discriminator") for name in run_files.weights(tmp_path / "run"))


def test_normalized_together_images_of_another_strength_get_other_scores(tmp_path, random):
    """Apart, each batch has the same moments behind every layer, so that strengths hardly count."""
    flags = [*_TINY, "--discriminator_filters=4", f"--run_dir={tmp_path}"]
    gray, noise = tf.fill((4, 64, 64, 3), 128.0), tf.constant(random.normal(size=(4, 64, 64, 3)))
    noise = tf.cast(noise, tf.float32)
    gaps = {}
    for norm in ("together", "apart"):
        options = core_flags.parse(DistortionGanOptions, [*flags, f"--discriminator_norm={norm}"])
        tf.random.set_seed(1)
        scores = DistortionTask(options, Files([], []))._scores(
            gray, gray + 30 * noise, gray + 15 * noise
        )
        gaps[norm] = abs(float(tf.reduce_mean(scores[0]) - tf.reduce_mean(scores[1])))
    assert gaps["apart"] < 0.3 * gaps["together"]


def test_clipped_the_discriminator_does_not_see_how_far_values_are_beyond(tmp_path, random):
    """The sparsity does, and draws them back."""
    flags = [*_TINY, _GAN, f"--run_dir={tmp_path}"]
    reference, distorted = (
        tf.constant(random.uniform(0, 255, (2, 128, 128, 3)), tf.float32) for _ in range(2)
    )
    scores, residuals = {}, {}
    for clip in (False, True):
        options = core_flags.parse(DistortionGanOptions, [*flags, f"--clip_generated={clip}"])
        for beyond in (4.0, 8.0):
            tf.random.set_seed(1)
            task = DistortionTask(options, Files([], []))
            task.generator.up[-1].bias.assign([beyond] * 3)
            report = task.learn((reference, distorted), tf.constant(1))["report"]
            scores[clip, beyond] = float(report["score_generated"])
            residuals[clip, beyond] = float(report["residual"])
    assert scores[True, 4.0] == pytest.approx(scores[True, 8.0], abs=1e-5)
    assert abs(scores[False, 4.0] - scores[False, 8.0]) > 0.01
    for clip in (False, True):
        assert residuals[clip, 8.0] > 1.5 * residuals[clip, 4.0]


_NEW = [_GAN, "--discriminator_norm=apart", "--noise_input=2", "--precision=mixed_bfloat16"]
_NEW += ["--clip_generated"]


@pytest.mark.long
def test_a_noise_input_norms_apart_and_mixed_precision_resume_exactly(tmp_path):
    _train(tmp_path / "whole", *_NEW, "--keep_checkpoints=4", "--checkpoint_every=1")
    rows = run_files.rows(tmp_path / "whole")
    assert all(np.isfinite(list(row.values())).all() for row in rows)
    run_files.cut(tmp_path / "whole", tmp_path / "parts", 2)
    _train(tmp_path / "parts", *_NEW, "--export")
    run_files.assert_equal(tmp_path / "whole", tmp_path / "parts")
    assert Distorter(tmp_path / "parts" / "export").noise_channels == 2


@pytest.mark.long
def test_sparsity_keeps_the_residual_small(tmp_path):
    flags = [_GAN, "--steps=40", "--learning_rate=1e-2", "--checkpoint_every=99"]
    last = {}
    for weight in (0, 10):
        _train(tmp_path / str(weight), *flags, f"--sparsity_weight={weight}")
        last[weight] = run_files.rows(tmp_path / str(weight))[-1]["residual"]
    assert last[10] < last[0]


def test_resuming_is_exact(phased, tmp_path):
    """In the last of three phases."""
    run_files.cut(phased, tmp_path / "parts", 3)
    _train(tmp_path / "parts", *_PHASES)
    run_files.assert_equal(phased, tmp_path / "parts")


def test_a_run_can_begin_with_another_and_keep_its_moments(regressed, tmp_path):
    flags = ["--learning_rate=0", "--steps=2", "--moments_steps=0"]
    _train(tmp_path / "run", _GAN, *flags, f"--init_from={regressed}")
    one, two = run_files.weights(regressed), run_files.weights(tmp_path / "run")
    names = [n for n in one if n.startswith("generator/") and "OPTIMIZER" not in n]
    assert any("kernel" in name for name in names)
    assert any("moving" in name for name in names)
    for name in names:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


def test_validation_tells_the_divergence(trained):
    rows = run_files.rows(trained, "validation.csv")
    assert [row["step"] for row in rows] == [2, 4]
    assert all(0 < row["jsd"] < 1 and row["residual"] > 0 for row in rows)


def _task(path):
    return DistortionTask(
        core_flags.parse(DistortionGanOptions, [*_TINY, _GAN, f"--run_dir={path}"]), Files([], [])
    )


def test_a_discriminator_that_always_wins_is_warned_of_once(tmp_path, caplog):
    task = _task(tmp_path)
    values = {"discriminator": 0.5, "score_true": 3.0, "score_generated": -3.0}
    with caplog.at_level(logging.WARNING, "lossylab"):
        task.watch(10, values)
        assert not caplog.text
        for step in (20, 30):
            task.watch(step, values | {"discriminator": 0.001})
    assert caplog.text.count("the discriminator tells all apart") == 1
    assert "step 20" in caplog.text


def test_a_discriminator_that_tells_nothing_apart_is_warned_of(tmp_path, caplog):
    task = _task(tmp_path)
    values = {"discriminator": 2.0, "score_true": 0.01, "score_generated": 0.01}
    with caplog.at_level(logging.WARNING, "lossylab"):
        task.watch(100, values)
        assert not caplog.text
        task.watch(600, values)
    assert "tells nothing apart" in caplog.text


@pytest.mark.long
def test_the_mean_follows_the_generator(trained, tmp_path):
    before, after = run_files.weights(trained, 3), run_files.weights(trained, 4)
    names = [n for n in after if n.startswith("mean/") and "kernel" in n]
    assert names
    for name in names:
        new = after[name.replace("mean/", "generator/")]
        np.testing.assert_allclose(after[name], 0.75 * before[name] + 0.25 * new, atol=1e-6)
    run_files.cut(trained, tmp_path / "parts", 3)
    _train(
        tmp_path / "parts", _GAN, "--average=0.75", "--sparsity_weight=3", "--learning_rate=1e-2"
    )
    run_files.assert_equal(trained, tmp_path / "parts")


def test_each_device_normalizes_by_its_part(random):
    strategy = _mirrored(("CPU:0", "CPU:1"))
    with strategy.scope():
        network = ResidualUNet(1)
    parts = [tf.constant(random.uniform(0, 255, (1, 128, 128, 3)), tf.float32) for _ in range(2)]
    shared = strategy.experimental_distribute_values_from_function(
        lambda context: parts[context.replica_id_in_sync_group]
    )
    made = strategy.run(lambda x: network(x, training=True), (shared,)).values
    apart = [network(part, training=True) for part in parts]
    np.testing.assert_allclose(tf.concat(made, 0), tf.concat(apart, 0), atol=1e-3)
    together = network(tf.concat(parts, 0), training=True)
    assert np.abs(together - tf.concat(made, 0)).max() > 0.1


@pytest.mark.long
def test_two_devices_share_a_batch(tmp_path):
    """Each normalizes by its half, so that they do not give what one gives."""
    devices = ["--strategy=mirrored", "--devices=CPU:0,CPU:1", "--steps=2"]
    _train(tmp_path / "run", _GAN, "--average=0.5", "--batch=4", *devices)
    rows = run_files.rows(tmp_path / "run")
    assert np.isfinite([list(row.values()) for row in rows]).all()
    numbers = run_files.weights(tmp_path / "run")
    for name in (n for n in numbers if n.startswith("mean/") and "kernel" in n):
        assert not np.array_equal(numbers[name], numbers[name.replace("mean/", "generator/")])


def test_the_discriminator_may_learn_first(phased):
    one, two = run_files.weights(phased, 1), run_files.weights(phased, 2)
    kernels = [n for n in one if "kernel" in n and "OPTIMIZER" not in n]
    for name in kernels:
        assert np.array_equal(one[name], two[name]) == name.startswith("generator"), name


@pytest.mark.long
def test_the_penalty_flattens_the_discriminator(tmp_path):
    flags = [_GAN, "--patch=64", "--batch=4", "--steps=40", "--learning_rate=0"]
    flags += ["--discriminator_learning_rate=1e-2"]
    last = {}
    for weight in (1e-6, 0.1):
        run_dir = tmp_path / str(weight)
        _train(run_dir, *flags, "--checkpoint_every=99", f"--gradient_penalty={weight}")
        last[weight] = np.mean([row["penalty"] for row in run_files.rows(run_dir)[-10:]])
    assert last[0.1] < 0.5 * last[1e-6]


def test_moments_are_kept(phased):
    numbers = {step: run_files.weights(phased, step) for step in (2, 3, 4)}
    names = [n for n in numbers[2] if n.startswith("generator/") and "OPTIMIZER" not in n]
    moments = [n for n in names if "moving" in n]
    assert moments
    for name in names:
        assert not np.array_equal(numbers[2][name], numbers[3][name]), name
        assert np.array_equal(numbers[3][name], numbers[4][name]) == (name in moments), name


@pytest.mark.parametrize("gain", [0, 16])
def test_the_scale_is_that_of_what_the_discriminator_sees(gain):
    network = PatchGAN(2, gain)
    level = tf.ones((1, 32, 32, 3))
    seen = [network.seen(0 * level, value * level)[0, 0, 0, 3] for value in (7.0, 8.0)]
    assert float(seen[1] - seen[0]) == pytest.approx(network.scale, rel=1e-4)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--severity=0"], r"--severity of jpeg \(JPEG quality, 4:2:0\) must lie in 1..100, got 0"),
        (["--distortion=blur"], "--distortion=blur is none of jpeg, jpeg2000, white, pink"),
        (["--patch=36"], "--patch=36 must be a multiple of 8 and at least 32"),
        (["--pixel_loss=l1", "--sparsity_weight=1"], "--sparsity_weight make no sense with"),
        (["--pixel_loss=l1", "--gradient_penalty=1"], "--gradient_penalty make no sense with"),
        (["--moments_steps=0"], "--moments_steps=0 keeps the moments of --init_from"),
        (
            ["--moments_steps=2", "--discriminator_first=2"],
            "--moments_steps=2 must be above --discriminator_first=2",
        ),
        (["--moments_steps=2", "--average=0.9"], "--average lags behind moments"),
        (
            ["--moments_steps=2", "--strategy=mirrored", "--devices=CPU:0,CPU:1"],
            "--moments_steps above 0 needs a single device",
        ),
        (["--beta_1=1"], "--beta_1=1.0 must be below 1"),
        (["--average=1"], "--average=1.0 must be below 1"),
        (["--init_from=nowhere"], "--init_from: no checkpoint in nowhere"),
        (["--patch=4000"], "images are smaller than the patch of 4000x4000 pixels"),
        (["--validate_every=5"], "--validate_every needs --validation_data"),
        (["stray"], "unexpected arguments: stray"),
    ],
)
def test_bad_usage(flags, message, tmp_path):
    with pytest.raises((UsageError, ValueError), match=message):
        _train(tmp_path / "run", *flags)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_the_small_budget_names_every_variant(capsys):
    words = ["--flagfile=distortion_gan_small", "--out=s", "--dry_run"]
    cli.main(["train", "distortion_gan_study", *words])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(studies.DISTORTION_GAN)
    assert ["start_jpeg" in lines[0], "start_jpeg2000" in lines[1]] == [True, True]
    assert sum("--init_from=s/runs/start_jpeg " in f"{line} " for line in lines) == 4
    assert sum("--init_from=s/runs/start_jpeg2000 " in f"{line} " for line in lines) == 1
    for line in lines:
        words = line.removeprefix("lossylab train distortion_gan ").split()
        assert core_flags.parse(DistortionGanOptions, words).filters == 16


def test_variants_may_be_trained_more_often(capsys):
    words = [
        "--train_data=sample_train",
        "--out=s",
        "--variants=jpeg,pink_noise_input",
        "--trainings=3",
    ]
    cli.main(["train", "distortion_gan_study", *words, "--dry_run"])
    lines = capsys.readouterr().out.splitlines()
    runs = [line.partition("--run_dir=s/runs/")[2].split()[0] for line in lines]
    names = ("jpeg", "pink_noise_input")
    assert runs == [f"{name}{seed}" for seed in ("", "_seed2", "_seed3") for name in names]
    assert ["--seed=3" in line for line in lines] == [False] * 4 + [True] * 2
    assert "--noise_input=3" in lines[1]


# Distorting files.


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A generator that was not trained."""
    path = tmp_path_factory.mktemp("gan") / "export"
    Distorter.save(ResidualUNet(2), str(path), {"distortion": "jpeg", "severity": 30})
    return str(path)


def _distort(capsys, *arguments):
    cli.main(["distort", *map(str, arguments)])
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def test_one_image_by_a_generator(exported, tmp_path, capsys, images):
    Image.fromarray(images[0]).save(tmp_path / "in.png")
    (row,) = _distort(capsys, tmp_path / "in.png", tmp_path / "out.png", f"--model={exported}")
    found = read_image(tmp_path / "out.png")
    np.testing.assert_array_equal(found, Distorter(exported).distort(images[0]))
    assert float(row["jsd"]) >= 0


@pytest.mark.parametrize("name", DISTORTIONS)
def test_true_distortions_of_a_folder(name, tmp_path, capsys, images):
    (tmp_path / "in").mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / "in" / f"{i}.png")
    severity = 10 if name != "jpeg2000" else 30
    flags = [f"--distortion={name}", f"--severity={severity}"]
    rows = _distort(capsys, tmp_path / "in", tmp_path / "out", *flags)
    assert len(rows) == 3
    expected = distort(images[1], name, severity, noise_seed("1.png"))
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "1.png"), expected)
    _distort(capsys, tmp_path / "in", tmp_path / "again", *flags, "--seed=5")
    same = np.array_equal(read_image(tmp_path / "again" / "1.png"), expected)
    assert same == (not DISTORTIONS[name].random)


def test_bad_files_do_not_stop_the_others(tmp_path, capsys, images):
    (tmp_path / "in").mkdir()
    Image.fromarray(images[0]).convert("L").save(tmp_path / "in" / "gray.png")
    Image.new("RGB", (1, 1)).save(tmp_path / "in" / "tiny.png")
    (tmp_path / "in" / "broken.png").write_bytes(b"no image")
    with pytest.raises(WorkError, match="1 of 3 files failed"):
        cli.main(["distort", str(tmp_path / "in"), str(tmp_path / "out"), "--distortion=white"])
    assert {path.name for path in (tmp_path / "out").glob("[!.]*")} == {"gray.png", "tiny.png"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "give one of --model, the folder of an exported generator, --distortion and --like"),
        (["--model={model}", "--distortion=jpeg"], "give one of --model"),
        (["--like=jpeg", "--distortion=jpeg"], "give one of --model"),
        (["--like=jpeg", "--severity=3"], "--severity goes with --distortion"),
        (["--model={model}", "--severity=3"], "--severity goes with --distortion"),
        (["--model={model}", "--seed=3"], "--seed: the generator of --model sees no noise"),
        (["--distortion=jpeg", "--severity=500"], "--severity: severity of jpeg"),
        (["--distortion=blur"], "--distortion=blur is none of jpeg, jpeg2000, white, pink"),
        (["--model=nowhere"], "nowhere: no such folder"),
    ],
)
def test_bad_distort_usage(flags, message, exported, tmp_path, images):
    Image.fromarray(images[0]).save(tmp_path / "in.png")
    words = [flag.format(model=exported) for flag in flags]
    with pytest.raises(UsageError, match=message):
        cli.main(["distort", str(tmp_path / "in.png"), str(tmp_path / "out.png"), *words])
    assert not (tmp_path / "out.png").exists()


def test_other_exports_are_refused(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path / "other"))
    with pytest.raises(ExportError, match="of kind distorter, it lacks the signatures"):
        Distorter(str(tmp_path / "other"))
