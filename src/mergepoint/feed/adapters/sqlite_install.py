"""Triggers of a SQLite file: made, looked at, removed; each in one transaction.

Place:  cli.feed, adapters.sqlite -> [adapters.sqlite_install] -> adapters.sqlite_triggers
Rule:   idempotent: a second install finds nothing to do and writes nothing.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

from mergepoint.feed.adapters.sqlite_tables import Table, quoted, tables_of
from mergepoint.feed.adapters.sqlite_triggers import LOG, PREFIX, STATE, schema, triggers
from mergepoint.feed.contract import Audit, Database, Fault, FeedLimits, Finding
from mergepoint.feed.errors import FeedRefused, FeedUnreachable

BUSY_S = 5.0
"""How long a command waits for somebody who writes."""


def install(database: Database, limits: FeedLimits) -> list[str]:
    """Make what is missing or stale; return the statements that were run, in order."""
    with _writing(database) as db:
        statements = planned(db, database, limits)
        for statement in statements:
            db.execute(statement)
        return statements


def plan(database: Database, limits: FeedLimits) -> list[str]:
    """Return the statements that `install` would run."""
    with contextlib.closing(connect(database)) as db:
        return planned(db, database, limits)


def remove(database: Database) -> list[str]:
    """Drop every trigger and table of the feed; return the statements that were run."""
    with _writing(database) as db:
        statements = removal(db)
        for statement in statements:
            db.execute(statement)
        return statements


def plan_removal(database: Database) -> list[str]:
    """Return the statements that `remove` would run."""
    with contextlib.closing(connect(database)) as db:
        return removal(db)


def look(database: Database) -> Audit:
    """Return which tables are logged, whether the feed is installed or not."""
    with contextlib.closing(connect(database)) as db:
        return audit(db, database)


def removal(db: sqlite3.Connection) -> list[str]:
    """Return the statements that remove the feed from a file."""
    there = _objects(db)
    dropped = [f"DROP TRIGGER {quoted(name)}" for name, (kind, _) in there.items() if kind]
    return dropped + [f"DROP TABLE {quoted(name)}" for name, (kind, _) in there.items() if not kind]


def planned(db: sqlite3.Connection, database: Database, limits: FeedLimits) -> list[str]:
    """Return what is to be run so that every wanted table has its triggers."""
    there = _objects(db)
    wanted = schema(limits.keep_rows_max)
    for table in tables_of(db, database):
        if not table.is_virtual:
            wanted |= triggers(table)
    statements = []
    if STATE in there and there.get(LOG, ("", ""))[1] != wanted[LOG]:
        statements += removal(db)  # made by another version: its rows cannot be continued
        there = {}
    for name, (is_trigger, sql) in there.items():
        if is_trigger and wanted.get(name) != sql:
            statements.append(f"DROP TRIGGER {quoted(name)}")
    statements += [sql for name, sql in wanted.items() if there.get(name, ("", ""))[1] != sql]
    if STATE not in there:
        at = statements.index(wanted[STATE]) + 1
        epoch = f"INSERT INTO {STATE} (one, epoch) VALUES (1, '{secrets.token_hex(8)}')"
        statements.insert(at, epoch)
    return statements


def audit(db: sqlite3.Connection, database: Database) -> Audit:
    """Return which tables are logged, and which are not."""
    there = _objects(db)
    logged: dict[str, tuple[str, ...]] = {}
    findings: list[Finding] = []
    for table in tables_of(db, database):
        fault = _fault(table, {name: sql for name, (_, sql) in there.items()})
        if fault is not None:
            findings.append(_finding(table, fault, database.name))
            continue
        logged[table.name] = table.key
        findings += [
            Finding(
                table.name, Fault.KEY, "declare it INTEGER or TEXT without COLLATE", detail=column
            )
            for column in table.unspelled
        ]
    return Audit(tables=logged, findings=tuple(findings))


def _fault(table: Table, there: dict[str, str]) -> Fault | None:
    if table.is_virtual:
        return Fault.VIRTUAL
    wanted = triggers(table)
    own = {name for name in there if name in wanted}
    if not own or STATE not in there:
        return Fault.MISSING
    return None if all(there.get(name) == sql for name, sql in wanted.items()) else Fault.STALE


def _finding(table: Table, fault: Fault, name: str) -> Finding:
    if fault is Fault.VIRTUAL:
        return Finding(table.name, fault, "add it to ignore if no page is made from it")
    return Finding(table.name, fault, f"mergepoint feed install {name}")


def _objects(db: sqlite3.Connection) -> dict[str, tuple[bool, str]]:
    """Return our own triggers (True) and tables by name, with their SQL."""
    rows = db.execute(
        "SELECT name, type = 'trigger', sql FROM main.sqlite_master"
        " WHERE type IN ('table', 'trigger') AND substr(name, 1, ?) = ?",
        (len(PREFIX), PREFIX),
    )
    return {name: (bool(is_trigger), sql) for name, is_trigger, sql in rows}


def path_of(database: Database) -> Path:
    """Return the file of a `sqlite:////absolute/path`. Raises `FeedRefused`."""
    path = unquote(database.url.removeprefix("sqlite://").partition("?")[0])
    path = path[1:] if path.startswith("//") else path
    if not path.startswith("/") or len(path) < 2:
        raise FeedRefused(
            f"database {database.name}: a feed needs a file by its absolute path",
            next="sqlite:////srv/site/app.db",
        )
    return Path(path)


def connect(database: Database, *, busy_s: float = BUSY_S) -> sqlite3.Connection:
    """Open the file, never make it. Raises `FeedUnreachable`."""
    path = path_of(database)
    try:
        db = sqlite3.connect(
            f"file:{quote(str(path))}?mode=rw", uri=True, timeout=busy_s, isolation_level=None,
            check_same_thread=False,
        )  # fmt: skip
        db.execute("SELECT 1 FROM main.sqlite_master").fetchone()
    except sqlite3.Error as error:
        raise FeedUnreachable(
            f"database {database.name}: {error} ({path})", next="does the file exist, and whose?"
        ) from None
    return db


@contextlib.contextmanager
def _writing(database: Database) -> Iterator[sqlite3.Connection]:
    db = connect(database)
    try:
        db.execute("BEGIN IMMEDIATE")
        yield db
        db.execute("COMMIT")
    except sqlite3.Error as error:
        raise FeedUnreachable(f"database {database.name}: {error}") from None
    finally:
        db.close()
