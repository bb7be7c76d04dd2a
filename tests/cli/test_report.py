"""`lossylab report`: what is found, what the page says, and the page in a browser."""

import base64
import gzip
import json
import pathlib
import re
import shutil
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from browsers import assert_quiet, chromium
from lengths import long_but

import lossylab
from lossylab.cli import __main__ as cli
from lossylab.cli.report import curves, measured, page, runs, sources
from lossylab.core import rows
from lossylab.core.environment import environment
from lossylab.core.errors import OutputError, UsageError, WorkError
from lossylab.eval.report import crop_grid
from lossylab.eval.report.claims import Verdict
from lossylab.eval.schemas import CODED
from lossylab.train.options.proxiqa import ProxiqaOptions

RESULTS = pathlib.Path(lossylab.__file__).parent / "results"
CODECS = {"jpeg": 70.0, "mine": 80.0, "</script>": 60.0}  # VMAF at the first rate
RATES = (0.25, 0.5, 1.0, 2.0)
IMAGES = ("one", "two", "three")
STEPS, EVERY = 4000, 10
# Tiles of one color each: the original, and two methods at a known distance from it.
TILES = {"original": 100, "jpeg, 0.3 bpp\nVMAF 70": 110, "mine, 0.3 bpp\nVMAF 80": 96}


def _row(codec, image, point, quality):
    row = dict.fromkeys(CODED.columns, 0)
    row |= {"codec": codec, "point": point, "points": len(RATES), "setting": f"q{point}"}
    row |= {"data": "photos", "image": image, "version": "1", "ffmpeg": "n", "identity": "i"}
    row |= {"content": image, "bpp_file": RATES[point], "bpp_estimated": float("nan")}
    return row | {"vmaf": quality, "psnr": quality / 2, "ssim": quality / 100}


def _results(folder):
    table = rows.Rows(folder / "rows.csv", CODED.columns)
    for codec, first in CODECS.items():
        for shift, image in enumerate(IMAGES):
            for point in range(len(RATES)):
                table.append(_row(codec, image, point, first + 5 * point + shift))
    table.append(_row("mine", "one", 3, 1.0) | {"point": 4})  # a point that two images lack
    table.close()
    about = {"title": "A budget of minutes", "anchor": "jpeg", "data": "photos"}
    about |= {"protocol": {"rate": "bytes of the file"}, "codecs": {name: {} for name in CODECS}}
    facts = {**about, **environment(), "command": ["lossylab", "eval", "rd", "--title=Two words"]}
    (folder / "about.json").write_text(json.dumps(facts))
    crops = folder / "crops" / "fig08_crops"
    crops.mkdir(parents=True)
    tiles = [
        crop_grid.Tile(np.full((16, 16, 3), value, np.uint8), label)
        for label, value in TILES.items()
    ]
    crop_grid.write(crops, "Near 0.3 bits per pixel", dict.fromkeys(IMAGES[:2], tiles))
    return folder


def _run(folder, **values):
    folder.mkdir(parents=True)
    options = ProxiqaOptions(
        train_data="photos", run_dir=str(folder), steps=STEPS, filters=96, **values
    )
    (folder / "options.json").write_text(json.dumps(options.to_json()))
    session = {**environment(), "command": ["lossylab", "train", "proxiqa_study", "--out=study"]}
    (folder / "environment.json").write_text(json.dumps([session]))
    steps = range(EVERY, STEPS + 1, EVERY)
    lines = [f"{step},{1000 / step:.6g},{values['lmbda']}\n" for step in steps]
    (folder / "metrics.csv").write_text("step,loss,bpp\n" + "".join(lines))
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study's folder: two runs and their results with crops."""
    folder = tmp_path_factory.mktemp("reports") / "study"
    for metric, lmbda in (("mse", 0.01), ("vmaf", 0.02)):
        _run(folder / "runs" / f"{metric}_{lmbda:g}", metric=metric, lmbda=lmbda)
    _results(folder / "results")
    return folder


def _report(*arguments):
    cli.main(["report", *map(str, arguments)])


@pytest.fixture(scope="module")
def report(study):
    """The page of the study."""
    _report(study, f"--out={study / 'report.html'}", "--title=<b>A study</b>")
    return study / "report.html"


def _own(text):
    """The page without the drawing library."""
    return re.sub(r'(id="library">)[^<]*', r"\1", text)


def _charts(text):
    found = re.findall(r'class="data">(.*?)</script>', text, re.DOTALL)
    return [json.loads(each) for each in found]


# The page as a file.


