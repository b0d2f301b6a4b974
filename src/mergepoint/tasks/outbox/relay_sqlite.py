"""The outbox in an app's SQLite file, through one connection of the relay's own.

Place:  outbox.relay -> [outbox.relay_sqlite] -> sqlite3
Rule:   short transactions, in a thread of its own; the app's file is opened by SQLite alone.

Whoever relays holds the lock of a file beside the app's: SQLite's own locks hang on descriptors of
the database file, which nobody else in a process may open and close (sqlite.org/howtocorrupt).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from mergepoint.tasks.outbox import rows
from mergepoint.tasks.outbox.contract import OutboxRefused
from mergepoint.tasks.outbox.relay_store import Lag, StoreLost
from mergepoint.tasks.outbox.rows import Waiting

BUSY_S = 5.0
"""How long the app's own transactions may hold up one of ours."""
LOCK_SUFFIX = "-mergepoint-relay"
Answer = TypeVar("Answer")


class SqliteStore:
    """See `relay_store.Store`."""

    def __init__(self, url: str) -> None:
        self._path = path_of(url)
        self._connection: sqlite3.Connection | None = None
        self._lock: int | None = None
        self._version = -1
        self._thread = ThreadPoolExecutor(1, "outbox")

    @property
    def name(self) -> str:
        """The file."""
        return f"sqlite:///{self._path}"

    async def lead(self) -> bool:
        """See `Store.lead`."""
        return await self._do(self._lead)

    async def claim(self, limit: int, without: Sequence[str]) -> list[Waiting]:
        """See `Store.claim`; nobody else claims, so nothing has to be marked."""
        return await self._do(lambda: self._claim(limit, without))

    async def settle(self, done: Sequence[int], tried: Mapping[int, str], parked_at: float) -> None:
        """See `Store.settle`."""
        await self._do(lambda: self._settle(done, tried, parked_at))

    async def release(self) -> None:
        """See `Store.release`."""

    async def changed(self) -> bool:
        """See `Store.changed`: another connection has committed."""
        return await self._do(self._changed)

    async def lag(self, now: float) -> Lag:
        """See `Store.lag`."""
        return await self._do(lambda: self._lag(now))

    async def close(self) -> None:
        """See `Store.close`."""
        with contextlib.suppress(StoreLost):
            await self._do(self._close)

    async def _do(self, act: Callable[[], Answer]) -> Answer:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, act)
        except (sqlite3.Error, OSError) as error:
            raise StoreLost(f"{self._path}: {error}") from None

    def _lead(self) -> bool:
        if self._connection is not None:
            return True
        if not self._path.exists():
            raise StoreLost(f"{self._path} is not there yet")
        lock = os.open(f"{self._path}{LOCK_SUFFIX}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        self._connection = sqlite3.connect(
            self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
        )
        for statement in rows.ddl("sqlite"):
            self._connection.execute(statement)
        self._version = -1
        return True

    def _claim(self, limit: int, without: Sequence[str]) -> list[Waiting]:
        marks = ", ".join("?" * len(without))
        found = self._open.execute(
            f"SELECT {rows.CLAIMED} FROM {rows.TABLE} WHERE parked_at = 0"  # noqa: S608 - marks
            f" AND queue NOT IN ({marks}) ORDER BY place LIMIT ?",
            (*without, limit),
        )
        return [rows.waiting(row) for row in found.fetchall()]

    def _settle(self, done: Sequence[int], tried: Mapping[int, str], parked_at: float) -> None:
        connection = self._open
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(
                f"DELETE FROM {rows.TABLE} WHERE place = ?",  # noqa: S608 - a constant
                [(place,) for place in done],
            )
            connection.executemany(
                f"UPDATE {rows.TABLE} SET tries = tries + 1, reason = ?, parked_at = ?"  # noqa: S608
                " WHERE place = ?",
                [(reason[:2000], parked_at, place) for place, reason in tried.items()],
            )
            connection.execute("COMMIT")
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise

    def _changed(self) -> bool:
        (version,) = self._open.execute("PRAGMA data_version").fetchone()
        before, self._version = self._version, version
        return bool(version != before)

    def _lag(self, now: float) -> Lag:
        waiting, parked, oldest = self._open.execute(rows.LAG).fetchone()
        return Lag(waiting, parked, 0.0 if oldest is None else max(0.0, now - oldest))

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.OperationalError("not connected")
        return self._connection


def path_of(url: str) -> Path:
    """Return the file of `sqlite:///relative` or `sqlite:////absolute`."""
    rest = url.partition(":")[2].partition("?")[0]
    if not rest.startswith("///") or len(rest) == 3 or ":memory:" in rest:
        raise OutboxRefused(
            f"{url} names no file", next="sqlite:////absolute/path or sqlite:///relative"
        )
    return Path(rest[3:])
