"""train.proxiqa end to end on tiny models: every mode, exact resume, several devices, bad flags."""

import json
import os
import pathlib
import random as random_module
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import run_files
import tensorflow as tf
from lengths import long_but
from PIL import Image

from lossylab.cli import __main__ as cli
from lossylab.core.errors import CollectionError, FFmpegError, ImageError, OutputError, UsageError
from lossylab.data.decode import read_image
from lossylab.inference.export.codec import Codec
from lossylab.train import proxiqa
from lossylab.train.loop.oracle import Oracle, libvmaf_oracle

_TINY = [
    *("--train_data=sample_train", "--filters=4", "--patch=32", "--batch=4", "--steps=6"),
    *("--log_every=2", "--summary_every=0", "--checkpoint_every=3", "--noexport", "--cache_mb=64"),
]


def _train(run_dir, *extra):
    cli.main(["train", "proxiqa", *_TINY, f"--run_dir={run_dir}", *extra])


@pytest.fixture(scope="module")
def run_of(tmp_path_factory):
    """The run of six steps that a training with these flags gives; each is made once."""
    made = {}

    def find(*flags):
        if flags not in made:
            made[flags] = tmp_path_factory.mktemp("run") / "run"
            _train(made[flags], *flags)
        return made[flags]

    return find


def _networks(weights):
    """Those numbers that are weights of codec and proxy."""
    return {
        name: value
        for name, value in weights.items()
        if name.startswith(("codec/", "proxy/")) and "OPTIMIZER_SLOT" not in name
    }


_SEQUENTIAL = ["--oracle=sequential", "--noidentical_pairs", "--proxy_loss=abs"]


_QUICK = [
    ["--metric=mse"],
    ["--metric=vmaf"],
    ["--metric=ssim", "--optimize=direct"],
]


@pytest.mark.parametrize(
    "flags",
    long_but(
        _QUICK,
        [
            *_QUICK,
            ["--metric=vmaf", "--optimize=pretrain_proxy"],
            ["--codec=bmshj2018", "--metric=vmaf"],
            ["--metric=mse", "--pixel_norm=l1"],
            ["--metric=vmaf", *_SEQUENTIAL],
            ["--metric=ssim"],
            ["--metric=vif"],
            ["--metric=ms_ssim", "--patch=112", "--batch=2"],
            ["--metric=ms_ssim", "--optimize=direct", "--alpha=1", "--patch=112", "--batch=2"],
            ["--codec=bmshj2018", "--metric=mse"],
        ],
    ),
    ids=" ".join,
)
def test_every_mode_trains_what_it_should(flags, run_of):
    run = run_of(*flags)
    start, end = run_files.weights(run, 3), run_files.weights(run, 6)
    changed = {name.split("/")[0] for name in end if not np.array_equal(start[name], end[name])}
    uses_proxy = "--metric=mse" not in flags and "--optimize=direct" not in flags
    assert ("codec" in changed) == ("--optimize=pretrain_proxy" not in flags)
    assert ("proxy" in changed) == uses_proxy
    rows = run_files.rows(run)
    assert [row["step"] for row in rows] == [2, 4, 6]
    assert all(np.isfinite(list(row.values())).all() for row in rows)
    assert ("score" in rows[0]) == uses_proxy


def test_the_same_command_gives_the_same_numbers(run_of, tmp_path):
    _train(tmp_path / "again", "--metric=vmaf")
    run = run_of("--metric=vmaf")
    run_files.assert_equal(run, tmp_path / "again")
    assert (run / "metrics.csv").read_text() == (tmp_path / "again/metrics.csv").read_text()


@pytest.mark.parametrize(
    "flags", long_but([[]], [[], _SEQUENTIAL, ["--codec=bmshj2018"]]), ids=" ".join
)
def test_resumed_equals_straight_bit_for_bit(flags, run_of, tmp_path):
    run = run_of("--metric=vmaf", *flags)
    run_files.cut(run, tmp_path / "resumed", 3)
    _train(tmp_path / "resumed", "--metric=vmaf", *flags)
    run_files.assert_equal(run, tmp_path / "resumed")
    assert (run / "metrics.csv").read_text() == (tmp_path / "resumed/metrics.csv").read_text()


