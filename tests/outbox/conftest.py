"""Databases with an outbox, and rows as they stand in them."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from mergepoint_testkit.postgres import Postgres, running_postgres

from mergepoint.bus.contract import Limits, Put
from mergepoint.core.clock import SystemClock
from mergepoint.tasks import outbox
from mergepoint.wire.envelope import Message

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    with running_postgres() as running:
        yield running


@pytest.fixture
def postgres_url(server: Postgres) -> str:
    url = server.create(f"app{next(_numbers)}")
    with psycopg.connect(url) as connection:
        for statement in outbox.ddl("postgresql"):
            connection.execute(statement.encode())
        connection.execute("CREATE TABLE orders (id text PRIMARY KEY)")
    return url


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    path = tmp_path / "app.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = wal")
    for statement in outbox.ddl("sqlite"):
        connection.execute(statement)
    connection.execute("CREATE TABLE orders (id text PRIMARY KEY)")
    connection.close()
    return path


@pytest.fixture(autouse=True)
def belonging() -> Iterator[Callable[[str], None]]:
    """Let this process belong to a site whose queues are elsewhere, or where the test says."""

    def belong(bus_url: str = "hub+unix:///run/site/hub.sock") -> None:
        outbox.belong_to(bus_url=bus_url, limits=Limits(), clock=SystemClock())

    belong()
    yield belong
    belong()


def put(id_: str, **how: object) -> Put:
    """Return a message with this id."""
    return Put(message=Message(id=id_, source="shop", type="mail", data=b"{}"), **how)


def rows(where: Path | str) -> list[str]:
    """Return the ids that are in the outbox for everybody to see."""
    return _column(where, "SELECT id FROM mergepoint_outbox ORDER BY place")


def lines(where: Path | str) -> list[str]:
    """Return what these rows are for: queues and topics."""
    return _column(where, "SELECT queue FROM mergepoint_outbox ORDER BY place")


def _column(where: Path | str, statement: str) -> list[str]:
    if isinstance(where, Path):
        connection = sqlite3.connect(where)
        found = connection.execute(statement).fetchall()
        connection.close()
        return [value for (value,) in found]
    with psycopg.connect(where) as connected:
        return [value for (value,) in connected.execute(statement)]
