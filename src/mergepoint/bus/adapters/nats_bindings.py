"""Named subscriptions on JetStream: one consumer of the stream of topics for each binding.

Place:  bus.adapters.nats_queues -> [nats_bindings] -> nats_link
Rule:   the server alone knows what is bound; what is remembered here is called out when it changes.

The stream of topics keeps a message only while some consumer still wants it. A queue bound by two
patterns that both match a topic gets its messages twice: they are two consumers.
"""

from __future__ import annotations

from nats.aio.client import Client
from nats.aio.msg import Msg

from mergepoint.bus.adapters.nats_link import NAMED_ALREADY, NO_CONSUMER, NO_STREAM, ApiFault, Link
from mergepoint.bus.adapters.nats_pull import Feed
from mergepoint.bus.adapters.nats_wire import binding, bound_queue, consumer
from mergepoint.bus.contract import Limits

CONSUMER_EXISTS = {NAMED_ALREADY, 10148}
KNOWN_S = 2.0
"""How old what is remembered may be; a missed call costs no more than this."""


class Bindings:
    """Which consumers feed which queue."""

    def __init__(self, link: Link, limits: Limits) -> None:
        self._link = link
        self._limits = limits
        self._made: set[tuple[str, str]] = set()
        self._feeds: dict[str, list[Feed]] | None = None
        self._looked_at = 0.0

    async def attach(self, client: Client) -> None:
        """Hear of changes on this connection."""
        self.forget()
        await client.subscribe(self._link.names.changed, cb=self._on_changed)
        await self._link.settle(client)

    def forget(self) -> None:
        """Ask the server again before the next use."""
        self._made.clear()
        self._feeds = None

    async def bind(self, queue: str, pattern: str) -> None:
        """Feed the queue by the pattern from now on."""
        topics = await self._link.stream("topics")
        subject = self._link.names.topic(pattern)
        await self._create(topics, consumer(binding(queue, pattern), self._limits.lease_s, subject))
        await self._call_out()

    async def to_end(self, queue: str, pattern: str) -> list[str]:
        """Return the consumers to empty and remove: one, or none when nothing was bound."""
        names = {feed.consumer for feed in await self.feeds(queue, fresh=True)}
        return [name for name in (binding(queue, pattern),) if name in names]

    async def remove(self, name: str) -> None:
        """Remove a binding's consumer."""
        topics = await self._link.stream("topics")
        try:
            await self._link.api(f"CONSUMER.DELETE.{topics}.{name}")
        except ApiFault as fault:
            if fault.code not in (NO_CONSUMER, NO_STREAM):
                raise fault.told() from None
        await self._call_out()

    async def consumer(self, stream: str, name: str) -> str:
        """Return the name of a queue's own consumer, which is there from now on."""
        if (stream, name) not in self._made:
            await self._create(stream, consumer(name, self._limits.lease_s))
            self._made.add((stream, name))
        return name

    async def feeds(self, queue: str, *, fresh: bool = False) -> list[Feed]:
        """Return the bindings of a queue."""
        now = self._link.clock.monotonic_s()
        if fresh or self._feeds is None or now - self._looked_at > KNOWN_S:
            self._looked_at = now
            self._feeds = await self._look()
        return self._feeds.get(queue, [])

    async def all(self) -> dict[str, list[Feed]]:
        """Return every bound queue's bindings."""
        return await self._look()

    async def _look(self) -> dict[str, list[Feed]]:
        topics = await self._link.stream("topics")
        found: dict[str, list[Feed]] = {}
        offset, total = 0, 1
        while offset < total:
            page = await self._link.api(f"CONSUMER.NAMES.{topics}", offset=offset)
            names, total = page["consumers"] or [], int(page["total"])
            offset += len(names) or total
            for name in names:
                if (queue := bound_queue(name)) is not None:
                    feed = Feed(queue, topics, name, name.rpartition("=")[2])
                    found.setdefault(queue, []).append(feed)
        return found

    async def _create(self, stream: str, config: dict[str, object]) -> None:
        name = config["durable_name"]
        try:
            await self._link.api(
                f"CONSUMER.DURABLE.CREATE.{stream}.{name}", stream_name=stream, config=config
            )
        except ApiFault as fault:
            if fault.code not in CONSUMER_EXISTS:
                self._link.forget(stream)
                raise fault.told() from None

    async def _call_out(self) -> None:
        self._feeds = None
        await (await self._link.client()).publish(self._link.names.changed)

    async def _on_changed(self, _message: Msg) -> None:
        self._feeds = None
