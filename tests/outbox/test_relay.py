"""The relay: everything committed reaches its queue, once, and one bad row stops nothing."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from mergepoint.bus.adapters.memory import MemoryEngine
from mergepoint.bus.adapters.memory_broker import Broker
from mergepoint.bus.contract import Limits, Put
from mergepoint.core.clock import SystemClock
from mergepoint.tasks import outbox
from mergepoint.tasks.outbox.contract import OutboxRefused
from mergepoint.tasks.outbox.relay import Relay, RelaySettings
from mergepoint.tasks.outbox.relay_store import Lag

from .conftest import put, rows

PATIENCE_S = 20.0
Write = Callable[..., None]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Path | str:
    name = "sqlite_file" if request.param == "sqlite" else "postgres_url"
    found: Path | str = request.getfixturevalue(name)
    return found


def url_of(database: Path | str) -> str:
    return database if isinstance(database, str) else f"sqlite:///{database}"


def write(database: Path | str, *puts: Put, queue: str = "mail") -> None:
    """Enqueue in a transaction of an app, and commit."""
    connection = (
        psycopg.connect(database) if isinstance(database, str) else sqlite3.connect(database)
    )
    joined = outbox.join(connection)
    assert joined is not None
    joined.put(queue, puts)
    connection.commit()
    connection.close()


class Bench:
    """An engine, and relays that work for it."""

    def __init__(self, database: Path | str, **limits: int) -> None:
        self.database = database
        self.clock = SystemClock()
        self.limits = Limits(**limits)
        self.engine = MemoryEngine("memory:", self.limits, self.clock, broker=Broker(self.limits))

    def relay(self, **settings: object) -> Relay:
        given = {"databases": (url_of(self.database),), "pause_s": 0.02, "poll_s_max": 0.05}
        return Relay(RelaySettings(**{**given, **settings}), self.engine, self.clock)

    async def taken(self, count: int, queue: str = "mail") -> list[str]:
        """Return the ids of exactly so many messages."""
        ids: list[str] = []
        async with asyncio.timeout(PATIENCE_S):
            while len(ids) < count:
                leases = await self.engine.take(
                    [queue], worker="w", limit=100, lease_s=60, wait_s=PATIENCE_S
                )
                ids += [lease.message.id for lease in leases]
                await self.engine.ack(leases)
        assert len(ids) == count
        return ids

    async def until(self, relay: Relay, stands: Callable[[Lag], bool]) -> Lag:
        """Return how the outbox stands, once it stands so."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for lag in (await relay.lags()).values():
                    if stands(lag):
                        return lag
                await asyncio.sleep(0.01)


@asynccontextmanager
async def running(database: Path | str, **limits: int) -> AsyncIterator[Bench]:
    bench = Bench(database, **limits)
    await bench.engine.open(lambda *_: None)
    try:
        yield bench
    finally:
        await bench.engine.close()


@asynccontextmanager
async def at_work(*relays: Relay) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(relay.run()) for relay in relays]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def ids(count: int, prefix: str = "m") -> list[str]:
    return [f"{prefix}{number:04}" for number in range(count)]


def test_what_was_committed_is_put_in_order_and_deleted(database: Path | str) -> None:
    async def scene() -> None:
        async with running(database) as bench:
            write(database, *map(put, ids(5)))
            relay = bench.relay(batch_max=2)
            async with at_work(relay):
                assert await bench.taken(5) == ids(5)
                write(database, *map(put, ids(3, "n")))
                assert await bench.taken(3) == ids(3, "n")
                await bench.until(relay, lambda lag: lag == Lag(0, 0, 0.0))
                async with asyncio.timeout(PATIENCE_S):
                    while list(relay.relayed.values()) != [8]:
                        await asyncio.sleep(0.01)

    asyncio.run(scene())
    assert rows(database) == []


def test_a_message_arrives_as_it_was_put(database: Path | str) -> None:
    sent = put("m", key="k", priority=9, attempts_max=7)

    async def scene() -> None:
        async with running(database) as bench:
            write(database, sent)
            async with at_work(bench.relay()):
                (lease,) = await bench.engine.take(
                    ["mail"], worker="w", limit=1, lease_s=60, wait_s=PATIENCE_S
                )
                assert (lease.message, lease.key) == (sent.message, "k")

    asyncio.run(scene())


def test_a_row_that_was_put_and_not_deleted_is_not_put_twice(database: Path | str) -> None:
    async def scene() -> None:
        async with running(database) as bench:
            write(database, put("m1"))
            await bench.engine.put("mail", [put("m1")])  # as a relay that died had done
            write(database, put("m2"))
            relay = bench.relay()
            async with at_work(relay):
                assert await bench.taken(2) == ["m1", "m2"]
                await bench.until(relay, lambda lag: lag.waiting == 0)

    asyncio.run(scene())
    assert rows(database) == []


def test_one_of_two_relays_works_and_the_other_takes_over(database: Path | str) -> None:
    async def scene() -> None:
        async with running(database) as bench:
            first, second = bench.relay(), bench.relay()
            async with at_work(second):
                async with at_work(first):
                    write(database, *map(put, ids(20)))
                    assert sorted(await bench.taken(20)) == ids(20)
                    assert len(first.leading | second.leading) == 1
                    assert not (first.leading and second.leading)
                write(database, *map(put, ids(20, "n")))
                assert sorted(await bench.taken(20)) == ids(20, "n")
                await bench.until(second, lambda lag: lag.waiting == 0)

    asyncio.run(scene())


