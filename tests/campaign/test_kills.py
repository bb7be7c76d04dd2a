"""Processes killed at random moments, and the same command again: nothing is lost, nothing is left.

Each case is run once without a kill, for its results and its time. Then it is killed again and
again at random moments, by SIGKILL and SIGTERM in turn, and run to its end: what it then has must
equal what the run without kills has, bit for bit. After each kill all files that are there must be
whole. At the end no process and no temporary file is left.
"""

import dataclasses
import hashlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable

import pytest
from PIL import Image
from run_files import weights

from lossylab.core import checkpoints, rows
from lossylab.data.collections import find_images
from lossylab.data.decode import read_image
from lossylab.eval.schemas import CODED
from lossylab.train.loop.run_dir import Table
from lossylab.train.loop.saving import is_readable

MARK = "LOSSYLAB_CAMPAIGN"
TIMES = {"encode_ms", "decode_ms", "check"}


@dataclasses.dataclass(frozen=True)
class Case:
    """A command, and what is looked at.

    Attributes:
      command: its words; OUT stands for where it writes, IN for images, EXPORT for a codec's.
      kills: how often it is killed.
      result: what is compared, from the folder that it has written.
      whole: checks the folder after a kill.
    """

    command: str
    kills: int
    result: Callable[[pathlib.Path], object]
    whole: Callable[[pathlib.Path], None]


def _run_result(run):
    rows_text = (run / "metrics.csv").read_text()
    arrays = {k: (v.shape, v.tobytes()) for k, v in weights(run).items() if v.dtype != object}
    assert (run / "export" / "saved_model.pb").exists()
    return rows_text, arrays


def _run_is_whole(run):
    found = checkpoints.complete(run / "checkpoints")
    assert all(map(is_readable, found))
    table = Table.read(run / "metrics.csv")
    assert found or not table


def _rows_result(out):
    table = [
        sorted((k, v) for k, v in row.items() if k not in TIMES)
        for row in rows.read(out / "rows.csv")
    ]
    assert (out / "table.md").exists()
    return sorted(table)


def _rows_are_whole(out):
    path = out / "rows.csv"
    if path.exists() and path.read_bytes().count(b"\n"):
        data = path.read_bytes()
        copy = out.parent / "copy.csv"
        copy.write_bytes(data[: data.rfind(b"\n") + 1])
        assert all(set(row) == set(CODED.columns) for row in rows.read(copy))


def _files_result(out):
    files = [path for path in out.rglob("*") if path.is_file() and path.name[0] != "."]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _files_are_whole(out):
    for path in out.rglob("*.png"):
        if path.name[0] != ".":
            read_image(path)


_TRAIN = "--train_data=IN --run_dir=OUT --log_every=4 --checkpoint_every=6 --seed=3"
CASES = {
    "train proxiqa": Case(
        f"train proxiqa {_TRAIN} --metric=vmaf --steps=40 --filters=4 --patch=32 --batch=2 "
        "--min_scale=1",
        4,
        _run_result,
        _run_is_whole,
    ),
    "train wcdgan": Case(
        f"train wcdgan {_TRAIN} --weights=random --steps=40 --filters=4 --blocks=1 --patch=32 "
        "--stride=32 --batch=2 --quality=10",
        3,
        _run_result,
        _run_is_whole,
    ),
    "train mmd_restoration": Case(
        f"train mmd_restoration {_TRAIN} --quality=5 --steps=40 --patch=16 --max_patch=16 "
        "--batch=1 --filters=4 --blocks=1 --mixtures=2 --condition_filters=4",
        3,
        _run_result,
        _run_is_whole,
    ),
    "eval rd": Case(
        "eval rd --codecs=jpeg,jpeg2000 --data=IN --out=OUT --jobs=2",
        5,
        _rows_result,
        _rows_are_whole,
    ),
    "compress": Case(
        "compress IN OUT --model=EXPORT",
        3,
        _files_result,
        _files_are_whole,
    ),
    "restore": Case(
        "restore IN OUT --model=sadct --quality=10",
        3,
        _files_result,
        _files_are_whole,
    ),
    "latent search": Case(
        "restore IN OUT --method=mmd --generator=GENERATOR --size=16 --steps=60 --fit_samples=200 "
        "--samples=50 --save_every=5",
        4,
        _files_result,
        _files_are_whole,
    ),
}


