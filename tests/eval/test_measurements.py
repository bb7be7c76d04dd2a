"""Measurements: what is known is looked up, what has changed is superseded, kills lose nothing."""

import concurrent.futures
import json
import os
import subprocess
import sys

import pytest

from lossylab.core.errors import UsageError
from lossylab.core.rows import read
from lossylab.eval.measurements import Measurements, about, own_folder, write_about

COLUMNS = ("codec", "image", "value", "identity", "content")
KEY, IDENTITY = ("codec", "image"), ("identity", "content")


def _open(path):
    return Measurements(path, COLUMNS, KEY, IDENTITY)


def _row(table, image, function, identity="a", content=1):
    key = {"codec": "jpeg", "image": image}
    return table.get_or_measure(key, {"identity": identity, "content": content}, function)


def _never():
    raise AssertionError("measured again")


def test_a_known_row_is_looked_up(tmp_path):
    with _open(tmp_path / "rows.csv") as table:
        first = _row(table, "x", lambda: {"value": 0.1234567891234})
        assert _row(table, "x", _never) == first
    before = (tmp_path / "rows.csv").read_bytes()
    with _open(tmp_path / "rows.csv") as table:
        assert _row(table, "x", _never) == first == table.rows[0]
        assert first["value"] == "0.123456789"
    assert (tmp_path / "rows.csv").read_bytes() == before
    assert os.listdir(tmp_path) == ["rows.csv"]


@pytest.mark.parametrize("changed", [{"identity": "b"}, {"content": 2}])
def test_a_row_of_another_identity_is_measured_again_and_superseded(changed, tmp_path, caplog):
    with _open(tmp_path / "rows.csv") as table:
        old = _row(table, "x", lambda: {"value": 1})
        other = _row(table, "y", lambda: {"value": 2})
        new = _row(table, "x", lambda: {"value": 3}, **changed)
        assert table.rows == [new, other]
    assert read(tmp_path / "rows.csv") == [other, new]
    assert read(tmp_path / "superseded.csv") == [old]
    assert "1 rows were measured again" in caplog.text


def test_rows_that_are_superseded_are_not_known(tmp_path):
    with _open(tmp_path / "nll.csv") as table:
        for image in "xy":
            _row(table, image, lambda: {"value": 1})
        table.supersede(lambda row: row["image"] == "x", "are old")
        assert [row["image"] for row in table.rows] == ["y"]
        assert _row(table, "x", lambda: {"value": 5})["value"] == "5"
        _row(table, "y", _never)
    assert len(read(tmp_path / "nll_superseded.csv")) == 1


def test_what_cannot_be_measured_leaves_the_old_row(tmp_path):
    with _open(tmp_path / "rows.csv") as table:
        old = _row(table, "x", lambda: {"value": 1})
    with pytest.raises(AssertionError), _open(tmp_path / "rows.csv") as table:
        _row(table, "x", _never, identity="b")
    assert read(tmp_path / "rows.csv") == [old]


def test_threads_share_the_rows(tmp_path):
    with _open(tmp_path / "rows.csv") as table, concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: _row(table, f"{i % 20}", lambda: {"value": i % 20}), range(200)))
    found = read(tmp_path / "rows.csv")
    assert sorted(int(row["image"]) for row in found) == list(range(20))
    assert all(row["image"] == row["value"] for row in found)
    assert not (tmp_path / "superseded.csv").exists()


def test_rows_need_no_file():
    with _open(None) as table:
        row = _row(table, "x", lambda: {"value": 2.5})
        assert _row(table, "x", _never) == row == table.rows[0]
        assert row["value"] == "2.5"


_KILLED = """
import os, signal, sys
from lossylab.core import rows
from lossylab.eval.measurements import Measurements

path, moment, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
columns = ("codec", "image", "value", "identity", "content")
left = [count]


def tick(at):
    left[0] -= at == moment
    return left[0] < 0


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def value(number):
    if tick("measuring"):
        die()
    return {"value": number / 7}


def write(self, line, whole=rows.Rows._write):
    if tick("torn"):
        whole(self, line[: len(line) // 2])
        die()
    whole(self, line)
    if tick("written"):
        die()


rows.Rows._write = write
with Measurements(path, columns, ("codec", "image"), ("identity", "content")) as table:
    for number in range(6):
        key = {"codec": "jpeg", "image": number}
        table.get_or_measure(key, {"identity": "new", "content": 1}, lambda: value(number))
    if moment == "closing":
        die()
"""


def _killed(path, moment, count):
    words = [sys.executable, "-c", _KILLED, str(path), moment, str(count)]
    return subprocess.run(words, check=False).returncode


def test_killed_at_any_moment_and_given_again_equals_never_killed(tmp_path):
    def begun(name):
        """Rows of an older identity, half of which the command measures again."""
        path = tmp_path / name / "rows.csv"
        with _open(path) as table:
            for image in ("3", "4", "5", "6", "7"):
                _row(table, image, lambda: {"value": 9}, identity="old")
        return path

    whole = begun("whole")
    assert _killed(whole, "never", 0) == 0
    for moment, count in (("measuring", 4), ("torn", 2), ("written", 5), ("closing", 0)):
        path = begun(moment)
        assert _killed(path, moment, count) == -9
        with _open(path) as table:  # of several rows of a key the last holds
            assert len({row["image"] for row in table.rows}) == len(table.rows)
        assert _killed(path, "never", 0) == 0
        for name in ("rows.csv", "superseded.csv"):
            found = sorted(read(path.with_name(name)), key=str)
            assert found == sorted(read(whole.with_name(name)), key=str), moment


def test_what_a_folder_is_about_is_kept(tmp_path):
    assert about(tmp_path) == {}
    write_about(tmp_path, {"data": "kodak"})
    facts = about(tmp_path)
    assert facts["data"] == "kodak"
    assert {"command", "commit", "packages", "ffmpeg"} <= set(facts)
    (tmp_path / "about.json").write_text("[]")
    assert about(tmp_path) == {}
    (tmp_path / "about.json").write_text("{")
    assert about(tmp_path) == {}
    write_about(tmp_path, {"data": "x"}, "nll_about.json")
    assert json.loads((tmp_path / "nll_about.json").read_text())["data"] == "x"


@pytest.mark.parametrize("text", ['{"mine": 1}', "no JSON", "[]"])
def test_a_folder_of_somebody_else_is_refused_before_work(text, tmp_path):
    (tmp_path / "about.json").write_text(text)
    (tmp_path / "table.md").write_text("mine")
    with pytest.raises(UsageError, match=r"has about.json, table.md, which no measurement wrote"):
        own_folder(tmp_path, ("about.json", "table.md"))
    assert (tmp_path / "about.json").read_text() == text


def test_a_folder_of_ours_is_taken_by_its_rows_or_its_facts(tmp_path):
    made = own_folder(tmp_path / "new", ("about.json",))
    assert made.is_dir()
    write_about(made, {})
    (made / "table.md").write_text("ours")
    assert own_folder(made, ("about.json", "table.md")) == made
    (made / "about.json").write_text("damaged")
    with Measurements(made / "rows.csv", ("a", "identity"), ("a",)):
        pass
    assert own_folder(made, ("about.json", "table.md")) == made
