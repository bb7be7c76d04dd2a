"""Latent restoration from the command line: restore, the study, tables and claims."""

import csv
import dataclasses
import io
import json
import math
import pathlib
import shutil
import types

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from lengths import long_cases_but
from measured_rows import measured_by_two
from PIL import Image

import lossylab
from lossylab.cli import __main__ as cli
from lossylab.core import rows
from lossylab.core.errors import ImageError, UsageError, WorkError
from lossylab.data import jpeg
from lossylab.data.color import is_gray
from lossylab.data.decode import read_image
from lossylab.data.scaling import scaled
from lossylab.eval import latent_study, schemas
from lossylab.eval.latent_rows import EPOCHS, ROWS, UNSEARCHED, UNTOUCHED
from lossylab.eval.mmd_restoration import evidence as mmd_restoration_evidence
from lossylab.eval.mmd_restoration import figures as mmd_restoration_figures
from lossylab.eval.mmd_restoration import tables as mmd_restoration_tables
from lossylab.eval.mmd_restoration.claims import CHECKS
from lossylab.eval.report import crop_grid, degradation_grid
from lossylab.eval.report.claims import UNMEASURED, Decision, Verdict, claims_of, judge
from lossylab.inference.export import zoo
from lossylab.inference.export.degradation import Degradation
from lossylab.inference.export.rankiqa import Scorer
from lossylab.inference.importers import stylegan_files
from lossylab.inference.latent import cases as latent_cases
from lossylab.inference.latent import latents as latent_files
from lossylab.inference.latent import prior as latent_space
from lossylab.inference.latent import search as latent_search
from lossylab.inference.latent.generator import Generator
from lossylab.models import rankiqa as rankiqa_model
from lossylab.models import stylegan
from lossylab.models.layers.bicubic import downscale
from lossylab.models.pixelcnn import ConditionalPixelCNN

RESULTS = pathlib.Path(lossylab.__file__).parent / "results"
SIZES = {"latent": 12, "mapping": 16, "width": 16, "depth": 3, "fmap_base": 64, "fmap_max": 8}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Generators of both versions, two degradation models, a scorer and three small images."""
    folder = tmp_path_factory.mktemp("latent")
    for version in (1, 2):
        network = stylegan.random(version, 16, 3, **SIZES)
        stylegan_files.scale_contrast(network, 50.0)
        stylegan_files.save(network, str(folder / f"v{version}.npz"))
    Generator.save(network, folder / "v2", {})
    options = {"degradation": "jpeg", "severity": 5.0, "factor": 2, "grid": 1}
    for epochs in EPOCHS:
        degradation = ConditionalPixelCNN(4, 1, 2, condition_filters=4)
        Degradation.save(degradation, str(folder / f"d{epochs}"), options)
    judge = ConditionalPixelCNN(4, 1, 2, condition_filters=4)
    Degradation.save(judge, str(folder / "judge"), options)
    Scorer.save(rankiqa_model.RankIQA(2, 8, 32, "random"), str(folder / "rankiqa"), {})
    (folder / "in").mkdir()
    for case in latent_cases.generated(network, 3, 0, 1.0):
        given = latent_cases.degrade(case.clean, "downscale", 5, 2)
        Image.fromarray(given).save(folder / "in" / f"{case.name}.png")
    return folder


def _restore(capsys, place, out, *extra, method="mmd", generator="v2.npz"):
    fast = ("--steps=4", "--samples=32", "--fit_samples=200", "--batch=3")
    cli.main(
        ["restore", str(place / "in"), str(out), f"--method={method}",
         f"--generator={place / generator}", *fast, *extra]
    )  # fmt: skip
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def test_without_a_generator_the_packaged_one_is_searched(place, tmp_path, capsys, caplog):
    fast = ("--method=mmd", "--steps=1", "--samples=32")
    with caplog.at_level("INFO", "lossylab"):
        cli.main(["restore", str(place / "in" / "000.png"), str(tmp_path / "out.png"), *fast])
    assert "generator: stylegan2-emoji-32" in caplog.text
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (32, 32)
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize(
    ("method", "constraint", "generator"), [("mmd", "mmd", "v2"), ("pulse", "pixel", "v2.npz")]
)
def test_images_are_restored_with_reports(place, tmp_path, capsys, method, constraint, generator):
    more = {"method": method, "generator": generator}
    lines = _restore(capsys, place, tmp_path / "out", "--batch=2", **more)
    assert [pathlib.Path(line["output"]).name for line in lines] == [f"00{i}.png" for i in range(3)]
    for line in lines:
        with Image.open(line["output"]) as image:
            assert (image.size, image.mode) == ((16, 16), "RGB")
        report = json.loads(pathlib.Path(line["output"]).with_suffix(".json").read_text())
        assert report["finished"]
        assert report["settings"]["steps"] == 4
        history = report["history"]
        assert {len(values) for values in history.values()} == {4}
        assert {"norm", "angle"} < set(history)
        assert report["step"] == int(line["step"]) == 3
        assert report["constraint"]["of"] == line["constraint"] == constraint
        # Of PULSE's error any iterate's counts.
        reached = {"mmd": history["mmd"][-1], "pixel": min(history["pixel"])}[constraint]
        assert report["constraint"]["reached"] == pytest.approx(reached, rel=1e-5)


@pytest.mark.parametrize(
    ("method", "flags"),
    [
        ("mmd", ["--noise=fixed"]),
        ("mmd", ["--iterate=best", "--learning_rate=3"]),
        ("pulse", ["--noise_layers=2"]),
    ],
)
def test_latents_beside_an_image_make_it_again(place, tmp_path, capsys, method, flags):
    lines = _restore(capsys, place, tmp_path / "out", "--seed=3", *flags, method=method)
    for line in lines:
        path = pathlib.Path(line["output"])
        words = [f"--generator={place / 'v2.npz'}", f"--styles={path.with_suffix('.npz')}"]
        cli.main(["generate", str(tmp_path / "again"), *words])
        again = read_image(tmp_path / "again" / path.name).astype(int)
        assert np.abs(again - read_image(path)).max() <= 1
    (first, *_) = sorted((tmp_path / "out").glob("*.npz"))
    words = [f"--styles={first}", f"--generator={place / 'v1.npz'}"]
    with pytest.raises(UsageError, match="--styles: .* has latents of another generator"):
        cli.main(["generate", str(tmp_path / "other"), *words])


def test_latents_of_a_gray_image_are_of_a_gray_image(place, tmp_path, capsys):
    with Image.open(place / "in" / "000.png") as image:
        image.convert("L").save(tmp_path / "gray.png")
    fast = ("--steps=2", "--samples=32", "--fit_samples=200")
    generator = f"--generator={place / 'v2.npz'}"
    out = tmp_path / "found.png"
    cli.main(["restore", str(tmp_path / "gray.png"), str(out), "--method=mmd", generator, *fast])
    styles = f"--styles={tmp_path / 'found.npz'}"
    cli.main(["generate", str(tmp_path / "again"), generator, styles])
    again = read_image(tmp_path / "again" / "found.png").astype(int)
    assert is_gray(again)
    assert np.abs(again - read_image(out)).max() <= 1


@pytest.mark.parametrize("change", ["cut", "other", "bit", "nan", "missing", "compressed"])
def test_damaged_latents_are_refused(change, place, tmp_path):
    generator = stylegan_files.load(str(place / "v2.npz"))
    path, settings = tmp_path / "a.npz", latent_search.Settings()
    styles = np.zeros((generator.num_layers, generator.width), np.float32)
    styles[0, 0] = np.nan if change == "nan" else 0
    name = stylegan_files.fingerprint(generator)
    latent_files.save(path, name, settings, styles, [], False)
    if change == "cut":
        path.write_bytes(path.read_bytes()[:-40])
    elif change == "other":
        shutil.copy(place / "v2.npz", path)
    elif change == "bit":
        data = bytearray(path.read_bytes())
        data[data.index(b"NUMPY") + 160] ^= 1
        path.write_bytes(data)
    elif change == "missing":
        path.unlink()
    elif change == "compressed":
        with np.load(path) as archive:
            arrays = dict(archive)
        np.savez_compressed(path, **arrays)
    with pytest.raises(UsageError, match="is damaged|no such file"):
        latent_files.load(str(path), generator)


@pytest.mark.parametrize("what", ["generator", "array", "text"])
def test_latents_replace_nothing_else(what, place, tmp_path):
    """Neither the generator, nor a file of the user's."""
    path = tmp_path / "v2.npz"
    shutil.copy(place / "v2.npz", path)
    if what == "array":
        np.savez(path, mine=np.zeros(3))
    elif what == "text":
        path.write_text("notes")
    before = path.read_bytes()
    words = ["--method=mmd", f"--generator={place / 'v2.npz'}", "--steps=1"]
    target = [str(place / "in" / "000.png"), str(tmp_path / "v2.png")]
    for flags in ([], ["--overwrite"]):
        with pytest.raises(UsageError, match="has no latents, which would replace it"):
            cli.main(["restore", *target, *words, *flags])
    assert path.read_bytes() == before


