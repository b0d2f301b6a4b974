"""Databases of both kinds, and sites over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from mergepoint_testkit.postgres import Postgres, running_postgres

from mergepoint.core.clock import SystemClock
from mergepoint.data.config import Bounds, Database
from mergepoint.data.site import Data

MakeData = Callable[..., Data]


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    with running_postgres() as running:
        yield running


@pytest.fixture(scope="session")
def shared(server: Postgres) -> str:
    return server.create("shared")


@pytest.fixture
def empty_postgres(shared: str) -> str:
    """One database for all tests, emptied: making one takes a third of a second."""
    with psycopg.connect(shared, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return shared


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def url(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    if kind == "sqlite":
        return f"sqlite:///{tmp_path}/app.db"
    return request.getfixturevalue("empty_postgres")


@pytest.fixture
def make_data(url: str) -> Iterator[MakeData]:
    made = []

    def make(*, url: str = url, development: bool = False, **bounds: float) -> Data:
        database = Database("main", url, Bounds(**bounds))
        made.append(Data([database], SystemClock(), development=development))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def data(make_data: MakeData) -> Data:
    return make_data()
