"""Live topics and their present values over XMPP: two nodes of the site's pubsub service.

Place:  bus.adapters.xmpp -> [xmpp_topics] -> xmpp_link
Rule:   every process hears one node and chooses; a topic's present value is the item of its name.

The service keeps as many present values as its `pubsub_max_items` allows (Prosody: 256); past
that, the one kept for longest goes.
"""

from __future__ import annotations

import contextlib
from typing import Any

from slixmpp.exceptions import IqError

from mergepoint.bus.adapters import xmpp_stanza as stanza
from mergepoint.bus.adapters.xmpp_link import Link, Verb
from mergepoint.bus.buffer import Buffer
from mergepoint.bus.contract import TopicStats
from mergepoint.bus.errors import BusError
from mergepoint.wire.envelope import Message
from mergepoint.wire.names import matches

TOPIC, KEPT = "topic", "kept"
ALREADY, MISSING = "conflict", "item-not-found"


class Listening:
    """One live subscription."""

    def __init__(self, topics: Topics, pattern: str, buffer: Buffer, last: bool) -> None:
        self.pattern = pattern
        self.buffer = buffer
        self._topics = topics
        self._values: dict[str, int] = {}
        self._waiting: list[tuple[str, int, Message]] | None = [] if last else None

    def __aiter__(self) -> Buffer:
        return self.buffer

    async def close(self) -> None:
        """End the iteration; a second call does nothing."""
        self.buffer.close()
        self._topics.forget(self)

    def begin_with(self, values: list[tuple[str, int, Message]]) -> None:
        """Give the present values first, then what came since."""
        for topic, kept, message in values:
            self._values[topic] = kept
            self.buffer.offer(message)
        waiting, self._waiting = self._waiting or [], None
        for item in waiting:
            self.take(*item)

    def take(self, topic: str, kept: int, message: Message) -> None:
        """Take in a live message; those that were among the present values are known."""
        if self._waiting is not None:
            self._waiting.append((topic, kept, message))
        elif not kept or kept > self._values.get(topic, 0):
            self.buffer.offer(message)


class Topics:
    """What this process publishes and listens to."""

    def __init__(self, link: Link) -> None:
        self._link = link
        prefix = link.settings.prefix
        self._live, self._last = f"{prefix}.live", f"{prefix}.last"
        self._listening: list[Listening] = []
        self._stamp = 0
        self._made: set[str] = set()
        self._subscribed = False

    def stop(self) -> None:
        """End every iteration."""
        for one in self._listening:
            one.buffer.close()

    async def restore(self) -> None:
        """Subscribe again; what was missed in between is not known."""
        self._made.clear()
        if self._subscribed:
            await self._subscribe(now=True)
        for one in self._listening:
            one.buffer.gap(0)

    async def leave(self) -> None:
        """Have nothing sent to this address any more."""
        if self._subscribed:
            await self.end_of(self._link.jid)

    async def end_of(self, jid: str) -> None:
        """End the subscription of an address that is gone: the service would keep it."""
        request = stanza.subscription(self._live, jid, "unsubscribe")
        with contextlib.suppress(BusError, IqError):
            await self._link.ask(self._link.settings.pubsub, "set", request)

    async def publish(self, topic: str, message: Message, keep_last: bool) -> None:
        """Return when the service has given it to all who listen."""
        marks = {TOPIC: topic}
        if keep_last:
            # Each is later than the one before, for whoever gets both the value and its copy.
            self._stamp = max(self._stamp + 1, int(self._link.clock.unix_s() * 1e9))
            marks[KEPT] = str(self._stamp)
            await self._publish(self._last, topic, message, marks)
        await self._publish(self._live, "", message, marks)

    async def last(self, topic: str) -> Message | None:
        """Return the topic's present value."""
        found = await self._values(topic)
        return found[0][2] if found else None

    async def subscribe(self, pattern: str, last: bool) -> Listening:
        """Listen from now on."""
        await self._subscribe()
        await self._link.client()
        await self._link.settle()
        one = Listening(self, pattern, Buffer(self._link.limits), last)
        self._listening.append(one)
        if last:
            values = await self._values("")
            one.begin_with([value for value in values if matches(pattern, value[0])])
        return one

    def forget(self, listening: Listening) -> None:
        """Hear for it no more."""
        if listening in self._listening:
            self._listening.remove(listening)

    async def stats(self) -> list[TopicStats]:
        """Return the topics that have a present value."""
        return [TopicStats(name=name, last=True) for name, _, _ in sorted(await self._values(""))]

    def hear(self, event: Any) -> None:
        """Take in what the service sent."""
        items = event.xml.find(f"{{{stanza.EVENT}}}event/{{{stanza.EVENT}}}items")
        if items is None or items.get("node") != self._live:
            return
        for item in items:
            for element in item:
                message = stanza.unpacked(element)
                if message is None:
                    continue
                topic, kept = element.get(TOPIC, ""), int(element.get(KEPT, "0"))
                for one in list(self._listening):
                    if matches(one.pattern, topic):
                        one.take(topic, kept, message)

    async def _publish(self, node: str, item: str, message: Message, marks: dict[str, str]) -> None:
        await self._make(node)
        request = stanza.publication(node, item, stanza.packed(message, **marks))
        await self._ask("set", request)

    async def _subscribe(self, *, now: bool = False) -> None:
        if self._subscribed and not now:
            return
        await self._make(self._live, now=now)
        await self._ask("set", stanza.subscription(self._live, self._link.jid), now=now)
        self._subscribed = True

    async def _make(self, node: str, *, now: bool = False) -> None:
        if node in self._made:
            return
        config = {"persist_items": "1", "max_items": "max"}
        if node == self._live:
            config = {"persist_items": "0"}
        try:
            await self._ask("set", stanza.creation(node, **config), now=now, known=ALREADY)
        finally:
            self._made.add(node)

    async def _values(self, topic: str) -> list[tuple[str, int, Message]]:
        await self._make(self._last)
        answer = await self._ask("get", stanza.items_request(self._last, topic), known=MISSING)
        if answer is None:
            return []
        found = []
        for element in answer.xml.iter(f"{{{stanza.OWN}}}m"):
            if (message := stanza.unpacked(element)) is not None:
                found.append((element.get(TOPIC, ""), int(element.get(KEPT, "0")), message))
        return found

    async def _ask(self, verb: Verb, request: Any, *, now: bool = False, known: str = "") -> Any:
        ask = self._link.ask_now if now else self._link.ask
        try:
            return await ask(self._link.settings.pubsub, verb, request)
        except IqError as error:
            if error.condition == known:
                return None
            raise self._link.told(error) from None
