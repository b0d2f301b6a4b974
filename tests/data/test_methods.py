"""What `.sql` files promise once they are functions."""

from __future__ import annotations

import ast
import asyncio
import datetime
import os
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from mergepoint.core.clock import SystemClock
from mergepoint.data.config import of_urls
from mergepoint.data.errors import MethodsRefused, ParameterRefused, ShapeRefused
from mergepoint.data.methods.library import parsed_of, read
from mergepoint.data.methods.scan import scan
from mergepoint.data.methods.stubs import stub
from mergepoint.data.site import Data

sys.path.insert(0, str(Path(__file__).parent))
import shop

QUERIES = """\
-- name: open_tickets(status: str = "open", limit: int = 20) -> rows
-- Tickets of a status, newest first.
SELECT id, title, '::not :this' AS odd FROM tickets -- nor :that
 WHERE status = :status ORDER BY id DESC LIMIT :limit;

-- name: ticket(id: int) -> one
SELECT * FROM tickets WHERE id = :id
-- name: maybe(id: int) -> optional shop:Line
SELECT id, title FROM tickets WHERE id = :id;
-- name: models(ids: list[int]) -> rows shop:Ticket
SELECT * FROM tickets WHERE id IN :ids ORDER BY id;
-- name: count() -> scalar int
SELECT count(*) FROM tickets;
-- name: add(id: int, title: str) -> affected
INSERT INTO tickets (id, title, status) VALUES (:id, :title, 'open');
-- name: every() -> stream shop:Line
SELECT id, title FROM tickets ORDER BY id;
-- name: summary() -> rows
SELECT status, n FROM statuses;
-- name: engine() -> scalar str [sqlite]
SELECT 'sqlite';
-- name: engine() -> scalar str [postgresql]
SELECT 'postgresql'::text;
-- name: wide() -> rows shop:Line
SELECT id, title, status FROM tickets;
-- name: on_day(day: date) -> scalar
SELECT :day;
-- name: by_id$
SELECT title FROM tickets WHERE id = :id;
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "queries"
    folder.mkdir()
    (folder / "tickets.sql").write_text(QUERIES)
    return folder


@pytest.fixture
def tickets(data: Data, place: Path):
    shop.Base.metadata.create_all(data.engine())
    with data.session() as session:
        for number in range(1, 8):
            session.add(shop.Ticket(id=number, title=f"t{number}"))
        session.execute(
            text("CREATE VIEW statuses AS SELECT status, count(*) AS n FROM tickets GROUP BY 1")
        )
    return data.methods(place)


def test_each_shape_gives_what_it_declares(tickets, kind: str) -> None:
    assert [row.id for row in tickets.open_tickets(limit=2)] == [7, 6]
    assert tickets.open_tickets()[0].odd == "::not :this"
    assert tickets.ticket(3).title == "t3"
    assert tickets.maybe(3) == shop.Line(3, "t3")
    assert tickets.maybe(id=99) is None
    assert tickets.count() == 7
    assert tickets.add(8, "t8") == 1
    assert [type(one) for one in tickets.models([1, 8])] == [shop.Ticket, shop.Ticket]
    assert tickets.models([]) == []
    assert [line.id for line in tickets.every()] == list(range(1, 9))
    assert tickets.engine() == kind
    assert tickets.by_id(2) == "t2"
    assert "Tickets of a status" in tickets.open_tickets.__doc__


def test_the_asynchronous_twin_gives_the_same(data: Data, tickets) -> None:
    async def work() -> None:
        assert [row.id for row in await tickets.aopen_tickets(limit=2)] == [7, 6]
        assert await tickets.amaybe(99) is None
        assert [line.id async for line in tickets.aevery()] == list(range(1, 8))
        async with data.atransaction():
            assert await tickets.aadd(8, "t8") == 1
        assert await tickets.acount() == 8
        await data.aclose()

    asyncio.run(work())


def test_a_method_is_part_of_the_request_s_transaction(data: Data, tickets) -> None:
    with pytest.raises(KeyError), data.transaction():
        tickets.add(8, "t8")
        assert tickets.count() == 8
        raise KeyError
    assert tickets.count() == 7
    with pytest.raises(IntegrityError):
        tickets.add(7, "twice")


def test_rows_beyond_the_bound_are_an_error_and_a_stream_has_none(
    make_data, tickets, place: Path
) -> None:
    small = make_data(rows_max=3, stream_rows=2).methods(place)

    assert len(small.open_tickets(limit=3)) == 3
    with pytest.raises(ShapeRefused, match=r"tickets\.sql:1: open_tickets gives more than 3 rows"):
        small.open_tickets()
    assert len(list(small.every())) == 7


def test_a_stream_that_is_left_gives_its_connection_back(make_data, tickets, place: Path) -> None:
    small = make_data(connections_max=1, connection_wait_s=0.05).methods(place)
    stream = small.every()
    assert next(stream).id == 1
    stream.close()

    assert small.count() == 7


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: m.ticket(), r"ticket needs 'id' \(.*tickets\.sql:6\)"),
        (lambda m: m.ticket("3"), r"id must be int, not str"),
        (lambda m: m.ticket(True), r"id must be int, not bool"),
        (lambda m: m.ticket(1, 2), r"takes 1 parameters, not 2"),
        (lambda m: m.ticket(nr=1), r"no parameter 'nr'; there are id"),
        (lambda m: m.models(["x"]), r"ids must be list\[int\], not str"),
        (lambda m: m.models(3), r"ids must be list\[int\], not int"),
        (lambda m: m.open_tickets(None), r"status must be str, not NoneType"),
        (lambda m: m.on_day(datetime.datetime(2026, 1, 1)), r"day must be date, not datetime"),
    ],
)
def test_a_wrong_argument_is_refused_before_the_database_sees_it(tickets, call, said: str) -> None:
    with pytest.raises(ParameterRefused, match=said):
        call(tickets)


def test_a_row_that_does_not_fit_is_told_with_its_line(tickets) -> None:
    with pytest.raises(ShapeRefused, match=r"tickets\.sql:6: ticket gives no row"):
        tickets.ticket(99)
    with pytest.raises(ShapeRefused, match=r"wide gives columns id, title, status; shop:Line"):
        tickets.wide()
    with pytest.raises(AttributeError, match="did you mean 'ticket'"):
        tickets.tickte(1)


BROKEN = """\
SELECT 1;
-- name: a(x: int) -> rows
SELECT :x,
  :y;
