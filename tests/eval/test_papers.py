"""The papers' reports: what their commands share, and that what is committed follows from rows."""

import functools
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from lengths import long_but
from matplotlib.colors import to_hex
from matplotlib.text import Text

import lossylab
from lossylab.cli import __main__ as cli
from lossylab.cli.commands import COMMANDS
from lossylab.core import command
from lossylab.core.errors import UsageError, WorkError
from lossylab.eval.report import ledger, plots, stale
from lossylab.eval.report.claims import UNMEASURED, Verdict, claims_of
from lossylab.eval.report.names import NAMES, published_label, published_name

RESULTS = pathlib.Path(lossylab.__file__).parent / "results"
PAPERS = pathlib.Path(lossylab.__file__).parent.parent / "shared" / "papers"
STEMS = ("proxiqa", "wcdgan", "jpeg_encoder", "distortion_gan", "mmd_restoration")
COMMITTED = (*STEMS, "mmd_restoration/golden", "mmd_restoration/emoji")
# Their BD-rates take more than ten seconds; `make check-results` compares all.
HEAVY = ("proxiqa", "jpeg_encoder")


def _each(folders):
    return long_but([each for each in folders if each not in HEAVY], folders)


def _paper(stem):
    return command.resolve(f"lossylab.eval.{stem}.__main__:PAPER")


@functools.cache
def _judged(folder):
    """Evidence and judgements of committed rows."""
    paper = _paper(folder.split("/")[0])
    evidence = paper.evidence(str(RESULTS / folder))
    return paper, evidence, paper.judgements(evidence)


@pytest.mark.parametrize("folder", _each(COMMITTED))
def test_committed_tables_and_claims_are_those_of_the_committed_rows(folder):
    paper, evidence, judged = _judged(folder)
    for name, text in paper.texts(evidence, judged).items():
        said = f"{name} is stale: lossylab eval {paper.stem} --results=results/{folder}"
        assert (RESULTS / folder / name).read_text() == text, said
    if folder in STEMS:
        page = (RESULTS / "claims.md").read_text()
        said = f"stale: lossylab eval {paper.stem} --claims=results/claims.md"
        section = paper.section(evidence, judged, f"{folder}/claims.md")
        assert ledger.merged(page, section) == page, said


@pytest.mark.parametrize("folder", _each(COMMITTED))
def test_a_verdict_needs_a_competitor_that_does_not_fulfill_the_claim(folder):
    """No decision of committed rows would be the same for a model that does nothing."""
    paper, evidence, judged = _judged(folder)
    decided = [each for each in judged if each.verdict in (Verdict.HOLDS, Verdict.FAILS)]
    for judgement in decided:
        check = paper.checks[judgement.claim.number]
        tried = [check.decide(swap(evidence)) for swap in check.rivals.values()]
        known = [decision for decision in tried if decision is not UNMEASURED]
        assert known, judgement.claim
        assert not any(decision.holds for decision in known), judgement.claim


@pytest.mark.long
def test_some_claims_are_decided_either_way():
    verdicts = {each.verdict for folder in STEMS for each in _judged(folder)[2]}
    assert verdicts == set(Verdict)


@pytest.mark.parametrize("stem", STEMS)
def test_every_claim_is_decided_or_says_what_it_needs(stem):
    claims, checks = claims_of(stem), _paper(stem).checks
    assert len({claim.number for claim in claims}) == len(claims) >= 17
    assert set(checks) <= {claim.number for claim in claims}
    for claim in claims:
        assert (claim.number in checks) != bool(claim.untestable), claim
        assert claim.untestable.startswith("needs ") or claim.criterion, claim
        assert claim.ours in ("", "claim", "criterion")
        assert bool(claim.source)
        assert not set("|;") & set(claim.claim)
    assert all(check.rivals for check in checks.values())


@pytest.mark.parametrize("stem", STEMS)
def test_claims_quote_the_paper(stem):
    path = PAPERS / f"{stem}.txt"
    if not path.exists():
        pytest.skip("the paper's text is not at hand")
    text = " ".join(path.read_text().split())
    for claim in claims_of(stem):
        assert claim.says in text, claim


