"""train.wcdgan end to end on tiny networks: all models, two phases, exact resume, bad flags."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest
import run_files
from lengths import long_but, long_cases_but

from lossylab.cli import __main__ as cli
from lossylab.core import flags as core_flags
from lossylab.core.digest import file_digest
from lossylab.core.errors import CollectionError, DivergedError, UsageError
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.data.jpeg import degrade
from lossylab.data.lattice_pairs import Lattice, LatticeOptions
from lossylab.inference.export.restorer import Restorer
from lossylab.inference.export.restoring import candidates
from lossylab.models.backbones import vgg
from lossylab.models.restorers import NETWORKS
from lossylab.train.loop.optimizers import Halving, scheduled
from lossylab.train.options import studies
from lossylab.train.options.wcdgan import MEMNET, Recipe, WcdganOptions
from lossylab.train.session import Files
from lossylab.train.wcdgan import RestorationTask, make_network, train

_TINY = [
    *("--train_data=sample_train", "--patch=32", "--stride=256", "--batch=2", "--steps=4"),
    *("--channels=y", "--weights=random", "--log_every=1", "--summary_every=0", "--noexport"),
    *("--checkpoint_every=2", "--cache_mb=64"),
]
_SMALL = {
    "wcdgan": ["--filters=4", "--blocks=1"],
    "memnet": ["--filters=4", "--blocks=1"],
    "dncnn": ["--filters=4", "--layers=3"],
    "mwcnn": ["--filters=4"],
    "tnrd": ["--layers=1"],
    "arcnn": [],
}
_CONTENT = ["--perceptual_weight=0", "--adversarial_weight=0"]


def _train(run_dir, *extra, model="wcdgan"):
    words = [*_TINY, f"--model={model}", *_SMALL[model], f"--run_dir={run_dir}", *extra]
    cli.main(["train", "wcdgan", *words])


# A network of luma and the GAN's own; tests/golden_models.py holds what all networks are.
_TRAINED = ("wcdgan", "tnrd")


@pytest.mark.parametrize(
    "model",
    [*_TRAINED, *(pytest.param(n, marks=pytest.mark.long) for n in NETWORKS if n not in _TRAINED)],
)
def test_every_network_trains_and_is_exported(model, tmp_path, images):
    channels = "y" if model in ("tnrd", "memnet") else "rgb"
    _train(tmp_path / "run", *_CONTENT, f"--channels={channels}", "--export", model=model)
    rows = run_files.rows(tmp_path / "run")
    assert len(rows) == 4
    assert all(np.isfinite(list(row.values())).all() for row in rows)
    network = Restorer(str(tmp_path / "run" / "export"))
    assert network.quality == 10
    assert network.channels == (1 if channels == "y" else 3)
    image = images[0][:40, :56, : network.channels]
    assert network.restore(image).shape == image.shape


def test_training_lowers_the_loss(tmp_path):
    flags = ("--steps=60", "--learning_rate=1e-2", "--train_data=sample_test", "--log_every=10")
    _train(tmp_path / "run", *_CONTENT, *flags, "--checkpoint_every=100")
    rows = run_files.rows(tmp_path / "run")
    assert rows[-1]["content"] < rows[0]["content"]


def _two_steps_alone():
    """Flags with which the generator learns alone for two steps of two patches."""
    total = Lattice(find_images("sample_test"), LatticeOptions(32, 16, 10, 1)).total
    return [f"--generator_epochs={2 * 2 / total}", "--train_data=sample_test", "--stride=16"]


@pytest.fixture(scope="module")
def phased(tmp_path_factory):
    """A run whose generator learns alone in the first two of four steps."""
    path = tmp_path_factory.mktemp("phases") / "run"
    _train(path, *_two_steps_alone(), "--checkpoint_every=1", "--keep_checkpoints=4")
    return path


def test_the_generator_learns_alone_at_first(phased):
    rows = run_files.rows(phased)
    assert [row["discriminator"] > 0 for row in rows] == [False, False, True, True]
    assert [row["adversarial"] > 0 for row in rows] == [False, False, True, True]
    assert all(row["perceptual"] > 0 and row["tv"] > 0 for row in rows)
    one, two, four = (run_files.weights(phased, step) for step in (1, 2, 4))
    mine = [n for n in four if n.startswith("discriminator/") and "OPTIMIZER" not in n]
    assert all(np.array_equal(one[name], two[name]) for name in mine)
    moved = [name for name in mine if not np.array_equal(two[name], four[name])]
    assert len(moved) > len(mine) / 2


@pytest.mark.parametrize("stop", [2, *(pytest.param(n, marks=pytest.mark.long) for n in (1, 3))])
def test_resuming_is_exact_across_the_phases(stop, phased, tmp_path):
    run_files.cut(phased, tmp_path / "parts", stop)
    _train(tmp_path / "parts", *_two_steps_alone(), "--checkpoint_every=1")
    run_files.assert_equal(phased, tmp_path / "parts")
    assert run_files.rows(phased) == run_files.rows(tmp_path / "parts")


@pytest.mark.long
def test_losses_weigh_as_told(tmp_path):
    _train(tmp_path / "run", "--adversarial_weight=0", "--tv_weight=3", "--content_weight=0.5")
    for row in run_files.rows(tmp_path / "run"):
        wanted = 0.5 * row["content"] + row["perceptual"] + 3 * row["tv"]
        assert row["loss"] == pytest.approx(wanted, rel=1e-4)


def _weights_file(path):
    """A VGG-16's archive, all of whose layers count."""
    network = vgg.VGG("vgg16", "random")
    names = [layer for layer, width in vgg._plan("vgg16") if width]
    arrays = {}
    for name, kernel, bias in zip(names, network.kernels, network.biases):
        arrays |= {f"{name}/kernel": kernel.numpy().astype(np.float16), f"{name}/bias": bias}
    np.savez(path, **arrays)


