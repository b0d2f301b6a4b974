"""Which code reads and which installs, by the scheme of a database's address.

Place:  assembly.feed, cli.commands.feed, feed.handlers -> [feed.engines] -> feed.adapters
Rule:   a driver is imported when a database needs it, and its absence is told in a sentence.
"""

from __future__ import annotations

from typing import Protocol

from mergepoint.core.clock import Clock
from mergepoint.feed.contract import Audit, Database, FeedLimits, Reader
from mergepoint.feed.errors import FeedRefused


def reader_of(database: Database, limits: FeedLimits, clock: Clock) -> Reader:
    """Return the reader of a database; only its own driver is imported. Raises `FeedRefused`."""
    if database.engine == "sqlite":
        from mergepoint.feed.adapters.sqlite import Reader as SqliteReader

        return SqliteReader(database, limits)
    try:
        from mergepoint.feed.adapters.postgres import Reader as PostgresReader
    except ImportError:
        raise _without_psycopg(database) from None
    return PostgresReader(database, limits, clock)


class Tools(Protocol):
    """What makes, looks at and removes the triggers of one kind of database."""

    def plan(self, database: Database, limits: FeedLimits) -> list[str]:
        """Return the statements that `install` would run."""
        ...

    def install(self, database: Database, limits: FeedLimits) -> list[str]:
        """Make what is missing or stale; return the statements."""
        ...

    def plan_removal(self, database: Database) -> list[str]:
        """Return the statements that `remove` would run."""
        ...

    def remove(self, database: Database) -> list[str]:
        """Remove everything of the feed; return the statements."""
        ...

    def look(self, database: Database) -> Audit:
        """Return which tables are logged, and which are not."""
        ...


def tools_of(database: Database) -> Tools:
    """Return what installs in such a database. Raises `FeedRefused` without its driver."""
    if database.engine == "sqlite":
        from mergepoint.feed.adapters import sqlite_install

        return sqlite_install
    try:
        from mergepoint.feed.adapters import postgres_install
    except ImportError:
        raise _without_psycopg(database) from None
    return postgres_install


def _without_psycopg(database: Database) -> FeedRefused:
    return FeedRefused(
        f"database {database.name} needs psycopg, which is not installed",
        next="pip install 'mergepoint[postgres]'",
    )
