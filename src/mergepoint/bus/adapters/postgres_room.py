"""Whether a queue has room, without counting it at every put.

Place:  postgres_queues -> [postgres_room] -> postgres_link
Rule:   exact where a bound is small; else as exact as a count that is seconds old.
"""

from __future__ import annotations

from dataclasses import dataclass

from mergepoint.bus.adapters.postgres_link import Link
from mergepoint.bus.errors import BusFull

EXACT_MAX = 10_000
"""Up to this `queue_messages_max` every put counts."""
COUNT_S_MIN = 2.0
"""How old a count may be at least."""
COUNT_SHARE = 50.0
"""Counting takes one part in so many of a busy publisher's time."""
COUNT_SQL = (
    "SELECT count(*) FROM (SELECT FROM mergepoint.message"
    " WHERE queue = %s AND state <> 'dead' LIMIT %s) AS live"
)


@dataclass
class _Count:
    found: int
    again_at: float


class Room:
    """What this process knows of how full queues are."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._counts: dict[str, _Count] = {}

    async def check(self, queue: str, coming: int) -> None:
        """Raise `BusFull` when so many more do not fit; for who puts without `mergepoint.put`."""
        limit = await self.exact_limit(queue, coming)
        if limit:
            ((found,),) = await self._link.call(COUNT_SQL, (queue, limit + 1))
            if found + coming > limit:
                raise _full(queue, limit)

    async def exact_limit(self, queue: str, coming: int) -> int:
        """Return the bound the database must check, 0 when it was checked here; or `BusFull`."""
        limit = self._link.limits.queue_messages_max
        if limit <= EXACT_MAX:
            return limit
        clock = self._link.clock
        count = self._counts.get(queue)
        if count is None or clock.monotonic_s() >= count.again_at:
            began = clock.monotonic_s()
            ((found,),) = await self._link.call(COUNT_SQL, (queue, limit + 1))
            now = clock.monotonic_s()
            count = _Count(found, now + max(COUNT_S_MIN, COUNT_SHARE * (now - began)))
            self._counts[queue] = count
        if count.found + coming > limit:
            raise _full(queue, limit)
        count.found += coming
        return 0


def _full(queue: str, limit: int) -> BusFull:
    return BusFull(
        f"queue {queue} is full: it takes {limit} messages",
        next="take messages out of it, or raise queue_messages_max",
    )