@pytest.mark.long
def test_the_backbone_is_named_by_card_and_run(tmp_path):
    _weights_file(tmp_path / "vgg.npz")
    words = ["--backbone=vgg16", f"--weights={tmp_path / 'vgg.npz'}", "--adversarial_weight=0"]
    _train(tmp_path / "run", *words, "--steps=1", "--export")
    card = Restorer(str(tmp_path / "run" / "export")).card
    named = f"VGG-16 (weights {file_digest(tmp_path / 'vgg.npz')[:16]})"
    assert card["options"]["perceptual_features"] == named
    assert (
        json.loads((tmp_path / "run" / "options.json").read_text())["perceptual_features"] == named
    )
    _weights_file(tmp_path / "vgg.npz")
    np.savez(
        tmp_path / "vgg.npz", **{**np.load(tmp_path / "vgg.npz"), "block1_conv1/bias": np.ones(64)}
    )
    with pytest.raises(UsageError, match="other options: `perceptual_features`"):
        _train(tmp_path / "run", *words, "--steps=2")


@pytest.mark.parametrize(
    ("model", "power"), long_cases_but(["arcnn"], [("wcdgan", 1), ("arcnn", 2)])
)
def test_the_loss_range_scales_content_and_variation_alone(model, power, tmp_path):
    rows = {}
    for loss_range in (255, 1):
        extra = ["--adversarial_weight=0"] * (model == "wcdgan") + [f"--loss_range={loss_range}"]
        _train(tmp_path / f"{loss_range}", *extra, "--steps=1", model=model)
        (rows[loss_range],) = run_files.rows(tmp_path / f"{loss_range}")
    wide, narrow = rows[255], rows[1]
    assert narrow["content"] == pytest.approx(wide["content"] / 255**power, rel=1e-4)
    if model == "wcdgan":
        assert narrow["tv"] == pytest.approx(wide["tv"] / 255, rel=1e-4)
        assert narrow["perceptual"] == pytest.approx(wide["perceptual"], rel=1e-4)