def test_the_page_tells_what_was_trained(report):
    text = report.read_text()
    for words in ("mse_0.01", "vmaf_0.02", "4,000 steps", "lossylab train proxiqa_study"):
        assert words in text
    assert "4,000 steps of 8 patches of 128x128 from photos (by default 2,100,000)" in text
    options = text[text.index("Options of mse_0.01") :].split("</table>")[0]
    lines = dict(re.findall(r'<tr><td class="text">(\w+)</td><td class="\w+">([^<]*)<', options))
    assert lines == {"steps": "4,000", "train_data": "photos", "metric": "mse", "filters": "96"}


def test_a_folders_verdict_is_said_at_the_top(copy, tmp_path):
    (copy / "verdict.txt").write_text("Files of <3> images:\n  JPEG wins\n")
    _report(copy, f"--out={tmp_path / 'page.html'}")
    text = (tmp_path / "page.html").read_text()
    assert ">Files of &lt;3&gt; images:\n  JPEG wins</pre>" in text
    assert text.index("JPEG wins") < text.index("<section")
    (copy / "verdict.txt").write_bytes(b"\xff")
    with pytest.raises(OutputError, match="verdict.txt cannot be read"):
        _report(copy, f"--out={tmp_path / 'page.html'}")


def test_the_page_has_the_curves_of_the_rows(report):
    rate, learning = _charts(report.read_text())
    vmaf = next(panel for panel in rate if panel["label"] == "VMAF")
    series = {each["name"]: each for each in vmaf["series"]}
    assert list(series) == ["JPEG", "mine", "</script>"]
    assert [each["baseline"] for each in vmaf["series"]] == [True, False, False]
    for name, first in zip(("JPEG", "mine"), CODECS.values()):
        assert series[name]["x"] == list(RATES)  # the point that two images lack has no mean
        assert series[name]["y"] == [first + 5 * point + 1 for point in range(len(RATES))]
    loss = next(panel for panel in learning if panel["label"] == "loss")
    assert [each["name"] for each in loss["series"]] == ["mse_0.01", "vmaf_0.02"]
    assert loss["log_y"]
    for each in loss["series"]:
        assert 200 <= len(each["x"]) <= 300
        assert each["x"][-1] == STEPS
        np.testing.assert_allclose(each["y"], [1000 / step for step in each["x"]], rtol=1e-5)


def test_the_page_has_the_crops_as_they_are(report, study):
    text = report.read_text()
    folder = study / "results" / "crops" / "fig08_crops"
    for name in IMAGES[:2]:
        data = base64.b64encode((folder / f"{name}.webp").read_bytes()).decode()
        assert f"data:image/webp;base64,{data}" in text
    assert "jpeg, 0.3 bpp" not in text
    assert "one, 3 crops from left to right: original; JPEG, 0.3 bpp, VMAF 70" in text


