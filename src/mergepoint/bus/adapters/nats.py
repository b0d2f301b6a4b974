"""The bus on a NATS server with JetStream.

Place:  bus.doorway -> [bus.adapters.nats] -> nats_topics, nats_queues, nats_requests, nats_presence
Rule:   one connection, made anew when it is lost; nothing is claimed that the server cannot do.

What is kept survives kill -9, not a power cut: by default JetStream calls fsync every two minutes
(Jepsen's report on 2.12.1 lost acknowledged writes). `?sync=always` in the URL is the operator's
word that the server syncs each write; servers before 2.10 cannot, and are refused then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from mergepoint.bus.adapters.live_half import LiveHalf
from mergepoint.bus.adapters.nats_link import ApiFault, Link
from mergepoint.bus.adapters.nats_presence import Presence
from mergepoint.bus.adapters.nats_queues import Queues
from mergepoint.bus.adapters.nats_requests import Requests
from mergepoint.bus.adapters.nats_stats import queue_stats
from mergepoint.bus.adapters.nats_topics import Topics
from mergepoint.bus.adapters.nats_wire import HEADER_BYTES, settings_of
from mergepoint.bus.adapters.no_queues import refusing
from mergepoint.bus.capabilities import Capabilities, Durability, Watching, demand, refuse_waiting
from mergepoint.bus.contract import (
    Accepted,
    Engine,
    Entry,
    Lease,
    Limits,
    OnState,
    Overflow,
    Put,
    QueueStats,
    Subscription,
    TopicStats,
)
from mergepoint.bus.errors import BusError, BusRefused
from mergepoint.core.clock import Clock
from mergepoint.wire.envelope import Message

PRIORITY = 4
"""The only one: JetStream 2.9 delivers in the order of storing."""
SYNC_ALWAYS_SINCE = (2, 10)


class NatsEngine(LiveHalf[Link, Requests, Presence]):
    """One connection to a NATS server."""

    _name = "nats"
    # JetStream finds no waiting message by its id, and shows one only to who takes it alone.
    drop = browse = refusing("browse")

    def __init__(self, url: str, limits: Limits, clock: Clock, *, address: str = "") -> None:
        settings = settings_of(url)
        self._limits = limits
        self._clock = clock
        self._link = Link(settings, limits, clock, f"mergepoint {address}".strip())
        self._topics = Topics(self._link, limits)
        self._queues = Queues(self._link, limits, clock)
        self._requests = Requests(self._link, limits)
        self._presence = Presence(self._link, limits, clock)
        parts = (self._queues.bindings, self._topics, self._requests, self._presence)
        self._link.restores += [part.attach for part in parts]
        self._bytes_max = limits.message_bytes_max

    @property
    def capabilities(self) -> Capabilities:
        """What this server can do; its own limit of a message counts once it is connected."""
        synced = self._link.settings.sync_always
        return Capabilities(
            engine="nats",
            topics=Durability.LOSSY,
            queues=Durability.DURABLE if synced else Durability.INTERVAL,
            bind=True,
            last=True,
            delay=True,
            priority=False,
            key_order=False,
            dedupe=True,
            dead_letters=True,
            browse=False,
            request=True,
            presence=Watching.HEARTBEAT,
            lease=Watching.HEARTBEAT,
            message_bytes_max=self._bytes_max,
        )

    async def open(self, on_state: OnState) -> None:
        """Connect; raise `BusLost`, or `BusRefused` for credentials and a lack of JetStream."""
        await self._link.open(on_state)
        try:
            await self._link.api("INFO")
            self._check_version()
            await self._queues.bindings.attach(await self._link.client())
        except ApiFault as fault:
            await self._link.close()
            raise fault.told() from None
        except BusError:
            await self._link.close()
            raise
        room = self._link.server.max_payload - HEADER_BYTES
        self._bytes_max = min(self._limits.message_bytes_max, room)
        self._queues.leases.start()
        self._presence.start()

    async def close(self) -> None:
        """Leave, give back what is held without counting it, disconnect."""
        if self._link.connected:
            with contextlib.suppress(BusError, TimeoutError):
                async with asyncio.timeout(2 * self._limits.call_s):
                    await self._queues.give_back()
                    await self._presence.leave_all()
        self._stop()
        await self._link.close()

    async def publish(self, topic: str, message: Message, *, keep_last: bool = False) -> None:
        """Give it to all who listen, and to the queues that are bound."""
        self._check(message)
        await self._topics.publish(topic, message, keep_last)

    async def last(self, topic: str) -> Message | None:
        """Return the topic's present value."""
        self._link.alive()
        return await self._topics.last(topic)

    async def subscribe(
        self, pattern: str, *, overflow: Overflow = Overflow.GAP, last: bool = False
    ) -> Subscription:
        """Listen from now on; NATS cannot slow a publisher down, so `WAIT` is refused."""
        self._link.alive()
        if overflow is Overflow.WAIT:
            refuse_waiting("nats")
        return await self._topics.subscribe(pattern, last)

    async def bind(self, queue: str, pattern: str) -> None:
        """Feed the queue by the pattern; idempotent."""
        self._link.alive()
        await self._queues.bindings.bind(queue, pattern)

    async def unbind(self, queue: str, pattern: str) -> None:
        """End that; what is in the queue is put into it for good."""
        self._link.alive()
        await self._queues.unbind(queue, pattern)

    async def put(self, queue: str, puts: Sequence[Put]) -> list[Accepted]:
        """Accept all or none; several can be accepted in part when others fill the queue."""
        self._link.alive()
        for put in puts:
            self._check(put.message)
            lacking = ["priority"] * (put.priority != PRIORITY) + ["key_order"] * bool(put.key)
            demand(self.capabilities, *lacking)
        return await self._queues.put(queue, puts) if puts else []

    async def take(
        self, queues: Sequence[str], *, worker: str, limit: int, lease_s: float, wait_s: float
    ) -> list[Lease]:
        """Return up to `limit` jobs as soon as there is one, [] after `wait_s`."""
        self._link.alive()
        return await self._queues.take(queues, worker, limit, lease_s, wait_s)

    async def ack(self, leases: Sequence[Lease]) -> list[Lease]:
        """Finish these; return those that were lost to somebody else."""
        self._link.alive()
        return await self._queues.leases.ack(leases)

    async def nack(
        self, lease: Lease, *, delay_s: float = 0.0, reason: str = "", burn: bool = True
    ) -> None:
        """Give it back, to be taken after `delay_s`; the last attempt makes it dead."""
        self._link.alive()
        await self._queues.leases.nack(lease, delay_s, reason, burn)

    async def bury(self, lease: Lease, *, reason: str) -> None:
        """Make it dead now."""
        self._link.alive()
        await self._queues.leases.bury(lease, reason)

    async def extend(self, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        """Hold these for `lease_s` from now; return those that were lost."""
        self._link.alive()
        return await self._queues.leases.extend(leases, lease_s)

    async def dead(self, queue: str, *, limit: int = 100, after: str = "") -> list[Entry]:
        """Return dead letters, oldest first."""
        self._link.alive()
        return await self._queues.leases.dead.entries(queue, limit, after)

    async def replay(self, queue: str, id: str, message: Message | None = None) -> None:  # noqa: A002
        """Put a dead letter back with fresh attempts; raises `NoSuchEntry`."""
        self._link.alive()
        if message is not None:
            self._check(message)
        await self._queues.leases.dead.replay(queue, id, message)

    async def discard(self, queue: str, ids: Sequence[str]) -> int:
        """Remove dead letters for good; return how many there were."""
        self._link.alive()
        return await self._queues.leases.dead.discard(queue, ids)

    async def queues(self) -> list[QueueStats]:
        """Return every queue; a returned job that nobody took again counts as not ready."""
        self._link.alive()
        return await queue_stats(self._link, self._queues, self._clock)

    async def topics(self) -> list[TopicStats]:
        """Return the topics that have a present value."""
        self._link.alive()
        return await self._topics.stats()

    def _check_version(self) -> None:
        version = self._link.server.connected_server_version
        if self._link.settings.sync_always and (version.major, version.minor) < SYNC_ALWAYS_SINCE:
            raise BusRefused(
                f"nats: sync=always, but nats-server {version.major}.{version.minor} has no"
                " sync_interval: always; 2.10 is the first that has",
                next="leave sync out of the bus's url, or update nats-server",
            )

    def _stop(self) -> None:
        self._queues.leases.stop()
        self._presence.stop()
        self._topics.end()
        self._requests.end()


_ENGINE: type[Engine] = NatsEngine
