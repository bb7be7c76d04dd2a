"""The distortion GAN's rows, Table I, figures and claims: made up, and those that are committed."""

import csv
import pathlib

import numpy as np
import pytest
from PIL import Image

import lossylab
from lossylab.cli import __main__ as cli
from lossylab.core import rows
from lossylab.core.errors import UsageError, WorkError
from lossylab.data.distortions import DISTORTIONS
from lossylab.eval import distortions, severity_search
from lossylab.eval.distortion_gan import claims as distortion_gan_claims
from lossylab.eval.distortion_gan import evidence as distortion_gan_evidence
from lossylab.eval.distortion_gan import tables as distortion_gan_tables
from lossylab.eval.report import published
from lossylab.inference.export.distorter import Distorter
from lossylab.models.unet import ResidualUNet

RESULTS = pathlib.Path(lossylab.__file__).parent / "results"
TRUTHS = list(DISTORTIONS)


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


def test_models_and_truths_are_measured_once(exported, folder, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = [
        *("eval", "distortions", f"--models=jpeg:{exported}", "--title=tiny", f"--data={folder}"),
        f"--out={out}",
    ]
    cli.main(arguments)
    before = (out / "rows.csv").read_bytes()
    cli.main(arguments)
    assert (out / "rows.csv").read_bytes() == before
    evidence = distortion_gan_evidence.load(str(out))
    assert evidence.methods[0] == "jpeg"
    assert len(evidence.table) == 2 * 4 * (1 + 4 + 1)
    for truth in ("jpeg", "jpeg2000"):
        assert evidence.mean(f"true {truth}", truth) == 0
    for truth in ("white", "pink"):  # of another seed: alike, but not the same
        others = [evidence.mean(f"true {truth}", t) for t in TRUTHS if t != truth]
        assert 0 < evidence.mean(f"true {truth}", truth) < min(others)
    assert "| jpeg |" in capsys.readouterr().out
    for truth in ("jpeg", "jpeg2000"):
        mine = evidence.images(f"true {truth}", truth)
        for name in ("blockiness", "high_frequency", "slope"):
            assert np.array_equal(mine[name], mine[f"true_{name}"]), name
        assert (mine.spectrum_gap == 0).all()
    untouched = evidence.images("pristine", "pink")
    assert np.array_equal(untouched.untouched, untouched.jsd)
    assert untouched.slope.isna().all()
    lines = {line["distorted by"]: line for line in distortion_gan_tables.residuals(evidence)}
    assert set(lines) == {"jpeg", *(f"true {truth}" for truth in TRUTHS)}
    assert lines["true jpeg"]["high-frequency energy, of the true"] == "1.00"
    cli.main([*arguments[:3], "--title=other", *arguments[4:]])
    assert set(distortion_gan_evidence.load(str(out)).images("jpeg", "pink").budget) == {"other"}


def test_sheets_and_tables_are_made(exported, folder, tmp_path):
    out = tmp_path / "out"
    flags = [f"--models=jpeg:{exported},jpeg_l1:{exported}", "--title=tiny", f"--data={folder}"]
    cli.main(["eval", "distortions", *flags, f"--out={out}"])
    cli.main(["eval", "distortions", *flags, f"--crops={out / 'sheets' / 'fig02'}", "--size=64"])
    cli.main(["eval", "distortion_gan", f"--results={out}"])
    assert "Table I" in (out / "tables.md").read_text()
    assert (out / "figures" / "fig02.png").stat().st_size > 10_000
    assert "Distortion GAN" in (out / "claims.md").read_text()
    with Image.open(out / "sheets" / "fig02" / "a_jpeg_residual.png") as image:
        assert image.size == (64, 64)


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
    assert capsys.readouterr().out.startswith("mean abs log ratio,jpeg")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--out is needed"),
        (["--out={out}", "--models=jpeg:x"], "--title is needed"),
        (["--out={out}", "--title=t", "--models=jpeg"], "--models takes NAME:EXPORT, got jpeg"),
        (["--out={out}", "--title=t", "--models=pristine:{e}"], "'pristine' is the name of"),
        (["--out={out}", "--title=t", "--models=a:{e},a:{e}"], "several are called a"),
        (["--crops={out}"], "--crops needs --models"),
        (["--crops={out}", "--title=t", "--models=blur:{e}"], "does not begin with a distortion"),
    ],
)
def test_bad_usage(flags, message, exported, folder, tmp_path):
    words = [flag.format(out=tmp_path / "out", e=exported) for flag in flags]
    with pytest.raises((UsageError, ValueError), match=message):
        cli.main(["eval", "distortions", f"--data={folder}", "--size=64", *words])


# Decisions.