-- name: b(x: text) -> rows
SELECT :x;
-- name: c() -> row
SELECT 1;
-- name: d() -> rows
SELECT 1; SELECT 2;
-- name: e() -> rows no.such:Class
SELECT 1;
-- name: f(unused: int)
SELECT 1;
-- name: a(x: int) -> rows
SELECT :x;
-- name: class()
SELECT 1;
-- name: g()
-- name: h() -> rows [oracle]
SELECT 1;
-- name: i(x: int = os) -> rows
SELECT :x;
"""
SAID = [
    "1: SQL before the first `-- name:`",
    "4: :y is no parameter of a; there are x",
    "5: x: 'text' is none of",
    "7: shape 'row' is none of rows, one, optional, scalar, affected, stream; did you mean rows?",
    "10: d has a second statement; give it a name of its own",
    "11: no.such:Class cannot be imported",
    "13: parameter 'unused' of f is not used",
    "15: a is declared at",
    "17: 'class' is no name of a function",
    "19: g has no statement",
    "20: dialect 'oracle' is none of sqlite, postgresql",
    "22: x: default 'os' is no literal",
]


def test_every_mistake_is_told_at_once_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "bad.sql").write_text(BROKEN)

    with pytest.raises(MethodsRefused) as refused:
        read(tmp_path, "sqlite")

    lines = refused.value.message.splitlines()
    assert len(lines) == len(SAID)
    for line, said in zip(lines, SAID, strict=True):
        assert line.startswith(f"{tmp_path / 'bad.sql'}:{said}"), line


def test_in_development_the_database_is_asked_whether_it_takes_a_statement(
    make_data, tickets, place: Path, caplog
) -> None:
    (place / "more.sql").write_text(
        "-- name: bad(x: int) -> rows\nSELECT nothing FROM tickets WHERE id = :x;\n"
    )

    make_data(development=True).methods(place)

    assert "more.sql:1: bad:" in caplog.text
    assert "nothing" in caplog.text
    assert "tickets.sql" not in caplog.text


def test_in_development_a_changed_file_is_read_again(make_data, tickets, place: Path) -> None:
    library = make_data(development=True).methods(place)
    fixed = make_data().methods(place)
    file = place / "tickets.sql"
    file.write_text(QUERIES.replace("'sqlite';", "'new';").replace("'postgresql'::", "'new'::"))
    stat = file.stat()
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))

    assert library.engine() == "new"
    assert fixed.engine() != "new"


def test_a_method_knows_its_tables_and_what_views_are_made_of(tickets) -> None:
    assert tickets.ticket.tables == {"tickets"}
    assert tickets.summary.tables >= {"tickets"}
    assert tickets.engine.tables == frozenset()
    assert tickets.add.tables >= {"tickets"}


def test_tables_behind_a_function_of_the_app_are_unknown(server, tmp_path: Path) -> None:
    data = Data(of_urls({"main": server.create("functions")}), SystemClock())
    with data.session() as session:
        session.execute(text("CREATE TABLE t (id int)"))
        session.execute(
            text("CREATE FUNCTION n() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM t'")
        )
        session.execute(text("CREATE VIEW v AS SELECT n() AS n"))
    (tmp_path / "q.sql").write_text(
        "-- name: a() -> scalar\nSELECT n();\n"
        "-- name: b() -> scalar\nSELECT n FROM v;\n"
        "-- name: c() -> scalar\nSELECT count(*) FROM t;\n"
    )
    methods = data.methods(tmp_path)

    assert methods.a.tables is None
    assert methods.b.tables is None
    assert methods.c.tables == {"t"}
    data.close()


def test_the_stub_is_python_that_says_the_types(place: Path) -> None:
    text = stub(parsed_of(place).methods, "Queries")
    ast.parse(text)

    assert (
        "def open_tickets(self, status: str = 'open', limit: int = 20, *, "
        "session: Any = None) -> list[Any]:" in text
    )
    assert "async def amaybe(self, id: int, *, session: Any = None) -> shop.Line | None:" in text
    assert "def aevery(self, *, session: Any = None) -> AsyncIterator[shop.Line]:" in text
    assert "def models(self, ids: list[int], *, session: Any = None) -> list[shop.Ticket]:" in text
    assert text.count("def engine(") == 1


def test_parameters_are_found_outside_of_strings_and_comments_only() -> None:
    found = scan(
        "SELECT ':a', \":b\", $x$ :c $x$, e'\\' :d', t::int, a[1:2] /* :e */ -- :f\n, :g, ':' || :h"
    )

    assert [name for name, _ in found.parameters] == ["g", "h"]
    assert ":e" not in found.text
    assert "t\\:\\:int" in found.text


def test_time_is_counted_for_each_method(tickets) -> None:
    tickets.count()
    tickets.count()

    assert tickets._timings["count"].calls == 2
