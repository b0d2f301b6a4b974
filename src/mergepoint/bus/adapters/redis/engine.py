"""The bus on Redis or Valkey.

Place:  bus.doorway -> [adapters.redis.engine] -> link, queues, topics, requests, presence
Rule:   one atomic script for each verb, by the server's own clock; no lock is ever held.

Queues are sorted sets and hashes that scripts keep, not streams: a message that comes back keeps
its place, a key holds back its successors, and a lease is given up in the step that gives it away.
Nothing beyond Redis 7.0 is used, and nothing that Valkey lacks. `?prefix=name:` in the URL keeps
several sites on one server apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mergepoint.bus.adapters.redis import carried, facts
from mergepoint.bus.adapters.redis.link import Link
from mergepoint.bus.adapters.redis.presence import Presence
from mergepoint.bus.adapters.redis.queues import Queues
from mergepoint.bus.adapters.redis.requests import Requests
from mergepoint.bus.adapters.redis.topics import Topics
from mergepoint.bus.capabilities import Capabilities, refuse_waiting
from mergepoint.bus.contract import (
    Accepted,
    Engine,
    Entry,
    EntryState,
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


class RedisEngine:
    """One process's connection to a Redis or Valkey server."""

    def __init__(self, url: str, limits: Limits, clock: Clock, *, address: str = "") -> None:
        self._limits = limits
        self._address = address
        self._link = Link(url, limits, clock)
        self._queues = Queues(self._link)
        self._requests = Requests(self._link)
        self._presence = Presence(self._link)
        self._topics = Topics(self._link)

    @property
    def capabilities(self) -> Capabilities:
        """Everything; how durable is what the server was asked at the last connection."""
        return facts.capabilities(self._link.facts, self._limits.message_bytes_max)

    async def open(self, on_state: OnState) -> None:
        """Connect; raises `BusLost`, or `BusRefused` for a server that cannot keep the promises."""
        await self._link.open(on_state)

    async def close(self) -> None:
        """Give back what is held without counting it; a second call does nothing."""
        if self._link.state is State.CLOSED:
            return
        self._topics.close()
        self._presence.close()
        await self._requests.withdraw()
        await self._link.close()

    async def publish(self, topic: str, message: Message, *, keep_last: bool = False) -> None:
        """Return when the server has it: bound queues fed, the value kept, listeners told."""
        self._check(message)
        await self._topics.publish(topic, message, keep=keep_last)

    async def last(self, topic: str) -> Message | None:
        """Return the topic's present value."""
        return await self._topics.last(topic)

    async def subscribe(
        self, pattern: str, *, overflow: Overflow = Overflow.GAP, last: bool = False
    ) -> Subscription:
        """Listen from now on; `Overflow.WAIT` is refused, a server waits for no subscriber."""
        if overflow is Overflow.WAIT:
            refuse_waiting("redis")
        return await self._topics.subscribe(pattern, last=last)

    async def bind(self, queue: str, pattern: str) -> None:
        """Feed the queue by the pattern; idempotent."""
        await self._queues.bind(queue, pattern)

    async def unbind(self, queue: str, pattern: str) -> None:
        """End that."""
        await self._queues.unbind(queue, pattern)

    async def put(self, queue: str, puts: Sequence[Put]) -> list[Accepted]:
        """Accept all or none; `BusFull` when the queue, the memory or the disk has no room."""
        for put in puts:
            self._check(put.message)
        return await self._queues.put(queue, puts)

    async def take(
        self, queues: Sequence[str], *, worker: str, limit: int, lease_s: float, wait_s: float
    ) -> list[Lease]:
        """Return jobs as soon as there is one; a server that is lost is waited for as well."""
        return await self._queues.take(
            queues, worker=worker, limit=limit, lease_s=lease_s, wait_s=wait_s
        )

    async def ack(self, leases: Sequence[Lease]) -> list[Lease]:
        """Finish these; return those that were lost."""
        return await self._queues.ack(leases)

    async def nack(
        self, lease: Lease, *, delay_s: float = 0.0, reason: str = "", burn: bool = True
    ) -> None:
        """Give it back; raises `LeaseLost`."""
        await self._queues.nack(
            lease, delay_ms=carried.milliseconds(delay_s), reason=reason, burn=burn
        )

    async def bury(self, lease: Lease, *, reason: str) -> None:
        """Make it dead; raises `LeaseLost`."""
        await self._queues.nack(lease, reason=reason, bury=True)

    async def extend(self, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        """Hold these for `lease_s` from now; return those that were lost."""
        return await self._queues.extend(leases, lease_s)

    async def drop(self, queue: str, ids: Sequence[str]) -> int:
        """Remove what waits; return how many there were."""
        return await self._queues.remove("drop", queue, ids)

    async def dead(self, queue: str, *, limit: int = 100, after: str = "") -> list[Entry]:
        """Return dead letters, in the order they died."""
        return await self._queues.browse(queue, [EntryState.DEAD], limit, after)

    async def replay(self, queue: str, id: str, message: Message | None = None) -> None:  # noqa: A002
        """Put a dead letter back; raises `NoSuchEntry`."""
        if message is not None:
            self._check(message)
        await self._queues.replay(queue, id, message)

    async def discard(self, queue: str, ids: Sequence[str]) -> int:
        """Remove dead letters; return how many there were."""
        return await self._queues.remove("discard", queue, ids)

    async def browse(
        self, queue: str, *, states: Sequence[EntryState], limit: int = 100, after: str = ""
    ) -> list[Entry]:
        """Return what is in a queue, state after state in the order asked for."""
        return await self._queues.browse(queue, states, limit, after)

    async def queues(self) -> list[QueueStats]:
        """Return every queue that was ever named, by name."""
        return await self._queues.stats()

    async def topics(self) -> list[TopicStats]:
        """Return topics that were published to, by name."""
        return await self._topics.known()

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


_ENGINE: type[Engine] = RedisEngine
