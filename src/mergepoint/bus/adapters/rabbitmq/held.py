"""Leases of this process: tokens, their ends, and what may still be done with them.

Place:  adapters.rabbitmq.queues -> [held] -> link
Rule:   a lease that ended, or whose connection did, completes nothing.

AMQP knows no lease, it knows unacknowledged deliveries of a channel. The time is kept here: at
the end of a lease the message goes back to the broker. When this process dies or freezes, the
broker ends the connection and gives back what it held.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from mergepoint.bus.adapters.rabbitmq import carried
from mergepoint.bus.adapters.rabbitmq.link import Link
from mergepoint.bus.contract import Lease
from mergepoint.bus.errors import BusError, LeaseLost


class Putting(Protocol):
    """What leases need of queues."""

    async def publish(self, queue: str, message: aio_pika.Message) -> None:
        """Put one message."""
        ...

    async def publish_dead(self, queue: str, message: aio_pika.Message) -> None:
        """Put one dead letter."""
        ...


@dataclass
class Held:
    """One delivery that is in somebody's hands."""

    queue: str
    delivery: AbstractIncomingMessage
    job: carried.Job
    worker: str
    generation: int
    ends_at: float
    """Of the monotonic clock."""
    timer: asyncio.TimerHandle


class Leases:
    """Every lease of one process."""

    def __init__(self, link: Link, queues: Putting) -> None:
        self._link = link
        self._queues = queues
        self._held: dict[str, Held] = {}
        self._numbers = itertools.count(1)
        self._returning: set[asyncio.Task[None]] = set()

    def count(self, queue: str) -> int | None:
        """Return None: others may hold some, and AMQP does not say."""
        return None if queue else 0

    async def accept(
        self, queue: str, delivery: AbstractIncomingMessage, worker: str, lease_s: float
    ) -> Lease | None:
        """Lease what was delivered; None when it is dead instead."""
        job = carried.job(delivery, self._link.limits)
        now = self._link.clock.unix_s()
        reason = _dead_already(job, now)
        if reason:
            await self._set_aside(queue, delivery, reason, worker="")
            return None
        token = f"{self._link.owner}.{next(self._numbers)}"
        self._held[token] = Held(
            queue=queue,
            delivery=delivery,
            job=job,
            worker=worker,
            generation=self._link.generation,
            ends_at=self._link.clock.monotonic_s() + lease_s,
            timer=self._timer(token, lease_s),
        )
        return Lease(
            queue=queue,
            message=job.message,
            token=token,
            attempt=job.attempt,
            expires_at=now + lease_s,
        )

    async def ack(self, leases: Sequence[Lease]) -> list[Lease]:
        """Finish these; return those that were lost."""
        lost = []
        sent = False
        for lease in leases:
            held = self._release(lease)
            if held is None:
                lost.append(lease)
            else:
                await self._link.call(held.delivery.ack())
                sent = True
        if sent:
            # The broker answers this behind the acknowledgements, or the connection is gone.
            await self._link.call(self._link.channel("work").set_qos(prefetch_count=1))
        return lost

    async def nack(self, lease: Lease, *, reason: str, burn: bool) -> None:
        """Give it back; the last attempt makes it dead."""
        held = self._release(lease) or _lost(lease)
        if not burn:
            await self.put_again(held.queue, held.delivery)
        elif held.job.attempt >= held.job.attempts_max:
            await self._set_aside(held.queue, held.delivery, reason or "attempts", held.worker)
        else:
            await self._link.call(held.delivery.nack(requeue=True))

    async def bury(self, lease: Lease, reason: str) -> None:
        """Make it dead."""
        held = self._release(lease) or _lost(lease)
        await self._set_aside(held.queue, held.delivery, reason, held.worker)

    def extend(self, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        """Hold these from now; return those that were lost."""
        lost = []
        for lease in leases:
            held = self._current(lease)
            if held is None:
                lost.append(lease)
                continue
            held.timer.cancel()
            held.ends_at = self._link.clock.monotonic_s() + lease_s
            held.timer = self._timer(lease.token, lease_s)
        return lost

    async def put_again(self, queue: str, delivery: AbstractIncomingMessage) -> None:
        """Give back without counting: the broker counts every return, so it is put anew.

        Confirmed first, acknowledged then: a crash between leaves it twice, never none.
        """
        job = carried.job(delivery, self._link.limits)
        await self._queues.publish(queue, carried.again(delivery, job.attempt))
        await self._link.call(delivery.ack())

    async def close(self) -> None:
        """Give everything back without counting it."""
        held, self._held = self._held, {}
        for one in held.values():
            one.timer.cancel()
            if one.generation == self._link.generation:
                with contextlib.suppress(BusError):
                    await self.put_again(one.queue, one.delivery)

    def forget(self) -> None:
        """Give nothing back: the broker will, when the connection ends."""
        for one in self._held.values():
            one.timer.cancel()
        self._held.clear()

    def _timer(self, token: str, seconds: float) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, self._ended, token)

    def _ended(self, token: str) -> None:
        held = self._held.pop(token, None)
        if held is None or held.generation != self._link.generation:
            return
        task = asyncio.create_task(self._give_back(held))
        self._returning.add(task)
        task.add_done_callback(self._returning.discard)

    async def _give_back(self, held: Held) -> None:
        with contextlib.suppress(BusError):
            if held.job.attempt >= held.job.attempts_max:
                await self._set_aside(held.queue, held.delivery, "lease ended", held.worker)
            else:
                await self._link.call(held.delivery.nack(requeue=True))

    def _current(self, lease: Lease) -> Held | None:
        held = self._held.get(lease.token)
        if held is None or held.generation != self._link.generation:
            return None
        # A frozen process wakes up with its timers late.
        return held if held.ends_at > self._link.clock.monotonic_s() else None

    def _release(self, lease: Lease) -> Held | None:
        held = self._current(lease)
        if held is not None:
            held.timer.cancel()
            del self._held[lease.token]
        return held

    async def _set_aside(
        self, queue: str, delivery: AbstractIncomingMessage, reason: str, worker: str
    ) -> None:
        now = self._link.clock.unix_s()
        letter = carried.dead(delivery, now, reason=reason, worker=worker, limits=self._link.limits)
        await self._queues.publish_dead(queue, letter)
        await self._link.call(delivery.ack())


def _dead_already(job: carried.Job, now: float) -> str:
    """Return why a message must not be worked on any more, or nothing."""
    if job.attempt > job.attempts_max:
        return "attempts"
    return "expired" if 0 < job.expires_at <= now else ""


def _lost(lease: Lease) -> Held:
    raise LeaseLost(f"the lease of {lease.message.id} in queue {lease.queue} is lost")
