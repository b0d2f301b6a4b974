"""The bus on RabbitMQ.

Place:  bus.doorway -> [adapters.rabbitmq.engine] -> link, queues, held, dead, topics, requests
Rule:   what the broker cannot do is refused and left to the hub, never imitated unsafely.

Queues are quorum queues, confirmed when they are on disk. A job that is held longer than the
broker's `consumer_timeout` (30 minutes unless configured) is taken away by the broker. The first
use of a queue's name takes two seconds: 3.10 writes down a new queue with a delay, and killed
meanwhile it takes nothing into that queue until somebody deletes it.
`?prefix=name.` in the URL keeps several sites in one virtual host apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mergepoint.bus.adapters.no_queues import refusing
from mergepoint.bus.adapters.rabbitmq import claims
from mergepoint.bus.adapters.rabbitmq.dead import Dead
from mergepoint.bus.adapters.rabbitmq.link import Link
from mergepoint.bus.adapters.rabbitmq.presence import Presence
from mergepoint.bus.adapters.rabbitmq.queues import Queues
from mergepoint.bus.adapters.rabbitmq.requests import Requests
from mergepoint.bus.adapters.rabbitmq.topics import Topics
from mergepoint.bus.capabilities import Capabilities, demand, refuse_waiting
from mergepoint.bus.contract import (
    Accepted,
    Engine,
    Entry,
    Handler,
    Lease,
    Limits,
    Membership,
    OnState,
    Overflow,
    PresenceWatch,
    Put,
    QueueStats,
    Serving,
    State,
    Subscription,
    TopicStats,
)
from mergepoint.bus.errors import MessageTooLarge
from mergepoint.core.clock import Clock
from mergepoint.wire.envelope import Message


class RabbitmqEngine:
    """One process's connections to a RabbitMQ."""

    # The broker keeps no last values, and shows what waits only to who takes it.
    last = refusing("last")
    drop = browse = refusing("browse")

    def __init__(self, url: str, limits: Limits, clock: Clock, *, address: str = "") -> None:
        self._limits = limits
        self._clock = clock
        self._address = address
        self._link = Link(url, limits, clock)
        self._queues = Queues(self._link)
        self._dead = Dead(self._link, self._queues)
        self._topics = Topics(self._link)
        self._requests = Requests(self._link)
        self._presence = Presence(self._link)

    @property
    def capabilities(self) -> Capabilities:
        """What quorum queues and exchanges can do."""
        return claims.capabilities(self._limits.message_bytes_max)

    async def open(self, on_state: OnState) -> None:
        """Connect; raises `BusLost` or `BusRefused`."""
        await self._link.open(on_state)

    async def close(self) -> None:
        """Give back what is held without counting it; a second call does nothing."""
        if self._link.state is State.CLOSED:
            return
        self._topics.close()
        self._requests.cut()
        await self._presence.close()
        await self._queues.leases.close()
        await self._link.close()

    async def publish(self, topic: str, message: Message, *, keep_last: bool = False) -> None:
        """Return when the broker and every bound queue have it."""
        self._check(message)
        if keep_last:
            demand(self.capabilities, "last")
        await self._topics.publish(topic, message)

    async def subscribe(
        self, pattern: str, *, overflow: Overflow = Overflow.GAP, last: bool = False
    ) -> Subscription:
        """Listen from now on; `last` and `Overflow.WAIT` are refused."""
        if last:
            demand(self.capabilities, "last")
        if overflow is Overflow.WAIT:
            refuse_waiting("rabbitmq")
        return await self._topics.subscribe(pattern)

    async def bind(self, queue: str, pattern: str) -> None:
        """Feed the queue by the pattern; idempotent."""
        await self._queues.bind(queue, pattern)

    async def unbind(self, queue: str, pattern: str) -> None:
        """End that."""
        await self._queues.unbind(queue, pattern)

    async def put(self, queue: str, puts: Sequence[Put]) -> list[Accepted]:
        """Return when every message is confirmed; nothing is sent that would not fit."""
        now = self._clock.unix_s()
        for put in puts:
            self._check(put.message)
            claims.check(put, self.capabilities, now)
        return await self._queues.put(queue, puts)

    async def take(
        self, queues: Sequence[str], *, worker: str, limit: int, lease_s: float, wait_s: float
    ) -> list[Lease]:
        """Return jobs as soon as there is one; a broker that is lost is waited for as well."""
        return await self._queues.take(
            queues, worker=worker, limit=limit, lease_s=lease_s, wait_s=wait_s
        )

    async def ack(self, leases: Sequence[Lease]) -> list[Lease]:
        """Finish these; return those that were lost."""
        self._link.check()
        return await self._queues.leases.ack(leases)

    async def nack(
        self, lease: Lease, *, delay_s: float = 0.0, reason: str = "", burn: bool = True
    ) -> None:
        """Give it back; a delay is refused, the hub holds delayed messages."""
        self._link.check()
        if delay_s > 0:
            demand(self.capabilities, "delay")
        await self._queues.leases.nack(lease, reason=reason, burn=burn)

    async def bury(self, lease: Lease, *, reason: str) -> None:
        """Make it dead; raises `LeaseLost`."""
        self._link.check()
        await self._queues.leases.bury(lease, reason)

    async def extend(self, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        """Hold these for `lease_s` from now; return those that were lost."""
        self._link.check()
        return self._queues.leases.extend(leases, lease_s)

    async def dead(self, queue: str, *, limit: int = 100, after: str = "") -> list[Entry]:
        """Return dead letters, in the order they died."""
        return await self._dead.list(queue, limit, after)

    async def replay(self, queue: str, id: str, message: Message | None = None) -> None:  # noqa: A002
        """Put a dead letter back; raises `NoSuchEntry`."""
        if message is not None:
            self._check(message)
        await self._dead.replay(queue, id, message)

    async def discard(self, queue: str, ids: Sequence[str]) -> int:
        """Remove dead letters; return how many there were."""
        return await self._dead.discard(queue, ids)

    async def queues(self) -> list[QueueStats]:
        """Return the queues this connection has named, by name."""
        return await self._queues.stats()

    async def topics(self) -> list[TopicStats]:
        """Return nothing: an exchange does not remember topics."""
        self._link.check()
        return []

    async def request(self, address: str, message: Message, *, timeout_s: float) -> Message:
        """Return the one answer, or raise the one error."""
        self._check(message)
        return await self._requests.request(address, message, timeout_s)

    async def serve(self, address: str, handler: Handler) -> Serving:
        """Answer from now on."""
        return await self._requests.serve(address, handler)

    async def join(self, address: str, info: Mapping[str, str]) -> Membership:
        """Be there, until left or silent for two heartbeats and a half."""
        return await self._presence.join(address, info)

    async def watch(self, pattern: str) -> PresenceWatch:
        """Watch who is there."""
        return await self._presence.watch(pattern)

    def _check(self, message: Message) -> None:
        size, most = len(message.data), self._limits.message_bytes_max
        if size > most:
            raise MessageTooLarge(f"{size} bytes; a message may have {most}")


_ENGINE: type[Engine] = RabbitmqEngine