@pytest.mark.parametrize("threshold", [0.0, 1e9])
def test_the_report_says_whether_the_constraint_was_met(
    place, tmp_path, capsys, threshold, monkeypatch
):
    monkeypatch.setattr(latent_space.Prior, "threshold", lambda *_: threshold)
    lines = _restore(capsys, place, tmp_path / "out")
    assert {line["met"] for line in lines} == {"yes" if threshold else "no"}


def test_pulse_is_content_with_an_error_below_its_epsilon(place, tmp_path, capsys):
    lines = _restore(capsys, place, tmp_path / "out", "--epsilon=1", method="pulse")
    assert {line["met"] for line in lines} == {"yes"}
    lines = _restore(capsys, place, tmp_path / "no", "--epsilon=1e-9", method="pulse")
    assert {line["met"] for line in lines} == {"no"}


@pytest.mark.long
def test_the_last_iterate_is_kept_and_the_best_where_asked_for(place, tmp_path, capsys):
    for keep in ("last", "best"):
        extra = () if keep == "last" else ("--iterate=best",)
        _restore(capsys, place, tmp_path / keep, "--learning_rate=3", *extra)
        reports = [json.loads(path.read_text()) for path in (tmp_path / keep).glob("*.json")]
        for report in reports:
            total = report["history"]["total"]
            assert report["step"] == (3 if keep == "last" else int(np.argmin(total)))
            assert report["best"]["losses"]["total"] <= report["losses"]["total"]


@pytest.mark.long
def test_duplicates_have_seeds_and_names_of_their_own(place, tmp_path, capsys):
    out = tmp_path / "out"
    lines = _restore(capsys, place, out, "--duplicates=2", "--seed=3", method="pulse")
    names = [pathlib.Path(line["output"]).name for line in lines]
    assert names == [f"00{i}_{number}.png" for number in (1, 2) for i in range(3)]
    seeds = [json.loads((out / f"000_{n}.json").read_text())["settings"]["seed"] for n in (1, 2)]
    assert seeds == [3, 4]
    assert not np.array_equal(read_image(out / "000_1.png"), read_image(out / "000_2.png"))
    assert not _restore(capsys, place, out, "--duplicates=2", "--seed=3", method="pulse")


@pytest.mark.long
def test_gray_stays_gray(place, tmp_path, capsys):
    """Gray files, and color files that have no color."""
    (tmp_path / "in").mkdir()
    with Image.open(place / "in" / "000.png") as image:
        gray = image.convert("L")
        gray.save(tmp_path / "in" / "file.png")
        gray.convert("RGB").save(tmp_path / "in" / "shown.png")
        image.save(tmp_path / "in" / "vivid.png")
    for method in ("mmd", "pulse"):
        out = tmp_path / method
        cli.main(["restore", str(tmp_path / "in"), str(out), f"--method={method}", "--batch=3",
                  f"--generator={place / 'v2.npz'}", "--steps=3", "--samples=32",
                  "--fit_samples=200"])  # fmt: skip
        with Image.open(out / "file.png") as made:
            assert made.mode == "L"
        assert is_gray(read_image(out / "shown.png"))
        assert not is_gray(read_image(out / "vivid.png"))


@pytest.mark.long
def test_finished_images_are_kept_and_others_searched_for(place, tmp_path, capsys):
    out = tmp_path / "out"
    first = _restore(capsys, place, out, "--batch=1")
    images = {path.name: path.read_bytes() for path in out.glob("*.png")}
    report = out / "001.json"
    text = json.loads(report.read_text())
    report.write_text(json.dumps({**text, "finished": False}))  # as a killed search leaves it
    (out / "002.png").unlink()
    again = _restore(capsys, place, out, "--batch=1")
    assert [line["input"] for line in again] == [line["input"] for line in first[1:]]
    assert {path.name: path.read_bytes() for path in out.glob("*.png")} == images
    assert _restore(capsys, place, out) == []
    with pytest.raises(UsageError, match="exists, of another search: --overwrite"):
        _restore(capsys, place, out, "--seed=1")
    for _ in range(2):
        assert len(_restore(capsys, place, out, "--seed=1", "--overwrite")) == 3


