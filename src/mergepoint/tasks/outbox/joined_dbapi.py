"""Joining a transaction of a driver's own connection: sqlite3 and psycopg.

Place:  outbox.find -> [outbox.joined_dbapi] -> outbox.rows
Rule:   imports no driver: a connection that is handed in knows its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mergepoint.bus.contract import Accepted, Put
from mergepoint.tasks.outbox import rows
from mergepoint.tasks.outbox.contract import OutboxMissing, OutboxRefused
from mergepoint.tasks.outbox.site import Site

IDLE, INERROR = 0, 3
"""libpq's transaction states that matter here (PQTRANS_IDLE, PQTRANS_INERROR)."""


@dataclass(frozen=True)
class JoinedSqlite:
    """An sqlite3 connection."""

    connection: sqlite3.Connection
    site: Site
    asynchronous: bool = False
    holds_queue: bool = False

    @property
    def where(self) -> str:
        """See `Joined`."""
        return "an sqlite3 connection"

    def put(self, queue: str, puts: Sequence[Put]) -> list[Accepted]:
        """See `Joined`."""
        made = self.site.rows(queue, puts)
        try:
            self.connection.executemany(rows.marked(rows.INSERT, ":{}", rows.COLUMNS), made)
        except sqlite3.Error as error:
            raise missing(error) or error from None
        return accepted(puts)

    async def aput(self, queue: str, puts: Sequence[Put]) -> list[Accepted]:
        """See `Joined`."""
        return self.put(queue, puts)

    def ask(self, call: str, parameters: Mapping[str, Any]) -> Any:
        """See `Joined`; there is never a queue in SQLite."""
        del call, parameters
        raise OutboxRefused(f"{self.where} holds no queue", next="ask holds_queue first")

    async def aask(self, call: str, parameters: Mapping[str, Any]) -> Any:
        """See `Joined`."""
        return self.ask(call, parameters)


@dataclass(frozen=True)
class JoinedPsycopg:
    """A psycopg connection, of either kind."""

    connection: Any  # psycopg.Connection or AsyncConnection, of the app's own version
    site: Site
    asynchronous: bool

    @property
    def where(self) -> str:
        """See `Joined`."""
        info = self.connection.info
        return f"a psycopg connection to {info.host}/{info.dbname}"

    @property
    def holds_queue(self) -> bool:
        """See `Joined`."""
        return self.site.holds_queue(self.connection.info)

    def put(self, queue: str, puts: Sequence[Put]) -> list[Accepted]:
        """See `Joined`."""
        call, made = self._call(queue), self.site.rows(queue, puts)
        return [rows.told(put, self.ask(call, one)) for put, one in zip(puts, made, strict=True)]

    async def aput(self, queue: str, puts: Sequence[Put]) -> list[Accepted]:
        """See `Joined`."""
        call, made = self._call(queue), self.site.rows(queue, puts)
        return [
            rows.told(put, await self.aask(call, one)) for put, one in zip(puts, made, strict=True)
        ]

    def ask(self, call: str, parameters: Mapping[str, Any]) -> Any:
        """See `Joined`."""
        if self.asynchronous:
            raise OutboxRefused(
                f"{self.where} belongs to an event loop", next="await the asynchronous call"
            )
        with self.connection.cursor() as cursor:
            try:
                cursor.execute(rows.marked(call, "%({})s", parameters), parameters)
            except Exception as error:
                raise missing(error) or error from None
            return cursor.fetchone()[0] if cursor.description else None

    async def aask(self, call: str, parameters: Mapping[str, Any]) -> Any:
        """See `Joined`."""
        if not self.asynchronous:
            return self.ask(call, parameters)
        async with self.connection.cursor() as cursor:
            try:
                await cursor.execute(rows.marked(call, "%({})s", parameters), parameters)
            except Exception as error:
                raise missing(error) or error from None
            return (await cursor.fetchone())[0] if cursor.description else None

    def _call(self, queue: str) -> str:
        return rows.direct(queue) if self.holds_queue else rows.INSERT


def sqlite_open(connection: sqlite3.Connection) -> bool:
    """Tell whether a transaction is open; False for a closed connection."""
    try:
        return connection.in_transaction
    except sqlite3.ProgrammingError:
        return False


def check_sqlite(connection: sqlite3.Connection) -> None:
    """Refuse a connection that commits by itself, or is closed, or another thread's."""
    try:
        connection.total_changes  # noqa: B018 - raises when it is closed
        connection.cursor().close()
    except sqlite3.ProgrammingError as error:
        raise OutboxRefused(f"this sqlite3 connection cannot be used here: {error}") from None
    commits = connection.isolation_level is None or getattr(connection, "autocommit", -1) is True
    if commits and not connection.in_transaction:
        raise OutboxRefused(
            "this sqlite3 connection is in autocommit", next="begin a transaction first"
        )


def psycopg_open(connection: Any) -> bool:  # Any: psycopg's connection
    """Tell whether a transaction is open."""
    return not connection.closed and int(connection.info.transaction_status) != IDLE


def check_psycopg(connection: Any) -> None:  # Any: psycopg's connection
    """Refuse a connection that is closed, failed, or commits by itself."""
    if connection.closed:
        raise OutboxRefused("this psycopg connection is closed")
    status = int(connection.info.transaction_status)
    if status == INERROR:
        raise OutboxRefused(
            "the transaction of this psycopg connection has failed", next="roll back first"
        )
    if connection.autocommit and status == IDLE:
        raise OutboxRefused(
            "this psycopg connection is in autocommit",
            next="use `with connection.transaction():`",
        )


def accepted(puts: Sequence[Put]) -> list[Accepted]:
    """Return what is told of messages that are part of a transaction now."""
    return [Accepted(id=put.message.id) for put in puts]


def missing(error: BaseException) -> OutboxMissing | None:
    """Return what to say when the driver's error means that there is no table; else None."""
    words = str(error).lower()
    no_schema = 'schema "mergepoint" does not exist' in words
    if no_schema or ("function mergepoint." in words and "does not exist" in words):
        return OutboxMissing(
            "the database has no queues of a bus, or no ledger of tasks yet",
            next="start the site's task workers once: they make what is missing",
        )
    absent = any(sign in words for sign in ("no such table", "does not exist", "doesn't exist"))
    if rows.TABLE not in words or not absent:
        return None
    return OutboxMissing(
        f"the database has no table {rows.TABLE}",
        next="make it: python -m mergepoint.tasks.outbox <database url>",
    )
