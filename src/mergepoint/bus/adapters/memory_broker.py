"""What several connections to one bus in memory share.

Place:  bus.adapters.memory -> [memory_broker] -> memory_queue
Rule:   of one event loop; every method is one step, nothing here waits.
"""

from __future__ import annotations

import asyncio
import itertools
import weakref
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field

from mergepoint.bus.adapters.memory_queue import Job, Queue
from mergepoint.bus.buffer import Buffer
from mergepoint.bus.contract import (
    Change,
    Handler,
    Lease,
    Limits,
    Member,
    Overflow,
    PresenceChange,
    QueueStats,
    TopicStats,
)
from mergepoint.bus.errors import BusFull, NoSuchAddress, Unavailable
from mergepoint.wire.envelope import Message
from mergepoint.wire.names import address_matches, matches


@dataclass(eq=False)
class Listener:
    """One live subscription."""

    owner: object
    pattern: str
    overflow: Overflow
    buffer: Buffer


@dataclass(eq=False)
class Served:
    """One handler at one address, and what it has in hand."""

    owner: object
    address: str
    handler: Handler
    requests_max: int
    tasks: set[asyncio.Task[Message]] = field(default_factory=set)

    def done(self, task: asyncio.Task[Message]) -> None:
        """Have it in hand no more; a failure that comes too late concerns nobody."""
        self.tasks.discard(task)
        if not task.cancelled():
            task.exception()


@dataclass(eq=False)
class Watcher:
    """One watch of who is there."""

    owner: object
    pattern: str
    tell: Callable[[PresenceChange], None]


@dataclass
class Faults:
    """What a test asks to go wrong; nothing does by itself."""

    repeats: int = 0
    """How often every finished job comes again."""
    pick: Callable[[list[Job]], Job] = field(default=lambda jobs: jobs[0])
    """Which of the jobs that may go goes."""
    before: Callable[[str], Awaitable[None]] | None = None
    """Called with an operation's name before it happens; may raise."""
    after: Callable[[str], Awaitable[None]] | None = None
    """Called when it happened, before the caller is told; may raise."""


