"""Live topics over publish and subscribe, and last values in a hash.

Place:  adapters.redis.engine -> [topics] -> lua/publish.lua, listening
Rule:   one connection loses nothing while it lives; when it ends, every reader gets `Gap(0)`.

A server that cannot send to us fast enough ends the connection (client-output-buffer-limit), so
that, too, is told. What a reader here is too slow for is counted by its own buffer.
"""

from __future__ import annotations

from typing import Any

from mergepoint.bus.adapters.redis import carried
from mergepoint.bus.adapters.redis.link import Link
from mergepoint.bus.buffer import Buffer
from mergepoint.bus.contract import Gap, Put, TopicStats
from mergepoint.wire.envelope import EnvelopeInvalid, Message
from mergepoint.wire.names import matches

TOPICS_MAX = 100_000
"""Topics whose messages are counted."""
SCANNED = 500
"""Last values read at once."""


class Topics:
    """The live subscriptions of one process."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._readers: dict[str, list[RedisSubscription]] = {}
        link.missed.append(self._lost)

    async def publish(self, topic: str, message: Message, *, keep: bool) -> None:
        """Feed bound queues, keep the value, tell whoever listens: all at once or nothing."""
        put = Put(message=message, key=message.extensions.get("mpkey", ""))
        asked: dict[str, Any] = {  # Any: JSON
            "topic": topic,
            "keep": keep,
            "topics_max": TOPICS_MAX,
            "one": carried.asked_put(put, self._link.limits),
            **carried.bounds(self._link.limits),
        }
        await self._link.run("publish", asked, carried.packed(message))

    async def last(self, topic: str) -> Message | None:
        """Return the present value."""
        kept = await self._link.command("HGET", f"{self._link.prefix}last", topic)
        return _numbered(kept)[1] if kept else None

    async def subscribe(self, pattern: str, *, last: bool) -> RedisSubscription:
        """Return once the server pushes whatever is published from now on."""
        subscription = RedisSubscription(self, pattern)
        readers = self._readers.setdefault(pattern, [])
        readers.append(subscription)
        try:
            await self._link.listen(
                _channels(pattern),
                lambda channel, payload: self._came(pattern, channel, payload),
                pattern=_has_wildcard(pattern),
            )
            values = await self._values(pattern) if last else {}
        except BaseException:
            await self.remove(subscription)
            raise
        subscription.begin(values)
        return subscription

    async def remove(self, subscription: RedisSubscription) -> None:
        """Forget a reader; the channel goes with its last one."""
        pattern = subscription.pattern
        readers = self._readers.get(pattern, [])
        if subscription in readers:
            readers.remove(subscription)
        if not readers and self._readers.pop(pattern, None) is not None:
            await self._link.unlisten(_channels(pattern), pattern=_has_wildcard(pattern))

    async def known(self) -> list[TopicStats]:
        """Return topics that were published to, by name."""
        prefix = self._link.prefix
        counted = _pairs(await self._link.command("HGETALL", f"{prefix}topics"))
        kept = set(await self._link.command("HKEYS", f"{prefix}last"))
        return [
            TopicStats(name=name.decode(), published=int(count), last=name in kept)
            for name, count in sorted(counted.items())
        ]

    def close(self) -> None:
        """End every iteration."""
        for readers in self._readers.values():
            for subscription in readers:
                subscription.buffer.close()
        self._readers.clear()

    def new_buffer(self) -> Buffer:
        """Return what one reader holds."""
        return Buffer(self._link.limits)

    async def _values(self, pattern: str) -> dict[str, tuple[int, Message]]:
        prefix = self._link.prefix
        if not _has_wildcard(pattern):
            kept = await self._link.command("HGET", f"{prefix}last", pattern)
            return {pattern: _numbered(kept)} if kept else {}
        found: dict[str, tuple[int, Message]] = {}
        cursor = b"0"
        while True:
            cursor, page = await self._link.command(
                "HSCAN", f"{prefix}last", cursor, "COUNT", SCANNED
            )
            for topic, kept in _pairs(page).items():
                if matches(pattern, topic.decode()):
                    found[topic.decode()] = _numbered(kept)
            if int(cursor) == 0:
                return found

    def _came(self, pattern: str, channel: bytes, payload: bytes) -> None:
        topic = channel.decode().removeprefix(f"{self._link.prefix}topic:")
        if not matches(pattern, topic):
            return  # the server's `*` matches dots, ours does not
        try:
            number, message = _numbered(payload)
        except (EnvelopeInvalid, ValueError):
            return  # published by somebody else under our prefix; no message of ours
        for subscription in tuple(self._readers.get(pattern, ())):
            subscription.take(topic, number, message)

    def _lost(self) -> None:
        """Between two connections: nobody knows what was published meanwhile."""
        for readers in self._readers.values():
            for subscription in readers:
                subscription.buffer.gap(0)


class RedisSubscription:
    """Messages of one pattern for one reader."""

    def __init__(self, topics: Topics, pattern: str) -> None:
        self.pattern = pattern
        self.buffer = topics.new_buffer()
        self._topics = topics
        self._early: list[tuple[str, int, Message]] | None = []
        self._numbers: dict[str, int] = {}

    def begin(self, values: dict[str, tuple[int, Message]]) -> None:
        """Offer the kept values, then what came while they were read and is newer."""
        for _number, message in sorted(values.values(), key=lambda one: one[0]):
            self.buffer.offer(message)
        self._numbers = {topic: number for topic, (number, _) in values.items()}
        early, self._early = self._early or [], None
        for topic, number, message in early:
            self.take(topic, number, message)

    def take(self, topic: str, number: int, message: Message) -> None:
        """Offer a message unless it is the kept value that was offered already."""
        if self._early is not None:
            self._early.append((topic, number, message))
        elif number > self._numbers.get(topic, 0):
            self.buffer.offer(message)

    def __aiter__(self) -> RedisSubscription:
        return self

    async def __anext__(self) -> Message | Gap:
        return await anext(self.buffer)

    async def close(self) -> None:
        """End the iteration; a second call does nothing."""
        self.buffer.close()
        await self._topics.remove(self)


def _channels(pattern: str) -> str:
    """Return the channel, or the server's pattern that matches at least as much."""
    if not _has_wildcard(pattern):
        return f"topic:{pattern}"
    return "topic:" + pattern.replace(">", "*")


def _has_wildcard(pattern: str) -> bool:
    return "*" in pattern or ">" in pattern


def _numbered(payload: bytes) -> tuple[int, Message]:
    number, _, document = payload.partition(b" ")
    return int(number), carried.unpacked(document)


def _pairs(answer: Any) -> dict[bytes, bytes]:  # Any: RESP2 says lists, the library may say dict
    if isinstance(answer, dict):
        return answer
    return dict(zip(answer[::2], answer[1::2], strict=True))