@pytest.mark.long
def test_the_ledger_begins_with_the_score():
    page = (RESULTS / "claims.md").read_text()
    score = re.search(
        r"^# Claims\n\n\|  \| holds \| does not hold \| undecided \| not testable", page
    )
    assert score
    for stem in STEMS:
        paper, _, judged = _judged(stem)
        counts = [sum(each.verdict is verdict for each in judged) for verdict in Verdict]
        cells = " | ".join(map(str, [*counts, len(judged)]))
        assert re.search(
            rf"\| \[{re.escape(paper.name)}\]\(#[a-z-]+\) \| {re.escape(cells)} \|", page
        )


@pytest.mark.parametrize("folder", COMMITTED)
def test_no_committed_table_is_left_over(folder):
    paper = _paper(folder.split("/")[0])
    names = {path.stem for path in (RESULTS / folder / "tables").iterdir()}
    assert names <= {table.name for table in paper.tables}


def test_results_stay_small():
    """Comparison grids are strips, lines are vectors: a checkout stays quick."""
    files = [path for path in RESULTS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 10 * 2**20
    assert sum(path.suffix == ".png" for path in files) <= 40


@pytest.mark.parametrize("folder", _each(COMMITTED))
def test_figures_can_be_read(folder, tmp_path, monkeypatch):
    """No title is cut off, no two curves have one color, no name of code is a label."""
    figures = {}
    monkeypatch.setattr(plots, "_save", lambda figure, path, images: figures.update({path: figure}))
    monkeypatch.setattr(plots, "grids", lambda *_: [])
    paper, evidence, _ = _judged(folder)
    assert paper.draw(evidence, RESULTS / folder, tmp_path)
    for path, figure in figures.items():
        figure.draw_without_rendering()
        width, height = figure.bbox.size
        for text in filter(Text.get_text, _said(figure)):
            box = text.get_window_extent()
            inside = min(box.x0, box.y0) >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
            assert inside, (path, text)
        for axis in figure.axes:
            handles, labels = axis.get_legend_handles_labels()
            assert len(labels) <= 7, path
            colors = [_color(handle) for handle in handles]
            assert len(set(colors)) == len(colors), path
            ticks = [tick.get_text() for tick in (*axis.get_xticklabels(), *axis.get_yticklabels())]
            for label in (*labels, *ticks):
                assert label not in NAMES, (path, label)
                assert not re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+", label), (path, label)


def _said(figure):
    """Titles, labels of axes and legends; labels of ticks may lie beyond the limits."""
    yield from figure.texts
    for axis in figure.axes:
        yield from (axis.title, axis.xaxis.label, axis.yaxis.label)
        if axis.get_legend():
            yield from axis.get_legend().get_texts()


def _color(handle):
    """Of a line, a bar or a line with bars."""
    first = handle[0] if isinstance(handle, tuple) else handle
    return to_hex(first.get_facecolor() if hasattr(first, "get_facecolor") else first.get_color())


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("jpeg2000", "JPEG 2000"),
        ("real jpeg", "real JPEG"),
        ("bls_vmaf_p_at_400", "BLS VMAF_p (400 steps)"),
        ("wcdgan_seed2", "WCDGAN (training 2)"),
        ("mine", "mine"),
    ],
)
def test_published_names(code, name):
    assert published_name(code) == name
    assert published_label(f"{code}\n1 dB").endswith("\n1 dB")


@pytest.mark.parametrize("stem", ["wcdgan", "distortion_gan"])
def test_committed_methods_have_published_names(stem):
    names = {re.sub("^real ", "", name) for name in _judged(stem)[1].names}
    assert names <= set(NAMES)


@pytest.mark.parametrize("stem", STEMS)
def test_notes_are_short(stem):
    for table in _paper(stem).tables:
        if isinstance(table.note, str):
            assert len(re.findall(r"\.(?=\s+[A-Z*±']|$)", table.note)) <= 3, table.heading


@pytest.mark.parametrize("stem", STEMS)
def test_a_missing_results_folder_is_said_with_what_measures_rows(stem, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=f"--results=results/{stem}: no such folder in") as caught:
        cli.main(["eval", stem])
    (words,) = re.findall(r"`lossylab (.+) --out=FOLDER` measures", str(caught.value))
    assert words in COMMANDS
    assert not list(tmp_path.iterdir())


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """The committed distortion GAN's results and ledger, in a present folder of their own."""
    shutil.copytree(RESULTS / "distortion_gan", tmp_path / "results" / "distortion_gan")
    shutil.copy(RESULTS / "claims.md", tmp_path / "results")
    shutil.rmtree(tmp_path / "results" / "distortion_gan" / "grids")  # drawing grids takes long
    for grid in (tmp_path / "results" / "distortion_gan" / "figures").glob("*.png"):
        if not grid.with_suffix(".svg").exists():
            grid.unlink()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results"


