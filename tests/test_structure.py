"""The house rules of WORKSPACE.md, held by tests: imports, sizes, documentation, commands."""

import ast
import importlib
import pathlib
import re
import shlex
import statistics

import pytest

import lossylab
from lossylab.cli import __main__ as cli
from lossylab.cli.commands import COMMANDS
from lossylab.core import command
from lossylab.core.errors import UsageError

ROOT = pathlib.Path(lossylab.__file__).parent
# The folders in the order in which they may import each other: upwards only, themselves included.
FOLDERS = ("core", "data", "models", "losses", "inference", "eval", "train", "cli")
ALLOWED = {folder: set(FOLDERS[: number + 1]) for number, folder in enumerate(FOLDERS)}
MOST_FILES = 22
ANNOTATED = 0.95  # share of arguments


def _modules(folder):
    return sorted((ROOT / folder).rglob("*.py"))


def _imported(path):
    """Folders of lossylab that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("lossylab.")}
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_go_one_way(folder):
    assert _modules(folder)
    for path in _modules(folder):
        assert _imported(path) <= ALLOWED[folder], path


def test_modules_have_no_circles():
    graph = {}
    for folder in FOLDERS:
        for path in _modules(folder):
            name = ".".join(("lossylab", *path.relative_to(ROOT).with_suffix("").parts))
            tree = ast.parse(path.read_text())
            graph[name] = {
                target
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom) and node.module.startswith("lossylab")
                for alias in node.names
                for target in (node.module, f"{node.module}.{alias.name}")
            }
    done, path = set(), []

    def visit(name):
        assert name not in path, f"circle: {path[path.index(name) :]}"
        if name in done or name not in graph:
            return
        path.append(name)
        for target in graph[name]:
            visit(target)
        done.add(path.pop())

    for name in graph:
        visit(name)


def test_nobody_imports_a_higher_folder_by_its_name():
    for folder in FOLDERS[:-1]:
        above = "|".join(FOLDERS[FOLDERS.index(folder) + 1 :])
        for path in _modules(folder):
            assert not re.findall(rf'import_module\("lossylab\.({above})', path.read_text()), path


def test_folders_are_small():
    for folder in FOLDERS:
        for place in {path.parent for path in _modules(folder)}:
            assert len(list(place.glob("*.py"))) <= MOST_FILES, place


def _functions():
    for folder in FOLDERS:
        for path in _modules(folder):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    yield path, node


def test_modules_and_functions_are_small():
    modules = [len(p.read_text().splitlines()) for f in FOLDERS for p in _modules(f)]
    assert statistics.median(modules) <= 120
    lengths = {
        f"{path.name}:{node.name}": node.end_lineno - node.lineno + 1 for path, node in _functions()
    }
    assert max(lengths.values()) <= 80, max(lengths, key=lengths.get)
    assert sum(n <= 40 for n in lengths.values()) >= 0.9 * len(lengths)


def test_arguments_are_annotated():
    arguments = [
        (f"{path.relative_to(ROOT)}:{node.name}", argument)
        for path, node in _functions()
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        if argument.arg not in ("self", "cls")
    ]
    bare = [place for place, argument in arguments if argument.annotation is None]
    assert len(bare) <= (1 - ANNOTATED) * len(arguments), sorted(set(bare))


@pytest.mark.parametrize("document", ["WORKSPACE.md", "CONTRIBUTING.md"])
def test_documents_name_files_that_exist(document):
    text = (ROOT / document).read_text()
    for name in re.findall(r"`((?:\w+/)+(?:\w+\.\w+)?)`", text):
        if "STEM" not in name and "NAME" not in name:
            found = [ROOT / name, *(ROOT / top / name for top in ("models", "eval"))]
            assert any(path.exists() for path in found), name


def test_every_error_for_users_is_raised_not_asserted():
    for folder in FOLDERS:
        for path in _modules(folder):
            tree = ast.parse(path.read_text())
            assert not any(isinstance(node, ast.Assert) for node in ast.walk(tree)), path


def test_test_lines_are_at_least_half_of_code_lines():
    code = sum(len(p.read_text().splitlines()) for f in FOLDERS for p in _modules(f))
    tests = sum(len(p.read_text().splitlines()) for p in (ROOT / "tests").rglob("*.py"))
    assert tests >= code / 2


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_has_help(words, capsys):
    cli.main([*words.split(), "--help"])
    assert f"usage: lossylab {words} " in capsys.readouterr().out


def test_the_list_of_commands_is_shown_and_unknown_ones_are_refused(capsys):
    cli.main([])
    assert "lossylab train proxiqa" in capsys.readouterr().out
    cli.main(["train", "--help"])
    said = capsys.readouterr().out
    assert "lossylab train proxiqa" in said
    assert "lossylab eval" not in said
    with pytest.raises(UsageError, match="unknown command 'train proxyqa': did you mean .*proxiqa"):
        cli.main(["train", "proxyqa"])
    with pytest.raises(UsageError, match="unknown command 'decompres': did you mean decompress"):
        cli.main(["decompres", "a", "b"])


def test_doctor_finds_nothing_bad_here(capsys):
    findings = cli.main(["doctor"])
    assert {"ok", "note"} >= {finding.state for finding in findings}
    whats = {finding.what for finding in findings}
    expected = {"TensorFlow", "tensorflow-compression", "GPU", "ffmpeg", "libvmaf", "x265", "kodak"}
    assert expected | {"OpenJPEG", "libjpeg-turbo"} <= whats
    said = capsys.readouterr().out
    for finding in findings:
        assert finding.state == "ok" or finding.cure
        assert finding.what in said


def test_doctor_gives_a_cure_for_a_broken_ffmpeg(monkeypatch, capsys):
    monkeypatch.setenv("LOSSYLAB_FFMPEG", "nowhere")
    with pytest.raises(RuntimeError, match="not working: .*libvmaf"):
        cli.main(["doctor"])
    assert "cure: pip install --force-reinstall imageio-ffmpeg" in capsys.readouterr().out


def _parse(words, arguments):
    """Parses a command's arguments without running it."""
    options = command.resolve(COMMANDS[words].options)
    command.run(options, lambda made: made, arguments, words)


def test_flag_files_parse_and_say_command_result_and_time():
    files = sorted((ROOT / "train" / "flags").glob("*.flags"))
    assert files
    for path in files:
        text = path.read_text()
        for word in ("# Command:", "# Result:", "# Time:"):
            assert word in text, path
        line = re.search(r"# Command:\s+lossylab (train \S+) (.*)", text)
        arguments = shlex.split(line.group(2))
        assert f"--flagfile={path.stem}" in arguments, path
        _parse(line.group(1), arguments)


def test_examples_in_module_documentation_import():
    """`python -m lossylab...` lines in docstrings name modules that exist."""
    for folder in FOLDERS:
        for path in _modules(folder):
            for module in re.findall(r"python -m (lossylab[\w.]+)", path.read_text()):
                assert importlib.util.find_spec(module), f"{path}: {module}"
