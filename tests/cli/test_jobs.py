"""Files in, files out: what is left out, redone, refused; nothing is needed but small files."""

import csv
import fcntl
import io
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

from lossylab.cli import jobs
from lossylab.cli.journal import NAME
from lossylab.cli.options.files import FilesOptions
from lossylab.core.errors import ImageError, UsageError, WorkError
from lossylab.core.files import replacing, write_bytes
from lossylab.core.options import option, option_class
from lossylab.data.collections import find_images


@option_class
class Options(FilesOptions):
    """Copies files."""

    strength: int = option(1, "Decides what the copies are.")
    tiles: int = option(1, "Does not.", may_differ=True)


@pytest.fixture
def folder(tmp_path):
    """Five files to copy."""
    (tmp_path / "in").mkdir()
    for name in "abcde":
        (tmp_path / "in" / f"{name}.png").write_bytes(name.encode() * 10)
    return tmp_path


@pytest.fixture
def copy(folder, capsys):
    """Copies the files in upper case; gives the names of those that were done."""

    def run(stop_at="", weights="w", output="out", source="in", **options):
        made = Options(input=str(folder / source), output=f"{folder}/{output}", **options)

        def work(source, target):
            if stop_at and source.endswith(stop_at):
                raise KeyboardInterrupt
            write_bytes(target, pathlib.Path(source).read_bytes().upper())
            return {"input": os.fsencode(source).decode(errors="replace")}

        plan = jobs.plan(made, find_images(made.input), ".png")
        capsys.readouterr()
        jobs.run(plan, work, ("input",), (weights,))
        table = csv.DictReader(io.StringIO(capsys.readouterr().out))
        return [pathlib.Path(row["input"]).stem for row in table]

    return run


def test_what_is_finished_is_left_out_with_a_count(copy, folder, caplog):
    caplog.set_level("INFO", "lossylab")
    with pytest.raises(KeyboardInterrupt):
        copy(stop_at="c.png")
    assert copy() == ["c", "d", "e"]
    assert "2 of 5 files are finished and left out" in caplog.text
    assert f"3 files written: {folder}/out" in caplog.text
    assert copy() == []
    assert (folder / "out" / "a.png").read_bytes() == b"A" * 10
    assert copy(tiles=2) == []
    assert copy(overwrite=True) == list("abcde")


@pytest.mark.parametrize("change", [{"strength": 2}, {"weights": "other"}])
def test_outputs_of_other_options_or_weights_are_refused(change, copy, folder):
    copy()
    before = {path.name: path.stat().st_mtime_ns for path in (folder / "out").iterdir()}
    with pytest.raises(
        UsageError, match=r"5 outputs exist, .*a\.png first, of another input, model or op"
    ):
        copy(**change)
    assert before == {path.name: path.stat().st_mtime_ns for path in (folder / "out").iterdir()}
    assert copy(overwrite=True, **change) == list("abcde")
    assert copy(**change) == []


def test_outputs_of_changed_inputs_and_changed_outputs_are_refused(copy, folder):
    copy()
    (folder / "out" / "a.png").write_bytes(b"retouched")
    with pytest.raises(UsageError, match=r"^\S*a\.png exists, of .* changed since: `overwrite`"):
        copy()
    (folder / "out" / "a.png").unlink()
    (folder / "in" / "b.png").write_bytes(b"other")
    with pytest.raises(UsageError, match=r"^\S*b\.png exists, of "):
        copy()


def test_files_of_somebody_else_are_refused_before_work(copy, folder):
    (folder / "out").mkdir()
    (folder / "out" / "b.png").write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"^\S*b\.png exists: `overwrite`"):
        copy()
    assert os.listdir(folder / "out") == ["b.png"]


def test_an_output_that_a_killed_process_may_have_renamed_is_made_again(copy, folder):
    copy()
    journal = folder / "out" / NAME
    lines = [line for line in journal.read_text().splitlines() if line]
    journal.write_text("\n".join(lines[:-1]) + "\n" + lines[-1][:20])  # torn while it was written
    assert copy() == ["e"]
    assert copy() == []


@pytest.mark.parametrize("text", [b"\xff\xfe", b"[]\n5\nnull\n{}\n", b""])
def test_a_damaged_journal_is_none(text, copy, folder):
    copy()
    (folder / "out" / NAME).write_bytes(text)
    with pytest.raises(UsageError, match="5 outputs exist"):
        copy()


def test_a_name_with_a_slash_is_a_folder(copy, folder):
    assert copy(source="in/a.png", output="new/") == ["a"]
    assert (folder / "new" / "a.png").is_file()
    assert copy(source="in/a.png", output="new/") == []


def test_a_dangling_link_is_an_output_that_exists(copy, folder):
    (folder / "link.png").symlink_to(folder / "nowhere.png")
    with pytest.raises(UsageError, match=r"link\.png exists: `overwrite`"):
        copy(source="in/a.png", output="link.png")
    assert (folder / "link.png").is_symlink()


def test_one_file_does_not_end_the_batch(copy, folder, caplog):
    place = folder / "in"
    os.mkfifo(place / "f.png")
    (place / "g.png").symlink_to(place / "g.png")
    (place / "h.png").symlink_to(place / "nowhere.png")
    strange = os.fsdecode(b"i\xff.png")
    (place / strange).write_bytes(b"i")
    with pytest.raises(WorkError, match="3 of 9 files failed"):
        copy()
    assert "no regular file" in caplog.text
    assert "Too many levels of symbolic links" in caplog.text
    assert "h.png: no such file" in caplog.text
    assert (folder / "out" / strange).read_bytes() == b"I"
    for name in "fgh":
        (place / f"{name}.png").unlink()
    assert copy() == []


