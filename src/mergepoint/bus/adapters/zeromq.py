"""The bus over ZeroMQ: topics, requests and presence between processes, with no server to install.

Place:  bus.doorway -> [bus.adapters.zeromq] -> zeromq_topics, zeromq_requests, zeromq_presence
Rule:   lossy by nature, and says so: what is lost is counted, a peer that is gone is noticed.

One of the processes is the relay the others meet at; when it ends, another one takes its place
within the time of a few beats. What was published in between is lost (`Gap(0)`).
"""

from __future__ import annotations

import contextlib

from mergepoint.bus.adapters import zeromq_wire as wire
from mergepoint.bus.adapters.live_half import LiveHalf
from mergepoint.bus.adapters.no_queues import NoQueues, refusing
from mergepoint.bus.adapters.zeromq_link import Link
from mergepoint.bus.adapters.zeromq_presence import Presence
from mergepoint.bus.adapters.zeromq_relay import Frames
from mergepoint.bus.adapters.zeromq_requests import Requests
from mergepoint.bus.adapters.zeromq_topics import Topics
from mergepoint.bus.capabilities import Capabilities, Durability, Watching, demand, refuse_waiting
from mergepoint.bus.contract import (
    Engine,
    Limits,
    OnState,
    Overflow,
    Subscription,
    TopicStats,
)
from mergepoint.bus.errors import BusError
from mergepoint.core.clock import Clock
from mergepoint.wire.envelope import Message


class ZeromqEngine(LiveHalf[Link, Requests, Presence], NoQueues):
    """One process on a bus over ZeroMQ."""

    _name = "zeromq"
    last = refusing("last")

    def __init__(self, url: str, limits: Limits, clock: Clock, *, address: str = "") -> None:  # noqa: ARG002
        self._bytes_max = limits.message_bytes_max
        self._link = Link(url, limits, clock)
        self._topics = Topics(self._link)
        self._requests = Requests(self._link)
        self._presence = Presence(self._link)
        self._link.on_feed = self._hear
        self._link.on_do = self._requests.do
        parts = (self._topics, self._requests, self._presence)
        self._link.restores += [part.restore for part in parts]

    @property
    def capabilities(self) -> Capabilities:
        """Live things alone."""
        return Capabilities(
            engine="zeromq",
            topics=Durability.LOSSY,
            queues=None,
            bind=False,
            last=False,
            delay=False,
            priority=False,
            key_order=False,
            dedupe=False,
            dead_letters=False,
            browse=False,
            request=True,
            presence=Watching.HEARTBEAT,
            lease=Watching.NONE,
            message_bytes_max=self._bytes_max,
        )

    async def open(self, on_state: OnState) -> None:
        """Meet the others at the address, or be where they meet."""
        await self._link.open(on_state)
        try:
            await self._presence.start()
        except BusError:
            await self._link.close()
            raise

    async def close(self) -> None:
        """Leave; another process becomes the relay if this one was."""
        if self._link.connected:
            with contextlib.suppress(BusError):
                await self._presence.leave_all()
        self._stop()
        await self._link.close()

    async def publish(self, topic: str, message: Message, *, keep_last: bool = False) -> None:
        """Give it to the relay; nothing is kept for who listens later."""
        self._check(message)
        if keep_last:
            demand(self.capabilities, "last")
        await self._topics.publish(topic, message)

    async def subscribe(
        self, pattern: str, *, overflow: Overflow = Overflow.GAP, last: bool = False
    ) -> Subscription:
        """Listen from now on."""
        self._link.alive()
        if last:
            demand(self.capabilities, "last")
        if overflow is Overflow.WAIT:
            refuse_waiting("zeromq")
        return await self._topics.subscribe(pattern)

    async def topics(self) -> list[TopicStats]:
        """Return the topics that this process published to."""
        self._link.alive()
        return self._topics.stats()

    def _hear(self, frames: Frames) -> None:
        if frames[0].startswith(wire.TOPIC):
            self._topics.hear(frames)
        elif frames[0].startswith(wire.PRESENCE):
            self._presence.hear(frames)

    def _stop(self) -> None:
        self._topics.stop()
        self._requests.stop()
        self._presence.stop()


_ENGINE: type[Engine] = ZeromqEngine
