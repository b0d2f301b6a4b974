"""The schema `mergepoint`: made once, by whoever comes first and may.

Place:  postgres_link -> [postgres_schema] -> postgres_*.sql
Rule:   one transaction under one lock; what is of a newer version is refused, not touched.
"""

from __future__ import annotations

from importlib.resources import files

import psycopg

from mergepoint.bus.errors import BusRefused

VERSION = 1
LOCK = (1836016704, 1)
"""The advisory lock everybody who makes the schema takes."""
PARTS = ("postgres_tables.sql", "postgres_queues.sql", "postgres_topics.sql")


async def migrate(connection: psycopg.AsyncConnection) -> None:
    """Make the schema if there is none; a second call, also at the same time, does nothing.

    The role must own the schema or be allowed to create it, but only the first time: later ones
    need what docs/reference/postgresql.md lists. Raises `BusRefused` for a version that is newer.
    """
    if await _version(connection) == VERSION:
        return
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", LOCK)
        found = await _version(connection)
        if found == VERSION:
            return
        if found > VERSION:
            raise BusRefused(
                f"the schema mergepoint has version {found}; this Mergepoint knows {VERSION}",
                next="update Mergepoint on this machine",
            )
        await connection.execute("CREATE SCHEMA IF NOT EXISTS mergepoint")
        for part in PARTS:
            await connection.execute(statements(part))
        await connection.execute(
            "INSERT INTO mergepoint.about VALUES (%s, mergepoint.unix_now())", (VERSION,)
        )


def statements(part: str) -> bytes:
    """Return the SQL of one part."""
    return files(__package__).joinpath(part).read_bytes()


async def _version(connection: psycopg.AsyncConnection) -> int:
    """Return what stands there; 0 when there is no schema, or none that this role may see."""
    # Asked of the catalogue itself: within a transaction `to_regclass` may remember that there was
    # no schema, though somebody else has made it while this one waited for the lock.
    cursor = await connection.execute(
        "SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'mergepoint' AND c.relname = 'about'"
    )
    if await cursor.fetchone() is None:
        return 0
    cursor = await connection.execute("SELECT max(version) FROM mergepoint.about")
    row = await cursor.fetchone()
    return int(row[0]) if row and row[0] else 0
