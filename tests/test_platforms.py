"""Where lossylab runs and what is said elsewhere; the container and the hosted jobs use make."""

import pathlib
import re
import subprocess
import sys

import pytest
import yaml
from PIL import Image

import lossylab
from lossylab.core import rows

ROOT = pathlib.Path(lossylab.__file__).parent
_TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def _made(text):
    return re.findall(r"^[^#\n]*?\bmake ([a-z-]+)", text, re.MULTILINE)


@pytest.mark.parametrize("name", ["Dockerfile", ".github/workflows/ci.yml", ".ci/run"])
def test_what_is_made_can_be_made(name):
    made = _made((ROOT / name).read_text())
    assert made
    assert set(made) - {"gcc"} <= _TARGETS


def test_hosted_jobs_do_all_that_the_local_ones_do():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    steps = [step.get("run", "") for step in workflow["jobs"]["checks"]["steps"]]
    assert _made("\n".join(steps)) == _made((ROOT / ".ci/run").read_text())
    wanted = workflow["jobs"]["checks"]["strategy"]["matrix"]["python"]
    locks = {path.stem.removeprefix("python") for path in (ROOT / "requirements").glob("*.txt")}
    assert set(wanted) == locks
    for job in ("extras", "beam"):
        tests = re.findall(r"tests/\S+\.py", str(workflow["jobs"][job]))
        assert tests
        assert all((ROOT / path).exists() for path in tests)


def test_the_container_has_both_targets_and_no_downloads():
    text = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"^FROM \S+ AS (\w+)", text, re.MULTILINE) == ["cpu", "gpu"]
    assert not re.search(r"\b(curl|wget|ADD)\b", text)


def _run(program):
    path = [str(ROOT.parent), *sys.path]
    program = f"import sys; sys.path[:0] = {path!r}\n{program}"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)


def test_windows_is_told_what_to_do():
    done = _run("sys.platform = 'win32'\nimport lossylab")
    assert done.returncode == 1
    assert "ImportError: lossylab runs on Linux and macOS, x86-64: on Windows use" in done.stderr


_WITHOUT = """
sys.modules["tensorflow_compression"] = None
from lossylab import LossylabError, models
restorer, distorter, encoder = models.ARCNN(1), models.ResidualUNet(2), models.JPEGEncoder(None)
try:
    models.BLS2017(4)
except LossylabError as error:
    print(error)
from lossylab.cli import __main__ as cli
cli.main(["eval", "rd", "--codecs=jpeg", "--data=sample_test", "--out=rows"])
try:
    cli.main(["compress", "image.png", "image.lossy", "--model=bls-mse-0.016"])
except LossylabError as error:
    print(error)
"""


def test_without_tensorflow_compression_only_codecs_are_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 64)).save("image.png")
    done = _run(_WITHOUT)
    assert done.returncode == 0, done.stderr[-2000:]
    said = "learned codecs need tensorflow-compression 2.14.1, which has"
    assert done.stdout.startswith(said)
    assert done.stdout.count(said) == 2
    assert len(rows.read(tmp_path / "rows" / "rows.csv")) == 3 * 8
    assert not (tmp_path / "image.lossy").exists()