class Broker:
    """A whole bus; lives as long as a connection to it does."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.faults = Faults()
        self.listeners: list[Listener] = []
        self.watchers: list[Watcher] = []
        self.served: list[Served] = []
        self.members: dict[int, tuple[object, Member]] = {}
        self.last: dict[str, Message] = {}
        self._known: set[str] = set()
        self._queues: dict[str, Queue] = {}
        self._bindings: dict[tuple[str, str], None] = {}
        self._published: dict[str, int] = {}
        self._numbers: Iterator[int] = itertools.count(1)
        self._waiting: list[asyncio.Future[None]] = []

    # Topics

    def publish(self, topic: str, message: Message, now: float, *, keep_last: bool) -> None:
        """Give it to every listener and every bound queue, or to none when one queue is full."""
        fed = {queue: None for queue, pattern in self._bindings if matches(pattern, topic)}
        for name in fed:
            self.queue(name).check_room(1)
        for name in fed:
            self.queue(name).feed(message, now)
        if keep_last:
            self.last[topic] = message
        self._published[topic] = self._published.get(topic, 0) + 1
        for listener in self.listeners:
            if matches(listener.pattern, topic):
                listener.buffer.offer(message)
        if fed:
            self.changed()

    def slow(self, topic: str) -> list[Buffer]:
        """Return the full buffers of listeners whose publishers wait."""
        return [
            one.buffer
            for one in self.listeners
            if one.overflow is Overflow.WAIT and one.buffer.full and matches(one.pattern, topic)
        ]

    def listen(self, listener: Listener, *, last: bool) -> None:
        """Add a listener, with the present values first if asked."""
        for topic, message in sorted(self.last.items()):
            if last and matches(listener.pattern, topic):
                listener.buffer.offer(message)
        self.listeners.append(listener)

    def topics(self) -> list[TopicStats]:
        """Return every topic that was published to."""
        return [
            TopicStats(
                name=name,
                published=self._published[name],
                subscribers=sum(matches(one.pattern, name) for one in self.listeners),
                last=name in self.last,
            )
            for name in sorted(self._published)
        ]

    # Queues

    def queue(self, name: str) -> Queue:
        """Return the queue; it comes into being when it is first named."""
        if name not in self._queues:
            self._queues[name] = Queue(name, self.limits)
        self._queues[name].repeats = self.faults.repeats
        return self._queues[name]

    def bind(self, queue: str, pattern: str) -> None:
        """Feed the queue by the pattern."""
        self._bindings[(queue, pattern)] = None

    def unbind(self, queue: str, pattern: str) -> None:
        """End that."""
        self._bindings.pop((queue, pattern), None)

    def take(
        self,
        names: Sequence[str],
        now: float,
        *,
        worker: str,
        holder: object,
        limit: int,
        lease_s: float,
    ) -> list[Lease]:
        """Lease up to `limit` jobs, from the queues in turn."""
        leases: list[Lease] = []
        queues = [self.queue(name) for name in names]
        for queue in queues:
            queue.sweep(now)
        while len(leases) < limit:
            before = len(leases)
            for queue in queues:
                if len(leases) < limit and (
                    lease := queue.take(
                        now, worker=worker, holder=holder, lease_s=lease_s, pick=self.faults.pick
                    )
                ):
                    leases.append(lease)
            if len(leases) == before:
                break
        return leases

    def next_change(self, names: Sequence[str], now: float) -> float:
        """Return when a job of these may go that may not go now."""
        return min((self.queue(name).next_change(now) for name in names), default=float("inf"))

    def stats(self, now: float) -> list[QueueStats]:
        """Return every queue, by name."""
        return [queue.stats(now) for _, queue in sorted(self._queues.items())]

    def changed(self) -> None:
        """Wake whoever waits for a job, first come first."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def wait(self) -> asyncio.Future[None]:
        """Return a future that is done at the next change."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return future

    # Requests

    def serve(self, served: Served) -> None:
        """Let it answer from now on."""
        self.served.append(served)
        self._known |= {served.address, served.address.partition("/")[0]}

    def server(self, address: str) -> Served:
        """Return whoever has least in hand; raise `NoSuchAddress` or `Unavailable`."""
        there = [one for one in self.served if address_matches(address, one.address)]
        free = [one for one in there if len(one.tasks) < one.requests_max]
        if free:
            return min(free, key=lambda one: len(one.tasks))
        if there:
            raise Unavailable(
                f"{address} has {sum(len(one.tasks) for one in there)} requests in hand and takes"
                " no more now"
            )
        if "/" not in address and address in self._known:
            raise Unavailable(f"nobody serves {address} now")
        raise NoSuchAddress(f"nobody serves {address}", next="mergepoint presence")

    # Presence

    def join(self, owner: object, member: Member) -> int:
        """Add a member; return the number it is known by."""
        number = next(self._numbers)
        self.members[number] = (owner, member)
        self._tell(Change.JOINED, member)
        return number

    def update(self, number: int, member: Member) -> None:
        """Replace what is told about a member."""
        self.members[number] = (self.members[number][0], member)
        self._tell(Change.UPDATED, member)

    def leave(self, number: int) -> None:
        """Remove a member; unknown numbers do nothing."""
        _, member = self.members.pop(number, (None, None))
        if member is not None:
            self._tell(Change.LEFT, member)

    def watch(self, watcher: Watcher) -> None:
        """Tell who is there, then every change."""
        for _, member in self.members.values():
            if address_matches(watcher.pattern, member.address):
                watcher.tell(PresenceChange(change=Change.JOINED, member=member))
        self.watchers.append(watcher)

    def gone(self, owner: object, now: float, *, burn: bool) -> None:
        """Take back everything one connection had."""
        self.listeners = [one for one in self.listeners if one.owner is not owner]
        self.watchers = [one for one in self.watchers if one.owner is not owner]
        self.served = [one for one in self.served if one.owner is not owner]
        for number, (holder, _) in list(self.members.items()):
            if holder is owner:
                self.leave(number)
        for queue in self._queues.values():
            queue.abandon(owner, now, burn=burn)
        self.changed()

    def _tell(self, change: Change, member: Member) -> None:
        for watcher in self.watchers:
            if address_matches(watcher.pattern, member.address):
                watcher.tell(PresenceChange(change=change, member=member))


_BROKERS: weakref.WeakValueDictionary[str, Broker] = weakref.WeakValueDictionary()


def broker_of(url: str, limits: Limits) -> Broker:
    """Return the broker of `memory:name` in this process; a new one when nobody holds it."""
    broker = _BROKERS.get(url)
    if broker is None:
        broker = _BROKERS[url] = Broker(limits)
    return broker


def full(topic: str, call_s: float) -> BusFull:
    """Return what a publisher is told that waited too long for a slow listener."""
    return BusFull(f"a listener of {topic} took nothing for {call_s:g} s; nothing was published")
