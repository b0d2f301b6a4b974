"""What is said of queries while somebody develops, and that nobody pays elsewhere."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import sys
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import selectinload

import mergepoint
from mergepoint.cli.commands.db import advised
from mergepoint.core.clock import SystemClock
from mergepoint.data.config import of_urls
from mergepoint.data.site import Data
from mergepoint.data.watching import drivers, plans
from mergepoint.data.watching.record import ENTRIES_MAX, Record
from mergepoint.data.watching.routes import around
from mergepoint.data.watching.watch import REPEATED_MIN, route_of

sys.path.insert(0, str(Path(__file__).parent))
from shop import Base, Project, Ticket


@pytest.fixture
def watched(make_data) -> Data:
    data: Data = make_data(development=True)
    Base.metadata.create_all(data.engine())
    with data.session() as session:
        for number in range(1, 21):
            session.add(Project(id=number, tickets=[Ticket(title=f"t{number}")]))
    return data


def ask(view, path: str = "/projects/7") -> None:
    def app(environ, start):
        view()
        start("200 OK", [])
        return [b""]

    around(app, "wsgi")({"REQUEST_METHOD": "GET", "PATH_INFO": path}, lambda *_: None)


def test_a_query_for_each_row_is_told_with_the_line_of_the_app(watched: Data, caplog) -> None:
    def lazily() -> None:
        with watched.session() as session:
            for project in session.scalars(select(Project)):
                assert len(project.tickets) == 1

    def eagerly() -> None:
        with watched.session() as session:
            for project in session.scalars(select(Project).options(selectinload(Project.tickets))):
                assert len(project.tickets) == 1

    with caplog.at_level(logging.WARNING, "mergepoint.data"):
        ask(eagerly)
        assert "load them together" not in caplog.text
        ask(lazily)
    assert "GET /projects/* asks the same 10 times in one request at" in caplog.text
    assert "test_watching.py:" in caplog.text
    (entry,) = [one for one in watched.record.entries() if one.repeated_max >= REPEATED_MIN]
    assert entry.repeated_max == 20
    assert Path(entry.where.rpartition(":")[0]).name == "test_watching.py"
    said = advised([vars(entry)])
    assert said[0]["say"].startswith("GET /projects/* asked this 20 times in one request")


def test_many_requests_that_ask_once_each_are_no_repetition(watched: Data, caplog) -> None:
    def once() -> None:
        with watched.session() as session:
            session.get(Project, 3)

    for _ in range(REPEATED_MIN + 1):
        ask(once)

    assert "load them together" not in caplog.text


def test_coroutines_are_told_with_their_line_too(watched: Data) -> None:
    async def work() -> None:
        async with watched.asession() as session:
            await session.execute(text("SELECT 1 AS here"))
        await watched.aclose()

    asyncio.run(work())

    (entry,) = [one for one in watched.record.entries() if "AS here" in one.sql]
    assert "test_watching.py:" in entry.where


@pytest.mark.parametrize(("rows", "expected"), [(5000, "big(status)"), (10, "")])
def test_an_index_that_would_help_is_named(watched: Data, kind: str, rows: int, expected) -> None:
    with watched.session() as session:
        session.execute(text("CREATE TABLE big (id integer PRIMARY KEY, status text, n int)"))
        session.execute(
            text("INSERT INTO big (id, status) VALUES (:id, :status)"),
            [{"id": n, "status": f"s{n % 50}"} for n in range(rows)],
        )
    with watched.engine().connect() as connection:
        connection.execute(text("ANALYZE"))
        connection.commit()
        sql = "SELECT n FROM big b WHERE b.status = "
        cursor = connection.connection.cursor()
        mark = "?" if kind == "sqlite" else "%s"
        assert plans.hint(kind, cursor, sql + mark, ("s1",)) == expected
        cursor.execute("CREATE INDEX ON big (status)" if kind != "sqlite" else
                       "CREATE INDEX by_status ON big (status)")  # fmt: skip
        assert plans.hint(kind, cursor, sql + mark, ("s1",)) == ""
        cursor.close()


def test_what_is_kept_has_a_bound_and_no_values(tmp_path: Path) -> None:
    file = tmp_path / "queries-shop-0.json"
    record = Record(SystemClock(), file)
    for number in range(ENTRIES_MAX + 50):
        record.entry("main", f"SELECT {number}", "app.py:1", "").total_s = number
    record.method("q.sql:1", "tickets", 0.5)
    record.write()

    told = json.loads(file.read_text())
    assert len(told["queries"]) == ENTRIES_MAX
    assert told["methods"]["tickets"]["calls"] == 1
    assert file.stat().st_mode & 0o077 == 0


def test_values_of_a_statement_are_not_written_down(watched: Data) -> None:
    with watched.session() as session:
        session.execute(text("SELECT 1 WHERE :x = 'secret'"), {"x": "hunter2"})

    assert all("hunter2" not in str(vars(one)) for one in watched.record.entries())


def test_nobody_watches_in_production(data: Data) -> None:
    with data.session() as session:
        session.execute(text("SELECT 1"))

    assert data.record is None


def test_numbers_and_uuids_in_a_path_are_one_route() -> None:
    assert route_of("GET", "/a/12/b/3f2b8c9e-1111-2222-3333-444455556666") == "GET /a/*/b/*"
    assert route_of("POST", "/a/b12") == "POST /a/b12"


def test_django_s_statements_are_watched(tmp_path: Path) -> None:
    import subprocess
    import sys

    script = tmp_path / "app.py"
    script.write_text(DJANGO.format(file=tmp_path / "d.db"))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["20 app.py:19"]


DJANGO = """
import django
from django.conf import settings
sqlite = {{"ENGINE": "django.db.backends.sqlite3", "NAME": "{file}"}}
settings.configure(DATABASES={{"default": sqlite}})
django.setup()
from django.db import connection
from mergepoint.core.clock import SystemClock
from mergepoint.data.site import Data
from mergepoint.data.watching.django import install
from mergepoint.data.watching.watch import request
data = Data((), SystemClock(), development=True)
assert install(data) and install(data)
with connection.cursor() as cursor:
    cursor.execute("CREATE TABLE t (id integer)")
