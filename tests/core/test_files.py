"""Writing files: whole or not at all, and never at the cost of what was there."""

import concurrent.futures
import os
import pathlib
import re
import stat

import pytest

from lossylab.core.errors import OutputError
from lossylab.core.files import make_folder, replacing, write_bytes, write_text

PROC = pytest.mark.skipif(not pathlib.Path("/proc/self").exists(), reason="needs Linux's /proc")


@pytest.fixture
def umask():
    """Sets the process's umask for one test."""
    before = os.umask(0)
    os.umask(before)
    yield os.umask
    os.umask(before)


def _mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def _break_off(path, error):
    """Writes half a file, then fails."""
    with replacing(path) as temporary:
        pathlib.Path(temporary).write_bytes(b"half")
        raise error


def _current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("data", [b"", b"\0\r\n\xff", bytes(range(256)) * 999])
def test_bytes_are_written_as_they_are(data, tmp_path):
    write_bytes(tmp_path / "out.bin", data)
    assert (tmp_path / "out.bin").read_bytes() == data


def test_text_is_written_as_utf_8_without_other_line_ends(tmp_path):
    write_text(str(tmp_path / "out.txt"), "Maß 1 µm\nnext\n")
    assert (tmp_path / "out.txt").read_bytes() == "Maß 1 µm\nnext\n".encode()


def test_missing_folders_are_created(tmp_path):
    write_bytes(tmp_path / "a" / "b" / "out.bin", b"new")
    assert (tmp_path / "a" / "b" / "out.bin").read_bytes() == b"new"


def test_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "out.png"
    path.write_bytes(b"old")
    with replacing(path) as temporary:
        pathlib.Path(temporary).write_bytes(b"new")
        assert path.read_bytes() == b"old"
        assert pathlib.Path(temporary).parent == tmp_path  # so that renaming is atomic
        assert pathlib.Path(temporary).suffix == ".png"  # Pillow chooses the format by it
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_new_file_does_not_show_before_it_is_whole(tmp_path):
    with replacing(tmp_path / "out.bin"):
        assert not (tmp_path / "out.bin").exists()
    assert (tmp_path / "out.bin").exists()


@pytest.mark.parametrize("old", [b"old", None])
@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
def test_exception_in_the_middle_leaves_everything_as_it_was(kind, old, tmp_path):
    path = tmp_path / "out.bin"
    if old is not None:
        path.write_bytes(old)
    with pytest.raises(kind, match="^in the middle$"):
        _break_off(path, kind("in the middle"))
    assert [p.read_bytes() for p in tmp_path.iterdir()] == ([] if old is None else [old])


def test_full_disk_leaves_everything_as_it_was(tmp_path):
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")
    text = f"^cannot write {re.escape(str(path))}: No space left on device$"
    with pytest.raises(OutputError, match=text):
        _break_off(path, OSError(28, "No space left on device"))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_error_without_a_system_text_is_kept(tmp_path):
    with pytest.raises(OutputError, match=r"out\.bin: encoder error -2$"):
        _break_off(tmp_path / "out.bin", OSError("encoder error -2"))
    assert not list(tmp_path.iterdir())


def test_temporary_file_may_be_replaced_by_the_writer(tmp_path):
    with replacing(tmp_path / "out.bin") as temporary:
        (tmp_path / "other").write_bytes(b"new")
        os.replace(tmp_path / "other", temporary)
    assert [path.name for path in tmp_path.iterdir()] == ["out.bin"]
    assert (tmp_path / "out.bin").read_bytes() == b"new"


def test_writers_at_the_same_time_leave_one_whole_file(tmp_path):
    contents = [bytes([number]) * 100_000 for number in range(16)]
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda data: write_bytes(tmp_path / "out.bin", data), contents))
    assert (tmp_path / "out.bin").read_bytes() in contents
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002, 0o000])
@pytest.mark.parametrize("old", [True, False])
def test_mode_is_the_one_that_the_umask_asks_for(mask, old, tmp_path, umask):
    path = tmp_path / "out.bin"
    if old:
        path.touch(0o600)
    umask(mask)
    write_bytes(path, b"new")
    assert _mode(path) == 0o666 & ~mask
    assert _current_umask() == mask


def test_folder_at_the_target_is_not_replaced(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match=r"^cannot write .*/out: Is a directory$"):
        write_bytes(tmp_path / "out", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_name_too_long_for_the_system_is_refused(tmp_path):
    with pytest.raises(OutputError, match=r"^cannot write .*/a{300}: File name too long$"):
        write_bytes(tmp_path / ("a" * 300), b"new")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("make", [make_folder, lambda path: write_bytes(path / "out.bin", b"")])
def test_file_in_place_of_the_folder_is_refused(make, tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    text = f"^{re.escape(str(tmp_path / 'file'))} is a file, a folder is needed there$"
    with pytest.raises(OutputError, match=text):
        make(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.parametrize("make", [make_folder, lambda path: write_bytes(path / "out.bin", b"")])
def test_folder_below_a_file_is_refused(make, tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    text = r"^cannot create the folder .*/file/below: Not a directory$"
    with pytest.raises(OutputError, match=text):
        make(tmp_path / "file" / "below")


@PROC
@pytest.mark.parametrize("make", [make_folder, lambda path: write_bytes(path / "out.bin", b"")])
def test_folder_that_nobody_can_create_is_refused(make):
    text = r"^cannot create the folder /proc/lossylab: (No such file|Permission denied)"
    with pytest.raises(OutputError, match=text):
        make(pathlib.Path("/proc/lossylab"))


@PROC
def test_folder_that_nobody_can_write_into_is_refused():
    text = r"^(cannot write /proc/out\.bin: |no permission to write into the folder /proc$)"
    with pytest.raises(OutputError, match=text):
        write_bytes("/proc/out.bin", b"")


@PROC
def test_folder_without_the_permission_to_write_is_refused():
    if os.access("/proc/self", os.W_OK):
        pytest.skip("this user may write into /proc/self")
    with pytest.raises(OutputError, match="^no permission to write into the folder /proc/self$"):
        make_folder("/proc/self")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("make", [make_folder, lambda path: write_bytes(path / "out.bin", b"")])
def test_folder_that_is_write_protected_is_refused(make, tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir(0o555)
    text = f"^no permission to write into the folder {re.escape(str(folder))}$"
    with pytest.raises(OutputError, match=text):
        make(folder)
    with pytest.raises(OutputError, match="^cannot create the folder .*/below: Permission denied$"):
        make(folder / "below")


def test_make_folder_gives_the_folder_and_may_be_repeated(tmp_path):
    made = make_folder(str(tmp_path / "a" / "b"))
    assert made == tmp_path / "a" / "b"
    (made / "kept").touch()
    assert make_folder(made) == made
    assert [path.name for path in made.iterdir()] == ["kept"]


def test_output_errors_are_os_errors_with_their_cause(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="a folder is needed") as caught:
        make_folder(tmp_path / "file")
    assert isinstance(caught.value.__cause__, FileExistsError)