def test_another_image_under_the_same_name_is_searched_for(place, tmp_path, capsys):
    given, out = tmp_path / "given.png", tmp_path / "out.png"
    words = ["--method=mmd", f"--generator={place / 'v2.npz'}", "--steps=2", "--fit_samples=200"]
    shutil.copy(place / "in" / "000.png", given)
    cli.main(["restore", str(given), str(out), *words])
    shutil.copy(place / "in" / "001.png", given)
    with pytest.raises(UsageError, match="of another search"):
        cli.main(["restore", str(given), str(out), *words])
    # An image that was changed since, too.
    Image.new("RGB", (16, 16)).save(out)
    shutil.copy(place / "in" / "000.png", given)
    capsys.readouterr()
    cli.main(["restore", str(given), str(out), *words])
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize("report", ["[1]", "{}", "not json", '{"identity": "x"}'])
def test_files_beside_an_odd_report_are_not_ours(place, tmp_path, capsys, report):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "000.json").write_text(report)
    with pytest.raises(UsageError, match="exists, of another search: --overwrite"):
        _restore(capsys, place, tmp_path / "out")
    assert (tmp_path / "out" / "000.json").read_text() == report


@pytest.mark.long
def test_a_batch_finds_what_single_searches_find(place, tmp_path, capsys):
    _restore(capsys, place, tmp_path / "one", "--batch=1")
    _restore(capsys, place, tmp_path / "many")
    for path in (tmp_path / "one").glob("*.png"):
        sides = [np.asarray(Image.open(folder / path.name), int)
                 for folder in (tmp_path / "one", tmp_path / "many")]  # fmt: skip
        assert np.abs(sides[0] - sides[1]).max() <= 1


@pytest.fixture
def failing(monkeypatch):
    """The third step of any search fails."""
    step, calls = latent_search.Search._step, []

    def fail(self, rate):
        calls.append(rate)
        if len(calls) == 3:
            raise FloatingPointError("step 2: a loss is not finite")
        return step(self, rate)

    monkeypatch.setattr(latent_search.Search, "_step", fail)


@pytest.mark.long
def test_the_best_so_far_is_written_and_others_are_searched_for(place, tmp_path, capsys, failing):
    """A search that fails in the middle leaves images and reports that say so."""
    with pytest.raises(WorkError, match="1 of 3 images failed"):
        _restore(capsys, place, tmp_path / "out", "--save_every=1", "--batch=1")
    reports = [json.loads((tmp_path / "out" / f"00{i}.json").read_text()) for i in range(3)]
    assert [report["finished"] for report in reports] == [False, True, True]
    assert (tmp_path / "out" / "000.png").exists()


def test_a_result_is_not_replaced_before_the_end(place, tmp_path, capsys, request):
    out = tmp_path / "out"
    _restore(capsys, place, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    request.getfixturevalue("failing")
    words = ["--save_every=1", "--seed=1", "--overwrite", "--batch=1"]
    with pytest.raises(WorkError, match="1 of 3 images failed"):
        _restore(capsys, place, out, *words)
    assert {name: (out / name).read_bytes() for name in ("000.png", "000.json")} == {
        name: before[name] for name in ("000.png", "000.json")
    }


def test_a_damaged_image_is_refused_before_any_search(place, tmp_path, capsys):
    given = tmp_path / "given"
    shutil.copytree(place / "in", given)
    data = (given / "002.png").read_bytes()
    (given / "002.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match="002.png"):
        cli.main(["restore", str(given), str(tmp_path / "out"), "--method=mmd",
                      f"--generator={place / 'v2.npz'}"])  # fmt: skip
    assert not list(tmp_path.rglob("out/*"))


@pytest.mark.long
def test_a_model_of_another_scale_is_warned_of(place, tmp_path, capsys, caplog):
    model = f"--degradation_model={place / 'd29'}"
    _restore(capsys, place, tmp_path / "fits", model)
    assert "scaled down" not in caplog.text
    _restore(capsys, place, tmp_path / "out", model, "--size=4")
    assert "has learned images scaled down 2 times, these are 4 times" in caplog.text


@pytest.mark.long
def test_the_likelihood_takes_the_place_of_the_pixel_loss(place, tmp_path, capsys):
    model = f"--degradation_model={place / 'd29'}"
    lines = _restore(capsys, place, tmp_path / "out", model)
    settings = json.loads((tmp_path / "out" / "000.json").read_text())["settings"]
    assert (settings["pixel_weight"], settings["nll_weight"]) == (0, 10)
    assert float(lines[0]["nll"]) > 0
    _restore(capsys, place, tmp_path / "both", model, "--pixel_weight=100", "--nll_weight=1")
    settings = json.loads((tmp_path / "both" / "000.json").read_text())["settings"]
    assert (settings["pixel_weight"], settings["nll_weight"]) == (100, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method=mmd", "--generator=V2", "--model=x"], "--model: not for --method=mmd"),
        (["--steps=3", "--model=sadct"], "--steps: not for --method=network"),
        (
            ["--method=pulse", "--generator=V2", "--mean_init"],
            "--method=pulse searches in Z.* give --space=w",
        ),
        (["--method=mmd", "--generator=V2", "--nll_weight=1"], "needs --degradation_model"),
        (
            ["--method=mmd", "--generator=V2", "--nll_weight=0", "--degradation_model=D"],
            "makes no sense with --nll_weight=0",
        ),
        (["--method=mmd", "--generator=V2", "--samples=1"], "--samples=1 must be at least 2"),
        (["--method=mmd", "--generator=V2", "--gamma=0"], "--gamma=0.0 must be above 0"),
        (
            ["--method=mmd", "--generator=V2", "--learning_rate=nan"],
            "--learning_rate=nan is not a finite number",
        ),
        (
            ["--method=mmd", "--generator=V2", "--seed=99999999999"],
            "--seed=9.* must be at most",
        ),
        (["--method=mmd", "--generator=V2", "--size=1"], "or are below 2"),
        (["--method=mmd", "--generator=V2", "--size=5"], "5 pixels do not divide"),
        (["--method=mmd", "--generator=V2", "--size=16"], "8 pixels wide, below --size=16"),
        (["--method=mmd", "--generator=nowhere.npz"], "no such file"),
    ],
)
def test_restore_refuses_what_does_not_fit(place, tmp_path, arguments, message):
    words = [text.replace("V2", str(place / "v2.npz")).replace("=D", f"={place / 'd29'}")
             for text in arguments]  # fmt: skip
    with pytest.raises(UsageError, match=message):
        cli.main(["restore", str(place / "in"), str(tmp_path / "out"), *words])
    assert not list(tmp_path.rglob("*.png"))


def test_images_that_are_not_square_are_refused_before_any_search(place, tmp_path, images):
    Image.fromarray(images[0]).save(tmp_path / "wide.png")
    with pytest.raises(UsageError, match="160x128: the generator's are square, crop it first"):
        cli.main(["restore", str(tmp_path / "wide.png"), str(tmp_path / "out.png"),
                      "--method=mmd", f"--generator={place / 'v2.npz'}"])  # fmt: skip


# The study.


def _study(place, out, *extra):
    cli.main(
        ["eval", "latent_study", f"--generators={place / 'v1.npz'},{place / 'v2.npz'}",
         f"--models=29:{place / 'd29'},379:{place / 'd379'}", "--images=2", "--seeds=1",
         "--budget=tiny", "--jpeg_factor=2", "--downscale_factor=2", "--fit_samples=200",
         f"--out={out}", *extra]
    )  # fmt: skip


@pytest.fixture(scope="module")
def studied(place, tmp_path_factory):
    """Rows of a few steps of every search of Table 2."""
    out = tmp_path_factory.mktemp("study") / "results"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latent_study, "ROWS", {n: r.changed(steps=2) for n, r in ROWS.items()})
        _study(place, out)
    return out


