"""Live topics in PostgreSQL: published together, read once for a whole process.

Place:  postgres -> [postgres_topics] -> postgres_link, postgres_topics.sql
Rule:   events are counted in the order they are committed, so whatever is missing is known.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mergepoint.bus.adapters import postgres_rows as rows
from mergepoint.bus.adapters.postgres_link import Link
from mergepoint.bus.buffer import Buffer
from mergepoint.bus.capabilities import refuse_waiting
from mergepoint.bus.contract import Overflow, TopicStats
from mergepoint.bus.errors import BusClosed, BusError
from mergepoint.wire.envelope import Message

CHANNEL = "mergepoint"
WAKE = "t"
"""The wake that says: there are events."""
PRESENCE = "mp.presence"
"""The topic that `mergepoint.tell` publishes to; seen by `on_presence` alone."""
READ_MAX = 64
"""Events of one read: no more of the largest messages than a process can hold."""
POLL_S = 1.0
"""How long readers rely on wakes."""
EVENTS_S = 60.0
EVENTS_MAX = 20_000
"""How long, and how many, events wait for processes that are behind; then they are a `Gap`."""
READ_SQL = """
SELECT p.epoch, e.n, e.topic, e.topic_n, e.attributes, e.data FROM mergepoint.pulse p
LEFT JOIN (
    SELECT * FROM mergepoint.event WHERE n > %s ORDER BY n LIMIT %s
) AS e ON true ORDER BY e.n
"""
HERE_SQL = """
SELECT p.epoch, p.n, (SELECT coalesce(json_object_agg(name, n), '{}') FROM mergepoint.topic)
FROM mergepoint.pulse p
"""
BEGIN_SQL = """
INSERT INTO mergepoint.pulse (epoch, n) SELECT gen_random_uuid()::text, 0
WHERE NOT EXISTS (SELECT FROM mergepoint.pulse) ON CONFLICT DO NOTHING
"""
LAST_SQL = "SELECT topic, attributes, data FROM mergepoint.last WHERE topic ~ %s ORDER BY topic"


def regex(pattern: str) -> str:
    """Return a pattern of topics as a regular expression that PostgreSQL and Python read alike."""
    words = {"*": "[^.]+", ">": ".+"}
    return "^" + r"\.".join(words.get(part, re.escape(part)) for part in pattern.split(".")) + "$"


@dataclass
class Here:
    """A place in the stream of events: all topics' counts there."""

    epoch: str
    n: int
    counts: dict[str, int]


@dataclass(eq=False)
class PostgresSubscription:
    """See `Subscription`."""

    topics: Topics
    matches: re.Pattern[str]
    buffer: Buffer
    start: Here

    def __aiter__(self) -> Buffer:
        return self.buffer

    async def close(self) -> None:
        """End the iteration; a second call does nothing."""
        self.topics.subscriptions.discard(self)
        self.buffer.close()

    def takes(self, topic: str) -> bool:
        """Tell whether messages of the topic are for this one."""
        return topic != PRESENCE and self.matches.match(topic) is not None


@dataclass
class _Reading:
    """How far this process has read."""

    epoch: str = ""
    n: int = 0
    counts: dict[str, int] = field(default_factory=dict)


