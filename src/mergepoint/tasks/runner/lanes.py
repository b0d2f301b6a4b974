"""Jobs that were taken and wait here for a thread: few, quick ones, and never for long.

Place:  runner.service -> [runner.lanes] -> runner.capacity
Rule:   decides and counts; what waited too long is handed back for somebody else to run.

A job of a millisecond costs less than asking for it, so more of them are asked for at a time than
there are threads. A job of a tenth of a second is not taken before it can begin: another runner
may have nothing to do. Nor is any where a death is noticed by the end of leases
alone: all that the dead runner had would wait for that, and count a crash.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from mergepoint.tasks.executing import Job
from mergepoint.tasks.runner.capacity import Capacity

AHEAD_S = 0.02
"""About how long the last of those that wait here may have to wait."""
AHEAD_MAX = 32
"""Jobs of one lane that wait here, at most."""
KEPT_S = 0.25
"""One that waited so long goes back: what runs is slower than what ran before."""
STALLED_S = 1.0
"""How long jobs are taken to last once some had to go back, until shorter ones were seen."""
SMOOTHING = 8
"""Over how many jobs their length is averaged, about."""


class Pace:
    """How long jobs take, lately."""

    def __init__(self) -> None:
        self._took_s = STALLED_S

    def ended(self, took_s: float) -> None:
        """Count a job in."""
        self._took_s += (took_s - self._took_s) / SMOOTHING

    def stalled(self) -> None:
        """What runs is slow, and nobody knows yet how slow."""
        self._took_s = max(self._took_s, STALLED_S)

    def ahead(self, slots: int) -> int:
        """Return how many may wait here for so many slots."""
        return min(AHEAD_MAX, int(slots * AHEAD_S / max(self._took_s, 1e-6)))


class Lane:
    """Queues that are taken together, and what was taken of them and has not begun."""

    def __init__(
        self, queues: Sequence[str], capacity: Capacity, *, looks_ahead: bool = True
    ) -> None:
        self.queues = queues
        self.pace = Pace()
        self._capacity = capacity
        self._looks_ahead = looks_ahead
        self._waiting: deque[tuple[float, Job]] = deque()
        self._last_was_full = False

    async def room(self) -> int:
        """Return how many jobs may be taken now; wait until it is one.

        More than there are slots for only while every take brings as many as it asked for.
        """
        while (room := self._room()) <= 0:
            await self._capacity.freed()
        return room

    def taken(self, count: int, room: int) -> None:
        """Say how many a take brought of those there was room for."""
        self._last_was_full = count >= room

    def add(self, job: Job, now_s: float) -> None:
        """Let a job wait for a slot."""
        self._waiting.append((now_s, job))

    def begin(self) -> tuple[Job, Callable[[], None]] | None:
        """Return the next job that has a slot, and what frees that; None for nothing to do."""
        if not self._waiting or self._capacity.free(self.queues) <= 0:
            return None
        _, job = self._waiting.popleft()
        return job, self._capacity.occupy(job)

    def late(self, now_s: float) -> list[Job]:
        """Return, and forget, what has waited for longer than `KEPT_S`."""
        late = []
        while self._waiting and now_s - self._waiting[0][0] >= KEPT_S:
            late.append(self._waiting.popleft()[1])
        if late:
            self.pace.stalled()
        return late

    def empty(self) -> list[Job]:
        """Return, and forget, everything that waits."""
        waiting = [job for _, job in self._waiting]
        self._waiting.clear()
        return waiting

    @property
    def first_s(self) -> float | None:
        """Since when the one that has waited longest waits, None for nobody."""
        return self._waiting[0][0] if self._waiting else None

    def _room(self) -> int:
        free = self._capacity.free(self.queues) - len(self._waiting)
        if not (self._looks_ahead and self._last_was_full):
            return free
        return free + self.pace.ahead(self._capacity.slots(self.queues))