@pytest.mark.long
def test_a_study_has_every_row_task_image_and_seed(studied):
    table = rows.frame(rows.read(studied / "rows.csv", schemas.LATENT.columns), schemas.LATENT.text)
    searched = table[table.row.isin(list(ROWS))]
    plain = [name for name, row in ROWS.items() if not row.epochs]
    assert len(searched) == (len(ROWS) + len(plain)) * 2
    assert set(searched[searched.task == "downscale"].row) == set(plain)
    untouched = table[~table.row.isin(list(ROWS))]
    assert untouched.groupby(["row", "task", "version"]).size().to_dict() == {
        (row, task, version): 2  # images
        for row in UNTOUCHED
        for task in ("jpeg", "downscale")
        for version in (1, 2)
        if (row, task) != ("Compressed", "downscale")
    }
    assert (
        searched.own_nll.notna().tolist()
        == searched.row.isin([name for name, row in ROWS.items() if row.epochs]).tolist()
    )
    for name in ("psnr", "ssim", "mmd", "threshold", "total", "norm"):
        assert searched[name].notna().all(), name
    # The images are those of version 2: version 1 has no styles of them.
    assert (searched.latent.notna() == (searched.version == 2)).all()
    assert table[table.task == "jpeg"].nll.notna().all()
    original = table[table.row == "Original"]
    assert (original.ssim > 0.999).all()
    assert (original.latent == 0).all()
    assert np.allclose(original.cosine, 1)
    mean, samples = (table[table.row == name] for name in UNSEARCHED)
    assert mean.cosine.isna().all()
    assert (abs(samples.cosine) < 0.9).all()
    assert samples.cosine.nunique() == 2 * 2  # versions and images
    for name in ("psnr", "latent", "mmd", "threshold", "pixel"):
        assert mean[name].notna().all(), name
        assert samples[name].notna().all(), name
    assert samples.mmd.mean() < mean.mmd.mean()  # the mean is no sample of the prior


@pytest.mark.long
def test_another_judge_is_none_that_a_search_has_seen(place, studied, tmp_path, monkeypatch):
    monkeypatch.setattr(latent_study, "ROWS", {n: r.changed(steps=2) for n, r in ROWS.items()})
    _study(place, tmp_path, "--rows=5,13", "--tasks=jpeg", f"--judge={place / 'judge'}")
    one, other = (
        {(row["row"], row["version"], row["image"]): row for row in rows.read(folder / "rows.csv")
         if row["task"] == "jpeg"}
        for folder in (studied, tmp_path)
    )  # fmt: skip
    searched = [key for key in other if key[0] in ("5", "13")]
    assert len(searched) == 4
    for key in searched:
        assert other[key]["nll"] != one[key]["nll"]
        assert other[key]["own_nll"] == one[key]["own_nll"]
        assert "another training's model" in other[key]["protocol"]
        assert other[key]["identity"] != one[key]["identity"]
    with pytest.raises(UsageError, match=r"--judge: \S+ has learned factor 2 instead of 4"):
        _study(place, tmp_path / "a", f"--judge={place / 'judge'}", "--jpeg_factor=4", "--models=")
    with pytest.raises(UsageError, match=r"--judge is the model of --models=\[29\], which"):
        _study(place, tmp_path / "a", f"--judge={place / 'd29'}")
    originals = {key: row for key, row in other.items() if key[0] == "Original"}
    assert len(originals) == 2
    for key, row in originals.items():
        assert row["longest_nll"] == one[key]["longest_nll"] == one[key]["nll"] != row["nll"]


def test_images_are_scaled_down_as_the_search_scales_what_it_finds(place):
    """But for rounding: by Pillow even the original would not fit."""
    with Image.open(place / "in" / "000.png") as image:
        clean = np.asarray(image.resize((16, 16), Image.Resampling.NEAREST))
    given = latent_cases.degrade(clean, "downscale", 5, 2)
    exact = np.clip(downscale(clean[None].astype(np.float32), 2)[0], 0, 255)
    np.testing.assert_allclose(given, exact, atol=0.501)
    assert np.abs(scaled(clean, 8) - exact).max() > 1
    coded = latent_cases.degrade(clean, "jpeg", 5, 2)  # as degradation models learn it
    np.testing.assert_array_equal(coded, scaled(jpeg.degrade(clean, 5), 8))


def test_a_row_is_searched_for_once(place, tmp_path, monkeypatch):
    monkeypatch.setattr(latent_study, "ROWS", {n: r.changed(steps=2) for n, r in ROWS.items()})
    words = (tmp_path, "--rows=5", "--tasks=downscale")
    _study(place, *words)
    before = (tmp_path / "rows.csv").read_bytes()
    found = rows.read(tmp_path / "rows.csv")
    searched = [row for row in found if row["row"] == "5"]
    assert [(row["version"], row["seed"]) for row in searched] == [("2", "0")] * 2
    original = [float(row["pixel"]) for row in found if row["row"] == "Original"]
    assert len(original) == 2
    assert max(original) <= (0.5 / 255) ** 2 < min(float(row["pixel"]) for row in searched)
    monkeypatch.setattr(latent_study.Trials, "search", lambda *_: pytest.fail("searched again"))
    _study(place, *words)
    assert (tmp_path / "rows.csv").read_bytes() == before


@pytest.mark.long
def test_a_study_searches_for_nothing_twice(place, studied, tmp_path, monkeypatch):
    out = tmp_path / "out"
    shutil.copytree(studied, out)
    before = (out / "rows.csv").read_bytes()
    monkeypatch.setattr(latent_study, "ROWS", {n: r.changed(steps=2) for n, r in ROWS.items()})
    with monkeypatch.context() as patch:
        patch.setattr(latent_study.Trials, "search", lambda *_: pytest.fail("searched again"))
        _study(place, out)
    assert (out / "rows.csv").read_bytes() == before
    count = before.count(b"\n") - 1
    _study(place, out, "--rows=5", "--tasks=downscale", "--change=mmd_weight=10,power=2")
    found = rows.read(out / "rows.csv")
    assert len(found) == count + 2
    assert {row["variant"] for row in found} == {"", "mmd_weight=10 power=2"}
    assert not (out / "superseded.csv").exists()
    _study(place, out, "--rows=5", "--tasks=downscale", "--budget=other")
    assert len(rows.read(out / "rows.csv")) == count + 2
    # Row 5, Mean and Samples by images, Original and Given too.
    assert len(rows.read(out / "superseded.csv")) == 3 * 2 + 2 * 2