@pytest.mark.long
def test_overlapped_oracle_teaches_the_same_pairs_one_step_later(tmp_path):
    """With a frozen codec, overlapping only delays: losses repeat the first pair's, then shift."""
    flags = ["--metric=vmaf", "--learning_rate=0", "--log_every=1", "--proxy_learning_rate=0"]
    _train(tmp_path / "now", *flags, "--oracle=sequential")
    _train(tmp_path / "late", *flags)
    now = [row["score"] for row in run_files.rows(tmp_path / "now")]
    late = [row["score"] for row in run_files.rows(tmp_path / "late")]
    assert len(set(now)) > 1
    np.testing.assert_allclose(late, [now[0], *now[:-1]], rtol=1e-5)


def _command(run_dir, steps, *extra):
    return [
        *(sys.executable, "-m", "lossylab.train.proxiqa", *_TINY),
        *(f"--run_dir={run_dir}", f"--steps={steps}", *extra),
    ]


def _kill_at_random_moments(run_dir, steps, kills, seed):
    """Starts the training again and again and kills it; returns the steps it had done each time."""
    moments = random_module.Random(seed)
    done = []
    while len(done) < kills:
        started = time.time()
        child = subprocess.Popen(_command(run_dir, steps), stderr=subprocess.DEVNULL)
        _wait_for_progress(run_dir, child, started)
        time.sleep(moments.uniform(0, 2))
        assert child.poll() is None, "it ended before it was killed: more steps are needed"
        child.send_signal(signal.SIGKILL)
        child.wait()
        done.append(_saved_step(run_dir))
    assert subprocess.run(_command(run_dir, steps), stderr=subprocess.DEVNULL).returncode == 0
    return done


def _wait_for_progress(run_dir, child, started):
    """Waits until a process has trained: it holds the lock, and then writes a row."""
    lock, rows = (pathlib.Path(run_dir) / name for name in ("lock", "metrics.csv"))
    while not (
        lock.exists()
        and rows.exists()
        and lock.stat().st_mtime >= started - 0.01
        and len(rows.read_text().splitlines()) > 2
        and rows.stat().st_mtime > lock.stat().st_mtime + 1
    ):
        assert child.poll() is None, "training ended before it could be disturbed"
        assert time.time() < started + 120
        time.sleep(0.02)


def _saved_step(run_dir):
    newest = tf.train.latest_checkpoint(str(pathlib.Path(run_dir) / "checkpoints"))
    return int(newest.rsplit("-", 1)[1]) if newest else 0


@pytest.mark.long
@pytest.mark.parametrize(("kills", "steps"), [(2, 400), (10, 2000)])
def test_killed_runs_end_with_the_weights_of_one_never_killed(kills, steps, tmp_path):
    straight = subprocess.run(_command(tmp_path / "straight", steps), stderr=subprocess.DEVNULL)
    assert straight.returncode == 0
    done = _kill_at_random_moments(tmp_path / "killed", steps, kills, seed=kills)
    assert done == sorted(done), "no start lost what an earlier one had saved"
    assert 0 < done[-1] < steps
    run_files.assert_equal(tmp_path / "straight", tmp_path / "killed")
    one, other = (tmp_path / name / "metrics.csv" for name in ("straight", "killed"))
    assert one.read_text() == other.read_text()


