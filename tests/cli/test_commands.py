"""Commands as a user meets them: as programs, exit statuses, the benchmark's rows."""

import json
import subprocess
import sys

import pytest
import tensorflow as tf

from lossylab.cli import __main__ as cli
from lossylab.cli.benchmark import __main__ as benchmark
from lossylab.cli.benchmark import generators as benchmark_generators
from lossylab.cli.benchmark import jpeg as benchmark_jpeg
from lossylab.cli.benchmark import restoration as benchmark_restoration
from lossylab.cli.options.installation import SECTIONS
from lossylab.core.errors import UsageError

_TINY = "--steps=2 --filters=4 --patch=32 --batch=2 --min_scale=1"
_TRAIN = ["train", "proxiqa", "--train_data=sample_train", "--metric=mse"]


def test_training_runs_as_a_program(tmp_path):
    """Not only in-process: as a program, with its log and exit status."""
    done = subprocess.run(
        [sys.executable, "-m", "lossylab", *_TRAIN, *_TINY.split(), "--run_dir=r"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "r" / "export" / "saved_model.pb").exists()
    assert "2/2" in done.stderr  # the progress bar
    said = ["done: r", "written to r: export"]
    said += ["next: lossylab compress IMAGE IMAGE.lossy --model=r/export"]
    assert done.stderr.splitlines()[-3:] == said


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["restore", "sample_test", "out", "--quality=0"], 2, "error: --quality=0 must be"),
        (["doctor"], 1, "error: not working: libvmaf"),
        (["--help"], 0, ""),
        ([*_TRAIN, "--run_dir=run", "--optimiser=sgd"], 2, "error: unknown flag --optimiser"),
    ],
)
def test_exit_status_tells_wrong_usage_from_failure(arguments, status, message, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "lossylab", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "LOSSYLAB_FFMPEG": "nowhere"},
    )
    assert done.returncode == status, done.stderr
    assert done.stderr.startswith(message)
    assert "Traceback" not in done.stderr


def test_benchmark_tells_times_as_rates_and_ratios(monkeypatch, capsys):
    times = {"ours": 0.5, "tfc": 2.0, "narrow": 0.25}
    monkeypatch.setattr(benchmark, "_TfcBLS", abs)
    monkeypatch.setattr(benchmark, "_training_step", lambda *_, **__: abs)
    monkeypatch.setattr(benchmark, "samples", lambda work, _: {n: [times[n]] for n in work})
    rows = cli.main(["benchmark", "--sections=step", "--filters=2", "--json"])
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == rows
    bls, bmshj = rows
    assert (bls["codec"], bmshj["codec"]) == ("bls2017", "bmshj2018")
    assert bls["steps_per_second"] == bmshj["steps_per_second"] == 2
    assert bls["tfc_steps_per_second"] == 0.5
    assert (bls["ratio"], bls["ratio_mixed_bfloat16"]) == (4, 8)


@pytest.mark.long
def test_benchmark_measures_a_training_step(capsys):
    rows = cli.main(["benchmark", "--sections=step", "--filters=2", "--rounds=3", "--json"])
    assert {row["section"] for row in rows} == {"step"}
    assert len(capsys.readouterr().out.splitlines()) == len(rows)
    step = next(row for row in rows if "ratio" in row)
    assert step["ratio"] == pytest.approx(
        step["steps_per_second"] / step["tfc_steps_per_second"], rel=1e-6
    )


@pytest.mark.long
def test_benchmark_measures_every_section(monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "_MANY_PATHS", 1000)
    monkeypatch.setattr(benchmark, "_MEMORY_STEPS", 4)
    small = {"arcnn_rgb": ("arcnn", 3, {}), "tnrd": ("tnrd", 1, {"stages": 1})}
    monkeypatch.setattr(benchmark_restoration, "_NETWORKS", small)
    monkeypatch.setattr(benchmark_restoration, "_LARGE_NETWORKS", ("arcnn_rgb",))
    monkeypatch.setattr(benchmark_restoration, "_LARGE", (700, 800))
    monkeypatch.setattr(benchmark_jpeg, "_ENCODERS", {"no attention": lambda: None})
    monkeypatch.setattr(benchmark_jpeg, "_TRAINED", ("vgg19",))
    monkeypatch.setattr(benchmark_generators, "_WIDTHS", (2,))
    monkeypatch.setattr(benchmark_generators, "_COMPARED", 1)
    monkeypatch.setattr(benchmark_generators, "_SEARCHES", {"stylegan2, 32": (2, 32)})
    tiny = {"filters": 2, "blocks": 1, "mixtures": 1}
    monkeypatch.setattr(benchmark_generators, "_SAMPLED", {"tiny": (tiny, 8)})
    rows = cli.main(["benchmark", "--filters=2", "--rounds=3", "--json"])
    assert {row["section"] for row in rows} == set(SECTIONS)
    assert len(capsys.readouterr().out.splitlines()) == len(rows)


def test_benchmark_compares_one_model(random):
    """tfc's layers with our weights give our loss: the comparison is of equal things."""
    image = tf.constant(random.uniform(0, 255, (8, 128, 128, 3)), tf.float32)
    from lossylab.models.bls2017 import BLS2017

    ours, theirs = BLS2017(4), benchmark._TfcBLS(4)
    convs = [layer for layer in ours.analysis_transform.layers if hasattr(layer, "kernel")]
    for mine, layer in zip(convs, theirs.analysis.layers):
        parts = tf.split(tf.transpose(mine.kernel.coefficients, (1, 2, 0)), 2, axis=2)
        for variable, part in zip(
            (layer.kernel_parameter.real, layer.kernel_parameter.imag), parts
        ):
            variable.assign(tf.reshape(part, variable.shape))
    assert [v.shape for v in ours.prior.trainable_variables] == [
        v.shape for v in theirs.entropy_model.prior.trainable_variables
    ]
    latent = ours.analysis(image)
    tf.debugging.assert_near(theirs.analysis(image / 255.0), latent, rtol=1e-3, atol=1e-4)


def test_benchmark_refuses_unknown_sections():
    with pytest.raises(
        UsageError,
        match=f"--sections knows {', '.join(SECTIONS)}, not x",
    ):
        cli.main(["benchmark", "--sections=x"])
