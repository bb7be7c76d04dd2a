"""The papers' reports: what their commands share, and that what is committed follows from rows."""

import pathlib
import re
import shutil

import pytest

import lossylab
from lossylab.cli import __main__ as cli
from lossylab.cli.commands import COMMANDS
from lossylab.core import command
from lossylab.core.errors import UsageError
from lossylab.eval.report import claims

RESULTS = pathlib.Path(lossylab.__file__).parent / "results"
STEMS = ("proxiqa", "wcdgan", "jpeg_encoder", "distortion_gan", "mmd_restoration")
# Folder of rows -> ledger that its claims are in.
COMMITTED = dict.fromkeys(STEMS, "claims.md")
COMMITTED["mmd_restoration/golden"] = "mmd_restoration/golden/claims.md"


def _paper(stem):
    return command.resolve(f"lossylab.eval.{stem}.__main__:PAPER")


@pytest.mark.parametrize("folder", COMMITTED)
def test_committed_tables_and_claims_are_those_of_the_committed_rows(folder):
    stem = folder.split("/")[0]
    paper = _paper(stem)
    evidence = paper.evidence(str(RESULTS / folder))
    for name, text in paper.texts(evidence).items():
        said = f"{name} is stale: lossylab eval {stem} --results=results/{folder}"
        assert (RESULTS / folder / name).read_text() == text, said
    ledger = (RESULTS / COMMITTED[folder]).read_text()
    said = f"stale: lossylab eval {stem} --claims=results/claims.md"
    assert claims.merged(ledger, paper.section(evidence)) == ledger, said


@pytest.mark.parametrize("folder", COMMITTED)
def test_no_committed_table_is_left_over(folder):
    paper = _paper(folder.split("/")[0])
    names = {path.stem for path in (RESULTS / folder / "tables").iterdir()}
    assert names <= {table.name for table in paper.tables}


@pytest.mark.parametrize("stem", STEMS)
def test_a_missing_results_folder_is_said_with_what_measures_rows(stem, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=f"--results=results/{stem}: no such folder in") as caught:
        cli.main(["eval", stem])
    (words,) = re.findall(r"`lossylab (.+) --out=FOLDER` measures", str(caught.value))
    assert words in COMMANDS
    assert not list(tmp_path.iterdir())


def _copy(place):
    """A paper's committed results without its sheets of images, which take seconds to draw."""
    source = RESULTS / "distortion_gan"
    shutil.copytree(source, place, ignore=shutil.ignore_patterns("sheets", "figures"))
    return {path.name for path in (source / "sheets").iterdir()}


def test_results_of_the_present_folder_are_the_default(tmp_path, monkeypatch, capsys):
    """As from an installed package: nothing is read or written beside the code."""
    before = (RESULTS / "claims.md").read_bytes()
    sheets = _copy(tmp_path / "results" / "distortion_gan")
    monkeypatch.chdir(tmp_path)
    cli.main(["eval", "distortion_gan", "--out=made"])
    tables = (tmp_path / "made" / "tables.md").read_text()
    assert tables == (RESULTS / "distortion_gan" / "tables.md").read_text()
    drawn = {path.stem for path in (tmp_path / "made" / "figures").glob("*.png")}
    every = {path.stem for path in (RESULTS / "distortion_gan" / "figures").glob("*.png")}
    assert drawn == every - sheets
    section = (tmp_path / "made" / "claims.md").read_text().split("\n## ")
    assert len(section) == 2
    assert section[1] in (RESULTS / "claims.md").read_text()
    assert "made/claims.md" in capsys.readouterr().out
    assert not (tmp_path / "results" / "distortion_gan" / "claims.md").exists()
    assert (RESULTS / "claims.md").read_bytes() == before


def test_a_ledger_that_is_named_keeps_other_papers(tmp_path, monkeypatch):
    _copy(tmp_path / "results" / "distortion_gan")
    shutil.copy(RESULTS / "claims.md", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    cli.main(["eval", "distortion_gan", "--claims=results/claims.md"])
    assert (tmp_path / "results" / "claims.md").read_bytes() == (RESULTS / "claims.md").read_bytes()