def test_the_page_asks_for_nothing_and_says_texts_as_they_are(report):
    text = _own(report.read_text())
    assert "default-src 'none'" in text
    assert not re.findall(r"(?:src|href)\s*=\s*[\"'](?!data:|#)", text)
    assert set(re.findall(r"https?://[^\s\"']*", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.findall(r"fetch\(|XMLHttpRequest|import\(|@import|url\(", text)
    assert "<title>&lt;b&gt;A study&lt;/b&gt;</title>" in text
    assert "<b>A study" not in text
    assert text.count("</script>") == text.count("<script")  # a codec is called so


def test_the_library_lies_in_it_once_and_whole(report):
    text = report.read_text()
    (packed,) = re.findall(r'id="library">([^<]*)', text)
    program = gzip.decompress(base64.b64decode(packed)).decode()
    assert "plotly.js" in program[:200]
    assert len(text) < 3 * 2**20


def test_pages_of_equal_folders_are_equal(study, report, tmp_path):
    _report(study, f"--out={tmp_path / 'again.html'}", "--title=<b>A study</b>")
    assert (tmp_path / "again.html").read_bytes() == report.read_bytes()


def test_a_page_without_charts_has_no_library(study, tmp_path):
    _report(study / "results" / "crops", f"--out={tmp_path / 'crops.html'}")
    text = (tmp_path / "crops.html").read_text()
    assert 'id="library"' not in text
    assert len(text) < 2**17


def test_claims_and_verdicts_are_those_of_the_committed_pages():
    found = measured.section(measured.read(RESULTS / "distortion_gan"))
    text = page.render([found], found.title, "")
    told = re.findall(r'data-verdict="([\w ]+)">', text)
    ledger = (RESULTS / "distortion_gan" / "claims.md").read_text()
    table = ledger[ledger.index("## How each was decided") :].splitlines()[4:]
    lines = [line.split(" | ") for line in table if line.startswith("| ")]
    assert told == [line[5] for line in lines]
    numbers = re.findall(r'<span class="number">([^<]*)</span>', text)
    assert numbers == [line[0].removeprefix("| ") for line in lines]
    table = pd.read_csv(RESULTS / "distortion_gan" / "tables" / "table1.csv", dtype=str)
    cells = re.findall(r'<td class="\w+">(?:<span class="[^"]*">)?([^<]*)', text)
    wanted = table.to_numpy().ravel().tolist()
    places = range(len(cells) - len(wanted) + 1)
    assert any(cells[place : place + len(wanted)] == wanted for place in places)


def test_the_score_is_at_the_top_where_papers_are_several():
    judged = measured.section(measured.read(RESULTS / "distortion_gan"))
    text = page.render([judged, judged], "Two", "")
    top = text[: text.index("<section")]
    assert "Claims by paper" in top
    (claims,) = [block for block in judged.blocks if block.kind == "claims"]
    verdicts = [each.verdict for each in claims.judgements]
    counts = [*(verdicts.count(verdict) for verdict in Verdict), len(verdicts)]
    assert re.findall(r'<td class="figure">(\d+)</td>', top) == 2 * [str(n) for n in counts]
    assert "Claims by paper" not in page.render([judged], "One", "")


_LIGHT = """
import sys
from lossylab.cli.__main__ import main
main(["report", sys.argv[1], f"--out={sys.argv[2]}"])
assert "tensorflow" not in sys.modules
"""


def test_it_needs_no_tensorflow(study, tmp_path):
    words = [sys.executable, "-c", _LIGHT, str(study), str(tmp_path / "light.html")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "sections" in done.stdout


# What is found.


@pytest.mark.parametrize(
    ("inside", "counts"),
    [("", (2, 1, 0)), ("runs", (2, 0, 0)), ("runs/mse_0.01", (1, 0, 0)), ("results", (0, 1, 0))],
)
def test_folders_are_found_by_their_files(study, inside, counts):
    found = sources.find(str(study / inside))
    assert (len(found.runs), len(found.results), len(found.crops)) == counts
    assert sources.crops_of(study / "results") == [study / "results" / "crops" / "fig08_crops"]


def test_all_results_and_no_more_are_found():
    found = sources.find(str(RESULTS))
    stems = [path.name for path in found.results]
    assert stems == ["distortion_gan", "jpeg_encoder", "mmd_restoration", "proxiqa", "wcdgan"]
    assert not found.runs
    assert not found.crops


def test_runs_are_known_by_their_options(study):
    read = runs.read(study / "runs" / "vmaf_0.02", study)
    assert (read.name, read.training, read.steps) == ("vmaf_0.02", "train proxiqa", STEPS)
    assert not read.validation


# What is refused.


def _damage(path, old, new):
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))


@pytest.fixture
def copy(study, tmp_path):
    """The study again, to damage."""
    for metric, lmbda in (("mse", 0.01), ("vmaf", 0.02)):
        _run(tmp_path / "study" / "runs" / f"{metric}_{lmbda:g}", metric=metric, lmbda=lmbda)
    _results(tmp_path / "study" / "results")
    return tmp_path / "study"


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("results/rows.csv", b",85,", b",95,", r"rows.csv, line \d+ is damaged: its checksum"),
        ("results/rows.csv", b"bpp_file", b"bits", "has columns of no measurement"),
        ("results/about.json", b"{", b"", "no usable about.json"),
        ("results/crops/fig08_crops/index.json", b"one.webp", b"no.webp", "have the crops made"),
        ("results/crops/fig08_crops/one.webp", b"RIFF", b"RAFF", "have the crops made again"),
        ("runs/mse_0.01/options.json", b"{", b"", "options.json is damaged: put it back"),
        ("runs/mse_0.01/environment.json", b"[", b"{", "environment.json is damaged"),
        ("runs/mse_0.01/metrics.csv", b"step", b"row", "no table of a training"),
    ],
)
def test_damaged_folders_are_told_before_a_page_is_written(copy, file, old, new, message):
    _damage(copy / file, old, new)
    with pytest.raises(WorkError, match=message):
        _report(copy, f"--out={copy / 'report.html'}")
    assert not (copy / "report.html").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["file.txt"], "file.txt: a file, no folder"),
        (["empty"], "empty has nothing to report: no run .* no measured rows"),
        ([], "FOLDERS is needed: folders of runs"),
        (["study", "--out=page.pdf"], "--out must be an .html file, got page.pdf"),
        (["study", "--out=file.html"], "file.html is a file that no report wrote: choose another"),
        (["study", "--max_mb=1"], "the page would have 2 MiB, --max_mb=1: report fewer"),
    ],
)
def test_bad_usage_is_told(words, message, copy, monkeypatch):
    monkeypatch.chdir(copy.parent)
    pathlib.Path("empty").mkdir()
    pathlib.Path("file.txt").write_text("x")
    pathlib.Path("file.html").write_text("<!doctype html>\n<title>Mine</title>")
    with pytest.raises(UsageError, match=message):
        _report(*words)
    assert pathlib.Path("file.html").read_text().endswith("Mine</title>")
    assert not pathlib.Path("report.html").exists()


