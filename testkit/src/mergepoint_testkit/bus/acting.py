"""What tests of one engine's faults do again and again.

Place:  tests/<engine> -> [bus.acting] -> an engine
Rule:   waits for events with patience, never for luck; knows no engine by name.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

from mergepoint.bus.contract import Engine, Lease, Limits, Put, State
from mergepoint.bus.errors import BusError, BusLost
from mergepoint.wire.envelope import Message
from mergepoint_testkit.holder import Holder, holding

PATIENCE_S = 40.0
RECOVERY_S_MAX = 15.0
"""From a worker's death to its job in other hands: one lease; promised are less than two."""
AGAIN_S = 0.05
EngineType = TypeVar("EngineType", bound=Engine)
_numbers = itertools.count(1)


class Watched(Generic[EngineType]):
    """An engine and the states it told."""

    def __init__(self, engine: EngineType) -> None:
        self.engine = engine
        self.states: list[State] = []
        self._changed = asyncio.Event()

    def told(self, state: State, _reason: str) -> None:
        """Take note of a state."""
        self.states.append(state)
        self._changed.set()

    async def reaches(self, state: State) -> None:
        """Return when this is the last state that was told."""
        async with asyncio.timeout(PATIENCE_S):
            while self.states[-1] is not state:
                self._changed.clear()
                await self._changed.wait()


@contextlib.asynccontextmanager
async def opened(engine: EngineType) -> AsyncIterator[Watched[EngineType]]:
    """Open the engine, and close it in the end."""
    watched = Watched(engine)
    await engine.open(watched.told)
    try:
        yield watched
    finally:
        await engine.close()


def refused(engine: Engine) -> BusError | None:
    """Open and close an engine; return what was refused."""

    async def go() -> BusError | None:
        try:
            async with opened(engine):
                return None
        except BusError as error:
            return error

    return asyncio.run(go())


def message(data: bytes = b"{}") -> Message:
    """Return a message with an id of its own."""
    return Message(id=f"m{next(_numbers)}", source="tests", type="test", data=data)


async def put(engine: Engine, queue: str, *datas: bytes) -> None:
    """Put one message for each of these, in one call."""
    await engine.put(queue, [Put(message=message(data)) for data in datas])


async def put_when_possible(engine: Engine, queue: str, data: bytes) -> None:
    """Put it as soon as the engine takes it; the id is the same at every attempt."""
    wanted = [Put(message=message(data))]
    await insist(lambda: engine.put(queue, wanted), BusError)


async def insist(act: Callable[[], Awaitable[object]], error: type[BusError] = BusLost) -> None:
    """Repeat what raises `error` until it does not, as whoever relies on ids may."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await act()
            except error:
                await asyncio.sleep(AGAIN_S)
            else:
                return


async def take(engine: Engine, queue: str, *, lease_s: float = 600.0) -> Lease:
    """Return the next job, asking again while the connection is lost."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with contextlib.suppress(BusLost):
                leases = await engine.take(
                    [queue], worker="tests", limit=1, lease_s=lease_s, wait_s=PATIENCE_S
                )
                if leases:
                    return leases[0]
            await asyncio.sleep(0)


async def echo(asked: Message) -> Message:
    """Answer what was asked."""
    return asked


async def a_killed_workers_job_comes_back(
    other: Engine, url: str, queue: str, limits: Limits
) -> float:
    """Kill a process that holds a job for ten minutes; return how long nobody had it."""
    await put(other, queue, b"1")
    async with _holding_one(url, queue, lease_s=600.0, limits=limits) as holder:
        taking = asyncio.create_task(take(other, queue))
        began = await asyncio.to_thread(holder.kill)
        lease = await taking
        took_s = asyncio.get_running_loop().time() - began
    assert lease.attempt == 2
    assert took_s < RECOVERY_S_MAX
    print(f"its job is back after {took_s:.2f} s (heartbeat {limits.heartbeat_s:g} s)")
    return took_s


async def a_frozen_worker_finishes_nothing(
    other: Engine, url: str, queue: str, limits: Limits
) -> None:
    """Freeze a process beyond its lease: whoever has the job then keeps it."""
    await put(other, queue, b"1")
    async with _holding_one(url, queue, lease_s=1.0, limits=limits) as holder:
        holder.freeze()
        lease = await take(other, queue)
        assert lease.attempt == 2
        holder.thaw()
        assert await asyncio.to_thread(holder.finish) == 1
        assert await other.extend([lease], 600) == []
        assert await other.ack([lease]) == []


@contextlib.asynccontextmanager
async def _holding_one(
    url: str, queue: str, *, lease_s: float, limits: Limits
) -> AsyncIterator[Holder]:
    holder = holding(url, queue, lease_s=lease_s, limits=limits)
    try:
        for event in ("open", "took"):
            assert (await asyncio.to_thread(holder.said))["event"] == event
        yield holder
    finally:
        holder.end()