@pytest.mark.long
def test_the_mean_is_validated_exported_and_resumed(tmp_path):
    flags = [*_CONTENT, "--average=0.5", "--learning_rate=1e-2", "--export", "--warmup=2"]
    flags += ["--final_learning_rate=1e-3"]
    _train(tmp_path / "whole", *flags)
    saved = run_files.weights(tmp_path / "whole")
    last, mean = (
        saved[f"{part}/shallow/0/kernel/.ATTRIBUTES/VARIABLE_VALUE"] for part in ("network", "mean")
    )
    assert np.any(last != mean)
    exported = Restorer(str(tmp_path / "whole" / "export"))
    np.testing.assert_array_equal(exported.network().shallow[0].kernel, mean)
    shown = {name: exported.card["options"][name] for name in ("average", "warmup")}
    assert shown == {"average": 0.5, "warmup": 2}
    run_files.cut(tmp_path / "whole", tmp_path / "parts", 2)
    _train(tmp_path / "parts", *flags)
    run_files.assert_equal(tmp_path / "whole", tmp_path / "parts")


def test_memnet_learns_as_its_authors_had_it(tmp_path):
    flags = ["--shared_recursions", "--multiple_outputs", "--biases", "--export"]
    _train(tmp_path / "run", *flags, model="memnet")
    card = Restorer(str(tmp_path / "run" / "export")).card
    assert all(card["options"][flag.strip("-")] for flag in flags[:3])
    assert all(np.isfinite(row["loss"]) for row in run_files.rows(tmp_path / "run"))


def test_rates_warm_up_and_decay():
    options = WcdganOptions(run_dir="r", train_data="x", warmup=4, steps=100)
    usual = Halving(2e-4, 10)
    rate = scheduled(options, usual)
    np.testing.assert_allclose(
        [float(rate(step)) for step in (0, 1, 3, 9, 10)], [5e-5, 1e-4, 2e-4, 2e-4, 1e-4], rtol=1e-6
    )
    rate = scheduled(options.replace(final_learning_rate=1e-6), usual)
    np.testing.assert_allclose(
        [float(rate(step)) for step in (0, 50, 100)], [5e-5, 1.005e-4, 1e-6], rtol=1e-4
    )
    assert scheduled(options.replace(warmup=0), usual) is usual


def test_other_networks_minimize_squared_errors_alone(tmp_path):
    _train(tmp_path / "run", model="arcnn")
    for row in run_files.rows(tmp_path / "run"):
        assert set(row) == {"step", "loss", "content"}
        assert row["loss"] == row["content"]


def test_rates_are_halved(tmp_path):
    schedule = Halving(2e-4, 10)
    np.testing.assert_allclose(
        [float(schedule(step)) for step in (0, 9, 10, 25)], [2e-4, 2e-4, 1e-4, 5e-5], rtol=1e-6
    )


def test_defaults_are_the_papers():
    options = WcdganOptions(run_dir="r", train_data="x")
    assert (options.batch, options.patch, options.stride, options.beta_1) == (16, 80, 75, 0.5)
    assert (options.learning_rate, options.discriminator_learning_rate) == (2e-4, 1e-4)
    assert (options.halve_every, options.generator_epochs) == (20_000, 4)
    assert options.recipe == Recipe("l1", 1.0, 1.0, 1.0)
    assert (options.backbone, options.loss_range) == ("vgg19", 255)
    assert (options.warmup, options.average, options.final_learning_rate) == (0, 0, None)
    assert {getattr(options, name) for name in MEMNET} == {False}
    assert options.replace(model="arcnn").recipe == Recipe("l2", 0.0, 0.0, 0.0)


def test_validation_tells_the_gain(tmp_path):
    _train(tmp_path / "run", *_CONTENT, "--validation_data=sample_test", "--validate_every=2")
    rows = run_files.rows(tmp_path / "run", "validation.csv")
    assert [row["step"] for row in rows] == [2, 4]
    assert all(row["psnr"] > row["gain"] for row in rows)


