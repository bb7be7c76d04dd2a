"""The examples of the documentation run as they are, outside the checkout."""

import ast
import importlib
import json
import math
import pathlib
import re
import subprocess
import sys

import matplotlib
import pytest
import tensorflow as tf

import lossylab
from lossylab.cli.commands import COMMANDS
from lossylab.core import command
from lossylab.core.options import specs
from lossylab.inference.export import base

ROOT = pathlib.Path(lossylab.__file__).parent


def _examples(name):
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)


def test_the_pages_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names, said = {}, []
    for example in _examples("docs/api.md"):
        exec(example, names)
        said += re.findall(r"print\(.*\)\n# (.*)", example)
    assert said
    assert capsys.readouterr().out.splitlines() == said
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
import sys
import lossylab
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


@pytest.fixture(scope="module")
def hooks():
    """The module that makes pages when the documentation is built."""
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_command_has_a_page_with_all_its_options(hooks):
    pages = hooks.commands()
    assert len(pages) == len(COMMANDS) + 1
    for words, entry in COMMANDS.items():
        name = f"{words.replace(' ', '_')}.md"
        assert f"]({name})" in pages["commands/index.md"]
        text = pages[f"commands/{name}"]
        for option, spec in specs(command.resolve(entry.options)).items():
            shown = option.upper() if spec.positional else rf"--(\[no\])?{option}[`=]"
            lines = re.findall(rf"^\| `{shown}.*$", text, re.MULTILINE)
            assert len(lines) == 1, (words, option)
    text = pages["commands/eval_crops.md"]
    assert "```sh\nlossylab eval crops --codecs=jpeg2000,hevc444" in text
    assert "*(above 0; bits per pixel; default 0.3)*" in text


def _links(text):
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"\[[^\]]+\]\((?!http)[^)]+\)", prose)


def test_links_of_pages_lead_to_pages(hooks):
    written = {p.relative_to(ROOT / "docs").as_posix() for p in (ROOT / "docs").rglob("*.*")}
    figures = {p.relative_to(ROOT).as_posix() for p in hooks.figures()}
    known = written | set(hooks.commands()) | set(hooks.results()) | figures
    for name in sorted(name for name in written if name.endswith(".md")):
        text = (ROOT / "docs" / name).read_text()
        made = hooks.relinked(text, name, known)
        assert len(_links(made)) == len(_links(text)), name
        assert made.count("```") == text.count("```")
    overview = hooks.relinked(
        hooks.results()["results/wcdgan/index.md"], "results/wcdgan/index.md", known
    )
    assert "](tables.md)" in overview
    assert "](figures/gains.png)" in overview
    ledger = hooks.relinked(hooks.results()["results/index.md"], "results/index.md", known)
    assert "](proxiqa/claims.md)" in ledger


@pytest.mark.parametrize(
    ("here", "link", "there"),
    [
        ("tutorials/a.md", "../../results/wcdgan/claims.md", "../results/wcdgan/claims.md"),
        ("tutorials/a.md", "../guide/b.md#c", "../guide/b.md#c"),
        ("results/wcdgan/index.md", "../../docs/guide/b.md", "../../guide/b.md"),
        ("index.md", "../results/claims.md", "results/index.md"),
        ("index.md", "https://there.org/x.md", "https://there.org/x.md"),
        ("index.md", "../core/files.py", None),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(here, link, there, hooks):
    known = {"guide/b.md", "results/wcdgan/claims.md", "results/index.md"}
    found = hooks.relinked(f"see [this]({link}).", here, known)
    assert found == (f"see [this]({there})." if there else "see this.")


def test_the_readme_is_short_and_has_the_score_of_the_claims(hooks):
    text = (ROOT / "README.md").read_text()
    assert len(text.split()) <= 900
    told = "README.md has another score than results/claims.md: run `python docs/hooks.py`"
    assert hooks.with_score(text) == text, told
    (total,) = re.findall(r"^\| together (.*)$", text, re.MULTILINE)
    ledger = (ROOT / "results" / "claims.md").read_text()
    assert f"| together {total}" in ledger


def test_pictures_of_the_readme_exist_and_say_what_they_show():
    pictures = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", (ROOT / "README.md").read_text())
    assert len(pictures) >= 6
    assert all(said and (ROOT / path).is_file() for said, path in pictures)


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="'lossylab' has no attribute 'modles'"):
        _ = lossylab.modles
    assert lossylab.data.read_image.__module__ == "lossylab.data.decode"


def _notebook():
    return json.loads((ROOT / "docs/tour.ipynb").read_text(encoding="utf-8"))


def _cells():
    """Sources of the tour's code cells, by their ids."""
    cells = [cell for cell in _notebook()["cells"] if cell["cell_type"] == "code"]
    return {cell["id"]: "".join(cell["source"]) for cell in cells}


def test_the_tour_is_a_clean_notebook():
    notebook = _notebook()
    cells = notebook["cells"]
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)  # cells have ids since 4.5
    assert len({cell["id"] for cell in cells}) == len(cells)
    for cell in cells:
        assert re.fullmatch(r"[a-z]+", cell["id"])
        assert cell["cell_type"] in ("code", "markdown")
        assert cell["metadata"] == {}
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None


def _dotted(node):
    """The names of `a.b.c`, or of what is no such chain none."""
    if isinstance(node, ast.Name):
        return [node.id]
    names = _dotted(node.value) if isinstance(node, ast.Attribute) else []
    return [*names, node.attr] if names else []


def test_the_tour_names_only_what_is_there():
    trees = [compile(source, id_, "exec", ast.PyCF_ONLY_AST) for id_, source in _cells().items()]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    imported = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                imported[alias.asname or alias.name] = importlib.import_module(alias.name)
        elif isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                found = hasattr(module, alias.name)
                thing = getattr(module, alias.name) if found else importlib.import_module(name)
                imported[alias.asname or alias.name] = thing
    assert "lossylab" in imported
    chains = [_dotted(node) for node in nodes if isinstance(node, ast.Attribute)]
    for chain in chains:
        if chain and chain[0] in imported:
            thing = imported[chain[0]]
            for name in chain[1:]:
                assert hasattr(thing, name), chain
                thing = getattr(thing, name)


@pytest.mark.long
def test_the_tour_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    names = {}
    for id_, source in _cells().items():
        exec(compile(source, id_, "exec"), names)
    names["pyplot"].close("all")
    psnr = names["table"]["PSNR"]
    assert math.isfinite(psnr["codec"])
    assert psnr["codec"] < psnr["JPEG"]  # as the tour says
    assert names["table"]["bpp"]["codec"] == pytest.approx(names["table"]["bpp"]["JPEG"], rel=0.2)
    assert names["history"]["step"].iloc[-1] == 1000
