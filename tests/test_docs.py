"""The examples of the documentation run as they are, outside the checkout."""

import pathlib
import re
import subprocess
import sys

import pytest
import tensorflow as tf

import lossylab
from lossylab.inference.export import base

ROOT = pathlib.Path(lossylab.__file__).parent


def _examples(name):
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)


def test_the_pages_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for example in _examples("docs/api.md"):
        exec(example, names)
    assert names["decoded"].shape == names["restored"].shape == names["image"].shape
    assert names["distorted"].dtype == names["degraded"].dtype == "uint8"
    assert names["data"].startswith(b"\xff\xd8")
    assert names["scores"].shape == (5,)
    bits = -names["log_probability"].numpy() / names["clean"].size
    assert bits / 0.6931472 == pytest.approx(names["bits"].numpy(), rel=1e-5)
    exports = [base.load(path) for path in pathlib.Path("runs").glob("*/export")]
    assert len({export.kind for export in exports}) == len(base._KINDS)
    for export in exports:
        for name, function in tf.saved_model.load(export.path).signatures.items():
            inputs = function.structured_input_signature[1]
            assert not set(inputs) & set(function.structured_outputs), (export.kind, name)


_LIGHT = """
import sys, time
start = time.perf_counter()
import lossylab
assert time.perf_counter() - start < 0.2
assert not {"tensorflow", "numpy", "PIL", "absl"} & set(sys.modules)
names = {"LossylabError", "data", "load", "losses", "metrics", "models", "train"}
assert names <= set(dir(lossylab)), dir(lossylab)
import lossylab.train, lossylab.data, lossylab.losses
assert "tensorflow" not in sys.modules
assert "wcdgan" in dir(lossylab.train)
"""

_NO_RANGE_CODER = """
import sys
import lossylab.inference.export.restorer
assert "tensorflow" in sys.modules
assert "tensorflow_compression" not in sys.modules
"""


@pytest.mark.parametrize("program", [_LIGHT, _NO_RANGE_CODER], ids=["package", "restorers"])
def test_imports_take_no_more_than_they_need(program):
    path = [str(ROOT.parent), *sys.path]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}\n{program}"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="'lossylab' has no attribute 'modles'"):
        _ = lossylab.modles
    assert lossylab.data.read_image.__module__ == "lossylab.data.decode"
