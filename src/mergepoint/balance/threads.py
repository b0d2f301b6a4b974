"""How many threads keep one interpreter busy, decided again and again from what was measured.

Place:  tasks.runner.tuning -> [balance.threads]
Rule:   pure; one step in one window, within bounds, and none without enough calls.

CPU over wall seconds of a call would be the obvious measure, but calls that wait for the
interpreter look as if they waited for the world: more threads would ask for more threads. How busy
the interpreter is has no such echo.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

BUSY_WANTED = 0.8
"""The share of one CPU that an interpreter is to be busy; the rest is for its own threads."""
BUSY_SLACK = 0.08
"""Nothing changes within so much of that."""
SATURATED = 0.8
"""With fewer busy threads than this share, nobody waits for a thread: more would change nothing."""
GROWTH_MAX = 2.0
"""In one step; fewer by as much at a time, too."""
CALLS_MIN = 10
"""Fewer calls in a window say nothing."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """What was measured since the last decision."""

    elapsed_s: float
    calls: int
    cpu_s: float
    wall_s: float
    interpreters: int = 1
    """Processes that share the threads between them."""


def decide(threads: int, window: Window, *, least: int, most: int) -> int:
    """Return how many threads there are to be from now on, within `least` and `most`."""
    kept = max(least, min(most, threads))
    if window.elapsed_s <= 0 or window.calls < CALLS_MIN:
        return kept
    working = window.wall_s / window.elapsed_s
    busy = window.cpu_s / window.elapsed_s / window.interpreters
    if working < SATURATED * threads or abs(busy - BUSY_WANTED) <= BUSY_SLACK:
        return kept
    factor = max(1 / GROWTH_MAX, min(GROWTH_MAX, BUSY_WANTED / max(busy, 1e-6)))
    # To the nearest: upwards always or downwards always would swing between two numbers for ever.
    return max(least, min(most, math.floor(threads * factor + 0.5)))
