"""The ledger's tables and functions in the schema `mergepoint`, beside those of the bus.

Place:  ledger.postgres -> [postgres_schema] -> postgres_*.sql
Rule:   one transaction under one lock; what is of a newer version is refused, not touched.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from mergepoint.bus.errors import BusRefused
from mergepoint.tasks.ledger.postgres_work import Connection, Database

VERSION = 1
LOCK = (1836016704, 4)
"""The advisory lock everybody who makes the tables takes."""
PARTS = ("postgres_tables.sql", "postgres_functions.sql")
# Asked of the catalogue: `to_regclass` may remember what was so when the transaction began.
_IS_THERE = (
    "SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = 'mergepoint' AND c.relname = 'ledger_about'"
)


async def migrate(database: Database) -> None:
    """Make the tables if there are none; a second call, also at the same time, does nothing.

    The role must own the schema, but only the first time. Raises `BusRefused` for a version that
    is newer.
    """
    if not await database.call(_IS_THERE) or await _version(database.call) != VERSION:
        await database.together(_make)


async def _make(connection: Connection) -> None:
    async def ask(sql: str) -> list[Any]:
        cursor = await connection.execute(sql)
        return await cursor.fetchall() if cursor.description else []

    await connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", LOCK)
    found = await _version(ask) if await ask(_IS_THERE) else 0
    if found == VERSION:
        return
    if found > VERSION:
        raise BusRefused(
            f"the ledger of tasks has version {found}; this Mergepoint knows {VERSION}",
            next="update Mergepoint on this machine",
        )
    for part in PARTS:
        await connection.execute(statements(part))
    await connection.execute(
        "INSERT INTO mergepoint.ledger_about VALUES (%s, mergepoint.unix_now())", (VERSION,)
    )


def statements(part: str) -> bytes:
    """Return the SQL of one part."""
    return files(__package__).joinpath(part).read_bytes()


async def _version(ask: Any) -> int:  # Any: whatever runs a statement
    ((version,),) = await ask("SELECT max(version) FROM mergepoint.ledger_about")
    return int(version or 0)
