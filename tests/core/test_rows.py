"""The file of measured rows: what is written is read, and no damage passes unnoticed."""

import array
import concurrent.futures
import contextlib
import errno
import itertools
import logging
import math
import os
import subprocess
import sys
import tracemalloc

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lossylab.core import row_index, row_lines
from lossylab.core import rows as rows_module
from lossylab.core.errors import OutputError, UsageError, WorkError
from lossylab.core.rows import Rows, frame, read

COLUMNS = ("image", "bytes", "vmaf")
FIRST = {"image": "kodim01, cut", "bytes": 1234, "vmaf": 93.4845060}
MORE = [{"image": f"k{i}", "bytes": 10 * i, "vmaf": i / 7} for i in range(4)]

same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def _written(path, rows=(FIRST, *MORE)):
    """A closed file of rows; returns them as read."""
    with contextlib.closing(Rows(path, COLUMNS)) as file:
        return [file.append(row) for row in rows]


def _opened(path, columns=COLUMNS):
    with contextlib.closing(Rows(path, columns)) as file:
        return list(file)


# What is written is read.


def test_rows_are_read_as_they_were_appended(tmp_path):
    path = tmp_path / "new" / "rows.csv"
    appended = _written(path)
    assert appended[0] == {"image": "kodim01, cut", "bytes": "1234", "vmaf": "93.484506"}
    assert read(path) == read(path, COLUMNS) == _opened(path) == appended


def test_rows_are_plain_csv(tmp_path):
    _written(tmp_path / "rows.csv")
    table = pd.read_csv(tmp_path / "rows.csv")
    assert list(table) == [*COLUMNS, "check"]
    assert list(table.image) == [row["image"] for row in (FIRST, *MORE)]
    assert list(table.bytes) == [row["bytes"] for row in (FIRST, *MORE)]


def test_rows_of_several_sessions_follow_each_other(tmp_path):
    first = _written(tmp_path / "rows.csv", [FIRST])
    second = _written(tmp_path / "rows.csv", MORE)
    assert _opened(tmp_path / "rows.csv") == first + second


@same_folder
@given(
    text=st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20),
    whole=st.integers(),
    number=st.floats(),
)
def test_any_text_and_number_comes_back(tmp_path, text, whole, number):
    path = tmp_path / "any.csv"
    path.unlink(missing_ok=True)
    _written(path, [{"image": text, "bytes": whole, "vmaf": number}])
    (row,) = read(path, COLUMNS)
    assert row["image"] == text
    assert int(row["bytes"]) == whole
    assert float(row["vmaf"]) == pytest.approx(number, rel=1e-8, nan_ok=True)


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a\r\nb", "a\0b"], ids=repr)
def test_names_with_control_characters_do_not_damage_the_file(name, tmp_path):
    """An image may have any name; a file that its own program cannot read is lost."""
    expected = _written(tmp_path / "rows.csv", MORE)
    with contextlib.suppress(UsageError):  # refusing such a name is as good
        expected += _written(tmp_path / "rows.csv", [{**FIRST, "image": name}])
    assert read(tmp_path / "rows.csv") == expected
    assert [row["image"] for row in expected] in (
        ["k0", "k1", "k2", "k3"],
        ["k0", "k1", "k2", "k3", name],
    )


def test_nothing_is_lost_when_several_threads_append(tmp_path):
    numbers = [{"image": "x" * (i % 50), "bytes": i, "vmaf": 0.0} for i in range(200)]
    with (
        contextlib.closing(Rows(tmp_path / "rows.csv", COLUMNS)) as file,
        concurrent.futures.ThreadPoolExecutor(8) as threads,
    ):
        list(threads.map(file.append, numbers))
    assert sorted(int(row["bytes"]) for row in read(tmp_path / "rows.csv")) == list(range(200))


def test_a_row_is_on_disk_before_append_returns(tmp_path):
    with contextlib.closing(Rows(tmp_path / "rows.csv", COLUMNS)) as file:
        for count, row in enumerate(MORE, 1):
            file.append(row)
            assert len(read(tmp_path / "rows.csv")) == count


def test_an_empty_file_becomes_one_of_rows(tmp_path):
    (tmp_path / "rows.csv").touch()
    assert _opened(tmp_path / "rows.csv") == []
    assert read(tmp_path / "rows.csv", COLUMNS) == []


# Damage.


def test_any_torn_last_line_is_removed_and_the_rest_kept(tmp_path, caplog):
    path = tmp_path / "rows.csv"
    rows = _written(path)
    data = path.read_bytes()
    begin = data[:-1].rfind(b"\n") + 1
    for cut in range(begin + 1, len(data)):
        path.write_bytes(data[:cut])
        caplog.clear()
        with contextlib.closing(Rows(path, COLUMNS)) as file:
            assert list(file) == rows[:-1]
            assert f"{path}: removing a last line that was not finished" in caplog.text
            file.append(MORE[-1])
        assert path.read_bytes() == data