with request("GET", "/x"), connection.cursor() as cursor:
    for n in range(20):
        pass
        cursor.execute("SELECT * FROM t WHERE id = %s", [n])
(found,) = [one for one in data.record.entries() if "SELECT" in one.sql]
print(found.repeated_max, found.where.rpartition("/")[2])
"""


def test_plain_drivers_are_watched_by_their_own_kind_of_class(
    watched: Data, kind: str, url: str
) -> None:
    def view() -> None:
        if kind == "sqlite":
            file = url.removeprefix("sqlite:///")
            connection = sqlite3.connect(file, factory=drivers.sqlite(watched))
            mark = "?"
        else:
            connection = psycopg.connect(url, cursor_factory=drivers.psycopg(watched))
            mark = "%s"
        for number in range(12):
            found = connection.execute(
                f"SELECT id FROM projects WHERE id = {mark}", (number + 1,)
            ).fetchone()
            assert found == (number + 1,)
        connection.close()

    ask(view)

    (entry,) = [one for one in watched.record.entries() if "WHERE id" in one.sql]
    assert entry.repeated_max == 12
    assert "test_watching.py:" in entry.where
    assert entry.hint == "-"


def test_what_is_put_in_a_transaction_exists_if_and_only_if_it_commits() -> None:
    from mergepoint.tasks import outbox

    rows = text("SELECT count(*) FROM mergepoint_outbox")
    with mergepoint.Site.testing() as site:
        with site.data.session() as session:
            for statement in outbox.ddl("sqlite"):
                session.execute(text(statement))
        with pytest.raises(KeyError), site.data.transaction():
            site.data.documents("notes").insert({"a": 1})
            site.bus.queue("mail").put({"to": "ann"})
            assert site.data.session().scalar(rows) == 1
            raise KeyError
        with site.data.session() as session:
            assert session.scalar(rows) == 0
        with site.data.transaction():
            site.data.documents("notes").insert({"a": 1})
            site.bus.queue("mail").put({"to": "ann"})
        with site.data.session() as session:
            assert session.scalar(rows) == 1


def test_a_site_in_a_test_has_a_database_of_its_own() -> None:
    with mergepoint.Site.testing() as one, mergepoint.Site.testing() as other:
        one.data.documents("notes").insert({"a": 1})

        assert one.data.documents("notes").count() == 1
        assert other.data.documents("notes").count() == 0
        assert Data(of_urls({}), SystemClock()).databases == ()
