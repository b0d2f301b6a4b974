"""Asking the database what it thinks of a statement: whether it is sound, and what it reads.

Place:  methods.library, cli -> [methods.check] -> sqlalchemy
Rule:   runs nothing but EXPLAIN, in a transaction that is rolled back.

SQLite tells of tables while it prepares a statement (sqlite.org/c3ref/set_authorizer.html).
PostgreSQL holds a lock on each until the transaction ends (its manual, "Explicit Locking"): views
and what they are made of. What a function of the app's own reads is not seen, so a statement that
names one has tables that cannot be known.
"""

from __future__ import annotations

import re
import sqlite3
from typing import Any

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.exc import DBAPIError

from mergepoint.data.engines import Engines
from mergepoint.data.failures import words
from mergepoint.data.methods.contract import Method
from mergepoint.data.methods.statement import statement

SQLITE_READ, SQLITE_INSERT, SQLITE_UPDATE, SQLITE_DELETE = 20, 18, 23, 9
_OWN_LOCKS = text("""
    SELECT n.nspname, c.relname, c.relkind,
           CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) END
      FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
                      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation'
       AND n.nspname NOT IN ('pg_catalog', 'information_schema')
       AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
""")
_OWN_FUNCTIONS = text("""
    SELECT DISTINCT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
     WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
""")


def mistake(engines: Engines, method: Method) -> str:
    """Return why the database refuses the statement; empty when it takes it, or is not there."""
    if not method.scanned.explainable:
        return ""
    try:
        with engines.blocking().connect() as connection:
            _explain(connection, method, engines.kind)
    except DBAPIError as error:
        if error.orig is None or _is_away(error):
            return ""
        return words(error.orig)
    return ""


def tables(engines: Engines, method: Method) -> frozenset[str] | None:
    """Return the tables of the statement, views resolved; None when they cannot be known."""
    if not method.scanned.explainable:
        return None
    with engines.blocking().connect() as connection:
        if engines.kind == "sqlite":
            return _of_sqlite(connection, method)
        return _of_postgresql(connection, method)


def _is_away(error: DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    name = getattr(error.orig, "sqlite_errorname", "")
    return error.connection_invalidated or (not state and name != "SQLITE_ERROR")


def _explain(connection: Connection, method: Method, kind: str) -> None:
    made = statement(method, kind)
    explained = text(f"EXPLAIN {made.text}")
    lists = [one.name for one in method.parameters if one.is_list]
    if lists:
        explained = explained.bindparams(*(bindparam(name, expanding=True) for name in lists))
    values: dict[str, Any] = {one.name: [] if one.is_list else None for one in method.parameters}
    connection.execute(explained, values).close()


def _of_sqlite(connection: Connection, method: Method) -> frozenset[str]:
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)  # noqa: S101 - the engine's own driver
    found: set[str] = set()

    def authorize(action: int, table: str | None, *_: Any) -> int:
        if action in (SQLITE_READ, SQLITE_INSERT, SQLITE_UPDATE, SQLITE_DELETE) and table:
            found.add(table)
        return sqlite3.SQLITE_OK

    connection.begin()
    raw.set_authorizer(authorize)
    try:
        _explain(connection, method, "sqlite")
    finally:
        raw.set_authorizer(None)
        connection.rollback()
    return frozenset(name for name in found if not name.startswith("sqlite_"))


def _of_postgresql(connection: Connection, method: Method) -> frozenset[str] | None:
    with connection.begin() as transaction:
        _explain(connection, method, "postgresql")
        locked = list(connection.execute(_OWN_LOCKS))
        functions = [name for (name,) in connection.execute(_OWN_FUNCTIONS)]
        transaction.rollback()
    looked = [method.scanned.text, *(str(definition) for *_, definition in locked if definition)]
    named = [name for name in functions if any(_calls(name, sql) for sql in looked)]
    if named:
        return None
    return frozenset(
        name if schema == "public" else f"{schema}.{name}"
        for schema, name, kind, _ in locked
        if kind != "v"
    )


def _calls(function: str, sql: str) -> bool:
    return re.search(rf"\b{re.escape(function)}\"?\s*\(", sql, re.IGNORECASE) is not None
