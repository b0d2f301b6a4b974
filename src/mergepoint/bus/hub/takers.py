"""Those who wait for jobs, by queue, the first first.

Place:  bus.hub.groups -> [bus.hub.takers]
Rule:   pure; one taker may wait at several queues and is served once.
"""

from __future__ import annotations

from collections.abc import Iterator

from mergepoint.bus.hub.work import TakeWork


class Takers:
    """Who waits where."""

    def __init__(self) -> None:
        self._at: dict[str, dict[TakeWork, None]] = {}

    def add(self, taker: TakeWork) -> None:
        """Let it wait at all its queues."""
        taker.waiting = True
        for name in taker.queues:
            self._at.setdefault(name, {})[taker] = None

    def remove(self, taker: TakeWork) -> None:
        """Let it wait no more; nothing to do if it did not."""
        if not taker.waiting:
            return
        taker.waiting = False
        for name in taker.queues:
            mine = self._at.get(name)
            if mine is not None:
                mine.pop(taker, None)
                if not mine:
                    del self._at[name]

    def at(self, name: str) -> Iterator[TakeWork]:
        """Yield who waits at this queue, the first first; all of a moment."""
        return iter(tuple(self._at.get(name, ())))

    def count(self) -> int:
        """Return how many wait."""
        return len({taker for mine in self._at.values() for taker in mine})
