"""Queues on the broker: declared, put into, taken from, finished.

Place:  adapters.rabbitmq.engine -> [queues] -> link, held, dead
Rule:   nothing waits in this process: a job is fetched when it was asked for, and only then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import ChannelNotFoundEntity, PublishError

from mergepoint.bus.adapters.rabbitmq import carried
from mergepoint.bus.adapters.rabbitmq.held import Leases
from mergepoint.bus.adapters.rabbitmq.link import Link
from mergepoint.bus.contract import Accepted, Lease, Put, QueueStats
from mergepoint.bus.errors import BusError, BusFull, BusLost

DEAD_MESSAGES_MAX = 100_000
"""What a dead queue keeps, the newest; part of its declaration, so it is the same for all."""
ALLOWANCE = 8
"""How large a part of a queue's free room is used before it is looked at again."""

YOUNG_S = 2.0
"""How long a queue that was just made is given before anything is put into it. RabbitMQ 3.10
writes down a quorum queue within about a second after it confirmed it; a node that is killed
before forgets the queue and what was confirmed in it."""


@dataclass
class Room:
    """How many messages may be put before the queue's length is asked for again."""

    allowance: int = 0


class Queues:
    """The queues one process named."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._rooms: dict[str, Room] = {}
        self.named: set[str] = set()
        """Every queue this process ever named."""
        self.young_s = YOUNG_S
        self._declaring: dict[str, asyncio.Lock] = {}
        self.leases = Leases(link, self)
        self._returning: set[asyncio.Task[None]] = set()
        link.restored.append(self._restored)

    def dead_name(self, queue: str) -> str:
        """Return the name of a queue's dead letters at the broker."""
        return f"{self.name(queue)}.dead"

    def name(self, queue: str) -> str:
        """Return a queue's name at the broker."""
        return f"{self._link.prefix}queue.{queue}"

    async def declare(self, queue: str) -> None:
        """Make the queue and its dead letters' once for each connection."""
        if queue in self._rooms:
            return
        async with self._declaring.setdefault(queue, asyncio.Lock()):
            if queue in self._rooms:
                return
            new = not await self._exists(queue)
            await self._link.control(lambda channel: self._declare(channel, queue))
            if new:
                await self._link.clock.sleep(self.young_s)
            self._rooms[queue] = Room()
            self.named.add(queue)

    async def put(self, queue: str, puts: Sequence[Put]) -> list[Accepted]:
        """Return when the broker confirmed every one."""
        if not puts:
            return []
        await self.declare(queue)
        await self._check_room(queue, len(puts))
        outgoing = [
            carried.outgoing(put.message, own=carried.own_headers(put, self._link.limits))
            for put in puts
        ]
        outcomes = await asyncio.gather(
            *(self.publish(queue, message) for message in outgoing), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return [Accepted(id=put.message.id) for put in puts]

    async def publish(self, queue: str, message: aio_pika.Message) -> None:
        """Put one message; declares the queue anew when somebody removed it."""
        try:
            await self._link.publish("", self.name(queue), message, mandatory=True)
        except PublishError:
            self._rooms.pop(queue, None)
            await self.declare(queue)
            try:
                await self._link.publish("", self.name(queue), message, mandatory=True)
            except PublishError as error:
                raise BusLost(f"queue {queue} vanishes while it is put into") from error

    async def publish_dead(self, queue: str, message: aio_pika.Message) -> None:
        """Put one dead letter."""
        await self.declare(queue)
        try:
            await self._link.publish("", self.dead_name(queue), message, mandatory=True)
        except PublishError as error:
            self._rooms.pop(queue, None)
            raise BusLost(f"the dead letters of {queue} vanished") from error

    async def take(
        self, queues: Sequence[str], *, worker: str, limit: int, lease_s: float, wait_s: float
    ) -> list[Lease]:
        """Return jobs as soon as there is one; a cancelled caller leaves none behind."""
        ended = asyncio.Event()
        taking = asyncio.create_task(self._take(queues, worker, limit, lease_s, wait_s, ended))
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            ended.set()
            returning = asyncio.create_task(self._return(taking))
            self._returning.add(returning)
            returning.add_done_callback(self._returning.discard)
            await asyncio.shield(returning)
            raise

    async def _return(self, taking: asyncio.Task[list[Lease]]) -> None:
        with contextlib.suppress(BusError):
            for lease in await taking:
                await self.leases.nack(lease, reason="", burn=False)

    async def _take(
        self,
        queues: Sequence[str],
        worker: str,
        limit: int,
        lease_s: float,
        wait_s: float,
        ended: asyncio.Event,
    ) -> list[Lease]:
        clock = self._link.clock
        until = clock.monotonic_s() + wait_s
        named = list(dict.fromkeys(queues))
        while True:
            left = until - clock.monotonic_s()
            changed = self._link.changed
            try:
                for queue in named:
                    await self.declare(queue)
                leases = await self._get(named, worker, limit, lease_s)
                if not leases and left > 0:
                    leases = await self._wait(named, worker, limit, lease_s, left, ended)
            except BusLost:
                if left <= 0:
                    raise
                await _first(min(left, self._link.limits.reconnect_s_max), changed, ended)
                if ended.is_set():
                    return []
                continue
            if leases or ended.is_set() or until <= clock.monotonic_s():
                return leases

    async def bind(self, queue: str, pattern: str) -> None:
        """Let the topic exchange feed the queue."""
        await self.declare(queue)
        await self._link.control(lambda channel: self._bound(channel, queue, pattern, bind=True))

    async def unbind(self, queue: str, pattern: str) -> None:
        """End that."""
        await self.declare(queue)
        await self._link.control(lambda channel: self._bound(channel, queue, pattern, bind=False))

    async def stats(self) -> list[QueueStats]:
        """Return the queues this connection has named: AMQP cannot list the others."""
        found = []
        for queue in sorted(self.named):
            await self.declare(queue)
            ready = await self._count(self.name(queue))
            dead = await self._count(self.dead_name(queue))
            leased = self.leases.count(queue)
            found.append(QueueStats(name=queue, ready=ready, leased=leased, dead=dead))
        return found

    async def _restored(self) -> None:
        self._rooms.clear()

    async def _exists(self, queue: str) -> bool:
        async def ask(channel: AbstractChannel) -> bool:
            try:
                await channel.declare_queue(self.name(queue), passive=True)
            except ChannelNotFoundEntity:
                return False
            return True

        return await self._link.control(ask)

    async def _declare(self, channel: AbstractChannel, queue: str) -> None:
        await channel.declare_queue(
            self.dead_name(queue),
            durable=True,
            arguments={"x-queue-type": "quorum", "x-max-length": DEAD_MESSAGES_MAX},
        )
        await channel.declare_queue(
            self.name(queue),
            durable=True,
            arguments={
                "x-queue-type": "quorum",
                # Attempts are counted here; what a broker of its own accord sets aside is kept.
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": self.dead_name(queue),
            },
        )

    async def _bound(
        self, channel: AbstractChannel, queue: str, pattern: str, *, bind: bool
    ) -> None:
        found = await channel.get_queue(self.name(queue), ensure=False)
        exchange = f"{self._link.prefix}topics"
        if bind:
            await found.bind(exchange, routing_key(pattern))
        else:
            await found.unbind(exchange, routing_key(pattern))

    async def _check_room(self, queue: str, count: int) -> None:
        """Raise `BusFull`; the length is asked for when a part of the room may be used up."""
        room = self._rooms.setdefault(queue, Room())
        if room.allowance < count:
            waiting = await self._count(self.name(queue))
            most = self._link.limits.queue_messages_max
            if waiting + count > most:
                raise BusFull(
                    f"queue {queue} holds {waiting} messages and takes {most};"
                    f" {count} more were put",
                    next="mergepoint bus queues",
                )
            room.allowance = (most - waiting) // ALLOWANCE
        room.allowance -= count

    async def _count(self, name: str) -> int:
        found: AbstractQueue = await self._link.control(
            lambda channel: channel.declare_queue(name, passive=True)
        )
        return found.declaration_result.message_count or 0

    async def _get(
        self, queues: Sequence[str], worker: str, limit: int, lease_s: float
    ) -> list[Lease]:
        leases: list[Lease] = []
        channel = self._link.channel("work")
        for queue in queues:
            found = await channel.get_queue(self.name(queue), ensure=False)
            while len(leases) < limit:
                delivery = await self._link.call(found.get(no_ack=False, fail=False))
                if delivery is None:
                    break
                lease = await self.leases.accept(queue, delivery, worker, lease_s)
                if lease is not None:
                    leases.append(lease)
        return leases

    async def _wait(
        self,
        queues: Sequence[str],
        worker: str,
        limit: int,
        lease_s: float,
        wait_s: float,
        ended: asyncio.Event,
    ) -> list[Lease]:
        """Consume until one came; what came besides goes back without counting."""
        waiting = _Waiting()
        leases: list[Lease] = []
        channel = self._link.channel("work")
        changed = self._link.changed
        consumers: list[tuple[AbstractQueue, str]] = []
        try:
            for queue in queues:
                found = await channel.get_queue(self.name(queue), ensure=False)
                tag = await self._link.call(found.consume(waiting.taker(queue)))
                consumers.append((found, tag))
            await _first(wait_s, waiting.some, changed, ended)
        finally:
            with contextlib.suppress(BusLost):
                for found, tag in consumers:
                    await self._link.call(found.cancel(tag))
            await asyncio.sleep(0)
        for queue, delivery in waiting.came:
            if len(leases) < limit:
                lease = await self.leases.accept(queue, delivery, worker, lease_s)
                leases += [lease] if lease is not None else []
            else:
                await self._return_all([(queue, delivery)])
        return leases

    async def _return_all(self, came: list[tuple[str, AbstractIncomingMessage]]) -> None:
        for queue, delivery in came:
            with contextlib.suppress(BusLost):
                await self.leases.put_again(queue, delivery)


class _Waiting:
    """What came while one call waited."""

    def __init__(self) -> None:
        self.came: list[tuple[str, AbstractIncomingMessage]] = []
        self.some = asyncio.Event()

    def taker(self, queue: str) -> Any:  # Any: what aio-pika calls a consumer callback
        async def take(delivery: AbstractIncomingMessage) -> None:
            self.came.append((queue, delivery))
            self.some.set()

        return take


def routing_key(pattern: str) -> str:
    """Return AMQP's pattern: our `>` is one segment or more, its `#` none or more."""
    return f"{pattern[:-1]}*.#" if pattern.endswith(">") else pattern


async def _first(seconds: float, *events: asyncio.Event) -> None:
    """Return when one is set, or after so long."""
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
