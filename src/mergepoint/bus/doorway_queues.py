"""Queues as an app sees them: put, get, and a job that is finished by leaving its block.

Place:  bus.doorway -> [bus.doorway_queues] -> bus.calls, bus.keeping
Rule:   each thing once, as a coroutine on the engine's loop; blocking and async are two ways there.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from mergepoint.bus.calls import Calls, named
from mergepoint.bus.contract import PRIORITY_MAX, PRIORITY_MIN, Accepted, Entry, Put
from mergepoint.bus.errors import BusRefused
from mergepoint.bus.job import Job
from mergepoint.bus.joining import Joined
from mergepoint.bus.keeping import Keeper
from mergepoint.bus.loop import LoopThread
from mergepoint.wire.names import check_name, check_pattern

PRIORITY = 4


class Queue:
    """One queue."""

    def __init__(
        self, loop: LoopThread, calls: Calls, keeper: Callable[[], Keeper], name: str
    ) -> None:
        self.name = named(check_name, name)
        self._loop = loop
        self._calls = calls
        self._keeper = keeper

    def put(self, value: Any, **how: Any) -> Accepted:
        """Put one job; return when the engine has it.

        `delay_s` or `at` (a datetime): not before. `priority` 0 to 9. `key`: jobs of a key are
        done one at a time, in order. `id`: repeats within `dedupe_s` are dropped. `attempts_max`.
        `expires_s`: dead when nobody took it by then.

        Within an open transaction of the app's database the job is a part of it, and is put if and
        only if that commits. `connection` names the transaction where it cannot be found;
        `apart=True` puts at once, whatever is open. Raises `OutboxRefused`, `OutboxMissing`.
        """
        return self._sent([value], how)[0]

    async def aput(self, value: Any, **how: Any) -> Accepted:
        """As `put`."""
        return (await self._asent([value], how))[0]

    def put_many(self, values: Iterable[Any], **how: Any) -> list[Accepted]:
        """Put several, treated alike: all or none."""
        return self._sent(list(values), how)

    async def aput_many(self, values: Iterable[Any], **how: Any) -> list[Accepted]:
        """Put several, treated alike: all or none."""
        return await self._asent(list(values), how)

    def get(self, *, wait_s: float = 0.0, lease_s: float | None = None) -> Job:
        """Return the next job, or a false one when none came in `wait_s`.

        Use it in a `with` block: leaving it finishes the job, an exception gives it back. Its
        lease is extended until then, by the bus, whatever the block does.
        """
        return self._loop.wait(lambda: self._get(wait_s, lease_s))

    async def aget(self, *, wait_s: float = 0.0, lease_s: float | None = None) -> Job:
        """As `get`; use it in an `async with` block."""
        return await self._loop.join(lambda: self._get(wait_s, lease_s))

    def bind(self, pattern: str) -> None:
        """Let everything published to the pattern be put here; idempotent."""
        self._loop.wait(self._binding(pattern, True))

    async def abind(self, pattern: str) -> None:
        """As `bind`."""
        await self._loop.join(self._binding(pattern, True))

    def unbind(self, pattern: str) -> None:
        """End that."""
        self._loop.wait(self._binding(pattern, False))

    async def aunbind(self, pattern: str) -> None:
        """As `unbind`."""
        await self._loop.join(self._binding(pattern, False))

    def dead(self, *, limit: int = 100, after: str = "") -> list[Entry]:
        """Return dead letters, oldest first, beginning after the id `after`."""
        return self._loop.wait(lambda: self._dead(limit, after))

    async def adead(self, *, limit: int = 100, after: str = "") -> list[Entry]:
        """As `dead`."""
        return await self._loop.join(lambda: self._dead(limit, after))

    def replay(self, id: str) -> None:  # noqa: A002
        """Put a dead letter back with fresh attempts; raises `NoSuchEntry`."""
        self._loop.wait(lambda: self._replay(id))

    async def areplay(self, id: str) -> None:  # noqa: A002
        """As `replay`."""
        await self._loop.join(lambda: self._replay(id))

    def discard(self, ids: Sequence[str]) -> int:
        """Remove dead letters for good; return how many there were."""
        return self._loop.wait(lambda: self._discard(ids))

    async def adiscard(self, ids: Sequence[str]) -> int:
        """As `discard`."""
        return await self._loop.join(lambda: self._discard(ids))

    def _sent(self, values: list[Any], how: dict[str, Any]) -> list[Accepted]:
        puts, needs, joined = self._made(values, **how)
        if joined is not None:
            return self._calls.write(joined, self.name, puts, "put")
        return self._loop.wait(self._putting(puts, needs))

    async def _asent(self, values: list[Any], how: dict[str, Any]) -> list[Accepted]:
        puts, needs, joined = self._made(values, **how)
        if joined is not None:
            return await self._calls.awrite(joined, self.name, puts, "put")
        return await self._loop.join(self._putting(puts, needs))

    def _made(
        self, values: list[Any], *, connection: Any = None, apart: bool = False, **how: Any
    ) -> tuple[list[Put], tuple[str, ...], Joined | None]:
        """Return what is put, what that needs, and the transaction it belongs to."""
        if how.get("id") and len(values) > 1:
            raise BusRefused(f"one id for {len(values)} jobs: only the first would be accepted")
        puts = [self._put(value, **how) for value in values]
        needs = {"queues"}
        needs |= {"delay"} if any(put.not_before for put in puts) else set()
        needs |= {"priority"} if any(put.priority != PRIORITY for put in puts) else set()
        needs |= {"key_order"} if any(put.key for put in puts) else set()
        needed = tuple(sorted(needs))
        return puts, needed, self._calls.joined(connection, apart, *needed)

    def _putting(
        self, puts: list[Put], needs: tuple[str, ...]
    ) -> Callable[[], Awaitable[list[Accepted]]]:
        async def work() -> list[Accepted]:
            async with self._calls.call("put", *needs) as engine:
                return await engine.put(self.name, puts)

        return work

    def _put(
        self,
        value: Any,
        *,
        delay_s: float = 0.0,
        at: datetime | None = None,
        priority: int = PRIORITY,
        key: str = "",
        id: str = "",  # noqa: A002
        attempts_max: int = 0,
        expires_s: float = 0.0,
    ) -> Put:
        now = self._calls.clock.unix_s()
        if not PRIORITY_MIN <= priority <= PRIORITY_MAX:
            raise BusRefused(f"priority {priority}; it lies in {PRIORITY_MIN} to {PRIORITY_MAX}")
        if at is not None and at.tzinfo is None:
            raise BusRefused(f"{at} has no time zone, so nobody knows when that is")
        if delay_s < 0 or expires_s < 0 or attempts_max < 0:
            raise BusRefused("delay_s, expires_s and attempts_max are not negative")
        not_before = at.timestamp() if at is not None else (now + delay_s if delay_s else 0.0)
        extensions = {"mpkey": key} if key else {}
        return Put(
            message=self._calls.message(self.name, value, id=id, extensions=extensions),
            not_before=not_before,
            priority=priority,
            key=key,
            attempts_max=attempts_max,
            expires_at=now + expires_s if expires_s else 0.0,
        )

    async def _get(self, wait_s: float, lease_s: float | None) -> Job:
        calls = self._calls
        length_s = calls.limits.lease_s if lease_s is None else lease_s
        if length_s <= 0 or wait_s < 0:
            raise BusRefused(
                f"lease_s {length_s:g} and wait_s {wait_s:g}: the first is more than 0"
            )
        async with calls.call("take", "queues", limit_s=wait_s + calls.limits.call_s) as engine:
            leases = await engine.take(
                [self.name],
                worker=f"{calls.address or 'process'}#{os.getpid()}",
                limit=1,
                lease_s=length_s,
                wait_s=wait_s,
            )
        if not leases:
            return Job(self._loop, calls, self._keeper(), None, length_s)
        job = Job(self._loop, calls, self._keeper(), leases[0], length_s)
        self._keeper().keep(job)
        return job

    def _binding(self, pattern: str, bound: bool) -> Callable[[], Awaitable[None]]:
        named(check_pattern, pattern, own=True)

        async def work() -> None:
            async with self._calls.call("bind", "queues", "bind") as engine:
                await (engine.bind if bound else engine.unbind)(self.name, pattern)

        return work

    async def _dead(self, limit: int, after: str) -> list[Entry]:
        async with self._calls.call("dead", "dead_letters") as engine:
            return await engine.dead(self.name, limit=limit, after=after)

    async def _replay(self, id_: str) -> None:
        async with self._calls.call("replay", "dead_letters") as engine:
            await engine.replay(self.name, id_)

    async def _discard(self, ids: Sequence[str]) -> int:
        async with self._calls.call("discard", "dead_letters") as engine:
            return await engine.discard(self.name, ids)