@pytest.mark.long
def test_a_sweep_has_a_variant_for_each_setting_and_a_figure(place, tmp_path, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr(latent_study, "ROWS", {n: r.changed(steps=2) for n, r in ROWS.items()})
    swept = "--sweep=mmd_weight=1,mmd_weight=1000,gamma=64"
    _study(place, out, "--rows=1,5", "--tasks=downscale", swept)
    found = [row for row in rows.read(out / "rows.csv") if row["row"] == "5"]
    assert {row["variant"] for row in found} == {"", "mmd_weight=1", "mmd_weight=1000", "gamma=64"}
    assert len(found) == 4 * 2
    images = {
        row["version"]: row["psnr"]
        for row in rows.read(out / "rows.csv")
        if (row["row"], row["image"]) == ("Given", "000")
    }
    assert images["1"] == images["2"]  # both versions restore the same
    evidence = mmd_restoration_evidence.load(str(out))
    assert [*mmd_restoration_figures._values(evidence, "mmd_weight")] == [1, 100, 1000]
    assert [*mmd_restoration_figures._values(evidence, "gamma")] == [64, 512]
    assert mmd_restoration_figures.figures(evidence)["sweeps"](out / "sweeps")
    assert (out / "sweeps.svg").exists()


def test_generators_of_other_sizes_have_no_images_in_common(place, tmp_path):
    other = stylegan.random(1, 32, 3, **SIZES)
    stylegan_files.save(other, str(tmp_path / "v1.npz"))
    with pytest.raises(
        UsageError, match="all restore the images of version 2 and must have its size, 16"
    ):
        cli.main(
            ["eval", "latent_study", f"--generators={tmp_path / 'v1.npz'},{place / 'v2.npz'}",
             "--rows=1,2", "--tasks=downscale", "--downscale_factor=2", "--budget=tiny",
             f"--out={tmp_path / 'out'}"]
        )  # fmt: skip


def _squares(folder, random, names, side):
    folder.mkdir()
    for name in names:
        image = random.integers(0, 256, (side, side, 3), np.uint8)
        Image.fromarray(image).save(folder / f"{name}.png")


@pytest.mark.long
def test_images_of_a_folder_are_scored_without_latents(place, tmp_path, random):
    _squares(tmp_path / "faces", random, "ab", 40)
    network = stylegan.random(2, 32, 3, **SIZES)
    stylegan_files.save(network, str(tmp_path / "v2.npz"))
    cli.main(
        ["eval", "latent_study", f"--generators={tmp_path / 'v2.npz'}",
         f"--data={tmp_path / 'faces'}", "--rows=3", "--tasks=jpeg", "--seeds=2", "--budget=tiny",
         f"--out={tmp_path / 'out'}", f"--rankiqa={place / 'rankiqa'}", "--fit_samples=200"]
    )  # fmt: skip
    found = rows.read(tmp_path / "out" / "rows.csv")
    assert [row["row"] for row in found].count("3") == 2 * 2
    for row in found:
        assert row["latent"] == "nan"
        assert float(row["resize_mean"]) == float(row["resize_mean"])


@pytest.mark.long
def test_shards_search_for_what_one_process_does(place, tmp_path, random):
    _squares(tmp_path / "faces", random, "abc", 16)
    words = [
        *("eval", "latent_study", f"--generators={place / 'v1.npz'}", "--rows=1"),
        *("--tasks=downscale", "--downscale_factor=2", "--seeds=1", "--budget=tiny"),
        *(f"--data={tmp_path / 'faces'}", "--fit_samples=200", "--batch=1"),
    ]
    whole, merged = measured_by_two(words, tmp_path, schemas.LATENT)
    assert [row["row"] for row in whole].count("1") == 3
    assert merged == whole


@pytest.mark.parametrize(
    ("scoring", "kept"),
    long_cases_but(["crops"], [("crops", False), ("both", False), ("resize", True)]),
)
def test_a_scorer_of_larger_crops_is_refused_before_any_search(
    scoring, kept, place, tmp_path, monkeypatch
):
    """The generators' images have 16 pixels, the scorer's crops 32."""
    monkeypatch.setattr(latent_study, "ROWS", {n: r.changed(steps=2) for n, r in ROWS.items()})
    words = (f"--rankiqa={place / 'rankiqa'}", f"--scoring={scoring}", "--rows=3")
    if kept:
        _study(place, tmp_path / "out", *words, "--tasks=downscale", "--images=1", "--seeds=1")
        (row,) = [r for r in rows.read(tmp_path / "out" / "rows.csv") if r["row"] == "3"]
        assert row["mean"] == "nan" != row["resize_mean"]
    else:
        monkeypatch.setattr(latent_study.Trials, "search", lambda *_: pytest.fail("searched"))
        with pytest.raises(UsageError, match="do not fit into images of 16: --scoring=resize"):
            _study(place, tmp_path / "out", *words)


@pytest.mark.long
def test_grids_show_what_every_row_makes(place, tmp_path):
    _study(
        place, tmp_path / "out", f"--crops_dir={tmp_path / 'crops'}", "--rows=1,2,5", "--shown=1"
    )
    for name in ("fig02_downscale", "fig06_jpeg"):
        (items,) = crop_grid.read(tmp_path / "crops" / name).images.values()
        assert [item.label.split("\n")[0] for item in items] == [
            "original", "given", "1: PULSE, v1", "2: PULSE, v2", "5: mean, MMD",
        ]  # fmt: skip
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--rows=14"], "14"),
        (["--tasks=blur"], "blur"),
        (["--change=steps=3"], "--change takes SETTING=VALUE of mmd_weight"),
        (["--change=learning_rate=x"], "--change: could not convert"),
        (["--quality=7"], "29 has learned severity 5.0 instead of 7"),
        (["--downscale_factor=3"], "cannot make them 3 times smaller, change its factor"),
        (["--models=x"], "takes EPOCHS:EXPORT"),
        (["--models=29:a,29:b"], "given twice"),
        (["--data=kodak", "--images=3"], "--images makes no sense with --data"),
        (["--generators=V2,V2"], "two are of version 2"),
        (["--generators=V2", "--models=", "--rows=8"], "row 8 needs.*--models=29:EXPORT"),
        (["--budget="], "--budget is needed"),
    ],
)
def test_a_study_refuses_what_does_not_fit(place, tmp_path, flags, message):
    words = [text.replace("V2", str(place / "v2.npz")) for text in flags]
    with pytest.raises(UsageError, match=message):
        _study(place, tmp_path / "out", *words)


# Tables and claims.


