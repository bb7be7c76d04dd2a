"""The distortion GAN's rows, Table I, figures and claims: made up, and those that are committed."""

import csv
import dataclasses
import itertools
import pathlib

import numpy as np
import pytest
from PIL import Image

import lossylab
from lossylab.cli import __main__ as cli
from lossylab.core import rows
from lossylab.core.errors import UsageError, WorkError
from lossylab.data.distortions import DISTORTIONS, distort
from lossylab.eval import schemas, severity_search
from lossylab.eval.distortion_gan import __main__ as distortion_gan
from lossylab.eval.distortion_gan import claims as distortion_gan_claims
from lossylab.eval.distortion_gan import evidence as distortion_gan_evidence
from lossylab.eval.distortion_gan import figures as distortion_gan_figures
from lossylab.eval.distortion_gan import own_measures as distortion_gan_own_measures
from lossylab.eval.distortion_gan import tables as distortion_gan_tables
from lossylab.eval.report import crop_grid, published
from lossylab.eval.report.claims import UNMEASURED, Verdict
from lossylab.inference.export.distorter import Distorter
from lossylab.models.unet import ResidualUNet

RESULTS = pathlib.Path(lossylab.__file__).parent / "results"
KINDS = list(DISTORTIONS)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A generator that was not trained."""
    path = tmp_path_factory.mktemp("gan") / "export"
    Distorter.save(ResidualUNet(2), str(path), {"distortion": "jpeg"})
    return str(path)


@pytest.fixture
def folder(tmp_path, images):
    """Two small images."""
    place = tmp_path / "images"
    place.mkdir()
    for name, image in zip("ab", images):
        Image.fromarray(image).save(place / f"{name}.png")
    return str(place)


# Measuring.


def test_models_and_real_distortions_are_measured_once(exported, folder, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = [
        *("eval", "distortions", f"--models=jpeg:{exported}", "--budget=tiny", f"--data={folder}"),
        f"--out={out}",
    ]
    cli.main(arguments)
    before = (out / "rows.csv").read_bytes()
    cli.main(arguments)
    assert (out / "rows.csv").read_bytes() == before
    evidence = distortion_gan_evidence.load(str(out))
    assert evidence.methods[0] == "jpeg"
    assert len(evidence.table) == 2 * 4 * (1 + 4 + 1)
    for kind in ("jpeg", "jpeg2000"):
        assert evidence.mean(f"real {kind}", kind) == 0
    for kind in ("white", "pink"):  # of another seed: alike, but not the same
        others = [evidence.mean(f"real {kind}", t) for t in KINDS if t != kind]
        assert 0 < evidence.mean(f"real {kind}", kind) < min(others)
    assert "| jpeg |" in capsys.readouterr().out
    for kind in ("jpeg", "jpeg2000"):
        mine = evidence.images(f"real {kind}", kind)
        for name in ("blockiness", "high_frequency", "slope"):
            assert np.array_equal(mine[name], mine[f"real_{name}"]), name
        assert (mine.spectrum_gap == 0).all()
    untouched = evidence.images("untouched", "pink")
    assert np.array_equal(untouched.untouched, untouched.jsd)
    assert untouched.slope.isna().all()
    lines = {line["distorted by"]: line for line in distortion_gan_tables.residuals(evidence)}
    assert set(lines) == {"jpeg", *(f"real {kind}" for kind in KINDS)}
    assert lines["real jpeg"]["high-frequency energy, of the real"] == "1.00"
    cli.main([*arguments[:3], "--budget=other", *arguments[4:]])
    assert set(distortion_gan_evidence.load(str(out)).images("jpeg", "pink").budget) == {"other"}


def test_models_of_other_severities_are_measured_against_these(folder, tmp_path, capsys):
    export, out = tmp_path / "export", tmp_path / "out"
    Distorter.save(ResidualUNet(2), str(export), {"distortion": "jpeg", "severity": 20.0})
    words = ["eval", "distortions", f"--data={folder}", f"--out={out}"]
    model = [f"--models=jpeg:{export}", "--budget=tiny"]
    said = "jpeg was trained for quality 20, .* has 40: give --severities=jpeg=20$"
    with pytest.raises(UsageError, match=said):
        cli.main([*words, *model])
    cli.main([*words, *model, "--severities=jpeg=20,pink=2.5"])
    evidence = distortion_gan_evidence.load(str(out))
    severities = evidence.table.groupby("reference").severity.unique()
    assert {name: list(values) for name, values in severities.items()} == {
        **{"jpeg": [20], "jpeg2000": [16], "white": [60], "pink": [2.5]}
    }
    assert evidence.mean("real jpeg", "jpeg") == 0
    with Image.open(f"{folder}/a.png") as image:
        original = np.asarray(image)
    change = np.abs(distort(original, "jpeg", 20).astype(float) - original).mean()
    assert evidence.images("real jpeg", "jpeg").residual["a"] == pytest.approx(change)
    # A folder has rows of one choice: others are set aside, and measured again when they are asked.
    default = tmp_path / "default"
    cli.main([*words[:3], f"--out={default}"])
    cli.main(words)
    cli.main([*words, "--severities=white=60"])
    names = ("generated", "reference", "severity", "image", "jsd", "identity")
    found = [
        sorted(tuple(row[name] for name in names) for row in rows.read(place / "rows.csv"))
        for place in (out, default)
    ]
    assert [row for row in found[0] if row[0] != "jpeg"] == found[1]


@pytest.mark.long
def test_grids_and_tables_are_made(exported, folder, tmp_path):
    out = tmp_path / "out"
    flags = [f"--models=jpeg:{exported},jpeg_l1:{exported}", "--budget=tiny", f"--data={folder}"]
    cli.main(["eval", "distortions", *flags, f"--out={out}"])
    cli.main(
        ["eval", "distortions", *flags, f"--crops_dir={out / 'grids' / 'fig02'}", "--crop_size=64"]
    )
    cli.main(["eval", "distortion_gan", f"--results={out}"])
    assert "Table I" in (out / "tables.md").read_text()
    assert (out / "figures" / "fig02.png").stat().st_size > 10_000
    assert "Distortion GAN" in (out / "claims.md").read_text()
    tiles = crop_grid.read(out / "grids" / "fig02").images["a, jpeg"]
    assert [tile.label for tile in tiles[:2]] == ["original", "jpeg, quality 40"]
    assert "Real distortions: JPEG quality 40, JP2K compression ratio 16," in (
        (out / "tables.md").read_text()
    )
    assert {tile.pixels.shape for tile in tiles} == {(64, 64, 3)}


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("jpeg, severity 40", "jpeg, quality 40"),
        ("pink, severity 2.5", "pink, standard deviation 2.5"),
        ("jpeg2000, compression ratio 16", "jpeg2000, compression ratio 16"),
        ("jpeg\nJSD 0.1", "JPEG (lambda = 0.1)\nJSD 0.1"),
        ("original", "original"),
    ],
)
def test_tiles_say_what_a_severity_is(label, shown):
    assert distortion_gan_figures._words("fig03_sparsity", label) == shown


def test_captions_say_the_severities_of_the_rows(tmp_path):
    evidence = _evidence(tmp_path / "a", _rows("jpeg", [0.1] * 4))
    assert distortion_gan_tables.severities_said(evidence) == (
        "JPEG quality 1, JP2K compression ratio 1, WN standard deviation 1, PN standard deviation 1"
    )


def test_the_search_ranks_by_distance(folder, tmp_path, monkeypatch, capsys):
    small = {"jpeg": (30,), "jpeg2000": (10, 30), "white": (5, 40), "pink": (5,)}
    monkeypatch.setattr(severity_search, "GRID", small)
    cli.main(["eval", "distortions", "--search", f"--data={folder}", f"--out={tmp_path / 'out'}"])
    with open(tmp_path / "out" / "severity.csv") as file:
        found = list(csv.DictReader(file))
    assert len(found) == 4
    distances = [float(line["mean abs log ratio"]) for line in found]
    assert distances == sorted(distances)
    assert {line["white"] for line in found} == {"5", "40"}
    assert {line[severity_search.SEVERITY_LIMITED] for line in found} == {"no"}  # pink noise of 5
    assert capsys.readouterr().out.startswith("mean abs log ratio,jpeg")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--out is needed"),
        (["--out={out}", "--models=jpeg:x"], "--budget is needed"),
        (["--out={out}", "--budget=t", "--models=jpeg"], "--models takes NAME:EXPORT, got jpeg"),
        (["--out={out}", "--budget=t", "--models=untouched:{e}"], "'untouched' is the name of"),
        (["--out={out}", "--budget=t", "--models=a:{e},a:{e}"], "several are called a"),
        (["--crops_dir={out}"], "--crops_dir needs --models"),
        (
            ["--crops_dir={out}", "--budget=t", "--models=blur:{e}"],
            "does not begin with a distortion",
        ),
        (["--out={out}", "--severities=blur=2"], "--severities takes NAME=VALUE, got blur=2: .*"),
        (["--out={out}", "--severities=jpeg"], "--severities takes NAME=VALUE, got jpeg: "),
        (["--out={out}", "--severities=jpeg=0"], "got jpeg=0: .* must lie in 1..100, got 0"),
        (["--out={out}", "--severities=jpeg=2.5"], "must be a whole number, got 2.5"),
        (["--out={out}", "--search", "--severities=jpeg=2"], "--severities goes without --search"),
    ],
)
def test_bad_usage(flags, message, exported, folder, tmp_path):
    words = [flag.format(out=tmp_path / "out", e=exported) for flag in flags]
    with pytest.raises((UsageError, ValueError), match=message):
        cli.main(["eval", "distortions", f"--data={folder}", "--crop_size=64", *words])


# Decisions.


def _rows(made, values, residual=5.0, wobble=0.0, images=6):
    """Rows of a maker: divergences from the real distortions in their order."""
    found = []
    for image in range(images):
        for kind, value in zip(KINDS, values):
            row = dict.fromkeys(schemas.DIVERGENCES.columns, "x")
            row |= {
                "generated": made,
                "reference": kind,
                "image": f"p{image}",
                "residual": residual,
            }
            row |= {"severity": 1, "width": 9, "height": 9, "seconds": 1, "parameters": 2}
            row |= schemas.DIVERGENCES.added
            row["jsd"] = value + wobble * (-1) ** image
            found.append(row)
    return found


def _evidence(path, *groups):
    path.mkdir(parents=True)
    file = rows.Rows(path / "rows.csv", schemas.DIVERGENCES.columns)
    for group in groups:
        for row in group:
            file.append(row)
    file.close()
    return distortion_gan_evidence.load(str(path))


def _decide(number, evidence):
    return distortion_gan_claims.CHECKS[number].decide(evidence)


def _judged(number, evidence):
    found = distortion_gan.PAPER.judgements(evidence)
    return next(each for each in found if each.claim.number == number)


def _paper():
    cells = published.numbers("distortion_gan", "I")
    short = schemas.SHORT
    return {made: [cells[short[made], short[kind], "mean"] for kind in KINDS] for made in KINDS}


def test_the_papers_own_table_fulfills_its_claims_but_one(tmp_path):
    nothing = _rows("untouched", [0.03, 0.04, 0.1, 0.02])
    evidence = _evidence(tmp_path / "a", nothing, *(_rows(m, v) for m, v in _paper().items()))
    for number in ("1a", "1b", "1c", "1d", "1e", "2"):
        assert _decide(number, evidence).holds is True, number
    lines = distortion_gan_tables.table1(evidence)
    assert len(lines) == 16
    assert {line["difference"].strip("+-") for line in lines} == {"0.0000"}
    marked = {line["distorted by"]: line for line in distortion_gan_tables.matrix(evidence)}
    assert marked["jpeg2000"]["JP2K"] == "***0.0031***"
    assert marked["jpeg"]["JPEG"] == "*0.0107*"  # the paper's anomaly: smallest of its column only


def test_diagonals_that_are_not_smallest_fail(tmp_path):
    table = _paper()
    nothing = _rows("untouched", [0.03, 0.04, 0.5, 0.02])
    table["white"][2] = 0.3
    evidence = _evidence(tmp_path / "a", nothing, *(_rows(made, v) for made, v in table.items()))
    assert _decide("1a", evidence).holds is False
    table["jpeg"][0] = 0.2
    evidence = _evidence(tmp_path / "b", nothing, *(_rows(made, v) for made, v in table.items()))
    assert _decide("1d", evidence).holds is False
    table.pop("pink")
    evidence = _evidence(tmp_path / "c", nothing, *(_rows(made, v) for made, v in table.items()))
    assert _decide("1a", evidence) is UNMEASURED


def test_noise_that_is_no_nearer_than_the_untouched_image_is_not_near(tmp_path):
    """The paper's own .0062 of pink noise: the untouched image is at .0026 here."""
    nothing = _rows("untouched", [0.03, 0.04, 0.1, 0.0026])
    evidence = _evidence(tmp_path / "a", nothing, *(_rows(m, v) for m, v in _paper().items()))
    assert _decide("1b", evidence).holds is False


