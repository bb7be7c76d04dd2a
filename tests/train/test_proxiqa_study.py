"""ProxIQA's study: the order of its runs, what its queue says, and its gate for proxies."""

import fcntl
import pathlib

import pytest

from lossylab.core import flags
from lossylab.core.errors import UsageError, WorkError
from lossylab.train import studies
from lossylab.train.options.studies import ProxiqaStudyOptions
from lossylab.train.studies.proxiqa import STUDY, _title, check_proxy, train
from lossylab.train.studies.queue import Queue


def _options(out, **more):
    data = {"train_data": "sample_train", "test_data": "sample_test"}
    return ProxiqaStudyOptions(out=str(out), **data, **more)


def _checkpoint(run_dir, step):
    folder = pathlib.Path(run_dir, "checkpoints")
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in ("index", "data-00000-of-00001"):
        (folder / f"ckpt-{step}.{suffix}").write_bytes(b"x")


def test_rates_descend_from_one_to_the_next(tmp_path):
    lmbdas = (0.01, 0.1, 0.03)
    runs = STUDY.plan(_options(tmp_path, lmbdas=lmbdas, lmbda_steps=5, descend=True))
    starts = [name for name in runs if name.startswith("start_")]
    assert starts == ["start_0.1", "start_0.03", "start_0.01"]
    before = ["base", *starts]
    assert [runs[name].init_from for name in starts] == [str(tmp_path / b) for b in before[:-1]]
    proxies = [runs[f"vmaf_p_{lmbda}"].proxy_from for lmbda in (0.1, 0.03, 0.01)]
    assert proxies == [str(tmp_path / b) for b in ("vmaf_proxy", "vmaf_p_0.1", "vmaf_p_0.03")]
    straight = STUDY.plan(_options(tmp_path, lmbdas=lmbdas, lmbda_steps=5))
    assert {straight[name].init_from for name in starts} == {str(tmp_path / "base")}


def test_a_study_begins_with_what_another_has_made(tmp_path):
    runs = STUDY.plan(_options(tmp_path, init_from="bls-mse-0.016", lmbdas=(0.1, 0.03)))
    assert [*runs] == ["mse_0.1", "mse_0.03", "vmaf_proxy", "vmaf_p_0.1", "vmaf_p_0.03"]
    assert {each.init_from for each in runs.values()} == {"bls-mse-0.016"}
    options = _options(tmp_path, init_from="other", lmbda_steps=5, descend=True, lmbdas=(0.1, 0.03))
    runs = STUDY.plan(options)
    assert (runs["start_0.1"].init_from, runs["vmaf_proxy"].init_from) == ("other", "other")
    assert runs["start_0.03"].init_from == str(tmp_path / "start_0.1")


def test_a_flag_file_serves_other_variants_too(tmp_path):
    """What it says of runs that are not trained this time means nothing."""
    named = ("*_proxy:steps=7", "start_*:steps=8", "base:steps=9", "vmaf_p_0.1:steps=3")
    runs = STUDY.plan(_options(tmp_path, variants=("ssim",), lmbdas=(0.1,), variant=named))
    assert [*runs] == ["base", "ssim_0.1"]
    assert runs["base"].steps == 9


def test_a_start_that_is_not_there_is_said_before_anything_is_trained(tmp_path):
    options = _options(tmp_path / "out", init_from=str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="`init_from`: no checkpoint in"):
        train(options)
    assert not (tmp_path / "out").exists()


def test_proxies_are_judged_on_images_of_their_own(tmp_path):
    judged = STUDY.plan(_options(tmp_path, validation_data="bsds500_val", steps=120))
    alone, alternating = judged["vmaf_proxy"], judged["vmaf_p_0.01"]
    assert (alone.validate_every, alternating.validate_every) == (2000, 10)
    assert not alternating.validate_images
    assert not judged["mse_0.01"].validates
    with pytest.raises(UsageError, match="need `validation_data`"):
        _options(tmp_path, gate=0.8)


def test_a_pattern_means_several_runs(tmp_path):
    runs = STUDY.plan(_options(tmp_path, variant=("*_proxy:versions=4,scale_errors=1",)))
    assert (runs["vmaf_proxy"].versions, runs["vmaf_proxy"].scale_errors) == (4, 1)
    assert runs["vmaf_p_0.01"].scale_errors == 0


def _of_flags(name, out="runs"):
    """The trainings that a flag file of the package means, and the study's options."""
    folder = str(pathlib.Path(studies.__file__).parents[1] / "flags")
    options = flags.parse(ProxiqaStudyOptions, [f"--flagfile={name}", f"--out={out}"], folder)
    return STUDY.plan(options), options