def test_a_torn_heading_is_written_again(tmp_path, caplog):
    path = tmp_path / "rows.csv"
    rows = _written(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:7])
    assert _written(path) == rows
    assert path.read_bytes() == whole
    assert "not finished" in caplog.text


def test_a_whole_file_gives_no_warning(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    _written(tmp_path / "rows.csv")
    _opened(tmp_path / "rows.csv")
    assert not caplog.text


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Contents of a file of rows with a heading and five lines."""
    path = tmp_path_factory.mktemp("whole") / "rows.csv"
    _written(path)
    return path.read_bytes()


@same_folder
@given(data=st.data(), change=st.integers(1, 255))
def test_any_changed_byte_of_a_row_is_an_error_that_names_its_line(whole, tmp_path, data, change):
    begin = whole.index(b"\n") + 1
    position = data.draw(st.integers(begin, len(whole) - 2))
    line = 1 + whole[:position].count(b"\n")
    damaged = bytearray(whole)
    damaged[position] ^= change
    path = tmp_path / "rows.csv"
    path.write_bytes(damaged)
    for attempt in (read, _opened):
        with pytest.raises(WorkError) as caught:
            attempt(path)
        assert str(path) in str(caught.value)
        assert f"line {line} " in str(caught.value)
    assert path.read_bytes() == damaged  # for the user to mend


@same_folder
@given(data=st.data(), change=st.integers(1, 255))
def test_any_changed_byte_of_the_heading_is_an_error(whole, tmp_path, data, change):
    damaged = bytearray(whole)
    damaged[data.draw(st.integers(0, whole.index(b"\n")))] ^= change
    path = tmp_path / "rows.csv"
    path.write_bytes(damaged)
    with pytest.raises(WorkError, match="rows.csv"):
        _opened(path)
    assert path.read_bytes() == damaged


@pytest.mark.parametrize("byte", [b"~", b'"', b",", b"\r", b"\0", b"\xff"])
def test_the_line_of_a_changed_byte_is_named(byte, whole, tmp_path):
    lines = whole.split(b"\n")
    for number in range(2, 7):
        line = lines[number - 1]
        line = line[:1] + byte + line[2:]
        path = tmp_path / "rows.csv"
        path.write_bytes(b"\n".join([*lines[: number - 1], line, *lines[number:]]))
        with pytest.raises(WorkError, match=f"rows.csv, line {number} is damaged.*or delete"):
            read(path, COLUMNS)


def test_a_blank_line_between_others_is_named(whole, tmp_path):
    lines = whole.split(b"\n")
    (tmp_path / "rows.csv").write_bytes(b"\n".join([*lines[:3], b"", *lines[3:]]))
    with pytest.raises(WorkError, match="rows.csv, line 4 is damaged"):
        read(tmp_path / "rows.csv")


def test_a_number_altered_by_hand_is_noticed(whole, tmp_path):
    (tmp_path / "rows.csv").write_bytes(whole.replace(b"93.484506", b"94.484506"))
    with pytest.raises(WorkError, match="line 2 is damaged: its checksum does not fit"):
        _opened(tmp_path / "rows.csv")


def test_a_deleted_line_is_only_missing(whole, tmp_path):
    """What the message about a damaged line advises."""
    lines = whole.split(b"\n")
    (tmp_path / "rows.csv").write_bytes(b"\n".join(lines[:2] + lines[3:]))
    assert [row["image"] for row in _opened(tmp_path / "rows.csv")] == [
        "kodim01, cut",
        *("k1", "k2", "k3"),
    ]


@pytest.mark.parametrize("content", ["", "a,b,c\n1,2,3\n", "nothing\n", '"open\n'], ids=repr)
def test_a_file_of_something_else_is_refused(content, tmp_path):
    (tmp_path / "rows.csv").write_text(content)
    with pytest.raises(WorkError, match="rows.csv is no file of measured rows"):
        read(tmp_path / "rows.csv", COLUMNS)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WorkError, match="rows.csv is not readable: .*No such file"):
        read(tmp_path / "rows.csv")


@pytest.mark.parametrize("columns", [COLUMNS[:2], (*COLUMNS, "more"), COLUMNS[::-1]])
def test_other_columns_are_refused_and_the_file_is_kept(columns, whole, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(whole)
    for attempt in (read, _opened):
        with pytest.raises(WorkError, match="rows.csv has other columns, of another version"):
            attempt(path, columns)
    assert path.read_bytes() == whole


# One process at a time.


def test_a_second_writer_is_refused_until_the_first_is_done(tmp_path):
    path = tmp_path / "rows.csv"
    first = Rows(path, COLUMNS)
    with pytest.raises(UsageError, match="another process writes .*rows.csv: wait for it or choo"):
        Rows(path, COLUMNS)
    first.append(FIRST)
    assert len(read(path)) == 1  # readers need not wait
    first.close()
    assert len(_opened(path)) == 1


def test_a_second_process_is_refused_and_a_killed_one_leaves_nothing_behind(tmp_path):
    code = (
        "import fcntl, sys\n"
        "file = open(sys.argv[1], 'ab')\n"
        "fcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()\n"
    )
    path = tmp_path / "rows.csv"
    _written(path)
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(UsageError, match="another process writes"):
            Rows(path, COLUMNS)
        other.kill()
    assert len(_opened(path)) == 5


def test_a_refused_file_can_be_opened_after_mending(whole, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(whole.replace(b"1234", b"1235"))
    with pytest.raises(WorkError, match="line 2"):
        Rows(path, COLUMNS)
    path.write_bytes(whole)
    assert len(_opened(path)) == 5


# Replacing.


def test_replaced_rows_are_all_that_is_left(tmp_path):
    path = tmp_path / "rows.csv"
    rows = _written(path)
    with contextlib.closing(Rows(path, COLUMNS)) as file:
        file.replace(row for row in list(file) if row["image"] != "k1")
        expected = [row for row in rows if row["image"] != "k1"]
        assert list(file) == read(path, COLUMNS) == expected
        file.append(MORE[1])
        with pytest.raises(UsageError, match="another process"):
            Rows(path, COLUMNS)
    assert read(path) == [*expected, rows[2]]


def test_replacing_by_nothing_leaves_a_heading(tmp_path):
    _written(tmp_path / "rows.csv")
    with contextlib.closing(Rows(tmp_path / "rows.csv", COLUMNS)) as file:
        file.replace([])
    assert _opened(tmp_path / "rows.csv") == []


@pytest.mark.parametrize("step", ["replace", "open"])
def test_replacing_is_done_wholly_or_not_at_all(step, whole, tmp_path, monkeypatch):
    path = tmp_path / "rows.csv"
    path.write_bytes(whole)

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    file = Rows(path, COLUMNS)
    with monkeypatch.context() as patched:
        patched.setattr(os, step, full)
        with pytest.raises(OutputError, match="cannot write .*rows.csv: No space left"):
            file.replace(list(file)[:1])
    assert file.append({"image": "x", "bytes": 1, "vmaf": 2.0}) in list(file)  # still usable
    file.close()
    assert path.read_bytes().startswith(whole)
    assert [p.name for p in tmp_path.iterdir()] == ["rows.csv"]


# Places that cannot be written.


def test_places_that_cannot_be_written_are_named(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for place, message in (
        ("/proc/nowhere/rows.csv", "cannot create the folder /proc/nowhere"),
        (tmp_path / "file" / "rows.csv", "is a file, a folder is needed there"),
        (tmp_path / "folder", "cannot write .*folder: Is a directory"),
    ):
        with pytest.raises(OutputError, match=message):
            Rows(place, COLUMNS)


def test_a_full_disk_is_reported_with_the_place(tmp_path, monkeypatch):
    with contextlib.closing(Rows(tmp_path / "rows.csv", COLUMNS)) as file:

        def full(number):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match="cannot write .*rows.csv: No space left on device"):
            file.append(FIRST)


# As a table.


def test_frame_has_numbers_but_for_the_columns_of_text(tmp_path):
    rows = [
        {"image": "007", "bytes": 12, "vmaf": float("nan")},
        {"image": "1e3", "bytes": 7, "vmaf": float("inf")},
        {"image": "", "bytes": 0, "vmaf": -2.5},
    ]
    _written(tmp_path / "rows.csv", rows)
    table = frame(read(tmp_path / "rows.csv"), text=["image"])
    assert list(table.image) == ["007", "1e3", ""]
    assert list(table.bytes) == [12, 7, 0]
    assert table.bytes.dtype.kind == "i"
    assert math.isnan(table.vmaf[0])
    assert list(table.vmaf[1:]) == [math.inf, -2.5]


def test_frame_of_no_rows_is_empty():
    assert frame([], text=["image"]).empty


@pytest.mark.parametrize(
    "data", [b"subject,score\nann,5\nbob,7", b"one line", b"\n", b"\xff\xfe\0", b"a,b\n1,2\n"]
)
def test_a_file_of_somebody_else_is_refused_and_stays_as_it_is(data, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(data)
    with pytest.raises(WorkError, match="is no file of measured rows"):
        Rows(path, ("a", "b"))
    assert path.read_bytes() == data


def test_a_header_that_was_cut_is_ours(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"a,b,ch")
    with contextlib.closing(Rows(path, ("a", "b"))) as table:
        table.append({"a": 1, "b": 2})
    assert read(path) == [{"a": "1", "b": "2"}]


# Many rows, and rows of earlier versions.


def test_columns_that_a_file_lacks_are_added_with_the_next_row(tmp_path):
    path, old = tmp_path / "rows.csv", ("image", "vmaf")
    with contextlib.closing(Rows(path, old)) as file:
        first = file.append({"image": 'a"b', "vmaf": 1.5})
    before = path.read_bytes()
    with pytest.raises(WorkError, match="other columns"):
        Rows(path, COLUMNS)
    with contextlib.closing(Rows(path, COLUMNS, {"bytes": "?", "other": ""})) as file:
        assert list(file) == read(path, COLUMNS, {"bytes": "?"}) == [{**first, "bytes": "?"}]
        assert path.read_bytes() == before
        second = file.append({"image": "c", "bytes": 3, "vmaf": 2.0})
        assert list(file.values(("bytes",))) == [("?",), ("3",)]
    assert read(path, COLUMNS) == [{**first, "bytes": "?"}, second]


def test_many_rows_take_little_memory(tmp_path):
    columns, count = [f"column {n}" for n in range(24)], 20_000
    with contextlib.closing(Rows(tmp_path / "rows.csv", columns)) as file:
        one = {name: f"{n}.23456789" for n, name in enumerate(columns)}
        file.replace(one for _ in range(count))
    size = (tmp_path / "rows.csv").stat().st_size
    tracemalloc.start()
    file = Rows(tmp_path / "rows.csv", columns)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(file) == count
    assert used < size / 4
    file.close()


# Rows found by their names.

KEYED = ("name", "part", "value")
_NAMES = st.sampled_from(["a", "b", 'q"', "x,y", "\u00e9", ""])
_ROWS = st.lists(st.tuples(_NAMES, _NAMES, st.integers(0, 9)), max_size=30)


@pytest.fixture(params=[None, lambda values: 7], ids=["hashes", "all hashes alike"])
def hashing(request, monkeypatch):
    """Names are compared, not only their hashes."""
    if request.param is not None:
        monkeypatch.setattr(row_lines.Parser, "key", lambda self, columns: request.param)
        monkeypatch.setattr(rows_module, "key_of", request.param)


@same_folder
@given(old=_ROWS, new=_ROWS, together=st.booleans())
def test_the_last_row_of_a_name_holds_in_the_place_of_the_first(
    hashing, tmp_path, old, new, together
):
    path = tmp_path / "keyed.csv"
    path.unlink(missing_ok=True)
    with contextlib.closing(Rows(path, KEYED)) as file:
        file.extend(dict(zip(KEYED, row)) for row in old)
    expected = {}
    for row in [*old, *new]:
        expected[row[:2]] = dict(zip(KEYED, map(str, row)))
    with contextlib.closing(Rows(path, KEYED, key=KEYED[:2])) as file:
        rows = [dict(zip(KEYED, row)) for row in new]
        if together:
            file.extend(rows)
        else:
            for row in rows:
                file.append(row)
        assert list(file.held()) == list(expected.values())
        assert len(file) - len(file.outdated) == len(expected)
        for key in itertools.product(("a", 'q"', "x,y", "\u00e9", "none"), repeat=2):
            number = file.find(key)
            assert (None if number is None else file[number]) == expected.get(key)
    with contextlib.closing(Rows(path, KEYED, key=KEYED[:2])) as file:
        assert list(file.held()) == list(expected.values())


def test_an_index_that_is_sorted_anew_finds_the_same(monkeypatch):
    monkeypatch.setattr(row_index, "_RECENT", 3)
    keys = [number * 7919 % 11 - 5 for number in range(60)]
    index = row_index.Index(array.array("q", keys[:10]))
    for number, key in enumerate(keys[10:], 10):
        index.add(key, number)
    for key in range(-6, 7):
        assert index.find(key) == [n for n in reversed(range(60)) if keys[n] == key]


def test_a_row_that_is_damaged_while_the_file_is_open_is_an_error(tmp_path):
    path = tmp_path / "rows.csv"
    _written(path)
    with contextlib.closing(Rows(path, COLUMNS, key=("image",))) as file:
        path.write_bytes(path.read_bytes().replace(b"93.484506", b"94.484506"))
        with pytest.raises(WorkError, match="rows.csv, line 2 was damaged while it was open"):
            file.find(["kodim01, cut"])


def test_a_row_that_could_not_be_written_is_taken_back(tmp_path, monkeypatch):
    with contextlib.closing(Rows(tmp_path / "rows.csv", COLUMNS)) as file:
        first = file.append(FIRST)
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", _full)
            with pytest.raises(OutputError, match="No space left"):
                file.append(MORE[0])
        assert list(file) == [first]
        second = file.append(MORE[1])
        assert list(file) == [first, second]
    assert read(tmp_path / "rows.csv") == [first, second]


def _full(number):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