def test_noise_of_another_spectrum_is_not_decided(tmp_path):
    nothing = _rows("untouched", [0.03, 0.04, 0.1, 0.02])
    groups = [_rows(m, v) for m, v in _paper().items()]
    evidence = _evidence(tmp_path / "a", nothing, *groups)
    reason = "the spectrum of what is added was not measured"
    assert _judged("1b", evidence).reason == reason
    for slope, verdict in ((-0.9, Verdict.HOLDS), (-0.1, Verdict.UNDECIDED)):
        table = evidence.table.assign(slope=slope, real_slope=-1.0)
        mine = dataclasses.replace(evidence, table=table)
        assert _judged("1b", mine).verdict is verdict


def test_the_search_prefers_what_is_visible_and_warns_of_borders(folder, monkeypatch, caplog):
    small = {"jpeg": (30, 40, 50), "jpeg2000": (10, 20), "white": (30, 60, 90), "pink": (5, 10)}
    monkeypatch.setattr(severity_search, "GRID", small)
    lines = list(csv.DictReader(severity_search.search([f"{folder}/a.png"]).splitlines()))
    best, kept = lines[0], [line[severity_search.SEVERITY_LIMITED] for line in lines]
    assert kept == sorted(kept, reverse=True)
    assert float(best["pink"]) >= 10
    assert float(best["white"]) <= 60
    assert float(best["jpeg"]) <= 40
    assert ("WN" in best["at a limit"]) == (best["white"] == "60")
    assert best["at the grid's border"].split()[-1] == "PN"  # 10 is the grid's last
    assert "lie at the grid's border" in caplog.text


