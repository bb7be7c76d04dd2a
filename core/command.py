"""Commands: options from a command line, work that takes them, errors that a user can act on.

Exit status: 0 done, 1 failed at work, 2 wrong usage, 128 + n stopped by signal n.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import pathlib
import signal
import sys
from collections.abc import Callable
from typing import Any

from lossylab.core import downloads, flags, trust
from lossylab.core.errors import LossylabError
from lossylab.core.options import Options

log = logging.getLogger("lossylab")
_AGAIN = 0.2  # seconds after which a stop that was lost is tried again
# --flagfile=NAME of any command finds the flag files that come with the package.
_FLAG_FILES = str(pathlib.Path(__file__).parents[1] / "train" / "flags")


def run(
    options: type[Options],
    work: Callable[[Any], object],
    arguments: list[str],
    command: str,
) -> object:
    """Runs a command; --flagfile=NAME finds the packaged flag files too.

    Args:
      options: the class of its options.
      work: takes the options.
      arguments: flags and positional arguments.
      command: its words, for --help.

    Returns:
      What the work returns; None after --help.

    Raises:
      LossylabError: whose message names flags, as what is logged meanwhile does.
    """
    if {"--help", "-h", "-help"} & set(arguments):
        sys.stdout.write(flags.usage(options, command))
        return None

    def name_flags(record: logging.LogRecord) -> bool:
        record.msg, record.args = flags.with_flags(record.getMessage(), options), ()
        return True

    log.addFilter(name_flags)
    try:
        made = flags.parse(options, arguments, _FLAG_FILES)
        online = not getattr(made, "offline", True)
        with trust.only(getattr(made, "trusted_hash", ())), downloads.allowed(online):
            return work(made)
    except LossylabError as error:
        if error.args and isinstance(error.args[0], str):
            error.args = (flags.with_flags(error.args[0], options), *error.args[1:])
        raise
    finally:
        log.removeFilter(name_flags)


def written(folder: object, what: str, then: str = "") -> None:
    """Says at a command's end what it has written and, in `then`, what may come next."""
    log.info("written to %s: %s", folder, what)
    if then:
        log.info("next: %s", then)


def resolve(path: str) -> Any:
    """The object that `package.module:name` names, imported now."""
    module, name = path.split(":")
    return getattr(importlib.import_module(module), name)


def program(main: Callable[[list[str]], object]) -> None:
    """Runs a main as the process: its log on stderr, errors as messages, an exit status.

    Args:
      main: takes the command line's words without the program's name.
    """
    for name in ("stdout", "stderr"):  # None where the shell has closed it
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - to the process's end
    talk = _Talk(sys.stderr)
    talk.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(talk)
    log.setLevel(logging.INFO)
    log.propagate = False
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    for stream in (sys.stdout, sys.stderr):  # names of files that are not UTF-8 pass as they are
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="surrogateescape")
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # SIGHUP is ignored under nohup
            signal.signal(number, _stop)
    try:
        main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has had enough: what Python would still write goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except (LossylabError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(getattr(error, "exit_status", 1))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(128 + signal.SIGINT)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


class _Talk(logging.StreamHandler):
    """Writes lines that stand apart from progress bars."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a line."""
        with bars_aside():
            super().emit(record)


def bars_aside() -> contextlib.AbstractContextManager[None]:
    """Clears the progress bars of a terminal, if there are any, while lines are written."""
    tqdm = sys.modules.get("tqdm")
    if tqdm is None or not sys.stderr.isatty():
        return contextlib.nullcontext()
    return tqdm.tqdm.external_write_mode(sys.stderr)


class _Stop(SystemExit):
    """Ends the process by a signal, so that files half written are removed."""


def _stop(number: int, frame: object) -> None:
    """Raises `_Stop`; a second signal ends the process at once.

    Raised while Python drops an object it would be lost: it is raised again until it is on its way.
    """
    del frame
    signal.signal(number, signal.SIG_DFL)

    def stop_again(alarm: int, frame: object) -> None:
        del alarm, frame
        if not _is_stopping():
            raise _Stop(128 + number)

    show = sys.unraisablehook
    sys.unraisablehook = lambda lost: None if lost.exc_type is _Stop else show(lost)
    signal.signal(signal.SIGALRM, stop_again)
    signal.setitimer(signal.ITIMER_REAL, _AGAIN, _AGAIN)
    raise _Stop(128 + number)


def _is_stopping() -> bool:
    """Whether `_Stop` is being handled: blocks that clean up are at work."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, _Stop):
        error = error.__context__
    return error is not None


def as_program(options: type[Options], work: Callable[[Any], object], command: str) -> None:
    """Runs a module's command as the process, for the end of modules that `python -m` runs.

      if __name__ == "__main__":
          command.as_program(RdOptions, measure, "lossylab eval rd")

    Args:
      options: the class of its options.
      work: takes the options.
      command: its words, for --help.
    """
    program(lambda arguments: run(options, work, arguments, command))
