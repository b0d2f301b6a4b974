"""What becomes due by itself: delays, expiries, leases that end, old rows, extensions.

Place:  bus.hub.hub -> [bus.hub.due] -> bus.hub.groups
Rule:   wakes when something is due, and every `TICK_S` because the wall clock may be set.
"""

from __future__ import annotations

import asyncio

from mergepoint.bus.errors import BusError
from mergepoint.bus.hub.arrivals import BATCH_MAX
from mergepoint.bus.hub.batches import Batches
from mergepoint.bus.hub.groups import Groups
from mergepoint.bus.hub.holding import give_back
from mergepoint.bus.hub.peer_calls import Peers
from mergepoint.bus.hub.rules import LEASE_ENDED, RESTARTED
from mergepoint.bus.hub.store import Store
from mergepoint.bus.hub.work import Work

TICK_S = 1.0
HOUSEKEEPING_S = 10.0
LATE_S = 0.25
"""A timer that is so late says that this process stood still."""
HEARD_S = 0.1
"""Then what workers said meanwhile is heard first: their extensions lie in the sockets."""
AGAIN_S = 0.05
"""Between two steps of housekeeping while there is more of it."""


class Due:
    """The one timer of a hub."""

    def __init__(self, store: Store, groups: Groups, batches: Batches, peers: Peers) -> None:
        self.publishing = 0
        """Publishes that wait for their group: what comes after them waits too."""
        self._store = store
        self._groups = groups
        self._batches = batches
        self._peers = peers
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._at_s = 0.0
        self._not_before_s = 0.0
        self._listening = False
        self._next_due_s = 0.0
        self._housekeeping_s = self._loop.time()
        self._pending = False

    def published(self) -> None:
        """One of `publishing` is done."""
        self.publishing -= 1

    def plan(self) -> None:
        """Wake in time for what is due next."""
        parts = self._store.parts
        now_s = self._loop.time()
        if parts.dues_changed:
            parts.dues_changed = False
            self._next_due_s = now_s + self._store.due_in_s(TICK_S)
        first_s = min(self._next_due_s, now_s + TICK_S, self._housekeeping_s)
        ends_s = parts.leases.first_end_s()
        if ends_s is not None:
            first_s = min(first_s, now_s + ends_s - parts.ages.monotonic_s())
        due_s = self._batches.first_due_s()
        if due_s is not None:
            first_s = min(first_s, now_s + due_s - parts.ages.monotonic_s())
        first_s = max(first_s, self._not_before_s)
        if self._timer is None or first_s < self._at_s - 0.001:
            if self._timer is not None:
                self._timer.cancel()
            self._at_s = first_s
            self._timer = self._loop.call_at(first_s, self._tick)

    def stop(self) -> None:
        """Wake no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        self._timer = None
        now_s = self._loop.time()
        if now_s > self._at_s + LATE_S and not self._listening:
            self._listening = True  # once: whoever is always late must end leases, too
            self._at_s = self._not_before_s = now_s + HEARD_S
            self._timer = self._loop.call_at(self._at_s, self._tick)
            return
        self._listening = False
        parts = self._store.parts
        self._peers.overdue()
        self._groups.look_for_room()
        monotonic_s = parts.ages.monotonic_s()
        self._batches.tick(monotonic_s)
        if not self._pending and self._is_due(monotonic_s, now_s):
            # Its end plans anew; until then nothing here is asked twice.
            self._pending = True
            self._groups.submit(Work(self._run, self._ran, self._failed, synced=False))
            self._next_due_s = now_s + TICK_S
        self._timer = self._loop.call_later(TICK_S, self._tick)
        self._at_s = now_s + TICK_S
        if not self._pending:
            parts.dues_changed = True
            self.plan()

    def _is_due(self, monotonic_s: float, now_s: float) -> bool:
        ends_s = self._store.parts.leases.first_end_s()
        return (
            (ends_s is not None and ends_s <= monotonic_s)
            or now_s >= self._housekeeping_s
            or (not self._groups.busy and self._store.due_in_s(TICK_S) <= 0)
            or self._groups.busy
        )

    def _run(self) -> bool:
        parts = self._store.parts
        ended = parts.leases.ended(parts.monotonic_s, BATCH_MAX)
        for held in ended:
            parts.journal.add(parts.leases.again, held)
            reason = RESTARTED if held.session is None else LEASE_ENDED
            give_back(parts, held, delay_s=0.0, reason=reason, burn=True)
        more = self._store.on_time() or len(ended) == BATCH_MAX
        if self._loop.time() >= self._housekeeping_s:
            again = self._store.housekeep()
            self._housekeeping_s = self._loop.time() + (AGAIN_S if again else HOUSEKEEPING_S)
        return more

    def _ran(self, more: bool) -> None:
        self._pending = False
        self._store.parts.dues_changed = True
        if more:
            self._tick()

    def _failed(self, error: BusError) -> None:
        del error
        self._pending = False
