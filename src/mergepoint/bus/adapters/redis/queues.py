"""Queues: what is put, taken, finished, given back, set aside.

Place:  adapters.redis.engine -> [queues] -> lua scripts
Rule:   the scripts decide, by the server's time; here are only words, waiting and errors.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from mergepoint.bus.adapters.redis import carried
from mergepoint.bus.adapters.redis.link import Link
from mergepoint.bus.contract import Accepted, Entry, EntryState, Lease, Put, QueueStats, State
from mergepoint.bus.errors import BusClosed, BusError, BusLost, LeaseLost, NoSuchEntry
from mergepoint.wire.envelope import Message

LOOK_S = 1.0
"""How often a waiting worker looks without having been woken: a wake-up may be lost."""
LEASE_FIELDS = 7


class Queues:
    """The queues of one server, for one process."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._waiting: dict[str, asyncio.Event] = {}
        self._giving_back: set[asyncio.Task[None]] = set()

    async def put(self, queue: str, puts: Sequence[Put]) -> list[Accepted]:
        """Accept all or none."""
        asked = [carried.asked_put(put, self._link.limits) for put in puts]
        bodies = [carried.packed(put.message) for put in puts]
        known = await self._run("put", {"queue": queue, "puts": asked}, *bodies)
        return [
            Accepted(id=put.message.id, duplicate=again == b"1")
            for put, again in zip(puts, known, strict=True)
        ]

    async def take(
        self, queues: Sequence[str], *, worker: str, limit: int, lease_s: float, wait_s: float
    ) -> list[Lease]:
        """Return jobs as soon as there is one; waits for a lost server as for a job."""
        clock = self._link.clock
        until = clock.monotonic_s() + wait_s
        named = list(dict.fromkeys(queues))
        asked = {
            "queues": named,
            "owner": self._link.owner,
            "worker": worker,
            "limit": limit,
            "lease_ms": carried.milliseconds(lease_s),
        }
        while True:
            left = until - clock.monotonic_s()
            changed = self._link.changed
            try:
                woken = await self._listen(named) if left > 0 else None
                leases, due_s = await self._take(asked)
            except BusLost:
                if left <= 0:
                    raise
                await _first(min(left, LOOK_S), changed)
                continue
            if leases or left <= 0:
                return leases
            await _first(min(left, LOOK_S, due_s), changed, *(woken or ()))

    async def ack(self, leases: Sequence[Lease]) -> list[Lease]:
        """Finish these; return those that were lost."""
        if not leases:
            return []
        lost = await self._run("ack", {"leases": _named(leases)})
        return [leases[position - 1] for position in lost]

    async def nack(self, lease: Lease, **how: Any) -> None:  # Any: numbers, texts
        """Give back or bury, as `nack.lua` reads it; raises `LeaseLost`."""
        asked = {
            "queue": lease.queue,
            "id": lease.handle,
            "token": lease.token,
            "reason": "",
            "burn": True,
            "delay_ms": 0,
            "bury": False,
            **how,
        }
        if not await self._run("nack", asked):
            raise LeaseLost(f"the lease of {lease.message.id} in queue {lease.queue} is lost")

    async def extend(self, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        """Hold these from now; return those that were lost."""
        if not leases:
            return []
        asked = {"leases": _named(leases), "lease_ms": carried.milliseconds(lease_s)}
        lost = await self._run("extend", asked)
        return [leases[position - 1] for position in lost]

    async def remove(self, script: str, queue: str, ids: Sequence[str]) -> int:
        """Drop what waits, or discard what is dead; return how many there were."""
        if not ids:
            return 0
        return int(await self._run(script, {"queue": queue, "ids": list(ids)}))

    async def replay(self, queue: str, id_: str, message: Message | None) -> None:
        """Put a dead letter back; raises `NoSuchEntry`."""
        bodies = [carried.packed(message)] if message else []
        asked = {"queue": queue, "id": id_, "new_id": message.id if message else ""}
        if not await self._run("replay", asked, *bodies):
            raise NoSuchEntry(f"queue {queue} has no dead letter {id_}")

    async def browse(
        self, queue: str, states: Sequence[EntryState], limit: int, after: str
    ) -> list[Entry]:
        """Return what is in these states, in the order of the states."""
        parts = [part for state in dict.fromkeys(states) for part in carried.PARTS[state]]
        if not parts or limit < 1:
            return []
        asked = {"queue": queue, "parts": parts, "limit": limit, "after": after}
        return [carried.entry(queue, told) for told in await self._run("browse", asked)]

    async def stats(self) -> list[QueueStats]:
        """Return every queue that was ever named."""
        return [_stats(told) for told in await self._run("queues", {})]

    async def bind(self, queue: str, pattern: str) -> None:
        """Remember that the pattern feeds the queue."""
        prefix = self._link.prefix
        await self._link.command("SADD", f"{prefix}queues", queue)
        await self._link.command("HSET", f"{prefix}bindings", f"{queue} {pattern}", pattern)

    async def unbind(self, queue: str, pattern: str) -> None:
        """Forget that."""
        await self._link.command("HDEL", f"{self._link.prefix}bindings", f"{queue} {pattern}")

    async def _take(self, asked: dict[str, Any]) -> tuple[list[Lease], float]:
        """Return jobs, and seconds until one is due; a cancelled caller loses none."""
        running = asyncio.ensure_future(self._run("take", asked))
        try:
            told = await asyncio.shield(running)
        except asyncio.CancelledError:
            task = asyncio.create_task(self._give_back(running))
            self._giving_back.add(task)
            task.add_done_callback(self._giving_back.discard)
            raise
        due_ms = int(told[0])
        return _leases(told), due_ms / 1000 if due_ms >= 0 else LOOK_S

    async def _give_back(self, running: asyncio.Future[Any]) -> None:
        with contextlib.suppress(BusError):
            for lease in _leases(await running):
                await self.nack(lease, burn=False)

    async def _listen(self, queues: Sequence[str]) -> list[asyncio.Event]:
        """Return what is set when something comes into one of these from now on."""
        events = []
        for queue in queues:
            event = self._waiting.get(queue)
            if event is None:
                await self._link.listen(f"wake:{queue}", self._woken)
            if event is None or event.is_set():
                event = self._waiting[queue] = asyncio.Event()
            events.append(event)
        return events

    def _woken(self, channel: bytes, _payload: bytes) -> None:
        queue = channel.decode().removeprefix(f"{self._link.prefix}wake:")
        event = self._waiting.get(queue)
        if event is not None:
            event.set()

    async def _run(self, name: str, asked: dict[str, Any], *bodies: bytes) -> Any:  # Any: RESP
        return await self._link.run(name, {**asked, **carried.bounds(self._link.limits)}, *bodies)

    def check_open(self) -> None:
        """Raise `BusClosed` after the end."""
        if self._link.state is State.CLOSED:
            raise BusClosed("this connection to the bus was closed")


async def _first(seconds: float, *events: asyncio.Event) -> None:
    """Return when one is set, or after so long."""
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _named(leases: Sequence[Lease]) -> list[list[object]]:
    return [[lease.queue, lease.handle, lease.token] for lease in leases]


def _leases(told: list[bytes]) -> list[Lease]:
    leases = []
    for start in range(1, len(told), LEASE_FIELDS):
        queue, name, body, token, attempt, ends, key = told[start : start + LEASE_FIELDS]
        leases.append(
            Lease(
                queue=queue.decode(),
                message=carried.unpacked(body),
                token=token.decode(),
                attempt=int(attempt),
                expires_at=int(ends) / 1000,
                key=key.decode(),
                handle=name.decode(),
            )
        )
    return leases


def _stats(told: list[bytes]) -> QueueStats:
    name, ready, delayed, leased, dead, oldest_ms = told
    return QueueStats(
        name=name.decode(),
        ready=int(ready),
        delayed=int(delayed),
        leased=int(leased),
        dead=int(dead),
        oldest_s=int(oldest_ms) / 1000 if int(oldest_ms) >= 0 else None,
    )
