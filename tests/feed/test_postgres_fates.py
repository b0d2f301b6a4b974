"""The log of a PostgreSQL database: installed, audited, trimmed, crashed, restored, removed.

Place:  make test
Rule:   a real server; what happens to it is done to it, not pretended.
"""

from __future__ import annotations

import psycopg
import pytest
from mergepoint_testkit.feed_follower import LIMITS, Connect, Follow, Follower
from mergepoint_testkit.postgres import Postgres

from mergepoint.feed.adapters.postgres_install import install, look, plan, remove
from mergepoint.feed.contract import Database, Fault, FeedLimits, Position
from mergepoint.feed.errors import FeedNotInstalled, FeedUnreachable


def test_a_second_install_has_nothing_to_do(tickets: object, on_postgres: Database) -> None:
    assert install(on_postgres, LIMITS)

    assert plan(on_postgres, LIMITS) == install(on_postgres, LIMITS) == []


def test_a_prepared_transaction_is_shown_when_it_is_committed(
    server: Postgres, postgres_url: str, tickets: psycopg.Connection, follow: Follow
) -> None:
    follower = follow()
    [allowed] = tickets.execute("SHOW max_prepared_transactions").fetchone() or ("0",)
    if allowed == "0":
        tickets.execute("ALTER SYSTEM SET max_prepared_transactions = 4")
        tickets.close()
        server.stop()
        server.start()
    with psycopg.connect(postgres_url, autocommit=True) as db:
        with pytest.raises(FeedUnreachable):
            follower.read()  # its connection ended with the server
        follower.read()
        db.execute("BEGIN")
        db.execute("INSERT INTO tickets VALUES (1, 'prepared')")
        db.execute("PREPARE TRANSACTION 'one'")
        db.execute("INSERT INTO tickets VALUES (2, 'between')")
        between = follower.rows()
        db.execute("COMMIT PREPARED 'one'")

    assert between == [("tickets", "insert", 2, "between")]
    assert follower.rows() == [("tickets", "insert", 1, "prepared")]


def test_refreshing_a_materialised_view_is_seen_where_a_superuser_installed(
    tickets: psycopg.Connection, on_postgres: Database, follow: Follow
) -> None:
    tickets.execute("CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM tickets")
    follower = follow()
    tickets.execute("REFRESH MATERIALIZED VIEW counted")

    assert ("counted", "table") in follower.rows()
    assert look(on_postgres).findings == ()


def test_the_audit_names_each_table_without_live_triggers(
    tickets: psycopg.Connection, on_postgres: Database
) -> None:
    for name in ("disabled", "ordinary", "changed"):
        tickets.execute(f"CREATE TABLE {name} (id int PRIMARY KEY)")
    install(on_postgres, LIMITS)
    tickets.execute("DROP EVENT TRIGGER mergepoint_feed_ddl")
    tickets.execute("CREATE TABLE late (id int PRIMARY KEY)")
    tickets.execute("CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM tickets")
    tickets.execute("ALTER TABLE disabled DISABLE TRIGGER mergepoint_feed_update")
    tickets.execute("ALTER TABLE ordinary ENABLE TRIGGER mergepoint_feed_delete")
    tickets.execute("ALTER TABLE changed ADD other int, DROP id, ADD PRIMARY KEY (other)")
    found = look(on_postgres)

    assert {f.table: f.fault for f in found.findings} == {
        "late": Fault.MISSING, "counted": Fault.MATERIALIZED, "disabled": Fault.DISABLED,
        "ordinary": Fault.REPLICA, "changed": Fault.STALE, "*": Fault.DDL,
    }  # fmt: skip
    assert found.tables == {"tickets": ("id", "slug")}
    install(on_postgres, LIMITS)
    assert look(on_postgres).findings == ()


def test_a_table_that_lost_its_triggers_for_a_while_is_told_as_changed(
    tickets: psycopg.Connection, on_postgres: Database, follow: Follow
) -> None:
    follower = follow()
    follower.runner.run(follower.reader.audit())
    before = follower.rows()
    tickets.execute("DROP EVENT TRIGGER mergepoint_feed_ddl")
    tickets.execute("DROP EVENT TRIGGER mergepoint_feed_dropped")
    tickets.execute("DROP TRIGGER mergepoint_feed_update ON tickets")
    unseen = follower.rows()
    follower.runner.run(follower.reader.audit())

    assert before == unseen == []
    assert follower.rows() == [("tickets", "table")]


