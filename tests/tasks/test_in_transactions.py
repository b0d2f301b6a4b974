"""A task that is asked for inside a transaction exists if and only if that commits."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from mergepoint.tasks.errors import NoSuchTask
from mergepoint.tasks.outbox import ddl
from mergepoint.tasks.outbox.relay import Relay, RelaySettings
from mergepoint.testing.site import Testing


@pytest.fixture
def site() -> Iterator[Testing]:
    with Testing() as made:
        yield made


def test_committed_tasks_run_and_rolled_back_ones_never_were(site: Testing, tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    database = sqlite3.connect(path)
    for statement in ddl("sqlite"):
        database.execute(statement)
    database.execute("CREATE TABLE orders (n INTEGER)")
    database.commit()
    ran: list[int] = []

    @site.tasks.task
    def ship(order: int) -> None:
        ran.append(order)

    handles = []
    for order in range(6):
        database.execute("INSERT INTO orders VALUES (?)", (order,))
        handles.append(ship.with_options(connection=database).enqueue(order))
        if order % 2:
            database.rollback()
        else:
            database.commit()
    site.advance(minutes=1)
    assert ran == []
    with pytest.raises(NoSuchTask):
        handles[0].record()

    async def relay_all() -> None:
        settings = RelaySettings(databases=(f"sqlite:///{path}",))
        relay = Relay(settings, await site.engine(), site.time)
        working = asyncio.create_task(relay.run())
        while sum(relay.relayed.values()) < 3:
            await asyncio.sleep(0.05)
        working.cancel()

    site.wait(relay_all)
    site.advance(minutes=1)

    assert sorted(ran) == [0, 2, 4]
    orders = [row[0] for row in database.execute("SELECT n FROM orders ORDER BY n")]
    assert orders == [0, 2, 4]
    database.close()