def test_a_message_the_bus_will_never_take_is_parked_and_blocks_nobody(
    database: Path | str,
) -> None:
    big = Put(message=put("big").message.__class__(id="big", source="s", type="t", data=b"x" * 999))

    async def scene() -> None:
        async with running(database, message_bytes_max=500) as bench:
            write(database, put("m1"), big, put("m2"))
            relay = bench.relay()
            async with at_work(relay):
                assert await bench.taken(2) == ["m1", "m2"]
                assert (await bench.until(relay, lambda lag: not lag.waiting)).parked == 1

    asyncio.run(scene())
    assert rows(database) == ["big"]


def test_a_row_somebody_spoiled_is_parked_with_the_reason(database: Path | str) -> None:
    write(database, put("m1"), put("m2"))
    statement = "UPDATE mergepoint_outbox SET attributes = 'no document' WHERE id = 'm1'"
    _run(database, statement)

    async def scene() -> None:
        async with running(database) as bench:
            relay = bench.relay()
            async with at_work(relay):
                assert await bench.taken(1) == ["m2"]
                await bench.until(relay, lambda lag: lag.parked == 1)

    asyncio.run(scene())
    ((reason,),) = _run(database, "SELECT reason FROM mergepoint_outbox WHERE parked_at > 0")
    assert "m1 cannot be read" in reason


def test_a_full_queue_keeps_its_rows_and_lets_the_others_through(database: Path | str) -> None:
    async def scene() -> None:
        async with running(database, queue_messages_max=2) as bench:
            write(database, *map(put, ids(4)))
            write(database, put("other"), queue="calls")
            relay = bench.relay(batch_max=2)
            async with at_work(relay):
                assert await bench.taken(1, "calls") == ["other"]
                await bench.until(relay, lambda lag: lag.waiting == 2)
                assert await bench.taken(4) == ids(4)  # taking makes the room
                await bench.until(relay, lambda lag: lag.waiting == 0)

    asyncio.run(scene())


def test_how_long_the_oldest_waits_is_told(database: Path | str) -> None:
    async def scene() -> None:
        async with running(database, queue_messages_max=1) as bench:
            write(database, put("m1"))
            write(database, put("m2"))
            relay = bench.relay(batch_max=1)
            async with at_work(relay):
                lag = await bench.until(relay, lambda lag: lag.waiting == 1 and lag.oldest_s > 0.2)
                assert lag.oldest_s < PATIENCE_S

    asyncio.run(scene())


def test_uncommitted_rows_stay_where_they_are(database: Path | str) -> None:
    async def scene() -> None:
        async with running(database) as bench, at_work(bench.relay()):
            connection = (
                psycopg.connect(database)
                if isinstance(database, str)
                else sqlite3.connect(database)
            )
            joined = outbox.join(connection)
            assert joined is not None
            joined.put("mail", [put("m1")])
            assert await _none_comes(bench)
            connection.commit()
            assert await bench.taken(1) == ["m1"]
            connection.close()

    asyncio.run(scene())


def test_a_row_that_commits_after_later_ones_is_not_missed(postgres_url: str) -> None:
    async def scene() -> None:
        async with running(postgres_url) as bench:
            early = psycopg.connect(postgres_url)
            joined = outbox.join(early)
            assert joined is not None
            joined.put("mail", [put("first number")])
            async with at_work(bench.relay()):
                write(postgres_url, put("second number"))
                assert await bench.taken(1) == ["second number"]
                early.commit()
                assert await bench.taken(1) == ["first number"]
            early.close()

    asyncio.run(scene())


def test_a_file_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "later.db"

    async def scene() -> None:
        async with running(path) as bench:
            relay = bench.relay()
            async with at_work(relay):
                connection = sqlite3.connect(path)
                for statement in outbox.ddl("sqlite"):
                    connection.execute(statement)
                connection.close()
                write(path, put("m1"))
                assert await bench.taken(1) == ["m1"]

    asyncio.run(scene())


@pytest.mark.parametrize("url", ["mysql://a/b", "sqlite://", "sqlite:///:memory:"])
def test_a_database_that_cannot_be_relayed_is_refused(url: str) -> None:
    clock = SystemClock()
    engine = MemoryEngine("memory:", Limits(), clock, broker=Broker(Limits()))
    with pytest.raises(OutboxRefused):
        Relay(RelaySettings(databases=(url,)), engine, clock)


async def _none_comes(bench: Bench) -> bool:
    leases = await bench.engine.take(["mail"], worker="w", limit=1, lease_s=60, wait_s=0.2)
    return leases == []


def _run(database: Path | str, statement: str) -> Sequence[tuple[str]]:
    if isinstance(database, str):
        with psycopg.connect(database) as connected:
            cursor = connected.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []
    connection = sqlite3.connect(database)
    found = connection.execute(statement).fetchall()
    connection.commit()
    connection.close()
    return found


def test_rows_are_documents_that_other_languages_can_write(sqlite_file: Path) -> None:
    write(sqlite_file, put("m1"))
    ((attributes,),) = _run(sqlite_file, "SELECT attributes FROM mergepoint_outbox")
    assert json.loads(attributes)["specversion"] == "1.0"