@pytest.mark.long
def test_a_run_can_begin_with_another(tmp_path):
    _train(tmp_path / "one", *_CONTENT)
    _train(
        tmp_path / "two", *_CONTENT, f"--init_from={tmp_path / 'one'}", "--steps=1",
        "--learning_rate=0",
    )  # fmt: skip
    one, two = run_files.weights(tmp_path / "one"), run_files.weights(tmp_path / "two")
    for name in (n for n in one if n.startswith("network/") and "OPTIMIZER" not in n):
        np.testing.assert_array_equal(one[name], two[name])
    with pytest.raises(UsageError, match="--init_from: .* does not fit this model's options"):
        _train(tmp_path / "three", *_CONTENT, f"--init_from={tmp_path / 'one'}", "--filters=8")


def test_a_run_of_a_version_without_an_option_goes_on_with_its_default(tmp_path):
    _train(tmp_path / "run", *_CONTENT, "--steps=2")
    path = tmp_path / "run" / "options.json"
    written = json.loads(path.read_text())
    del written["warmup"]
    path.write_text(json.dumps(written))
    with pytest.raises(UsageError, match="other options: --warmup was 0, is 5"):
        _train(tmp_path / "run", *_CONTENT, "--warmup=5")
    _train(tmp_path / "run", *_CONTENT)
    assert json.loads(path.read_text())["warmup"] == 0


@pytest.mark.long
def test_two_devices_train_like_one(tmp_path):
    flags = [*_CONTENT, "--batch=4", "--steps=2"]
    _train(tmp_path / "one", *flags)
    _train(tmp_path / "two", *flags, "--strategy=mirrored", "--devices=CPU:0,CPU:1")
    one, two = run_files.weights(tmp_path / "one"), run_files.weights(tmp_path / "two")
    for name in (n for n in one if n.startswith("network/") and "OPTIMIZER" not in n):
        np.testing.assert_allclose(one[name], two[name], atol=2e-5)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model=tnrd", "--stride=256", "--channels=rgb"], "tnrd restores luma only"),
        (["--best_quality=9"], "--best_quality=9 is below --quality=10"),
        (["--model=tnrd", "--best_quality=90", "--stride=256"], "knows one quantization table"),
        (["--model=tnrd", "--stride=75"], "--patch=32 and --stride=75 must be multiples of 8"),
        (["--model=arcnn", "--filters=8"], "--filters makes no sense for arcnn"),
        (["--model=dncnn", "--blocks=2"], "--blocks makes no sense for dncnn"),
        (["--model=dncnn", "--nomixed_conv"], "--mixed_conv=false makes no sense for dncnn"),
        (["--filters=6"], "filters must be a multiple of 4, got 6"),
        (["--patch=16"], "the perceptual loss needs --patch of at least 32"),
        (["--beta_1=1"], "--beta_1=1.0 must be below 1"),
        (["--content_weight=0", "--perceptual_weight=0"], "nothing to restore by"),
        (["--weights=nowhere.h5"], "--weights: weights 'nowhere.h5' of vgg19: no such file"),
        (["--model=sadct"], "sadct"),
        (["--quality=0"], "quality"),
        (["--biases"], "--biases makes no sense for wcdgan"),
        (["--loss_range=2"], "--loss_range=2 is none of 255, 1"),
        (["--average=1"], "--average=1.0 must be below 1"),
        (
            ["--final_learning_rate=0", "--learning_rate=0"],
            "--final_learning_rate needs a --learning_rate above 0",
        ),
        (["--validate_every=5"], "--validate_every needs --validation_data"),
        (["--batch=3", "--strategy=mirrored", "--devices=CPU:0,CPU:1"], "cannot be shared by 2"),
    ],
)
def test_contradictory_flags_are_refused(flags, message, tmp_path):
    base = [f for f in _TINY if not any(f.split("=")[0] == g.split("=")[0] for g in flags)]
    with pytest.raises(UsageError, match=message):
        cli.main(["train", "wcdgan", *base, f"--run_dir={tmp_path / 'run'}", *flags])
    assert not any((tmp_path / "run").glob("checkpoints/*"))


def test_dry_run_prints_the_options(tmp_path, capsys):
    _train(tmp_path / "run", "--dry_run")
    assert json.loads(capsys.readouterr().out)["quality"] == 10
    assert not (tmp_path / "run").exists()


def _study(*words):
    cli.main(["train", "wcdgan_study", *words])


