"""Which rows have a key: millions of them in 16 bytes each."""

from __future__ import annotations

import array
from collections.abc import Iterator

import numpy as np

_RECENT = 100_000  # rows that wait to be sorted among the others


class Index:
    """Numbers of rows by hashes of their keys; whoever asks compares the keys themselves."""

    def __init__(self, hashes: array.array) -> None:
        """Sorts the hashes of rows 0, 1, 2, ..., an array of 64 bits with sign."""
        self._sort(np.frombuffer(hashes, np.int64), np.arange(len(hashes), dtype=np.int64))

    def _sort(self, hashes: np.ndarray, numbers: np.ndarray) -> None:
        order = np.argsort(hashes, kind="stable")
        self._hashes, self._numbers = hashes[order], numbers[order]
        self._recent: dict[int, list[int]] = {}
        self._waiting = 0

    def add(self, key: int, number: int) -> None:
        """Notes the row that follows all others."""
        self._recent.setdefault(key, []).append(number)
        self._waiting += 1
        if self._waiting > max(_RECENT, len(self._hashes) // 8):
            pairs = [(key, number) for key, some in self._recent.items() for number in some]
            new = np.array(pairs, np.int64)
            self._sort(
                np.concatenate([self._hashes, new[:, 0]]),
                np.concatenate([self._numbers, new[:, 1]]),
            )

    def find(self, key: int) -> list[int]:
        """The rows of a hash, the newest first."""
        found = self._recent.get(key, [])[::-1]
        place = int(np.searchsorted(self._hashes, key, side="right"))
        while place and self._hashes[place - 1] == key:
            place -= 1
            found.append(int(self._numbers[place]))
        return found

    def repeated(self) -> Iterator[list[int]]:
        """Rows of one hash, the oldest first, wherever there are several among those sorted."""
        same = np.flatnonzero(self._hashes[1:] == self._hashes[:-1]) + 1
        if not len(same):
            return
        for run in np.split(same, np.flatnonzero(np.diff(same) > 1) + 1):
            yield self._numbers[run[0] - 1 : run[-1] + 1].tolist()
