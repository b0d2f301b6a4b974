"""How the suite reaches the engine, and how a process of it dies."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from mergepoint_testkit.bus import EngineSource
from mergepoint_testkit.postgres import Postgres

from mergepoint.bus.adapters.postgres import PostgresEngine
from mergepoint.bus.contract import Engine, Limits
from mergepoint.core.clock import SystemClock


class PostgresSource(EngineSource):
    """Engines on one database, which nothing else uses meanwhile."""

    can_kill = True
    has_proxy = True

    def __init__(self, server: Postgres, database: str) -> None:
        super().__init__()
        self.server = server
        self.database = database
        self.clock = SystemClock()
        self.limits = Limits(heartbeat_s=0.5)

    def make_engine(self, limits: Limits, address: str) -> Engine:
        return self.make_engine_at(self.broker_address(), limits, address)

    def broker_address(self) -> str:
        return str(self.server.socket)

    def make_engine_at(self, broker_address: str, limits: Limits, address: str) -> Engine:
        url = self.server.url(self.database, host=Path(broker_address).parent)
        return PostgresEngine(url, limits, self.clock, address=address)

    async def kill(self, engine: Engine) -> None:
        assert isinstance(engine, PostgresEngine)
        tasks = [task for task in _tasks(engine) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for descriptor in _descriptors(engine):
            # As the kernel does for a process that is gone: the other end sees the end.
            with socket.socket(fileno=os.dup(descriptor)) as end:
                end.shutdown(socket.SHUT_RDWR)


def _tasks(engine: PostgresEngine) -> Iterator[asyncio.Task[None] | None]:
    yield engine._link._task
    yield engine._duty
    yield engine._topics._task
    yield engine._requests._fetching


def _descriptors(engine: PostgresEngine) -> Iterator[int]:
    link = engine._link
    for one in (link._listener, link._signaller, *(link._pool._pool if link._pool else ())):
        if one is not None and not one.closed:
            yield one.fileno()