@pytest.mark.long
def test_tables_follow_from_the_rows(studied, tmp_path, capsys):
    shutil.copytree(studied, tmp_path / "results")
    cli.main(["eval", "mmd_restoration", f"--results={tmp_path / 'results'}"])
    assert "tables" in capsys.readouterr().out
    text = (tmp_path / "results" / "tables.md").read_text()
    assert text.count("tiny, on generated") == 1
    assert (tmp_path / "results" / "figures" / "mmd.png").exists()
    evidence = mmd_restoration_evidence.load(str(tmp_path / "results"))
    mine = evidence.trials("5", "jpeg")
    assert evidence.mean("5", "jpeg", "psnr") == pytest.approx(mine.psnr.mean())
    gap = evidence.difference("5", "3", "jpeg", "mmd")
    by_image = (mine.mmd - evidence.trials("3", "jpeg").mmd).groupby("image").mean()
    assert gap.mean == pytest.approx(by_image.mean())
    assert gap.margin == pytest.approx(12.706204736 * by_image.std() / 2**0.5)
    lines = {line["row"]: line for line in mmd_restoration_tables.study(evidence, "downscale")}
    assert set(lines) == {"Original", "Given", *UNSEARCHED, *"1234567"}
    assert float(lines["Original"]["cosine"]) == 1
    assert {line["StyleGAN V"] for line in lines.values()} == {"v1", "v2"}


def _evidence(changes, likelihoods=()):
    """Rows whose measures differ by `changes`, image by image: 5 from 3, 9 from 8, 12 from 11."""
    table = [
        {"row": row, "variant": "", "version": 2, "task": task, "image": str(i), "seed": 0}
        | {"pixel": 1.0, "longest_nll": math.nan}
        | dict.fromkeys(("mmd", "psnr", "nll"), 1.0 + (row in ("5", "9", "12")) * gap)
        for i, gap in enumerate(changes)
        for row in ("2", "3", "4", "5", "8", "9", "11", "12")
        for task in ("jpeg", "downscale")
    ]
    learned = {"degradation": "jpeg", "severity": 5, "factor": 4}
    nll = [
        {"model": model, "kind": kind, "image": str(i), "nll": value + 0.01 * i, **learned}
        for model, kind, value in likelihoods
        for i in range(9)
    ]
    empty = pd.DataFrame()
    drawn = {"wavefront": {}, "naive": {}}
    frame = pd.DataFrame(nll, columns=["model", "kind", "image", "nll", *learned])
    return mmd_restoration_evidence.Evidence(pd.DataFrame(table), frame, empty, empty, drawn, [])


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ((-0.5, -0.4) * 4, True),
        ((0.5, 0.4) * 4, False),
        ((0.5, -0.4) * 4, None),
        ((-0.5, -0.4), None),  # too few
    ],
)
def test_a_claim_follows_the_sign_of_the_difference(changes, holds):
    assert CHECKS["2b"].decide(_evidence(changes)).holds is holds


def test_rows_are_compared_over_the_seeds_of_both():
    evidence = _evidence((-0.5, -0.4) * 4)
    more = evidence.study[evidence.study.row == "3"].assign(seed=1, mmd=99.0)
    study = pd.concat([evidence.study, more])
    evidence = dataclasses.replace(evidence, study=study)
    assert evidence.difference("5", "3", "jpeg", "mmd").mean == pytest.approx(-0.45)
    assert evidence.difference("3", "5", "jpeg", "mmd").mean == pytest.approx(0.45)


def test_what_ends_no_nearer_than_the_mean_style_is_not_near():
    """PULSE is beaten by a search that the mean latent without any search beats."""
    evidence = _evidence((-0.5, -0.4) * 4)
    study = evidence.study.assign(latent=evidence.study.mmd)
    mean = study[study.row == "3"].assign(row="Mean, no search", latent=0.1)
    near = dataclasses.replace(evidence, study=pd.concat([study, mean]))
    assert CHECKS["2d"].decide(near).holds is False
    far = dataclasses.replace(evidence, study=pd.concat([study, mean.assign(latent=3.0)]))
    assert CHECKS["2d"].decide(far).holds is True


@pytest.mark.parametrize(
    ("changes", "longer", "holds"),
    [
        ((0.01, -0.02) * 4, 0.5, True),
        ((0.9, 0.8) * 4, 0.5, False),
        ((0.9, -0.8) * 4, 0.5, None),
        ((0.01, -0.02) * 4, 2.0, None),  # the longer training is not the likelier model
    ],
)
def test_longer_training_is_judged_at_lower_nll_only(changes, longer, holds):
    evidence = _evidence(changes)
    original = {"row": "Original", "variant": "", "version": 2, "task": "jpeg", "image": "0"}
    original |= {"seed": 0, "nll": longer, "own_nll": 1.0}
    study = pd.concat([evidence.study, pd.DataFrame([original])])
    assert CHECKS["4b"].decide(dataclasses.replace(evidence, study=study)).holds is holds


def test_a_degradation_model_that_lowers_the_nll_is_noticed():
    assert CHECKS["4c"].decide(_evidence((0.5, 0.4) * 4)).holds is False  # row 5's is higher
    evidence = _evidence((-0.5, -0.4) * 4)
    assert CHECKS["4c"].decide(evidence).holds is True


def test_likelihoods_are_judged_by_the_longest_trained_model():
    decide = CHECKS["1a"].decide
    assert decide(_evidence((0.0,))) is UNMEASURED
    one = (("epochs_379", "paired", 1.0), ("epochs_29", "paired", 2.0))
    assert decide(_evidence((0.0,), one)).holds is None
    both = (*one, ("epochs_379", "unpaired", 2.5), ("epochs_29", "unpaired", 2.5))
    evidence = _evidence((0.0,), both)
    assert decide(evidence).holds is True
    near = (*one, ("epochs_379", "unpaired", 1.5))
    assert decide(_evidence((0.0,), near)).holds is False
    assert CHECKS["4a"].decide(evidence).holds is True


def test_longer_training_is_likelier_over_the_seeds_that_both_have():
    both = {"": (1.0, 1.2), "_seed2": (1.0, 1.6), "_seed3": (1.0, 1.4)}
    likelihoods = [
        (f"epochs_{epochs}{seed}", "paired", bits)
        for seed, pair in both.items()
        for epochs, bits in zip((379, 29), pair)
    ]
    found = CHECKS["4a"].decide(
        _evidence((0.0,), [*likelihoods, ("epochs_379_seed4", "paired", 9)])
    )
    assert found.measured == "1.04 against 1.44 bits/dim"
    assert found.holds is None  # .4 ± .5 over three trainings
    steady = [(name, kind, 1.4 if "_29" in name else 1.0) for name, kind, _ in likelihoods]
    assert CHECKS["4a"].decide(_evidence((0.0,), steady)).holds is True


