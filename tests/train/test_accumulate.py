"""Steps in parts: what is learned is the whole batch's, and a part is what a device is."""

import contextlib

import numpy as np
import pytest
import run_files
import tensorflow as tf
from lengths import long_cases_but

from lossylab.cli import __main__ as cli
from lossylab.core import flags as core_flags
from lossylab.core.errors import UsageError
from lossylab.data.schedule import Schedule
from lossylab.models.layers import precision
from lossylab.train import (
    distortion_gan,
    jpeg_encoder,
    mmd_restoration,
    proxiqa,
    rankiqa,
    stylegan,
    wcdgan,
)
from lossylab.train.loop import parts
from lossylab.train.loop.optimizers import adam, gradients
from lossylab.train.session import Files

_LOOP = ["--log_every=1", "--summary_every=0", "--noexport", "--cache_mb=64", "--run_dir=run"]


def _rankiqa(options, files):
    rated = [rankiqa.Rated(path, 10.0 * index, path) for index, path in enumerate(files.train)]
    return rankiqa.RankIQATask(options, files, (rated, rated))


# Flags of a small training; its options and task.
_STEMS = {
    "proxiqa": (
        "--filters=4 --patch=32 --batch=4",
        (proxiqa.ProxiqaOptions, proxiqa.ProxIQATask),
    ),
    "wcdgan": (
        "--patch=32 --stride=64 --batch=4 --channels=y --weights=random --filters=4 --blocks=1",
        (wcdgan.WcdganOptions, wcdgan.RestorationTask),
    ),
    "distortion_gan": (
        "--patch=32 --batch=4 --filters=2",
        (distortion_gan.DistortionGanOptions, distortion_gan.DistortionTask),
    ),
    "jpeg_encoder": (
        "--patch=32 --batch=4 --weights=random --ms_ssim_weight=0 --lpips_weight=0 "
        "--backbone=resnet152_block1",
        (jpeg_encoder.JpegEncoderOptions, jpeg_encoder.EncoderTask),
    ),
    "mmd_restoration": (
        "--patch=8 --max_patch=16 --batch=4 --factor=1 --filters=3 --blocks=1 --mixtures=2 "
        "--condition_filters=2 --dilations=1",
        (mmd_restoration.MmdRestorationOptions, mmd_restoration.DegradationTask),
    ),
    "rankiqa": (
        "--patch=32 --filters=2 --units=8 --weights=random",
        (rankiqa.RankiqaOptions, _rankiqa),
    ),
    "stylegan": (
        "--patch=8 --batch=8 --fmap_base=16 --fmap_max=4 --width=6 --depth=2 --r1_every=2 "
        "--path_every=2",
        (stylegan.StyleganOptions, stylegan.StyleganTask),
    ),
}


def _task(stem, folder, count, *flags):
    """A task whose weights are the same whatever the number of parts."""
    sizes, (options, task) = _STEMS[stem]
    given = [
        *_LOOP,
        *sizes.split(),
        f"--train_data={folder}",
        f"--accumulate={count}",
        *flags,
    ]
    found = core_flags.parse(options, given)
    tf.random.set_seed(1)
    with precision.policy(found.precision):
        made = task(found, Files(sorted(map(str, folder.iterdir())), []))
        made.checkpointed()
    made.phase = len(made.boundaries)
    return made


@contextlib.contextmanager
def _learned(task, batch):
    """What a step gives to `change`."""
    change, seen = task.change, []

    def look(learned):
        seen.append(learned)
        return change(learned)

    task.change = look

    @tf.function(autograph=False)
    def step(batch):
        with precision.policy(task.options.precision):
            report = task.step(batch, tf.constant(3, tf.int64))
        return report, [each for each in tf.nest.flatten(seen[-1]) if each is not None]

    yield step(batch)
    task.close()


def _named(value):
    return value if isinstance(value, str) else "".join(value)


