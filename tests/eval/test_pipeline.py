"""Measurements by Apache Beam's workers: what they make is what one process makes."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest
from measured_rows import measured, without_times
from PIL import Image
from skimage import data

from lossylab.cli import __main__ as cli
from lossylab.core import rows
from lossylab.core.errors import UsageError, WorkError
from lossylab.core.options import Options
from lossylab.eval import rd
from lossylab.eval.options.rd import RdOptions
from lossylab.eval.schemas import CODED, CODED_COLOR, DIVERGENCES, RESTORATION
from lossylab.eval.sharing import pipeline
from lossylab.eval.sweep import Sweep
from lossylab.inference.codecs.registry import CLASSICAL

CODECS = "--codecs=jpeg,jpeg2000"
HERE = "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"  # in this process
WORKERS = "--runner=DirectRunner --direct_running_mode=multi_processing --direct_num_workers=2"

beam = pytest.mark.skipif(
    not pipeline.is_installed(), reason="apache-beam of the extra 'beam' is not installed"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return _cuts(tmp_path_factory.mktemp("images"), 5, 64, 96)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """As large as MS-SSIM's windows need."""
    return _cuts(tmp_path_factory.mktemp("large"), 2, 176, 192)


def _cuts(path, count, height, width):
    """Images cut from one."""
    for index in range(count):
        image = data.astronaut()[60 * index : 60 * index + height, 100 : 100 + width]
        Image.fromarray(image).save(path / f"{index}, cut.png")
    return path


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    """By one process."""
    out = tmp_path_factory.mktemp("rows") / "whole"
    _rd(folder, out)
    return out


def _rd(folder, out, *more):
    cli.main(["eval", "rd", CODECS, f"--data={folder}", f"--out={out}", *more])


def _sweep(folder, out=None):
    codecs = [CLASSICAL[name]() for name in ("jpeg", "jpeg2000")]
    return Sweep(out, codecs, data=str(folder))


# What a worker does of one image; needs no Beam.


def test_images_measured_alone_have_the_rows_of_one_process(folder, whole):
    options = RdOptions(codecs=("jpeg", "jpeg2000"), data=str(folder), out="unused")
    alone = rd.alone(options)
    found = []
    for path in sorted(map(str, folder.iterdir())):
        new, failed = alone(path, ())
        assert not failed
        found += new
    assert sorted(map(without_times, found), key=str) == measured(whole)


def test_known_rows_are_not_measured_again_and_old_ones_are(folder, whole):
    known = [row for row in rows.read(whole / "rows.csv") if row["image"] == "0, cut"]
    path = str(folder / "0, cut.png")
    assert _sweep(folder).alone(path, known) == ([], [])
    new, _ = _sweep(folder).alone(path, known[3:])
    assert sorted(map(without_times, new), key=str) == sorted(
        map(without_times, known[:3]), key=str
    )
    for changed in ({"identity": "other"}, {"content": "other"}):
        old = [{**row, **changed} for row in known]
        new, _ = _sweep(folder).alone(path, old)
        assert sorted(map(without_times, new), key=str) == sorted(
            map(without_times, known), key=str
        )


