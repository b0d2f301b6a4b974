"""Apps on PostgreSQL that know nothing of a cache: locks say what they have read."""

from __future__ import annotations

import psycopg

from mergepoint.cache.locks import Held, Lock, held_by, tags_of

from .conftest import Ask, reasons, tags

PLAIN = """
import psycopg

warm = psycopg.connect("URL", autocommit=True)

def app(environ, start):
    db = warm if environ["PATH_INFO"].startswith("/auto") else psycopg.connect("URL")
    for sql, values in ASKED[environ["PATH_INFO"].rpartition("/")[2]]:
        rows = db.execute(sql, values).fetchall() if values is not None else db.execute(sql)
    if db is not warm:
        db.commit()
        db.close()
    start("200 OK", [])
    return [repr(rows).encode()]

ONE = ("SELECT title FROM tickets WHERE id = %s", (42,))
ASKED = {
    "one": [ONE],
    "two": [("SELECT name FROM people WHERE id = %s", (1,)), ONE],
    "twice": [ONE, ("SELECT count(*) FROM tickets", ())],
    "view": [("SELECT name FROM open_tickets WHERE id = %s", (42,))],
    "function": [("SELECT owners()", ())],
    "function_of_row": [ONE, ("SELECT name, owners() FROM people WHERE id = %s", (1,))],
    "write": [("INSERT INTO sessions VALUES ('a', 1) ON CONFLICT DO NOTHING", None), ONE],
    "now": [("SELECT title, now() FROM tickets", ())],
    "catalogue": [("SELECT relname FROM pg_class WHERE relkind = 'r'", ()),
                  ("SELECT typname FROM pg_type", ())],
    "temporary": [("CREATE TEMPORARY TABLE mine (a int)", None), ("SELECT * FROM mine", ())],
    "many": [("SELECT title FROM tickets FOR UPDATE", ())],
    "prepared": [ONE] * 8,
}
"""
FUNCTION = """CREATE FUNCTION owners() RETURNS bigint LANGUAGE plpgsql AS
$$ BEGIN RETURN (SELECT count(*) FROM tickets JOIN people ON people.id = owner_id); END $$"""
BOTH = ["main/people", "main/tickets"]


def test_statements_by_themselves_and_in_a_transaction_name_the_same(
    ask: Ask, postgres: str
) -> None:
    with psycopg.connect(postgres) as db:
        db.execute(FUNCTION)
    named = {
        "one": ["main/tickets:id=42"],
        "two": ["main/people:id=1", "main/tickets:id=42"],
        "twice": ["main/tickets"],
        "view": BOTH,
        "function": BOTH,
        "function_of_row": BOTH,
        "many": ["main/tickets"],
        "prepared": ["main/tickets:id=42"],
    }
    paths = [f"{how}/{name}" for name in named for how in ("/auto", "")]
    said = ask(PLAIN.replace("URL", postgres), paths, databases={"main": postgres})
    expected = [found for found in named.values() for _ in range(2)]
    assert dict(zip(paths, tags(said), strict=True)) == dict(zip(paths, expected, strict=True))


def test_what_no_change_would_end_is_not_known(ask: Ask, postgres: str) -> None:
    paths = ["/write", "/now", "/catalogue", "/temporary"]
    said = ask(PLAIN.replace("URL", postgres), paths, databases={"main": postgres})
    assert [reason.partition(":")[0] for reason in reasons(said)] == [
        "a request that only asks wrote to sessions",
        "it depends on when it is asked",
        "the catalogue of the database was read",
        "mine is a temporary table",
    ]
    ignoring = ask(
        PLAIN.replace("URL", postgres), ["/write"], databases={"main": postgres},
        ignore=["sessions"],
    )  # fmt: skip
    assert tags(ignoring) == [["main/tickets:id=42"]]


def test_a_database_that_is_none_of_the_sites_is_not_known(ask: Ask, postgres: str) -> None:
    other = {"main": postgres.replace("/cache", "/other")}
    said = ask(PLAIN.replace("URL", postgres), ["/one", "/auto/one"], databases=other)
    assert {*reasons(said)} == {"a PostgreSQL database that is none of the site's was read"}


def held(*names: str, row_security: bool = False) -> Held:
    return held_by(Lock("public", n, "r", "AccessShareLock", row_security) for n in names)


def told(sql: str, now: Held, before: Held) -> list[str]:
    return sorted(tag for _, tag in tags_of("main", sql, (), now, before))


def test_a_table_seen_before_counts_again_where_the_statement_may_have_read_it() -> None:
    both, one = held("a", "b"), held("a")
    assert told("SELECT x FROM b", both, one) == ["main/b"]
    assert told("SELECT x FROM b, A", both, one) == ["main/a", "main/b"]
    assert told("SELECT f(x) FROM b", both, one) == ["main/a", "main/b"]
    assert told("SELECT x FROM b WHERE id = 1", both, one) == ["main/b:id=1"]
    assert told("SELECT x FROM b WHERE id = 1", both, held()) == ["main/b", "main/a"][::-1]


def test_policies_of_rows_may_read_any_table() -> None:
    guarded = held_by(
        [
            Lock("public", "a", "r", "AccessShareLock", False),
            Lock("public", "b", "r", "AccessShareLock", True),
        ]
    )
    assert told("SELECT x FROM b WHERE id = 1", guarded, held("a")) == ["main/a", "main/b"]
