"""Signals that end a training: noted, so that it is saved first."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from typing import Any

from typing_extensions import Self

log = logging.getLogger("lossylab")

_STOPPING = ("SIGTERM", "SIGINT", "SIGHUP")


class StopSignals:
    """Notes SIGTERM, SIGINT and SIGHUP while it is open; a second one ends the process at once.

    Attributes:
      number: of the signal that came, 0 for none.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        """Begins nothing yet.

        Args:
          seconds: how long it takes at most until the wish to stop is seen.
        """
        self.number = 0
        self._seconds = seconds
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        try:
            for name in _STOPPING:
                number = getattr(signal, name)
                # nohup lets SIGHUP be ignored: it stays so.
                if name != "SIGHUP" or signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        except ValueError:  # not the main thread: signals are somebody else's
            self._before.clear()
        return self

    def __exit__(self, *error: object) -> None:
        for number, old in self._before.items():
            signal.signal(number, old)

    def _note(self, number: int, frame: object) -> None:
        del frame
        self.number = number
        seconds = self._seconds()
        soon = f" within about {seconds:.0f} s" if seconds else ""
        log.info("signal %d: saving and stopping%s; again to stop at once", number, soon)
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)