_OWN = {"jpeg": "blockiness", "jpeg2000": "ringing", "white": "flatness", "pink": "slope"}


def _with_own(evidence, values, untouched, strength=10.0):
    """Rows of methods with an own measure each of real value 1.5 and strength 10."""
    table = evidence.table.copy()
    for name in {*_OWN.values(), "std", "power"}:
        table[f"real_{name}"] = 10.0 if name in ("std", "power") else 1.5
        table[name] = untouched
    for kind, value in values.items():
        table.loc[table.generated == kind, _OWN[kind]] = value
        table.loc[table.generated == kind, ["std", "power"]] = strength
    return dataclasses.replace(evidence, table=table)


@pytest.mark.long
def test_own_measures_decide_and_the_untouched_image_fails(tmp_path):
    nothing = _rows("untouched", [0.03, 0.04, 0.5, 0.02], 0)
    groups = [_rows(name, [0.01] * 4) for name in KINDS]
    plain = _evidence(tmp_path / "a", nothing, *groups)
    assert _decide("9a", plain) is _decide("9e", plain) is UNMEASURED
    near = {"jpeg": 1.4, "jpeg2000": 1.2, "white": 1.0, "pink": 1.6}
    evidence = _with_own(plain, near, 1.0)
    for number in ("9a", "9b", "9c", "9d", "9e", "9f"):
        assert _judged(number, evidence).verdict is Verdict.HOLDS, number
        assert "adds nothing" in _judged(number, evidence).rivals[0]
    lines = distortion_gan_own_measures.table(evidence)
    assert [line["kept"] for line in lines] == ["yes"] * 8
    assert lines[0]["real"] == "1.50"
    far = _with_own(plain, {"jpeg": 1.1, "jpeg2000": 0.5, "white": 3.0, "pink": 1.0}, 1.0, 7.0)
    for number in ("9a", "9b", "9c", "9d", "9e", "9f"):
        assert _decide(number, far).holds is False, number


