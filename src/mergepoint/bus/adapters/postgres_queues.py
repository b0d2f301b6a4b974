"""Queues in PostgreSQL: put, take, settle, look.

Place:  postgres -> [postgres_queues] -> postgres_link, postgres_queues.sql
Rule:   what must be decided together is decided by one function in the database.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from mergepoint.bus.adapters import postgres_rows as rows
from mergepoint.bus.adapters.postgres_link import Link
from mergepoint.bus.adapters.postgres_room import Room
from mergepoint.bus.adapters.postgres_wake import EVERYBODY
from mergepoint.bus.contract import Accepted, Entry, EntryState, Lease, Put, QueueStats
from mergepoint.bus.errors import BusClosed, LeaseLost, NoSuchEntry
from mergepoint.wire.envelope import Message

CHANNEL = "mergepoint"
WAKE = "q:"
"""What a wake for a queue begins with on the channel."""
POLL_S = 1.0
"""How long a waiting taker relies on wakes; jobs put within an app's own transaction have none."""
TIDY_S = 0.05
"""How often a busy taker looks for delays and leases that ended."""
TAKE_MAX = 500
"""Jobs in one take, whatever the limit: each may need a lock of its line."""
PUT_SQL = (
    "SELECT * FROM mergepoint.put(%s, %s::text[], %s::text[], %s::bytea[], %s::text[], %s::int[],"
    " %s::float8[], %s::int[], %s::float8[], %s, %s)"
)
TAKE_SQL = f"SELECT {rows.LEASE_COLUMNS} FROM mergepoint.take(%s, %s, %s, %s, %s, %s)"  # noqa: S608
TIDY_SQL = "SELECT mergepoint.tidy()"
STATS_SQL = """
SELECT name, count(*) FILTER (WHERE state IN ('ready', 'held')),
    count(*) FILTER (WHERE state = 'delayed'), count(*) FILTER (WHERE state = 'leased'),
    count(*) FILTER (WHERE state = 'dead'),
    mergepoint.unix_now() - min(at) FILTER (WHERE state IN ('ready', 'held')),
    coalesce(sum(octet_length(data)), 0)::bigint
FROM mergepoint.queue_names() AS q(name) LEFT JOIN mergepoint.message ON queue = name
GROUP BY name ORDER BY name
"""


