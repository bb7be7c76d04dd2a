"""The lock files: every package of setup.cfg in a version that it allows, every one with hashes."""

import configparser
import pathlib
import re

import pytest
from packaging.requirements import Requirement

import lossylab

ROOT = pathlib.Path(lossylab.__file__).parent
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def _wanted():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    extras = config["options.extras_require"]
    text = config["options"]["install_requires"] + extras["dev"] + extras["docs"]
    return [Requirement(line) for line in text.splitlines() if line.strip()]


def _locked(path):
    """Requirements with their hashes, in one line each."""
    lines = path.read_text().replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def test_there_is_a_lock_for_each_python():
    assert [path.name for path in LOCKS] == ["python3.10.txt", "python3.11.txt"]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_locks_hold_what_setup_asks_for(path):
    found = [Requirement(line.split("--hash")[0]) for line in _locked(path)]
    pins = {each.name.lower(): each for each in found}
    for wanted in _wanted():
        (pin,) = pins[wanted.name.lower()].specifier
        assert pin.operator == "=="
        assert wanted.specifier.contains(pin.version), f"{wanted} but {pin}: make lock"


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_locks_name_hashes_and_no_place(path):
    for line in _locked(path):
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", line), line
        assert "://" not in line
        assert not line.startswith("--")