_QUICK = ("distortion_gan",)
_EQUAL = [
    ("proxiqa", ["--metric=mse"]),
    ("proxiqa", ["--metric=ssim"]),
    ("proxiqa", ["--metric=ssim", "--oracle=sequential", "--optimize=pretrain_proxy"]),
    ("wcdgan", ["--adversarial_weight=0", "--tv_weight=1"]),
    ("jpeg_encoder", ["--attention=conv"]),
    ("mmd_restoration", ["--dropout=0"]),
    ("rankiqa", ["--batch=48", "--dropout=0"]),
    ("rankiqa", ["--phase=finetune", "--batch=4", "--scores=none", "--dropout=0"]),
    ("distortion_gan", ["--pixel_loss=l2", "--moments_steps=0", "--init_from=run"]),
]


@pytest.mark.parametrize(("stem", "flags"), long_cases_but(_QUICK, _EQUAL), ids=_named)
def test_parts_teach_what_the_whole_batch_does(stem, flags, image_folder):
    whole, divided = (_task(stem, image_folder, count, *flags) for count in (1, 2))
    options = whole.options
    batch = next(iter(whole.dataset(Schedule(options.batch, options.seed))))
    with _learned(whole, batch) as one, _learned(divided, batch) as two:
        assert one[0].keys() == two[0].keys()
        for name, value in one[0].items():
            np.testing.assert_allclose(two[0][name], value, rtol=1e-4, err_msg=name)
        for expected, found in zip(one[1], two[1], strict=True):
            scale = np.abs(expected).max()
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * scale)


_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_TWO = ["--strategy=mirrored", "--devices=CPU:0,CPU:1"]
_AS_DEVICES = [
    ("proxiqa", ["--metric=ssim", "--average=0.5", "--scale_errors=1", "--adversarial=2"]),
    ("distortion_gan", ["--discriminator_filters=2", "--noise_input=1", "--average=0.5"]),
    ("wcdgan", ["--generator_epochs=0", "--average=0.5"]),
    ("stylegan", []),
    ("mmd_restoration", ["--max_patch=8"]),
]


def _train(stem, folder, run, *flags):
    words = [
        *_LOOP,
        *_STEMS[stem][0].split(),
        f"--train_data={folder}",
        f"--run_dir={run}",
        *flags,
    ]
    cli.main(["train", stem, *words, "--checkpoint_every=1"])


@pytest.mark.parametrize(("stem", "flags"), long_cases_but(["proxiqa"], _AS_DEVICES), ids=_named)
def test_a_part_is_what_a_device_is(stem, flags, image_folder, tmp_path):
    """Batch statistics, their moving means and what is drawn for it, too."""
    for name, how in (("devices", _TWO), ("parts", ["--accumulate=2"])):
        _train(stem, image_folder, tmp_path / name, *flags, *how, "--steps=2")
    one, two = (run_files.rows(tmp_path / name) for name in ("devices", "parts"))
    for expected, found in zip(one, two, strict=True):
        np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-4)
    saved, two = (run_files.weights(tmp_path / name) for name in ("devices", "parts"))
    one, two = _moving(saved), _moving(two)
    assert one.keys() == two.keys()
    unlike = 0
    for name, value in one.items():
        close = np.isclose(two[name], value, rtol=1e-4, atol=5e-5)
        assert np.all(close | ~_is_sure(saved, name)), name
        unlike += np.sum(~close)
    assert unlike <= 1e-5 * sum(value.size for value in one.values())


def _moving(weights):
    """All but optimizers, the pairs that wait, of which devices save one, and what has no effect.

    A bias before batch normalization has none: its gradient is rounding's, which Adam follows.
    """
    without = ("OPTIMIZER", "previous", "discriminator/convs")
    kept = {n: v for n, v in weights.items() if not any(part in n for part in without)}
    kernels = {n: v for n, v in weights.items() if "discriminator/convs" in n and "kernel" in n}
    return kept | {n: v for n, v in kernels.items() if "OPTIMIZER" not in n}


