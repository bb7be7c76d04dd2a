"""Command lines of typed options: the flags, their help, and messages that name them."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import os
import re
import textwrap
from typing import Any, TypeVar

from absl import flags

from lossylab.core.errors import UsageError
from lossylab.core.options import (
    Kind,
    Options,
    Spec,
    default_of,
    kind_of,
    needed,
    number,
    require,
    specs,
)

_WIDTH = 96
_SHOWN = 5  # words of a command line in a message
_Made = TypeVar("_Made", bound=Options)


def parse(options: type[_Made], arguments: list[str], folder: str | None = None) -> _Made:
    """Options of a command line.

    Args:
      options: the class to make.
      arguments: flags and positional arguments, without the program's name.
      folder: where --flagfile=NAME looks for NAME.flags when no file is called NAME.

    Returns:
      The options, checked.

    Raises:
      UsageError: if a flag is unknown or has a bad value, or something needed is missing.
    """
    values = given(options, arguments, folder)
    missing = [name for name in needed(options) if name not in values]
    if missing:
        said = "; ".join(f"`{name}` is needed: {_clause(specs(options)[name])}" for name in missing)
        raise UsageError(said)
    return options(**values)


def given(
    options: type[Options], arguments: list[str], folder: str | None = None
) -> dict[str, Any]:
    """The options that a command line gives, by name; see `parse`."""
    values = flags.FlagValues()
    flags.DEFINE_multi_string("flagfile", [], "", flag_values=values)
    for name, spec in specs(options).items():
        if not spec.positional:
            _define(values, name, kind_of(options, name), spec)
    try:
        rest = values(["", *(_packaged(word, folder) for word in arguments)])[1:]
    except flags.UnrecognizedFlagError as error:
        raise UsageError(_unknown(error.flagname, options)) from error
    except (flags.Error, OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{error}; see --help") from error
    named = {
        name: _value(values[name].value, name, kind_of(options, name))
        for name in _named(options)
        if values[name].present
    }
    return named | _positional(options, rest)


def arguments(options: Options) -> list[str]:
    """The command line that gives options: all that are not as by default."""
    kind, words, rest = type(options), [], []
    for name, spec in specs(kind).items():
        value, default = getattr(options, name), default_of(kind, name)
        values = value if isinstance(value, tuple) else (value,)
        if spec.positional:
            rest += map(str, values)
        elif value == default:
            continue
        elif spec.repeated:
            words += [f"--{name}={each}" for each in values]
        elif isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no{name}")
        else:
            words.append(f"--{name}={','.join(map(str, values))}")
    return [*words, *rest]


def with_flags(message: str, options: type[Options]) -> str:
    """A message whose `names` of options are shown as the command line's --names."""
    known = specs(options)

    def shown(found: re.Match) -> str:
        name = found[1]
        if name not in known:
            return found[0]
        return name.upper() if known[name].positional else f"--{name}"

    return re.sub(r"`(\w+)`", shown, message)


def usage(options: type[Options], command: str) -> str:
    """What --help says: what the command does, and its flags in groups.

    Args:
      options: the command's options, whose documentation begins the text.
      command: the command's words.
    """
    parts = [inspect.cleandoc(options.__doc__ or ""), f"usage: {form(options, command)}"]
    for title, names in groups(options).items():
        if names:
            parts.append("\n".join([f"{title}:", *(_entry(options, name) for name in names)]))
    parts.append("--flagfile=FILE reads flags from a file, one a line.")
    return with_flags("\n\n".join(parts), options) + "\n"


def form(options: type[Options], command: str) -> str:
    """A command with the places of its arguments."""
    places = [_place(options, name) for name, spec in specs(options).items() if spec.positional]
    return " ".join([command, *places, "[flags]"])


def _define(values: flags.FlagValues, name: str, kind: Kind, spec: Spec) -> None:
    """Defines a flag; bounds and choices are the options' own to check."""
    more: dict[str, Any] = {"flag_values": values}
    if spec.repeated:
        flags.DEFINE_multi_string(name, None, spec.help, **more)
    elif kind.many:
        flags.DEFINE_list(name, None, spec.help, **more)
    elif kind.scalar is bool:
        flags.DEFINE_bool(name, None, spec.help, **more)
    else:
        flags.DEFINE_string(name, None, spec.help, **more)


def _value(value: Any, name: str, kind: Kind) -> Any:
    """A flag's value in the type of its option."""
    if value is None:
        return None
    if kind.many:
        return tuple(_number(name, each, kind.scalar) for each in value)
    return _number(name, value, kind.scalar)


def _number(name: str, text: Any, kind: type) -> Any:
    if kind in (bool, str):
        return text
    try:
        return kind(text)
    except ValueError as error:
        words = "a whole number" if kind is int else "a number"
        raise UsageError(f"`{name}` takes {words}, got '{text}'") from error


