"""Statements of plain drivers, told to the watcher: sqlite3 and psycopg.

Place:  an app's own code, development -> [watching.drivers] -> watching.watch
Rule:   gives classes of the driver's own kind; where nobody watches, the driver's own.

    connection = sqlite3.connect(file, factory=drivers.sqlite(site.data))
    connection = psycopg.connect(url, cursor_factory=drivers.psycopg(site.data))
"""

from __future__ import annotations

import sqlite3
from typing import Any, Protocol

from mergepoint.data.watching import plans
from mergepoint.data.watching.record import Record, Seen
from mergepoint.data.watching.watch import EXPLAIN_S, REPEATED_MIN, seen


class Watched(Protocol):
    """`site.data`."""

    @property
    def record(self) -> Record | None:
        """Where it is kept what was seen."""
        ...


def sqlite(data: Watched) -> type[sqlite3.Connection]:
    """Return a class of connections whose statements are watched."""
    if data.record is None:
        return sqlite3.Connection
    record: Record = data.record

    class WatchedCursor(sqlite3.Cursor):
        def execute(self, sql: str, parameters: Any = (), /) -> WatchedCursor:
            began = record.clock.monotonic_s()
            super().execute(sql, parameters)
            took = record.clock.monotonic_s() - began
            plain = sqlite3.Cursor(self.connection)
            _noted(seen(record, "sqlite3", sql, took), "sqlite", plain, sql, parameters, took)
            return self

    class WatchedConnection(sqlite3.Connection):
        def cursor(self, factory: Any = WatchedCursor) -> Any:
            return super().cursor(factory)

        def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
            cursor: sqlite3.Cursor = self.cursor().execute(sql, parameters)
            return cursor

    return WatchedConnection


def psycopg(data: Watched) -> type[Any]:
    """Return a class of cursors whose statements are watched."""
    from psycopg import Cursor

    if data.record is None:
        return Cursor
    record: Record = data.record

    class WatchedCursor(Cursor[Any]):
        def execute(self, query: Any, params: Any = None, **how: Any) -> WatchedCursor:
            began = record.clock.monotonic_s()
            super().execute(query, params, **how)
            took = record.clock.monotonic_s() - began
            text = query if isinstance(query, str) else query_text(query, self)
            name = str(self.connection.info.dbname)
            plain = Cursor(self.connection)
            _noted(seen(record, name, text, took), "postgresql", plain, text, params, took)
            return self

    return WatchedCursor


def query_text(query: Any, cursor: Any) -> str:
    """Return a statement that is bytes or psycopg's `Composable` as text."""
    if isinstance(query, bytes):
        return query.decode()
    return str(query.as_string(cursor)) if hasattr(query, "as_string") else str(query)


def _noted(entry: Seen, kind: str, plain: Any, sql: str, parameters: Any, took: float) -> None:
    costly = took >= EXPLAIN_S or entry.repeated_max >= REPEATED_MIN
    try:
        if costly and not entry.hint and sql.lstrip().upper().startswith("SELECT"):
            entry.hint = plans.hint(kind, plain, sql, parameters) or "-"
    except Exception:  # a doorway: a hint that fails may not be the app's error
        entry.hint = "-"
    finally:
        plain.close()