def _is_sure(weights, name):
    """Where a weight's gradient is more than rounding, whose sign Adam follows too."""
    stem = name.removesuffix(_VALUE)
    (mean,) = [
        value
        for slot, value in weights.items()
        if slot.startswith(f"{stem}/.OPTIMIZER_SLOT/") and slot.endswith(f"/m{_VALUE}")
    ] or [np.ones(())]
    return np.abs(mean) > 1e-5 * np.max(np.abs(mean))


@pytest.mark.long
@pytest.mark.parametrize(
    ("stem", "flags"),
    [
        ("proxiqa", ["--metric=ssim", "--average=0.5", "--scale_errors=1", "--adversarial=2"]),
        ("distortion_gan", ["--discriminator_filters=2"]),
    ],
    ids=_named,
)
def test_resuming_is_exact(stem, flags, image_folder, tmp_path):
    """The pair that each part waits with is saved, too."""
    flags = [*flags, "--accumulate=2"]
    _train(stem, image_folder, tmp_path / "whole", *flags, "--steps=3")
    run_files.cut(tmp_path / "whole", tmp_path / "parts", 2)
    _train(stem, image_folder, tmp_path / "parts", *flags, "--steps=3")
    run_files.assert_equal(tmp_path / "whole", tmp_path / "parts")
    with pytest.raises(UsageError, match="other options: --accumulate was 2, is 4"):
        _train(stem, image_folder, tmp_path / "parts", *flags, "--accumulate=4", "--steps=4")


@pytest.mark.parametrize(
    "policy", ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.long)]
)
def test_parts_are_summed_in_mixed_precision(policy, image_folder):
    flags = ["--metric=mse", f"--precision={policy}"]
    whole, divided = (_task("proxiqa", image_folder, count, *flags) for count in (1, 4))
    batch = next(iter(whole.dataset(Schedule(whole.options.batch, whole.options.seed))))
    with _learned(whole, batch) as one, _learned(divided, batch) as two:
        for expected, found in zip(one[1], two[1], strict=True):
            np.testing.assert_allclose(found, expected, atol=0.03 * np.abs(expected).max())


def test_an_overflow_in_one_part_skips_the_step():
    """The loss scale is halved once."""
    with precision.policy("mixed_float16"):
        optimizer = adam(0.1)
    weight = tf.Variable(1.0)
    before = float(optimizer.loss_scale)

    def learn(part):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(part * weight)
        return gradients(tape, loss, [weight], optimizer)

    for values, moved in (([1.0, np.inf], False), ([1.0, 2.0], True)):
        changes = parts.summed(learn, tf.constant(values), 2)
        optimizer.apply_gradients(zip(changes, [weight]))
        assert (float(weight) != 1.0) == moved
        assert float(optimizer.loss_scale) == before / 2


@pytest.mark.parametrize(
    ("stem", "flags", "message"),
    [
        ("wcdgan", ["--accumulate=3"], "--batch=4 cannot be shared by --accumulate=3 parts"),
        ("wcdgan", ["--accumulate=4", *_TWO], "in --accumulate=4 parts each: choose a multiple of"),
        ("wcdgan", ["--accumulate=0"], "--accumulate=0 must be at least 1"),
        ("rankiqa", ["--accumulate=8"], "--accumulate=8 must be 1, 2 or 4"),
        ("stylegan", ["--accumulate=4"], "must be a multiple of 4, got 2"),
        ("proxiqa", ["--accumulate=2", "--metric=ssim", "--proxy_loss=abs"], "whole batch's mean"),
    ],
)
def test_batches_that_cannot_be_divided_are_refused(stem, flags, message, image_folder, tmp_path):
    with pytest.raises(UsageError, match=message):
        _train(stem, image_folder, tmp_path / "run", *flags)
    assert not (tmp_path / "run" / "checkpoints").exists()
