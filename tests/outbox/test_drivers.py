"""sqlite3 and psycopg: a connection that is named or watched is joined, or refused clearly."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from mergepoint.bus.adapters.postgres import PostgresEngine
from mergepoint.bus.contract import Lease, Limits
from mergepoint.core.clock import SystemClock
from mergepoint.tasks import outbox
from mergepoint.tasks.outbox import OutboxMissing, OutboxRefused
from mergepoint.tasks.outbox.__main__ import main

from .conftest import put, rows


def test_an_sqlite3_connection_is_joined_and_rolled_back(sqlite_file: Path) -> None:
    connection = sqlite3.connect(sqlite_file)
    for id_, end in (("m1", connection.rollback), ("m2", connection.commit)):
        connection.execute("INSERT INTO orders VALUES (?)", (id_,))
        joined = outbox.join(connection)
        assert joined is not None
        joined.put("mail", [put(id_)])
        end()
    connection.close()
    assert rows(sqlite_file) == ["m2"]


def test_a_watched_sqlite3_connection_is_found_while_a_transaction_is_open(
    sqlite_file: Path,
) -> None:
    connection = sqlite3.connect(sqlite_file)
    outbox.watch(connection)
    assert outbox.join() is None
    connection.execute("INSERT INTO orders VALUES ('1')")
    assert outbox.join() is not None
    connection.close()
    assert outbox.join() is None


def test_an_sqlite3_savepoint_takes_its_messages_along(sqlite_file: Path) -> None:
    connection = sqlite3.connect(sqlite_file, isolation_level=None)
    connection.execute("BEGIN")
    connection.execute("SAVEPOINT inner_one")
    joined = outbox.join(connection)
    assert joined is not None
    joined.put("mail", [put("m1")])
    connection.execute("ROLLBACK TO inner_one")
    joined.put("mail", [put("m2")])
    connection.execute("COMMIT")
    connection.close()
    assert rows(sqlite_file) == ["m2"]


def test_an_sqlite3_connection_that_cannot_be_joined_is_refused(sqlite_file: Path) -> None:
    autocommit = sqlite3.connect(sqlite_file, isolation_level=None)
    with pytest.raises(OutboxRefused, match="autocommit"):
        outbox.join(autocommit)
    autocommit.close()
    with pytest.raises(OutboxRefused, match="cannot be used here"):
        outbox.join(autocommit)
    foreign: list[sqlite3.Connection] = []
    thread = threading.Thread(target=lambda: foreign.append(sqlite3.connect(sqlite_file)))
    thread.start()
    thread.join()
    with pytest.raises(OutboxRefused, match="thread"):
        outbox.join(foreign[0])


def test_a_psycopg_connection_is_joined(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        outbox.watch(connection)
        assert outbox.join() is None
        connection.execute("INSERT INTO orders VALUES ('1')")
        joined = outbox.join()
        assert joined is not None
        joined.put("mail", [put("m1")])
        with pytest.raises(ZeroDivisionError), connection.transaction():
            joined.put("mail", [put("m2")])
            raise ZeroDivisionError
        assert rows(postgres_url) == []
    assert rows(postgres_url) == ["m1"]


def test_an_async_psycopg_connection_is_joined(postgres_url: str) -> None:
    async def shop() -> None:
        async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
            joined = outbox.join(connection)
            assert joined is not None
            with pytest.raises(OutboxRefused, match="event loop"):
                joined.put("mail", [put("never")])
            await joined.aput("mail", [put("m1"), put("m2", key="k", priority=9)])

    asyncio.run(shop())
    assert rows(postgres_url) == ["m1", "m2"]


def test_a_psycopg_connection_that_cannot_be_joined_is_refused(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        with pytest.raises(OutboxRefused, match="autocommit"):
            outbox.join(connection)
        with connection.transaction():
            assert outbox.join(connection) is not None
    with pytest.raises(OutboxRefused, match="closed"):
        outbox.join(connection)
    with psycopg.connect(postgres_url) as connection:
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM nowhere")
        with pytest.raises(OutboxRefused, match="failed"):
            outbox.join(connection)


def test_something_that_is_no_connection_is_refused() -> None:
    with pytest.raises(OutboxRefused, match="dict is no connection"):
        outbox.join({})


def test_a_database_without_the_table_says_so(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("DROP TABLE mergepoint_outbox")
        connection.commit()
        joined = outbox.join(connection)
        assert joined is not None
        with pytest.raises(OutboxMissing):
            joined.put("mail", [put("m1")])


def test_the_command_makes_the_table(
    tmp_path: Path, postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new.db"
    assert main([f"sqlite:///{path}"]) == 0
    assert rows(path) == []
    assert main([postgres_url]) == 0
    assert main(["--sql", "mysql://somewhere/app"]) == 0
    assert "AUTO_INCREMENT" in capsys.readouterr().out
    assert main(["oracle://somewhere/app"]) == 1
    assert "no outbox for the database oracle" in capsys.readouterr().err
    assert main([]) == 2


@pytest.mark.parametrize("way", ["psycopg", "sqlalchemy"])
def test_where_the_queue_is_in_the_apps_database_no_outbox_is_needed(
    postgres_url: str, belonging: Callable[[str], None], way: str
) -> None:
    belonging(postgres_url)

    async def taken() -> list[Lease]:
        engine = PostgresEngine(postgres_url, Limits(), SystemClock())
        await engine.open(lambda *_: None)
        try:
            await asyncio.to_thread(shop)
            return await engine.take(["mail"], worker="w", limit=9, lease_s=30, wait_s=5)
        finally:
            await engine.close()

    def shop() -> None:
        for id_, fails in (("m1", True), ("m2", False)):
            (_with_psycopg if way == "psycopg" else _with_sqlalchemy)(postgres_url, id_, fails)

    (lease,) = asyncio.run(taken())
    assert (lease.message.id, lease.key) == ("m2", "k")
    assert rows(postgres_url) == []


def _with_psycopg(url: str, id_: str, fails: bool) -> None:
    with psycopg.connect(url) as connection:
        joined = outbox.join(connection)
        assert joined is not None
        joined.put("mail", [put(id_, key="k")])
        if fails:
            connection.rollback()


def _with_sqlalchemy(url: str, id_: str, fails: bool) -> None:
    from sqlalchemy import create_engine

    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        joined = outbox.join(connection)
        assert joined is not None
        joined.put("mail", [put(id_, key="k")])
        (connection.rollback if fails else connection.commit)()
    engine.dispose()
