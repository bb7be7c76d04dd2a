"""Types of what times the work of a section: from actions by name and rounds to seconds by name."""

from __future__ import annotations

from collections.abc import Callable

Actions = dict[str, Callable[[], object]]
InTurns = Callable[[Actions, int], dict[str, float]]  # medians
Samples = Callable[[Actions, int], dict[str, list[float]]]