@dataclasses.dataclass
class Campaign:
    """Where everything lies, and what was counted."""

    root: pathlib.Path
    mark: str
    counts: dict[str, int]

    def start(self, command, out):
        places = {"OUT": out, "IN": self.root / "in", "EXPORT": self.root / "first" / "export"}
        places["GENERATOR"] = self.root / "generator.npz"
        for name, place in places.items():
            command = command.replace(name, str(place))
        return subprocess.Popen(
            [sys.executable, "-m", "lossylab", *command.split()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                MARK: self.mark,
                "TMPDIR": str(self.root / "tmp"),
                "TF_NUM_INTRAOP_THREADS": "1",
                "TF_NUM_INTEROP_THREADS": "1",
            },
        )

    def finish(self, command, out):
        """Runs to the end; returns seconds."""
        begun = time.monotonic()
        running = self.start(command, out)
        said = running.communicate()[1]
        assert running.returncode == 0, said[-2000:]
        return time.monotonic() - begun

    def kill(self, command, out, number, seconds):
        """Kills after so many seconds; returns whether that ended it, and not its work."""
        with self.start(command, out) as running:
            try:
                running.communicate(timeout=seconds)
                return False
            except subprocess.TimeoutExpired:
                running.send_signal(number)
                said = running.communicate(timeout=120)[1]
            assert "Traceback" not in said, said[-2000:]
            assert running.returncode in (-number, 128 + number, 0), said[-2000:]
            return running.returncode != 0

    def survivors(self):
        """Processes of this campaign that still live."""
        found = []
        for place in pathlib.Path("/proc").glob("[0-9]*/environ"):
            try:
                if f"{MARK}={self.mark}".encode() in place.read_bytes():
                    found.append(place.parent.name)
            except OSError:
                continue
        return found


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    root = tmp_path_factory.mktemp("campaign")
    for name in ("in", "tmp"):
        (root / name).mkdir()
    paths = find_images("sample_test")
    for index in range(6):
        image = read_image(paths[index % len(paths)])
        crop = image[20 * index : 20 * index + 96, 30 * index : 30 * index + 96]
        Image.fromarray(crop).save(root / "in" / f"{index}.png")
    made = Campaign(root, uuid.uuid4().hex, dict.fromkeys(("kills", "too late"), 0))
    codec = CASES["train proxiqa"].command.replace("--steps=40", "--steps=2").replace("vmaf", "mse")
    made.finish(codec, root / "first")
    made.finish("import stylegan random:2:64 GENERATOR --contrast=50", root)
    yield made
    sys.stderr.write(f"\nkills: {made.counts}\n")


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_killed_at_random_moments_it_ends_as_if_it_never_were(name, campaign):
    case, root = CASES[name], campaign.root
    words = name.replace(" ", "_")
    straight, killed = root / f"{words}_straight", root / f"{words}_killed"
    seconds = campaign.finish(case.command, straight)
    moments = random.Random(name)
    for index in range(case.kills):
        number = (signal.SIGKILL, signal.SIGTERM)[index % 2]
        while not campaign.kill(case.command, killed, number, moments.uniform(0.2, 1) * seconds):
            assert case.result(killed) == case.result(straight)  # it had ended: from the beginning
            shutil.rmtree(killed)
            campaign.counts["too late"] += 1
        campaign.counts["kills"] += 1
        if killed.exists():
            case.whole(killed)
    campaign.finish(case.command, killed)
    assert case.result(killed) == case.result(straight)
    if case.result is _files_result:
        before = {path: path.stat().st_mtime_ns for path in killed.glob("[!.]*")}
        campaign.finish(case.command, killed)
        assert before == {path: path.stat().st_mtime_ns for path in killed.glob("[!.]*")}
    rests = [p for p in killed.rglob("*") if ".lossylab-" in p.name or p.name.endswith("_temp")]
    assert not rests
    shutil.rmtree(straight)


@pytest.mark.long
def test_nothing_is_left(campaign):
    """After the cases above: runs in the order of this file."""
    end = time.monotonic() + 10
    while campaign.survivors() and time.monotonic() < end:
        time.sleep(0.5)
    assert not campaign.survivors()
    # TensorFlow writes the graphs' code there, and removes it unless it is killed at once.
    rests = [p.name for p in (campaign.root / "tmp").iterdir()]
    assert not [name for name in rests if not name.startswith("__autograph_generated_file")]
    assert campaign.counts["kills"] == sum(case.kills for case in CASES.values()) >= 25