def test_the_clean_image_with_one_spread_must_not_do_what_a_model_does():
    """A folder without its rows leaves the claim open."""
    claim = next(each for each in claims_of("mmd_restoration") if each.number == "1a")
    model = (("epochs_379", "paired", 1.0), ("epochs_379", "unpaired", 2.5))
    judged = judge(claim, CHECKS["1a"], _evidence((0.0,), model))
    assert (judged.verdict, judged.reason[:12]) == (Verdict.UNDECIDED, "not measured")
    name = schemas.one_spread("jpeg", 5.0, 4)
    for paired, unpaired, holds in ((2.0, 3.5, True), (2.0, 9.0, True), (0.9, 9.0, False)):
        rival = ((name, "paired", paired), (name, "unpaired", unpaired))
        evidence = _evidence((0.0,), (*model, *rival))
        assert CHECKS["1a"].decide(evidence).holds is holds
        if holds:
            assert judge(claim, CHECKS["1a"], evidence).verdict is Verdict.HOLDS
        assert set(evidence.learned.model) == {"epochs_379"}
        lines = mmd_restoration_tables.likelihoods(
            dataclasses.replace(evidence, nll=evidence.nll.assign(budget="", data="kodak"))
        )
        assert [line["model"] for line in lines] == ["longer training", name]


def test_styles_without_a_search_must_not_be_as_near_to_the_prior():
    evidence = _evidence((-0.5, -0.4) * 4)
    claim = next(each for each in claims_of("mmd_restoration") if each.number == "2b")
    assert judge(claim, CHECKS["2b"], evidence).reason == "not measured: independent samples"
    near = evidence.study[evidence.study.row == "3"]
    both = [near.assign(row=row, mmd=2.0) for row in UNSEARCHED]
    far = dataclasses.replace(evidence, study=pd.concat([evidence.study, *both]))
    assert judge(claim, CHECKS["2b"], far).verdict is Verdict.HOLDS
    other = evidence.study.assign(pixel=evidence.study.row.map({"5": 2.1}).fillna(1.0))
    found = CHECKS["2b"].decide(dataclasses.replace(evidence, study=other))
    assert found.holds is False
    assert found.measured.endswith("; pixel error 2.1 times row 3's")
    both[1] = both[1].assign(mmd=0.1)
    samples = dataclasses.replace(evidence, study=pd.concat([evidence.study, *both]))
    assert judge(claim, CHECKS["2b"], samples).reason == "independent samples fulfills it too"


def test_samplers_are_compared_by_time_and_content():
    decide = CHECKS["3d"].decide
    evidence = _evidence((0.0, 0.0))
    assert decide(evidence) is UNMEASURED

    def with_times(fast, slow, content="a"):
        line = {"width": "64", "content": "a"}
        evidence.drawn["wavefront"]["p"] = {**line, "seconds": str(fast)}
        evidence.drawn["naive"]["p"] = {**line, "seconds": str(slow), "content": content}
        return decide(evidence).holds

    assert with_times(1, 30) is True
    assert with_times(1, 10) is False
    assert with_times(1, 30, "b") is False


def test_draws_that_turn_to_noise_are_counted():
    rng = np.random.default_rng(0)
    smooth = np.broadcast_to(np.arange(24, dtype=np.uint8)[None, :, None], (24, 24, 3)).copy()
    noisy = smooth.copy()
    noisy[8:, 8:] = rng.integers(0, 256, (16, 16, 3))
    tiles = [("original", noisy), ("degraded", smooth), ("drawn, seed 0", smooth), ("drawn", noisy)]
    tiles.append(("drawn, seed 2", smooth))
    samples = [[crop_grid.Tile(pixels, label) for label, pixels in tiles]]
    evidence = dataclasses.replace(_evidence((0.0,)), samples=samples)
    check = CHECKS["3b"]
    assert check.decide(evidence) == Decision("1 of 3 draws", True)
    degraded, untrained = check.rivals.values()
    assert check.decide(degraded(evidence)) == Decision("0 of 1 draws", False)
    assert check.decide(untrained(evidence)) is UNMEASURED
    assert check.decide(_evidence((0.0,))) is UNMEASURED
    # What makes nothing but noise has not learned to draw.
    noise = [[crop_grid.Tile(noisy, "drawn, seed 0"), crop_grid.Tile(noisy, "drawn, seed 1")]]
    worse = dataclasses.replace(evidence, untrained=noise)
    assert check.decide(untrained(worse)) == Decision("2 of 2 draws", False)
    most = dataclasses.replace(evidence, samples=[[*samples[0], *noise[0]]])
    assert check.decide(most) == Decision("3 of 5 draws", False)


@pytest.mark.parametrize(
    ("words", "may"),
    [
        ("version 2: random weights", False),
        ("version 2: random weights, mapping calibrated to FFHQ", True),
        ("version 2: trained", True),
    ],
)
def test_distances_need_styles_distributed_as_the_papers(words, may):
    """By the budget of the study's own rows, not by that of other tables."""
    evidence = _evidence((0.0,))
    untrained = evidence.nll.assign(budget="random weights", data="kodak")
    study = evidence.study.assign(budget=words, data="a")
    found = CHECKS["2c"].needs[0](dataclasses.replace(evidence, study=study, nll=untrained))
    assert (found is None) == may


def test_drawings_of_one_seed_differ_from_image_to_image(tmp_path, monkeypatch):
    seen = []
    network = types.SimpleNamespace(options={"mixtures": 2})
    model = types.SimpleNamespace(network=lambda: network, nll=lambda *pair: [1.0])

    def drawn(network, clean, uniforms):
        seen.append(uniforms[1])
        return clean

    monkeypatch.setattr(degradation_grid, "sample_wavefront", drawn)
    pairs = [(np.zeros((8, 8, 3), np.uint8),) * 2] * 2
    degradation_grid.write(str(tmp_path), "", model, ["a", "b"], pairs)
    assert len(seen) == 4
    assert len({each.tobytes() for each in seen}) == 4


def test_an_empty_folder_has_no_tables(tmp_path):
    with pytest.raises(WorkError, match="has no rows: measure with"):
        cli.main(["eval", "mmd_restoration", f"--results={tmp_path}"])


# Images of a generator.


def test_generated_images_are_decided_by_the_seed(place, tmp_path):
    def run(name, *extra):
        words = ["--count=2", f"--generator={place / 'v2.npz'}", *extra]
        cli.main(["generate", str(tmp_path / name), *words])
        return [path.read_bytes() for path in sorted((tmp_path / name).glob("*.png"))]

    one = run("a")
    assert len(one) == 2
    assert one[0] != one[1]
    assert run("b") == one
    assert run("c", "--seed=1") != one
    with pytest.raises(UsageError, match="2 outputs exist, .* first, of another generator or opt"):
        run("a", "--seed=1")
    assert run("a", "--seed=1", "--overwrite") != one
    flat = run("d", "--psi=0")
    sides = [np.asarray(Image.open(tmp_path / name / "000.png"), float) for name in ("a", "d")]
    assert flat[0] != one[0]
    assert np.abs(sides[0] - sides[1]).max() > 1