def test_an_earlier_report_is_replaced(copy, monkeypatch):
    monkeypatch.chdir(copy.parent)
    _report("study/runs/mse_0.01")
    before = pathlib.Path("report.html").read_text()
    _report("study/runs")
    assert pathlib.Path("report.html").read_text() != before


# Parts.


@pytest.mark.parametrize("count", [1, 300, 301, 4567])
def test_thinned_curves_end_where_they_end(count):
    points = [(float(step), 1.0) for step in range(count)]
    kept = curves.thinned(points)
    assert kept[-1] == points[-1]
    assert min(count, 150) <= len(kept) <= 300
    assert len({b[0] - a[0] for a, b in zip(kept, kept[1:])}) <= 1


def test_dots_are_of_whole_sets_in_their_order():
    values = {"a": [3.0, 4.0], "b": [1.0, 2.0], "part": [9.0], "endless": [np.inf, 1.0]}
    panel = curves.dots_panel("x", "y", {k: pd.Series(v) for k, v in values.items()})
    (series,) = panel.series
    assert (series.y, series.x) == (["b", "a"], [1.5, 3.5])
    assert series.margins == pytest.approx([6.35, 6.35], abs=0.01)  # t of one degree: 12.7 * .5
    assert curves.dots_panel("x", "y", {"a": pd.Series([np.nan])}) is None


def test_long_commands_have_a_flag_a_line_and_stay_commands():
    words = ["lossylab", "eval", "rd", "--title=two words", f"--models={'x' * 90}", "--jobs=1"]
    text = runs.command_text(words)
    assert text.count("\n") == 3
    done = subprocess.run(["sh", "-c", f"printf '%s\\n' {text}"], capture_output=True, text=True)
    assert done.stdout.splitlines() == words


