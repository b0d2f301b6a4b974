"""What the fault tests ask a hub for, in few words."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from mergepoint.bus.adapters.hub import HubEngine
from mergepoint.bus.contract import Lease, Put, State
from mergepoint.wire.envelope import Message

from .hub_process import HubProcess

Value = TypeVar("Value")
PATIENCE_S = 30.0
QUEUE = "mail"


def message(id_: str, data: bytes = b"{}") -> Message:
    return Message(id=id_, source="/test", type=QUEUE, data=data)


def run(coming: Coroutine[Any, Any, Value]) -> Value:
    """Run a test's coroutine, which ends while there is patience."""

    async def bounded() -> Value:
        async with asyncio.timeout(4 * PATIENCE_S):
            return await coming

    return asyncio.run(bounded())


@contextlib.asynccontextmanager
async def connected(hub: HubProcess, **how: Any) -> AsyncIterator[HubEngine]:
    engine = hub.engine(**how)
    states: list[State] = []
    engine.states = states  # type: ignore[attr-defined]
    await engine.open(lambda state, _reason: states.append(state))
    try:
        yield engine
    finally:
        await engine.close()


async def put(engine: HubEngine, *ids: str, queue: str = QUEUE, **how: Any) -> None:
    await engine.put(queue, [Put(message=message(id_), **how) for id_ in ids])


async def take(
    engine: HubEngine, limit: int = 1, *, wait_s: float = PATIENCE_S, lease_s: float = 60.0
) -> list[Lease]:
    return await engine.take([QUEUE], worker="w", limit=limit, lease_s=lease_s, wait_s=wait_s)


async def drain(engine: HubEngine) -> list[str]:
    """Take and finish everything that is there; return the ids in their order."""
    ids: list[str] = []
    while leases := await take(engine, 100, wait_s=0):
        ids += [lease.message.id for lease in leases]
        assert await engine.ack(leases) == []
    return ids


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    """Return as soon as it is so; fail when patience is over."""
    async with asyncio.timeout(PATIENCE_S):
        while not await check():
            await asyncio.sleep(0.01)


async def whole(engine: HubEngine) -> None:
    """Fail unless the file is whole and says what is true."""
    assert (await engine.link.call({"op": "integrity"}, wait_s=PATIENCE_S)).value == []