def test_generating_goes_on_where_it_was_killed(place, tmp_path, monkeypatch):
    out, words = tmp_path / "a", ["--count=3", f"--generator={place / 'v2.npz'}", "--sheet"]
    cli.main(["generate", str(out), *words])
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.iterdir()}
    (out / "001.png").unlink()
    cli.main(["generate", str(out), *words])
    after = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.iterdir()}
    for name in ("000.png", "002.png", "sheet.png"):
        assert after[name] == before[name]
    assert after["001.png"][0] == before["001.png"][0]
    # More of the same are others beside; a changed one is no more ours.
    cli.main(["generate", str(out), "--count=4", *words[1:2]])
    assert (out / "002.png").stat().st_mtime_ns == before["002.png"][1]
    Image.new("RGB", (16, 16)).save(out / "000.png")
    with pytest.raises(UsageError, match="000.png exists, of another generator or options, or ch"):
        cli.main(["generate", str(out), *words])


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("psi", [None, 0.9])
def test_official_seeds_make_the_authors_images(version, psi, tmp_path):
    """By hand: one stream gives the latent, then the noise of layer after layer."""
    network = stylegan.random(version, 16, 3, **SIZES, cutoff=2 if version == 1 else None)
    stylegan_files.scale_contrast(network, 50.0)
    network.mean.assign(network.mean + 0.3)
    stylegan_files.save(network, str(tmp_path / "v.npz"))
    flags = [f"--generator={tmp_path / 'v.npz'}", *([f"--psi={psi}"] if psi else [])]
    cli.main(["generate", str(tmp_path / "out"), "--seeds=7,6600-6601", *flags])
    names = sorted(path.name for path in (tmp_path / "out").glob("*.png"))
    assert names == ["seed0007.png", "seed6600.png", "seed6601.png"]
    for name in names:
        stream = np.random.RandomState(int(name[4:8]))
        z = stream.randn(1, 12).astype(np.float32)
        sides = {1: [4, 4, 8, 8, 16, 16], 2: [4, 8, 8, 16, 16]}[version]
        for stored, side in zip(network.noise, sides, strict=True):
            stored.assign(stream.randn(1, 1, side, side).transpose(0, 2, 3, 1))
        exact = np.clip(network(tf.constant(z), psi=psi)[0], 0, 255)
        np.testing.assert_allclose(read_image(tmp_path / "out" / name), exact, atol=0.51)


def test_images_to_compare_are_not_truncated(place, tmp_path, capsys):
    """As in the authors' metrics; all others are as the network says."""
    words = ["--count=2", f"--generator={place / 'v2.npz'}"]
    for name, flags in {
        "own": [],
        "half": ["--psi=0.5"],
        "whole": ["--psi=1"],
        "compared": [f"--compare_with={place / 'in'}"],
    }.items():
        cli.main(["generate", str(tmp_path / name), *words, *flags])
    assert json.loads(capsys.readouterr().out)["psi"] == 1
    own, half, whole, compared = (
        (tmp_path / name / "001.png").read_bytes() for name in ("own", "half", "whole", "compared")
    )
    assert own == half != whole == compared


@pytest.mark.long
def test_sheets_interpolations_and_distances_are_made_of_the_images(
    place, tmp_path, capsys, caplog
):
    out = tmp_path / "a"
    words = [f"--generator={place / 'v2.npz'}", "--count=3", "--sheet", "--interpolate=2"]
    words.append("--psi=1")
    with caplog.at_level("INFO", "lossylab"):
        cli.main(["generate", str(out), *words])
    assert f"written to {out}: 3 images, sheet.png, interpolation.png" in caplog.text
    assert "100%" in capsys.readouterr().err
    one, two, *_ = (np.asarray(Image.open(path)) for path in sorted(out.glob("0*.png")))
    sheet = np.asarray(Image.open(out / "sheet.png"))
    assert sheet.shape == (32, 32, 3)
    np.testing.assert_array_equal(sheet[:16], np.concatenate([one, two], 1))
    np.testing.assert_array_equal(sheet[16:, 16:], 255)
    between = np.asarray(Image.open(out / "interpolation.png")).astype(int)
    assert between.shape == (32, 64, 3)
    np.testing.assert_array_equal(
        between[:16, 48:], between[16:, :16]
    )  # a line ends where one begins
    capsys.readouterr()
    cli.main(["generate", str(out), *words, "--overwrite", f"--compare_with={out / '0*.png'}"])
    found = json.loads(capsys.readouterr().out)
    assert found["features"] == "VGG-16 (random weights)"
    assert (found["generated"], found["compared_with"]) == (3, 3)
    assert found["frechet_distance"] == pytest.approx(0, abs=1e-2)
    assert found["kernel_distance"] <= 0  # of equal sets: the estimate is unbiased


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--count=1", "--compare_with=kodak"], "--compare_with needs a --count above 1"),
        (["--features=imagenet"], "--features goes with --compare_with"),
        (["--count=1", "--interpolate=2"], "--interpolate needs a --count above 1"),
        (["--seeds=3", "--interpolate=2"], "--interpolate needs several --seeds"),
        (["--seeds=3", "--count=2"], "--count makes no sense with --seeds"),
        (["--styles=a.npz", "--psi=1"], "--psi makes no sense with --styles"),
        (["--seeds=a"], "--seeds takes numbers and ranges such as 6600-6625, got 'a'"),
        (["--seeds=5-3"], "--seeds: 5-3 is no range of numbers up to 4294967295"),
        (["--seeds=4294967296"], "--seeds: 4294967296 is no range"),
        (["--seeds=0-1000000"], "--seeds: at most 1000000 images"),
        (["--seeds=1-3,2"], "--seeds: one is given twice"),
    ],
)
def test_wrong_flags_of_generate(flags, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        cli.main(["generate", str(tmp_path / "a"), "--generator=a.npz", *flags])


def test_generate_refuses_what_does_not_fit(place, tmp_path, monkeypatch):
    monkeypatch.setenv("LOSSYLAB_ZOO", str(tmp_path / "zoo"))
    monkeypatch.setattr(zoo, "PACKAGED", tmp_path / "none")
    with pytest.raises(UsageError, match="no generator has a name here: give a --generator"):
        cli.main(["generate", str(tmp_path / "a")])
    with pytest.raises(UsageError, match="no such file"):
        cli.main(["generate", str(tmp_path / "a"), "--generator=nowhere.npz"])
    words = [f"--generator={place / 'v2.npz'}", "--styles=nowhere.npz"]
    with pytest.raises(UsageError, match="--styles: nowhere.npz: no such file"):
        cli.main(["generate", str(tmp_path / "a"), *words])
    assert not (tmp_path / "a").exists()