def test_the_small_budget_names_every_variant(capsys):
    _study("--flagfile=wcdgan_small", "--out=s", "--dry_run")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(studies.WCDGAN) == 9
    for line in lines:
        options = core_flags.parse(
            WcdganOptions, line.removeprefix("lossylab train wcdgan ").split()
        )
        assert (options.channels, options.quality) == ("y", 10)
        assert options.run_dir.startswith("s/runs/")


@pytest.mark.parametrize("words", ["--dry_run", "--queue"])
def test_plans_and_queues_are_told_without_images(words, tmp_path, capsys):
    arguments = ["--train_data=nowhere", f"--out={tmp_path}", "--variants=arcnn"]
    _study(*arguments, words)
    assert "arcnn" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    with pytest.raises(CollectionError, match="nowhere"):
        _study(*arguments)


def test_a_study_gives_each_variant_its_options(tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr("lossylab.train.wcdgan.train", trained.append)
    arguments = [
        *("--train_data=sample_train", f"--out={tmp_path}", "--variants=wcdgan_content,arcnn"),
        *("--common=patch=32,stride=256,steps=4", "--variant=wcdgan*:filters=4,blocks=1"),
        "--variant=arcnn:steps=2",
    ]
    _study(*arguments)
    content, arcnn = trained
    assert [each.run_dir for each in trained] == [
        str(tmp_path / "runs" / name) for name in ("wcdgan_content", "arcnn")
    ]
    assert (content.model, content.filters, content.blocks, content.steps) == ("wcdgan", 4, 1, 4)
    assert (arcnn.model, arcnn.filters, arcnn.patch, arcnn.steps) == ("arcnn", 0, 32, 2)
    assert content.recipe.adversarial == 0
    with pytest.raises(UsageError, match="filters must be a multiple of 4, got 6"):
        _study(*arguments, "--variant=wcdgan_content:filters=6")
    assert len(trained) == 2


def _planned(capsys, *words):
    """Options of the runs that a study would train, by name."""
    _study(*words, "--dry_run")
    lines = capsys.readouterr().out.splitlines()
    made = [
        core_flags.parse(WcdganOptions, line.removeprefix("lossylab train wcdgan ").split())
        for line in lines
    ]
    return {pathlib.Path(each.run_dir).name: each for each in made}


_BUDGETS = {
    "wcdgan_luma": (8 + 2 * 7, ()),  # all but TNRD are repeated
    "wcdgan_color": (2 * 5, ()),
    "wcdgan_qualities": (2 * 8, ("--start_from=luma",)),
    "wcdgan_losses": (4, ("--start_from=luma", "--variant=wcdgan*:weights=vgg16.npz")),
}


@pytest.mark.parametrize("name", long_but(["wcdgan_color", "wcdgan_losses"], _BUDGETS))
def test_every_run_of_a_budget_makes_sense(name, capsys):
    """Equal steps and patches of all runs, networks that can be made, starts that will be there."""
    count, more = _BUDGETS[name]
    runs = _planned(capsys, f"--flagfile={name}", "--out=s", *more)
    assert len(runs) == count
    assert len({(each.steps, each.batch, each.patch, each.channels) for each in runs.values()}) == 1
    made = {
        (o.model, o.channels, o.quality, *o.network_arguments.items()): o for o in runs.values()
    }
    for options in made.values():
        make_network(options)
    for run, options in runs.items():
        content, *others = dataclasses.astuple(options.recipe)
        assert content == ("l1" if options.model == "wcdgan" else "l2")
        if name != "wcdgan_losses":
            assert others == [0, 0, 0], run
        assert 0 < options.warmup < options.steps
        assert options.final_learning_rate < options.learning_rate
    if name == "wcdgan_luma":
        seeds = {run: each.seed for run, each in runs.items()}
        assert list(seeds)[:8] == [run for run in seeds if "seed" not in run]
        assert all(seed == int(run[-1]) for run, seed in seeds.items() if "_seed" in run)


def test_qualities_begin_with_the_same_network_and_losses_with_content_alone(capsys):
    runs = _planned(capsys, "--flagfile=wcdgan_qualities", "--out=s", "--start_from=luma")
    assert (runs["mwcnn_q5"].quality, runs["mwcnn_q20"].quality) == (5, 20)
    assert runs["mwcnn_q5"].init_from == runs["mwcnn_q20"].init_from == "luma/runs/mwcnn/export"
    _, more = _BUDGETS["wcdgan_losses"]
    runs = _planned(capsys, "--flagfile=wcdgan_losses", "--out=s", "--trainings=2", *more)
    assert len(runs) == 8
    found = {}
    for run, options in runs.items():
        seed = "_seed2" if run.endswith("_seed2") else ""
        assert options.init_from == f"luma/runs/wcdgan_content{seed}/export"
        assert options.generator_epochs == 0
        recipe = options.recipe.perceptual, options.recipe.adversarial
        found[run.removesuffix("_seed2")] = recipe
    assert found == {
        "wcdgan_content_continued": (0, 0),
        "wcdgan_perceptual": (1, 0),
        "wcdgan_adversarial": (0, 1),
        "wcdgan": (1, 1),
    }


def test_studies_without_their_start_train_nothing(tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr("lossylab.train.wcdgan.train", trained.append)
    words = ["--train_data=sample_train", f"--out={tmp_path}", "--variants=arcnn", "--qualities=5"]
    with pytest.raises(UsageError, match="init_from.*no checkpoint in .*arcnn/export"):
        _study(*words, f"--start_from={tmp_path / 'luma'}")
    assert not trained


def test_a_training_that_diverges_does_not_keep_a_study_from_the_others(tmp_path, monkeypatch):
    trained = []

    def train(options):
        trained.append(pathlib.Path(options.run_dir).name)
        if options.model == "dncnn":
            raise DivergedError("step 3: the loss is not finite")
        return pathlib.Path(options.run_dir)

    monkeypatch.setattr("lossylab.train.wcdgan.train", train)
    words = ["--train_data=sample_train", f"--out={tmp_path}", "--variants=dncnn,arcnn,tnrd"]
    words += [
        "--common=channels=y,stride=80",
        f"--variant=tnrd:init_from={tmp_path}/runs/dncnn/export",
    ]
    monkeypatch.setattr("lossylab.train.studies.wcdgan.check", lambda options: None)
    with pytest.raises(DivergedError, match="2 of 3 runs .*: dncnn, tnrd; the others are trained"):
        _study(*words)
    assert trained == ["dncnn", "arcnn"]


@pytest.mark.long
def test_a_study_trains_what_is_missing(tmp_path):
    common = ",".join(flag.removeprefix("--") for flag in _TINY[1:] if flag != "--noexport")
    arguments = [
        "--train_data=sample_train",
        f"--out={tmp_path}",
        "--variants=wcdgan_content,arcnn",
        f"--common={common}",
        "--variant=wcdgan*:filters=4,blocks=1",
        "--variant=arcnn:steps=2",
    ]
    _study(*arguments)
    assert {p.name for p in (tmp_path / "runs").iterdir()} == {"wcdgan_content", "arcnn"}
    assert len(run_files.rows(tmp_path / "runs" / "arcnn")) == 2
    before = run_files.weights(tmp_path / "runs" / "wcdgan_content")
    _study(*arguments)
    after = run_files.weights(tmp_path / "runs" / "wcdgan_content")
    for name, value in before.items():
        np.testing.assert_array_equal(value, after[name])
    with pytest.raises(UsageError, match="holds a run with other options: `learning_rate`"):
        _study(*arguments, "--variant=arcnn:learning_rate=0.5")
    with pytest.raises(UsageError, match="arcnn: `filters` makes no sense for arcnn"):
        _study(*arguments, "--variant=arcnn:filters=4")
    with pytest.raises(UsageError, match="filters must be a multiple of 4, got 6"):
        _study(*arguments, "--variant=wcdgan_content:filters=6", f"--out={tmp_path / 'other'}")
    assert not (tmp_path / "other").exists()


def test_a_training_that_ends_before_the_gan_says_so(tmp_path, caplog):
    words = [*_TINY, *_SMALL["wcdgan"], f"--run_dir={tmp_path}", "--generator_epochs=99"]
    options = core_flags.parse(WcdganOptions, words)
    RestorationTask(options, Files.of(options))
    assert "with 4 steps in all there is no adversarial training" in caplog.text


def test_the_discriminators_rate_is_halved_by_the_trainings_steps():
    schedule = Halving(1e-4, 10, begins_at=25)
    np.testing.assert_allclose(
        [float(schedule(step)) for step in (0, 4, 5)], [2.5e-5, 2.5e-5, 1.25e-5], rtol=1e-6
    )


def test_a_divergence_names_the_images(tmp_path):
    with pytest.raises(DivergedError, match=r"Batch: .*\.(png|jpg)"):
        _train(tmp_path / "run", *_CONTENT, "--learning_rate=1e30", "--steps=20")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--train_data=x"], "--out is needed"),
        (["--out=x"], "--train_data is needed"),
        (
            ["--out=x", "--train_data=x", "--variants=arcnn", "--repeated=mem*"],
            r"--repeated=mem\* is none of arcnn",
        ),
        (["--out=x", "--train_data=x", "--variants=best"], "--variants=best is none of wcdgan, "),
        (["--out=x", "--train_data=x", "--variant=wcdgan"], "expected NAME:OPTION=VALUE"),
        (["--out=x", "--train_data=sample_train", "--variant=best:steps=1"], "no variant best"),
    ],
)
def test_wrong_studies_are_refused(flags, message):
    with pytest.raises(UsageError, match=message):
        _study(*flags)


