"""A desk on PostgreSQL's ledger: its list of releases is what stands in the queues."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from mergepoint.bus.adapters.postgres import PostgresEngine
from mergepoint.bus.contract import Limits
from mergepoint.core.clock import SystemClock
from mergepoint.tasks.contract import Release
from mergepoint.tasks.ledger.postgres import PostgresLedger
from tests.tasks.ledgers import Desk, HandClock

HEARTBEAT_S = 0.5
TABLES = "message, task, task_link, task_once, task_bucket, task_schedule, task_tick"


class PostgresDesk(Desk):
    """Ledger and queues in one database."""

    def __init__(self, engine: PostgresEngine, ledger: PostgresLedger, clock: HandClock) -> None:
        super().__init__(ledger, clock)
        self.engine = engine
        self._place = 0

    async def carry(self, releases: Any) -> None:
        """Read what the ledger has put into the queues since the last look."""
        assert tuple(releases) == ()  # nobody else is to put anything
        found = await self.engine.call(
            "SELECT place, id, queue, priority, attributes FROM mergepoint.message"
            " WHERE place > %s ORDER BY place",
            (self._place,),
        )
        for place, message, queue, priority, attributes in found:
            task, _, generation = message.partition(".")
            self._place = place
            self.queue.append(
                Release(
                    id=task,
                    generation=int(generation or 0),
                    name=attributes["subject"],
                    queue=queue.removeprefix("tasks."),
                    priority=priority,
                )
            )


@contextlib.asynccontextmanager
async def engine_on(url: str, **limits: float) -> AsyncIterator[PostgresEngine]:
    given = Limits(**{"heartbeat_s": HEARTBEAT_S, **limits})  # type: ignore[arg-type]
    engine = PostgresEngine(url, given, SystemClock(), address="test/0")
    await engine.open(lambda *_: None)
    try:
        yield engine
    finally:
        await engine.close()


@contextlib.asynccontextmanager
async def desk_on(url: str) -> AsyncIterator[PostgresDesk]:
    clock = HandClock()
    async with engine_on(url) as engine:
        yield PostgresDesk(engine, await PostgresLedger.opened(engine, clock=clock), clock)


async def emptied(desk: PostgresDesk) -> None:
    names = ", ".join(f"mergepoint.{name}" for name in TABLES.split(", "))
    await desk.engine.call(f"TRUNCATE {names}")
