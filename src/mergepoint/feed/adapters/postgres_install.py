"""Triggers of a PostgreSQL database: made, looked at, removed; each in one transaction.

Place:  cli.feed, adapters.postgres -> [adapters.postgres_install] -> adapters.postgres_triggers
Rule:   idempotent: a second install finds nothing to do and writes nothing. A table whose triggers
        are made or found to be others is logged as changed: what came before may not have been.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from mergepoint.feed.adapters.postgres_tables import (
    EVENT_TRIGGERS,
    EVENTS,
    MARK,
    PARENTS,
    SCHEMA,
    TABLES,
    Table,
    relatives_from,
    tables_from,
)
from mergepoint.feed.adapters.postgres_triggers import (
    BASE,
    DDL,
    DROPPED,
    REMOVED,
    digest_of,
    event_triggers,
    name_of,
    triggers,
)
from mergepoint.feed.contract import Audit, Database, Fault, FeedLimits, Finding
from mergepoint.feed.errors import FeedRefused, FeedUnreachable

CONNECT_S = 5
LOCK_S = 5
"""How long a command waits for a table that others use, before it leaves everything as it is."""
VERSION_MIN = 130000

Connection = psycopg.Connection[TupleRow]
Rows = Sequence[Sequence[Any]]  # Any: columns of the catalogue


def install(database: Database, limits: FeedLimits) -> list[str]:
    """Make what is missing or stale; return the statements that were run, in order."""
    with _working(database) as db:
        statements = _planned(db, database, limits)
        for statement in statements:
            db.execute(statement.encode())
        return statements


def plan(database: Database, limits: FeedLimits) -> list[str]:
    """Return the statements that `install` would run."""
    with _working(database) as db:
        return _planned(db, database, limits)


def remove(database: Database) -> list[str]:
    """Drop every trigger and table of the feed; return the statements that were run."""
    with _working(database) as db:
        statements = removal(db)
        for statement in statements:
            db.execute(statement.encode())
        return statements


def plan_removal(database: Database) -> list[str]:
    """Return the statements that `remove` would run."""
    with _working(database) as db:
        return removal(db)


def look(database: Database) -> Audit:
    """Return which tables are logged, whether the feed is installed or not."""
    with _working(database) as db:
        tables, parents, events = (
            db.execute(sql.encode()).fetchall() for sql in (TABLES, PARENTS, EVENT_TRIGGERS)
        )
        return audit_from(tables, parents, events, database)


def removal(db: Connection) -> list[str]:
    """Return the statements that remove the feed; event triggers only where there are some."""
    if not _there(db):
        return []
    has_events = bool(db.execute(EVENT_TRIGGERS.encode()).fetchall())
    return [one for one in REMOVED if has_events or "EVENT" not in one]


def _planned(db: Connection, database: Database, limits: FeedLimits) -> list[str]:
    del limits  # its bounds are kept by who reads the log
    _check_version(db)
    statements: list[str] = []
    marks: dict[str, str] = {}
    if _there(db):
        marks = dict(db.execute(f"SELECT name, mark FROM {SCHEMA}.logged".encode()).fetchall())
        if not db.execute(f"SELECT FROM {SCHEMA}.state".encode()).fetchall():
            statements.append(first_epoch())
    else:
        statements += [*BASE, first_epoch()]
    for table in tables_from(db.execute(TABLES.encode()).fetchall(), database):
        if table.takes_triggers and fault_of(table, has_events=False) is not None:
            statements += [*triggers(table), changed(table.name)]
        elif table.takes_triggers and marks.get(table.name) != table.mark:
            statements.append(changed(table.name))
    if statements:
        statements.append(marked())
    if not events_live(db.execute(EVENT_TRIGGERS.encode()).fetchall()) and _is_superuser(db):
        statements += event_triggers()
    return statements


def first_epoch() -> str:
    """Return the statement that begins an epoch where there is none."""
    return (
        f"INSERT INTO {SCHEMA}.state (epoch) VALUES ('{secrets.token_hex(8)}')"
        " ON CONFLICT DO NOTHING"
    )


def changed(name: str) -> str:
    """Return the statement that logs a change of a whole table."""
    text = name.replace("'", "''")
    return f"INSERT INTO {SCHEMA}.log (name, op) VALUES ('{text}', 'table')"


def marked() -> str:
    """Return the statement that notes which triggers are the ones that are known."""
    return (
        f"WITH now AS (SELECT CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END"
        f" || c.relname AS name, {MARK} AS mark FROM pg_class c"
        f" JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid IN"
        f" (SELECT tgrelid FROM pg_trigger WHERE tgname LIKE '{SCHEMA}\\_%')),"
        f" gone AS (DELETE FROM {SCHEMA}.logged WHERE name NOT IN (SELECT name FROM now))"
        f" INSERT INTO {SCHEMA}.logged (name, mark) SELECT name, mark FROM now"
        f" ON CONFLICT (name) DO UPDATE SET mark = excluded.mark"
    )


def audit_from(tables: Rows, parents: Rows, events: Rows, database: Database) -> Audit:
    """Return which tables are logged, from the rows of the catalogue."""
    found = tables_from(tables, database)
    has_events = events_live(events)
    related = relatives_from(parents, [table for table in found if table.takes_triggers])
    subscribed = {table.name for table in found if table.subscribed}
    subscribed |= {other for name in subscribed for other in related.get(name, ())}
    logged: dict[str, tuple[str, ...]] = {}
    findings: list[Finding] = []
    for table in found:
        fault = fault_of(table, has_events=has_events)
        if table.name in subscribed:
            fault = Fault.SUBSCRIBED
        if fault is not None:
            findings.append(_finding(table, fault, database.name))
            continue
        logged[table.name] = tuple(table.key)
        findings += [
            Finding(table.name, Fault.KEY, "name a column of integers, texts or UUIDs",
                    detail=column)
            for column in table.unspelled
        ]  # fmt: skip
    if not has_events and found:
        next = f"as superuser: mergepoint feed install {database.name}"  # noqa: A001
        findings.append(Finding("*", Fault.DDL, next))
    return Audit(logged, tuple(findings), related)


def marks_from(tables: Rows, database: Database) -> dict[str, str]:
    """Return the marks of the tables that have triggers of ours."""
    return {t.name: t.mark for t in tables_from(tables, database) if t.triggers}


def fault_of(table: Table, *, has_events: bool) -> Fault | None:
    """Return why changes of a table are not logged, None when they are."""
    if table.kind == "f":
        return Fault.FOREIGN
    if table.kind == "m":
        return None if has_events else Fault.MATERIALIZED
    found = [table.triggers.get(name_of(event)) for event in EVENTS]
    if not any(found):
        return Fault.MISSING
    if any(one is None or one[2] != digest_of(table) for one in found):
        return Fault.STALE
    enabled = {one[0] for one in found if one is not None}
    if "D" in enabled or "R" in enabled:
        return Fault.DISABLED
    return None if enabled == {"A"} else Fault.REPLICA


def events_live(rows: Rows) -> bool:
    """Tell whether changes of tables themselves are logged."""
    return {name for name, enabled in rows if enabled == "A"} >= {DDL, DROPPED}


def _finding(table: Table, fault: Fault, name: str) -> Finding:
    todo = {
        Fault.FOREIGN: "add it to ignore if no page is made from it",
        Fault.SUBSCRIBED: "follow the database it comes from",
        Fault.MATERIALIZED: f"as superuser: mergepoint feed install {name}",
    }
    return Finding(table.name, fault, todo.get(fault, f"mergepoint feed install {name}"))


def _there(db: Connection) -> bool:
    row = db.execute(f"SELECT to_regclass('{SCHEMA}.log')".encode()).fetchone()
    return bool(row and row[0])


def _is_superuser(db: Connection) -> bool:
    row = db.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    return bool(row and row[0])


def _check_version(db: Connection) -> None:
    if db.info.server_version < VERSION_MIN:
        version = db.info.server_version // 10000
        raise FeedRefused(
            f"PostgreSQL {version} has no snapshots of 64-bit transaction numbers; 13 is needed"
        )


@contextmanager
def _working(database: Database) -> Iterator[Connection]:
    """Give a connection in one transaction. Raises `FeedUnreachable`, `FeedRefused`."""
    try:
        with psycopg.connect(
            database.url, connect_timeout=CONNECT_S, options=f"-c lock_timeout={LOCK_S}s"
        ) as db:
            yield db
    except psycopg.errors.InsufficientPrivilege as error:
        raise FeedRefused(
            f"database {database.name}: {error.diag.message_primary}",
            next="let the owner of the tables run it, or print it: mergepoint feed install --sql",
        ) from None
    except psycopg.Error as error:
        raise FeedUnreachable(f"database {database.name}: {said(error)}") from None


def said(error: psycopg.Error) -> str:
    """Return what the server said, in one line; never the address, which may hold a password."""
    text = error.diag.message_primary or str(error)
    return " ".join(text.split())[:300]