def test_an_image_that_cannot_be_read_is_said_and_not_raised(folder, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    new, failed = _sweep(folder).alone(str(bad), ())
    assert new == []
    assert [text.split(":")[0] for text in failed] == [f"jpeg, {bad}", f"jpeg2000, {bad}"]


def test_all_machines_put_an_image_into_the_same_element():
    names = [f"é{number}" for number in range(500)]
    code = (
        "import sys; from lossylab.eval.sharing.pipeline import batch_of; "
        "print(*(batch_of(7, f'é{n}') for n in range(500)))"
    )
    words = [sys.executable, "-c", code]
    other = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    mine = [pipeline.batch_of(7, name) for name in names]
    assert list(map(int, other)) == mine
    assert set(mine) == set(range(7))


def test_a_model_is_loaded_once_in_a_process():
    loaded = []

    def load(options):
        loaded.append(options)
        return loaded.append

    for _ in range(3):
        pipeline.Opener(load, Options())()
    assert loaded == [Options()]


def test_options_that_contradict_each_other_are_refused(folder, tmp_path):
    for words, message in (
        ([f"--beam={WORKERS}", "--shard=1/2"], "--beam shares all images among its workers"),
        ([f"--beam={WORKERS}", "--keep_files"], "--keep_files goes without --beam"),
    ):
        with pytest.raises(UsageError, match=message):
            _rd(folder, tmp_path / "out", *words)


def test_without_beam_the_extra_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(UsageError, match=r"--beam needs apache_beam: pip install .*apache-beam=="):
        _rd(folder, tmp_path / "out", f"--beam={WORKERS}")
    assert not (tmp_path / "out" / "about.json").exists()


# Pipelines.


@pytest.fixture
def importable(monkeypatch):
    """Workers are processes of their own: they find what this one finds."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))


@beam
def test_workers_measure_what_one_process_measures(folder, whole, tmp_path, importable):
    out = tmp_path / "many"
    _rd(folder, out, f"--beam={WORKERS}")
    assert measured(out) == measured(whole)
    for name in ("table.md", "rd.png"):
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name
    assert sorted(os.listdir(out)) == sorted(os.listdir(whole))


@beam
def test_a_command_that_is_given_again_measures_what_is_missing(folder, whole, tmp_path):
    out = tmp_path / "out"
    some = [row for row in rows.read(whole / "rows.csv") if row["image"] < "3"]
    with contextlib.closing(rows.Rows(out / "rows.csv", CODED.columns)) as file:
        file.extend(some)
    for _ in range(2):
        _rd(folder, out, f"--beam={HERE}")
        found = rows.read(out / "rows.csv")
        assert found[: len(some)] == some
        assert measured(out) == measured(whole)


@beam
@pytest.mark.parametrize(
    ("words", "schema", "key"),
    [
        (["restoration", "--methods=jpeg", "--qualities=10,20"], RESTORATION, "method"),
        (["distortions"], DIVERGENCES, "generated"),
        (["jpeg_rd", "--models=tables:jpeg-tables-0.006"], CODED_COLOR, "codec"),
    ],
    ids=["restoration", "distortions", "jpeg_rd"],
)
def test_other_measurements_have_the_rows_of_one_process(
    words, schema, key, folder, large, tmp_path
):
    images = large if "jpeg_rd" in words else folder
    for name, more in (("whole", []), ("many", [f"--beam={HERE}"])):
        cli.main(["eval", *words, f"--data={images}", f"--out={tmp_path / name}", *more])
    one, other = (measured(tmp_path / name, schema) for name in ("whole", "many"))
    assert one == other
    assert {row[key] for row in one}
    written = rows.read(tmp_path / "many" / "rows.csv")
    assert all(set(row) == set(schema.columns) for row in written)


@beam
def test_a_bad_image_is_said_at_the_end_and_the_others_aremeasured(folder, whole, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for path in folder.iterdir():
        (images / path.name).write_bytes(path.read_bytes())
    bad = images / "bad.png"
    bad.write_bytes((images / "0, cut.png").read_bytes()[:-200])
    out = tmp_path / "out"
    with pytest.raises(WorkError) as caught:
        _rd(images, out, f"--beam={HERE}")
    said = str(caught.value).splitlines()
    assert said[0].startswith("2 of 12 curves could not be measured; the others are in")
    assert [line.split(":")[0] for line in said[1:]] == [f"jpeg, {bad}", f"jpeg2000, {bad}"]
    kept = [{**row, "data": ""} for row in measured(out)]
    assert kept == [{**row, "data": ""} for row in measured(whole)]


@beam
def test_a_killed_worker_loses_nothing(folder, whole, tmp_path, importable):
    out = tmp_path / "killed"
    words = ["eval", "rd", CODECS, f"--data={folder}", f"--out={out}", f"--beam={WORKERS}"]
    with open(tmp_path / "log", "w") as log:
        command = subprocess.Popen([sys.executable, "-m", "lossylab", *words], stderr=log)
        killed = _kill_a_worker(command, out)
        try:
            status = command.wait(timeout=180)
            wanted = "the pipeline failed: .*trying again with what is missing"
        except subprocess.TimeoutExpired:  # Beam goes on waiting for the worker: give it again
            for process in (command.pid, *_below(command.pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            command.wait()
            again = [sys.executable, "-m", "lossylab", *words]
            status = subprocess.run(again, stderr=log, timeout=300).returncode
            wanted = ""
    said = (tmp_path / "log").read_text()
    assert status == 0, said
    assert killed
    assert re.search(wanted, said)
    assert measured(out) == measured(whole)
    assert (out / "table.md").read_bytes() == (whole / "table.md").read_bytes()
    assert not (out / "superseded.csv").exists()


def _kill_a_worker(command, out):
    """Kills a worker as soon as there are rows of some images; returns its number."""
    while not list(out.glob("beam-*/part-*.csv")) and command.poll() is None:
        time.sleep(0.01)
    for process in _below(command.pid):
        with contextlib.suppress(OSError):
            words = pathlib.Path(f"/proc/{process}/cmdline").read_text().split("\0")
            if "apache_beam.runners.worker.sdk_worker_main" in words and "-c" not in words:
                os.kill(process, signal.SIGKILL)
                return process
    return 0


def _below(process):
    """The processes that a process has begun, and theirs."""
    for path in pathlib.Path("/proc").glob(f"{process}/task/*/children"):
        for child in map(int, path.read_text().split()):
            yield child
            yield from _below(child)


@beam
def test_what_is_no_line_of_the_runner_is_refused(folder, tmp_path):
    with pytest.raises(UsageError, match="^--beam: No closing quotation"):
        _rd(folder, tmp_path / "out", "--beam='--runner")


@beam
def test_rows_of_a_command_that_was_killed_are_taken_up(folder, whole, tmp_path):
    """What workers of a killed command have written is not measured again."""
    out = tmp_path / "out"
    opener = pipeline.Opener(rd.alone, RdOptions(out=str(out), data=str(folder)))
    left = pipeline.Pipeline(HERE, str(out), CODED.columns, opener)
    known = [row for row in rows.read(whole / "rows.csv") if row["image"] < "3"]
    marked = [{**row, "encode_ms": "77"} for row in known]
    left.prepare()
    pipeline.write_part(left.place, marked, CODED.columns)
    _rd(folder, out, f"--beam={HERE}")
    assert measured(out) == measured(whole)
    found = rows.read(out / "rows.csv")
    assert sum(row["encode_ms"] == "77" for row in found) == len(marked)
    assert json.loads((out / "about.json").read_text())["data"] == str(folder)