def _rows(made, values, residual=5.0, wobble=0.0, images=6):
    """Rows of a maker: divergences from the truths in their order."""
    found = []
    for image in range(images):
        for truth, value in zip(TRUTHS, values):
            row = dict.fromkeys(distortions.COLUMNS, "x")
            row |= {
                "generated": made,
                "reference": truth,
                "image": f"p{image}",
                "residual": residual,
            }
            row |= {"severity": 1, "width": 9, "height": 9, "seconds": 1, "parameters": 2}
            row |= distortions.ADDED
            row["jsd"] = value + wobble * (-1) ** image
            found.append(row)
    return found


def _evidence(path, *groups):
    path.mkdir(parents=True)
    file = rows.Rows(path / "rows.csv", distortions.COLUMNS)
    for group in groups:
        for row in group:
            file.append(row)
    file.close()
    return distortion_gan_evidence.load(str(path))


def _decide(number, evidence):
    claim = next(claim for claim in distortion_gan_claims.CLAIMS if claim.number == number)
    return claim.decide(evidence)


def _paper():
    cells = published.numbers("distortion_gan", "I")
    short = severity_search.SHORT
    return {made: [cells[short[made], short[truth], "mean"] for truth in TRUTHS] for made in TRUTHS}


def test_the_papers_own_table_fulfills_its_claims_but_one(tmp_path):
    nothing = _rows("pristine", [0.03, 0.04, 0.1, 0.01])
    evidence = _evidence(tmp_path / "a", nothing, *(_rows(m, v) for m, v in _paper().items()))
    assert _decide("1a", evidence).holds is True
    assert _decide("1b", evidence).holds is True
    assert _decide("2", evidence).holds is True
    lines = distortion_gan_tables.table1(evidence)
    assert len(lines) == 16
    assert {line["difference"].strip("+-") for line in lines} == {"0.0000"}
    marked = {line["distorted by"]: line for line in distortion_gan_tables.matrix(evidence)}
    assert marked["jpeg2000"]["JP2K"] == "***0.0031***"
    assert marked["jpeg"]["JPEG"] == "*0.0107*"  # the paper's anomaly: smallest of its column only


def test_diagonals_that_are_not_smallest_fail(tmp_path):
    table = _paper()
    table["white"][2] = 0.3
    evidence = _evidence(tmp_path / "a", *(_rows(made, v) for made, v in table.items()))
    assert _decide("1a", evidence).holds is False
    table["jpeg"][0] = 0.2
    evidence = _evidence(tmp_path / "b", *(_rows(made, v) for made, v in table.items()))
    assert _decide("1b", evidence).holds is False
    table.pop("pink")
    evidence = _evidence(tmp_path / "c", *(_rows(made, v) for made, v in table.items()))
    assert _decide("1a", evidence).holds is None


@pytest.mark.parametrize(
    ("worse", "wobble", "holds"), [(0.02, 0.001, True), (-0.02, 0.001, False), (0.001, 0.02, None)]
)
def test_pixel_losses_are_compared_by_image(worse, wobble, holds, tmp_path):
    groups = [_rows("jpeg", [0.03, 0, 0, 0])]
    for name in ("jpeg_l1", "jpeg_l2"):
        groups.append(_rows(name, [0.03 + worse, 0, 0, 0], wobble=wobble))
    assert _decide("4", _evidence(tmp_path / "a", *groups)).holds is holds


def test_lambdas(tmp_path):
    groups = [_rows("true jpeg", [0, 0, 0, 0], residual=5.0)]
    for name, residual, jsd in (
        ("jpeg_lambda_0", 12.0, 0.06),
        ("jpeg_lambda_0.01", 9.0, 0.05),
        ("jpeg", 5.0, 0.02),
        ("jpeg_lambda_1", 1.0, 0.04),
    ):
        groups.append(_rows(name, [jsd, 0, 0, 0], residual, wobble=0.001))
    evidence = _evidence(tmp_path / "a", *groups)
    assert _decide("3a", evidence).holds is True
    assert _decide("3b", evidence).holds is True
    lines = distortion_gan_tables.ablations(evidence)
    assert [line["residual, pixel values"] for line in lines][:4] == [
        "12.00",
        "9.00",
        "5.00",
        "1.00",
    ]
    groups[3] = _rows("jpeg", [0.08, 0, 0, 0], 9.5)
    evidence = _evidence(tmp_path / "b", *groups)
    assert _decide("3a", evidence).holds is False
    assert _decide("3b", evidence).holds is False


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
    assert {f"true {truth}" for truth in TRUTHS} <= set(table.generated)


def test_severities_are_those_of_the_search(committed):
    best = distortion_gan_evidence.load(committed).severities[0]
    for name, kind in DISTORTIONS.items():
        assert float(best[name]) == kind.severity


def test_committed_figures_are_there(committed):
    drawn = {path.stem for path in (pathlib.Path(committed) / "figures").glob("*.png")}
    assert "truths" in drawn
    if "table1" not in drawn:
        pytest.skip("no generators are measured yet")
    for name in ("fig02", "fig03", "fig04"):
        assert any(each.startswith(name) for each in drawn), name
