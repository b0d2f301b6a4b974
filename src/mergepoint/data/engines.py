"""One engine and one pool for each database: blocking, and one for each event loop.

Place:  data.site -> [data.engines] -> sqlalchemy, data.pool
Rule:   connects to nothing before the first use; every wait has a bound; values are not logged.

A write transaction on SQLite begins IMMEDIATE: it waits for the lock at its beginning, where
waiting helps, instead of failing at its first write because another one wrote meanwhile. A lazy one
(a GET, which mostly reads) takes the lock when it writes, and may be told that it is busy.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from mergepoint.data import units
from mergepoint.data.config import Bounds, Database
from mergepoint.data.errors import DataRefused, ReadOnly
from mergepoint.data.failures import meaning
from mergepoint.data.pool import AsyncBoundedPool, BoundedPool

MODE = "mergepoint_mode"
"""Execution option: how a transaction begins."""
WRITE, LAZY, READ, REPEATABLE = "write", "lazy", "read", "repeatable"
DRIVERS = {"sqlite": ("pysqlite", "aiosqlite"), "postgresql": ("psycopg", "psycopg")}
_ON_POSTGRESQL: dict[str, dict[str, Any]] = {
    WRITE: {},
    LAZY: {},
    READ: {"postgresql_readonly": True},
    REPEATABLE: {"postgresql_readonly": True, "isolation_level": "REPEATABLE READ"},
}
Watch = Callable[[Engine], None]


def parse_url(text: str) -> URL:
    """Return a database's address, a SQLite file as an absolute path; raise `DataRefused`."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise DataRefused("the database's address cannot be read") from None
    kind = url.get_backend_name().replace("postgres", "postgresql").replace("sqlql", "sql")
    if kind not in DRIVERS:
        raise DataRefused(f"{kind} is none of {', '.join(DRIVERS)}")
    url = url.set(drivername=kind)
    if kind == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise DataRefused(
                "every connection to :memory: has a database of its own; name a file",
                next="sqlite:////srv/app.db",
            )
        if not str(url.database).startswith("file:"):
            url = url.set(database=str(Path(str(url.database)).absolute()))
    return url


class Engines:
    """The engines of one database in this process."""

    def __init__(self, database: Database, watches: tuple[Watch, ...] = ()) -> None:
        self.database = database
        self.url = parse_url(database.url)
        self.kind = self.url.get_backend_name()
        self._watches = watches
        self._lock = threading.Lock()
        self._blocking: Engine | None = None
        self._of_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncEngine] = (
            weakref.WeakKeyDictionary()
        )
        _forget_after_fork(self)

    def blocking(self, mode: str = WRITE) -> Engine:
        """Return the engine for blocking code; the modes of one share its pool."""
        with self._lock:
            if self._blocking is None:
                self._blocking = self._made(create_engine, 0, BoundedPool)
                self._watch(self._blocking)
            engine = self._blocking
        return engine.execution_options(**self._options(mode)) if mode != WRITE else engine

    def of_loop(self, mode: str = WRITE) -> AsyncEngine:
        """Return the engine of the running event loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            engine = self._of_loops.get(loop)
            if engine is None:
                engine = self._made(create_async_engine, 1, AsyncBoundedPool)
                self._of_loops[loop] = engine
                self._watch(engine.sync_engine)
        return engine.execution_options(**self._options(mode)) if mode != WRITE else engine

    def close(self) -> None:
        """Close what blocking code has open; a second call does nothing."""
        with self._lock:
            engine, self._blocking = self._blocking, None
        if engine is not None:
            engine.dispose()

    async def aclose(self) -> None:
        """Close what the running event loop has open."""
        with self._lock:
            engine = self._of_loops.pop(asyncio.get_running_loop(), None)
        if engine is not None:
            await engine.dispose()

    def forget(self) -> None:
        """Begin anew in a forked child, leaving the parent's connections alone."""
        self._lock = threading.Lock()
        if self._blocking is not None:
            self._blocking.dispose(close=False)
        self._of_loops = weakref.WeakKeyDictionary()

    def _options(self, mode: str) -> dict[str, Any]:
        own = _ON_POSTGRESQL[mode] if self.kind == "postgresql" else {}
        return {MODE: mode, **own}

    def _made(self, create: Any, which: int, pool: type) -> Any:  # Any: two kinds of engines
        bounds = self.database.bounds
        url = self.url.set(drivername=f"{self.kind}+{DRIVERS[self.kind][which]}")
        try:
            return create(
                url,
                poolclass=pool,
                pool_size=bounds.connections_max,
                max_overflow=0,
                pool_timeout=bounds.connection_wait_s,
                pool_pre_ping=self.kind != "sqlite",
                hide_parameters=True,
                connect_args=_arguments(self.kind, bounds),
            )
        except (NoSuchModuleError, ModuleNotFoundError) as error:
            extra = "data-async" if self.kind == "sqlite" else "postgres"
            raise DataRefused(
                f"there is no driver for {self.kind} here: {error}",
                next=f"pip install 'mergepoint[data,{extra}]'",
            ) from None

    def _watch(self, engine: Engine) -> None:
        event.listen(engine, "handle_error", _note_failure)
        if self.kind == "sqlite":
            busy_ms = int(self.database.bounds.busy_s * 1000)
            event.listen(engine, "connect", lambda raw, _: _prepare_sqlite(raw, busy_ms))
            event.listen(engine, "begin", _begin_sqlite)
        for watch in self._watches:
            watch(engine)


def _arguments(kind: str, bounds: Bounds) -> dict[str, Any]:
    if kind == "sqlite":
        return {"timeout": bounds.busy_s, "isolation_level": None, "check_same_thread": False}
    limits = {
        "statement_timeout": int(bounds.statement_s * 1000),
        "lock_timeout": int(bounds.busy_s * 1000),
        "idle_in_transaction_session_timeout": int(bounds.idle_transaction_s * 1000),
    }
    return {
        "connect_timeout": max(1, int(bounds.connect_s)),
        "application_name": "mergepoint",
        "options": " ".join(f"-c {name}={value}" for name, value in limits.items()),
    }


def _prepare_sqlite(raw: Any, busy_ms: int) -> None:  # Any: sqlite3's connection, or aiosqlite's
    cursor = raw.cursor()
    # A database that may only be read keeps the journal it has.
    cursor.execute(f"PRAGMA busy_timeout = {busy_ms}")
    with contextlib.suppress(Exception):
        cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("isolation_level") == "AUTOCOMMIT":
        return
    mode = options.get(MODE, WRITE)
    told = connection.info.get(MODE) in (READ, REPEATABLE)
    reads = mode in (READ, REPEATABLE)
    if reads != told:
        connection.exec_driver_sql(f"PRAGMA query_only = {'ON' if reads else 'OFF'}")
        connection.info[MODE] = mode
    connection.exec_driver_sql("BEGIN IMMEDIATE" if mode == WRITE else "BEGIN")


def _note_failure(context: Any) -> None:  # Any: SQLAlchemy's ExceptionContext
    unit = units.current()
    found = meaning(context.original_exception, connecting=context.connection is None)
    if unit is None or found is None:
        return
    if isinstance(found, ReadOnly) and (unit.read_only or unit.sealed):
        return  # the app's own mistake, which no database can mend
    unit.failure = found


def _forget_after_fork(engines: Engines) -> None:
    reference = weakref.ref(engines)

    def forget() -> None:
        known = reference()
        if known is not None:
            known.forget()

    os.register_at_fork(after_in_child=forget)
