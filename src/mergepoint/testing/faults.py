"""Faults that a test asks for, by the operation they happen at.

Place:  testing.site -> [testing.faults] -> bus.adapters.memory_broker
Rule:   every fault happens once, at the place that was named; nothing is left to chance but
        what `shuffle` draws from its seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from mergepoint.bus.adapters.memory_broker import Broker
from mergepoint.bus.adapters.memory_queue import Job
from mergepoint.bus.errors import BusLost, BusRefused

OPERATIONS = frozenset(
    (
        "publish", "last", "subscribe", "bind", "unbind", "put", "take", "ack", "nack",
        "bury", "extend", "drop", "dead", "replay", "discard", "browse", "queues", "topics",
        "request", "serve", "join", "watch"
    )
)  # fmt: skip
POINTS = ("before", "after")


class Crashed(BaseException):
    """The process died here; nothing of it can catch this but the test."""


@dataclass
class Planned:
    """One fault to come."""

    operation: str
    point: str
    happen: Callable[[], None]
    times: int = 1


class Faults:
    """What is to go wrong on one broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._planned: list[Planned] = []
        broker.faults.before = self._before
        broker.faults.after = self._after

    def fail_next(
        self, operation: str, error: Exception | None = None, *, after: bool = False, times: int = 1
    ) -> None:
        """Let the next call fail; `after`: it has happened, and the caller is told it was lost."""
        told = error or BusLost(f"{operation} failed because the test asked for it")

        def happen() -> None:
            raise told

        self._plan(operation, POINTS[after], happen, times)

    def crash_at(self, operation: str, crash: Callable[[], None], *, after: bool = False) -> None:
        """Let the process die at the next call, before it happens or after it has."""

        def happen() -> None:
            crash()
            raise Crashed(f"{POINTS[after]} {operation}")

        self._plan(operation, POINTS[after], happen, 1)

    def duplicate_all(self, times: int = 1) -> None:
        """Let every job that is put from now on come again so often though it was finished."""
        self._broker.faults.repeats = times

    def shuffle(self, seed: int) -> None:
        """Give jobs out in any order that the promises allow."""
        chance = random.Random(seed)  # noqa: S311 - the same order at every run is the point

        def pick(jobs: list[Job]) -> Job:
            return chance.choice(jobs)

        self._broker.faults.pick = pick

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        self._planned.clear()
        self._broker.faults.repeats = 0
        self._broker.faults.pick = lambda jobs: jobs[0]

    def _plan(self, operation: str, point: str, happen: Callable[[], None], times: int) -> None:
        if operation not in OPERATIONS:
            raise BusRefused(
                f"no operation {operation!r}; there are {', '.join(sorted(OPERATIONS))}"
            )
        self._planned.append(Planned(operation, point, happen, times))

    async def _before(self, operation: str) -> None:
        self._happen(operation, "before")

    async def _after(self, operation: str) -> None:
        self._happen(operation, "after")

    def _happen(self, operation: str, point: str) -> None:
        for planned in self._planned:
            if (planned.operation, planned.point) == (operation, point):
                planned.times -= 1
                if planned.times <= 0:
                    self._planned.remove(planned)
                planned.happen()
                return