class Queues:
    """The queues of the site, seen from one process."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._room = Room(link)
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._tidied_at = 0.0
        self._closed = False
        self._behind: set[asyncio.Task[None]] = set()

    async def put(self, queue: str, puts: Sequence[Put]) -> list[Accepted]:
        """See `Engine.put`."""
        if not puts:
            return []
        limits = self._link.limits
        given = rows.columns(puts, limits)
        room = await self._room.exact_limit(queue, len(puts))
        found = await self._link.call(PUT_SQL, (queue, *given, limits.dedupe_s, room))
        fresh = {row[0] for row in found}
        self.wake(queue)
        accepted = []
        for put in puts:
            accepted.append(Accepted(id=put.message.id, duplicate=put.message.id not in fresh))
            fresh.discard(put.message.id)
        return accepted

    async def room(self, queue: str, coming: int) -> None:
        """Raise `BusFull` when the queue has no room for so many more."""
        await self._room.check(queue, coming)

    def wake(self, queue: str) -> None:
        """Tell everybody who waits for this queue, here at once, elsewhere soon."""
        self.woken(queue)
        self._link.signal(CHANNEL, WAKE + queue)

    def woken(self, queue: str) -> None:
        """Let takers of this queue look again; `*`: all."""
        if queue == EVERYBODY:
            for events in self._waiting.values():
                for event in events:
                    event.set()
        for event in self._waiting.get(queue, ()):
            event.set()

    async def take(
        self, queues: Sequence[str], *, worker: str, limit: int, lease_s: float, wait_s: float
    ) -> list[Lease]:
        """See `Engine.take`."""
        clock = self._link.clock
        until = clock.monotonic_s() + wait_s
        some = asyncio.Event()
        for queue in queues:
            self._waiting.setdefault(queue, set()).add(some)
        try:
            while True:
                some.clear()
                tidy = clock.monotonic_s() - self._tidied_at >= TIDY_S
                leases = await self._claim(queues, worker, limit, lease_s, tidy)
                left_s = until - clock.monotonic_s()
                if leases or left_s <= 0:
                    return leases
                if not tidy:
                    self._tidied_at = 0.0  # nothing was ready: see what time has brought
                    continue
                await self._wait(some, min(left_s, await self._due_s()))
        finally:
            for queue in queues:
                self._waiting[queue].discard(some)
                if not self._waiting[queue]:
                    del self._waiting[queue]

    async def _claim(
        self, queues: Sequence[str], worker: str, limit: int, lease_s: float, tidy: bool
    ) -> list[Lease]:
        if tidy:
            self._tidied_at = self._link.clock.monotonic_s()
        claiming = asyncio.ensure_future(
            self._link.call(
                TAKE_SQL,
                (list(queues), self._link.number, worker, min(limit, TAKE_MAX), lease_s, tidy),
            )
        )
        try:
            return [rows.lease(row) for row in await asyncio.shield(claiming)]
        except asyncio.CancelledError:
            # The server may have given jobs to nobody: they go back before anybody misses them.
            task = asyncio.create_task(self._return(claiming))
            self._behind.add(task)
            task.add_done_callback(self._behind.discard)
            raise

    async def _return(self, claiming: asyncio.Future[list[tuple[object, ...]]]) -> None:
        with contextlib.suppress(Exception):  # a failed claim has nothing to return
            for lease in [rows.lease(row) for row in await claiming]:
                await self.nack(lease, delay_s=0.0, reason="", burn=False)

    async def _due_s(self) -> float:
        (row,) = await self._link.call("SELECT mergepoint.due()")
        return POLL_S if row[0] is None else min(POLL_S, max(0.001, row[0]))

    async def _wait(self, some: asyncio.Event, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await some.wait()
        if self._closed:
            raise BusClosed("the bus was closed in this process")

    async def ack(self, leases: Sequence[Lease]) -> list[Lease]:
        """See `Engine.ack`."""
        if not leases:
            return []
        lines = any(lease.key for lease in leases)
        lost = await self._link.call(
            "SELECT * FROM mergepoint.ack(%s::bigint[], %s::bigint[], %s)",
            (*_handles(leases), lines),
        )
        if lines:
            self._wake_lines(leases)
        return _lost(leases, lost)

    async def nack(self, lease: Lease, *, delay_s: float, reason: str, burn: bool) -> None:
        """See `Engine.nack`."""
        await self._settle(lease, delay_s, reason, 0 if burn else 1)

    async def bury(self, lease: Lease, *, reason: str) -> None:
        """See `Engine.bury`."""
        await self._settle(lease, 0.0, reason, -1)

    async def _settle(self, lease: Lease, delay_s: float, reason: str, attempt: int) -> None:
        ((state,),) = await self._link.call(
            "SELECT mergepoint.nack(%s, %s, %s, %s, %s)",
            (lease.handle, int(lease.token), delay_s, reason, attempt),
        )
        if state is None:
            raise LeaseLost(
                f"the lease of {lease.message.id} in queue {lease.queue} is lost",
                next="do not complete what was done for it",
            )
        self.wake(lease.queue)

    async def extend(self, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        """See `Engine.extend`."""
        if not leases:
            return []
        lost = await self._link.call(
            "SELECT * FROM mergepoint.extend(%s::bigint[], %s::bigint[], %s)",
            (*_handles(leases), lease_s),
        )
        return _lost(leases, lost)

    async def drop(self, queue: str, ids: Sequence[str]) -> int:
        """See `Engine.drop`."""
        return await self._remove(queue, ids, ["ready", "held", "delayed"])

    async def discard(self, queue: str, ids: Sequence[str]) -> int:
        """See `Engine.discard`."""
        return await self._remove(queue, ids, ["dead"])

    async def _remove(self, queue: str, ids: Sequence[str], states: list[str]) -> int:
        await self._link.call(TIDY_SQL)
        ((gone,),) = await self._link.call(
            "SELECT mergepoint.remove(%s, %s, %s)", (queue, list(ids), states)
        )
        self.wake(queue)
        return int(gone)

    async def replay(self, queue: str, id_: str, message: Message | None) -> None:
        """See `Engine.replay`."""
        text = None if message is None else rows.head(message, self._link.limits)
        data = None if message is None else message.data
        ((found,),) = await self._link.call(
            "SELECT mergepoint.replay(%s, %s, %s::text, %s::bytea)", (queue, id_, text, data)
        )
        if not found:
            raise NoSuchEntry(f"no dead letter {id_} in queue {queue}")
        self.wake(queue)

    async def browse(
        self, queue: str, *, states: Sequence[EntryState], limit: int, after: str
    ) -> list[Entry]:
        """See `Engine.browse`; dead letters by when they died, others by their place."""
        wanted = [text for state in states for text in rows.STATES[state]]
        await self._link.call(TIDY_SQL)
        order = "at, place" if wanted == ["dead"] else "0::float8, place"
        found = await self._link.call(
            f"SELECT {rows.ENTRY_COLUMNS} FROM mergepoint.message"  # noqa: S608 - constants
            " WHERE queue = %(queue)s AND state = ANY (%(states)s) AND (%(after)s = ''"
            f" OR ({order}) > (SELECT {order} FROM mergepoint.message"
            "  WHERE queue = %(queue)s AND id = %(after)s ORDER BY place LIMIT 1))"
            f" ORDER BY {order} LIMIT %(limit)s",
            {"queue": queue, "states": wanted, "after": after, "limit": limit},
        )
        return [rows.entry(row) for row in found]

    async def stats(self) -> list[QueueStats]:
        """See `Engine.queues`."""
        await self._link.call(TIDY_SQL)
        return [rows.stats(row) for row in await self._link.call(STATS_SQL)]

    def end(self) -> None:
        """End every wait: the bus is being closed."""
        self._closed = True
        self.woken(EVERYBODY)

    def _wake_lines(self, leases: Sequence[Lease]) -> None:
        for queue in {lease.queue for lease in leases if lease.key}:
            self.wake(queue)


def _handles(leases: Sequence[Lease]) -> tuple[list[object], list[int]]:
    return [lease.handle for lease in leases], [int(lease.token) for lease in leases]


def _lost(leases: Sequence[Lease], lost: Sequence[tuple[object, ...]]) -> list[Lease]:
    places = {row[0] for row in lost}
    return [lease for lease in leases if lease.handle in places]