def _named(options: type[Options]) -> list[str]:
    return [name for name, spec in specs(options).items() if not spec.positional]


def _positional(options: type[Options], words: list[str]) -> dict[str, Any]:
    """The options that are given by their place; raises UsageError if there are too many."""
    given: dict[str, Any] = {}
    rest = list(words)
    for name, spec in specs(options).items():
        if spec.positional and rest:
            many = kind_of(options, name).many
            given[name] = tuple(rest) if many else rest[0]
            rest = [] if many else rest[1:]
    places = [_place(options, name) for name, spec in specs(options).items() if spec.positional]
    expected = f"expected {' '.join(places)}" if places else "flags only"
    hint = ""
    if len(words) > len(places) > 0 and sum(map(os.path.isfile, words)) >= len(words) - 1:
        hint = ": put a pattern of several files into quotes, such as 'folder/*.png'"
    shown = " ".join(rest[:_SHOWN]) + (" ..." if len(rest) > _SHOWN else "")
    require(not rest, f"unexpected arguments: {shown} ({expected}){hint}")
    return given


def _packaged(word: str, folder: str | None) -> str:
    """--flagfile of a name that comes with the package, as one of its file."""
    found = re.fullmatch(r"--?flagfile=(\w+)", word)
    if not found or folder is None or os.path.exists(found[1]):
        return word
    path = os.path.join(folder, f"{found[1]}.flags")
    return f"--flagfile={path}" if os.path.exists(path) else word


def _unknown(flag: str, options: type[Options]) -> str:
    names = _named(options)
    near = difflib.get_close_matches(flag.removeprefix("no"), [*names, "flagfile", "help"], n=2)
    hint = f": did you mean {' or '.join(f'--{name}' for name in near)}?" if near else ""
    return f"unknown flag --{flag}{hint or '; see --help'}"


def groups(options: type[Options]) -> dict[str, list[str]]:
    """Names of options under the titles of --help."""
    groups: dict[str, list[str]] = {
        "Required": [],
        "Set by the paper": [],
        "Other options": [],
    }
    must, paper, rest = groups.values()
    for name, spec in specs(options).items():
        if default_of(options, name) is dataclasses.MISSING:
            must.append(name)
        else:
            (paper if spec.source or spec.assumed else rest).append(name)
    return groups


def _entry(options: type[Options], name: str) -> str:
    """An option as --help shows it."""
    said = facts(options, name)
    text = with_flags(specs(options)[name].help, options) + (
        f" ({'; '.join(said)})" if said else ""
    )
    indent = " " * 6
    return f"  {written(options, name)}\n" + textwrap.fill(
        text, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )


def written(options: type[Options], name: str) -> str:
    """How a command line gives an option: --name=NUMBER, --[no]name or NAME."""
    spec, kind = specs(options)[name], kind_of(options, name)
    if spec.positional:
        return name.upper()
    if kind.scalar is bool and not kind.many:
        return f"--[no]{name}"
    return f"--{name}={_WORD[kind.scalar]}{',...' if kind.many and not spec.repeated else ''}"


def facts(options: type[Options], name: str) -> list[str]:
    """What an option may be, what it is by default and where that is from, each in words."""
    spec, default = specs(options)[name], default_of(options, name)
    found = []
    if spec.choices is not None:
        found.append(f"one of {', '.join(map(str, spec.choices))}")
    bounds = ((spec.minimum, "at least"), (spec.above, "above"), (spec.maximum, "at most"))
    bounds += ((spec.below, "below"),)
    found += [f"{words} {number(limit)}" for limit, words in bounds if limit is not None]
    found += [spec.unit] if spec.unit else []
    if default not in (dataclasses.MISSING, None, (), ""):
        found.append(f"default {_shown(default)}")
    if spec.source:
        found.append(spec.source)
    if spec.assumed:
        found.append(f"assumed: {spec.assumed}")
    if spec.repeated:
        found.append("may be repeated")
    return found


def _place(options: type[Options], name: str) -> str:
    word = name.upper() + ("..." if kind_of(options, name).many else "")
    return word if default_of(options, name) is dataclasses.MISSING else f"[{word}]"


def _clause(spec: Spec) -> str:
    """The first sentence of a help text, to go on with in a message."""
    sentence = re.split(r"(?<=[.])\s", spec.help)[0].rstrip(".")
    abbreviation = sentence[1:2].isupper()
    return sentence if abbreviation else sentence[:1].lower() + sentence[1:]


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else f"{value}"


_WORD = {bool: "BOOL", int: "INTEGER", float: "NUMBER", str: "TEXT"}