@pytest.mark.parametrize("name", ["proxiqa_bls", "proxiqa_demo", "proxiqa_ssim"])
def test_flag_files_have_proxies_that_learn(name):
    runs, options = _of_flags(name)
    proxies = [each for run, each in runs.items() if run.endswith("_proxy")]
    assert bool(proxies) == any(variant.endswith("_p") for variant in options.variants)
    for each in proxies:
        assert each.proxy_bias
        assert each.proxy_differences
        assert each.proxy_learning_rate == 1e-3
        assert each.drop_step < each.steps or each.drop_step == 2_000_000
    alternating = [each for each in runs.values() if each.trains_codec and each.uses_proxy]
    for each in [*proxies, *alternating]:
        assert each.proxy_optimizer == "muon"
        assert each.sharpen == 1
    assert {each.proxy_learning_rate for each in alternating} <= {3e-4}
    assert options.alpha == 0.75
    assert options.ssim_channels == "rgb"


def test_the_hyperpriors_kernels_move_slower_than_those_of_bls():
    """At BLS's rate of 1e-3 they hardly learn; the proxy learns where scores differ."""
    runs, options = _of_flags("proxiqa_bmshj")
    assert len(runs) == 1 + 3 * len(options.lmbdas) + 1
    assert {each.codec for each in runs.values()} == {"bmshj2018"}
    assert all(each.learning_rate <= 6e-4 for each in runs.values())
    assert runs["vmaf_proxy"].init_from == "runs/start_0.004"
    alternating = [each for each in runs.values() if each.trains_codec and each.uses_proxy]
    assert len(alternating) == len(options.lmbdas)
    assert {each.proxy_learning_rate for each in alternating} == {6e-5}
    assert runs["vmaf_proxy"].proxy_learning_rate == 4e-4


def test_the_grids_proxies_see_what_their_metric_needs():
    runs = _of_flags("proxiqa_grid")[0]
    of_ssim = [each for each in runs.values() if each.uses_proxy and "ssim" in each.metric]
    assert len(of_ssim) == 18
    for each in of_ssim:
        assert (each.sharpen, each.scale_errors, each.adversarial) == (0, 1, 2)
        assert each.ssim_scale == (2 if each.metric == "ssim" else 1)
    of_vmaf = [each for each in runs.values() if each.uses_proxy and each.metric == "vmaf"]
    assert len(of_vmaf) == 9
    for each in of_vmaf:
        assert (each.sharpen, each.scale_errors, each.adversarial) == (0, 0, 0)
    for each in [*of_ssim, *of_vmaf]:
        assert each.proxy_optimizer == "muon"
        assert each.ssim_channels == "rgb"
        if each.trains_codec:
            assert each.proxy_learning_rate == 6e-5
        else:
            rates = {"vmaf": 4e-4, "ssim": 3e-4, "ms_ssim": 2e-4}
            assert each.proxy_learning_rate == rates[each.metric]
            assert each.proxy_bias
            assert each.proxy_differences
            assert each.drop_step < each.steps
    weights = {"ssim_p": 0.94, "ms_ssim_p": 0.96, "vmaf_p": 0.5}
    for variant, alpha in weights.items():
        each = runs[f"{variant}_0.004"]
        assert each.alpha == alpha
        assert each.lmbda * (1 - alpha) == pytest.approx(0.004, rel=1e-4)
    for metric in ("ssim", "ms_ssim", "vmaf"):
        assert runs[f"{metric}_proxy"].init_from.endswith("/start_0.016")


def test_ssim_itself_begins_with_the_starts_of_the_proxies_study():
    """A run that is there is only gone on with by the same options."""
    proxies, ssim = (_of_flags(name)[0] for name in ("proxiqa_bls", "proxiqa_ssim"))
    starts = [run for run in ssim if run == "base" or run.startswith("start_")]
    assert len(starts) == 5
    assert all(ssim[run] == proxies[run] for run in starts)


def test_a_variant_may_weigh_its_metric_otherwise(tmp_path):
    given = {"variants": ("mse", "vmaf_p", "ssim_p", "ssim_mse"), "alpha": 0.75}
    options = _options(tmp_path, alphas=("ssim_p=0.95", "ssim_mse=0.9"), **given)
    runs = STUDY.plan(options)
    lmbda = options.lmbdas[0]
    for variant, alpha in {"vmaf_p": 0.75, "ssim_p": 0.95, "ssim_mse": 0.9}.items():
        each = runs[f"{variant}_{lmbda:g}"]
        assert each.alpha == alpha
        assert each.lmbda * (1 - each.alpha) == pytest.approx(lmbda)  # pixels weigh alike
    assert "alpha = 0.75, of ssim_p 0.95, of ssim_mse 0.9;" in _title(options, runs.values())


