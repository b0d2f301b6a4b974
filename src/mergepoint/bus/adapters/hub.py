"""The embedded engine: everything over one socket to the site's hub.

Place:  bus.doorway, assembly.connect -> [bus.adapters.hub] -> bus.hub
Rule:   standard library alone; what the hub promises is repeated here, never widened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from mergepoint.bus.adapters.hub_answers import entries_of, row_of
from mergepoint.bus.adapters.hub_link import HubLink
from mergepoint.bus.adapters.hub_live import (
    HubMembership,
    HubServing,
    HubSubscription,
    HubWatch,
    packed,
    unpacked,
)
from mergepoint.bus.adapters.hub_puts import Puts
from mergepoint.bus.adapters.hub_takes import Takes
from mergepoint.bus.capabilities import Capabilities, Durability, Watching, refuse_waiting
from mergepoint.bus.contract import (
    Accepted,
    Entry,
    EntryState,
    Handler,
    Lease,
    Limits,
    OnState,
    Overflow,
    Put,
    QueueStats,
    TopicStats,
)
from mergepoint.bus.errors import LeaseLost, MessageTooLarge, RequestTimeout
from mergepoint.core.clock import Clock
from mergepoint.wire.envelope import Message
from mergepoint.wire.frames import Frame

Kept = HubSubscription | HubServing | HubMembership | HubWatch
One = TypeVar("One", HubSubscription, HubServing, HubMembership, HubWatch)
LATE_S = 0.25
"""What an answer may need beside the time that was asked for."""


class HubEngine:
    """`mergepoint.bus.contract.Engine` over a connection to the hub."""

    def __init__(self, url: str, limits: Limits, clock: Clock, *, address: str = "") -> None:
        self._limits = limits
        self._clock = clock
        self._link = HubLink(
            url, limits, clock, address=address, restore=self._restore, pushed=self._pushed
        )
        self._puts = Puts(self._link)
        self._number = 0
        self._kept: dict[int, Kept] = {}
        self._was_there = False
        self._takes = Takes(self._link, self._back)

    @property
    def capabilities(self) -> Capabilities:
        """Everything, as durable as the hub says it was configured."""
        durable = self._link.hello.get("durability", "durable") == "durable"
        return Capabilities(
            engine="hub",
            topics=Durability.LOSSY,
            queues=Durability.DURABLE if durable else Durability.INTERVAL,
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
            message_bytes_max=self._message_bytes_max,
        )

    @property
    def link(self) -> HubLink:
        """The connection, for calls that are no engine's: ledger, statistics, backup."""
        return self._link

    async def open(self, on_state: OnState) -> None:
        """Connect within `call_s`; raise `BusLost` or `BusRefused`; later reconnect by itself."""
        await self._link.open(on_state)

    async def close(self) -> None:
        """Give back what is held, unburnt; end every subscription and wait."""
        for kept in list(self._kept.values()):
            kept.end()
        await self._link.close(say_bye=True)
        self._takes.close()

    def vanish(self) -> None:
        """Be gone without a word, as a process that is killed; for tests of others."""
        self._link.abort()
        for kept in list(self._kept.values()):
            kept.end()

    async def publish(self, topic: str, message: Message, *, keep_last: bool = False) -> None:
        """Return when listeners were offered it and bound queues have it on the disk."""
        parts = self._fitting(message)
        head: dict[str, Any] = {"op": "publish", "topic": topic, "id": message.id}
        head["n"] = [len(parts[0]), len(parts[1])]
        if keep_last:
            head["keep"] = True
        await self._link.call(head, parts)

    async def last(self, topic: str) -> Message | None:
        """Return the topic's present value."""
        answer = await self._link.call({"op": "last", "topic": topic}, repeat=True)
        parts = answer.parts()
        return unpacked(*parts) if parts else None

    async def subscribe(
        self, pattern: str, *, overflow: Overflow = Overflow.GAP, last: bool = False
    ) -> HubSubscription:
        """Return once nothing published from now on can be missed."""
        if overflow is not Overflow.GAP:
            refuse_waiting("hub")
        head: dict[str, Any] = {"op": "subscribe", "pattern": pattern}
        if last:
            head["last"] = True
        number = self._next()
        return await self._keep(
            number, HubSubscription(self._link, number, head, self._limits, self._forget)
        )

    async def bind(self, queue: str, pattern: str) -> None:
        """Let the pattern feed the queue from now on."""
        await self._link.call({"op": "bind", "queue": queue, "pattern": pattern}, repeat=True)

    async def unbind(self, queue: str, pattern: str) -> None:
        """End that."""
        await self._link.call({"op": "unbind", "queue": queue, "pattern": pattern}, repeat=True)

    async def put(self, queue: str, puts: Sequence[Put]) -> list[Accepted]:
        """Accept all or none: on the disk when it returns."""
        if not puts:
            return []
        rows = []
        parts: list[bytes] = []
        size = 0
        attempts_max, most = self._attempts_max, self._message_bytes_max
        for one in puts:
            attributes, data = self._fitting(one.message, most)
            rows.append(row_of(one, len(attributes), len(data), attempts_max))
            parts += (attributes, data)
            size += len(attributes) + len(data)
        duplicates = await self._puts.put(queue, rows, parts, size)
        return [
            Accepted(id=one.message.id, duplicate=duplicate)
            for one, duplicate in zip(puts, duplicates, strict=True)
        ]

    async def take(
        self, queues: Sequence[str], *, worker: str, limit: int, lease_s: float, wait_s: float
    ) -> list[Lease]:
        """Return up to `limit` jobs as soon as there is one, [] after `wait_s`."""
        head = {"op": "take", "queues": list(queues), "worker": worker, "limit": limit}
        return (await self._takes.take({**head, "lease_s": lease_s}, wait_s))[0]

    async def take_and(
        self,
        then: Mapping[str, Any],
        queues: Sequence[str],
        *,
        worker: str,
        limit: int,
        lease_s: float,
        wait_s: float,
        unwanted: Callable[[Sequence[Lease]], None],
    ) -> tuple[list[Lease], Any]:
        """Take, and have an operation of the hub's extensions done with what was taken.

        Both in one transaction. Returns the jobs and the operation's answer, None where it was
        refused, or the hub knows nothing of it: the jobs are taken all the same. When this is
        cancelled, `unwanted` is given what came nevertheless, [] for nothing.
        """
        head = {"op": "take", "queues": list(queues), "worker": worker, "limit": limit}
        return await self._takes.take(
            {**head, "lease_s": lease_s, "then": dict(then)}, wait_s, unwanted
        )

    def done(self, leases: Sequence[Lease]) -> None:
        """Forget leases that an operation of the hub has finished."""
        for lease in leases:
            self._takes.held.pop(lease.token, None)

    async def ack(self, leases: Sequence[Lease]) -> list[Lease]:
        """Finish these: on the disk when it returns; return those that were lost."""
        if not leases:
            return []
        lost = await self._puts.ack([lease.token for lease in leases])
        for lease in leases:
            self._takes.held.pop(lease.token, None)
        return [lease for lease in leases if lease.token in lost]

    async def nack(
        self, lease: Lease, *, delay_s: float = 0.0, reason: str = "", burn: bool = True
    ) -> None:
        """Give it back; the last attempt makes it dead. Raises `LeaseLost`."""
        head = {"op": "nack", "token": lease.token, "delay_s": delay_s, "reason": reason}
        await self._let_go(lease, {**head, "burn": burn})

    async def bury(self, lease: Lease, *, reason: str) -> None:
        """Make it dead now. Raises `LeaseLost`."""
        await self._let_go(lease, {"op": "bury", "token": lease.token, "reason": reason})

    async def extend(self, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        """Hold these for `lease_s` from now; return those that were lost."""
        if not leases:
            return []
        tokens = [lease.token for lease in leases]
        head = {"op": "extend", "tokens": tokens, "lease_s": lease_s}
        lost = set((await self._link.call(head, repeat=True)).value["lost"])
        for token in lost:
            self._takes.held.pop(token, None)
        return [lease for lease in leases if lease.token in lost]

    async def drop(self, queue: str, ids: Sequence[str]) -> int:
        """Remove waiting messages; return how many there were."""
        return await self._count({"op": "drop", "queue": queue, "ids": list(ids)})

    async def dead(self, queue: str, *, limit: int = 100, after: str = "") -> list[Entry]:
        """Return dead letters, oldest first, behind the id `after`."""
        head = {"op": "dead", "queue": queue, "limit": limit, "after": after}
        return entries_of(queue, await self._link.call(head, repeat=True))

    async def replay(self, queue: str, id: str, message: Message | None = None) -> None:  # noqa: A002
        """Put a dead letter back with fresh attempts. Raises `NoSuchEntry`."""
        head: dict[str, Any] = {"op": "replay", "queue": queue, "id": id}
        parts: tuple[bytes, ...] = ()
        if message is not None:
            parts = self._fitting(message)
            head |= {"as": message.id, "n": [len(part) for part in parts]}
        await self._link.call(head, parts)

    async def discard(self, queue: str, ids: Sequence[str]) -> int:
        """Remove dead letters for good; return how many there were."""
        return await self._count({"op": "discard", "queue": queue, "ids": list(ids)})

    async def browse(
        self, queue: str, *, states: Sequence[EntryState], limit: int = 100, after: str = ""
    ) -> list[Entry]:
        """Return what is in a queue without taking it."""
        head = {"op": "browse", "queue": queue, "limit": limit, "after": after}
        named = [EntryState(state).value for state in states]
        return entries_of(queue, await self._link.call({**head, "states": named}, repeat=True))

    async def queues(self) -> list[QueueStats]:
        """Return every queue that exists, by name."""
        answer = await self._link.call({"op": "queues"}, repeat=True)
        return [QueueStats(**row) for row in answer.value]

    async def topics(self) -> list[TopicStats]:
        """Return topics that were published to, are listened to, or have a value, by name."""
        answer = await self._link.call({"op": "topics"}, repeat=True)
        return [TopicStats(**row) for row in answer.value]

    async def request(self, address: str, message: Message, *, timeout_s: float) -> Message:
        """Return the one answer; every other outcome is an error that says what is known."""
        parts = self._fitting(message)
        head = {"op": "request", "address": address, "timeout_s": timeout_s}
        lengths = [len(part) for part in parts]
        _, future = self._link.start({**head, "n": lengths}, parts, wait_s=timeout_s)
        try:
            async with asyncio.timeout(timeout_s + LATE_S):
                answer = await future
        except TimeoutError:
            raise RequestTimeout(
                f"{address} did not answer within {timeout_s:g} s; it may have run"
            ) from None
        return unpacked(*answer.parts())

    async def serve(self, address: str, handler: Handler) -> HubServing:
        """Answer requests to this address."""
        return await self._keep(
            self._next(), HubServing(self._link, address, handler, self._forget)
        )

    async def join(self, address: str, info: Mapping[str, str]) -> HubMembership:
        """Be there, until left or gone."""
        number, since = self._next(), self._clock.unix_s()
        return await self._keep(
            number, HubMembership(self._link, number, address, info, since, self._forget)
        )

    async def watch(self, pattern: str) -> HubWatch:
        """Watch who is there, from who is there now."""
        number = self._next()
        return await self._keep(
            number, HubWatch(self._link, number, pattern, self._limits, self._forget)
        )

    async def _keep(self, number: int, kept: One) -> One:
        self._kept[number] = kept
        try:
            await kept.start(early=False)
        except BaseException:
            self._kept.pop(number, None)
            raise
        return kept

    def _forget(self, gone: object) -> None:
        for number in [number for number, kept in self._kept.items() if kept is gone]:
            del self._kept[number]

    async def _restore(self) -> None:
        """Make everything again on a new connection, before anybody else's calls."""
        answers: list[Awaitable[Any]] = []
        if self._was_there:
            # Also with nothing in hand: what the last connection was given and lost goes back.
            resume = {"op": "resume", "tokens": list(self._takes.held)}
            answers.append(self._link.start(resume, early=True)[1])
        self._was_there = True
        answers += [kept.start(early=True) for kept in list(self._kept.values())]
        for answer in answers:
            await answer
        for kept in self._kept.values():
            if isinstance(kept, HubSubscription):
                kept.lost()

    def _pushed(self, frame: Frame) -> None:
        head = frame.head
        if "sub" in head:
            kept = self._kept.get(head["sub"])
            if isinstance(kept, HubSubscription):
                kept.came(frame)
        elif "watch" in head:
            kept = self._kept.get(head["watch"])
            if isinstance(kept, HubWatch):
                kept.came(frame)
        elif "call" in head:
            for kept in self._kept.values():
                if isinstance(kept, HubServing) and kept.address == head["address"]:
                    kept.asked(frame)
                    return

    async def _back(self, lease: Lease) -> None:
        await self.nack(lease, burn=False)

    async def _let_go(self, lease: Lease, head: dict[str, Any]) -> None:
        try:
            await self._link.call(head)
        except LeaseLost as error:
            raise LeaseLost(
                f"queue {lease.queue}: {error.message}: {lease.message.id}", next=error.next
            ) from None
        finally:
            self._takes.held.pop(lease.token, None)

    async def _count(self, head: dict[str, Any]) -> int:
        return int((await self._link.call(head)).value)

    def _fitting(self, message: Message, most: int = 0) -> tuple[bytes, bytes]:
        most = most or self._message_bytes_max
        if len(message.data) > most:
            raise MessageTooLarge(
                f"{message.type}: {len(message.data)} bytes; the bus takes {most}",
                next="put it where others can read it, and send its address",
            )
        return packed(message)

    @property
    def _message_bytes_max(self) -> int:
        told = self._link.hello.get("limits", {}).get("message_bytes_max")
        mine = self._limits.message_bytes_max
        return min(mine, told) if isinstance(told, int) else mine

    @property
    def _attempts_max(self) -> int:
        """What to ask for where a put says nothing: 0 where the hub has the same default."""
        told = self._link.hello.get("limits", {}).get("attempts_max")
        return 0 if told == self._limits.attempts_max else self._limits.attempts_max

    def _next(self) -> int:
        self._number += 1
        return self._number
