"""Publishing from one process: what waits at the same time goes in one transaction.

Place:  postgres -> [postgres_publish] -> postgres_link
Rule:   each caller gets its own outcome; one that does not fit spoils nobody else's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mergepoint.bus.adapters import postgres_rows as rows
from mergepoint.bus.adapters.postgres_link import Link
from mergepoint.bus.adapters.postgres_topics import CHANNEL, WAKE
from mergepoint.bus.errors import BusClosed, BusError, BusLost
from mergepoint.wire.envelope import Message

BATCH_MAX = 200
BATCH_BYTES_MAX = 4 * 1024 * 1024
PUBLISH_SQL = (
    "SELECT * FROM mergepoint.publish(%s::text[], %s::text[], %s::text[], %s::bytea[], %s::text[],"
    " %s::bool[], %s, %s, %s)"
)


@dataclass
class _Waiting:
    topic: str
    message: Message
    head: str
    keep: bool
    done: asyncio.Future[None]


class Publisher:
    """Hands events to the database, in the order they were given."""

    def __init__(self, link: Link, on_queue: Callable[[str], None]) -> None:
        self._link = link
        self._on_queue = on_queue
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def publish(self, topic: str, message: Message, keep: bool) -> None:
        """See `Engine.publish`."""
        if self._closed:
            raise BusClosed("the bus was closed in this process")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(
            _Waiting(topic, message, rows.head(message, self._link.limits), keep, done)
        )
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._flush(), name="postgresql publish")
        await done

    async def close(self) -> None:
        """Fail what has not been published."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for one in self._waiting:
            if not one.done.done():
                one.done.set_exception(BusClosed("the bus was closed in this process"))

    async def _flush(self) -> None:
        while self._waiting:
            count = fitting([len(one.message.data) for one in self._waiting])
            batch, self._waiting = self._waiting[:count], self._waiting[count:]
            try:
                await self._send(batch)
            except asyncio.CancelledError:
                for one in batch:
                    if not one.done.done():
                        one.done.set_exception(BusLost("the bus was closed meanwhile"))
                raise

    async def _send(self, batch: Sequence[_Waiting]) -> None:
        try:
            await self._call(batch)
        except BusError as error:
            if isinstance(error, BusLost) or len(batch) == 1:
                for one in batch:
                    if not one.done.done():
                        one.done.set_exception(error)
                return
            # One of them did not fit; nothing happened, so each may try alone.
            for one in batch:
                await self._send([one])
            return
        for one in batch:
            if not one.done.done():
                one.done.set_result(None)

    async def _call(self, batch: Sequence[_Waiting]) -> None:
        limits = self._link.limits
        fed = await self._link.call(
            PUBLISH_SQL,
            (
                [one.topic for one in batch],
                [one.message.id for one in batch],
                [one.head for one in batch],
                [one.message.data for one in batch],
                [one.message.extensions.get("mpkey", "") for one in batch],
                [one.keep for one in batch],
                limits.attempts_max,
                limits.dedupe_s,
                limits.queue_messages_max,
            ),
        )
        for (queue,) in fed:
            self._on_queue(queue)
        self._link.signal(CHANNEL, WAKE)


def fitting(sizes: Sequence[int]) -> int:
    """Return how many of these go into one transaction; always at least one."""
    total = 0
    for count, size in enumerate(sizes[:BATCH_MAX]):
        total += size
        if total > BATCH_BYTES_MAX and count:
            return count
    return min(len(sizes), BATCH_MAX)
