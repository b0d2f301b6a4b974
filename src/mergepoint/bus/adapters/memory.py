"""The engine of tests: a bus in this process's memory, deterministic and without threads.

Place:  bus.doorway -> [bus.adapters.memory] -> memory_broker, memory_queue
Rule:   time comes from the clock alone; what happens is decided in memory_queue, in single steps.

`memory:` is one bus for everybody in the process who names it; `memory:other` is another one. All
connections to a bus must live on one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from mergepoint.bus.adapters.memory_answers import answer_of, error_of
from mergepoint.bus.adapters.memory_broker import (
    Broker,
    Listener,
    Served,
    Watcher,
    broker_of,
    full,
)
from mergepoint.bus.adapters.memory_handles import (
    MemoryMembership,
    MemoryServing,
    MemorySubscription,
    MemoryWatch,
)
from mergepoint.bus.buffer import Buffer
from mergepoint.bus.capabilities import Capabilities, Durability, Watching
from mergepoint.bus.contract import (
    Accepted,
    Engine,
    Entry,
    EntryState,
    Handler,
    Lease,
    Limits,
    Member,
    Membership,
    OnState,
    Overflow,
    PresenceWatch,
    Put,
    QueueStats,
    Serving,
    State,
    Subscription,
    TopicStats,
)
from mergepoint.bus.errors import BusClosed, MessageTooLarge, RequestTimeout
from mergepoint.core.clock import Clock
from mergepoint.wire.envelope import Message


class MemoryEngine:
    """One connection to a bus in memory."""

    def __init__(
        self,
        url: str,
        limits: Limits,
        clock: Clock,
        *,
        address: str = "",
        broker: Broker | None = None,
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._address = address
        self._broker = broker or broker_of(url, limits)
        self._on_state: OnState | None = None
        self._closed = False
        self._buffers: list[Buffer] = []
        self._watches: list[MemoryWatch] = []

    @property
    def capabilities(self) -> Capabilities:
        """Everything, as long as the process lives."""
        return Capabilities(
            engine="memory",
            topics=Durability.LOSSY,
            queues=Durability.MEMORY,
            bind=True,
            last=True,
            delay=True,
            priority=True,
            key_order=True,
            dedupe=True,
            dead_letters=True,
            browse=True,
            request=True,
            presence=Watching.CONNECTION,
            lease=Watching.CONNECTION,
            message_bytes_max=self._limits.message_bytes_max,
        )

    async def open(self, on_state: OnState) -> None:
        """Connect, which cannot fail."""
        self._on_state = on_state
        on_state(State.CONNECTED, "in memory")

    async def close(self) -> None:
        """Give back what is held, without counting the attempt; a second call does nothing."""
        if not self._closed:
            self._end(burn=False)
            if self._on_state is not None:
                self._on_state(State.CLOSED, "closed")

    def vanish(self) -> None:
        """Be gone as by `kill -9`: what is held comes back, and its attempt counts."""
        if not self._closed:
            self._end(burn=True)

    async def publish(self, topic: str, message: Message, *, keep_last: bool = False) -> None:
        """Give it to all; wait for slow listeners that asked for it, `call_s` at most."""
        async with self._step("publish", message):
            await self._wait_for_room(topic)
            self._broker.publish(topic, message, self._now(), keep_last=keep_last)

    async def last(self, topic: str) -> Message | None:
        """Return the topic's present value."""
        async with self._step("last"):
            return self._broker.last.get(topic)

    async def subscribe(
        self, pattern: str, *, overflow: Overflow = Overflow.GAP, last: bool = False
    ) -> Subscription:
        """Listen from now on."""
        async with self._step("subscribe"):
            buffer = Buffer(self._limits)
            self._buffers.append(buffer)
            listener = Listener(self, pattern, overflow, buffer)
            self._broker.listen(listener, last=last)
            return MemorySubscription(self._broker, listener)

    async def bind(self, queue: str, pattern: str) -> None:
        """Feed the queue by the pattern; idempotent."""
        async with self._step("bind"):
            self._broker.bind(queue, pattern)

    async def unbind(self, queue: str, pattern: str) -> None:
        """End that."""
        async with self._step("unbind"):
            self._broker.unbind(queue, pattern)

    async def put(self, queue: str, puts: Sequence[Put]) -> list[Accepted]:
        """Accept all or none."""
        async with self._step("put", *(put.message for put in puts)):
            accepted = self._broker.queue(queue).put(puts, self._now())
            self._broker.changed()
            return accepted

    async def take(
        self, queues: Sequence[str], *, worker: str, limit: int, lease_s: float, wait_s: float
    ) -> list[Lease]:
        """Return up to `limit` jobs as soon as there is one, [] after `wait_s`."""
        until = self._clock.monotonic_s() + wait_s
        async with self._step("take"):
            while True:
                leases = self._broker.take(
                    queues,
                    self._now(),
                    worker=worker,
                    holder=self,
                    limit=limit,
                    lease_s=lease_s,
                )
                left = until - self._clock.monotonic_s()
                if leases or left <= 0:
                    return leases
                change = self._broker.next_change(queues, self._now())
                await self._changed(min(left, change - self._now()))
                self._alive()

    async def ack(self, leases: Sequence[Lease]) -> list[Lease]:
        """Finish these; return those that were lost."""
        async with self._step("ack"):
            now = self._swept(*leases)
            lost = [one for one in leases if not self._broker.queue(one.queue).ack(one, now)]
            self._broker.changed()
            return lost

    async def nack(
        self, lease: Lease, *, delay_s: float = 0.0, reason: str = "", burn: bool = True
    ) -> None:
        """Give it back; raises `LeaseLost`."""
        async with self._step("nack"):
            now = self._swept(lease)
            self._broker.queue(lease.queue).nack(
                lease, now, delay_s=delay_s, reason=reason, burn=burn
            )
            self._broker.changed()

    async def bury(self, lease: Lease, *, reason: str) -> None:
        """Make it dead; raises `LeaseLost`."""
        async with self._step("bury"):
            now = self._swept(lease)
            self._broker.queue(lease.queue).bury(lease, now, reason)
            self._broker.changed()

    async def extend(self, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        """Hold these for `lease_s` from now; return those that were lost."""
        async with self._step("extend"):
            until = self._swept(*leases) + lease_s
            return [one for one in leases if not self._broker.queue(one.queue).extend(one, until)]

    async def drop(self, queue: str, ids: Sequence[str]) -> int:
        """Remove what waits; return how many there were."""
        async with self._step("drop"):
            count = self._broker.queue(queue).drop(ids)
            self._broker.changed()
            return count

    async def dead(self, queue: str, *, limit: int = 100, after: str = "") -> list[Entry]:
        """Return dead letters, in the order they died."""
        return await self.browse(queue, states=[EntryState.DEAD], limit=limit, after=after)

    async def replay(self, queue: str, id: str, message: Message | None = None) -> None:  # noqa: A002
        """Put a dead letter back; raises `NoSuchEntry`."""
        async with self._step("replay", *([message] if message else [])):
            self._broker.queue(queue).replay(id, self._now(), message)
            self._broker.changed()

    async def discard(self, queue: str, ids: Sequence[str]) -> int:
        """Remove dead letters; return how many there were."""
        async with self._step("discard"):
            return self._broker.queue(queue).discard(ids)

    async def browse(
        self, queue: str, *, states: Sequence[EntryState], limit: int = 100, after: str = ""
    ) -> list[Entry]:
        """Return what is in a queue; a queue that nobody named is empty."""
        async with self._step("browse"):
            self._broker.queue(queue).sweep(self._now())
            return self._broker.queue(queue).entries(states, self._now(), limit=limit, after=after)

    async def queues(self) -> list[QueueStats]:
        """Return every queue, by name."""
        async with self._step("queues"):
            return self._broker.stats(self._now())

    async def topics(self) -> list[TopicStats]:
        """Return every topic that was published to."""
        async with self._step("topics"):
            return self._broker.topics()

    async def request(self, address: str, message: Message, *, timeout_s: float) -> Message:
        """Return the one answer, or one error."""
        async with self._step("request", message):
            served = self._broker.server(address)
            task = asyncio.create_task(answer_of(served, message))
            served.tasks.add(task)
            task.add_done_callback(served.done)
            done = await self._within(timeout_s, task)
        if task.cancelled():
            raise RequestTimeout(f"whoever answered for {address} is gone; it may have run")
        if not done:
            raise RequestTimeout(f"no answer from {address} in {timeout_s:g} s; it may have run")
        if error := task.exception():
            raise error_of(error)
        self._check(task.result())
        return task.result()

    async def serve(self, address: str, handler: Handler) -> Serving:
        """Answer from now on."""
        async with self._step("serve"):
            served = Served(self, address, handler, self._limits.requests_max)
            self._broker.serve(served)
            return MemoryServing(self._broker, served)

    async def join(self, address: str, info: Mapping[str, str]) -> Membership:
        """Be there."""
        async with self._step("join"):
            member = Member(address=address, info=dict(info), since=self._now())
            return MemoryMembership(self._broker, self._broker.join(self, member), member)

    async def watch(self, pattern: str) -> PresenceWatch:
        """Watch who is there."""
        async with self._step("watch"):
            watch = MemoryWatch(self._limits.buffer_messages_max)
            watcher = Watcher(self, pattern, watch.tell)
            watch.on_close = lambda: self._broker.watchers.remove(watcher)
            self._watches.append(watch)
            self._broker.watch(watcher)
            return watch

    def _now(self) -> float:
        return self._clock.unix_s()

    def _swept(self, *leases: Lease) -> float:
        """Let leases that ended be lost before anything is done with them; return the time."""
        now = self._now()
        for name in {lease.queue for lease in leases}:
            self._broker.queue(name).sweep(now)
        return now

    def _alive(self) -> None:
        if self._closed:
            raise BusClosed("this connection to the bus was closed")

    def _check(self, message: Message) -> None:
        size, most = len(message.data), self._limits.message_bytes_max
        if size > most:
            raise MessageTooLarge(f"{size} bytes; a message may have {most}")

    @contextlib.asynccontextmanager
    async def _step(self, operation: str, *messages: Message) -> AsyncIterator[None]:
        """Refuse when closed or too large; let a test's faults happen around it."""
        self._alive()
        for message in messages:
            self._check(message)
        if self._broker.faults.before is not None:
            await self._broker.faults.before(operation)
        yield
        if self._broker.faults.after is not None:
            await self._broker.faults.after(operation)

    async def _wait_for_room(self, topic: str) -> None:
        until = self._clock.monotonic_s() + self._limits.call_s
        while slow := self._broker.slow(topic):
            left = until - self._clock.monotonic_s()
            if left <= 0 or not await self._within(left, asyncio.ensure_future(slow[0].room())):
                raise full(topic, self._limits.call_s)

    async def _changed(self, seconds: float) -> None:
        future = self._broker.wait()
        await self._within(seconds, future)
        future.cancel()

    async def _within(self, seconds: float, coming: asyncio.Future[Any]) -> bool:
        """Wait for it that long by the clock; tell whether it came."""
        sleeping: asyncio.Future[Any] = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({coming, sleeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
        return coming.done()

    def _end(self, *, burn: bool) -> None:
        self._closed = True
        for buffer in self._buffers:
            buffer.close()
        for watch in self._watches:
            watch.end()
        for served in self._broker.served:
            if served.owner is self:
                for task in served.tasks:
                    task.cancel()
        self._broker.gone(self, self._now(), burn=burn)


_ENGINE: type[Engine] = MemoryEngine
