"""Bring the tables of the accounts database to this version, once among all who start.

Place:  store.unit, cli, a person -> [store.migrate] -> migrations/, alembic
Rule:   one transaction under one lock; again changes nothing; a newer database is refused.

``python -m mergepoint.identity.accounts.store.migrate`` does it by hand (`MERGEPOINT_ACCOUNTS`).
"""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from mergepoint.core.errors import MergepointError
from mergepoint.identity.accounts.store.engine import (
    BEGIN_OPTION,
    locked_beside,
    open_engine,
    parse_url,
    prepare_sqlite,
    sqlite_path,
)
from mergepoint.identity.accounts.store.errors import StoreRefused

HEAD = "0001"
"""The newest migration; what this version of Mergepoint reads and writes."""
VERSION_TABLE = "accounts_version"
LOCK_ID = 0x6D65726765  # "merge": PostgreSQL's advisory lock of our migrations
MIGRATE_S_MAX = 300


def migrate(engine: Engine) -> bool:
    """Bring the database up; return whether anything was done. Raise `StoreRefused` if newer."""
    path = sqlite_path(engine.url)
    if path:
        prepare_sqlite(path)
    with engine.connect() as connection:
        if _version(connection) == HEAD:
            return False
    writing = engine.execution_options(**{BEGIN_OPTION: "IMMEDIATE"})
    with locked_beside(path) if path else nullcontext(), writing.begin() as connection:
        if not path:
            connection.execute(text(f"SET LOCAL statement_timeout = '{MIGRATE_S_MAX}s'"))
            connection.execute(text(f"SET LOCAL lock_timeout = '{MIGRATE_S_MAX}s'"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK_ID})"))
        if _version(connection) == HEAD:
            return False
        _upgrade(connection)
    return True


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text("SELECT version_num FROM accounts_version")).scalar()


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    place = Path(__file__).resolve().parent.parent / "migrations"
    config.set_main_option("script_location", str(place).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError:
        raise StoreRefused(
            f"the accounts database was written by a newer Mergepoint ({_version(connection)})",
            next="install the version of Mergepoint that made it",
        ) from None


def main() -> int:
    """Migrate the database `MERGEPOINT_ACCOUNTS` names; say what was done."""
    from mergepoint.identity.accounts.config import read

    try:
        done = migrate(open_engine(parse_url(read(os.environ).database)))
    except MergepointError as error:
        sys.stderr.write(f"error: {error.message}\n" + (f"next: {error.next}\n" * bool(error.next)))
        return int(error.exit)
    sys.stdout.write(f"accounts database: {'now' if done else 'already'} at {HEAD}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
