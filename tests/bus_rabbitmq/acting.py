"""What the tests of faults do again and again.

Place:  tests/bus_rabbitmq -> [acting]
Rule:   waits for events with patience, never for luck; every test has a queue of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
import uuid
from collections.abc import AsyncIterator

from mergepoint_testkit.rabbitmq import RabbitServer

from mergepoint.bus.adapters.rabbitmq import RabbitmqEngine
from mergepoint.bus.contract import Lease, Limits, Put, State
from mergepoint.bus.errors import BusError
from mergepoint.core.clock import SystemClock
from mergepoint.wire.envelope import Message

PATIENCE_S = 40.0
_numbers = itertools.count(1)


class Watched:
    """An engine and the states it told."""

    def __init__(self, url: str, **limits: float) -> None:
        self.states: list[State] = []
        self.changed = asyncio.Event()
        bounds = {"heartbeat_s": 1.0, **limits}
        self.engine = RabbitmqEngine(url, Limits(**bounds), SystemClock())  # type: ignore[arg-type]

    def told(self, state: State, _reason: str) -> None:
        self.states.append(state)
        self.changed.set()

    async def reaches(self, state: State) -> None:
        """Return when this is the last state that was told."""
        async with asyncio.timeout(PATIENCE_S):
            while self.states[-1] is not state:
                self.changed.clear()
                await self.changed.wait()


@contextlib.asynccontextmanager
async def connected(server: RabbitServer, **limits: float) -> AsyncIterator[Watched]:
    watched = Watched(server.url(), **limits)
    await watched.engine.open(watched.told)
    try:
        yield watched
    finally:
        await watched.engine.close()


def queue_name() -> str:
    return f"jobs-{uuid.uuid4().hex[:8]}"


def message(data: bytes = b"{}") -> Message:
    return Message(id=f"m{next(_numbers)}", source="tests", type="test", data=data)


async def put(engine: RabbitmqEngine, queue: str, *datas: bytes) -> None:
    await engine.put(queue, [Put(message=message(data)) for data in datas])


async def take(engine: RabbitmqEngine, queue: str, *, lease_s: float = 600.0) -> Lease:
    leases = await engine.take([queue], worker="tests", limit=1, lease_s=lease_s, wait_s=PATIENCE_S)
    assert leases, "no job came"
    return leases[0]


async def put_when_possible(engine: RabbitmqEngine, queue: str, data: bytes) -> None:
    """Put it as soon as the engine takes it."""
    wanted = [Put(message=message(data))]
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await engine.put(queue, wanted)
            except BusError:
                await asyncio.sleep(0.05)
            else:
                return


def since(began: float) -> float:
    return time.monotonic() - began
