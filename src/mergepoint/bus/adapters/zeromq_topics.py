"""Live topics over ZeroMQ: lossy, and every loss is counted where it was.

Place:  bus.adapters.zeromq -> [zeromq_topics] -> zeromq_link
Rule:   the relay numbers the messages of each topic and tells the last number again for a while.
"""

from __future__ import annotations

import json
from collections import OrderedDict

from mergepoint.bus.adapters import zeromq_wire as wire
from mergepoint.bus.adapters.zeromq_link import Link
from mergepoint.bus.adapters.zeromq_relay import COUNTED_MAX, Frames
from mergepoint.bus.buffer import Buffer
from mergepoint.bus.contract import TopicStats
from mergepoint.bus.errors import BusLost
from mergepoint.wire.envelope import Message
from mergepoint.wire.names import matches


class Listening:
    """One live subscription."""

    def __init__(self, topics: Topics, pattern: str, buffer: Buffer) -> None:
        self.pattern = pattern
        self.buffer = buffer
        self._topics = topics
        self._epoch = b""
        self._numbers: OrderedDict[str, int] = OrderedDict()
        self._waiting: list[tuple[str, bytes, int, Message | None]] | None = []

    def __aiter__(self) -> Buffer:
        return self.buffer

    async def close(self) -> None:
        """End the iteration; a second call does nothing."""
        self.buffer.close()
        self._topics.forget(self)

    def begin(self, epoch: bytes, numbers: dict[str, int]) -> None:
        """Count from here: these numbers were given before this subscription."""
        self._epoch, self._numbers = epoch, OrderedDict(numbers)
        waiting, self._waiting = self._waiting or [], None
        for topic, its_epoch, number, message in waiting:
            if its_epoch != epoch or number > numbers.get(topic, 0):
                self.take(topic, its_epoch, number, message)

    def take(self, topic: str, epoch: bytes, number: int, message: Message | None) -> None:
        """Take in a message, or a tally of how many there were."""
        if self._waiting is not None:
            self._waiting.append((topic, epoch, number, message))
            return
        if epoch != self._epoch:
            # Another relay: what was lost between the two is told by `Topics.restore`.
            self._epoch = epoch
            self._numbers.clear()
            self._numbers[topic] = number - 1
        # A tally tells the number of the last message, a message its own.
        own = 0 if message is None else 1
        lost = number - self._numbers.get(topic, 0) - own
        if lost > 0:
            self.buffer.gap(lost)
        if message is not None:
            self.buffer.offer(message)
        self._numbers[topic] = number
        self._numbers.move_to_end(topic)
        if len(self._numbers) > COUNTED_MAX:
            self._numbers.popitem(last=False)


class Topics:
    """What this process publishes and listens to."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._listening: list[Listening] = []
        self._published: OrderedDict[str, int] = OrderedDict()

    def stop(self) -> None:
        """End every iteration."""
        for one in self._listening:
            one.buffer.close()

    async def restore(self) -> None:
        """The relay was away: sockets have subscribed by themselves, what was sent is lost."""
        for one in self._listening:
            one.buffer.gap(0)

    async def publish(self, topic: str, message: Message) -> None:
        """Give it to the relay, which gives it to all who listen."""
        await self._link.send(wire.PUBLISH, wire.topic_frame(topic), *wire.pack(message))
        self._published[topic] = self._published.get(topic, 0) + 1
        self._published.move_to_end(topic)
        if len(self._published) > COUNTED_MAX:
            self._published.popitem(last=False)

    async def subscribe(self, pattern: str) -> Listening:
        """Listen from now on."""
        one = Listening(self, pattern, Buffer(self._link.limits))
        self._listening.append(one)
        try:
            await self._link.listen(wire.prefix_of(pattern))
        except BaseException:
            self._listening.remove(one)
            raise
        try:
            _, epoch, numbers = await self._link.call(wire.COUNTS, pattern.encode())
        except TimeoutError:
            self.forget(one)
            raise BusLost(f"zeromq: the relay did not answer for {pattern}") from None
        one.begin(epoch, json.loads(numbers))
        return one

    def forget(self, listening: Listening) -> None:
        """Hear for it no more."""
        if listening in self._listening:
            self._listening.remove(listening)
            self._link.unlisten(wire.prefix_of(listening.pattern))

    def hear(self, frames: Frames) -> None:
        """Take in what the relay handed out."""
        if len(frames) not in (3, 5):
            return
        topic, epoch = wire.topic_of(frames[0]), frames[1]
        message = wire.unpack(*frames[3:]) if len(frames) == 5 else None
        if message is None and len(frames) == 5:
            return
        for one in self._listening:
            if matches(one.pattern, topic):
                one.take(topic, epoch, int.from_bytes(frames[2]), message)

    def stats(self) -> list[TopicStats]:
        """Return the topics that this process published to: nobody knows of the others."""
        return [
            TopicStats(name=name, published=number)
            for name, number in sorted(self._published.items())
        ]
