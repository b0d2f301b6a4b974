"""Apps that know nothing of a cache, on SQLite: each answer says what it was made from."""

from __future__ import annotations

import socket
from pathlib import Path

from .conftest import Ask, reasons, tags

PLAIN = """
import sqlite3

def app(environ, start):
    db = sqlite3.connect("main.db")
    sql, values = ASKED[environ["PATH_INFO"]]
    rows = db.execute(sql, values).fetchall()
    db.close()
    start("200 OK", [("Content-Type", "text/plain")])
    return [repr(rows).encode()]

ASKED = {
    "/all": ("SELECT title FROM tickets", ()),
    "/one": ("SELECT title FROM tickets WHERE id = ?", (42,)),
    "/some": ("SELECT title FROM tickets t WHERE t.id IN (?, ?) ORDER BY title", (42, 43)),
    "/count": ("SELECT count(*) FROM tickets", ()),
    "/join": ("SELECT * FROM tickets t JOIN people p ON p.id = t.owner_id WHERE t.id = ?", (42,)),
    "/view": ("SELECT name FROM open_tickets WHERE id = ?", (42,)),
    "/within": ("SELECT name FROM people WHERE id IN (SELECT owner_id FROM tickets)", ()),
    "/empty": ("SELECT title FROM tickets WHERE id = ?", (9,)),
    "/or": ("SELECT title FROM tickets WHERE id = ? OR title = 'x'", (42,)),
    "/odd": ("SELECT title FROM tickets WHERE id = ?", ("042",)),
    "/now": ("SELECT title, datetime('now') FROM tickets", ()),
    "/today": ("SELECT title FROM tickets WHERE title < ?", ("2026-01-01 10:00:00.123456",)),
    "/schema": ("SELECT name FROM sqlite_master", ()),
    "/columns": ("PRAGMA table_info(tickets)", ()),
    "/write": ("UPDATE sessions SET seen = 1", ()),
    "/nothing": ("SELECT 1", ()),
}
"""


def test_a_table_or_the_rows_that_a_condition_pins_are_named(ask: Ask, sqlite: Path) -> None:
    paths = ["/all", "/one", "/some", "/count", "/empty", "/one"]
    assert tags(ask(PLAIN, paths)) == [
        ["main/tickets"],
        ["main/tickets:id=42"],
        ["main/tickets:id=42", "main/tickets:id=43"],
        ["main/tickets"],
        ["main/tickets:id=9"],
        ["main/tickets:id=42"],
    ]


def test_joins_views_and_subqueries_name_every_table_behind_them(ask: Ask, sqlite: Path) -> None:
    both = ["main/people", "main/tickets"]
    assert tags(ask(PLAIN, ["/join", "/view", "/within"])) == [both, both, both]


def test_a_condition_that_may_let_other_rows_in_pins_nothing(ask: Ask, sqlite: Path) -> None:
    assert tags(ask(PLAIN, ["/or", "/odd"])) == [["main/tickets"], ["main/tickets"]]


def test_what_no_change_would_end_is_not_known(ask: Ask, sqlite: Path) -> None:
    paths = ["/now", "/today", "/schema", "/columns", "/write", "/nothing"]
    said = reasons(ask(PLAIN, paths))
    assert [reason.partition(":")[0] for reason in said] == [
        "it depends on when it is asked",
        "it depends on when it is asked",
        "the schema of a database was read",
        "PRAGMA table_info was read",
        "a request that only asks wrote to sessions",
        "no database was read",
    ]


def test_tables_that_are_on_no_page_are_not_looked_at(ask: Ask, sqlite: Path) -> None:
    counted = PLAIN.replace(
        "rows =", 'db.execute("UPDATE sessions SET seen = seen + 1")\n    rows ='
    )
    assert tags(ask(counted, ["/one"], ignore=["sessions"])) == [["main/tickets:id=42"]]
    assert "wrote to sessions" in reasons(ask(counted, ["/one"]))[0]


def test_a_database_that_is_none_of_the_sites_is_not_known(ask: Ask, sqlite: Path) -> None:
    other = {"main": f"sqlite:///{sqlite}.other"}
    assert reasons(ask(PLAIN, ["/one"], databases=other)) == [
        "the database of tickets is none of the site's"
    ]


def test_an_attached_database_is_named_as_itself(ask: Ask, sqlite: Path, tmp_path: Path) -> None:
    source = PLAIN.replace(
        "    sql, values", "    db.execute(\"ATTACH 'main.db' AS twin\")\n    sql, values"
    ).replace('sqlite3.connect("main.db")', 'sqlite3.connect("none.db")')
    said = ask(source.replace('FROM tickets"', 'FROM twin.tickets"'), ["/all"])
    assert reasons(said) == ["a database was attached or detached"]