def test_a_finished_file_that_cannot_be_read_again_does_not_end_the_batch(
    copy, folder, monkeypatch, caplog
):
    copy()
    digest = jobs.file_digest

    def failing(path):
        if path.endswith("b.png"):
            raise OSError(5, "Input/output error", path)
        return digest(path)

    monkeypatch.setattr(jobs, "file_digest", failing)
    with pytest.raises(WorkError, match="^1 of 1 files failed"):
        copy()
    assert "Input/output error" in caplog.text


def test_lists_with_nul_are_refused(folder):
    (folder / "list").write_bytes(b"a.png\nb\0.png\n")
    with pytest.raises(UsageError, match="NUL"):
        find_images(f"@{folder / 'list'}")


def test_folders_of_globs_may_have_brackets(folder):
    place = shutil.copytree(folder / "in", folder / "a[1]")
    assert [pathlib.Path(path).stem for path in find_images(f"{place}/*.png")] == list("abcde")


def test_errors_of_one_file_are_told_from_others(copy, folder, monkeypatch):
    plan = jobs.plan(Options(input=str(folder / "in"), output=f"{folder}/o"), ["a", "b"], ".png")
    monkeypatch.setattr(jobs, "require_file", lambda path: None)

    def work(source, target):
        raise ImageError("bad") if source == "a" else ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        jobs.run(plan, work, (), ())


_PROGRAM = """
import pathlib, signal, sys, time
from lossylab.core import command
from lossylab.core.files import replacing
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever started the tests
def main(arguments):
    with replacing(arguments[0]) as temporary:
        pathlib.Path(temporary).write_text("half")
        sys.stderr.write("begun\\n")
        sys.stderr.flush()
        time.sleep(60)
command.program(main)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_stopped_programs_leave_no_rests(number, tmp_path):
    target = tmp_path / "out.png"
    words = [sys.executable, "-c", _PROGRAM, str(target)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr.readline() == "begun\n"
        running.send_signal(number)
        assert running.wait(30) == (-number if number == signal.SIGKILL else 128 + number)
    assert len(list(tmp_path.iterdir())) == (number == signal.SIGKILL)
    with replacing(tmp_path / "other.png"):  # in work: not a rest
        source = str(tmp_path / "in.png")
        jobs.plan(Options(input=source, output=str(target)), [source], ".png")
        assert len(list(tmp_path.glob(".lossylab-*"))) == 1


_DROPPING = """
import sys, time
from lossylab.core import command
class Slow:
    def __del__(self):  # what is raised in here, Python loses
        sys.stderr.write("begun\\n")
        sys.stderr.flush()
        end = time.monotonic() + 1
        while time.monotonic() < end:
            pass
def main(arguments):
    kept = Slow()
    del kept
    try:
        time.sleep(60)
    finally:
        time.sleep(1)  # cleaning up is not disturbed
        sys.stderr.write("clean\\n")
command.program(main)
"""


def test_a_stop_that_python_loses_comes_again():
    words = [sys.executable, "-c", _DROPPING]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr.readline() == "begun\n"
        running.send_signal(signal.SIGTERM)
        assert running.communicate(timeout=30)[1] == "clean\n"
    assert running.returncode == 128 + signal.SIGTERM


def test_lines_of_a_table_and_of_the_log_stand_alone_on_a_terminal(tmp_path):
    """Rows and messages begin in the first column though a bar is shown."""
    pty = pytest.importorskip("pty")
    program = """
import csv, sys, time
import tqdm
from lossylab.cli import jobs
from lossylab.cli.options.files import FilesOptions
from lossylab.core import command
from lossylab.core.errors import ImageError
def work(source, target):
    time.sleep(0.15)
    if source.endswith("b.png"):
        raise ImageError(f"{source}: damaged")
    open(target, "w").write("x")
    return {"input": "row"}
def main(arguments):
    from lossylab.data.collections import find_images
    options = FilesOptions(input=arguments[0], output=arguments[1])
    jobs.run(jobs.plan(options, find_images(options.input), ".png"), work, ("input",), ())
command.program(main)
"""
    (tmp_path / "in").mkdir()
    for name in "abcd":
        (tmp_path / "in" / f"{name}.png").write_bytes(b"x")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))  # lines, columns
    words = [sys.executable, "-c", program, str(tmp_path / "in"), str(tmp_path / "out")]
    with subprocess.Popen(words, stdout=theirs, stderr=theirs):
        os.close(theirs)
        data, end = b"", time.monotonic() + 60
        while time.monotonic() < end:
            try:
                data += os.read(ours, 4096)
            except OSError:  # its last end was closed
                break
    os.close(ours)
    lines = [line.rpartition(b"\r")[2] for line in data.replace(b"\r\n", b"\n").split(b"\n")]
    assert b"%" in data  # the bar
    assert lines.count(b"row") == 3, data
    assert any(line.endswith(b"b.png: damaged") and b"%" not in line for line in lines), data


def test_closed_outputs_end_no_command(tmp_path):
    words = f"'{sys.executable}' -m lossylab --version"
    assert subprocess.run(["sh", "-c", f"{words} >&-"], check=False).returncode == 0
    assert subprocess.run(["sh", "-c", f"{words} 2>&-"], check=False).returncode == 0
