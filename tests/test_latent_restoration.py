"""Latent restoration from the command line: restore, the study, tables and claims."""

import csv
import io
import json
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

import lossylab
from lossylab.eval import (
    claims,
    latent_cases,
    latent_study,
    mmd_restoration,
    mmd_restoration_tables,
    restore,
    rows,
    stylegan_files,
)
from lossylab.eval.app import UsageError, WorkError
from lossylab.eval.degradations import save_degradation
from lossylab.eval.latent_rows import EPOCHS, ROWS
from lossylab.eval.mmd_restoration_claims import CLAIMS
from lossylab.eval.rankiqa import save_rankiqa
from lossylab.models import rankiqa as rankiqa_model
from lossylab.models import stylegan
from lossylab.models.pixelcnn import ConditionalPixelCNN

RESULTS = pathlib.Path(lossylab.__file__).parent / "results"
SIZES = {"latent": 12, "mapping": 16, "width": 16, "depth": 3, "fmap_base": 64, "fmap_max": 8}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Generators of both versions, two degradation models, a scorer and three small pictures."""
    folder = tmp_path_factory.mktemp("latent")
    for version in (1, 2):
        network = stylegan.random(version, 16, 3, **SIZES)
        stylegan_files.scale_contrast(network, 50.0)
        stylegan_files.save(network, str(folder / f"v{version}.npz"))
    options = {"degradation": "jpeg", "severity": 5.0, "factor": 2, "grid": 1}
    for epochs in EPOCHS:
        degradation = ConditionalPixelCNN(4, 1, 2, condition_filters=4)
        save_degradation(degradation, str(folder / f"d{epochs}"), options)
    save_rankiqa(rankiqa_model.RankIQA(2, 8, 32, "random"), str(folder / "rankiqa"), {})
    (folder / "in").mkdir()
    for case in latent_cases.generated(network, 3, 0, 1.0):
        given = latent_cases.degrade(case.truth, "downscale", 5, 2)
        Image.fromarray(given).save(folder / "in" / f"{case.name}.png")
    return folder


def _restore(capsys, place, out, *extra, method="mmd"):
    fast = ("--steps=4", "--samples=32", "--fit_samples=200")
    restore.main(
        ["restore", str(place / "in"), str(out), f"--method={method}",
         f"--generator={place / 'v2.npz'}", *fast, *extra]
    )  # fmt: skip
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


@pytest.mark.parametrize(("method", "constraint"), [("mmd", "mmd"), ("pulse", "pixel")])
def test_pictures_are_restored_with_reports(place, tmp_path, capsys, method, constraint):
    lines = _restore(capsys, place, tmp_path / "out", "--batch=2", method=method)
    assert [pathlib.Path(line["output"]).name for line in lines] == [f"00{i}.png" for i in range(3)]
    for line in lines:
        with Image.open(line["output"]) as image:
            assert (image.size, image.mode) == ((16, 16), "RGB")
        report = json.loads(pathlib.Path(line["output"]).with_suffix(".json").read_text())
        assert report["finished"]
        assert report["step"] == 3
        assert report["settings"]["steps"] == 4
        assert report["constraint"]["of"] == line["constraint"] == constraint
        reached, limit = (report["constraint"][name] for name in ("reached", "limit"))
        assert report["constraint"]["met"] == (reached <= limit) == (line["met"] == "yes")
        assert reached == report["losses"][constraint]
        assert report["best"]["losses"]["total"] <= report["losses"]["total"]


def test_finished_pictures_are_kept_and_others_searched_for(place, tmp_path, capsys):
    out = tmp_path / "out"
    first = _restore(capsys, place, out)
    pictures = {path.name: path.read_bytes() for path in out.glob("*.png")}
    report = out / "001.json"
    text = json.loads(report.read_text())
    report.write_text(json.dumps({**text, "finished": False}))  # as a killed search leaves it
    (out / "002.png").unlink()
    again = _restore(capsys, place, out)
    assert [line["input"] for line in again] == [line["input"] for line in first[1:]]
    assert {path.name: path.read_bytes() for path in out.glob("*.png")} == pictures
    assert _restore(capsys, place, out) == []
    with pytest.raises(UsageError, match="exists, of another search: --overwrite"):
        _restore(capsys, place, out, "--seed=1")
    assert len(_restore(capsys, place, out, "--seed=1", "--overwrite")) == 3


def test_a_batch_finds_what_single_searches_find(place, tmp_path, capsys):
    _restore(capsys, place, tmp_path / "one")
    _restore(capsys, place, tmp_path / "many", "--batch=3")
    for path in (tmp_path / "one").glob("*.png"):
        sides = [np.asarray(Image.open(folder / path.name), int)
                 for folder in (tmp_path / "one", tmp_path / "many")]  # fmt: skip
        assert np.abs(sides[0] - sides[1]).max() <= 1


def test_the_best_so_far_is_written_on_the_way(place, tmp_path, capsys, monkeypatch):
    """A search that fails in the middle leaves pictures and reports that say so."""
    from lossylab.eval import latent_search

    step = latent_search.Search._step
    calls = []

    def failing(self, rate):
        calls.append(rate)
        if len(calls) == 3:
            raise FloatingPointError("step 2: a loss is not finite")
        return step(self, rate)

    monkeypatch.setattr(latent_search.Search, "_step", failing)
    with pytest.raises(WorkError, match="not finite.*lower --rate"):
        _restore(capsys, place, tmp_path / "out", "--save_every=1")
    report = json.loads((tmp_path / "out" / "000.json").read_text())
    assert not report["finished"]
    assert (tmp_path / "out" / "000.png").exists()


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
        (["--method=mmd"], "needs --generator"),
        (["--method=mmd", "--generator=V2", "--model=x"], "--model: not for --method=mmd"),
        (["--steps=3", "--model=sadct"], "--steps: not for --method=network"),
        (["--method=pulse", "--generator=V2", "--mean_init"], "makes no sense with space 'z'"),
        (["--method=mmd", "--generator=V2", "--nll_weight=1"], "needs --degradation_model"),
        (
            ["--method=mmd", "--generator=V2", "--nll_weight=0", "--degradation_model=D"],
            "makes no sense with --nll_weight=0",
        ),
        (["--method=mmd", "--generator=V2", "--samples=1"], "at least 2"),
        (["--method=mmd", "--generator=V2", "--size=5"], "5 pixels do not divide"),
        (["--method=mmd", "--generator=V2", "--size=16"], "8 pixels wide, below --size=16"),
        (["--method=mmd", "--generator=nowhere.npz"], "no such file"),
    ],
)
def test_restore_refuses_what_does_not_fit(place, tmp_path, arguments, message):
    words = [text.replace("V2", str(place / "v2.npz")).replace("=D", f"={place / 'd29'}")
             for text in arguments]  # fmt: skip
    with pytest.raises(UsageError, match=message):
        restore.main(["restore", str(place / "in"), str(tmp_path / "out"), *words])
    assert not list(tmp_path.rglob("*.png"))


def test_pictures_that_are_not_square_are_refused_before_any_search(place, tmp_path, pictures):
    Image.fromarray(pictures[0]).save(tmp_path / "wide.png")
    with pytest.raises(UsageError, match="160x128: the generator's are square, crop it first"):
        restore.main(["restore", str(tmp_path / "wide.png"), str(tmp_path / "out.png"),
                      "--method=mmd", f"--generator={place / 'v2.npz'}"])  # fmt: skip


# The study.


def _study(place, out, *extra):
    latent_study.main(
        ["latent_study", f"--generators={place / 'v1.npz'},{place / 'v2.npz'}",
         f"--models=29:{place / 'd29'},379:{place / 'd379'}", "--pictures=2", "--seeds=2",
         "--title=tiny", "--jpeg_factor=2", "--factor=2", "--fit_samples=200",
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


def test_a_study_has_every_row_task_picture_and_seed(studied):
    table = rows.frame(rows.read(studied / "rows.csv", latent_study.COLUMNS), latent_study.TEXT)
    searched = table[table.row.isin(list(ROWS))]
    plain = [name for name, row in ROWS.items() if not row.epochs]
    assert len(searched) == (len(ROWS) + len(plain)) * 2 * 2
    assert set(searched[searched.task == "downscale"].row) == set(plain)
    assert set(table.row) - set(ROWS) == {"Original", "Compressed"}
    for name in ("psnr", "ssim", "latent", "mmd", "limit", "total", "norm"):
        assert searched[name].notna().all(), name
    assert table[table.task == "jpeg"].nll.notna().all()
    original = table[table.row == "Original"]
    assert (original.ssim > 0.999).all()
    assert (original.latent == 0).all()


def test_a_study_searches_for_nothing_twice(place, studied, tmp_path, monkeypatch):
    out = tmp_path / "out"
    shutil.copytree(studied, out)
    before = (out / "rows.csv").read_bytes()
    monkeypatch.setattr(latent_study, "ROWS", {n: r.changed(steps=2) for n, r in ROWS.items()})
    with monkeypatch.context() as patch:
        patch.setattr(latent_study.Trials, "search", None)
        _study(place, out)
    assert (out / "rows.csv").read_bytes() == before
    _study(place, out, "--rows=5", "--tasks=downscale", "--mmd_weight=10")
    assert len(rows.read(out / "rows.csv")) == before.count(b"\n") - 1 + 2 * 2


def test_pictures_of_a_folder_are_scored_without_latents(place, tmp_path, random):
    (tmp_path / "faces").mkdir()
    for name in "ab":
        picture = random.integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(picture).save(tmp_path / "faces" / f"{name}.png")
    network = stylegan.random(2, 32, 3, **SIZES)
    stylegan_files.save(network, str(tmp_path / "v2.npz"))
    latent_study.main(
        ["latent_study", f"--generators={tmp_path / 'v2.npz'}", f"--data={tmp_path / 'faces'}",
         "--rows=3", "--tasks=jpeg", "--title=tiny", f"--out={tmp_path / 'out'}",
         f"--rankiqa={place / 'rankiqa'}", "--fit_samples=200"]
    )  # fmt: skip
    found = rows.read(tmp_path / "out" / "rows.csv")
    assert [row["row"] for row in found].count("3") == 2
    for row in found:
        assert row["latent"] == "nan"
        assert float(row["resize_mean"]) == float(row["resize_mean"])


def test_sheets_show_what_every_row_makes(place, tmp_path):
    _study(place, tmp_path / "out", f"--sheets={tmp_path / 'crops'}", "--rows=2,5", "--shown=1")
    for name in ("fig02_downscale", "fig06_jpeg"):
        page = json.loads((tmp_path / "crops" / name / "index.json").read_text())
        (items,) = page["pictures"].values()
        assert [item["label"].split("\n")[0] for item in items] == [
            "original", "given", "2: PULSE, v2", "5: mean, MMD",
        ]  # fmt: skip
        assert all((tmp_path / "crops" / name / item["file"]).exists() for item in items)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--rows=14"], "14"),
        (["--tasks=blur"], "blur"),
        (["--factor=3"], "cannot make them 3 times smaller, change its factor"),
        (["--models=x"], "takes EPOCHS:EXPORT"),
        (["--models=29:a,29:b"], "given twice"),
        (["--data=kodak", "--pictures=3"], "--pictures makes no sense with --data"),
        (["--generators=V2,V2"], "two are of version 2"),
        (["--generators=V2", "--models=", "--rows=8"], "row 8 needs.*--models=29:EXPORT"),
        (["--title="], "--title is needed"),
    ],
)
def test_a_study_refuses_what_does_not_fit(place, tmp_path, flags, message):
    words = [text.replace("V2", str(place / "v2.npz")) for text in flags]
    with pytest.raises(UsageError, match=message):
        _study(place, tmp_path / "out", *words)


# Tables and claims.


def test_tables_follow_from_the_rows(studied, tmp_path, capsys):
    shutil.copytree(studied, tmp_path / "results")
    mmd_restoration.main(["x", f"--results={tmp_path / 'results'}"])
    assert "tables" in capsys.readouterr().out
    text = (tmp_path / "results" / "tables.md").read_text()
    assert text.count("*tiny, on generated*") >= 3
    assert (tmp_path / "results" / "figures" / "mmd.png").exists()
    evidence = mmd_restoration_tables.load(str(tmp_path / "results"))
    mine = evidence.trials("5", "jpeg")
    assert evidence.mean("5", "jpeg", "psnr") == pytest.approx(mine.psnr.mean())
    gap = evidence.difference("5", "3", "jpeg", "mmd")
    by_picture = (mine.mmd - evidence.trials("3", "jpeg").mmd).groupby("picture").mean()
    assert gap.mean == pytest.approx(by_picture.mean())
    assert gap.error == pytest.approx(by_picture.std() / 2**0.5)
    lines = {line["row"]: line for line in mmd_restoration_tables.study(evidence, "downscale")}
    assert set(lines) == {"Original", "Compressed", *"1234567"}


def _evidence(changes):
    """A study of two rows whose measure differs by `changes`, picture by picture."""
    import pandas as pd

    table = [
        {"row": row, "task": "jpeg", "picture": str(i), "seed": 0, "mmd": 1.0 + (row == "5") * gap}
        for i, gap in enumerate(changes)
        for row in ("3", "5")
    ]
    empty = pd.DataFrame(columns=["kind", "nll", "model"])
    drawn = {"wavefront": {}, "naive": {}}
    return mmd_restoration_tables.Evidence(pd.DataFrame(table), empty, empty, empty, drawn, [])


@pytest.mark.parametrize(
    ("changes", "holds"),
    [((-0.5, -0.4, -0.6), True), ((0.5, 0.4, 0.6), False), ((0.5, -0.4, 0.1), None)],
)
def test_a_claim_follows_the_sign_of_the_difference(changes, holds):
    claim = next(claim for claim in CLAIMS if claim.number == "2a")
    assert claim.decide(_evidence(changes)).holds is holds


def test_samplers_are_compared_by_time_and_content():
    claim = next(claim for claim in CLAIMS if claim.number == "3")
    evidence = _evidence((0.0, 0.0))
    assert claim.decide(evidence).holds is None

    def with_times(fast, slow, content="a"):
        line = {"width": "64", "content": "a"}
        evidence.drawn["wavefront"]["p"] = {**line, "seconds": str(fast)}
        evidence.drawn["naive"]["p"] = {**line, "seconds": str(slow), "content": content}
        return claim.decide(evidence).holds

    assert with_times(1, 30) is True
    assert with_times(1, 10) is False
    assert with_times(1, 30, "b") is False


def test_an_empty_folder_has_no_tables(tmp_path):
    with pytest.raises(WorkError, match="has no rows: measure with"):
        mmd_restoration.main(["x", f"--results={tmp_path}"])


@pytest.mark.skipif(
    not (RESULTS / "mmd_restoration" / "rows.csv").exists(), reason="nothing is measured yet"
)
def test_committed_tables_and_claims_are_those_of_the_committed_rows():
    evidence = mmd_restoration_tables.load(str(RESULTS / "mmd_restoration"))
    for name, text in mmd_restoration.texts(evidence).items():
        assert (RESULTS / "mmd_restoration" / name).read_text() == text, name
    ledger = (RESULTS / "claims.md").read_text()
    assert claims.merged(ledger, mmd_restoration.section(evidence)) == ledger
