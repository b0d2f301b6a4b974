"""What an app reads with `sqlite3`, whatever stands between them: SQLAlchemy, Django, nothing.

Place:  cache.hooks -> [cache.sqlite] -> sqlite3's own connections, watched
Rule:   SQLite's authorizer says which tables a statement reads, views and subqueries included.

It is asked when a statement is prepared, and connections keep prepared statements, so what it said
is kept by the text of the statement. https://sqlite.org/c3ref/set_authorizer.html
"""

from __future__ import annotations

import contextvars
import re
import sqlite3
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from mergepoint.cache import reads as reading
from mergepoint.cache.moments import is_of_the_moment, tells_the_time
from mergepoint.cache.pins import pinned
from mergepoint.cache.reads import Reads
from mergepoint.cache.sources import Source, Sources
from mergepoint.core.clock import SystemClock
from mergepoint.feed.tags import table_tag, value_tag

KNOWN_MAX = 2048
"""Statements of one connection whose tables are kept; more begin anew."""
OWN = "mergepoint_"
WRITES = frozenset((sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE))
BRACKETS = frozenset((sqlite3.SQLITE_TRANSACTION, 32))
"""Asked before statements that Python puts a BEGIN in front of; 32 is SQLITE_SAVEPOINT."""
HARMLESS = frozenset((sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE, sqlite3.SQLITE_FUNCTION))
BRACKET = re.compile(r"\s*(begin|commit|end|rollback|savepoint|release)\b", re.IGNORECASE)
SETTINGS = frozenset(
    ("analysis_limit", "automatic_index", "busy_timeout", "cache_size", "cache_spill",
     "case_sensitive_like", "cell_size_check", "checkpoint_fullfsync", "defer_foreign_keys",
     "encoding", "foreign_keys", "fullfsync", "ignore_check_constraints", "journal_mode",
     "journal_size_limit", "legacy_alter_table", "locking_mode", "mmap_size", "optimize",
     "query_only", "read_uncommitted", "recursive_triggers", "reverse_unordered_selects",
     "secure_delete", "synchronous", "temp_store", "threads", "trusted_schema",
     "wal_autocheckpoint", "writable_schema")
)  # fmt: skip
"""PRAGMAs that say how a connection works, and nothing of what is in the database."""
ATTACHING = frozenset((sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH))
ATTACHED = "a database was attached or detached"
Asked = tuple[int, Any, Any, Any, Any]
Authorizer = Callable[[int, Any, Any, Any, Any], int]


class Known(NamedTuple):
    """What a statement reads: pairs of schema and table; and what else spoils its reader."""

    tables: frozenset[tuple[str | None, str]]
    writes: frozenset[tuple[str, str]]
    fault: str = ""


class Watch:
    """What one connection has been asked, and which sources its schemas are."""

    def __init__(self, connection: sqlite3.Connection, sources: Sources) -> None:
        self._connection = connection
        self._sources = sources
        self._clock = SystemClock()
        self._schemas: dict[str, Source | None] | None = None
        self._known: dict[str, Known] = {}
        self._heard: list[Asked] | None = None
        self._lock = threading.RLock()
        self.theirs: Authorizer | None = None
        sqlite3.Connection.set_authorizer(connection, self._asked)

    def _asked(self, action: int, one: Any, two: Any, schema: Any, within: Any) -> int:
        if self._heard is not None and action not in BRACKETS:
            self._heard.append((action, one, two, schema, within))
        elif self._heard is None and action == sqlite3.SQLITE_READ and one != "sqlite_master":
            reading.go_blind("a cursor that was made past its connection reads a database")
        if self.theirs is None:
            return sqlite3.SQLITE_OK
        return self.theirs(action, one, two, schema, within)

    def run(self, call: Callable[..., Any], sql: str, rest: tuple[Any, ...]) -> Any:
        """Run a statement, and tell the request around it what it reads."""
        with self._lock:
            outer, self._heard = self._heard, []
            try:
                return call(sql, *rest)
            finally:
                known = self._learned(sql, self._heard)
                reads = reading.collecting()
                if reads is not None:
                    self._tell(reads, sql, rest[0] if rest else (), known)
                self._heard = outer

    def _learned(self, sql: str, asked: list[Asked]) -> Known:
        if asked:
            known = heard(asked)
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[sql] = known
            if known.fault == ATTACHED:
                self._schemas = None
        elif sql not in self._known:
            fault = "" if BRACKET.match(sql) else f"it is not known what this reads: {sql[:80]}"
            return Known(frozenset(), frozenset(), fault)
        return self._known[sql]

    def _tell(self, reads: Reads, sql: str, parameters: Any, known: Known) -> None:
        if known.fault:
            reads.spoil(known.fault)
        if known.tables and (
            tells_the_time(sql) or is_of_the_moment(parameters, self._clock.unix_s())
        ):
            reads.spoil(f"it depends on when it is asked: {sql[:80]}")
        for schema, table in known.writes:
            source = self._source(schema)
            if source is None or table not in source.ignore:
                reads.spoil(f"a request that only asks wrote to {table}")
        for tag, reason in self._tags(sql, parameters, known):
            if reason:
                reads.spoil(reason)
            else:
                reads.add(tag)

    def _tags(self, sql: str, parameters: Any, known: Known) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        names = {table for _, table in known.tables}
        pin = pinned(sql, parameters) if len(names) == 1 else None
        for schema, table in known.tables:
            source = self._source(schema)
            if source is None:
                found.append(("", f"the database of {table} is none of the site's"))
            elif table not in source.ignore:
                tags = [table_tag(source.name, table)]
                if pin is not None and pin[0].lower() == table.lower():
                    values = [value_tag(source.name, table, pin[1], value) for value in pin[2]]
                    tags = [tag for tag in values if tag] if all(values) else tags
                found += [(tag, "") for tag in tags]
        return found

    def _source(self, schema: str | None) -> Source | None:
        if self._schemas is None:
            plain = sqlite3.Cursor(self._connection)
            listed = sqlite3.Cursor.execute(plain, "PRAGMA database_list").fetchall()
            self._schemas = {name: self._sources.of_file(file or "") for _, name, file in listed}
        if schema is None:  # so it is said of a table of which no column is read
            schema = "main" if len(self._schemas) == 1 else ""
        return self._schemas.get(schema)


