"""Read the log of a PostgreSQL database with a snapshot as cursor.

Place:  feed.service -> [adapters.postgres] -> psycopg
Rule:   never a bare number as cursor: numbers are given before transactions commit. What a read
        shows and where it ends are of one statement, and so of one snapshot.

An epoch is made of the installed one (emptied by a crash), of the server, its time line and start,
and of the log's own identity: after a restart, a failover or a restore nothing read before can be
continued. A cursor is a `pg_snapshot`; rows it does not show are what came after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import psycopg

from mergepoint.core.clock import Clock
from mergepoint.feed.adapters.postgres_install import (
    audit_from,
    changed,
    first_epoch,
    marked,
    marks_from,
    said,
)
from mergepoint.feed.adapters.postgres_tables import EVENT_TRIGGERS, PARENTS, SCHEMA, TABLES
from mergepoint.feed.contract import Audit, Batch, Change, Database, FeedLimits, Op, Position
from mergepoint.feed.errors import FeedError, FeedNotInstalled, FeedUnreachable

CONNECT_S = 2
_SNAPSHOT = re.compile(r"[0-9]{1,20}:[0-9]{1,20}:(?:[0-9]{1,20}(?:,[0-9]{1,20})*)?\Z")
_HERE = (
    "SELECT s.epoch, extract(epoch FROM pg_postmaster_start_time())::text,"
    " substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8), s.tableoid::text,"
    " pg_current_snapshot()::text, "
)
_READ = f"""{_HERE}
 s.trimmed <= pg_snapshot_xmin(c.since)
   AND pg_snapshot_xmax(c.since) <= pg_snapshot_xmax(pg_current_snapshot()), l.*
FROM {SCHEMA}.state s CROSS JOIN (SELECT %(since)s::pg_snapshot AS since) c
LEFT JOIN LATERAL (SELECT seq, name, op, keys FROM {SCHEMA}.log
  WHERE xid >= pg_snapshot_xmin(%(since)s::pg_snapshot)
    AND NOT pg_visible_in_snapshot(xid, %(since)s::pg_snapshot)
    AND (%(until)s::pg_snapshot IS NULL OR pg_visible_in_snapshot(xid, %(until)s::pg_snapshot))
    AND seq > %(after)s
  ORDER BY seq LIMIT %(limit)s) l ON true
"""
_START = f"{_HERE} true, NULL, NULL, NULL, NULL FROM {SCHEMA}.state s"
_TRIM = f"""
WITH bound AS MATERIALIZED (SELECT LEAST(pg_snapshot_xmin(pg_current_snapshot()),
    GREATEST(%(old)s::xid8,
      (SELECT xid FROM {SCHEMA}.log ORDER BY xid DESC OFFSET %(rows)s LIMIT 1))) AS x),
  gone AS (DELETE FROM {SCHEMA}.log WHERE xid < (SELECT x FROM bound) RETURNING 1),
  noted AS (UPDATE {SCHEMA}.state SET trimmed = GREATEST(trimmed, (SELECT x FROM bound))
    WHERE EXISTS (SELECT FROM {SCHEMA}.log WHERE xid < (SELECT x FROM bound)) RETURNING 1)
