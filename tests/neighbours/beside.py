"""Measure the good app alone, beside a fault, and alone again.

Place:  tests/neighbours -> [beside] -> mergepoint_testkit.load
Rule:   zero failures means zero; the latency alone is taken before and after, because the machine
        is shared with others who come and go.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from mergepoint_testkit.load import Tally, Target, closed_loop
from mergepoint_testkit.sites import RunningSite

ALONE_S, BESIDE_S = 0.5, 1.5
ROUNDS_MAX = 3
"""Harm lasts and noise does not: a latency beyond the bound is looked at again, a failure never."""
CLIENTS = 4
PAUSE_S = 0.01
FACTOR = 2.0
FLOOR_S = 0.020
"""A p99 below this passes whatever it was alone: two cores are shared by everything here."""
STATUS_S_MAX = 5.0

Fault = Callable[[int], AbstractAsyncContextManager[Any]]


@dataclass(frozen=True, slots=True)
class Measured:
    """The good app alone and beside the fault, and the site's status during the fault."""

    alone: Tally
    beside: Tally
    status: dict[str, Any]
    status_s: float
    floor_s: float = FLOOR_S

    @property
    def bound_s(self) -> float:
        """Return the highest p99 beside the fault that is no harm."""
        return max(FACTOR * self.alone.percentile_s(0.99), self.floor_s)

    @property
    def slow(self) -> bool:
        """Tell whether the p99 beside the fault is beyond the bound."""
        return self.beside.percentile_s(0.99) > self.bound_s

    def assert_unharmed(self) -> None:
        """Fail unless the good app lost nothing and stayed within the factor."""
        assert self.alone.failures == 0, str(self)
        assert self.beside.failures == 0, str(self)
        assert self.beside.succeeded > 50, str(self)
        assert not self.slow, str(self)
        assert self.status["apps"]["good"]["state"] == "ready"
        assert self.status_s < STATUS_S_MAX

    def __str__(self) -> str:
        return (
            f"alone {self.alone}; beside {self.beside}; bound {self.bound_s * 1000:.1f} ms; "
            f"status in {self.status_s:.2f} s"
        )


def measure(site: RunningSite, fault: Fault, floor_s: float = FLOOR_S) -> Measured:
    """Measure beside the fault, again when only the latency was bad; failures are never retried."""
    for _ in range(ROUNDS_MAX):
        measured = measure_once(site, fault, floor_s)
        print(measured)
        if measured.beside.failures or not measured.slow:
            break
    return measured


def measure_once(site: RunningSite, fault: Fault, floor_s: float) -> Measured:
    """Run the fault's block around the middle of three measurements."""
    target = Target(site.port, "/good/")

    async def look(seconds: float) -> Tally:
        return await closed_loop(target, seconds=seconds, connections=CLIENTS, pause_s=PAUSE_S)

    async def run() -> Measured:
        before = await look(ALONE_S)
        async with fault(site.port):
            beside = await look(BESIDE_S)
            began = time.monotonic()
            status = await asyncio.to_thread(site.status)
            status_s = time.monotonic() - began
        after = await look(ALONE_S)
        return Measured(joined(before, after), beside, status, status_s, floor_s)

    return asyncio.run(run())


def joined(first: Tally, second: Tally) -> Tally:
    """Return two measurements as one."""
    return Tally(
        first.succeeded + second.succeeded,
        first.failed + second.failed,
        first.latencies_s + second.latencies_s,
        first.success_at_s + second.success_at_s,
    )


def request(path: str, more: str = "", method: str = "GET") -> bytes:
    """Return the bytes of one request to the bad app."""
    return f"{method} /bad{path} HTTP/1.1\r\nHost: x\r\n{more}Connection: close\r\n\r\n".encode()


async def status_of(port: int, payload: bytes, patience_s: float = 20.0) -> int:
    """Send one request and return its status; 0 when the connection was closed without one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(patience_s):
            writer.write(payload)
            line = await reader.readline()
            return int(line.split()[1]) if line else 0
    finally:
        writer.close()


@contextlib.asynccontextmanager
async def clients(count: int, one: Callable[[], Any]) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """Run `count` clients beside the block, and leave with them at its end."""
    tasks = [asyncio.create_task(one()) for _ in range(count)]
    try:
        await asyncio.sleep(0.2)
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