# The page in a browser.


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    driver = chromium(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


def _wait(browser, script, seconds=20):
    end = time.monotonic() + seconds
    while not browser.execute_script(f"return {script}"):
        assert time.monotonic() < end, f"waited for {script}"
        time.sleep(0.05)


@pytest.fixture
def opened(browser, report):
    """The page, opened anew, with all its charts drawn."""
    browser.get(report.as_uri())
    browser.execute_script("localStorage.clear()")
    browser.get(report.as_uri())
    for plot in browser.find_elements("css selector", ".plot"):
        browser.execute_script("arguments[0].scrollIntoView()", plot)
    _wait(browser, "all('.plot').every((plot) => plot.querySelector('.main-svg'))")
    _wait(browser, "!document.querySelector('.compare').hidden")
    yield browser
    assert_quiet(browser)


def _keys(browser, element, *names):
    from selenium.webdriver.common.keys import Keys

    element.send_keys(*(getattr(Keys, name, name) for name in names))


def _click(browser, element):
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def _shown(browser):
    """Gray values in the middle of the canvas's left and right quarter, and its description."""
    return browser.execute_script(
        "const c = document.querySelector('canvas'), x = c.getContext('2d');"
        "const at = (share) => x.getImageData(share * c.width, c.height / 2, 1, 1).data[0];"
        "return [at(.25), at(.75), c.getAttribute('aria-label')]"
    )


def test_the_slider_moves(opened):
    left, right, words = _shown(opened)
    assert (left, right) == (TILES["jpeg, 0.3 bpp\nVMAF 70"], TILES["mine, 0.3 bpp\nVMAF 80"])
    assert "left of 50 % JPEG, 0.3 bpp, VMAF 70; right of it mine" in words
    divider = opened.find_element("class name", "divider")
    _keys(opened, divider, "HOME")
    assert _shown(opened)[:2] == [right, right]
    _keys(opened, divider, "END")
    assert _shown(opened)[:2] == [left, left]
    assert "100 %" in divider.get_attribute("aria-valuetext")
    stage = opened.find_element("class name", "stage")
    _keys(opened, stage, *["ARROW_LEFT"] * 25)
    assert _shown(opened)[:2] == [left, right]
    assert divider.get_attribute("value") == "50"


def test_the_line_is_dragged(opened):
    from selenium.webdriver import ActionChains

    stage = opened.find_element("class name", "stage")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", stage)
    chain = ActionChains(opened).move_to_element(stage).click_and_hold()
    chain.move_by_offset(-stage.size["width"] * 0.4, 0).release().perform()
    assert 5 <= float(opened.find_element("class name", "divider").get_attribute("value")) <= 15
    assert _shown(opened)[0] == _shown(opened)[1]


def test_any_two_methods_and_images_are_compared(opened):
    from selenium.webdriver.support.select import Select

    Select(opened.find_element("class name", "left")).select_by_visible_text("original")
    assert _shown(opened)[0] == TILES["original"]
    Select(opened.find_element("class name", "image")).select_by_visible_text("two")
    assert _shown(opened)[:2] == [TILES["original"], TILES["mine, 0.3 bpp\nVMAF 80"]]
    assert opened.find_element("class name", "of-left").text == "original"


def test_error_maps_are_of_the_original(opened):
    _click(opened, opened.find_element("css selector", "input[value=errors]"))
    assert opened.find_element("class name", "of-left").text.endswith("mean error 10.00")
    assert opened.find_element("class name", "of-right").text.endswith("mean error 4.00")
    assert opened.find_element("class name", "most").text == "0 to 10 pixel values"
    left, right, words = _shown(opened)
    assert left == 252 > right  # the brightest of the scale
    assert words.startswith("Error maps")


def test_crops_are_zoomed_by_keys(opened):
    stage = opened.find_element("class name", "stage")
    _keys(opened, stage, "+", "+")
    assert opened.find_element("class name", "times").text == "3×"
    _keys(opened, stage, "ARROW_LEFT", "-", "-", "-")
    assert opened.find_element("class name", "times").text == "1×"


def test_points_say_what_they_are(opened):
    opened.execute_script("Plotly.Fx.hover(all('.plot')[0], [{curveNumber: 1, pointNumber: 2}])")
    said = opened.execute_script("return document.querySelector('.hoverlayer').textContent")
    assert said == "minebits per pixel, of the files 1VMAF 91q2"


def test_curves_are_switched_by_keys(opened):
    button = opened.find_element("css selector", ".legend button")
    assert button.get_attribute("aria-pressed") == "true"
    _keys(opened, button, "ENTER")
    _wait(opened, "document.querySelector('.plot').data[0].visible === false")
    button = opened.switch_to.active_element
    assert button.text == "JPEG"
    assert button.get_attribute("aria-pressed") == "false"


def test_the_measure_is_chosen(opened):
    from selenium.webdriver.support.select import Select

    Select(opened.find_element("class name", "panel")).select_by_visible_text("SSIM")
    _wait(opened, "document.querySelector('.plot').layout.yaxis.title.text === 'SSIM'")


def test_tables_are_sorted(opened):
    table = "document.querySelector('.chart table')"
    opened.execute_script("document.querySelector('.chart details').open = true")
    head = opened.find_elements("css selector", ".chart th button")[3]
    assert head.text == "bits per pixel"
    for direction, wanted in (("ascending", RATES[0]), ("descending", RATES[-1])):
        _click(opened, head)
        column = f"[...{table}.tBodies[0].rows].map((row) => Number(row.cells[3].textContent))"
        rates = opened.execute_script(f"return {column}")
        assert rates == sorted(rates, reverse=direction == "descending")
        assert rates[0] == wanted
        assert head.find_element("xpath", "..").get_attribute("aria-sort") == direction


def test_themes_are_chosen_and_kept(opened, report):
    button = opened.find_element("id", "theme")
    colors = {}
    for name in ("light", "dark"):
        button.click()
        assert button.text == f"Theme: {name}"
        script = "return getComputedStyle(document.body).backgroundColor"
        colors[name] = opened.execute_script(script)
    assert colors == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 20, 23)"}
    opened.get(report.as_uri())
    assert opened.find_element("id", "theme").text == "Theme: dark"


