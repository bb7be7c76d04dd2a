"""Messages name options that their command has."""

import ast
import importlib
import pathlib
import re

import pytest

from lossylab.cli.commands import COMMANDS
from lossylab.core import command, flags
from lossylab.inference.latent.settings import SearchOptions


def _documentation(tree):
    """Where the docstrings of a module are."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    return {id(n.body[0].value) for n in ast.walk(tree) if isinstance(n, kinds) and _says(n)}


def _says(node):
    return bool(node.body) and isinstance(node.body[0], ast.Expr)


def _named(module):
    """Names in backquotes of a module's texts, and those that `naming` is given."""
    path = importlib.import_module(module).__file__
    tree = ast.parse(pathlib.Path(path).read_text())
    documentation = _documentation(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in documentation:
                yield from re.findall("`([a-z_]+)`", node.value)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "naming":
            yield node.args[0].value


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_names_its_own_options(words):
    known = set(flags.specs(command.resolve(COMMANDS[words].options)))
    training = COMMANDS.get(words.removesuffix("_study"))
    if training is not None:  # a study's trainings have options that `common` and `variant` set
        known |= set(flags.specs(command.resolve(training.options)))
    assert set(_named(COMMANDS[words].work.split(":")[0])) <= known


def test_the_settings_of_searches_are_options():
    found = set(_named("lossylab.inference.latent.settings"))
    assert found - {"method"} <= set(flags.specs(SearchOptions))
