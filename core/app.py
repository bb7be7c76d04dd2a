"""What every command shares: flags of its own, help, and errors that a user can act on.

Each command has its own `FlagValues`, so tests can call `main(argv)` of several commands in
one process. Exit status: 0 done, 1 failed at work, 2 wrong usage, 128 + n stopped by signal n.
"""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable, Iterable

from absl import app, flags
from absl import logging as absl_logging

from lossylab.core.environment import timed
from lossylab.core.errors import LossylabError, UsageError
from lossylab.core.options import repeated, require, require_distinct

__all__ = (
    "launch",
    "log",
    "new_flags",
    "parse",
    "repeated",
    "require",
    "require_distinct",
    "require_known",
    "timed",
)

log = logging.getLogger("lossylab")


def new_flags() -> flags.FlagValues:
    """An empty set of flags that knows --help and --flagfile."""
    values = flags.FlagValues()
    flags.DEFINE_bool("help", False, "Show this help.", short_name="h", flag_values=values)
    flags.DEFINE_multi_string("flagfile", [], "File of flags, one a line.", flag_values=values)
    return values


def parse(values: flags.FlagValues, argv: list[str], doc: str) -> list[str]:
    """Parses a command line; flags not given get their defaults again.

    Args:
      values: the command's flags.
      argv: program name, flags and arguments.
      doc: the command's documentation, shown by --help.

    Returns:
      The arguments that are no flags.

    Raises:
      UsageError: if a flag is unknown or has a bad value.
      SystemExit: after --help.
    """
    for name in values:
        values[name].unparse()
    try:
        arguments = values(argv)[1:]
    except flags.Error as error:
        raise UsageError(f"{error}; see --help") from error
    if values.help:
        sys.stdout.write(f"{doc.strip()}\n\nflags:\n{values.get_help()}\n")
        raise SystemExit(0)
    return arguments


def require_known(flag: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Raises UsageError if the list of a flag has a name that is not known."""
    unknown = [name for name in names if name not in known]
    require(not unknown, f"--{flag} knows {', '.join(known)}, not {', '.join(unknown)}")


def launch(main: Callable[[list[str]], object]) -> None:
    """Runs a command's main as the program: log on stderr, errors as messages."""
    talk = logging.StreamHandler(sys.stderr)
    talk.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(talk)
    log.setLevel(logging.INFO)
    log.propagate = False
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    absl_logging.set_verbosity(absl_logging.WARNING)

    def guarded(argv: list[str]) -> None:
        try:
            main(argv)
        except (LossylabError, OSError) as error:
            sys.exit(_report(error, getattr(error, "exit_status", 1)))
        except KeyboardInterrupt:
            sys.stderr.write("interrupted\n")
            sys.exit(128 + signal.SIGINT)

    def unparsed(argv: list[str]) -> list[str]:
        flags.FLAGS.mark_as_parsed()
        return argv

    app.run(guarded, argv=sys.argv, flags_parser=unparsed)


def _report(error: Exception, status: int) -> int:
    sys.stderr.write(f"error: {error}\n")
    return status
