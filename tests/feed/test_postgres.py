"""The log of a PostgreSQL database: transactions that overlap, and every way to write.

Place:  make test
Rule:   a real server; who waits for whom is decided by locks and events, never by the clock.
"""

from __future__ import annotations

import subprocess
import sys

import psycopg
from mergepoint_testkit.feed_follower import Connect, Follow
from mergepoint_testkit.postgres import Postgres

from mergepoint.feed.contract import Op


def test_a_transaction_that_commits_late_is_not_skipped(
    tickets: object, connect: Connect, follow: Follow
) -> None:
    early, late = connect(autocommit=False), connect(autocommit=False)
    follower = follow()
    early.execute("INSERT INTO tickets VALUES (1, 'a')")  # has the smaller number
    late.execute("INSERT INTO tickets VALUES (2, 'b')")
    late.commit()
    first = follower.rows()
    early.commit()

    assert first == [("tickets", "insert", 2, "b")]
    assert follower.rows() == [("tickets", "insert", 1, "a")]
    assert follower.rows() == []


def test_what_was_rolled_back_is_never_shown_and_savepoints_count_as_a_whole(
    tickets: object, connect: Connect, follow: Follow
) -> None:
    db = connect(autocommit=False)
    follower = follow()
    db.execute("INSERT INTO tickets VALUES (1, 'gone')")
    db.rollback()
    db.execute("INSERT INTO tickets VALUES (2, 'kept')")
    db.execute("SAVEPOINT s")
    db.execute("INSERT INTO tickets VALUES (3, 'undone')")
    db.execute("ROLLBACK TO s")
    db.execute("SAVEPOINT t")
    db.execute("INSERT INTO tickets VALUES (4, 'inner')")
    db.execute("RELEASE t")
    before = follower.rows()
    db.commit()

    assert before == []
    assert follower.rows() == [("tickets", "insert", 2, "kept"), ("tickets", "insert", 4, "inner")]


def test_changes_of_one_row_come_in_the_order_of_their_commits(
    tickets: psycopg.Connection, connect: Connect, follow: Follow
) -> None:
    tickets.execute("INSERT INTO tickets VALUES (1, 'start'), (2, 'other')")
    follower = follow()
    one, two = connect(autocommit=False), connect(autocommit=False)
    two.execute("UPDATE tickets SET slug = 'x' WHERE id = 2")  # begins first, commits last
    one.execute("UPDATE tickets SET slug = 'first' WHERE id = 1")
    one.commit()
    two.execute("UPDATE tickets SET slug = 'second' WHERE id = 1")
    two.commit()

    told = [row[3] for row in follower.rows() if row[2] == 1]
    assert [slug for slug in told if slug != "start"][-1] == "second"
    assert set(told[:2]) == {"start", "first"}


def test_more_than_a_hundred_rows_are_told_as_a_change_of_the_table(
    tickets: psycopg.Connection, follow: Follow
) -> None:
    follower = follow()
    tickets.execute("INSERT INTO tickets SELECT n, n::text FROM generate_series(1, 100) n")
    hundred = follower.rows()
    tickets.execute("INSERT INTO tickets SELECT n, n::text FROM generate_series(101, 201) n")
    more = follower.rows()
    tickets.execute("UPDATE tickets SET title = 'x' WHERE false")

    assert len(hundred) == 100
    assert more == [("tickets", "table")]
    assert follower.rows() == []


def test_copy_truncate_and_cascades_are_seen(tickets: psycopg.Connection, follow: Follow) -> None:
    tickets.execute(
        "CREATE TABLE notes (id int PRIMARY KEY,"
        " ticket int REFERENCES tickets ON DELETE CASCADE ON UPDATE CASCADE)"
    )
    follower = follow()
    with tickets.cursor() as cursor, cursor.copy("COPY tickets (id, slug) FROM STDIN") as copy:
        copy.write("1\ta\n2\tb\n")
    copied = follower.rows()
    tickets.execute("INSERT INTO notes VALUES (10, 1), (20, 2)")
    follower.rows()
    tickets.execute("UPDATE tickets SET id = 3 WHERE id = 2")
    tickets.execute("DELETE FROM tickets WHERE id = 1")
    cascaded = follower.rows()
    tickets.execute("TRUNCATE tickets CASCADE")

    assert copied == [("tickets", "insert", 1, "a"), ("tickets", "insert", 2, "b")]
    assert ("notes", "update", 20) in cascaded
    assert ("notes", "delete", 10) in cascaded
    assert {row[:2] for row in follower.rows()} == {("tickets", "table"), ("notes", "table")}


def test_upserts_merges_and_writing_queries_are_seen(
    tickets: psycopg.Connection, follow: Follow
) -> None:
    follower = follow()
    tickets.execute("INSERT INTO tickets VALUES (1, 'a')")
    tickets.execute("INSERT INTO tickets VALUES (1, 'b') ON CONFLICT (id) DO UPDATE SET slug = 'c'")
    tickets.execute(
        "WITH gone AS (DELETE FROM tickets RETURNING *)"
        " INSERT INTO tickets SELECT id + 1, slug || '!' FROM gone"
    )

    assert set(follower.rows()) == {
        ("tickets", "insert", 1, "a"), ("tickets", "update", 1, "a"), ("tickets", "update", 1, "c"),
        ("tickets", "delete", 1, "c"), ("tickets", "insert", 2, "c!"),
    }  # fmt: skip