def test_requests_that_nobody_keeps_are_not_looked_at(ask: Ask, sqlite: Path) -> None:
    said = ask(PLAIN, ["!/one", "/one"])
    assert "x-mergepoint-tags" not in said[0]
    assert tags(said[1:]) == [["main/tickets:id=42"]]


def test_statements_that_a_connection_keeps_prepared_are_known_each_time(
    ask: Ask, sqlite: Path
) -> None:
    kept = PLAIN.replace('    db = sqlite3.connect("main.db")\n', "").replace(
        "    db.close()\n", ""
    )
    kept = kept.replace("import sqlite3\n", 'import sqlite3\ndb = sqlite3.connect("main.db")\n', 1)
    said = tags(ask(kept, ["!/one", "/one", "/one", "/all", "!/all", "/all"])[1:4])
    assert said == [["main/tickets:id=42"], ["main/tickets:id=42"], ["main/tickets"]]


def test_reads_of_a_thread_of_the_apps_own_spoil_whoever_asks(ask: Ask, sqlite: Path) -> None:
    threaded = PLAIN.replace(
        "rows = db.execute(sql, values).fetchall()",
        "rows = []\n    work = lambda: rows.extend("
        'sqlite3.connect("main.db").execute(sql, values))\n'
        "    thread = threading.Thread(target=work)\n    thread.start()\n    thread.join()",
    ).replace("import sqlite3", "import sqlite3, threading", 1)
    assert reasons(ask(threaded, ["/one"])) == [
        "data was read outside of any request, by a thread of the app's own"
    ]


def test_files_processes_and_servers_elsewhere_are_not_known(ask: Ask, sqlite: Path) -> None:
    source = """
    import os, socket, sqlite3, subprocess

    def app(environ, start):
        sqlite3.connect("main.db").execute("SELECT title FROM tickets").fetchall()
        {"/file": file, "/template": template, "/process": process, "/list": listing,
         "/server": server, "/after": template, "/log": log}[environ["PATH_INFO"]]()
        start("200 OK", [])
        return [b"x"]

    def file(): open("main.db", "rb").close()
    def template(): open("page.html").close()
    def log(): open("app.log", "a").close()
    def process(): subprocess.run(["true"])
    def listing(): os.listdir("data")
    def server():
        with socket.create_server(("127.0.0.1", 0)) as one:
            socket.create_connection(one.getsockname()).close()
    """
    (sqlite.parent / "page.html").write_text("<p>")
    (sqlite.parent / "data").mkdir()
    paths = ["/template", "/log", "/file", "/list", "/process", "/template", "/server", "/after"]
    said = ask(source, paths)
    assert tags(said[:2]) == [["main/tickets"], ["main/tickets"]]
    assert [reason.split()[0:3] for reason in reasons(said[2:5])] == [
        ["it", "read", "a"],
        ["it", "listed", "a"],
        ["it", "started", "a"],
    ]
    assert tags(said[5:6]) == [["main/tickets"]]
    assert all("it is connected to 127.0.0.1" in reason for reason in reasons(said[6:]))


def test_long_answers_go_on_as_they_come_and_are_not_known(ask: Ask, sqlite: Path) -> None:
    source = """
    import sqlite3

    def app(environ, start):
        start("200 OK", [])
        for _ in range(40):
            yield b"x" * 65536
    """
    said = ask(source, ["/"])
    assert len(said[0]["body"]) == 40 * 65536
    assert "longer than" in reasons(said)[0]


def test_what_an_app_writes_by_itself_is_held_no_longer_either(ask: Ask, sqlite: Path) -> None:
    source = """
    def app(environ, start):
        write = start("200 OK", [])
        for _ in range(COUNT):
            write(b"x" * 65536)
        return [b"end"]
    """
    short, long = (ask(source.replace("COUNT", count), ["/"]) for count in ("2", "40"))
    assert short[0]["body"] == "x" * 2 * 65536 + "end"
    assert reasons(short) == ["no database was read"]
    assert long[0]["body"] == "x" * 40 * 65536 + "end"
    assert "longer than" in reasons(long)[0]


def test_an_apps_own_word_stands(ask: Ask, sqlite: Path) -> None:
    source = PLAIN.replace('"Content-Type", "text/plain"', '"x-mergepoint-tags", "main/people"')
    assert tags(ask(source, ["/all"])) == [["main/people"]]


def test_a_server_whose_data_is_on_no_page_may_be_talked_to(ask: Ask, sqlite: Path) -> None:
    source = """
    import socket, sqlite3


    def app(environ, start):
        sqlite3.connect("main.db").execute("SELECT title FROM tickets").fetchall()
        socket.create_connection(("127.0.0.1", PORT)).close()
        start("200 OK", [])
        return [b"x"]
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        given = source.replace("PORT", str(port))
        assert tags(ask(given, ["/"], beside=[f"localhost:{port}"])) == [["main/tickets"]]
        assert "it is connected to" in reasons(ask(given, ["/"]))[0]