def test_a_partition_that_leaves_or_joins_changes_all_who_shared_its_rows(
    tickets: psycopg.Connection, on_postgres: Database, follow: Follow
) -> None:
    tickets.execute("CREATE TABLE logs (id int, PRIMARY KEY (id)) PARTITION BY RANGE (id)")
    tickets.execute("CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM (0) TO (10)")
    follower = follow()
    tickets.execute("DROP EVENT TRIGGER mergepoint_feed_ddl")
    tickets.execute("ALTER TABLE logs DETACH PARTITION logs_1")
    follower.runner.run(follower.reader.audit())
    left = follower.rows()
    follower.runner.run(follower.reader.audit())
    again = follower.rows()
    tickets.execute("ALTER TABLE logs ATTACH PARTITION logs_1 FOR VALUES FROM (0) TO (10)")
    follower.runner.run(follower.reader.audit())

    assert sorted(left) == [("logs", "table"), ("logs_1", "table")]
    assert again == []
    assert sorted(follower.rows()) == [("logs", "table"), ("logs_1", "table")]


def test_a_table_that_another_server_fills_is_named_by_the_audit(
    tickets: psycopg.Connection, on_postgres: Database
) -> None:
    install(on_postgres, LIMITS)
    tickets.execute("SET allow_system_table_mods = on")
    tickets.execute(
        "INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate)"
        " VALUES (1, 'tickets'::regclass, 'r')"
    )

    assert [f.fault for f in look(on_postgres).findings] == [Fault.SUBSCRIBED]
    assert look(on_postgres).tables == {}


def test_columns_that_compare_in_their_own_way_are_no_keys(
    tickets: psycopg.Connection, postgres_url: str
) -> None:
    tickets.execute("CREATE TABLE people (id int PRIMARY KEY, born date, rate numeric, mail text)")
    keys = {"people": ("born", "rate", "mail", "missing")}
    on_postgres = Database("main", postgres_url, tables=("people",), keys=keys)
    install(on_postgres, LIMITS)
    found = look(on_postgres)

    assert found.tables == {"people": ("id", "mail")}
    assert [(f.fault, f.detail) for f in found.findings] == [
        (Fault.KEY, "born"), (Fault.KEY, "rate"), (Fault.KEY, "missing")
    ]  # fmt: skip


def test_a_reader_behind_the_trim_is_told_so_and_one_that_is_not_goes_on(
    tickets: psycopg.Connection, follow: Follow
) -> None:
    limits = FeedLimits(keep_rows_max=5, read_s=20.0)
    slow, quick = follow(limits), follow(limits)
    for number in range(20):
        tickets.execute("INSERT INTO tickets VALUES (%s, %s)", (number, str(number)))
    quick.rows()
    removed = quick.runner.run(quick.reader.trim())
    tickets.execute("INSERT INTO tickets VALUES (99, 'on')")

    assert removed >= 14
    assert slow.read().gap
    assert quick.rows() == [*slow.rows(), ("tickets", "insert", 99, "on")]


def test_a_transaction_that_is_open_during_a_trim_is_not_lost(
    tickets: psycopg.Connection, connect: Connect, follow: Follow
) -> None:
    limits = FeedLimits(keep_rows_max=1, read_s=20.0)
    follower = follow(limits)
    held = connect(autocommit=False)
    held.execute("INSERT INTO tickets VALUES (0, 'held')")
    for number in range(1, 10):
        tickets.execute("INSERT INTO tickets VALUES (%s, %s)", (number, str(number)))
    follower.rows()
    follower.runner.run(follower.reader.trim())
    held.commit()

    assert follower.rows() == [("tickets", "insert", 0, "held")]


def test_a_terminated_back_end_costs_one_error_and_no_change(
    tickets: psycopg.Connection, follow: Follow
) -> None:
    follower = follow()
    tickets.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name LIKE 'mergepoint feed%' AND datname = current_database()"
    )
    tickets.execute("INSERT INTO tickets VALUES (1, 'a')")
    with pytest.raises(FeedUnreachable):
        follower.read()

    assert follower.rows() == [("tickets", "insert", 1, "a")]