def test_noise_is_as_strong_as_its_bands_not_as_its_tint(tmp_path):
    """A tint's deviation is no noise: the power of all bands decides."""
    made = [_rows(kind, [0.01] * 4) for kind in KINDS]
    for row in itertools.chain(*made):
        weak = row["generated"] in ("white", "pink")
        row |= {"std": 10.0, "real_std": 10.0, "real_bands": "20.0 22.0"}
        row["bands"] = "17.0 20.0" if weak else "20.0 22.0"
    evidence = _evidence(tmp_path / "a", *made)
    found = _decide("9e", evidence)
    assert found.holds is False
    assert "white noise: mean power of the spectrum's bands, dB off by -2.50 dB" in found.measured
    lines = {
        (each["distorted by"], each["measure"]): each
        for each in distortion_gan_own_measures.table(evidence)
    }
    assert lines["jpeg", "standard deviation of the residual"]["kept"] == "yes"
    assert lines["pink", "mean power of the spectrum's bands, dB"]["kept"] == "no"


def test_blocks_in_place_have_a_claim_of_their_own(tmp_path):
    plain = _evidence(tmp_path / "a", _rows("jpeg_grid16", [0.01] * 4))
    table = plain.table.assign(blockiness=1.4, real_blockiness=1.5)
    assert _decide("9h", dataclasses.replace(plain, table=table)).holds is True
    assert _decide("9h", plain) is UNMEASURED


