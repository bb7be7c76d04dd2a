"""`lossylab eval study_page` in a browser without a screen, and `study_tally`."""

import base64
import csv
import json
import math
import pathlib
import re
import time

import numpy as np
import pytest
import scipy.stats
from browsers import assert_quiet, chromium
from PIL import Image

from lossylab.cli import __main__ as cli
from lossylab.core.errors import CollectionError, ImageError, UsageError, WorkError
from lossylab.eval.user_study import page as study_page
from lossylab.eval.user_study import tally as study_tally

NAMES = ["pearl", "opal"]
COUNT = 4


def _write(folder, images):
    folder.mkdir()
    for name, image in images.items():
        Image.fromarray(image).save(folder / name)
    return folder


def _flat(index, method):
    return np.full((24, 32, 3), 40 * index + 100 * method, np.uint8)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two methods' images of one color each, which tells them apart in a browser."""
    place = tmp_path_factory.mktemp("study")
    return [
        _write(place / name, {f"face{i}.png": _flat(i, method) for i in range(COUNT)})
        for method, name in enumerate(NAMES)
    ]


@pytest.fixture(scope="module")
def page(folders, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "study.html"
    _make(folders, out, "--title=<b>Faces</b>")
    return out


def _make(folders, out, *flags):
    arguments = [str(folders[0]), str(folders[1]), str(out), f"--names={','.join(NAMES)}"]
    cli.main(["eval", "study_page", *arguments, *flags])


# The page as a file.


def test_the_page_has_all_images_and_asks_for_nothing(page, folders):
    text = page.read_text()
    study = json.loads(re.search(r'id="study">(.*?)</script>', text, re.DOTALL).group(1))
    assert study["names"] == NAMES
    assert [pair["name"] for pair in study["pairs"]] == [f"face{i}" for i in range(COUNT)]
    for pair in study["pairs"]:
        for folder, uri in zip(folders, pair["images"]):
            kind, _, data = uri.partition(",")
            assert kind == "data:image/png;base64"
            assert base64.b64decode(data) == (folder / f"{pair['name']}.png").read_bytes()
    assert "default-src 'none'" in text
    assert not re.findall(r"(?:src|href)\s*=\s*[\"'](?!data:)", text)
    assert not re.findall(r"https?://|fetch\(|XMLHttpRequest|import\s", text)
    assert "&lt;b&gt;Faces" in text
    assert "<b>Faces" not in text
    assert "%%" not in text


def test_texts_may_have_the_names_of_places(folders, tmp_path):
    title, question = "%%STUDY%% & %%QUESTION%%", "%%TITLE%%?"
    _make(folders, tmp_path / "page.html", f"--title={title}", f"--question={question}")
    text = (tmp_path / "page.html").read_text()
    assert "<title>%%STUDY%% &amp; %%QUESTION%%</title>" in text
    assert '<p class="question">%%TITLE%%?</p>' in text
    assert text.count('"pairs": [') == 1


def test_other_files_are_embedded_as_png(tmp_path):
    image = _flat(1, 0)
    _write(tmp_path / "a", {"x.tif": image})
    _write(tmp_path / "b", {"x.jpg": image})
    (pair,) = study_page.match(str(tmp_path / "a"), str(tmp_path / "b"))
    text = study_page.page([pair], NAMES)
    study = json.loads(re.search(r'id="study">(.*?)</script>', text, re.DOTALL).group(1))
    kinds = [uri.partition(";")[0] for uri in study["pairs"][0]["images"]]
    assert kinds == ["data:image/png", "data:image/jpeg"]


@pytest.mark.parametrize(
    ("first", "second", "flags", "kind", "message"),
    [
        (["x.png"], ["x.png", "y.png"], [], UsageError, "a lacks 1 images .* has: y"),
        (["x.png", "y.png"], ["x.png"], [], UsageError, "b lacks 1 images .* has: y"),
        (["x.png"], [], [], CollectionError, "has no image files"),
        (["x.png", "x.jpg"], ["x.png"], [], UsageError, "several images in .* are called x"),
        (["x.png"], ["x.png"], ["--names=a"], UsageError, "--names takes two different names"),
        (["x.png"], ["x.png"], ["--names=a,a"], UsageError, "--names takes two different names"),
        (["x.png"], ["x.png"], ["--reference=no"], UsageError, "no is no folder of images"),
        (["x.png"], ["large.png"], [], UsageError, "lacks 1 images"),
        (["x.png"], ["x.png"], ["stray"], UsageError, "unexpected arguments: stray"),
    ],
)
def test_bad_folders(first, second, flags, kind, message, tmp_path):
    folders = [
        _write(tmp_path / place, {name: _flat(0, 0) for name in names})
        for place, names in (("a", first), ("b", second))
    ]
    with pytest.raises(kind, match=message):
        _make(folders, tmp_path / "page.html", *flags)
    assert not (tmp_path / "page.html").exists()


def test_pairs_of_other_sizes_and_huge_sets_are_refused(tmp_path, random):
    noise = random.integers(0, 256, (500, 500, 3)).astype(np.uint8)
    one = _write(tmp_path / "a", {"x.png": noise})
    other = _write(tmp_path / "b", {"x.png": noise[:, :499]})
    with pytest.raises(UsageError, match="images of 'x' differ in size: .* 500x500, .* 499x500"):
        _make([one, other], tmp_path / "page.html")
    with pytest.raises(UsageError, match="1 pairs of 1 MiB .* --max_mb=1: take fewer"):
        _make([one, one], tmp_path / "page.html", "--max_mb=1")
    with pytest.raises(UsageError, match="OUTPUT must be an .html file"):
        _make([one, one], tmp_path / "page.csv")
    (other / "x.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"x\.png"):
        _make([one, other], tmp_path / "page.html")


# The page in a browser.


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(tmp_path_factory, downloads):
    """Chromium without a screen; skips where it or selenium is absent."""
    driver = chromium(tmp_path_factory.mktemp("profile"), downloads)
    yield driver
    driver.quit()


@pytest.fixture
def study(browser, page):
    """Opens the page anew, with nothing kept; gives a function that opens it again."""

    def kept():
        return browser.execute_script("return localStorage.getItem(KEY)")

    def again(query="?seed=5"):
        before = kept()
        browser.get(page.as_uri() + query)
        # A busy browser loses what a page wrote just before it was left, or tells the next late:
        # what the page had written is ours to test, that it is still there is not.
        keep = (
            "localStorage.setItem(KEY, arguments[0])" if before else "localStorage.removeItem(KEY)"
        )
        browser.execute_script(f"{keep}; intro()", before)

    browser.get(page.as_uri() + "?seed=5")
    # In the page that goes on: what another page removes may arrive after what this keeps.
    browser.execute_script("localStorage.removeItem(KEY); intro()")
    return again


def _wait(condition, what, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited for {what}"
        time.sleep(0.02)


def _press(browser, key):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    ActionChains(browser).send_keys(getattr(Keys, key, key)).perform()


def _click(browser, name):
    browser.find_element("id", name).click()


def _ask(browser, name):
    """The question that clicking something opens; asked later, or the click would fail by it."""
    from selenium.webdriver.support import expected_conditions
    from selenium.webdriver.support.wait import WebDriverWait

    browser.execute_script(
        "setTimeout((name) => document.getElementById(name).click(), 1, arguments[0])", name
    )
    return WebDriverWait(browser, 10).until(expected_conditions.alert_is_present())


def _text(browser, name):
    return browser.find_element("id", name).text


def _at(browser, place):
    script = "return ready && performance.now() - shownAt >= SOONEST"
    _wait(lambda: browser.execute_script(script), "the images")
    _wait(lambda: _text(browser, "count") == f"{place} of {COUNT}", f"pair {place}")


def _start(browser, rater="Ada"):
    browser.find_element("id", "rater").send_keys(rater)
    _click(browser, "start")
    _at(browser, 1)


def _shown(browser):
    """Method and index of the images on both sides, by their color."""
    levels = browser.execute_script(
        """return ["leftImage", "rightImage"].map((id) => {
          const canvas = document.createElement("canvas");
          canvas.width = canvas.height = 1;
          const context = canvas.getContext("2d");
          context.drawImage(document.getElementById(id), 0, 0, 1, 1);
          return context.getImageData(0, 0, 1, 1).data[0];
        })"""
    )
    known = {int(_flat(i, m)[0, 0, 0]): (NAMES[m], i) for i in range(COUNT) for m in (0, 1)}
    return [known[level] for level in levels]


def _saved(browser, downloads, button):
    before = set(downloads.glob("*.csv"))
    _click(browser, button)
    _wait(lambda: set(downloads.glob("*.csv")) - before, "the file")
    (path,) = set(downloads.glob("*.csv")) - before
    return path


def test_a_session_by_keys_is_saved_as_it_was_shown(browser, study, downloads):
    del study
    _start(browser, 'Ada, "the first"')
    keys = ["ARROW_LEFT", "2", "1", "ARROW_RIGHT"]
    expected = []
    for place, key in enumerate(keys, 1):
        _at(browser, place)
        (left, index), (right, other) = _shown(browser)
        assert index == other
        assert {left, right} == set(NAMES)
        choice = left if key in ("ARROW_LEFT", "1") else right
        expected.append((f"face{index}", left, right, choice, str(place)))
        _press(browser, key)
    _wait(lambda: browser.find_element("id", "end").is_displayed(), "the end")
    path = _saved(browser, downloads, "download")
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == study_tally.COLUMNS
    assert [(r["pair"], r["left"], r["right"], r["choice"], r["order"]) for r in rows] == expected
    assert {row["rater"] for row in rows} == {'Ada, "the first"'}
    assert all(0 <= float(row["seconds"]) < 60 for row in rows)
    assert sum(row["left"] == NAMES[0] for row in rows) == COUNT / 2
    assert len(study_tally.read_answers([str(path)])) == COUNT
    path.unlink()


def test_back_and_mouse_change_an_answer(browser, study, downloads):
    del study
    _start(browser)
    _click(browser, "left")
    _at(browser, 2)
    _press(browser, "BACKSPACE")
    _at(browser, 1)
    assert "chosen" in browser.find_element("id", "left").get_attribute("class")
    right = _shown(browser)[1][0]
    _click(browser, "right")
    _at(browser, 2)
    path = _saved(browser, downloads, "save")
    with open(path) as file:
        (row,) = csv.DictReader(file)
    assert row["choice"] == row["right"] == right
    path.unlink()


def test_a_correction_keeps_the_answers_that_follow(browser, study):
    del study
    _start(browser)
    for place in (1, 2, 3):
        _at(browser, place)
        _press(browser, "1")
    _at(browser, 4)
    before = browser.execute_script("return session.answers")
    for place in (3, 2, 1):
        _press(browser, "BACKSPACE")
        _at(browser, place)
    _press(browser, "2")
    _at(browser, 4)  # the first without an answer
    after = browser.execute_script("return session.answers")
    assert after[1:] == before[1:]
    assert after[3] is None
    assert after[0]["choice"] == after[0]["right"] == before[0]["right"] != before[0]["choice"]
    _press(browser, "1")
    _wait(lambda: browser.find_element("id", "end").is_displayed(), "the end")
    _click(browser, "revise")
    _at(browser, 4)
    _press(browser, "2")
    _wait(lambda: browser.find_element("id", "end").is_displayed(), "the end again")


def test_double_clicks_and_hasty_answers_do_not_count(browser, study):
    from selenium.webdriver import ActionChains

    del study
    _start(browser)
    ActionChains(browser).double_click(browser.find_element("id", "left")).perform()
    _at(browser, 2)
    answered = "return session.answers.filter((answer) => answer).length"
    assert browser.execute_script(answered) == 1
    click = (
        "document.getElementById('left').dispatchEvent("
        "new MouseEvent('click', {bubbles: true, detail: arguments[0]}))"
    )
    browser.execute_script(click, 2)
    assert browser.execute_script(answered) == 1
    browser.execute_script("shownAt = performance.now();" + click, 1)
    assert browser.execute_script(answered) == 1
    _at(browser, 2)
    browser.execute_script(click, 1)
    assert browser.execute_script(answered) == 2
    _at(browser, 3)


@pytest.mark.parametrize("side", [0, 1])
def test_a_pair_that_cannot_be_shown_cannot_be_answered(side, browser, study):
    del study
    whole = browser.execute_script("return study.pairs.map((pair) => pair.images)")
    browser.execute_script(
        "study.pairs.forEach((pair) => { pair.images[arguments[0]] = "
        "'data:image/png;base64,AAAA'; })",
        side,
    )
    browser.find_element("id", "rater").send_keys("Ada")
    _click(browser, "start")
    problem = browser.find_element("id", "problem")
    _wait(problem.is_displayed, "the message")
    assert re.search(r'An image of the pair "face\d" cannot be shown', problem.text)
    time.sleep(0.25)
    _press(browser, "1")
    _click(browser, "right")
    assert (
        browser.execute_script("return ready || session.answers.some((answer) => answer)") is False
    )
    browser.execute_script(
        "study.pairs.forEach((pair, i) => { pair.images = arguments[0][i]; }); show()", whole
    )
    _at(browser, 1)
    assert not problem.is_displayed()
    _press(browser, "1")
    _at(browser, 2)
    browser.get_log("browser")  # of the broken images: another test wants it empty


def test_an_unfinished_session_goes_on_after_a_reload(browser, study):
    _start(browser)
    _press(browser, "1")
    _at(browser, 2)
    shown = _shown(browser)
    study("")  # no seed: what is kept counts
    assert _text(browser, "resume") == f"Continue as Ada (1 of {COUNT})"
    _click(browser, "resume")
    _at(browser, 2)
    assert _shown(browser) == shown


def test_a_new_session_asks_before_it_forgets(browser, study):
    _start(browser)
    _press(browser, "1")
    _at(browser, 2)
    study()
    _ask(browser, "start").dismiss()
    assert browser.find_element("id", "intro").is_displayed()
    _ask(browser, "start").accept()
    _at(browser, 1)
    assert browser.execute_script("return session.rater").startswith("anonymous-")


def test_seeds_decide_order_and_sides(browser, study):
    drawn = []
    for query in ("?seed=5", "?seed=5", "?seed=6", "?seed=7", "", "", ""):
        browser.execute_script("localStorage.clear()")
        study(query)
        browser.execute_script("begin('x')")
        drawn.append(browser.execute_script("return [session.order, session.swapped]"))
    assert drawn[0] == drawn[1]
    assert len({str(each) for each in drawn[1:4]}) > 1
    assert len({str(each) for each in drawn[4:]}) > 1
    for order, swapped in drawn:
        assert sorted(order) == list(range(COUNT))
        assert sum(swapped) == COUNT / 2


def test_zoom_and_held_keys(browser, study):
    del study
    _start(browser)
    _press(browser, "z")
    assert browser.find_element("id", "zoom").get_attribute("aria-pressed") == "true"
    browser.execute_script(
        "document.dispatchEvent(new KeyboardEvent('keydown', {key: '1', repeat: true}))"
    )
    assert _text(browser, "count") == f"1 of {COUNT}"
    _press(browser, "1")
    _at(browser, 2)
    assert browser.find_element("id", "zoom").get_attribute("aria-pressed") == "false"


def test_the_page_is_quiet_accessible_and_fits(browser, study):
    del study
    _start(browser)
    names = browser.execute_script(
        "return [...document.querySelectorAll('#trial button, #trial img, #rater')].map("
        "(e) => e.getAttribute('aria-label') || e.alt || e.textContent.trim()"
        " || document.querySelector(`label[for=${e.id}]`).textContent)"
    )
    assert all(names)
    assert browser.execute_script("return document.activeElement.id") == "question"
    for size in ((1280, 800), (500, 800)):
        browser.set_window_size(*size)
        wide = browser.execute_script(
            "return document.documentElement.scrollWidth <= innerWidth && "
            "document.documentElement.scrollHeight <= innerHeight"
        )
        assert wide, size
    assert_quiet(browser)


def test_a_reference_is_shown_between(browser, folders, tmp_path):
    _make(folders, tmp_path / "page.html", f"--reference={folders[0]}", "--seed=3")
    browser.get((tmp_path / "page.html").as_uri())
    browser.execute_script("localStorage.clear()")
    _start(browser)
    assert browser.find_element("id", "referenceImage").is_displayed()
    order = browser.execute_script("return session.order")
    browser.execute_script("begin('other')")
    assert browser.execute_script("return session.order") == order


# The tally.

_HEAD = ",".join(study_tally.COLUMNS)
_TIME = "2021-03-01T10:00:00.000Z"


def _answers(path, choices, rater="r1"):
    """A file in which `choices` are of Ours (1) or PULSE (0)."""
    lines = [_HEAD]
    for index, ours in enumerate(choices):
        sides = ["PULSE", "Ours"] if index % 2 else ["Ours", "PULSE"]
        choice = "Ours" if ours else "PULSE"
        lines.append(f"{rater},{_TIME},p{index},{sides[0]},{sides[1]},{choice},1.5,{index + 1}")
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_preferences_are_counted(tmp_path, capsys):
    files = [
        _answers(tmp_path / "a.csv", [1] * 9 + [0]),
        _answers(tmp_path / "b.csv", [1] * 7 + [0] * 3, "r2"),
    ]
    cli.main(["eval", "study_tally", *files, f"--out={tmp_path / 'out'}"])
    said = capsys.readouterr().out
    assert "| Ours | 16 | 20 | 80.0 | 58.4 to 91.9 | 0.012 |" in said
    assert "| PULSE | 4 | 20 | 20.0 | 8.1 to 41.6 | 0.012 |" in said
    assert "| r2 | 3 | 7 | 70.0 | 1.5 |" in said
    assert "| p9 | 2 | 0 | 0.0 | 1.5 |" in said
    table = (tmp_path / "out" / "study_table_3.md").read_text()
    start = "| Ours | Preference | 81.0 | 80.0 | -1.0 | 0.99 times |"
    assert f"{start} 58.4 to 91.9 | 80.0 | 20 | 2 | 10 |" in table
    assert (
        "| 95 % interval (Wilson) | mean over raters, per cent | answers | raters | pairs |"
        in table
    )
    with open(tmp_path / "out" / "study_table_3.csv") as file:
        line = list(csv.DictReader(file))[1]
    assert (line["answers"], line["raters"], line["pairs"]) == ("20", "2", "10")
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {
        *("study_preference.csv", "study_raters.csv", "study_pairs.csv"),
        *("study_table_3.csv", "study_table_3.md"),
    }


def test_raters_who_answer_little_count_as_much_in_the_mean(tmp_path):
    paths = [
        _answers(tmp_path / "a.csv", [1] * 8),
        _answers(tmp_path / "b.csv", [1, 0], "r2"),
    ]
    answers = study_tally.read_answers(paths)
    assert study_tally.mean_over_raters(answers, "Ours") == pytest.approx(0.75)  # pooled: 0.9
    pulse, ours = study_tally.table_3_lines(answers)
    assert (pulse["mean over raters, per cent"], pulse["ours, per cent"]) == ("25.0", "10.0")
    assert (ours["mean over raters, per cent"], ours["ours, per cent"]) == ("75.0", "90.0")


def test_medians_of_even_counts_are_between_the_middle_ones(tmp_path, capsys):
    path = pathlib.Path(_answers(tmp_path / "a.csv", [1, 1, 0, 1]))
    head, *lines = path.read_text().splitlines()
    times = ("9", "1", "2", "4")
    lines = [line.replace(",1.5,", f",{time},") for line, time in zip(lines, times)]
    path.write_text("\n".join([head, *lines]) + "\n")
    cli.main(["eval", "study_tally", str(path)])
    assert "| r1 | 1 | 3 | 75.0 | 3.0 |" in capsys.readouterr().out


@pytest.mark.parametrize(("chosen", "count"), [(0, 1), (5, 5), (81, 100), (1, 3), (500, 1000)])
def test_the_interval_is_wilsons(chosen, count):
    low, high = study_tally.wilson(chosen, count)
    expected = scipy.stats.binomtest(chosen, count).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    # By its definition: shares that lie 1.96 of their own deviations from the observed one.
    for bound in (low, high):
        if 0 < bound < 1:
            deviation = math.sqrt(bound * (1 - bound) / count)
            assert abs(chosen / count - bound) / deviation == pytest.approx(1.959964, abs=1e-5)


_GOOD = f"r1,{_TIME},p1,PULSE,Ours,Ours,1.5,1"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["image,score", "x,1"], "line 1: expected the columns rater,started,.* got image"),
        ([_HEAD], "has no answers"),
        ([], "line 1: expected the columns"),
        ([_HEAD, "r1,p1"], "line 2: expected 8 fields, got 2; restore the file"),
        ([_HEAD, _GOOD, _GOOD.replace(",Ours,1.5", ",Neither,1.5")], "line 3: choice 'Neither'"),
        ([_HEAD, _GOOD.replace("r1,", ",")], "line 2: rater is empty"),
        ([_HEAD, _GOOD.replace("PULSE", "Ours")], "left and right are both 'Ours'"),
        ([_HEAD, _GOOD.replace("1.5", "nan")], "seconds 'nan' are no time"),
        ([_HEAD, _GOOD.replace("1.5,1", "1.5,0")], "order '0' is no whole number from 1"),
        ([_HEAD, _GOOD.replace("1.5,1", "1.5,²")], "order '²' is no whole number"),
        ([_HEAD, _GOOD.replace("1.5,1", "1.5," + "1" * 5000)], "order '1{20}' is no whole number"),
        ([_HEAD, _GOOD.replace(_TIME, "noon")], "started 'noon' is no date and time"),
        ([_HEAD, _GOOD, _GOOD], "line 3: rater 'r1' has answered .* line 2 already, the same"),
        (
            [_HEAD, _GOOD, _GOOD.replace("Ours,1.5", "PULSE,1.5")],
            "line 3: rater 'r1' has answered the pair 'p1' at .* line 2 already, otherwise",
        ),
        ([_HEAD, _GOOD, _GOOD.replace("PULSE", "A").replace("p1", "p2")], "one study at a time"),
        ([_HEAD, '"r1'], "is no CSV file of answers"),
    ],
)
def test_bad_files_are_refused_by_name_and_line(lines, message, tmp_path):
    path = tmp_path / "answers.csv"
    path.write_text("\n".join(lines) + "\n" if lines else "")
    with pytest.raises(WorkError, match=message) as error:
        study_tally.read_answers([str(path)])
    assert "answers.csv" in str(error.value)


def test_the_same_file_twice_is_refused(tmp_path):
    path = _answers(tmp_path / "a.csv", [1, 0])
    with pytest.raises(WorkError, match="keep one file of a session"):
        study_tally.read_answers([path, path])
    with pytest.raises(WorkError, match="cannot read .*nowhere.csv"):
        study_tally.read_answers(["nowhere.csv"])


def test_table_3_needs_its_methods(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(f"{_HEAD}\n{_GOOD.replace('PULSE', 'Theirs')}\n")
    cli.main(["eval", "study_tally", str(path)])
    with pytest.raises(UsageError, match="these answers are of Ours and Theirs"):
        cli.main(["eval", "study_tally", str(path), f"--out={tmp_path}"])
    with pytest.raises(UsageError, match="ANSWERS is needed: CSV files of answers"):
        cli.main(["eval", "study_tally"])


def test_the_page_is_packaged():
    import lossylab

    root = pathlib.Path(lossylab.__file__).parent
    assert (root / "eval" / "user_study" / "page.html").is_file()
    assert "lossylab.eval.user_study = *.html" in (root / "setup.cfg").read_text()
