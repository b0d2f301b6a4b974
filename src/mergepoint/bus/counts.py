"""How often each operation was done, how it ended, and how long it took.

Place:  bus.calls -> [bus.counts] -> metrics, consoles
Rule:   labels are operations and error codes alone: as many as the code has, whatever apps do.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets of durations; the last bucket has none."""
OK = "ok"


@dataclass(frozen=True)
class Count:
    """One operation with one outcome."""

    calls: int = 0
    seconds: float = 0.0
    buckets: tuple[int, ...] = field(default=(0,) * (len(BOUNDS_S) + 1))
    """How many took at most each of `BOUNDS_S`, and how many longer; not cumulative."""


class Counts:
    """Counters of one process; safe from any thread."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], Count] = {}
        self._lock = threading.Lock()

    def add(self, operation: str, outcome: str, seconds: float) -> None:
        """Count one call; `outcome` is `ok` or an error's code."""
        place = bisect_left(BOUNDS_S, seconds)
        with self._lock:
            old = self._counts.get((operation, outcome), Count())
            buckets = tuple(n + (i == place) for i, n in enumerate(old.buckets))
            self._counts[(operation, outcome)] = Count(
                old.calls + 1, old.seconds + seconds, buckets
            )

    def snapshot(self) -> Mapping[str, Mapping[str, Count]]:
        """Return a copy: operation, outcome, count."""
        with self._lock:
            pairs = list(self._counts.items())
        told: dict[str, dict[str, Count]] = {}
        for (operation, outcome), count in sorted(pairs):
            told.setdefault(operation, {})[outcome] = count
        return told
