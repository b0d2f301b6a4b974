"""When the database cannot: a clear error, and nothing is lost or half done."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from mergepoint.data import requests, units
from mergepoint.data.errors import Busy, ConnectionGone, DataUnavailable, Unreachable
from mergepoint.data.failures import meaning
from mergepoint.data.pool import PoolExhausted
from mergepoint.data.site import Data

ADD = text("INSERT INTO orders (id) VALUES (:id)")
Answer = tuple[str, dict[str, str], bytes]


def make_orders(data: Data) -> None:
    with data.session() as session:
        session.execute(text("CREATE TABLE IF NOT EXISTS orders (id text PRIMARY KEY)"))


def ids(data: Data) -> list[str]:
    with data.session() as session:
        return list(session.scalars(text("SELECT id FROM orders ORDER BY id")))


def ask(view: Callable[[], None], method: str = "POST", mode: str = "request") -> Answer:
    """Ask a WSGI app whose view does this, and answers 500 for what it raises, as Flask does."""

    def app(environ, start):
        try:
            view()
        except Exception:
            start("500 Internal Server Error", [])
            return [b"oops"]
        start("200 OK", [])
        return [b"fine"]

    heads = []
    around = requests.around(app, "wsgi", mode)
    body = b"".join(around({"REQUEST_METHOD": method}, lambda *head: heads.append(head)))
    assert len(heads) == 1
    return heads[0][0], dict(heads[0][1]), body


def test_a_request_that_finds_no_connection_is_told_503_with_the_reason(make_data) -> None:
    data = make_data(connections_max=1, connection_wait_s=0.05)
    make_orders(data)
    with data.session() as holder:
        holder.execute(text("SELECT 1"))
        status, headers, body = ask(lambda: data.session().execute(ADD, {"id": "a"}))
        with pytest.raises(PoolExhausted, match=r"all 1 connections are in use"):
            data.session().execute(ADD, {"id": "a"})

    assert status == "503 Service Unavailable"
    assert headers["Retry-After"] == "1"
    assert b"data.pool_exhausted: all 1 connections" in body
    assert ids(data) == []
    assert ask(lambda: data.session().execute(ADD, {"id": "a"}))[0] == "200 OK"
    assert ids(data) == ["a"]


def test_a_connection_killed_in_the_middle_commits_nothing_and_the_next_request_works(
    server, make_data, kind: str
) -> None:
    if kind == "sqlite":
        pytest.skip("SQLite has no connection to kill")
    data = make_data()
    make_orders(data)

    def killed() -> None:
        session = data.session()
        session.execute(ADD, {"id": "a"})
        pid = session.scalar(text("SELECT pg_backend_pid()"))
        with psycopg.connect(data.databases[0].url) as other:
            other.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
        session.execute(ADD, {"id": "b"})

    status, _, body = ask(killed)
    assert status == "503 Service Unavailable"
    assert b"data.connection_gone" in body
    assert ask(lambda: data.session().execute(ADD, {"id": "c"}))[0] == "200 OK"
    assert ids(data) == ["c"]


def test_a_connection_killed_before_its_commit_is_never_reported_as_success(
    make_data, kind: str
) -> None:
    if kind == "sqlite":
        pytest.skip("SQLite has no connection to kill")
    data = make_data()
    make_orders(data)

    def killed() -> None:
        session = data.session()
        session.execute(ADD, {"id": "a"})
        pid = session.scalar(text("SELECT pg_backend_pid()"))
        with psycopg.connect(data.databases[0].url) as other:
            other.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])

    status, _, body = ask(killed)

    assert status == "503 Service Unavailable"
    assert b"data.commit_unknown" in body
    assert ids(data) == []


def test_a_server_that_was_restarted_is_found_again(server, make_data, kind: str) -> None:
    if kind == "sqlite":
        pytest.skip("SQLite has no server")
    data = make_data()
    make_orders(data)
    server.stop()
    status, _, body = ask(lambda: data.session().execute(ADD, {"id": "a"}))
    server.start()

    assert status == "503 Service Unavailable"
    assert b"data." in body
    assert ask(lambda: data.session().execute(ADD, {"id": "b"}))[0] == "200 OK"
    assert ids(data) == ["b"]


def test_a_database_that_takes_no_writes_says_so(
    make_data, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    own = {} if kind == "sqlite" else {"url": request.getfixturevalue("server").create("reading")}
    data = make_data(**own)
    make_orders(data)
    data.close()
    if kind == "sqlite":
        read_only = make_data(url=f"sqlite:///file:{tmp_path}/app.db?mode=ro&uri=true")
    else:
        with psycopg.connect(data.databases[0].url, autocommit=True) as owner:
            name = owner.info.dbname
            owner.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
        read_only = make_data(url=data.databases[0].url)

    status, headers, body = ask(lambda: read_only.session().execute(ADD, {"id": "a"}))

    assert status == "503 Service Unavailable"
    assert headers["Retry-After"] == "30"
    assert b"data.read_only" in body


def test_a_full_disk_loses_nothing_that_was_committed(make_data, kind: str) -> None:
    if kind != "sqlite":
        pytest.skip("a PostgreSQL of a test shares its disk")
    data = make_data(connections_max=1)
    make_orders(data)
    assert ask(lambda: data.session().execute(ADD, {"id": "a"}))[0] == "200 OK"
    with data.session() as session:
        pages = session.scalar(text("PRAGMA page_count"))
        session.execute(text(f"PRAGMA max_page_count = {pages}"))

    status, _, body = ask(lambda: data.session().execute(ADD, {"id": "b" * 100_000}))

    assert status == "503 Service Unavailable"
    assert b"data.disk_full" in body
    assert ids(data) == ["a"]


def test_a_lock_that_is_held_too_long_is_told_as_busy(make_data, kind: str) -> None:
    data = make_data(busy_s=0.05)
    make_orders(data)
    with data.session() as holder:
        holder.execute(ADD, {"id": "a"})
        with pytest.raises(Exception) as failed, data.session() as session:
            session.execute(ADD, {"id": "a"})
    found = meaning(failed.value.orig)  # type: ignore[attr-defined]

    assert isinstance(found, Busy)


def test_writers_beside_each_other_wait_and_lose_nothing(make_data) -> None:
    data = make_data(busy_s=60.0)
    make_orders(data)

    def write(writer: int) -> None:
        for number in range(20):
            with data.session() as session:
                session.scalar(text("SELECT count(*) FROM orders"))
                session.execute(ADD, {"id": f"{writer}-{number}"})

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ids(data)) == 80


def test_a_database_that_cannot_be_reached_is_told_as_such(make_data, tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/no/such.db", "postgresql://nobody@127.0.0.1:1/x"):
        data = make_data(url=url, connect_s=1.0)
        status, headers, body = ask(lambda data=data: data.session().execute(ADD, {"id": "a"}))

        assert status == "503 Service Unavailable", body
        assert b"data.unreachable" in body
        assert headers["Retry-After"] == "5"


def test_a_statement_that_is_wrong_is_the_apps_own_500(data: Data) -> None:
    status, _, body = ask(lambda: data.session().execute(text("SELECT nonsense")))

    assert (status, body) == ("500 Internal Server Error", b"oops")


def test_errors_know_whether_trying_again_helps() -> None:
    assert issubclass(ConnectionGone, DataUnavailable)
    assert issubclass(Unreachable, DataUnavailable)
    assert not issubclass(requests.DataError, DataUnavailable)


def test_a_forked_child_opens_connections_of_its_own(data: Data) -> None:
    make_orders(data)
    with data.session() as session:
        session.execute(ADD, {"id": "parent"})
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                with data.session(read_only=True) as mine:
                    code = 0 if mine.scalar(text("SELECT count(*) FROM orders")) == 0 else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    assert ids(data) == ["parent"]


def test_a_unit_rolls_back_every_part_when_one_cannot_commit(make_data, tmp_path: Path) -> None:
    data = make_data()
    make_orders(data)
    unit = units.Unit()

    class Broken:
        def commit(self) -> None:
            raise DataUnavailable("no")

        def rollback(self) -> None: ...
        def seal(self) -> None: ...
        def close(self) -> None: ...

    unit.add("broken", Broken())  # type: ignore[arg-type]
    with units.entered(unit), pytest.raises(DataUnavailable):
        data.session().execute(ADD, {"id": "a"})
        unit.end(good=True)
    unit.close()

    assert ids(data) == []
