"""The `lossylab` command: lists and runs everything the package can do.

lossylab train proxiqa --help
lossylab compress image.png image.lossy --model=runs/vmaf/export
"""

from __future__ import annotations

import contextlib
import difflib
import logging
import shlex
import sys
from collections.abc import Callable
from typing import Any

import lossylab
from lossylab.cli.commands import COMMANDS, SUBJECTS
from lossylab.core import command
from lossylab.core.errors import DivergedError, UsageError
from lossylab.core.options import Options, specs

_HELP = ("help", "--help", "-h")

log = logging.getLogger("lossylab")


def main(arguments: list[str]) -> object:
    """Runs the command that the arguments begin with.

    Args:
      arguments: the command's words, then what belongs to it; or `help` and a command's words.

    Returns:
      What the command returns.

    Raises:
      LossylabError: whose message names flags.
    """
    if arguments[:1] == ["help"] and len(arguments) > 1:
        return main([*arguments[1:], "--help"])
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
    options = command.resolve(known.options)

    def work(made: Options) -> object:
        _find_images(made)
        done = command.resolve(known.work)
        if words.startswith("train ") and words.endswith("_study"):
            return _shown_study(done, made)
        return done(made)

    return command.run(options, work, rest, f"lossylab {words}")


def _find_images(made: Options) -> None:
    """Raises CollectionError of images that are not there, before TensorFlow is imported."""
    if not made.reads_images:
        return
    for name, spec in specs(type(made)).items():
        given = getattr(made, name) if spec.images else ()
        for each in (given,) if isinstance(given, str) else given or ():
            if each:
                command.resolve("lossylab.data.collections:find_images")(each)


def _shown_study(train: Callable[[Any], object], made: Any) -> object:
    """Trains a study, and writes its page even if trainings diverged; raises what training does."""
    try:
        done = train(made)
    except DivergedError:
        _write_page(made.out)
        raise
    if not made.only_tells:
        _write_page(made.out)
    return done


def _write_page(folder: str) -> None:
    """Writes OUT/report.html; a study has done its work without it, too."""
    page = f"{folder}/report.html"
    try:
        options = command.resolve("lossylab.cli.options.report:ReportOptions")
        report = command.resolve("lossylab.cli.report.__main__:report")
        with contextlib.redirect_stdout(sys.stderr):
            report(options(folders=(folder,), out=page))
    except Exception as error:
        log.debug("the page of %s", folder, exc_info=True)
        reason = str(error).replace("`", "")
        again = f"lossylab report {shlex.quote(folder)} --out=PAGE.html"
        log.warning("%s is not written: %s; %s writes it elsewhere", page, reason, again)
    else:
        log.info("open %s", page)


def usage(group: str = "") -> str:
    """The list of commands by subject, or of those whose words begin with a group's."""
    width = max(len(words) for words in COMMANDS if words.startswith(group))
    parts = ["usage: lossylab COMMAND [arguments]; --help after a command explains it"]
    for subject, members in SUBJECTS.items():
        shown = [words for words in members if words.startswith(group)]
        lines = [f"  lossylab {words:{width}}  {COMMANDS[words].summary}" for words in shown]
        if lines:
            parts.append("\n".join([f"{subject}:", *lines]))
    return "\n\n".join(parts) + "\n"


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
    close = difflib.get_close_matches
    if first.startswith("-"):
        raise UsageError(f"unknown flag {first}{_hint(close(first, ['--help', '--version']))}")
    second = next((word for word in rest[:1] if not word.startswith("-")), "")
    two = f"{first} {second}".strip()
    name, near = two, []
    if first not in groups:
        name, near = first, [*close(two, COMMANDS), *close(first, COMMANDS)]
    group = next(iter(close(first, groups, 1)), "help")
    if not near:
        members = [words.split()[1] for words in COMMANDS if words.startswith(f"{group} ")]
        alike = close(second, members) or (members if len(members) <= 4 else [])
        near = [f"{group} {word}" for word in alike]
    raise UsageError(f"unknown command '{name}'{_hint(list(dict.fromkeys(near))[:3], group)}")


def _hint(near: list[str], place: str = "help") -> str:
    """What follows a word that is not known."""
    return f": did you mean {' or '.join(near)}?" if near else f"; `lossylab {place}` lists all"


if __name__ == "__main__":
    console()