@pytest.mark.long
@pytest.mark.parametrize(
    ("metric", "number"),
    [
        ("vmaf", signal.SIGINT),
        ("mse", signal.SIGTERM),
        ("mse", signal.SIGINT),
        ("vmaf", signal.SIGTERM),
    ],
)
def test_a_signal_to_the_whole_group_saves_and_exits_with_its_number(metric, number, tmp_path):
    """A terminal's Ctrl-C and many job managers signal ffmpeg too."""
    started = time.time()
    command = _command(tmp_path, 10**6, f"--metric={metric}")
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    _wait_for_progress(tmp_path, child, started)
    os.killpg(child.pid, number)
    assert child.wait(60) == 128 + number
    assert 0 <= _saved_step(tmp_path) - run_files.rows(tmp_path)[-1]["step"] < 2  # log_every


def test_a_rate_that_falls_over_all_steps_keeps_their_number(tmp_path):
    flags = ["--metric=mse", "--final_learning_rate=1e-5"]
    _train(tmp_path, *flags, "--steps=1")
    with pytest.raises(UsageError, match="steps was 1, is 2"):
        _train(tmp_path, *flags, "--steps=2")


@pytest.mark.parametrize(
    "flags", long_but([[]], [[], _SEQUENTIAL]), ids=["overlapped", "sequential"]
)
def test_two_devices_equal_one(flags, run_of, tmp_path):
    flags = ["--metric=vmaf", *flags]
    two = tmp_path / "two"
    _train(two, *flags, "--steps=4", "--strategy=mirrored", "--devices=CPU:0,CPU:1")
    _assert_near(run_of(*flags), two)
    for a, b in zip(run_files.rows(run_of(*flags)), run_files.rows(two)):
        np.testing.assert_allclose(list(a.values()), list(b.values()), rtol=1e-4)


