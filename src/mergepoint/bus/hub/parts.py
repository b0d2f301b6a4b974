"""What the code of one store shares: the connection, the memory beside it, the time of the group.

Place:  bus.hub.store -> [bus.hub.parts] <- arrivals, holding, letters, looking, seen
Rule:   no decisions; a group has one time, so that all of it happens at one moment.
"""

from __future__ import annotations

import sqlite3

from mergepoint.bus.contract import Limits
from mergepoint.bus.hub.ages import Ages
from mergepoint.bus.hub.journal import Journal
from mergepoint.bus.hub.leases import Leases
from mergepoint.bus.hub.queues import Queue, Queues


class Parts:
    """Connection, queues, leases, limits, and the three times of the group that is being done."""

    def __init__(
        self, db: sqlite3.Connection, limits: Limits, ages: Ages, *, queues_max: int
    ) -> None:
        self.db = db
        self.limits = limits
        self.ages = ages
        self.journal = Journal()
        self.queues = Queues(db, self.journal, queues_max)
        self.leases = Leases()
        self.woken: set[Queue] = set()
        """Queues that got something to take since the takers were looked after."""
        self.dues_changed = True
        """Whether something may be due earlier than was found last."""
        self.unix_s = self.age_s = self.monotonic_s = 0.0
        self._seq = max(
            db.execute(f"SELECT coalesce(max(seq), 0) FROM {table}").fetchone()[0]  # noqa: S608
            for table in ("messages", "seen")
        )
        self.now()

    def now(self) -> None:
        """Take the time for the next group."""
        self.unix_s = self.ages.unix_s()
        self.age_s = self.ages.age_s()
        self.monotonic_s = self.ages.monotonic_s()

    def next_seq(self, count: int) -> int:
        """Return the first of `count` numbers; order of numbers is order of acceptance."""
        first: int = self._seq + 1
        self._seq += count
        return first