def heard(asked: list[Asked]) -> Known:
    """Return what a statement reads and writes by what SQLite asked about it. Pure."""
    views = {within for *_, within in asked if within}
    tables: set[tuple[str | None, str]] = set()
    writes: set[tuple[str, str]] = set()
    fault = ""
    for action, one, _two, schema, _within in asked:
        if action == sqlite3.SQLITE_READ and one not in views:
            if str(one).startswith("sqlite_") and one != "sqlite_sequence":
                fault = fault or "the schema of a database was read"
            elif not str(one).startswith(OWN):
                tables.add((schema, one))
        elif action in WRITES:
            if not str(one).startswith((OWN, "sqlite_")):
                writes.add((schema, one))
        elif action in ATTACHING:
            fault = ATTACHED
        elif action == sqlite3.SQLITE_PRAGMA:
            if one not in SETTINGS:
                fault = fault or f"PRAGMA {one} was read"
        elif action not in HARMLESS and action != sqlite3.SQLITE_READ:
            fault = fault or "a table was changed by a request that only asks"
    return Known(frozenset(tables), frozenset(writes), fault)


def watch(sources: Sources) -> None:
    """Let every connection that is opened from now on be watched."""
    original = sqlite3.connect

    def connect(*values: Any, **named: Any) -> Any:
        position = 5
        values_list = list(values)
        if len(values_list) > position:
            values_list[position] = connections(values_list[position], sources)
        else:
            named["factory"] = connections(named.get("factory", sqlite3.Connection), sources)
        return original(*values_list, **named)

    connect.__doc__ = original.__doc__
    sqlite3.connect = connect
    sqlite3.dbapi2.connect = connect


def watch_async(module: Any) -> None:
    """Let aiosqlite's thread work in the context of whoever asked it."""
    original = module.Connection._execute

    async def execute(self: Any, call: Any, *values: Any, **named: Any) -> Any:
        context = contextvars.copy_context()
        return await original(self, lambda *v, **n: context.run(call, *v, **n), *values, **named)

    module.Connection._execute = execute


def connections(base: type[Any], sources: Sources) -> type[Any]:
    """Return a connection class like `base` whose cursors are watched."""

    class Watched(base):  # type: ignore[misc]
        def __init__(self, *values: Any, **named: Any) -> None:
            super().__init__(*values, **named)
            self._mergepoint_watch = Watch(self, sources)

        def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
            return super().cursor(cursors(factory))

        # Python's own make a cursor past `cursor`.
        def execute(self, sql: str, *rest: Any) -> Any:
            return self.cursor().execute(sql, *rest)

        def executemany(self, sql: str, *rest: Any) -> Any:
            return self.cursor().executemany(sql, *rest)

        def executescript(self, sql: str) -> Any:
            return self.cursor().executescript(sql)

        def set_authorizer(self, callback: Authorizer | None) -> None:
            self._mergepoint_watch.theirs = callback

        def blobopen(self, *values: Any, **named: Any) -> Any:
            reading.spoil("a blob was opened by itself")
            return super().blobopen(*values, **named)

    Watched.__name__, Watched.__qualname__ = base.__name__, base.__qualname__
    return Watched


_cursors: dict[Any, Any] = {}


def cursors(base: Any) -> Any:
    """Return a cursor class like `base` whose statements are watched."""
    if not isinstance(base, type):
        return base
    if base not in _cursors:

        class Watched(base):  # type: ignore[misc]
            def execute(self, sql: str, *rest: Any) -> Any:
                return self.connection._mergepoint_watch.run(super().execute, sql, rest)

            def executemany(self, sql: str, *rest: Any) -> Any:
                # Each of many may pin other rows: the table stands for all.
                whole = self.connection._mergepoint_watch
                return whole.run(lambda sql: super(Watched, self).executemany(sql, *rest), sql, ())

            def executescript(self, sql: str) -> Any:
                return self.connection._mergepoint_watch.run(super().executescript, sql, ())

        Watched.__name__, Watched.__qualname__ = base.__name__, base.__qualname__
        _cursors[base] = Watched
    return _cursors[base]
