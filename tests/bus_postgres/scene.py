"""What tests of faults share: engines that end with their test, and patience."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from mergepoint.bus.adapters.postgres import PostgresEngine
from mergepoint.bus.contract import Lease, Limits, State
from mergepoint.bus.errors import BusLost
from mergepoint.core.clock import SystemClock
from mergepoint.wire.envelope import Message

PATIENCE_S = 30.0
HEARTBEAT_S = 0.5
Make = Callable[[], str]


def message(id_: str, data: bytes = b"{}") -> Message:
    return Message(id=id_, source="s", type="t", data=data)


@contextlib.asynccontextmanager
async def engine_on(
    url: str, states: list[State] | None = None, **limits: float
) -> AsyncIterator[PostgresEngine]:
    given = {"heartbeat_s": HEARTBEAT_S, **limits}
    engine = PostgresEngine(url, Limits(**given), SystemClock())  # type: ignore[arg-type]
    await engine.open(lambda state, _: None if states is None else states.append(state))
    try:
        yield engine
    finally:
        await engine.close()


async def take(engine: PostgresEngine, queue: str = "q", **how: float) -> list[Lease]:
    given = {"limit": 100, "lease_s": 60.0, "wait_s": PATIENCE_S, **how}
    return await engine.take([queue], worker="w", **given)  # type: ignore[arg-type]


async def insist(act: Callable[[], object]) -> None:
    """Repeat what raised `BusLost`, as whoever relies on ids may."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await act()  # type: ignore[misc]
            except BusLost:
                await asyncio.sleep(0.01)
            else:
                return


async def until(stands: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not stands():
            await asyncio.sleep(0.01)
