"""Dead letters: looked through by one process at a time, because looking takes them out.

Place:  adapters.rabbitmq.engine -> [dead] -> link, queues
Rule:   what was looked at goes back in its order when the channel closes, whoever dies meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aiormq.exceptions import ChannelLockedResource

from mergepoint.bus.adapters.rabbitmq import carried
from mergepoint.bus.adapters.rabbitmq.failures import LIBRARY
from mergepoint.bus.adapters.rabbitmq.link import Link
from mergepoint.bus.adapters.rabbitmq.queues import Queues
from mergepoint.bus.contract import Entry
from mergepoint.bus.errors import BusLost, NoSuchEntry
from mergepoint.wire.envelope import Message

LOOKED_MAX = 10_000
"""Dead letters one call looks through."""
LOCK_LOOK_S = 0.05
"""Between two attempts to be the one who looks."""


class Dead:
    """The dead letters of one broker, for one process."""

    def __init__(self, link: Link, queues: Queues) -> None:
        self._link = link
        self._queues = queues
        self._locks: dict[str, asyncio.Lock] = {}

    async def list(self, queue: str, limit: int, after: str) -> list[Entry]:
        """Return dead letters, oldest first; from the beginning when `after` is gone."""
        async with self._looking(queue) as letters:
            found = [carried.entry(queue, letter) async for letter in letters]
        ids = [one.message.id for one in found]
        start = ids.index(after) + 1 if after in ids else 0
        return found[start : start + limit]

    async def replay(self, queue: str, id_: str, message: Message | None) -> None:
        """Put a dead letter back with fresh attempts; raises `NoSuchEntry`."""
        async with self._looking(queue) as letters:
            async for letter in letters:
                job = carried.job(letter, self._link.limits)
                if job.message.id != id_:
                    continue
                back = carried.outgoing(
                    message or job.message, own={carried.ATTEMPTS_MAX: job.attempts_max}
                )
                await self._queues.publish(queue, back)
                await self._link.call(letter.ack())
                return
        raise NoSuchEntry(f"queue {queue} has no dead letter {id_}")

    async def discard(self, queue: str, ids: Sequence[str]) -> int:
        """Remove dead letters; return how many there were."""
        wanted, count = set(ids), 0
        async with self._looking(queue) as letters:
            async for letter in letters:
                if carried.incoming(letter).id in wanted:
                    await self._link.call(letter.ack())
                    count += 1
        return count

    @contextlib.asynccontextmanager
    async def _looking(self, queue: str) -> AsyncIterator[AsyncIterator[AbstractIncomingMessage]]:
        await self._queues.declare(queue)
        async with self._locks.setdefault(queue, asyncio.Lock()):
            lock = await self._lock(queue)
            channel = await self._link.passing_channel()
            try:
                yield self._letters(channel, queue)
            finally:
                # What was not acknowledged goes back before the next one may look.
                with contextlib.suppress(*LIBRARY):
                    await channel.close()
                with contextlib.suppress(*LIBRARY):
                    await lock.queue_delete(self._lock_name(queue))
                    await lock.close()

    async def _letters(
        self, channel: AbstractChannel, queue: str
    ) -> AsyncIterator[AbstractIncomingMessage]:
        found = await channel.get_queue(self._queues.dead_name(queue), ensure=False)
        for _ in range(LOOKED_MAX):
            letter = await self._link.call(found.get(no_ack=False, fail=False))
            if letter is None:
                return
            yield letter

    def _lock_name(self, queue: str) -> str:
        return f"{self._queues.dead_name(queue)}.looking"

    async def _lock(self, queue: str) -> AbstractChannel:
        """Return a channel whose connection owns the right to look; it dies with the connection."""
        until = self._link.clock.monotonic_s() + self._link.limits.call_s
        while True:
            channel = await self._link.passing_channel()
            try:
                await channel.declare_queue(self._lock_name(queue), exclusive=True)
            except ChannelLockedResource as error:
                if self._link.clock.monotonic_s() > until:
                    raise BusLost(f"somebody else looks at the dead letters of {queue}") from error
                await self._link.clock.sleep(LOCK_LOOK_S)
            else:
                return channel
