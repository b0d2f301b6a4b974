"""What topics keep on the disk: their present value, and the queues they feed.

Place:  bus.hub.store -> [bus.hub.present]
Rule:   inside the caller's transaction; memory follows by the journal.
"""

from __future__ import annotations

from mergepoint.bus.errors import BusFull
from mergepoint.bus.hub.parts import Parts
from mergepoint.bus.hub.queues import Queue
from mergepoint.wire.names import matches

BINDINGS_MAX = 10_000
CACHE_MAX = 10_000
"""Topics whose bound queues are remembered."""


class Present:
    """Bindings and present values."""

    def __init__(self, parts: Parts, topics_max: int) -> None:
        self._parts = parts
        self._db = parts.db
        self._topics_max = topics_max
        self._bindings: dict[tuple[str, Queue], None] = {}
        self._cache: dict[str, tuple[Queue, ...]] = {}
        for pattern, number in self._db.execute("SELECT pattern, queue FROM bindings"):
            self._bindings[(pattern, parts.queues.numbered(number))] = None
        self._topics = {name for (name,) in self._db.execute("SELECT topic FROM present")}

    @property
    def topics(self) -> frozenset[str]:
        """Every topic that has a present value."""
        return frozenset(self._topics)

    def has(self, topic: str) -> bool:
        """Tell whether a topic has a present value."""
        return topic in self._topics

    def bind(self, queue: Queue, pattern: str) -> None:
        """Let `pattern` feed the queue from now on; a second time does nothing."""
        if (pattern, queue) in self._bindings:
            return
        if len(self._bindings) >= BINDINGS_MAX:
            raise BusFull(f"{BINDINGS_MAX} bindings are there, the most allowed")
        self._db.execute("INSERT INTO bindings VALUES (?, ?)", (pattern, queue.number))
        self._set(pattern, queue)
        self._parts.journal.add(self._unset, pattern, queue)

    def unbind(self, queue: Queue, pattern: str) -> None:
        """End that; nothing to do where there is none."""
        if (pattern, queue) not in self._bindings:
            return
        self._db.execute(
            "DELETE FROM bindings WHERE pattern = ? AND queue = ?", (pattern, queue.number)
        )
        self._unset(pattern, queue)
        self._parts.journal.add(self._set, pattern, queue)

    def fed_by(self, topic: str) -> tuple[Queue, ...]:
        """Return the queues that a message published to this topic is put into."""
        if not self._bindings:
            return ()
        found = self._cache.get(topic)
        if found is None:
            if len(self._cache) >= CACHE_MAX:
                self._cache.clear()
            once = dict.fromkeys(q for pattern, q in self._bindings if matches(pattern, topic))
            found = self._cache[topic] = tuple(once)
        return found

    def keep(self, topic: str, attributes: bytes, data: bytes) -> None:
        """Make this the topic's present value; raise `BusFull` for one topic too many."""
        if topic not in self._topics:
            if len(self._topics) >= self._topics_max:
                raise BusFull(f"{self._topics_max} topics have a present value, the most allowed")
            self._topics.add(topic)
            self._parts.journal.add(self._topics.discard, topic)
        self._db.execute(
            "INSERT OR REPLACE INTO present VALUES (?, ?, ?, ?)",
            (topic, attributes, data, self._parts.unix_s),
        )

    def last(self, topic: str) -> tuple[bytes, bytes] | None:
        """Return attributes and data of the present value."""
        row = self._db.execute(
            "SELECT attributes, data FROM present WHERE topic = ?", (topic,)
        ).fetchone()
        return None if row is None else (row[0], row[1])

    def matching(self, pattern: str) -> list[tuple[bytes, bytes]]:
        """Return attributes and data of the present values of a pattern, by topic."""
        topics = sorted(name for name in self._topics if matches(pattern, name))
        return [value for topic in topics if (value := self.last(topic)) is not None]

    def _set(self, pattern: str, queue: Queue) -> None:
        self._bindings[(pattern, queue)] = None
        self._cache.clear()

    def _unset(self, pattern: str, queue: Queue) -> None:
        del self._bindings[(pattern, queue)]
        self._cache.clear()
