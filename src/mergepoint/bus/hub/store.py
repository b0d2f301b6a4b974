"""The store of a hub: what is done to it in one transaction, and memory that follows.

Place:  bus.hub.groups, bus.hub.calls -> [bus.hub.store] -> bus.hub.database and the tables' code
Rule:   one transaction at a time, all of one moment; undone, memory is as if it never was.
"""

from __future__ import annotations

from pathlib import Path

from mergepoint.bus.hub import seen
from mergepoint.bus.hub.ages import Ages, age_after_restart
from mergepoint.bus.hub.arrivals import BATCH_MAX, expire, first_due, promote
from mergepoint.bus.hub.database import Database
from mergepoint.bus.hub.holding import restore
from mergepoint.bus.hub.letters import trim
from mergepoint.bus.hub.parts import Parts
from mergepoint.bus.hub.present import Present
from mergepoint.bus.hub.settings import HubSettings
from mergepoint.core.clock import Clock

AGE_KEPT_S = 10.0
"""How often the age is written, where anything is."""
VACUUM_PAGES = 256
"""Free pages given back to the disk by one step."""
VACUUM_FROM_PAGES = 4_096
"""Free pages that are kept for what comes next, and half of the file."""


class Store:
    """The file of a hub, open."""

    def __init__(self, settings: HubSettings, clock: Clock) -> None:
        self.database = Database(settings.state_dir, sync=settings.durability == "durable")
        self.database.open()
        db = self.database.db
        kept = dict(db.execute("SELECT name, value FROM meta WHERE name IN ('age', 'unix')"))
        age_s = age_after_restart(kept.get("age", 0.0), kept.get("unix", 0.0), clock.unix_s())
        self.parts = Parts(db, settings.limits, Ages(clock, age_s), queues_max=settings.queues_max)
        self.present = Present(self.parts, settings.topics_max)
        self.restored = restore(self.parts, settings.orphan_s)
        """Leases of before the start, whose workers may come back."""
        self._age_kept_s = float("-inf")
        self._purge_after = 0

    @property
    def path(self) -> Path:
        """The file."""
        return self.database.path

    def begin(self, *, synced: bool) -> None:
        """Begin a transaction at the present moment."""
        self.parts.now()
        self.database.begin(synced=synced)

    def prepare_commit(self) -> None:
        """Write what is written once a transaction; the commit itself may be another thread's."""
        self.parts.queues.write()
        if self.parts.age_s - self._age_kept_s >= AGE_KEPT_S:
            self._keep_age()

    def committed(self) -> None:
        """Let memory keep what was done."""
        self.parts.journal.clear()

    def undo(self) -> None:
        """Undo everything since `begin`, whether SQLite did so already or not."""
        self.database.rollback()
        self.parts.journal.undo()
        self.parts.queues.undone()
        self.parts.woken.clear()
        self.parts.dues_changed = True
        self._age_kept_s = float("-inf")

    def mark(self) -> int:
        """Begin a part of the transaction that may be undone alone."""
        self.database.db.execute("SAVEPOINT part")
        self.parts.queues.marked()
        return self.parts.journal.mark()

    def keep_part(self) -> None:
        """End the part and keep it."""
        self.database.db.execute("RELEASE part")

    def undo_part(self, mark: int) -> None:
        """Undo everything since `mark`."""
        self.database.db.execute("ROLLBACK TO part")
        self.database.db.execute("RELEASE part")
        self.parts.journal.undo(mark)
        self.parts.queues.marked()

    def on_time(self) -> bool:
        """Do what became due, inside a transaction; tell whether more is."""
        moved = promote(self.parts)
        expired = expire(self.parts)
        return max(moved, expired) >= BATCH_MAX

    def housekeep(self) -> bool:
        """Remove what is over, inside a transaction, a bounded part; tell whether more is."""
        trimmed = trim(self.parts)
        after = seen.purge(self.parts, self._purge_after)
        self._purge_after = after or 0
        (pages,) = self.parts.db.execute("PRAGMA page_count").fetchone()
        vacuum = self.free_pages() > max(VACUUM_FROM_PAGES, pages // 2)
        if vacuum:
            self.give_back_pages()
        return trimmed > 0 or after is not None or vacuum

    def give_back_pages(self) -> None:
        """Move free pages to the end of the file and cut them off, a bounded number."""
        for _ in range(min(VACUUM_PAGES, self.free_pages())):
            # One at a time: the driver takes the first step of a statement without columns alone.
            self.parts.db.execute("PRAGMA incremental_vacuum(1)")

    def free_pages(self) -> int:
        """Return how many pages of the file hold nothing."""
        (free,) = self.parts.db.execute("PRAGMA freelist_count").fetchone()
        return int(free)

    def due_in_s(self, at_most_s: float) -> float:
        """Return in how many seconds `on_time` has something to do."""
        wall, age, expires = first_due(self.parts)
        ages = self.parts.ages
        unix_s, age_s = ages.unix_s(), ages.age_s()
        waits = [at - unix_s for at in (wall, expires) if at is not None]
        waits += [age - age_s] if age is not None else []
        return max(0.0, min([*waits, at_most_s]))

    def close(self) -> None:
        """Write the age, fold the log into the file, close."""
        try:
            self.begin(synced=True)
            self._keep_age()
            self.database.commit()
            self.database.checkpoint(cut=True)
        finally:
            self.database.close()

    def _keep_age(self) -> None:
        self._age_kept_s = self.parts.age_s
        self.parts.db.executemany(
            "INSERT OR REPLACE INTO meta VALUES (?, ?)",
            [("age", self.parts.age_s), ("unix", self.parts.unix_s)],
        )