def test_a_training_for_several_qualities_resumes_exactly(tmp_path):
    """Three patches are an epoch, four steps see eight."""
    words = ["--best_quality=60", "--train_data=sample_test", "--stride=512"]
    _train(tmp_path / "whole", *words, model="arcnn")
    run_files.cut(tmp_path / "whole", tmp_path / "parts", 2)
    _train(tmp_path / "parts", *words, model="arcnn")
    run_files.assert_equal(tmp_path / "whole", tmp_path / "parts")


def test_several_qualities_are_validated_from_the_lowest_to_the_best():
    given = {"run_dir": "r", "train_data": "sample_test", "model": "arcnn", "patch": 32}
    paths = find_images("sample_test")
    task = RestorationTask(WcdganOptions(**given, best_quality=90), Files(paths, paths))
    for path, quality, pair in zip(paths, (10, 50, 90), task._validation, strict=True):
        clean = read_image(path)
        np.testing.assert_array_equal(pair[0], clean)
        np.testing.assert_array_equal(pair[1], degrade(clean, quality))


def test_two_tasks_of_one_process_export_what_each_was_given(tmp_path):
    options = WcdganOptions(
        run_dir="r", train_data="sample_test", model="arcnn", patch=32, stride=256, quality=10
    )
    files = Files.of(options)
    tasks = [RestorationTask(each, files) for each in (options, options.replace(quality=40))]
    for task, quality in zip(tasks, (10, 40)):
        task.export(str(tmp_path / f"{quality}"))
    assert [Restorer(str(tmp_path / name)).quality for name in ("10", "40")] == [10, 40]
    RestorationTask(options.replace(best_quality=90), files).export(str(tmp_path / "all"))
    assert Restorer(str(tmp_path / "all")).quality is None
    (candidate,) = candidates([str(tmp_path / "all")])
    assert (candidate.quality, candidate.best_quality) == (10, 90)


def test_training_is_a_function_of_options(tmp_path):
    options = WcdganOptions(
        run_dir=str(tmp_path / "run"),
        train_data="sample_train",
        model="arcnn",
        **{"patch": 32, "stride": 256, "batch": 2, "steps": 1, "cache_mb": 64},
    )
    assert train(options) == tmp_path / "run"
    assert Restorer(str(tmp_path / "run" / "export")).quality == 10
    with pytest.raises(UsageError, match="`filters` makes no sense for arcnn"):
        options.replace(filters=4)
