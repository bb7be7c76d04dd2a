"""How fast a training goes: how many steps one graph call may have, and how long the rest takes."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable

LIMIT = 10.0  # seconds of a graph call: so long a stop may wait
_ENOUGH = 2.0  # seconds, or so many calls, after which a forecast is worth saying
_CALLS = 3


class Pace:
    """Measures graph calls; the first after tracing is not counted, as it has tracing in it."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """Begins.

        Args:
          clock: seconds.
        """
        self._clock = clock
        self._begun = 0.0
        self._seconds, self._calls, self._measured = 0.0, 0, 0.0
        self._traced = False
        self._said = False

    def retraced(self) -> None:
        """Notes that the next call is another graph's first."""
        self._traced = False

    def begin(self) -> int:
        """Begins a call; returns the steps it should have at most: one until that is known."""
        self._begun = self._clock()
        if not self._traced or not self._calls:
            return 1
        return max(1, int(LIMIT / max(self._seconds, 1e-9)))

    def end(self, steps: int) -> None:
        """Ends a call of so many steps."""
        if self._traced and steps:
            passed = self._clock() - self._begun
            self._seconds = passed / steps
            self._measured += passed
            self._calls += 1
        self._traced = True

    @property
    def call_seconds(self) -> float:
        """About how long the present call takes at most; 0 if nothing is known."""
        return max(LIMIT, self._seconds) if self._calls else 0.0

    def forecast(self, left: int) -> str:
        """How long the steps that are left take, said once, as soon as it can be."""
        enough = self._measured >= _ENOUGH or self._calls >= _CALLS
        if self._said or not enough:
            return ""
        self._said = True
        seconds = left * self._seconds
        until = datetime.datetime.now() + datetime.timedelta(seconds=seconds)
        return (
            f"{left} steps are left at {self._seconds:.3g} s each: about {duration(seconds)}, "
            f"until {until:%a %d %b %H:%M}"
        )


def duration(seconds: float) -> str:
    """A time as people say it: its two largest units."""
    rest = max(round(seconds), 1)
    parts = []
    for name, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])
