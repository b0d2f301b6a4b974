"""Files, servers and services of these tests; each test has a database of its own."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import psycopg
import pytest
from mergepoint_testkit.feed_follower import LIMITS, Connect, Follower, Serve
from mergepoint_testkit.postgres import Postgres, running_postgres

from mergepoint.core.clock import SystemClock
from mergepoint.feed.adapters.postgres_install import install
from mergepoint.feed.contract import Database, FeedLimits, Reader
from mergepoint.feed.service import FeedService

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    with running_postgres() as running:
        yield running


@pytest.fixture
def postgres_url(server: Postgres) -> str:
    return server.create(f"feed{next(_numbers)}")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The app's own connection to its file, in WAL mode."""
    with contextlib.closing(sqlite3.connect(tmp_path / "app.db", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = wal")
        db.execute("CREATE TABLE tickets (id INTEGER PRIMARY KEY, slug TEXT UNIQUE, title)")
        yield db


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database("main", f"sqlite:///{tmp_path}/app.db", keys={"tickets": ("slug",)})


@pytest.fixture
def connect(postgres_url: str) -> Iterator[Connect]:
    with contextlib.ExitStack() as stack:
        yield lambda **how: stack.enter_context(
            contextlib.closing(psycopg.connect(postgres_url, **{"autocommit": True, **how}))
        )


@pytest.fixture
def tickets(connect: Connect) -> psycopg.Connection:
    db = connect()
    db.execute("CREATE TABLE tickets (id int PRIMARY KEY, slug text UNIQUE, title text)")
    return db


@pytest.fixture
def on_postgres(postgres_url: str) -> Database:
    return Database("main", postgres_url, keys={"tickets": ("slug",)})


@pytest.fixture
def follow(on_postgres: Database) -> Iterator[Callable[..., Follower]]:
    """Install, and follow from now on."""
    made: list[Follower] = []

    def follow(limits: FeedLimits = LIMITS) -> Follower:
        install(on_postgres, limits)
        made.append(Follower(on_postgres, limits))
        return made[-1]

    yield follow
    for one in made:
        one.close()


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Serve these readers on a socket, whose path is given."""

    @contextlib.asynccontextmanager
    async def serving(
        readers: Mapping[str, Reader], limits: FeedLimits = LIMITS
    ) -> AsyncIterator[Path]:
        service = FeedService(readers, limits, SystemClock(), lambda *_, **__: None)
        path = tmp_path / "feed.sock"
        await service.start(path)
        try:
            yield path
        finally:
            await service.stop()

    return serving
