"""A commit is relayed when it is told of, not when the relay looks next."""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session

from mergepoint.assembly.connect import Document, nudge_path
from mergepoint.bus.adapters.memory import MemoryEngine
from mergepoint.bus.adapters.memory_broker import Broker
from mergepoint.bus.contract import Limits
from mergepoint.core.clock import SystemClock
from mergepoint.tasks import outbox
from mergepoint.tasks.outbox.nudging import listening
from mergepoint.tasks.outbox.relay import Relay, RelaySettings

from .conftest import put

PATIENCE_S = 30.0
NEVER_S = 3600.0
COMMITS = 5
Commit = Callable[[str], Awaitable[None]]


@pytest.fixture
def nudge(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "outbox.sock"
    outbox.belong_to(bus_url="", limits=Limits(), clock=SystemClock(), nudge=str(path))
    yield path
    outbox.belong_to(bus_url="", limits=Limits(), clock=SystemClock())


@asynccontextmanager
async def relaying(url: str, nudge: Path | None, **settings: float) -> AsyncIterator[MemoryEngine]:
    """Relay; `nudge` None: by looking alone."""
    engine = MemoryEngine("memory:", Limits(), SystemClock(), broker=Broker(Limits()))
    await engine.open(lambda *_: None)
    relay = Relay(RelaySettings(databases=(url,), **settings), engine, SystemClock())
    with ExitStack() as stack:
        if nudge is not None:
            stack.enter_context(listening(nudge, "", relay.wake))
        working = asyncio.ensure_future(relay.run())
        while not relay.leading:
            await asyncio.sleep(0.01)
        try:
            yield engine
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            await engine.close()


async def taken(engine: MemoryEngine) -> str:
    (lease,) = await engine.take(["mail"], worker="w", limit=1, lease_s=60, wait_s=PATIENCE_S)
    await engine.ack([lease])
    return lease.message.id


def joined_put(id_: str, connection: object = None) -> None:
    joined = outbox.join(connection)
    assert joined is not None
    joined.put("mail", [put(id_)])


def _by_session(url: str) -> Commit:
    engine = create_engine(url)
    outbox.watch(engine)

    def commit(id_: str) -> None:
        with Session(engine) as session, session.begin():
            joined_put(id_, session)
            with session.begin_nested():
                pass  # the end of a savepoint is not the end of the transaction

    return lambda id_: asyncio.to_thread(commit, id_)


def _by_async_session(url: str) -> Commit:
    engine = create_async_engine(url)

    async def commit(id_: str) -> None:
        async with async_sessionmaker(engine)() as session, session.begin():
            joined = outbox.join(session)
            assert joined is not None
            await joined.aput("mail", [put(id_)])

    return commit


def _by_connection(url: str) -> Commit:
    engine = create_engine(url)

    def commit(id_: str) -> None:
        with engine.begin() as connection:
            joined_put(id_, connection)

    return lambda id_: asyncio.to_thread(commit, id_)


def _by_sqlite3(url: str) -> Commit:
    def commit(id_: str) -> None:
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        joined_put(id_, connection)
        connection.commit()
        connection.close()

    return lambda id_: asyncio.to_thread(commit, id_)


def _by_psycopg(url: str) -> Commit:
    def commit(id_: str) -> None:
        with psycopg.connect(url) as connection:
            joined_put(id_, connection)

    return lambda id_: asyncio.to_thread(commit, id_)


TOLD_AFTERWARDS: dict[str, Callable[[str], Commit]] = {
    "sqlite:///": _by_session,
    "sqlite+aiosqlite:///": _by_async_session,
    "postgresql+psycopg:": _by_session,
}
TOLD_BEFORE: dict[str, Callable[[str], Commit]] = {
    "sqlite:///": _by_connection,
    "sqlite:/// ": _by_sqlite3,
    "postgresql:": _by_psycopg,
    "postgresql+psycopg:": _by_connection,
}


def scene(
    request: pytest.FixtureRequest, way: str, ways: dict[str, Callable[[str], Commit]]
) -> tuple[str, Commit]:
    """Return what the relay is told, and how the app commits."""
    kind = way.strip()
    if kind.startswith("sqlite"):
        path = request.getfixturevalue("sqlite_file")
        return f"sqlite:///{path}", ways[way](f"{kind}{path}")
    url: str = request.getfixturevalue("postgres_url")
    return url, ways[way](url.replace("postgresql:", kind))


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await work()

    asyncio.run(bounded())


@pytest.mark.parametrize("way", TOLD_AFTERWARDS)
def test_a_relay_that_never_looks_by_itself_is_told_of_every_commit(
    request: pytest.FixtureRequest, nudge: Path, way: str
) -> None:
    url, commit = scene(request, way, TOLD_AFTERWARDS)

    async def work() -> None:
        asleep = {"poll_s_min": NEVER_S, "poll_s_max": NEVER_S}
        async with relaying(url, nudge, **asleep) as engine:
            for number in range(COMMITS):
                await commit(f"m{number}")
                assert await taken(engine) == f"m{number}"

    run(work)


@pytest.mark.parametrize("way", TOLD_BEFORE)
def test_a_relay_that_was_told_before_the_commit_looks_until_it_is_there(
    request: pytest.FixtureRequest, nudge: Path, way: str
) -> None:
    url, commit = scene(request, way, TOLD_BEFORE)

    async def work() -> None:
        async with relaying(url, nudge, poll_s_max=NEVER_S) as engine:
            for number in range(COMMITS):
                await commit(f"m{number}")
                assert await taken(engine) == f"m{number}"

    run(work)


def test_django_tells_when_its_outermost_block_has_committed(
    nudge: Path, sqlite_file: Path
) -> None:
    async def work() -> None:
        asleep = {"poll_s_min": NEVER_S, "poll_s_max": NEVER_S}
        url = f"sqlite:///{sqlite_file}"
        program = [sys.executable, str(Path(__file__).with_name("django_app.py"))]
        app = subprocess.Popen(
            [*program, "nudged", url, url, str(nudge)], stdin=subprocess.PIPE, text=True
        )
        assert app.stdin is not None
        async with relaying(url, nudge, **asleep) as engine:
            for number in range(COMMITS):
                app.stdin.write("go\n")
                app.stdin.flush()
                assert await taken(engine) == f"m{number}"
        app.stdin.close()
        assert app.wait() == 0

    run(work)


@pytest.mark.soak  # it compares times
def test_telling_is_many_times_faster_than_looking(nudge: Path, sqlite_file: Path) -> None:
    url = f"sqlite:///{sqlite_file}"
    commit = _by_session(url)
    medians = {}

    async def measured(told: Path | None, first: int) -> float:
        delays = []
        async with relaying(url, told) as engine:
            for number in range(first, first + 9):
                await asyncio.sleep(0.6)  # as long as the relay takes to become quiet again
                await commit(f"m{number}")
                began = time.perf_counter()
                assert await taken(engine) == f"m{number}"
                delays.append(time.perf_counter() - began)
        return statistics.median(delays)

    async def work() -> None:
        medians["looking"] = await measured(None, 0)
        medians["told"] = await measured(nudge, 100)

    run(work)
    print({way: f"{delay_s * 1000:.1f} ms" for way, delay_s in medians.items()})
    assert medians["told"] < medians["looking"] / 2


def test_nobody_is_held_up_where_nobody_relays(nudge: Path, sqlite_file: Path) -> None:
    assert not nudge.exists()
    asyncio.run(_by_sqlite3(f"sqlite:///{sqlite_file}")("m1"))


def test_a_socket_that_is_full_of_news_holds_up_nobody(nudge: Path, sqlite_file: Path) -> None:
    async def work() -> None:
        with listening(nudge, "", lambda: None):
            connection = sqlite3.connect(sqlite_file)
            for number in range(2000):  # nobody reads while this loop runs
                joined_put(f"m{number}", connection)
            connection.close()

    run(work)


def test_the_relay_listens_beside_a_hub_of_this_machine_alone() -> None:
    assert nudge_path(Document(url="", hub="hub+unix:///run/a%20b/hub.sock")) == (
        "/run/a b/outbox.sock"
    )
    assert nudge_path(Document(url="", hub="hub+tls://elsewhere:7400")) == ""