def test_results_of_the_present_folder_are_the_default(copied, capsys):
    """As from an installed package: nothing is read or written beside the code."""
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    cli.main(["eval", "distortion_gan", "--out=made"])
    made = copied.parent / "made"
    for name in ("tables.md", "claims.md"):
        assert (made / name).read_text() == (RESULTS / "distortion_gan" / name).read_text()
    drawn = {path.name for path in (made / "figures").glob("*")}
    assert drawn == {path.name for path in (copied / "distortion_gan" / "figures").glob("*")}
    assert "made/claims.md" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()} == before


def test_a_ledger_is_rewritten_if_it_is_named_and_keeps_other_papers(copied):
    (copied / "claims.md").write_text((copied / "claims.md").read_text().replace("8.3 times", "9"))
    cli.main(["eval", "distortion_gan", "--claims=results/claims.md"])
    assert (copied / "claims.md").read_bytes() == (RESULTS / "claims.md").read_bytes()


def test_check_only_writes_nothing_and_finds_what_is_stale(copied, capsys):
    words = ["eval", "distortion_gan", "--claims=results/claims.md", "--check_only"]
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    cli.main(words)
    assert "are as the rows say" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()} == before
    mine = copied / "distortion_gan"
    (mine / "tables" / "old.csv").write_text("a,b\n")
    (mine / "tables" / "table1.csv").write_text("a,b\n")
    (copied / "claims.md").write_text("# Claims\n")
    (mine / "figures" / "table1.png").unlink()
    figure = mine / "figures" / "fig03_lambda.svg"
    figure.write_text(figure.read_text().replace("</svg>", "<g/></svg>"))
    with pytest.raises(
        WorkError, match="Make them anew with `lossylab eval distortion_gan"
    ) as said:
        cli.main(words)
    for words in (
        "table1.csv says something else",
        "old.csv has no rows",
        "results/claims.md says something else",
        "table1.png is missing",
    ):
        assert words in str(said.value)


def test_results_of_a_user_say_nothing_of_what_was_not_measured(tmp_path, monkeypatch):
    """A report on one measured codec has no lines without numbers, and no machine but its own."""
    shutil.copytree(RESULTS / "distortion_gan", tmp_path / "mine")
    lines = (tmp_path / "mine" / "rows.csv").read_text().splitlines()
    mine = [line for line in lines if line.split(",")[0] in ("generated", "jpeg", "untouched")]
    (tmp_path / "mine" / "rows.csv").write_text("\n".join(mine) + "\n")
    shutil.rmtree(tmp_path / "mine" / "grids")
    monkeypatch.chdir(tmp_path)
    cli.main(["eval", "distortion_gan", "--results=mine", "--out=report"])
    page = (tmp_path / "report" / "tables.md").read_text()
    folded = r"(?s)<details>\n<summary>\d+ values of the paper that were not measured.*?</details>"
    assert re.search(folded, page)
    page = re.sub(folded, "", page)
    assert "not measured" not in page
    assert "| n/a | n/a |" not in page


@pytest.mark.parametrize("stem", STEMS)
def test_reports_need_no_tensorflow(stem):
    """They read rows and draw: three seconds of import would be most of their time."""
    code = f"import sys, lossylab.eval.{stem}.__main__; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_names_that_hash_last_bits_may_differ_and_what_they_name_may_not(tmp_path):
    drawn = 'Matplotlib v3 <clipPath id="p74a3011ee8"/><path d="M 1 2" clip="p74a3011ee8"/>'
    for folder in ("fresh", "there"):
        (tmp_path / folder).mkdir()
    (tmp_path / "fresh" / "a.svg").write_text(drawn)

    def wrong(text):
        (tmp_path / "there" / "a.svg").write_text(text)
        return stale.figures(tmp_path / "fresh", tmp_path / "there")

    assert not wrong(drawn.replace("p74a3011ee8", "p8d87f2f7ce"))
    assert wrong(drawn.replace("p74a3011ee8", "p8d87f2f7ce", 1))
    assert wrong(drawn.replace("M 1 2", "M 1 3"))