def test_a_noise_input_is_compared_with_none(tmp_path):
    groups = [
        _rows(f"{kind}{suffix}{seed}", [0.01] * 4)
        for kind in ("white", "pink")
        for suffix in ("", "_noise_input")
        for seed in ("", "_seed2", "_seed3")
    ]
    evidence = _evidence(tmp_path / "a", *groups)
    near = evidence.table.generated.str.contains("noise_input")
    table = evidence.table.assign(spectrum_gap=np.where(near, 1.0, 4.0))
    table["bands"] = np.where(near, " ".join(["3"] * 12), " ".join(["1"] * 12))
    evidence = dataclasses.replace(evidence, table=table)
    assert _judged("9g", evidence).verdict is Verdict.HOLDS
    assert distortion_gan_figures.figures(evidence)["spectra"](tmp_path / "spectra")
    assert (tmp_path / "spectra.png").stat().st_size > 10_000
    assert not distortion_gan_figures.figures(
        dataclasses.replace(evidence, table=table.assign(bands=""))
    )["spectra"](tmp_path / "none")


@pytest.mark.parametrize(
    ("worse", "wobble", "holds"), [(0.02, 0.001, True), (-0.02, 0.001, False), (0.001, 0.02, None)]
)
def test_pixel_losses_are_compared_by_image(worse, wobble, holds, tmp_path):
    groups = [_rows("jpeg", [0.03, 0, 0, 0])]
    for name in ("jpeg_l1", "jpeg_l2"):
        groups.append(_rows(name, [0.03 + worse, 0, 0, 0], wobble=wobble))
    evidence = _evidence(tmp_path / "a", *groups)
    assert _decide("4c", evidence).holds is holds
    assert _judged("4c", evidence).verdict is Verdict.UNDECIDED  # one training each


def test_blur_and_blocks_are_decided_by_their_own_measures(tmp_path):
    groups = [_rows(name, [0.03, 0, 0, 0]) for name in ("jpeg", "jpeg_l1", "jpeg_l2", "untouched")]
    evidence = _evidence(tmp_path / "a", *groups)
    assert _decide("4a", evidence) is _decide("4b", evidence) is UNMEASURED
    sharp = evidence.table.generated.map({"jpeg": 9.0, "jpeg_l1": 5.0, "jpeg_l2": 5.0})
    blocky = evidence.table.generated.map({"jpeg": 1.5, "untouched": 1.0})
    table = evidence.table.assign(high_frequency=sharp, blockiness=blocky)
    evidence = dataclasses.replace(evidence, table=table)
    assert _decide("4a", evidence).holds is _decide("4b", evidence).holds is True


