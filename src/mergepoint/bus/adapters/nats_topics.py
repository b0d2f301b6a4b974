"""Live topics and their present values on NATS.

Place:  bus.adapters.nats -> [nats_topics] -> nats_link
Rule:   every message says whose it is and its number on its topic, so what is missing is counted.

Listeners are core subscriptions; the stream of topics stands beside them and keeps a message for
the queues that are bound to it. A topic's present value is the last message of its own subject.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as Raw

from mergepoint.bus.adapters.nats_link import NO_STREAM, ApiFault, Link
from mergepoint.bus.adapters.nats_wire import KEPT, PUBLISHER, SEQUENCE, decode, encode, number_of
from mergepoint.bus.buffer import Buffer
from mergepoint.bus.contract import Limits, TopicStats
from mergepoint.wire.envelope import Message

COUNTED_MAX = 10_000
"""Topics that a publisher or a listener keeps numbers of; then the oldest one goes."""


class Counter:
    """The last number of each of many names; the one not used for longest is forgotten."""

    def __init__(self) -> None:
        self._numbers: OrderedDict[tuple[str, str], int] = OrderedDict()

    def next(self, name: str) -> int:
        """Return the next number."""
        number = self._numbers.get(("", name), 0) + 1
        self._keep(("", name), number)
        return number

    def missing(self, publisher: str, name: str, number: int) -> int:
        """Return how many were left out before this one."""
        known = self._numbers.get((publisher, name))
        self._keep((publisher, name), number)
        # A smaller number is a publisher that forgot this topic and began anew.
        return number - known - 1 if known is not None and number > known else 0

    def clear(self) -> None:
        """Know nothing."""
        self._numbers.clear()

    def _keep(self, key: tuple[str, str], number: int) -> None:
        self._numbers[key] = number
        self._numbers.move_to_end(key)
        if len(self._numbers) > COUNTED_MAX:
            self._numbers.popitem(last=False)


class Listening:
    """One live subscription, over as many connections as it lives."""

    def __init__(self, topics: Topics, pattern: str, buffer: Buffer) -> None:
        self.buffer = buffer
        self.pattern = pattern
        self._topics = topics
        self._counter = Counter()
        self._raw: Raw | None = None
        self._waiting: list[Msg] | None = None
        self._values: dict[str, int] = {}

    async def attach(self, client: Client) -> None:
        """Listen on this connection; return when the server knows."""
        self._counter.clear()
        subject = self._topics.link.names.topic(self.pattern)
        self._raw = await client.subscribe(subject, cb=self._on_message)
        await self._topics.link.settle(client)

    def hold_back(self) -> None:
        """Keep what comes until the present values are known."""
        self._waiting = []

    def begin_with(self, values: list[tuple[str, int, Message]]) -> None:
        """Give the present values first, then what came since."""
        for topic, revision, message in values:
            self._values[topic] = revision
            self.buffer.offer(message)
        waiting, self._waiting = self._waiting or [], None
        for held_back in waiting:
            self._take(held_back)

    def __aiter__(self) -> Buffer:
        return self.buffer

    async def close(self) -> None:
        """End the iteration; a second call does nothing."""
        self.buffer.close()
        self._topics.forget(self)
        raw, self._raw = self._raw, None
        if raw is not None and self._topics.link.connected:
            await raw.unsubscribe()

    async def _on_message(self, message: Msg) -> None:
        if self._waiting is None:
            self._take(message)
        else:
            self._waiting.append(message)

    def _take(self, message: Msg) -> None:
        headers = message.headers or {}
        topic = message.subject
        number = int(number_of(headers, SEQUENCE))
        publisher = headers.get(PUBLISHER, "")
        if publisher and (lost := self._counter.missing(publisher, topic, number)):
            self.buffer.gap(lost)
        kept = int(number_of(headers, KEPT))
        if kept and kept <= self._values.get(topic, 0):
            return  # it was among the present values, or older than one
        self.buffer.offer(decode(headers, message.data, topic, number))


class Topics:
    """The live topics of one connection."""

    def __init__(self, link: Link, limits: Limits) -> None:
        self.link = link
        self._limits = limits
        self._id = uuid.uuid4().hex[:16]
        self._counter = Counter()
        self._listening: list[Listening] = []

    async def attach(self, client: Client) -> None:
        """Listen again on a new connection; what was missed in between is not known."""
        for one in list(self._listening):
            await one.attach(client)
            one.buffer.gap(0)

    def end(self) -> None:
        """End every iteration."""
        for one in self._listening:
            one.buffer.close()

    def forget(self, listening: Listening) -> None:
        """Attach it no more."""
        if listening in self._listening:
            self._listening.remove(listening)

    async def publish(self, topic: str, message: Message, keep_last: bool) -> None:
        """Give it to all who listen and to the queues that are bound."""
        stream = await self.link.stream("topics")
        more = {KEPT: str(await self._keep(topic, message))} if keep_last else {}
        await self.link.client()
        # From here to the sending nothing else runs, so numbers leave in their order.
        headers = encode(message, **more)
        headers[PUBLISHER], headers[SEQUENCE] = self._id, str(self._counter.next(topic))
        try:
            await self.link.store(self.link.names.topic(topic), message.data, headers)
        except ApiFault as fault:
            if fault.code == NO_STREAM:
                self.link.forget(stream)
            raise fault.told() from None

    async def last(self, topic: str) -> Message | None:
        """Return the topic's present value."""
        found = await self._values(topic)
        return found[0][2] if found else None

    async def subscribe(self, pattern: str, last: bool) -> Listening:
        """Listen from now on, to the present values first if asked."""
        one = Listening(self, pattern, Buffer(self._limits))
        if last:
            one.hold_back()
        client = await self.link.client()
        await self.link.unless_lost(one.attach(client))
        self._listening.append(one)
        if last:
            one.begin_with(await self._values(pattern))
        return one

    async def stats(self) -> list[TopicStats]:
        """Return the topics that have a present value: NATS remembers no others."""
        stream = await self.link.stream("last")
        head = self.link.names.kept("")
        try:
            info = await self.link.api(f"STREAM.INFO.{stream}", subjects_filter=head + ">")
        except ApiFault as fault:
            raise fault.told() from None
        names = sorted(info["state"].get("subjects") or {})
        return [TopicStats(name=name.removeprefix(head), last=True) for name in names]

    async def _keep(self, topic: str, message: Message) -> int:
        stream = await self.link.stream("last")
        try:
            subject = self.link.names.kept(topic)
            return int((await self.link.store(subject, message.data, encode(message)))["seq"])
        except ApiFault as fault:
            if fault.code == NO_STREAM:
                self.link.forget(stream)
            raise fault.told() from None

    async def _values(self, pattern: str) -> list[tuple[str, int, Message]]:
        """Return the present values of a pattern, with the subject of the live topic."""
        stream, head = await self.link.stream("last"), self.link.names.kept("")
        found: list[tuple[str, int, Message]] = []
        sequence = 1
        while True:
            try:
                stored = await self.link.stored(
                    stream, seq=sequence, next_by_subj=self.link.names.kept(pattern)
                )
            except ApiFault as fault:
                raise fault.told() from None
            if stored is None:
                return found
            topic = stored.subject.removeprefix(head)
            message = decode(stored.headers, stored.data, topic, stored.sequence)
            found.append((self.link.names.topic(topic), stored.sequence, message))
            sequence = stored.sequence + 1
