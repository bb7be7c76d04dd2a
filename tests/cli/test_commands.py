"""Commands as a user meets them: the README's, exit statuses, the benchmark's rows."""

import json
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import tensorflow as tf
from PIL import Image

import lossylab
from lossylab.cli import __main__ as cli
from lossylab.cli.benchmark import __main__ as benchmark
from lossylab.cli.benchmark import generators as benchmark_generators
from lossylab.cli.benchmark import jpeg as benchmark_jpeg
from lossylab.cli.benchmark import restoration as benchmark_restoration
from lossylab.cli.options.installation import SECTIONS
from lossylab.core import command
from lossylab.core.errors import UsageError

README = pathlib.Path(lossylab.__file__).parent / "README.md"
# Appended to the README's commands so that they end in seconds; later flags win.
TINY = {
    "train proxiqa": "--steps=2 --filters=4 --patch=32 --batch=2 --min_scale=1",
    "train wcdgan": "--steps=2 --filters=4 --blocks=1 --patch=32 --stride=32 --batch=2",
    "train jpeg_encoder": "--steps=2 --patch=32 --batch=1 --ms_ssim_weight=0",
    "train distortion_gan": "--steps=2 --patch=32 --batch=1 --filters=2 --discriminator_filters=2",
    "restore made": "--steps=2 --fit_samples=100 --samples=50",
    "eval latent_study": "--rows=5 --tasks=downscale --images=2 --fit_samples=100",
    "train mmd_restoration": "--steps=2 --patch=16 --max_patch=16 --batch=1 --filters=4 "
    "--blocks=1 --mixtures=2 --condition_filters=4",
    "eval degradation_nll": "--window=16",
    "train rankiqa": "--steps=1 --filters=2 --units=8 --patch=64",
    "eval rankiqa": "--num_crops=2",
    "eval restoration": "--data=photos --methods=jpeg",
    "eval rd": "--data=images --models=mse:runs/vmaf/export,vmaf:runs/mse/export",
}


def _readme_commands():
    blocks = re.findall(r"```sh\n(.*?)```", README.read_text(), re.DOTALL)
    lines = [line.split("#")[0].strip() for line in "\n".join(blocks).splitlines()]
    return [line for line in lines if line.startswith("lossylab")]


def test_the_readmes_commands_are_understood(monkeypatch):
    resolve, done = command.resolve, []
    monkeypatch.setattr(
        command, "resolve", lambda path: resolve(path) if "options" in path else done.append
    )
    monkeypatch.setattr(cli, "_find_images", lambda made: None)
    commands = _readme_commands()
    assert len(commands) > 30
    for line in commands:
        cli.main(shlex.split(line)[1:])
    assert len(done) == len(commands)


@pytest.mark.long
def test_the_readmes_commands_run_in_their_order(tmp_path, monkeypatch, images, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(README.parent / "results", "results")
    for folder in ("photos", "images"):
        pathlib.Path(folder).mkdir()
        Image.fromarray(images[0]).save(f"{folder}/a.png")
    Image.fromarray(images[1]).save("image.png")
    commands = [line for line in _readme_commands() if "proxiqa_study" not in line]
    assert len(commands) >= 4
    for line in commands:
        if line.startswith("lossylab eval rd"):
            cli.main(shlex.split(f"{commands[0]} {TINY['train proxiqa']} --run_dir=runs/mse")[1:])
        extra = next((flags for key, flags in TINY.items() if f"lossylab {key} " in line), "")
        cli.main(shlex.split(f"{line} {extra}")[1:])
    assert pathlib.Path("image.lossy").stat().st_size > 60
    with Image.open("decoded.png") as decoded:
        assert decoded.size == images[1].shape[1::-1]
    assert "BD-rate against jpeg" in pathlib.Path("results/mine/table.md").read_text()
    assert pathlib.Path("results/claims.md").exists()


def test_the_studys_flag_file_in_the_readme_exists():
    (line,) = [line for line in _readme_commands() if "proxiqa_study" in line]
    (name,) = re.findall(r"--flagfile=(\S+)", line)
    assert (README.parent / "train" / "flags" / f"{name}.flags").exists()


_TRAIN = ["train", "proxiqa", "--train_data=sample_train", "--metric=mse"]


def test_training_runs_as_a_program(tmp_path):
    """Not only in-process: as a program, with its log and exit status."""
    done = subprocess.run(
        [sys.executable, "-m", "lossylab", *_TRAIN, *TINY["train proxiqa"].split(), "--run_dir=r"],
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
        ([*_TRAIN, "--run_dir=run", "--optimizer=sgd"], 2, "error: unknown flag --optimizer"),
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
    monkeypatch.setattr(benchmark, "_training_step", lambda *_: abs)
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