class Topics:
    """Subscriptions of this process."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.subscriptions: set[PostgresSubscription] = set()
        self.on_presence: Any = None  # a callable of (n, attributes), or None; called on the loop
        self.on_presence_gap: Any = None
        self._read = _Reading()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._closed = False

    async def subscribe(
        self, pattern: str, *, overflow: Overflow, last: bool
    ) -> PostgresSubscription:
        """See `Engine.subscribe`."""
        if overflow is Overflow.WAIT:
            refuse_waiting("postgresql")
        async with self._lock:
            here = await self.here()
            # Values after the place: one that is newer comes twice, but none is missed.
            kept = await self._link.call(LAST_SQL, (regex(pattern),)) if last else []
            buffer = Buffer(self._link.limits)
            for _topic, attributes, data in kept:
                buffer.offer(rows.message(attributes, data))
            one = PostgresSubscription(self, re.compile(regex(pattern)), buffer, here)
            self.start(here)
            self.subscriptions.add(one)
        return one

    async def here(self) -> Here:
        """Return the place in the stream that everything committed by now lies before."""
        found = await self._link.call(HERE_SQL)
        if not found:
            await self._link.call(BEGIN_SQL)
            found = await self._link.call(HERE_SQL)
        ((epoch, n, counts),) = found
        return Here(epoch, n, dict(counts))

    def start(self, here: Here) -> None:
        """Read from this place on, unless this process reads already."""
        if self._task is None:
            self._read = _Reading(here.epoch, here.n, dict(here.counts))
            self._task = asyncio.create_task(self._follow(), name="postgresql events")

    async def last(self, topic: str) -> Message | None:
        """See `Engine.last`."""
        found = await self._link.call(
            "SELECT attributes, data FROM mergepoint.last WHERE topic = %s", (topic,)
        )
        return rows.message(*found[0]) if found else None

    async def stats(self) -> list[TopicStats]:
        """See `Engine.topics`."""
        found = await self._link.call(
            "SELECT coalesce(t.name, l.topic), t.n, l.topic IS NOT NULL FROM mergepoint.topic t"
            " FULL JOIN mergepoint.last l ON l.topic = t.name ORDER BY 1"
        )
        return [
            TopicStats(name=name, published=n or 0, last=kept)
            for name, n, kept in sorted(found)
            if name != PRESENCE
        ]

    async def bind(self, queue: str, pattern: str) -> None:
        """See `Engine.bind`."""
        await self._link.call(
            "WITH q AS (INSERT INTO mergepoint.queue VALUES (%(queue)s) ON CONFLICT DO NOTHING)"
            " INSERT INTO mergepoint.binding VALUES (%(queue)s, %(pattern)s, %(regex)s)"
            " ON CONFLICT DO NOTHING",
            {"queue": queue, "pattern": pattern, "regex": regex(pattern)},
        )

    async def unbind(self, queue: str, pattern: str) -> None:
        """See `Engine.unbind`."""
        await self._link.call(
            "DELETE FROM mergepoint.binding WHERE queue = %s AND pattern = %s", (queue, pattern)
        )

    def woken(self) -> None:
        """Read now: somebody published."""
        self._woken.set()

    async def restore(self) -> None:
        """Say that something may be missing, and go on where this process was, if that is there."""
        here = await self.here()
        for one in self.subscriptions:
            one.buffer.gap(0)
        if here.epoch != self._read.epoch:
            self._leap(here)
            if self.on_presence_gap is not None:
                self.on_presence_gap()
        self._woken.set()

    async def close(self) -> None:
        """End every subscription."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for one in list(self.subscriptions):
            await one.close()

    # --- reading ----------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._woken.wait()
            self._woken.clear()
            try:
                while await self._read_some():
                    pass
            except BusClosed:
                return
            except BusError:
                # The link knows as well, and `restore` wakes this again.
                await self._link.clock.sleep(POLL_S)

    async def _read_some(self) -> bool:
        """Read once; tell whether there may be more."""
        found = await self._link.call(READ_SQL, (self._read.n, READ_MAX))
        if not found or found[0][0] != self._read.epoch:
            await self._lose_place()
            return False
        events = [row for row in found if row[1] is not None]
        if events and events[0][1] != self._read.n + 1:
            await self._lose_place()
            return True
        for _epoch, n, topic, topic_n, attributes, data in events:
            self._read.n, self._read.counts[topic] = n, topic_n
            self._hand_out(n, topic, attributes, data)
        return len(events) == READ_MAX

    def _hand_out(self, n: int, topic: str, attributes: Mapping[str, Any], data: bytes) -> None:
        if topic == PRESENCE:
            if self.on_presence is not None:
                self.on_presence(n, attributes)
            return
        message: Message | None = None
        for one in self.subscriptions:
            if n > one.start.n and one.takes(topic):
                message = message or rows.message(attributes, data)
                one.buffer.offer(message)

    async def _lose_place(self) -> None:
        """Events were forgotten before this process read them: count them, and go on from now."""
        here = await self.here()
        if here.epoch != self._read.epoch:
            for one in self.subscriptions:
                one.buffer.gap(0)
        else:
            for one in self.subscriptions:
                lost = missing(one, self._read.counts, here)
                if lost:
                    one.buffer.gap(lost)
        self._leap(here)
        if self.on_presence_gap is not None:
            self.on_presence_gap()

    def _leap(self, here: Here) -> None:
        self._read = _Reading(here.epoch, here.n, dict(here.counts))


def missing(one: PostgresSubscription, read: Mapping[str, int], here: Here) -> int:
    """Return how many messages lie between what was read and `here` for this subscription."""
    return sum(
        max(0, n - max(read.get(topic, 0), one.start.counts.get(topic, 0)))
        for topic, n in here.counts.items()
        if one.takes(topic)
    )
