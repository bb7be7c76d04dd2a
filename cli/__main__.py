"""The `lossylab` command: lists and runs everything the package can do.

lossylab train proxiqa --help
lossylab compress image.png image.lossy --model=runs/vmaf/export
"""

from __future__ import annotations

import difflib
import sys

import lossylab
from lossylab.cli.commands import COMMANDS
from lossylab.core import command
from lossylab.core.errors import UsageError

_HELP = ("help", "--help", "-h")


def main(arguments: list[str]) -> object:
    """Runs the command that the arguments begin with.

    Args:
      arguments: the command's words, then what belongs to it.

    Returns:
      What the command returns.

    Raises:
      LossylabError: whose message names flags.
    """
    if not arguments or arguments[0] in _HELP:
        sys.stdout.write(usage())
        return None
    if arguments[0] == "--version":
        sys.stdout.write(f"lossylab {lossylab.__version__}\n")
        return None
    words = _words(arguments)
    if words is None:
        return _group(arguments)
    known = COMMANDS[words]
    rest = arguments[len(words.split()) :]
    if not known.options:
        return command.resolve(known.work)([words.split()[-1], *rest])
    options = command.resolve(known.options)

    def work(made: object) -> object:
        return command.resolve(known.work)(made)

    return command.run(options, work, rest, f"lossylab {words}")


def usage(group: str = "") -> str:
    """The list of commands, or of those whose words begin with a group's."""
    shown = {words: each for words, each in COMMANDS.items() if words.startswith(group)}
    width = max(map(len, shown))
    lines = [f"  lossylab {words:{width}}  {each.summary}" for words, each in shown.items()]
    return (
        "usage: lossylab COMMAND [arguments]; --help after a command explains it\n\n"
        + "\n".join(lines)
        + "\n"
    )


def console() -> None:
    """Entry point of the console script."""
    command.program(main)


def _words(arguments: list[str]) -> str | None:
    """The words of the arguments that name a command, the longest, if they do."""
    found = [" ".join(arguments[:count]) for count in (2, 1)]
    return next((words for words in found if words in COMMANDS), None)


def _group(arguments: list[str]) -> None:
    """Lists a group's commands if that is asked for; raises UsageError otherwise."""
    first, *rest = arguments
    groups = {words.split()[0] for words in COMMANDS if " " in words}
    if first in groups and (not rest or rest[0] in _HELP):
        sys.stdout.write(usage(f"{first} "))
        return
    words = [word for word in arguments[:2] if not word.startswith("-")]
    if first not in groups:
        words = words[:1]
    name = " ".join(words)
    near = difflib.get_close_matches(name, [*COMMANDS, *groups], n=3)
    hint = f": did you mean {' or '.join(near)}?" if near else ""
    raise UsageError(f"unknown command '{name}'{hint or '; lossylab help lists all'}")


if __name__ == "__main__":
    console()