def _assert_near(run, other):
    """Holds a run's networks after three steps near to those of one on two devices."""
    one, two = run_files.weights(run, 3), run_files.weights(other, 3)
    for name, value in _networks(one).items():
        np.testing.assert_allclose(two[name], value, rtol=1e-3, atol=2e-6, err_msg=name)


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.mark.long
def test_two_workers_over_loopback_equal_one(run_of, tmp_path):
    flags = ["--metric=vmaf", "--strategy=multiworker"]
    workers = [f"127.0.0.1:{port}" for port in _free_ports(2)]
    children = []
    for index in range(2):
        task = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        children.append(
            subprocess.Popen(
                _command(tmp_path / "two", 3, *flags),
                env={**os.environ, "TF_CONFIG": json.dumps(task)},
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    said = [child.communicate(timeout=200)[1] for child in children]
    assert [child.returncode for child in children] == [0, 0], "\n".join(said)[-3000:]
    _assert_near(run_of("--metric=vmaf"), tmp_path / "two")


# The hyperprior's files are coded with deviations of a table, which costs up to a per cent.
@pytest.mark.parametrize(
    ("kind", "exact"), [("bls2017", 1e-3), pytest.param("bmshj2018", 1e-2, marks=pytest.mark.long)]
)
def test_validation_export_and_images(kind, exact, tmp_path):
    image = read_image(_sample("chelsea"))[:100, :120]
    (tmp_path / "images").mkdir()
    Image.fromarray(image).save(tmp_path / "images" / "a.png")
    _train(
        tmp_path / "run",
        f"--codec={kind}",
        "--metric=mse",
        "--export",
        f"--validation_data={tmp_path / 'images'}",
        "--validate_every=3",
        "--summary_every=3",
    )
    rows = run_files.rows(tmp_path / "run", "validation.csv")
    assert [row["step"] for row in rows] == [3, 6]
    codec = Codec(str(tmp_path / "run" / "export"))
    decoded, bits = codec.reconstruct(image)
    assert decoded.shape == image.shape
    assert bits / image[..., 0].size == pytest.approx(rows[-1]["bpp_estimated"], rel=exact)
    assert codec.model == kind
    assert codec.options["metric"] == "mse"
    tags = set()
    for event_file in (tmp_path / "run" / "summaries").iterdir():
        for event in tf.compat.v1.train.summary_iterator(str(event_file)):
            tags |= {value.tag for value in event.summary.value}
    assert {"original", "reconstruction", "train/loss", "validation/vmaf"} <= tags


def _sample(name):
    from lossylab.data.collections import find_images

    return next(path for path in find_images("sample_test") if name in path)


def test_a_run_begins_with_the_codec_and_proxy_of_another(run_of, tmp_path):
    first = run_of("--metric=vmaf")
    _train(
        tmp_path / "second",
        *("--metric=vmaf", f"--init_from={first}", "--steps=1"),
        *("--learning_rate=0", "--proxy_learning_rate=0"),
    )
    first, second = run_files.weights(first), run_files.weights(tmp_path / "second")
    for name in _networks(first):
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    assert second["step/.ATTRIBUTES/VARIABLE_VALUE"] == 1


_PRETRAIN = ["--metric=vmaf", "--optimize=pretrain_proxy"]


@pytest.mark.long
def test_frozen_proxy_stays_as_it_was_pretrained(run_of, tmp_path):
    proxy = run_of(*_PRETRAIN)
    _train(
        tmp_path / "codec",
        *("--metric=vmaf", "--optimize=frozen_proxy", f"--proxy_from={proxy}"),
    )
    before, after = run_files.weights(proxy), run_files.weights(tmp_path / "codec")
    for name in _networks(before):
        if name.startswith("proxy/"):
            np.testing.assert_array_equal(before[name], after[name])
    rows = run_files.rows(tmp_path / "codec")
    assert {"proxy", "proxy_std", "score", "score_std"} <= rows[0].keys()


@pytest.mark.long
def test_proxy_learns_from_a_codec_that_stays_as_it_is(run_of, tmp_path):
    codec = run_of("--metric=mse")
    _train(tmp_path / "proxy", *_PRETRAIN, f"--init_from={codec}")
    before, proxy = run_files.weights(codec), run_files.weights(tmp_path / "proxy")
    for name in _networks(before):
        np.testing.assert_array_equal(before[name], proxy[name])
    scores = [run_files.rows(run)[0]["score"] for run in (tmp_path / "proxy", run_of(*_PRETRAIN))]
    assert scores[0] + 10 < scores[1]  # an untrained codec's images are worse than most


def test_a_proxy_of_another_metric_is_refused(run_of, tmp_path):
    with pytest.raises(UsageError, match="has a proxy for vmaf, not ssim"):
        _train(tmp_path / "a", "--metric=ssim", f"--proxy_from={run_of('--metric=vmaf')}")
    coarser = ["--metric=ssim", "--ssim_scale=2", "--patch=64"]
    with pytest.raises(UsageError, match="has a proxy for ssim, not ssim of means of 2x2 pixels"):
        _train(tmp_path / "b", *coarser, f"--proxy_from={run_of('--metric=ssim')}")


@pytest.mark.long
def test_a_proxy_of_another_metric_is_not_taken(run_of, tmp_path):
    other = run_of("--metric=ssim")
    flags = ["--steps=1", "--learning_rate=0", "--proxy_learning_rate=0"]
    _train(tmp_path / "b", "--metric=vmaf", f"--init_from={other}", *flags)
    ssim, vmaf = (_networks(run_files.weights(run)) for run in (other, tmp_path / "b"))
    same = {name.split("/")[0] for name in ssim if np.array_equal(ssim[name], vmaf[name])}
    assert "codec" in same
    assert not np.array_equal(*(w["proxy/dense/.ATTRIBUTES/VARIABLE_VALUE"] for w in (ssim, vmaf)))


def test_resuming_on_other_images_is_refused(tmp_path):
    (tmp_path / "images").mkdir()
    for i in range(3):
        Image.new("RGB", (40, 40), (i, i, i)).save(tmp_path / "images" / f"{i}.png")
    flags = ["--metric=mse", f"--train_data={tmp_path / 'images'}"]
    _train(tmp_path / "run", *flags, "--steps=2")
    (tmp_path / "images" / "2.png").unlink()
    with pytest.raises(UsageError, match="`train_images` was '3 images.* is '2 images"):
        _train(tmp_path / "run", *flags, "--steps=4")


def test_a_damaged_validation_image_is_found_before_training(tmp_path):
    (tmp_path / "images").mkdir()
    Image.new("RGB", (100, 100)).save(tmp_path / "images" / "a.png")
    whole = (tmp_path / "images" / "a.png").read_bytes()
    (tmp_path / "images" / "a.png").write_bytes(whole[:-30])
    flags = [f"--validation_data={tmp_path / 'images'}", "--validate_every=2"]
    with pytest.raises(ImageError, match="a.png: cannot be decoded, is it damaged"):
        _train(tmp_path / "run", "--metric=mse", *flags)
    assert not (tmp_path / "run").exists()


def test_without_ffmpeg_a_training_that_needs_it_does_not_begin(tmp_path, monkeypatch):
    monkeypatch.setenv("LOSSYLAB_FFMPEG", "nowhere")
    with pytest.raises(FFmpegError, match="LOSSYLAB_FFMPEG=nowhere is not an executable program"):
        _train(tmp_path / "run", "--metric=vmaf")


def test_loading_parts_that_do_not_fit_is_refused(run_of, tmp_path):
    mse = run_of("--metric=mse")
    with pytest.raises(
        UsageError,
        match=r"--init_from: .* does not fit this model's options, .*: of another shape: "
        r"codec/\S+ \[.*\b4\b.*\], here \[.*\b6\b.*\], .* and \d+ more$",
    ):
        _train(tmp_path / "a", "--filters=6", f"--init_from={mse}")
    with pytest.raises(UsageError, match="--init_from: no checkpoint in"):
        _train(tmp_path / "b", f"--init_from={tmp_path / 'nothing'}")
    frozen = ["--metric=vmaf", "--optimize=frozen_proxy", f"--proxy_from={mse}"]
    with pytest.raises(UsageError, match="--proxy_from: the run .* has no proxy"):
        _train(tmp_path / "c", *frozen)


def test_dry_run_prints_the_options_and_does_nothing(tmp_path, capsys):
    _train(tmp_path / "run", "--dry_run", "--lmbda=0.25")
    options = json.loads(capsys.readouterr().out)
    assert options["lmbda"] == 0.25
    assert options["environment"]["packages"]["tensorflow"] == "2.14.1"
    assert not (tmp_path / "run").exists()


def test_defaults_are_the_papers(capsys):
    cli.main(["train", "proxiqa", "--dry_run", "--run_dir=x", "--train_data=sample_train"])
    options = json.loads(capsys.readouterr().out)
    paper = {
        "filters": 192,
        "batch": 8,
        "patch": 128,
        "steps": 2_100_000,
        "drop_step": 2_000_000,
        "learning_rate": 1e-4,
        "proxy_learning_rate": 1e-4,
        "pixel_norm": "l2",
        "metric": "vmaf",
        "optimize": "proxy",
    }
    assert {name: options[name] for name in paper} == paper


def test_learning_rates_drop_at_their_step():
    rate = proxiqa._dropped(1e-4, 5)
    rates = [float(rate(step)) for step in range(8)]
    np.testing.assert_allclose(rates, [1e-4] * 5 + [1e-5] * 3, rtol=1e-6)


@pytest.mark.parametrize(
    ("flags", "error", "message"),
    [
        (["--run_dir="], UsageError, "--run_dir is needed"),
        (["--train_data="], UsageError, "--train_data is needed"),
        (["--train_data=nowhere"], CollectionError, "no images found for 'nowhere'"),
        (["--metric=lpips"], UsageError, "--metric=lpips is none of mse, ssim, ms_ssim, vmaf, vif"),
        (["--steps=0"], UsageError, "--steps=0"),
        (["--batch=x"], UsageError, "--batch takes a whole number, got 'x'"),
        (["--alpha=1.5"], UsageError, "--alpha=1.5"),
        (["--min_scale=0"], UsageError, "--min_scale=0.0 must be above 0"),
        (["--patch=40"], UsageError, "--patch=40 must be a multiple of 16"),
        (["--patch=16"], UsageError, "--metric=vmaf needs --patch of at least 32 pixels, got 16"),
        (["--metric=ms_ssim", "--patch=96"], UsageError, "needs --patch of at least 97 pixels"),
        (["--metric=ssim", "--ssim_scale=2", "--patch=48"], UsageError, "of at least 64 pixels"),
        (["--ssim_scale=2"], UsageError, "--ssim_scale goes with --metric=ssim alone"),
        (["--metric=mse", "--optimize=direct"], UsageError, "needs a perceptual --metric"),
        (["--metric=vif", "--optimize=direct"], UsageError, "ssim or ms_ssim, not vif"),
        (["--optimize=frozen_proxy"], UsageError, "needs --proxy_from"),
        (["--metric=mse", "--proxy_from=x"], UsageError, "no proxy is used"),
        (["--validate_every=5"], UsageError, "--validate_every needs --validation_data"),
        (["--devices=CPU:0"], UsageError, "--devices goes with --strategy=mirrored, not one"),
        (["--strategy=mirrored", "--devices=GPU:7"], UsageError, "no GPU:7 here"),
        (
            ["--strategy=mirrored", "--devices=CPU:0,CPU:1", "--batch=3"],
            UsageError,
            "--batch=3 cannot be shared by 2 devices",
        ),
        (["surplus"], UsageError, "unexpected arguments: surplus"),
        (["--run_dir=/proc/run"], OutputError, "cannot create the folder /proc/run"),
        (["--lmbda=nan"], UsageError, "--lmbda=nan is not a finite number"),
        (["--seed=3000000000"], UsageError, "--seed=3000000000"),
        (["--cache_mb=-1"], UsageError, "--cache_mb=-1"),
        (["--patch=512"], ImageError, "smaller than the patch of 512x512"),
    ],
)
def test_wrong_flags_stop_before_work_and_say_what_to_do(flags, error, message, tmp_path):
    with pytest.raises(error) as raised:
        _train(tmp_path / "run", *flags)
    assert message in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_resuming_with_other_options_names_them(run_of):
    with pytest.raises(UsageError, match="--lmbda was 0.01, is 0.5; --metric was 'mse', is 'ssim'"):
        _train(run_of("--metric=mse"), "--metric=ssim", "--lmbda=0.5")


def test_a_flag_file_is_read(tmp_path, capsys):
    (tmp_path / "a.flags").write_text("# comment\n--metric=ssim\n--lmbda=0.125\n")
    _train(tmp_path / "run", f"--flagfile={tmp_path / 'a.flags'}", "--dry_run")
    options = json.loads(capsys.readouterr().out)
    assert (options["metric"], options["lmbda"]) == ("ssim", 0.125)


def test_oracle_collects_what_was_submitted_and_scores_the_rest(random):
    calls = []

    def score(reference, distorted):
        calls.append(reference.copy())
        return distorted.mean((1, 2, 3)).astype(np.float32)

    oracle = Oracle(score)
    pair = [tf.constant(random.uniform(-20, 280, (2, 4, 4, 3)), tf.float32) for _ in range(2)]
    expected = np.clip(np.round(pair[1]), 0, 255).mean((1, 2, 3))

    @tf.function
    def submit_and_collect():
        oracle.submit(tf.constant(3, tf.int64), *pair)
        return oracle.collect(tf.constant(3, tf.int64), *pair)

    np.testing.assert_allclose(submit_and_collect(), expected, rtol=1e-6)
    np.testing.assert_allclose(oracle.collect(tf.constant(4, tf.int64), *pair), expected, rtol=1e-6)
    oracle.close()
    assert len(calls) == 2
    assert calls[0].dtype == np.uint8


def test_unknown_metric_has_no_oracle():
    with pytest.raises(ValueError, match="no oracle for 'psnr', expected one of vmaf, ssim, vif"):
        libvmaf_oracle("psnr")