def test_a_crash_empties_the_log_and_begins_a_new_epoch(
    tickets: psycopg.Connection, server: Postgres, postgres_url: str, follow: Follow
) -> None:
    follower = follow()
    tickets.execute("INSERT INTO tickets VALUES (1, 'a')")
    follower.rows()
    before = follower.position
    tickets.execute("INSERT INTO tickets VALUES (2, 'b')")
    tickets.close()
    server.stop()
    server.start()
    with pytest.raises(FeedUnreachable):
        follower.read()
    batch = follower.read()
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute("INSERT INTO tickets VALUES (3, 'c')")

    assert before is not None
    assert batch.gap
    assert batch.position.epoch != before.epoch
    assert follower.rows() == [("tickets", "insert", 3, "c")]


def test_a_copy_in_the_place_of_a_database_is_a_gap(
    tickets: psycopg.Connection, server: Postgres, postgres_url: str, follow: Follow
) -> None:
    follower = follow()
    tickets.execute("INSERT INTO tickets VALUES (1, 'a')")
    follower.rows()
    [name] = tickets.execute("SELECT current_database()").fetchone() or ("",)
    tickets.close()
    with psycopg.connect(server.url(), autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
        )
        other.execute(f"ALTER DATABASE {name} RENAME TO {name}_before")
        other.execute(f"CREATE DATABASE {name} TEMPLATE {name}_before")
    with pytest.raises(FeedUnreachable):
        follower.read()

    assert follower.read().gap


def test_a_cursor_of_a_later_state_is_a_gap(tickets: object, follow: Follow) -> None:
    follower = follow()
    assert follower.position is not None
    later = Position(follower.position.epoch, "900000000:900000000:")
    follower.position = later

    assert follower.read().gap


@pytest.mark.parametrize("cursor", ["", "x", "1:2", "1:2:3'; DROP TABLE tickets", "1:1:/2:2:/x"])
def test_a_cursor_that_is_none_is_a_gap(tickets: object, follow: Follow, cursor: str) -> None:
    follower = follow()
    assert follower.position is not None
    epoch = follower.position.epoch
    follower.position = Position(epoch, cursor)
    page = follower.runner.run(follower.reader.page(Position(epoch, cursor), 10))

    assert page.gap
    assert follower.read().gap


def test_a_database_without_a_log_says_how_to_get_one(
    tickets: object, on_postgres: Database
) -> None:
    with pytest.raises(FeedNotInstalled) as refused:
        Follower(on_postgres)

    assert refused.value.next == "mergepoint feed install main"


def test_removing_leaves_nothing_behind(tickets: psycopg.Connection, on_postgres: Database) -> None:
    install(on_postgres, LIMITS)
    remove(on_postgres)
    left = tickets.execute(
        "SELECT (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'mergepoint%')"
        " + (SELECT count(*) FROM pg_event_trigger) + (SELECT count(*) FROM pg_namespace"
        " WHERE nspname = 'mergepoint_feed')"
    ).fetchone()

    assert left == (0,)
    assert remove(on_postgres) == []


def test_installing_without_a_superuser_works_and_says_what_is_not_seen(
    tickets: psycopg.Connection, server: Postgres, postgres_url: str
) -> None:
    tickets.execute("DROP ROLE IF EXISTS owner_only")
    tickets.execute("CREATE ROLE owner_only LOGIN")
    [name] = tickets.execute("SELECT current_database()").fetchone() or ("",)
    tickets.execute(f"GRANT CREATE ON DATABASE {name} TO owner_only")
    tickets.execute("ALTER TABLE tickets OWNER TO owner_only")
    url = postgres_url.replace(f"//{server.owner}@", "//owner_only@")
    on_postgres = Database("main", url)
    install(on_postgres, LIMITS)
    follower = Follower(on_postgres)
    tickets.execute("INSERT INTO tickets VALUES (1, 'a')")
    rows = follower.rows()
    found = follower.runner.run(follower.reader.audit())
    follower.close()
    remove(on_postgres)
    tickets.execute("REASSIGN OWNED BY owner_only TO CURRENT_USER; DROP OWNED BY owner_only")
    tickets.execute("DROP ROLE owner_only")

    assert rows == [("tickets", "insert", 1)]
    assert [f.fault for f in found.findings] == [Fault.DDL]
