"""The bus on an XMPP server: the site is an account, each process one of its resources.

Place:  bus.doorway -> [bus.adapters.xmpp] -> xmpp_topics, xmpp_requests, xmpp_presence
Rule:   no queues; what XMPP has of its own (presence, IQ, pubsub) is used as it is.

A person who has the account in the roster sees which apps are there, and gets what is published to
`mp.alerts` as a chat message. An account and not a component (XEP-0114), because a server takes
one connection of a component and watches no presence of it; a site is many processes.
"""

from __future__ import annotations

import asyncio
import contextlib

from slixmpp import JID

from mergepoint.bus.adapters import xmpp_stanza as stanza
from mergepoint.bus.adapters.live_half import LiveHalf
from mergepoint.bus.adapters.no_queues import NoQueues
from mergepoint.bus.adapters.xmpp_link import Link
from mergepoint.bus.adapters.xmpp_presence import Presence
from mergepoint.bus.adapters.xmpp_requests import Requests
from mergepoint.bus.adapters.xmpp_topics import Topics
from mergepoint.bus.capabilities import Capabilities, Durability, Watching, refuse_waiting
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

ALERTS = "mp.alerts"
"""The topic whose messages people read too."""
READERS_MAX = 100
"""People one alert is sent to at most."""


class XmppEngine(LiveHalf[Link, Requests, Presence], NoQueues):
    """One process as a resource of the site's account."""

    _name = "xmpp"

    def __init__(self, url: str, limits: Limits, clock: Clock, *, address: str = "") -> None:  # noqa: ARG002
        self._bytes_max = min(limits.message_bytes_max, stanza.MESSAGE_BYTES_MAX)
        self._link = Link(stanza.settings_of(url), limits, clock)
        self._topics = Topics(self._link)
        self._presence = Presence(self._link)
        self._requests = Requests(self._link, self._presence)
        self._tasks: set[asyncio.Task[None]] = set()
        self._link.on_presence = self._presence.hear
        self._link.on_event = self._topics.hear
        self._link.on_ask = self._requests.take
        self._presence.on_gone = self._end_of
        self._link.restores += [self._presence.restore, self._topics.restore]

    @property
    def capabilities(self) -> Capabilities:
        """Live things, present values, and a presence that the server watches."""
        return Capabilities(
            engine="xmpp",
            topics=Durability.LOSSY,
            queues=None,
            bind=False,
            last=True,
            delay=False,
            priority=False,
            key_order=False,
            dedupe=False,
            dead_letters=False,
            browse=False,
            request=True,
            presence=Watching.CONNECTION,
            lease=Watching.NONE,
            message_bytes_max=self._bytes_max,
        )

    async def open(self, on_state: OnState) -> None:
        """Connect; raise `BusLost`, or `BusRefused` for a wrong account, password or TLS."""
        await self._link.open(on_state)
        try:
            await self._presence.show()
        except BusError:
            await self._link.close()
            raise

    async def close(self) -> None:
        """Leave and disconnect."""
        if self._link.connected:
            with contextlib.suppress(BusError):
                await self._topics.leave()
        self._stop()
        await self._link.close()

    async def publish(self, topic: str, message: Message, *, keep_last: bool = False) -> None:
        """Give it to all who listen; an alert to people as well."""
        self._check(message)
        await self._topics.publish(topic, message, keep_last)
        if topic == ALERTS:
            await self._tell_people(stanza.alert_text(message))

    async def last(self, topic: str) -> Message | None:
        """Return the topic's present value."""
        self._link.alive()
        return await self._topics.last(topic)

    async def subscribe(
        self, pattern: str, *, overflow: Overflow = Overflow.GAP, last: bool = False
    ) -> Subscription:
        """Listen from now on."""
        self._link.alive()
        if overflow is Overflow.WAIT:
            refuse_waiting("xmpp")
        return await self._topics.subscribe(pattern, last)

    async def topics(self) -> list[TopicStats]:
        """Return the topics that have a present value."""
        self._link.alive()
        return await self._topics.stats()

    async def _tell_people(self, text: str) -> None:
        """Send a chat message to everybody who may see the account's presence."""
        client = await self._link.client()
        people = [
            jid
            for jid in client.client_roster
            if client.client_roster[jid]["from"] and jid != self._link.settings.account
        ]
        for jid in people[:READERS_MAX]:
            client.send_message(mto=JID(jid), mbody=text, mtype="chat", mfrom=JID(self._link.jid))
        await self._link.settle()

    def _end_of(self, jid: str) -> None:
        task = asyncio.ensure_future(self._topics.end_of(jid))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._topics.stop()
        self._requests.stop()
        self._presence.stop()


_ENGINE: type[Engine] = XmppEngine
