"""Read the log of a SQLite file, whoever writes to it and whatever happens to the file.

Place:  feed.service -> [adapters.sqlite] -> sqlite3
Rule:   never writes. A read is tried at once on the caller's loop, where it takes microseconds;
        one that would wait for a writer, or is long, waits in a thread.

An epoch is made of the installed one, of which file lies there, and of its schema's version: after
a restore, a replacement or a change of tables nothing read before can be continued. A cursor is
`seq:nonce`, and counts only if that row says so: a log that was set back and grew again does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mergepoint.feed.adapters.sqlite_install import audit, connect, path_of
from mergepoint.feed.adapters.sqlite_triggers import LOG, STATE
from mergepoint.feed.contract import Audit, Batch, Change, Database, FeedLimits, Op, Position
from mergepoint.feed.errors import FeedError, FeedNotInstalled, FeedUnreachable

INLINE_ROWS_MAX = 200
"""Rows that are read on the loop; a longer read is done in a thread."""
_LITERAL = re.compile(r"'((?:[^']|'')*)'|(-?[0-9]+)(?=,|\Z)|([^,']*)(?:'[^']*')?")


class Reader:
    """`feed.contract.Reader` of one file; used from one loop."""

    def __init__(self, database: Database, limits: FeedLimits) -> None:
        self._database = database
        self._limits = limits
        self._path = path_of(database)
        self._open: _Opened | None = None
        self._thread: ThreadPoolExecutor | None = None

    async def read(self, since: Position | None) -> Batch:
        """Return what was committed after `since`; see the contract."""
        try:
            with contextlib.suppress(_WouldWait):
                return self._read(self._opened(), since, INLINE_ROWS_MAX, wait=False)
            return await self._aside(since, self._limits.rows_max)
        except sqlite3.Error as error:
            self._forget()
            raise self._told(error) from None

    async def page(self, since: Position | None, limit: int) -> Batch:
        """Return at most `limit` of the oldest changes after `since`; see the contract."""
        try:
            if limit <= INLINE_ROWS_MAX:
                with contextlib.suppress(_WouldWait):
                    return self._read(self._opened(), since, limit, wait=False, page=True)
            return await self._aside(since, limit, page=True)
        except sqlite3.Error as error:
            self._forget()
            raise self._told(error) from None

    async def audit(self) -> Audit:
        """Look which tables are logged. A lost trigger changed the schema, and so the epoch."""

        def look() -> Audit:
            with contextlib.closing(connect(self._database)) as db:
                return audit(db, self._database)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor(), look)
        except sqlite3.Error as error:
            raise self._told(error) from None

    async def trim(self) -> int:
        """Return 0: the log bounds itself."""
        return 0

    async def close(self) -> None:
        """Let the file go; see the contract."""
        self._forget()
        if self._thread is not None:
            self._thread.shutdown(wait=False)
            self._thread = None

    async def _aside(self, since: Position | None, limit: int, *, page: bool = False) -> Batch:
        opened = self._opened()
        return await asyncio.get_running_loop().run_in_executor(
            self._executor(), lambda: self._read(opened, since, limit, wait=True, page=page)
        )

    def _executor(self) -> ThreadPoolExecutor:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, f"feed {self._database.name}")
        return self._thread

    def _read(
        self,
        opened: _Opened,
        since: Position | None,
        limit: int,
        *,
        wait: bool,
        page: bool = False,
    ) -> Batch:
        db = opened.wait if wait else opened.here
        try:
            # One transaction: epoch, end and rows are of one moment.
            db.execute("BEGIN")
            try:
                return self._in_transaction(db, opened.file, since, limit, wait=wait, page=page)
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            if not wait and error.sqlite_errorcode & 0xFF in _BUSY:
                raise _WouldWait from None
            raise

    def _in_transaction(
        self, db: sqlite3.Connection, file: str, since: Position | None, limit: int,
        *, wait: bool, page: bool,
    ) -> Batch:  # fmt: skip
        epoch = f"{_epoch(db)}.{file}.{db.execute('PRAGMA main.schema_version').fetchone()[0]}"
        end = db.execute(f"SELECT seq, nonce FROM {LOG} ORDER BY seq DESC LIMIT 1").fetchone()
        seq, nonce = end or (0, 0)
        here = Position(epoch, f"{seq}:{nonce}")
        if since is None or since == here:
            return Batch(here)
        after = _start(db, since) if since.epoch == epoch else None
        if after is None:
            return Batch(here, gap=True)
        rows = db.execute(
            f"SELECT name, columns, op, key, seq, nonce FROM {LOG} WHERE seq > ? ORDER BY seq"
            " LIMIT ?",
            (after, limit + 1),
        ).fetchall()
        if len(rows) > limit:
            if not page and not wait:
                raise _WouldWait
            if not page:
                return Batch(here, gap=True)
            rows = rows[:limit]
            here = Position(epoch, f"{rows[-1][4]}:{rows[-1][5]}")
        return Batch(here, tuple(change_of(*row[:4]) for row in rows))

    def _opened(self) -> _Opened:
        try:
            status = self._path.stat()
        except OSError as error:
            self._forget()
            raise FeedUnreachable(
                f"database {self._database.name}: {error.strerror}: {self._path}"
            ) from None
        file = f"{status.st_dev:x}-{status.st_ino:x}"
        if self._open is not None and self._open.file != file:
            self._forget()
        if self._open is None:
            here = connect(self._database, busy_s=0.0)
            self._open = _Opened(file, here, connect(self._database, busy_s=self._limits.read_s))
        return self._open

    def _forget(self) -> None:
        opened, self._open = self._open, None
        if opened is not None:
            opened.here.close()
            # In its own thread, behind whatever still reads there.
            self._executor().submit(opened.wait.close)

    def _told(self, error: sqlite3.Error) -> FeedError:
        if "no such table" in str(error):
            return FeedNotInstalled(
                f"database {self._database.name} has no log",
                next=f"mergepoint feed install {self._database.name}",
            )
        return FeedUnreachable(f"database {self._database.name}: {error}")


_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class _WouldWait(Exception):
    """A read that is not for the loop."""


@dataclass(frozen=True, slots=True)
class _Opened:
    file: str
    here: sqlite3.Connection
    """For the loop: never waits."""
    wait: sqlite3.Connection
    """For the thread."""


def _epoch(db: sqlite3.Connection) -> str:
    row = db.execute(f"SELECT epoch FROM {STATE}").fetchone()
    if row is None:
        raise sqlite3.OperationalError(f"no such table: {STATE} is empty")
    return str(row[0])


def _start(db: sqlite3.Connection, since: Position) -> int | None:
    """Return the row after which to read, None where the log does not reach back to it."""
    seq, _, nonce = since.cursor.partition(":")
    if not seq.isdigit() or len(seq) > 18:
        return None
    if seq == "0":
        oldest = db.execute(f"SELECT min(seq) FROM {LOG}").fetchone()[0]
        return 0 if oldest == 1 else None
    row = db.execute(f"SELECT nonce FROM {LOG} WHERE seq = ?", (int(seq),)).fetchone()
    return int(seq) if row is not None and str(row[0]) == nonce else None


def change_of(name: str, columns: str, op: str, key: str) -> Change:
    """Return a row of the log as a change. Values that are neither integer nor text are left out.

    `key` is a list of SQL literals as `quote` writes them.
    """
    names = json.loads(columns)
    values: dict[str, int | str] = {}
    at = 0
    for column in names:
        found = _LITERAL.match(key, at)
        if found is None:
            break
        text, number, _ = found.groups()
        if text is not None:
            values[column] = text.replace("''", "'")
        elif number is not None:
            values[column] = int(number)
        at = found.end() + 1
    return Change(name, Op(op), values)
