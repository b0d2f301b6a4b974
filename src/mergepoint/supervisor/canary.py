"""Count what a canary and those beside it did since it went out.

Place:  edge counters -> [supervisor.canary] -> supervisor.observe, supervisor.judge
Rule:   counts by address, which no two processes share: a process that has gone keeps its counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mergepoint.core.endpoints import SlotGroup
from mergepoint.supervisor.judge import Tally
from mergepoint.supervisor.pool import Pool

Json = dict[str, Any]
Slots = Mapping[Any, Json]
"""The edge's counters of one app's processes, by address."""


@dataclass(slots=True)
class Watched:
    """A canary under way."""

    key: int
    since_s: float
    _before: dict[str, Tally] = field(default_factory=dict)
    """What those beside it had done before it went out."""
    _latest: dict[str, tuple[SlotGroup, Tally]] = field(default_factory=dict)

    def begin(self, pool: Pool, slots: Slots) -> None:
        """Leave out what the others did until now; the canary's own address is new."""
        for process in pool.processes:
            if process.group is SlotGroup.STABLE and process.address in slots:
                self._before[process.address] = tally(slots[process.address])
        self.count(pool, slots)

    def count(self, pool: Pool, slots: Slots) -> None:
        """Take the newest counters of every process there is."""
        for process in pool.processes:
            if process.address in slots:
                found = tally(slots[process.address])
                self._latest[process.address] = (process.group, found)

    def total(self, group: SlotGroup) -> Tally:
        """Return what the processes of a group did since the canary went out."""
        requests = failures = 0
        for address, (its_group, latest) in self._latest.items():
            if its_group is group:
                before = self._before.get(address, Tally())
                requests += max(0, latest.requests - before.requests)
                failures += max(0, latest.failures - before.failures)
        return Tally(requests, failures)


def tally(entry: Json) -> Tally:
    """Return the finished requests of one process and how many of them failed.

    What is still under way proves nothing: a program that hangs has not answered.
    """
    finished = int(entry.get("requests", 0)) - int(entry.get("in_flight", 0))
    failures = int(entry.get("failures", 0)) + int(entry.get("errors", 0))
    return Tally(max(0, finished), failures)