def test_writers_under_replica_role_are_seen(tickets: psycopg.Connection, follow: Follow) -> None:
    follower = follow()
    tickets.execute("SET session_replication_role = replica")
    tickets.execute("INSERT INTO tickets VALUES (1, 'a')")

    assert follower.rows() == [("tickets", "insert", 1, "a")]


def test_a_writer_needs_no_right_on_the_log(
    tickets: psycopg.Connection, server: Postgres, follow: Follow
) -> None:
    follower = follow()
    tickets.execute("DROP ROLE IF EXISTS clerk")
    tickets.execute("CREATE ROLE clerk")
    tickets.execute("GRANT INSERT ON tickets TO clerk")
    tickets.execute("SET ROLE clerk")
    tickets.execute("INSERT INTO tickets VALUES (1, 'a')")
    tickets.execute("RESET ROLE")
    told = follower.rows()
    tickets.execute("DROP OWNED BY clerk; DROP ROLE clerk")

    assert ("tickets", "insert", 1, "a") in told


def test_partitions_and_parents_share_their_rows(
    tickets: psycopg.Connection, follow: Follow
) -> None:
    tickets.execute("CREATE TABLE logs (id int, PRIMARY KEY (id)) PARTITION BY RANGE (id)")
    tickets.execute("CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM (0) TO (10)")
    follower = follow()
    tickets.execute("INSERT INTO logs VALUES (1)")
    tickets.execute("INSERT INTO logs_1 VALUES (2)")
    found = follower.runner.run(follower.reader.audit())

    assert follower.rows() == [("logs", "insert", 1), ("logs_1", "insert", 2)]
    assert found.relatives == {"logs": ("logs_1",), "logs_1": ("logs",)}


def test_tables_outside_public_are_named_with_their_schema(
    tickets: psycopg.Connection, follow: Follow
) -> None:
    tickets.execute('CREATE SCHEMA "Shop"')
    tickets.execute('CREATE TABLE "Shop"."odd ""name" ("the id" uuid PRIMARY KEY)')
    follower = follow()
    tickets.execute(
        'INSERT INTO "Shop"."odd ""name" VALUES (%s)', ("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",)
    )

    [row] = follower.rows()
    assert row == ('Shop.odd "name', "insert", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")


def test_changes_of_tables_themselves_never_break_a_writer_and_are_told(
    tickets: psycopg.Connection, follow: Follow
) -> None:
    follower = follow()
    tickets.execute("INSERT INTO tickets VALUES (1, 'a')")
    tickets.execute("ALTER TABLE tickets ALTER id TYPE bigint")
    tickets.execute("INSERT INTO tickets VALUES (2, 'b')")
    tickets.execute("ALTER TABLE tickets RENAME slug TO handle")
    tickets.execute("INSERT INTO tickets VALUES (3, 'c')")
    tickets.execute("ALTER TABLE tickets RENAME TO issues")
    tickets.execute("INSERT INTO issues VALUES (4, 'd')")
    tickets.execute("ALTER TABLE issues DROP handle")
    tickets.execute("INSERT INTO issues VALUES (5)")
    told = follower.rows()
    tickets.execute("DROP TABLE issues")

    assert told[0] == ("tickets", "insert", 1, "a")
    assert ("tickets", "insert", 2, "b") in told
    assert told.count(("tickets", "table")) >= 3
    assert ("issues", "table") in told
    assert ("issues", "table") in follower.rows()


def test_pages_hold_every_change_once_in_order_while_others_write(
    tickets: psycopg.Connection, connect: Connect, follow: Follow
) -> None:
    follower = follow()
    held = connect(autocommit=False)
    held.execute("INSERT INTO tickets VALUES (1000, 'late')")
    for number in range(25):
        tickets.execute("INSERT INTO tickets VALUES (%s, %s)", (number, str(number)))
    at, found = follower.position, []
    for turn in range(6):
        batch = follower.runner.run(follower.reader.page(at, 10))
        at = batch.position
        found += [change.key["id"] for change in batch.changes]
        if turn == 0:
            held.commit()  # half-way through what was there when the page began

    assert found == [*range(25), 1000]


def test_every_writer_counts(tickets: object, follow: Follow, postgres_url: str) -> None:
    from sqlalchemy import create_engine, text

    follower = follow()
    engine = create_engine(postgres_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO tickets VALUES (1, 'sqlalchemy')"))
    engine.dispose()
    code = """
import sys
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict
where = conninfo_to_dict(sys.argv[1])
settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.postgresql",
    "NAME": where["dbname"], "USER": where["user"], "HOST": where["host"]}})
import django
django.setup()
from django.db import models
class Ticket(models.Model):
    slug = models.TextField()
    class Meta:
        app_label, db_table = "shop", "tickets"
Ticket.objects.bulk_create([Ticket(id=2, slug="django")])
Ticket.objects.filter(id=2).update(slug="updated")
"""
    subprocess.run([sys.executable, "-c", code, postgres_url], check=True)

    assert follower.rows() == [
        ("tickets", "insert", 1, "sqlalchemy"), ("tickets", "insert", 2, "django"),
        ("tickets", "update", 2, "django"), ("tickets", "update", 2, "updated"),
    ]  # fmt: skip


def test_ops_are_told_apart(tickets: psycopg.Connection, follow: Follow) -> None:
    follower = follow()
    tickets.execute("INSERT INTO tickets VALUES (1, 'a')")
    tickets.execute("UPDATE tickets SET title = 'x'")
    tickets.execute("DELETE FROM tickets")

    assert [Op(str(row[1])) for row in follower.rows()] == [Op.INSERT, Op.UPDATE, Op.DELETE]
