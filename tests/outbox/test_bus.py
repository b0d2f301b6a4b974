"""What a site's bus sends inside a transaction exists if and only if that commits."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session

from mergepoint.assembly.connect import Document, Site
from mergepoint.bus.adapters.memory import MemoryEngine
from mergepoint.bus.adapters.memory_broker import Broker
from mergepoint.bus.adapters.postgres import PostgresEngine
from mergepoint.bus.contract import Gap, Limits
from mergepoint.bus.errors import BusLost, BusRefused, MessageTooLarge, NotCapable
from mergepoint.core.clock import SystemClock
from mergepoint.tasks import outbox
from mergepoint.tasks.outbox import OutboxRefused
from mergepoint.tasks.outbox.relay import Relay, RelaySettings

from .conftest import rows

PATIENCE_S = 20.0
NOWHERE = "hub+unix:///nowhere/hub.sock"


@pytest.fixture
def site() -> Iterator[Site]:
    """A site whose bus cannot be reached: whatever is sent at once fails."""
    made = Site(Document(url=NOWHERE, address="shop/0", limits=Limits(call_s=1.0)), SystemClock())
    yield made
    made.close()


def send(site: Site, number: int, **how: Any) -> None:
    site.bus.queue("mail").put({"n": number}, id=f"put{number}", **how)
    site.bus.publish("orders.taken", {"n": number}, id=f"event{number}", **how)
    site.bus.publish("orders.count", number, id=f"last{number}", keep_last=True, **how)


async def asend(site: Site, number: int, **how: Any) -> None:
    await site.bus.queue("mail").aput({"n": number}, id=f"put{number}", **how)
    await site.bus.apublish("orders.taken", {"n": number}, id=f"event{number}", **how)
    topic = site.bus.topic("orders.count")
    await topic.apublish(number, id=f"last{number}", keep_last=True, **how)


def sent(*numbers: int) -> list[str]:
    return [f"{kind}{n}" for n in numbers for kind in ("put", "event", "last")]


Scene = Callable[[Site, str], None]


def _session(site: Site, url: str) -> None:
    engine = create_engine(url)
    outbox.watch(engine)
    for number, fails in enumerate((False, True, False)):
        with Session(engine) as session:
            session.begin()
            send(site, number) if number else send(site, number, connection=session)
            session.rollback() if fails else session.commit()
    engine.dispose()


def _async_session(site: Site, url: str) -> None:
    async def shop() -> None:
        engine = create_async_engine(url)
        outbox.watch(engine)
        for number, fails in enumerate((False, True, False)):
            async with async_sessionmaker(engine)() as session:
                await session.begin()
                with pytest.raises(OutboxRefused, match="event loop"):
                    site.bus.publish("orders.taken", 0)
                await asend(site, number)
                await (session.rollback() if fails else session.commit())
        await engine.dispose()

    asyncio.run(shop())


def _psycopg(site: Site, url: str) -> None:
    with psycopg.connect(url) as connection:
        outbox.watch(connection)
        for number, fails in enumerate((False, True, False)):
            connection.execute("INSERT INTO orders VALUES (%s)", (str(number),))
            send(site, number)
            connection.rollback() if fails else connection.commit()


def _async_psycopg(site: Site, url: str) -> None:
    async def shop() -> None:
        async with await psycopg.AsyncConnection.connect(url) as connection:
            for number, fails in enumerate((False, True, False)):
                await asend(site, number, connection=connection)
                await (connection.rollback() if fails else connection.commit())

    asyncio.run(shop())


def _sqlite3(site: Site, url: str) -> None:
    connection = sqlite3.connect(url)
    outbox.watch(connection)
    for number, fails in enumerate((False, True, False)):
        connection.execute("INSERT INTO orders VALUES (?)", (str(number),))
        send(site, number)
        connection.rollback() if fails else connection.commit()
    connection.close()


WAYS: dict[str, tuple[str, Scene]] = {
    "sqlite:///": ("sqlite_file", _session),
    "sqlite+aiosqlite:///": ("sqlite_file", _async_session),
    "sqlite3 ": ("sqlite_file", _sqlite3),
    "postgresql+psycopg:": ("postgres_url", _session),
    "postgresql+psycopg: async": ("postgres_url", _async_session),
    "postgresql:": ("postgres_url", _psycopg),
    "postgresql: async": ("postgres_url", _async_psycopg),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_sent_in_a_transaction_is_there_if_and_only_if_it_commits(
    site: Site, request: pytest.FixtureRequest, way: str
) -> None:
    fixture, scene = WAYS[way]
    database: Path | str = request.getfixturevalue(fixture)
    prefix = way.partition(" ")[0]
    if isinstance(database, str):
        scene(site, database.replace("postgresql:", prefix))
    else:
        scene(site, str(database) if prefix == "sqlite3" else f"{prefix}{database}")
    assert rows(database) == sent(0, 2)


def test_what_is_sent_apart_from_a_transaction_is_not_in_it(site: Site, sqlite_file: Path) -> None:
    connection = sqlite3.connect(sqlite_file)
    outbox.watch(connection)
    connection.execute("INSERT INTO orders VALUES ('1')")
    with pytest.raises(BusLost):
        site.bus.publish("orders.taken", {}, apart=True)
    with outbox.apart(), pytest.raises(BusLost):
        site.bus.queue("mail").put({})
    with pytest.raises(BusRefused, match="or not"):
        site.bus.publish("orders.taken", {}, apart=True, connection=connection)
    connection.commit()
    connection.close()
    assert rows(sqlite_file) == []


def test_a_mistake_is_told_where_it_is_made_and_leaves_no_row(
    site: Site, sqlite_file: Path
) -> None:
    connection = sqlite3.connect(sqlite_file)
    outbox.watch(connection)
    connection.execute("INSERT INTO orders VALUES ('1')")
    with pytest.raises(MessageTooLarge):
        site.bus.publish("orders.taken", "x" * (Limits().message_bytes_max + 1))
    with pytest.raises(BusRefused, match="priority"):
        site.bus.queue("mail").put({}, priority=12)
    lossy = Site(Document(url="zmq+ipc:///nowhere/bus", address="shop/0"), SystemClock())
    with pytest.raises(NotCapable):
        lossy.bus.queue("mail").put({})
    lossy.close()
    connection.commit()
    connection.close()
    assert rows(sqlite_file) == []


def test_joined_calls_are_counted_beside_those_to_the_engine(site: Site, sqlite_file: Path) -> None:
    connection = sqlite3.connect(sqlite_file)
    connection.execute("INSERT INTO orders VALUES ('1')")
    send(site, 1, connection=connection)
    connection.close()
    counted = {name: sum(c.calls for c in by.values()) for name, by in site.bus.counts().items()}
    assert counted == {"put_joined": 1, "publish_joined": 2}


@asynccontextmanager
async def relayed(url: str, **limits: int) -> AsyncIterator[MemoryEngine]:
    """Relay an outbox to an engine in memory."""
    bounds = Limits(**limits)
    engine = MemoryEngine("memory:", bounds, SystemClock(), broker=Broker(bounds))
    await engine.open(lambda *_: None)
    settings = RelaySettings(databases=(url,), pause_s=0.02, poll_s_max=0.05)
    relaying: asyncio.Future[None]
    relaying = asyncio.ensure_future(Relay(settings, engine, SystemClock()).run())
    try:
        yield engine
    finally:
        relaying.cancel()
        await asyncio.gather(relaying, return_exceptions=True)
        await engine.close()


def _shop_of(site: Site, path: Path, count: int) -> Callable[[], None]:
    def shop() -> None:
        connection = sqlite3.connect(path)
        for number in range(count):
            send(site, number, connection=connection)
        connection.commit()
        connection.close()

    return shop


def _run(scene: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await scene()

    asyncio.run(bounded())


def test_relayed_topics_are_heard_in_order_and_the_present_value_is_kept(
    site: Site, sqlite_file: Path
) -> None:
    async def scene() -> None:
        async with relayed(f"sqlite:///{sqlite_file}") as engine:
            heard = await engine.subscribe("orders.taken")
            await asyncio.to_thread(_shop_of(site, sqlite_file, 5))
            got = []
            async for message in heard:
                assert not isinstance(message, Gap)
                got.append(message.id)
                if len(got) == 5:
                    break
            assert got == [f"event{number}" for number in range(5)]
            while (last := await engine.last("orders.count")) is None or last.id != "last4":
                await asyncio.sleep(0.01)

    _run(scene)


def test_a_topic_whose_bound_queue_is_full_waits_and_others_go_on(
    site: Site, sqlite_file: Path
) -> None:
    async def scene() -> None:
        async with relayed(f"sqlite:///{sqlite_file}", queue_messages_max=2) as engine:
            await engine.bind("slow", "orders.taken")
            await asyncio.to_thread(_shop_of(site, sqlite_file, 5))
            while (last := await engine.last("orders.count")) is None or last.id != "last4":
                await asyncio.sleep(0.01)  # relayed though the other two lines are full
            for queue, kind in (("slow", "event"), ("mail", "put")):
                seen: list[str] = []
                while len(seen) < 5:
                    leases = await engine.take([queue], worker="w", limit=1, lease_s=60, wait_s=5)
                    seen += [lease.message.id for lease in leases]
                    await engine.ack(leases)
                assert seen == [f"{kind}{number}" for number in range(5)]

    _run(scene)


@pytest.mark.parametrize("prefix", ["postgresql:", "postgresql+psycopg:"])
def test_where_the_queue_is_in_the_apps_database_events_still_take_the_outbox(
    postgres_url: str, prefix: str
) -> None:
    site = Site(Document(url=postgres_url, address="shop/0"), SystemClock())

    async def taken() -> list[str]:
        engine = PostgresEngine(postgres_url, Limits(), SystemClock())
        await engine.open(lambda *_: None)
        try:
            shop = _psycopg if prefix == "postgresql:" else _session
            await asyncio.to_thread(shop, site, postgres_url.replace("postgresql:", prefix))
            leases = await engine.take(["mail"], worker="w", limit=9, lease_s=30, wait_s=5)
            return [lease.message.id for lease in leases]
        finally:
            await engine.close()

    assert asyncio.run(taken()) == ["put0", "put2"]
    assert rows(postgres_url) == ["event0", "last0", "event2", "last2"]
    site.close()
