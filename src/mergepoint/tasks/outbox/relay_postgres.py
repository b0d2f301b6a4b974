"""The outbox in an app's PostgreSQL, through one connection of the relay's own.

Place:  outbox.relay -> [outbox.relay_postgres] -> psycopg
Rule:   claims with SKIP LOCKED and no cursor: a row that commits late has no number to be missed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from mergepoint.tasks.outbox import rows
from mergepoint.tasks.outbox.relay_store import Lag, StoreLost
from mergepoint.tasks.outbox.rows import Waiting

LOCK = 1836016707
"""The advisory lock of whoever relays a database's outbox."""
STATEMENT_S = 10.0
SILENCE_MS = 10_000
"""A server that acknowledges nothing for so long is lost."""


class PostgresStore:
    """See `relay_store.Store`."""

    def __init__(self, url: str) -> None:
        scheme, _, rest = url.partition("://")
        self._url = f"{scheme.partition('+')[0]}://{rest}"
        self._connection: psycopg.AsyncConnection | None = None
        told = conninfo_to_dict(self._url)
        self._name = f"postgresql://{told.get('host', 'localhost')}/{told.get('dbname', '')}"

    @property
    def name(self) -> str:
        """Host and database."""
        return self._name

    async def lead(self) -> bool:
        """See `Store.lead`."""
        if self._connection is not None:
            return True
        try:
            self._connection = await psycopg.AsyncConnection.connect(
                self._url,
                autocommit=True,
                connect_timeout=int(STATEMENT_S),
                application_name="mergepoint relay",
                options=f"-c statement_timeout={int(1000 * STATEMENT_S)}",
                tcp_user_timeout=SILENCE_MS,
            )
        except psycopg.Error as error:
            raise StoreLost(f"{self._name}: {_words(error)}") from None
        ((leads,),) = await self._ask(
            "SELECT pg_try_advisory_lock(%s, hashtext(current_schema()))", (LOCK,)
        )
        if not leads:
            await self.close()
            return False
        ((there,),) = await self._ask("SELECT to_regclass(%s) IS NOT NULL", (rows.TABLE,))
        for statement in () if there else rows.ddl("postgresql"):
            await self._ask(statement)
        return True

    async def claim(self, limit: int, without: Sequence[str]) -> list[Waiting]:
        """See `Store.claim`; the rows are locked until they are settled."""
        await self._ask("BEGIN")
        found = await self._ask(
            f"SELECT {rows.CLAIMED} FROM {rows.TABLE} WHERE parked_at = 0"  # noqa: S608 - constants
            " AND queue <> ALL (%s::text[]) ORDER BY place LIMIT %s FOR UPDATE SKIP LOCKED",
            (list(without), limit),
        )
        return [rows.waiting(row) for row in found]

    async def settle(self, done: Sequence[int], tried: Mapping[int, str], parked_at: float) -> None:
        """See `Store.settle`."""
        if done:
            await self._ask(
                f"DELETE FROM {rows.TABLE} WHERE place = ANY (%s)",  # noqa: S608 - a constant
                (list(done),),
            )
        for place, reason in tried.items():
            await self._ask(
                f"UPDATE {rows.TABLE} SET tries = tries + 1, reason = %s, parked_at = %s"  # noqa: S608
                " WHERE place = %s",
                (reason[:2000], parked_at, place),
            )

    async def release(self) -> None:
        """See `Store.release`; what was settled is settled with it."""
        connection = self._connection
        if connection is not None and connection.info.transaction_status:
            await self._ask("COMMIT")

    async def changed(self) -> bool:
        """See `Store.changed`: whether there is a row at all."""
        ((some,),) = await self._ask(
            f"SELECT EXISTS (SELECT FROM {rows.TABLE} WHERE parked_at = 0)"  # noqa: S608
        )
        return bool(some)

    async def lag(self, now: float) -> Lag:
        """See `Store.lag`."""
        ((waiting, parked, oldest),) = await self._ask(rows.LAG)
        return Lag(waiting, parked, 0.0 if oldest is None else max(0.0, now - oldest))

    async def close(self) -> None:
        """See `Store.close`; the lock goes with the connection."""
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                await self._connection.close()
            self._connection = None

    async def _ask(
        self, statement: str, parameters: Sequence[object] = ()
    ) -> list[tuple[Any, ...]]:  # Any: columns
        if self._connection is None:
            raise StoreLost(f"{self._name}: not connected")
        try:
            cursor = await self._connection.execute(statement, parameters)
            return await cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise StoreLost(f"{self._name}: {_words(error)}") from None


def _words(error: psycopg.Error) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