SELECT (SELECT count(*) FROM gone), pg_snapshot_xmin(pg_current_snapshot())::text
"""

Answer = TypeVar("Answer")
Row = Sequence[Any]  # Any: columns, typed where they are taken apart


class Reader:
    """`feed.contract.Reader` of one database; two connections, one for reading alone."""

    def __init__(self, database: Database, limits: FeedLimits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._database = database
        self._reading = _Link(database, limits.read_s)
        self._working = _Link(database, max(limits.read_s, limits.work_s))
        self._ages: deque[tuple[float, str]] = deque()
        """When which transactions were all over, for trimming by age."""

    async def read(self, since: Position | None) -> Batch:
        """Return what was committed after `since`; see the contract."""
        limit = self._limits.rows_max
        place = _place(since.cursor) if since else ("", None, 0)
        if place is None:
            return Batch((await self.read(None)).position, gap=True)
        # Half-way through a page, everything after its beginning is told again.
        rows = await self._rows(self._reading, place[0], limit=limit + 1)
        here = await self._position(self._reading, rows[0])
        if since is None:
            return Batch(here)
        if since.epoch != here.epoch or not rows[0][5] or len(rows) > limit:
            return Batch(here, gap=True)
        return Batch(here, tuple(c for row in rows if row[6] is not None for c in changes_of(row)))

    async def page(self, since: Position | None, limit: int) -> Batch:
        """Return at most about `limit` of the oldest changes after `since`; see the contract.

        Half-way through, a cursor is `from/until/row`: what `until` shows and `from` does not.
        """
        place = _place(since.cursor) if since else None
        if since is None or place is None:
            here = await self.read(None)
            return Batch(here.position, gap=since is not None)
        start, until, after = place
        rows = await self._rows(self._working, start, until=until, after=after, limit=limit + 1)
        here_at = await self._position(self._working, rows[0])
        if since.epoch != here_at.epoch or not rows[0][5]:
            return Batch(here_at, gap=True)
        found = [row for row in rows if row[6] is not None]
        until = until or here_at.cursor
        end = until
        if len(found) > limit:
            found = found[:limit]
            end = f"{start}/{until}/{found[-1][6]}"
        changes = tuple(change for row in found for change in changes_of(row))
        return Batch(Position(here_at.epoch, end), changes)

    async def audit(self) -> Audit:
        """Look which tables are logged; a table with other triggers than before has changed."""

        async def look(db: psycopg.AsyncConnection) -> Audit:
            async with db.transaction():
                tables = await (await db.execute(TABLES.encode())).fetchall()
                parents = await (await db.execute(PARENTS.encode())).fetchall()
                events = await (await db.execute(EVENT_TRIGGERS.encode())).fetchall()
                known = await (
                    await db.execute(f"SELECT name, mark FROM {SCHEMA}.logged".encode())
                ).fetchall()
                marks = marks_from(tables, self._database)
                before = {n: m for n, m in known if self._database.wants(n)}
                lost = {n for n, mark in before.items() if marks.get(n) != mark}
                for name in sorted(lost | (marks.keys() - before.keys())):
                    await db.execute(changed(name).encode())
                if lost or marks.keys() - before.keys():
                    await db.execute(marked().encode())
            return audit_from(tables, parents, events, self._database)

        return await self._working.do(look)

    async def trim(self) -> int:
        """Remove rows that are older than the bounds; see the contract."""
        now_s = self._clock.monotonic_s()
        old = "0"
        while self._ages and self._ages[0][0] <= now_s - self._limits.keep_s:
            old = self._ages.popleft()[1]

        async def trim(db: psycopg.AsyncConnection) -> Row | None:
            bounds = {"old": old, "rows": self._limits.keep_rows_max}
            return await (await db.execute(_TRIM.encode(), bounds)).fetchone()

        row = await self._working.do(trim)
        if row is None:
            return 0
        self._ages.append((now_s, row[1]))
        return int(row[0])

    async def close(self) -> None:
        """Let the database go; see the contract."""
        await self._reading.close()
        await self._working.close()

    async def _rows(
        self, link: _Link, since: str, *, until: str | None = None, after: int = 0, limit: int
    ) -> list[Row]:
        places = {"since": since, "until": until, "after": after, "limit": limit}

        async def ask(db: psycopg.AsyncConnection) -> list[Row]:
            for _ in range(2):
                cursor = (
                    await db.execute(_READ.encode(), places, prepare=True)
                    if since
                    else await db.execute(_START.encode(), prepare=True)
                )
                rows = await cursor.fetchall()
                if rows:
                    return list(rows)
                # A crash or a promoted standby has emptied log and state: a new epoch begins.
                await db.execute(first_epoch().encode())
            raise FeedUnreachable(f"database {self._database.name}: its log has no epoch")

        return await link.do(ask)

    async def _position(self, link: _Link, row: Row) -> Position:
        epoch, started, timeline, log, snapshot = row[:5]
        return Position(f"{epoch}.{link.server}.{timeline}.{started}.{log}", snapshot)


class _Link:
    """One connection, made when it is needed and again when it was lost."""

    def __init__(self, database: Database, statement_s: float) -> None:
        self.server = ""
        """Which database of which cluster it is."""
        self._database = database
        self._statement_s = statement_s
        self._db: psycopg.AsyncConnection | None = None
        self._turn = asyncio.Lock()

    async def do(self, work: Callable[[psycopg.AsyncConnection], Awaitable[Answer]]) -> Answer:
        """Run one piece of work; whatever breaks it ends the connection."""
        async with self._turn:
            try:
                return await work(await self._connected())
            except psycopg.Error as error:
                await self._lose()
                raise self._told(error) from None
            except BaseException:
                # Cancelled half-way: what the connection would say next belongs to nobody.
                await self._lose()
                raise

    async def close(self) -> None:
        async with self._turn:
            await self._lose()

    async def _connected(self) -> psycopg.AsyncConnection:
        if self._db is None or self._db.closed:
            self._db = await psycopg.AsyncConnection.connect(
                self._database.url,
                autocommit=True,
                connect_timeout=CONNECT_S,
                application_name=f"mergepoint feed {self._database.name}",
                options=f"-c statement_timeout={int(1000 * self._statement_s)}"
                " -c default_transaction_isolation=read\\ committed",
            )
            row = await (await self._db.execute(_SERVER.encode())).fetchone()
            self.server = row[0] if row else ""
        return self._db

    async def _lose(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with contextlib.suppress(psycopg.Error):
                await db.close()

    def _told(self, error: psycopg.Error) -> FeedError:
        name = self._database.name
        if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.InvalidSchemaName):
            return FeedNotInstalled(
                f"database {name} has no log", next=f"mergepoint feed install {name}"
            )
        return FeedUnreachable(f"database {name}: {said(error)}")


_SERVER = (
    "SELECT system_identifier || '-' || (SELECT oid FROM pg_database"
    " WHERE datname = current_database()) FROM pg_control_system()"
)


def changes_of(row: Row) -> list[Change]:
    """Return the changes of one row of the log, as `_READ` gives it."""
    name, op, keys = row[7], Op(row[8]), row[9]
    if op is Op.TABLE or keys is None:
        return [Change(name, Op.TABLE)]
    # An update that leaves its key alone is logged with it twice.
    ordered = dict.fromkeys(
        tuple((c, value) for c, value in key.items() if value is not None) for key in keys
    )
    return [Change(name, op, dict(key)) for key in ordered]


def _place(cursor: str) -> tuple[str, str | None, int] | None:
    """Return from where, until where and after which row to read; None for what is no cursor."""
    start, *rest = cursor.split("/")
    if not _SNAPSHOT.match(start):
        return None
    if not rest:
        return start, None, 0
    if len(rest) != 2 or not _SNAPSHOT.match(rest[0]) or not rest[1].isdigit():
        return None
    return start, rest[0], int(rest[1])
