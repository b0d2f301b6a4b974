"""Live topics: who listens, and what each has not read yet.

Place:  bus.hub.topic_calls -> [bus.hub.topics] -> bus.hub.connection
Rule:   memory alone; per listener a number for every message, so that a drop is seen as a jump.
"""

from __future__ import annotations

from collections import deque

from mergepoint.bus.hub.connection import Connection
from mergepoint.wire.frames import encode_json
from mergepoint.wire.names import compiled

CACHE_MAX = 10_000
"""Topics whose listeners are remembered."""
PUSH_MESSAGES_MAX = 256
PUSH_BYTES_MAX = 128 * 1024
"""What one frame to a listener holds; a single message may be longer."""


class Listener:
    """One live subscription of a connection, with what waits for it."""

    __slots__ = ("connection", "number", "pattern", "sent", "waiting", "waiting_bytes")

    def __init__(self, connection: Connection, number: int, pattern: str) -> None:
        self.connection = connection
        self.number = number
        self.pattern = pattern
        self.sent = 0
        """The number of the first message that waits; whoever was dropped counts."""
        self.waiting: deque[tuple[bytes, bytes]] = deque()
        self.waiting_bytes = 0

    def offer(self, message: tuple[bytes, bytes], messages_max: int, bytes_max: int) -> None:
        """Keep a message for this listener; drop the oldest while there are too many."""
        self.waiting.append(message)
        self.waiting_bytes += len(message[0]) + len(message[1])
        while len(self.waiting) > messages_max or (
            self.waiting_bytes > bytes_max and len(self.waiting) > 1
        ):
            self._next()

    def frame(self) -> bytes | None:
        """Return what waits as one frame, as much as may be in one."""
        if not self.waiting:
            return None
        first = self.sent
        parts: list[bytes] = []
        size = 0
        while self.waiting and len(parts) < 2 * PUSH_MESSAGES_MAX and size < PUSH_BYTES_MAX:
            message = self._next()
            parts += message
            size += len(message[0]) + len(message[1])
        head = {"sub": self.number, "s": first, "n": [len(part) for part in parts]}
        return encode_json(head, parts)

    def _next(self) -> tuple[bytes, bytes]:
        message = self.waiting.popleft()
        self.waiting_bytes -= len(message[0]) + len(message[1])
        self.sent += 1
        return message


class Topics:
    """Every live subscription."""

    def __init__(self, *, buffer_messages_max: int, buffer_bytes_max: int, topics_max: int) -> None:
        self._buffer_messages_max = buffer_messages_max
        self._buffer_bytes_max = buffer_bytes_max
        self._topics_max = topics_max
        self._listeners: dict[Connection, dict[int, Listener]] = {}
        self._cache: dict[str, tuple[Listener, ...]] = {}
        self.published: dict[str, int] = {}
        """How often each topic was published to since the start, the first `topics_max`."""

    def subscribe(self, connection: Connection, number: int, pattern: str) -> Listener:
        """Let a connection listen from now on."""
        mine = self._listeners.setdefault(connection, {})
        listener = mine[number] = Listener(connection, number, pattern)
        connection.more = lambda: [one for it in mine.values() if (one := it.frame())]
        self._cache.clear()
        return listener

    def unsubscribe(self, connection: Connection, number: int) -> None:
        """End that; nothing to do where there is none."""
        if self._listeners.get(connection, {}).pop(number, None) is not None:
            self._cache.clear()

    def gone(self, connection: Connection) -> None:
        """Forget a connection."""
        if self._listeners.pop(connection, None):
            self._cache.clear()

    def publish(self, topic: str, attributes: bytes, data: bytes) -> list[Connection]:
        """Offer a message to everybody who listens; return whom to flush."""
        count = self.published.get(topic)
        if count is not None or len(self.published) < self._topics_max:
            self.published[topic] = (count or 0) + 1
        message = (attributes, data)
        listeners = self.listeners(topic)
        for listener in listeners:
            self.offer(listener, message)
        return [listener.connection for listener in listeners]

    def offer(self, listener: Listener, message: tuple[bytes, bytes]) -> None:
        """Keep a message for one listener."""
        listener.offer(message, self._buffer_messages_max, self._buffer_bytes_max)

    def listeners(self, topic: str) -> tuple[Listener, ...]:
        """Return who listens to a topic now."""
        found = self._cache.get(topic)
        if found is None:
            if len(self._cache) >= CACHE_MAX:
                self._cache.clear()
            found = self._cache[topic] = tuple(
                listener
                for mine in self._listeners.values()
                for listener in mine.values()
                if compiled(listener.pattern).fullmatch(topic)
            )
        return found

    def patterns(self) -> set[str]:
        """Return every pattern that is listened to."""
        return {one.pattern for mine in self._listeners.values() for one in mine.values()}

    def count(self) -> int:
        """Return how many subscriptions there are."""
        return sum(len(mine) for mine in self._listeners.values())