def test_proxies_may_begin_with_the_codec_of_a_rate(tmp_path):
    options = _options(tmp_path, lmbdas=(0.01, 0.1), lmbda_steps=5, proxy_lmbda=0.1)
    assert STUDY.plan(options)["vmaf_proxy"].init_from == str(tmp_path / "start_0.1")
    common = STUDY.plan(_options(tmp_path, lmbdas=(0.01, 0.1), lmbda_steps=5))
    assert common["vmaf_proxy"].init_from == str(tmp_path / "base")
    for wrong in ({"lmbda_steps": 5, "lmbdas": (0.01,)}, {"lmbdas": (0.01, 0.1)}):
        with pytest.raises(UsageError, match="`proxy_lmbda`=0.1 must be one of `lmbdas`"):
            _options(tmp_path, proxy_lmbda=0.1, **wrong)


@pytest.mark.parametrize(
    "wrong",
    ["ssim_p", "ssim_p=1", "ssim_p=0", "ssim_p=a", "no=0.9", "mse=0.9", "ssim=0.9"],
)
def test_a_weight_of_no_variant_is_refused(wrong, tmp_path):
    """Nor of one that weighs nothing against another: mse, and the metric alone.

    Of those that are not trained it means nothing: a flag file serves other variants, too.
    """
    _options(tmp_path, variants=("mse",), alphas=("vmaf_p=0.9",))
    with pytest.raises(UsageError, match=f"`alphas`={wrong}: expected VARIANT=ALPHA"):
        _options(tmp_path, variants=("mse", "ssim_p", "ssim"), alphas=(wrong,))


def test_a_variant_has_one_weight(tmp_path):
    with pytest.raises(UsageError, match="alphas.*ssim_p"):
        _options(tmp_path, variants=("ssim_p",), alphas=("ssim_p=0.8", "ssim_p=0.9"))


@pytest.mark.parametrize(
    ("given", "patches"),
    [
        ({}, "8 patches of 128x128"),
        ({"common": ("batch=16", "patch=64")}, "16 patches of 64x64"),
        ({"variant": ("*_proxy:batch=4",)}, "4 patches of 128x128 or 8 patches of 128x128"),
    ],
)
def test_the_title_has_the_patches_of_the_trainings(given, patches, tmp_path):
    options = _options(tmp_path, **given)
    title = _title(options, STUDY.plan(options).values())
    assert f"8000 + 2500 steps of {patches}, N = 128" in title


def test_the_queue_says_what_is_done_and_what_runs(tmp_path, capsys):
    options = _options(tmp_path, variants=("mse",), lmbdas=(0.01,), base_steps=1000, steps=50)
    for step in (500, 1000):
        _checkpoint(tmp_path / "base", step)
    _checkpoint(tmp_path / "mse_0.01", 20)
    with open(tmp_path / "mse_0.01" / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        train(options.replace(queue=True))
    base, mse, summary = capsys.readouterr().out.splitlines()
    assert base.split() == ["base", "1,000", "of", "1,000", "steps", "done"]
    assert mse.split() == ["mse_0.01", "20", "of", "50", "steps", "running"]
    assert summary == "1 of 2 runs, 1,020 of 1,050 steps are done"


def test_the_queue_estimates_by_what_was_done_meanwhile(tmp_path, monkeypatch):
    now = iter([0.0, 3600.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    runs = STUDY.plan(
        _options(tmp_path, variants=("mse",), lmbdas=(0.01,), base_steps=100, steps=50)
    )
    queue = Queue(runs)
    _checkpoint(tmp_path / "base", 50)
    assert queue.summary().endswith("about 2.0 h are left at the speed so far")


@pytest.mark.parametrize(
    ("correlations", "rmse", "alone", "passes"),
    [
        ([0.1, 0.85], 2.0, True, True),
        ([0.9, 0.7], 2.0, True, False),
        ([0.9, 0.9], 3.0, True, False),  # no better than half a constant's error
        ([0.1, 0.7, 0.7, 0.7, 0.8, 0.9], 9.0, False, True),
        ([0.9, 0.9, 0.9, 0.9, 0.8, 0.7], 9.0, False, False),
    ],
)
def test_the_gate(correlations, rmse, alone, passes, tmp_path):
    rows = [f"{i},{c},{rmse},5.0" for i, c in enumerate(correlations, 1)]
    head = "step,proxy_correlation,proxy_rmse,score_std"
    (tmp_path / "validation.csv").write_text("\n".join([head, *rows]) + "\n")
    check_proxy(str(tmp_path), 0.0, alone)
    if passes:
        check_proxy(str(tmp_path), 0.8, alone)
        return
    with pytest.raises(WorkError, match="has not learned its metric"):
        check_proxy(str(tmp_path), 0.8, alone)