def test_lambdas(tmp_path):
    groups = [
        _rows("real jpeg", [0, 0, 0, 0], residual=5.0),
        _rows("untouched", [0.07, 0, 0, 0], 0),
    ]
    for name, residual, jsd in (
        ("jpeg_lambda_0", 12.0, 0.06),
        ("jpeg_lambda_0.01", 9.0, 0.05),
        ("jpeg", 5.0, 0.02),
        ("jpeg_lambda_1", 1.0, 0.04),
    ):
        groups.append(_rows(name, [jsd, 0, 0, 0], residual, wobble=0.001))
    evidence = _evidence(tmp_path / "a", *groups)
    assert [_decide(n, evidence).holds for n in ("3a", "3b", "3c")] == [True] * 3
    # A generator that changes nothing has no artifacts.
    assert "the untouched image: mean residual" in _judged("3b", evidence).rivals[0]
    assert "(does not)" in _judged("3b", evidence).rivals[0]
    lines = distortion_gan_tables.ablations(evidence)
    assert [line["residual, pixel values"] for line in lines][:4] == [
        "12.00",
        "9.00",
        "5.00",
        "1.00",
    ]
    groups[5] = _rows("jpeg_lambda_1", [0.04, 0, 0, 0], 0.3, wobble=0.001)
    nothing = _evidence(tmp_path / "nothing", *groups)
    assert _decide("3b", nothing).holds is False
    groups[4] = _rows("jpeg", [0.08, 0, 0, 0], 0.5)
    groups[2] = _rows("jpeg_lambda_0", [0.06, 0, 0, 0], 4.0)
    evidence = _evidence(tmp_path / "b", *groups)
    assert [_decide(n, evidence).holds for n in ("3a", "3b", "3c")] == [False] * 3


def test_what_was_not_generated_is_compared_with_every_training(tmp_path):
    seeds = [
        _rows(f"jpeg_lambda_1{seed}", [0.1] * 4, residual)
        for seed, residual in (("", 1.0), ("_seed2", 2.0), ("_seed3", 3.0))
    ]
    real = _rows("real jpeg", [0] * 4, residual=5.0)
    others = [_rows(f"jpeg{seed}", [0.1] * 4, 4.0) for seed in ("", "_seed3")]
    evidence = _evidence(tmp_path / "a", real, *seeds, *others)
    gap = evidence.difference(("real jpeg", "jpeg"), ("jpeg_lambda_1", "jpeg"), "residual")
    assert (gap.mean, gap.trainings) == (3.0, 3)
    gap = evidence.difference(("jpeg", "jpeg"), ("jpeg_lambda_1", "jpeg"), "residual")
    assert (gap.mean, gap.trainings) == (2.0, 2)  # of the first and the third seed


def test_missing_rows_are_said(tmp_path):
    with pytest.raises(WorkError, match="is not readable"):
        distortion_gan_evidence.load(str(tmp_path))


def test_published_table_is_the_papers():
    paper = pathlib.Path(lossylab.__file__).parent.parent / "shared/papers/distortion_gan.txt"
    values = published.load("distortion_gan", "I").value.astype(float).to_numpy().reshape(4, 4)
    np.testing.assert_allclose(values.sum(1), [0.2811, 0.3009, 0.4963, 0.1951], atol=1e-9)
    np.testing.assert_allclose(values.sum(0), [0.2265, 0.2540, 0.5897, 0.2032], atol=1e-9)
    if not paper.exists():
        pytest.skip("the paper's text is not at hand")
    text = paper.read_text()
    for value in published.load("distortion_gan", "I").value:
        assert value in text


# What is committed.


@pytest.fixture(scope="module")
def committed():
    """The committed results."""
    return str(RESULTS / "distortion_gan")


def test_committed_rows_are_of_whole_kodak(committed):
    table = distortion_gan_evidence.load(committed).table
    assert set(table.groupby(["generated", "reference"]).image.nunique()) == {24}
    assert {f"real {kind}" for kind in KINDS} <= set(table.generated)


def test_severities_are_those_of_the_search(committed):
    best = distortion_gan_evidence.load(committed).severities[0]
    for name, kind in DISTORTIONS.items():
        assert float(best[name]) == kind.severity


def test_committed_figures_are_there(committed):
    drawn = {path.stem for path in (pathlib.Path(committed) / "figures").glob("*.png")}
    for name in ("table1", "fig02", "fig03", "fig04"):
        assert any(each.startswith(name) for each in drawn), name
