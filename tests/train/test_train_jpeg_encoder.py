"""train.jpeg_encoder end to end on tiny budgets: attention, losses, exact resume, bad flags."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import run_files
import tensorflow as tf
from keras.src.utils import data_utils
from lengths import long_but

from lossylab.cli import __main__ as cli
from lossylab.core import flags as core_flags
from lossylab.core.errors import UsageError
from lossylab.inference.export.jpeg import Encoder
from lossylab.inference.export.restorer import Restorer
from lossylab.models.arcnn import ARCNN
from lossylab.models.jpeg_encoder import JPEGEncoder
from lossylab.train import jpeg_parts as parts
from lossylab.train.jpeg_parts import features_of
from lossylab.train.options.jpeg_encoder import JpegEncoderOptions

_TINY = [
    *("--train_data=sample_train", "--patch=32", "--batch=2", "--steps=4", "--weights=random"),
    *("--ms_ssim_weight=0", "--lpips_weight=0", "--log_every=1", "--summary_every=0"),
    *("--noexport", "--checkpoint_every=2", "--cache_mb=64"),
]
_TABLES = "--attention=none"


def _train(run_dir, *extra):
    cli.main(["train", "jpeg_encoder", *_TINY, f"--run_dir={run_dir}", *extra])


def _tables(run_dir, scale):
    return run_files.weights(run_dir)["encoder/scaled_tables/.ATTRIBUTES/VARIABLE_VALUE"] / scale


@pytest.mark.parametrize(
    "flags",
    [
        [_TABLES],
        pytest.param(["--attention=conv"], marks=pytest.mark.long),
        ["--attention=conv", "--backbone=resnet152_block1", "--preprocess"],
        ["--attention=lstm"],
        ["--attention=bilstm", "--lstm_input=dct", "--lstm_output=minmax"],
    ],
    ids=lambda flags: "_".join(flag.split("=")[-1].strip("-") for flag in flags),
)
def test_every_attention_trains_and_is_exported(flags, tmp_path, images):
    _train(tmp_path / "run", *flags, "--export", "--steps=2")
    rows = run_files.rows(tmp_path / "run")
    assert len(rows) == 2
    assert all(np.isfinite(list(row.values())).all() for row in rows)
    assert ("attention" in rows[0]) == (flags != [_TABLES])
    encoder = Encoder(str(tmp_path / "run" / "export"))
    assert encoder.options["attention"] == flags[0].split("=")[1]
    contents = encoder.encode(images[0][:40, :56])
    assert contents.coefficients.shape == (3, 5, 7, 8, 8)
    assert contents.tables.min() >= 1


def test_defaults_are_the_papers():
    flags = JpegEncoderOptions(run_dir="r", train_data="x", lpips="random")
    assert (flags.steps, flags.batch, flags.patch, flags.learning_rate) == (20_000, 8, 224, 1e-6)
    assert (flags.lpips_weight, flags.ms_ssim_weight) == (500, 1000)
    assert (flags.table_weight, flags.attention_weight, flags.table_scale) == (10, 1, 1e-5)
    assert (flags.attention, flags.backbone, flags.weights) == ("conv", "vgg19", "imagenet")
    assert (flags.lpips_network, flags.lstm_input, flags.lstm_output) == (
        "alex",
        "features",
        "sigmoid",
    )


def test_losses_are_the_equations(tmp_path):
    _train(
        tmp_path / "run", "--patch=168", "--batch=1", "--steps=2", "--lmbda=0.05",
        "--ms_ssim_weight=700", "--lpips_weight=300", "--lpips=random", "--table_weight=3",
        "--attention_weight=2", "--train_data=sample_test",
    )  # fmt: skip
    for row in run_files.rows(tmp_path / "run"):
        distortion = row["mse"] + 300 * row["lpips"] + 700 * row["ms_ssim"]
        wanted = 0.05 * distortion + 3 * row["tables"] + 2 * row["attention"]
        assert row["loss"] == pytest.approx(wanted, rel=1e-4)
        assert min(row.values()) > 0


@pytest.mark.long
def test_training_trades_quality_for_rate(tmp_path):
    flags = ["--steps=80", "--log_every=20", "--checkpoint_every=100", "--learning_rate=1e-5"]
    flags += ["--validation_data=sample_test", "--validate_every=40", _TABLES]
    _train(tmp_path / "low", *flags, "--lmbda=0.001")
    _train(tmp_path / "high", *flags, "--lmbda=10")
    low, high = _tables(tmp_path / "low", 1e-5), _tables(tmp_path / "high", 1e-5)
    assert low.mean() > 1.3 * high.mean()
    measured = run_files.rows(tmp_path / "low", "validation.csv")
    assert measured[1]["bpp"] < measured[0]["bpp"]
    assert measured[1]["mse"] > measured[0]["mse"]
    assert (
        run_files.rows(tmp_path / "low")[-1]["loss"] < run_files.rows(tmp_path / "low")[0]["loss"]
    )


@pytest.mark.long
def test_validation_measures_files(tmp_path):
    _train(
        tmp_path / "run", _TABLES, "--validation_data=sample_test", "--validate_every=2",
        "--lpips=random", "--lpips_weight=1",
    )  # fmt: skip
    rows = run_files.rows(tmp_path / "run", "validation.csv")
    assert [row["step"] for row in rows] == [2, 4]
    assert all(set(row) == {"step", "bpp", "mse", "ms_ssim", "lpips"} for row in rows)
    assert all(1 < row["bpp"] < 24 and row["ms_ssim"] > 0.9 for row in rows)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--backbone=vgg16"], {"backbone_features": "VGG-16 (random weights)"}),
        (["--backbone=resnet152_block1"], {}),
        ([_TABLES], {}),
        (["--attention=lstm", "--lstm_input=dct"], {}),
        (
            [_TABLES, "--perceptual=vgg19", "--perceptual_weights=random", "--lpips_weight=1"],
            {"perceptual_features": "VGG-19 (random weights)"},
        ),
    ],
)
def test_cards_name_what_is_looked_through(flags, named):
    given = [*_TINY, "--run_dir=r", *flags]
    assert features_of(core_flags.parse(JpegEncoderOptions, given)) == named


def test_the_exports_card_names_the_backbone(tmp_path):
    _train(tmp_path / "run", "--backbone=vgg16", "--steps=1", "--export")
    card = Encoder(str(tmp_path / "run" / "export")).card
    assert card["options"]["backbone_features"] == "VGG-16 (random weights)"


@pytest.mark.parametrize("flags", [[_TABLES], ["--attention=lstm", "--lstm_input=dct"]])
def test_resuming_is_exact(flags, tmp_path):
    _train(tmp_path / "whole", *flags)
    run_files.cut(tmp_path / "whole", tmp_path / "parts", 2)
    _train(tmp_path / "parts", *flags)
    run_files.assert_equal(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.long
def test_two_devices_train_like_one(tmp_path):
    flags = ["--attention=conv", "--batch=4", "--steps=2"]
    _train(tmp_path / "one", *flags)
    _train(tmp_path / "two", *flags, "--strategy=mirrored", "--devices=CPU:0,CPU:1")
    one, two = run_files.weights(tmp_path / "one"), run_files.weights(tmp_path / "two")
    for name in (n for n in one if n.startswith("encoder/") and "OPTIMIZER" not in n):
        np.testing.assert_allclose(one[name], two[name], atol=2e-6)


@pytest.mark.long
def test_a_killed_run_goes_on(tmp_path):
    command = [
        *(sys.executable, "-m", "lossylab.train.jpeg_encoder", *_TINY, _TABLES),
        *(f"--run_dir={tmp_path / 'run'}", "--steps=100000", "--checkpoint_every=20"),
    ]
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            if tf.train.latest_checkpoint(str(tmp_path / "run" / "checkpoints")):
                break
            time.sleep(0.1)
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 128 + signal.SIGTERM
    finally:
        child.kill()
    done = int(run_files.rows(tmp_path / "run")[-1]["step"])
    _train(tmp_path / "run", _TABLES, f"--steps={done + 5}", "--checkpoint_every=20")
    assert run_files.rows(tmp_path / "run")[-1]["step"] == done + 5


def test_tables_of_another_run(tmp_path):
    _train(tmp_path / "one", _TABLES, "--table_scale=1e-3", "--initial_entry=20")
    _train(
        tmp_path / "two", "--attention=lstm", "--lstm_input=dct", "--learning_rate=0",
        f"--tables_from={tmp_path / 'one'}",
    )  # fmt: skip
    np.testing.assert_allclose(
        _tables(tmp_path / "two", 1e-5), _tables(tmp_path / "one", 1e-3), rtol=1e-5
    )


def test_tables_of_an_export(tmp_path):
    encoder = JPEGEncoder(table_scale=1e-3)
    encoder.set_tables(np.arange(1, 129).reshape(2, 8, 8))
    Encoder.save(encoder, tmp_path / "export", {"table_scale": 1e-3})
    begin = ["--learning_rate=0", "--steps=1", f"--tables_from={tmp_path / 'export'}"]
    _train(tmp_path / "run", _TABLES, *begin)
    expected = np.arange(1, 129).reshape(2, 8, 8)
    np.testing.assert_allclose(_tables(tmp_path / "run", 1e-5), expected, rtol=1e-5)
    Restorer.save(ARCNN(1), tmp_path / "other", {})
    with pytest.raises(UsageError, match="--tables_from: .* is no JPEG encoder's"):
        _train(tmp_path / "two", _TABLES, f"--tables_from={tmp_path / 'other'}")


def test_a_backbone_may_stay_as_it_is(tmp_path):
    flags = ["--backbone=resnet152_block1", "--learning_rate=1e-2", "--checkpoint_every=1"]
    _train(tmp_path / "run", *flags, "--steps=2", "--notrain_backbone")
    before, after = (run_files.weights(tmp_path / "run", step) for step in (1, 2))
    names = [name for name in after if name.endswith("kernel/.ATTRIBUTES/VARIABLE_VALUE")]
    for name in names:
        assert np.array_equal(before[name], after[name]) == ("backbone" in name), name
    assert any("backbone" in name for name in names)


@pytest.mark.parametrize("attention", long_but(["none"], ["none", "lstm"]))
def test_a_rate_that_counts_bits_has_no_other_terms(attention, tmp_path):
    flags = [f"--attention={attention}", "--rate=coefficients", "--lmbda=0.02", "--average=0.5"]
    flags += ["--lstm_output=sigmoid_logits", "--attention_offset=4"] if attention == "lstm" else []
    _train(tmp_path / "run", *flags, "--final_learning_rate=1e-7", "--export")
    for row in run_files.rows(tmp_path / "run"):
        assert row["loss"] == pytest.approx(0.02 * row["mse"] + row["bits"], rel=1e-4)
    run_files.cut(tmp_path / "run", tmp_path / "parts", 2)
    _train(tmp_path / "parts", *flags, "--final_learning_rate=1e-7")
    run_files.assert_equal(tmp_path / "run", tmp_path / "parts")
    assert Encoder(tmp_path / "run" / "export").options["rate"] == "coefficients"


@pytest.mark.long
def test_features_stand_in_the_place_of_lpips(tmp_path):
    flags = ["--perceptual=vgg16", "--perceptual_weights=random", "--perceptual_blocks=2"]
    flags += ["--lpips_weight=300", "--precision=mixed_bfloat16", "--steps=2", _TABLES]
    _train(tmp_path / "run", *flags, "--validation_data=sample_test", "--validate_every=2")
    for row in run_files.rows(tmp_path / "run"):
        distortion = row["mse"] + 300 * row["feature_distance"]
        assert row["loss"] == pytest.approx(0.01 * distortion + 10 * row["tables"], rel=1e-3)
        assert 0 < row["feature_distance"] < 2
    (found,) = run_files.rows(tmp_path / "run", "validation.csv")
    assert 0 < found["feature_distance"] < 2
    assert not any("vgg" in name for name in run_files.weights(tmp_path / "run"))


@pytest.mark.long
def test_a_run_can_begin_with_another(tmp_path):
    _train(tmp_path / "one", "--attention=conv", "--steps=2")
    _train(
        tmp_path / "two", "--attention=conv", "--steps=1", "--learning_rate=0",
        f"--init_from={tmp_path / 'one'}",
    )  # fmt: skip
    one, two = run_files.weights(tmp_path / "one"), run_files.weights(tmp_path / "two")
    for name in (n for n in one if n.startswith("encoder/") and "OPTIMIZER" not in n):
        np.testing.assert_array_equal(one[name], two[name])
    with pytest.raises(UsageError, match="--init_from: .* does not fit this model's options"):
        _train(tmp_path / "three", "--backbone=resnet152", f"--init_from={tmp_path / 'one'}")
    with pytest.raises(UsageError, match="has --table_scale=1e-05, give the same"):
        _train(tmp_path / "four", "--table_scale=1", f"--init_from={tmp_path / 'one'}")


def test_attention_begins_where_it_is_told(tmp_path):
    _train(tmp_path / "run", "--attention_offset=5", "--attention_gain=0.0001", "--steps=1")
    assert run_files.rows(tmp_path / "run")[0]["attention"] == pytest.approx(
        2 / (1 + np.exp(-5)), abs=0.01
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--lmbda=0"], "--lmbda=0.0 must be above 0"),
        (["--lpips_weight=1"], "--lpips is needed, the file of LPIPS's weights"),
        (["--lpips_weight=1", "--lpips=nowhere.npz"], "weights 'nowhere.npz' of LPIPS cannot be"),
        (["--ms_ssim_weight=1"], "MS-SSIM needs --patch of at least 161 pixels, got 32"),
        (["--lpips_weight=1", "--lpips=random", "--patch=16"], "--lpips_weight needs --patch of"),
        (["--weights=nowhere.h5"], "weights 'nowhere.h5' of vgg19: no such file"),
        (["--table_scale=0"], "--table_scale=0.0 must be above 0"),
        (["--initial_entry=0.5"], "--initial_entry=0.5: table entries are at least 1"),
        (["--initial_entry=9", "--tables_from=x"], "--initial_entry and --tables_from contradict"),
        (["--tables_from=nowhere"], "--tables_from: no checkpoint in nowhere"),
        (["--lstm_output=tanh"], "--lstm_output makes no sense for --attention=conv"),
        ([_TABLES, "--attention_offset=1"], "--attention_offset makes no sense for --attention=no"),
        (["--patch=4000"], "images are smaller than the patch of 4000x4000 pixels"),
        (
            ["--lpips_weight=1", "--perceptual=vgg16"],
            "--perceptual_weights goes with --perceptual=vgg16 or vgg19, got none with vgg16",
        ),
        (["--perceptual_weights=x"], "--perceptual_weights goes with"),
        (["--rate=coefficients", "--table_weight=2"], "--table_weight make no sense with --rate="),
        ([_TABLES, "--notrain_backbone"], "--train_backbone makes no sense for --attention=none"),
        (["--attention=cnn"], "--attention=cnn is none of none, conv, lstm, bilstm"),
        (["--validate_every=5"], "--validate_every needs --validation_data"),
        (["stray"], "unexpected arguments: stray"),
    ],
)
def test_bad_usage(flags, message, tmp_path):
    with pytest.raises((UsageError, ValueError), match=message):
        _train(tmp_path / "run", *flags)
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize("flags", [[], ["--offline"]])
def test_nothing_is_downloaded_unless_it_is_asked_for(flags, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(data_utils, "urlretrieve", lambda *_, **__: pytest.fail("a download"))
    message = "--weights: .*'imagenet' of vgg19 are not in .*--nooffline"
    with pytest.raises(UsageError, match=message):
        _train(tmp_path / "run", "--weights=imagenet", *flags)


def test_a_damaged_file_of_keras_is_not_fetched_again(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(data_utils, "urlretrieve", lambda *_, **__: pytest.fail("a download"))
    kept = tmp_path / ".keras" / "models" / "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"cut")
    with pytest.raises(UsageError, match="--weights: weights 'imagenet' of vgg19 cannot be loaded"):
        _train(tmp_path / "run", "--weights=imagenet")


def test_without_a_network_imagenet_weights_are_explained(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise Exception("URL fetch failure on https://storage: no network")

    monkeypatch.setattr(tf.keras.applications, "VGG19", offline)
    with pytest.raises(UsageError, match="--weights: weights 'imagenet' of vgg19 cannot"):
        _train(tmp_path / "run", "--weights=imagenet", "--nooffline")


def test_a_dry_run_writes_nothing(tmp_path, capsys):
    _train(tmp_path / "run", "--dry_run")
    assert '"lmbda": 0.01' in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


# Studies.


def test_the_small_budget_is_sound(capsys):
    _study("--flagfile=jpeg_encoder_small", "--out=s", "--dry_run")
    lines = capsys.readouterr().out.splitlines()
    words = [line.removeprefix("lossylab train jpeg_encoder ").split() for line in lines]
    runs = [core_flags.parse(JpegEncoderOptions, each) for each in words]
    names = [os.path.basename(options.run_dir) for options in runs]
    assert len(set(names)) == len(names)
    lambdas = {name.rpartition("_")[2] for name in names}
    assert len(lambdas) >= 3
    for variant in ("start", "tables", "vgg", "vgg_ms_ssim", "resnet", "lstm", "bilstm"):
        assert {f"{variant}_{lmbda}" for lmbda in lambdas} <= set(names)


def _study(*words):
    cli.main(["train", "jpeg_encoder_study", *words])


def test_a_study_repeats_trainings_and_knows_lambdas_of_tables(capsys):
    words = ["--train_data=sample_train", "--out=s", "--dry_run"]
    words += ["--common=lpips_weight=0,ms_ssim_weight=0"]
    words += ["--variants=tables,vgg16", "--lmbdas=0.01", "--table_lmbdas=0.1,0.01"]
    _study(*words, "--trainings=2", "--table_steps=9", "--variant=vgg16*:weights=w.npz")
    lines = capsys.readouterr().out.splitlines()
    runs = [flag.partition("s/runs/")[2] for line in lines for flag in line.split()]
    assert [run for run in runs if run.count("_") > 0 and "start" not in run] == [
        *("tables_0.01", "vgg16_0.01", "tables_seed2_0.01", "vgg16_seed2_0.01"),
        *("tables_0.1", "tables_seed2_0.1"),
    ]
    assert all(("--seed=2" in line) == ("seed2" in line) for line in lines)
    assert sum("--weights=w.npz" in line for line in lines) == 2
    assert sum("--tables_from=s/runs/start_0.1" in line for line in lines) == 2


def test_variants_begin_with_tables_of_their_rate(capsys):
    words = ["--train_data=sample_train", "--out=s", "--dry_run", "--lmbdas=0.01"]
    words += ["--common=lpips_weight=0,ms_ssim_weight=0,weights=random", "--table_steps=9"]
    _study(*words, "--variants=tables,tables_bits,vgg16_bits")
    lines = capsys.readouterr().out.splitlines()
    begin = {"tables": "start", "tables_bits": "start_bits", "vgg16_bits": "start_bits"}
    for name, start in begin.items():
        (line,) = [each for each in lines if f"--run_dir=s/runs/{name}_0.01" in each]
        assert f"--tables_from=s/runs/{start}_0.01" in line.split()
    (start,) = [each for each in lines if "--run_dir=s/runs/start_bits_0.01" in each]
    assert {"--attention=none", "--rate=coefficients", "--steps=9"} <= set(start.split())
    assert len(lines) == 5
    _study(
        *words, "--variants=tables", "--common=rate=coefficients,lpips_weight=0,ms_ssim_weight=0"
    )
    start, tables = capsys.readouterr().out.splitlines()  # what is common decides
    assert "--rate=coefficients" in start.split()
    assert "--tables_from=s/runs/start_0.01" in tables.split()
    _study(*words, "--variants=vgg16", "--nooffline")
    assert all("--nooffline" in line for line in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("vgg16:weights=vgg16.npz", "vgg16_0.01: .* 'vgg16.npz' of vgg16: no such file"),
        (
            "vgg16:weights=imagenet",
            "vgg16_0.01: .* 'imagenet' of vgg16 are not in .*--nooffline",
        ),
    ],
)
def test_weights_that_are_not_there_are_said_before_anything_is_trained(
    variant, message, tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    words = ["--train_data=sample_train", f"--out={tmp_path}/s", "--lmbdas=0.01"]
    words += ["--common=lpips_weight=0,ms_ssim_weight=0", "--variants=tables,vgg16"]
    with pytest.raises(UsageError, match=message):
        _study(*words, "--table_steps=9", f"--variant={variant.replace(':', '*:')}")
    assert not (tmp_path / "s").exists()


def test_another_training_has_another_random_backbone():
    options = JpegEncoderOptions(
        train_data="x", run_dir="y", weights="random", lpips_weight=0, backbone="resnet152_block1"
    )
    one, again, other = (
        parts.make_encoder(options.replace(seed=seed)).attention.weights[0].numpy()
        for seed in (1, 1, 2)
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.long
def test_a_study_trains_tables_first(tmp_path):
    common = ",".join(flag.removeprefix("--") for flag in _TINY[1:])
    arguments = [
        *("--train_data=sample_train", f"--out={tmp_path}", f"--common={common}"),
        *("--variants=tables,lstm", "--lmbdas=0.01", "--table_steps=3"),
        *("--variant=lstm*:lstm_input=dct", "--variant=start*:learning_rate=1e-5"),
    ]
    _study(*arguments)
    names = {path.name for path in (tmp_path / "runs").iterdir()}
    assert names == {"start_0.01", "tables_0.01", "lstm_0.01"}
    assert len(run_files.rows(tmp_path / "runs" / "start_0.01")) == 3
    assert len(run_files.rows(tmp_path / "runs" / "tables_0.01")) == 4
    begun = _tables(tmp_path / "runs" / "start_0.01", 1e-5)
    np.testing.assert_allclose(_tables(tmp_path / "runs" / "lstm_0.01", 1e-5), begun, atol=0.6)
    _study(*arguments)  # nothing is left to do
    with pytest.raises(UsageError, match="--variants=gru is none of tables, "):
        _study(*arguments, "--variants=gru")
    with pytest.raises(UsageError, match="--variant=gru:steps=1: no variant gru"):
        _study(*arguments, "--variant=gru:steps=1")