@pytest.fixture
def claims(browser, tmp_path):
    """The page of committed results, opened."""
    _report(RESULTS / "distortion_gan", f"--out={tmp_path / 'claims.html'}")
    browser.get((tmp_path / "claims.html").as_uri())
    _wait(browser, "document.querySelectorAll('.filter button').length")
    return browser


def test_claims_are_shown_by_verdict(claims):
    for button in claims.find_elements("css selector", ".filter button"):
        _click(claims, button)
        seen = [c for c in claims.find_elements("class name", "claim") if c.is_displayed()]
        verdicts = {each.get_attribute("data-verdict") for each in seen}
        assert button.text == "all" or verdicts == {button.text}
    assert seen


# Names of what can be operated, alternative texts, order of headings, unique ids, as axe asks.
_FAULTS = """
const faults = [];
const name = (e) => (e.getAttribute("aria-label") || e.getAttribute("alt") || e.textContent
  || (e.labels && [...e.labels].map((l) => l.textContent).join(" ")) || "").trim();
const operated = "button, select, input, a, summary, [role=img], img, [tabindex]";
for (const e of document.querySelectorAll(operated))
  if (!name(e) && e.offsetParent) faults.push("no name: " + e.outerHTML.slice(0, 120));
let level = 0;
for (const e of document.querySelectorAll("h1, h2, h3, h4")) {
  const now = Number(e.tagName[1]);
  if (now > level + 1) faults.push("heading skipped: " + e.textContent);
  level = now;
}
const drawn = (e) => e.closest("svg");
const ids = [...document.querySelectorAll("[id]")].filter((e) => !drawn(e)).map((e) => e.id);
if (new Set(ids).size < ids.length) faults.push("an id twice");
for (const e of document.querySelectorAll("[aria-labelledby]"))
  if (!document.getElementById(e.getAttribute("aria-labelledby"))) faults.push("no label " + e.id);
for (const e of document.querySelectorAll("th")) if (!e.scope) faults.push("th without scope");
if (document.documentElement.lang !== "en") faults.push("no language");
return faults;
"""
# Contrast of every text that is shown with what lies behind it, by WCAG's formula.
_FAINT = """
const parse = (c) => c.match(/[\\d.]+/g).map(Number);
const light = (c) => c.slice(0, 3).map((v) => v / 255)
  .map((v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
function behind(e) {
  for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c;
  }
}
const faint = new Set(), walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const e = walk.currentNode.parentElement;
  if (!walk.currentNode.textContent.trim() || e.closest("svg, script, noscript")) continue;
  if (!e.offsetParent) continue;
  const [a, b] = [parse(getComputedStyle(e).color), behind(e)].map(light);
  const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  const where = `${e.tagName}.${e.className}: ${e.textContent.slice(0, 40)}`;
  if (ratio < 4.5) faint.add(`${ratio.toFixed(2)} ${where}`);
}
return [...faint];
"""


def _emulate(browser, scheme, width):
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", long_but([390], [390, 1280]))
@pytest.mark.parametrize("which", ["opened", "claims"])
def test_pages_are_read_by_all(which, scheme, width, request):
    browser = request.getfixturevalue(which)
    _emulate(browser, scheme, width)
    browser.execute_script("all('details').forEach((each) => { each.open = true; })")
    assert not browser.execute_script(_FAULTS)
    assert not browser.execute_script(_FAINT)
    over = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.execute_script(over) <= 0
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_study_that_has_trained_leaves_a_page(tmp_path, monkeypatch, capsys, caplog):
    """Studies themselves write none: the command does, and says when it cannot."""
    monkeypatch.setattr(
        "lossylab.train.studies.jpeg_encoder.train", lambda options: _results(tmp_path / "r")
    )
    words = ["train", "jpeg_encoder_study", "--train_data=sample_train", f"--out={tmp_path}"]
    with caplog.at_level("INFO", "lossylab"):
        cli.main([*words, "--dry_run"])
    assert not (tmp_path / "report.html").exists()
    shutil.rmtree(tmp_path / "r")
    with caplog.at_level("INFO", "lossylab"):
        cli.main(words)
    assert page.MARK in (tmp_path / "report.html").read_text()
    assert f"open {tmp_path}/report.html" in caplog.messages
    assert capsys.readouterr().out == ""  # a study's table stands there alone
    (tmp_path / "report.html").write_text("mine")
    shutil.rmtree(tmp_path / "r")
    cli.main(words)
    assert f"{tmp_path}/report.html is not written: " in caplog.text
    assert (tmp_path / "report.html").read_text() == "mine"
