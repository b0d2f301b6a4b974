"""Open the accounts database: a SQLite file, or PostgreSQL through psycopg.

Place:  settings.database -> [store.engine] -> store.unit
Rule:   the file is 0600 and never made by accident; every wait has a bound; values are not logged.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from mergepoint.identity.accounts.store.errors import StoreLost, StoreRefused
from mergepoint.identity.keys import own_like

BUSY_S = 1.5
"""How long a statement waits for another process's lock."""
CONNECT_S = 2
POOL_SIZE = 4
POOL_EXTRA_MAX = 12
POOL_WAIT_S = 1.0
BEGIN_OPTION = "accounts_begin"
"""Execution option: how a SQLite transaction begins."""


def parse_url(text: str) -> URL:
    """Return the database's address; raise `StoreRefused` without repeating it."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise StoreRefused("the database address cannot be read", next="mergepoint check") from None
    if url.get_backend_name() == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    path = sqlite_path(url)
    if path is None or not path.is_absolute():
        raise StoreRefused(
            "the database must be sqlite:////absolute/path or postgresql://...",
            next="mergepoint check",
        )
    return url


def sqlite_path(url: URL) -> Path | None:
    """Return the file of a SQLite address, None for another engine."""
    if url.get_backend_name() != "sqlite":
        return None
    return Path(url.database or "")


def open_engine(url: URL) -> Engine:
    """Return an engine; connects to nothing yet."""
    path = sqlite_path(url)
    try:
        return _sqlite(url, path) if path else _postgresql(url)
    except (NoSuchModuleError, ModuleNotFoundError):
        raise StoreRefused(
            f"there is no driver for {url.get_backend_name()} here",
            next="pip install 'mergepoint[login,postgres]'",
        ) from None


def prepare_sqlite(path: Path) -> None:
    """Make the file (0600) and switch it to WAL, once among all processes that start."""
    with locked_beside(path):
        try:
            if not path.exists():
                _create(path)
            path.chmod(0o600)
            with closing(_connect(path)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
        except OSError as error:
            raise StoreRefused(f"{path}: {error.strerror}", next=f"ls -ld {path.parent}") from None
        except sqlite3.Error as error:
            raise StoreLost(f"{path} cannot be opened: {error}") from None


@contextmanager
def locked_beside(path: Path) -> Iterator[None]:
    """Hold ``<path>.lock``; a file of its own, since closing the database's own would unlock it."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = path.with_name(f"{path.name}.lock")
        if not name.exists():
            _create(name)
        descriptor = os.open(name, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise StoreRefused(f"{path.parent}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _create(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    own_like(descriptor, path.parent)
    os.close(descriptor)


def _connect(path: Path) -> sqlite3.Connection:
    # mode=rw: a file that was taken away is an error, not an empty database.
    address = f"file:{quote(str(path))}?mode=rw"
    connection = sqlite3.connect(
        address, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _sqlite(url: URL, path: Path) -> Engine:
    engine = create_engine(
        url,
        creator=lambda: _connect(path),
        hide_parameters=True,
        pool_size=POOL_SIZE,
        max_overflow=POOL_EXTRA_MAX,
        pool_timeout=POOL_WAIT_S,
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        kind = connection.get_execution_options().get(BEGIN_OPTION, "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {kind}")

    return engine


def _postgresql(url: URL) -> Engine:
    limits = {
        "statement_timeout": int(BUSY_S * 1000),
        "lock_timeout": int(BUSY_S * 1000),
        "idle_in_transaction_session_timeout": 30_000,
    }
    arguments: dict[str, Any] = {
        "connect_timeout": CONNECT_S,
        "tcp_user_timeout": CONNECT_S * 1000,
        "application_name": "mergepoint-accounts",
        "options": " ".join(f"-c {name}={value}" for name, value in limits.items()),
    }
    return create_engine(
        url,
        connect_args=arguments,
        hide_parameters=True,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        pool_size=POOL_SIZE,
        max_overflow=POOL_EXTRA_MAX,
        pool_timeout=POOL_WAIT_S,
    )
