"""The engine for a PostgreSQL database: everything the bus promises, with nothing else to install.

Place:  assembly.connect -> [postgres] -> postgres_* beside it
Rule:   joins the parts; each of them decides for itself.

Roles and rights, limits, and what a pooler in between breaks: docs/reference/postgresql.md.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import TypeVar

from mergepoint.bus.adapters.postgres_link import Link, Parameters, Row, Work
from mergepoint.bus.adapters.postgres_presence import PostgresMembership, PostgresWatch, Presence
from mergepoint.bus.adapters.postgres_publish import Publisher
from mergepoint.bus.adapters.postgres_queues import WAKE as QUEUE_WAKE
from mergepoint.bus.adapters.postgres_queues import Queues
from mergepoint.bus.adapters.postgres_requests import PostgresServing, Requests
from mergepoint.bus.adapters.postgres_topics import (
    CHANNEL,
    EVENTS_MAX,
    EVENTS_S,
    PostgresSubscription,
    Topics,
)
from mergepoint.bus.adapters.postgres_topics import WAKE as TOPIC_WAKE
from mergepoint.bus.adapters.postgres_wake import EVERYBODY, unpack
from mergepoint.bus.capabilities import Capabilities, Durability, Watching
from mergepoint.bus.contract import (
    Accepted,
    Entry,
    EntryState,
    Handler,
    Lease,
    Limits,
    OnState,
    Overflow,
    Put,
    QueueStats,
    TopicStats,
)
from mergepoint.bus.errors import BusClosed, BusError
from mergepoint.core.clock import Clock
from mergepoint.wire.envelope import Message

T = TypeVar("T")
PRUNE_S = 30.0
"""Between two looks for what may be forgotten."""


class PostgresEngine:
    """One process's share of the bus in one database; see `mergepoint.bus.contract.Engine`."""

    def __init__(self, url: str, limits: Limits, clock: Clock, *, address: str = "") -> None:
        self._limits = limits
        self._clock = clock
        self._link = Link(url, limits, clock, address)
        self._queues = Queues(self._link)
        self._topics = Topics(self._link)
        self._publisher = Publisher(self._link, self._queues.wake)
        self._presence = Presence(self._link, self._topics)
        self._requests = Requests(self._link)
        self._link.on_note = self._note
        self._link.on_beat = self._beat
        self._link.restores = [self._requests.restore, self._presence.restore, self._restore]
        self._pruned_at = clock.monotonic_s()
        self._duty: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def capabilities(self) -> Capabilities:
        """What it can do; the same whatever the server."""
        return Capabilities(
            engine="postgresql",
            topics=Durability.LOSSY,
            queues=Durability.DURABLE,
            bind=True,
            last=True,
            delay=True,
            priority=True,
            key_order=True,
            dedupe=True,
            dead_letters=True,
            browse=True,
            request=True,
            presence=Watching.HEARTBEAT,
            lease=Watching.HEARTBEAT,
            message_bytes_max=self._limits.message_bytes_max,
        )

    async def open(self, on_state: OnState) -> None:
        """See `Engine.open`."""
        await self._link.open(on_state)

    async def close(self) -> None:
        """See `Engine.close`; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._queues.end()
        if self._duty is not None:
            self._duty.cancel()
            await asyncio.gather(self._duty, return_exceptions=True)
        await self._publisher.close()
        await self._requests.close()
        await self._presence.close()
        await self._topics.close()
        with contextlib.suppress(BusError):  # without a connection, heartbeats say the same later
            for (queue,) in await self._link.call(
                "SELECT DISTINCT * FROM mergepoint.depart(%s)", (self._link.number,)
            ):
                await self._link.call("SELECT pg_notify(%s, %s)", (CHANNEL, QUEUE_WAKE + queue))
            await self._link.call("SELECT pg_notify(%s, %s)", (CHANNEL, TOPIC_WAKE))
        await self._link.close()

    async def publish(self, topic: str, message: Message, *, keep_last: bool = False) -> None:
        """See `Engine.publish`."""
        self._check()
        await self._publisher.publish(topic, message, keep_last)
        self._topics.woken()

    async def last(self, topic: str) -> Message | None:
        """See `Engine.last`."""
        self._check()
        return await self._topics.last(topic)

    async def subscribe(
        self, pattern: str, *, overflow: Overflow = Overflow.GAP, last: bool = False
    ) -> PostgresSubscription:
        """See `Engine.subscribe`."""
        self._check()
        return await self._topics.subscribe(pattern, overflow=overflow, last=last)

    async def bind(self, queue: str, pattern: str) -> None:
        """See `Engine.bind`."""
        self._check()
        await self._topics.bind(queue, pattern)

    async def unbind(self, queue: str, pattern: str) -> None:
        """See `Engine.unbind`."""
        self._check()
        await self._topics.unbind(queue, pattern)

    async def put(self, queue: str, puts: Sequence[Put]) -> list[Accepted]:
        """See `Engine.put`."""
        self._check()
        return await self._queues.put(queue, puts)

    async def take(
        self, queues: Sequence[str], *, worker: str, limit: int, lease_s: float, wait_s: float
    ) -> list[Lease]:
        """See `Engine.take`."""
        self._check()
        return await self._queues.take(
            queues, worker=worker, limit=limit, lease_s=lease_s, wait_s=wait_s
        )

    async def ack(self, leases: Sequence[Lease]) -> list[Lease]:
        """See `Engine.ack`."""
        self._check()
        return await self._queues.ack(leases)

    async def nack(
        self, lease: Lease, *, delay_s: float = 0.0, reason: str = "", burn: bool = True
    ) -> None:
        """See `Engine.nack`."""
        self._check()
        await self._queues.nack(lease, delay_s=delay_s, reason=reason, burn=burn)

    async def bury(self, lease: Lease, *, reason: str) -> None:
        """See `Engine.bury`."""
        self._check()
        await self._queues.bury(lease, reason=reason)

    async def extend(self, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        """See `Engine.extend`."""
        self._check()
        return await self._queues.extend(leases, lease_s)

    async def drop(self, queue: str, ids: Sequence[str]) -> int:
        """See `Engine.drop`."""
        self._check()
        return await self._queues.drop(queue, ids)

    async def dead(self, queue: str, *, limit: int = 100, after: str = "") -> list[Entry]:
        """See `Engine.dead`."""
        self._check()
        return await self._queues.browse(queue, states=[EntryState.DEAD], limit=limit, after=after)

    async def replay(self, queue: str, id: str, message: Message | None = None) -> None:  # noqa: A002
        """See `Engine.replay`."""
        self._check()
        await self._queues.replay(queue, id, message)

    async def discard(self, queue: str, ids: Sequence[str]) -> int:
        """See `Engine.discard`."""
        self._check()
        return await self._queues.discard(queue, ids)

    async def browse(
        self, queue: str, *, states: Sequence[EntryState], limit: int = 100, after: str = ""
    ) -> list[Entry]:
        """See `Engine.browse`."""
        self._check()
        return await self._queues.browse(queue, states=states, limit=limit, after=after)

    async def queues(self) -> list[QueueStats]:
        """See `Engine.queues`."""
        self._check()
        return await self._queues.stats()

    async def topics(self) -> list[TopicStats]:
        """See `Engine.topics`."""
        self._check()
        return await self._topics.stats()

    async def request(self, address: str, message: Message, *, timeout_s: float) -> Message:
        """See `Engine.request`."""
        self._check()
        return await self._requests.request(address, message, timeout_s)

    async def serve(self, address: str, handler: Handler) -> PostgresServing:
        """See `Engine.serve`."""
        self._check()
        return await self._requests.serve(address, handler)

    async def join(self, address: str, info: Mapping[str, str]) -> PostgresMembership:
        """See `Engine.join`."""
        self._check()
        return await self._presence.join(address, info)

    async def watch(self, pattern: str) -> PostgresWatch:
        """See `Engine.watch`."""
        self._check()
        return await self._presence.watch(pattern)

    # --- for the ledger of tasks, which shares the database and its connections ------------------

    async def call(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Run one statement, which is one transaction; raise the bus's errors."""
        self._check()
        return await self._link.call(sql, parameters)

    async def together(self, work: Work[T], *, pipelined: bool = False) -> T:
        """Run this in one transaction, anew where a deadlock undid it; raise the bus's errors."""
        self._check()
        return await self._link.together(work, pipelined=pipelined)

    async def room(self, queue: str, coming: int) -> None:
        """Raise `BusFull` when the queue has no room for so many more messages."""
        self._check()
        await self._queues.room(queue, coming)

    def wake(self, queue: str) -> None:
        """Tell takers that something was put into the queue."""
        self._queues.wake(queue)

    def _check(self) -> None:
        if self._closed:
            raise BusClosed("the bus was closed in this process")

    # --- what comes from the link -----------------------------------------------------------------

    def _note(self, channel: str, payload: str) -> None:
        if channel != CHANNEL:
            self._requests.fetch()
            return
        for name in unpack(payload):
            if name in (TOPIC_WAKE, EVERYBODY):
                self._topics.woken()
            if name == EVERYBODY:
                self._queues.woken(EVERYBODY)
            elif name.startswith(QUEUE_WAKE):
                self._queues.woken(name.removeprefix(QUEUE_WAKE))

    async def _beat(self) -> None:
        """Begin what is due, beside the heartbeat, which must not wait for it."""
        self._requests.fetch_if_expecting()
        if self._duty is None or self._duty.done():
            self._duty = asyncio.create_task(self._tidy_up(), name="postgresql duties")

    async def _tidy_up(self) -> None:
        limits = self._limits
        with contextlib.suppress(BusError):  # the next beat tries again
            grace_s = 3 * limits.heartbeat_s + limits.reconnect_s_max
            ((found,),) = await self._link.call("SELECT mergepoint.reap(%s)", (grace_s,))
            if found:
                self._link.signal(CHANNEL, EVERYBODY)
            if self._clock.monotonic_s() - self._pruned_at >= PRUNE_S:
                self._pruned_at = self._clock.monotonic_s()
                await self._link.call(
                    "SELECT mergepoint.prune(%s, %s, %s, %s, %s)",
                    (
                        limits.dedupe_s,
                        limits.dead_s,
                        limits.dead_messages_max,
                        EVENTS_S,
                        EVENTS_MAX,
                    ),
                )

    async def _restore(self) -> None:
        await self._topics.restore()
        self._queues.woken(EVERYBODY)
