"""What was begun and has not ended: how a migration that was killed is noticed.

Place:  migrations.run -> [migrations.journal] -> the table mergepoint_migrations
Rule:   a row is written and committed before a step begins; the step's own transaction removes it.

A row that is left, while nobody holds the fence, is a step that was interrupted. If all of it was
in its transaction, nothing of it is there, and it begins anew. If it had left its transaction
(CREATE INDEX CONCURRENTLY and its kin), a part may be there, and a person has to look.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, inspect, text

from mergepoint.core.clock import Clock

TABLE = "mergepoint_migrations"
_MAKE = f"""
    CREATE TABLE IF NOT EXISTS {TABLE} (
        app varchar(64) PRIMARY KEY, revision varchar(64) NOT NULL,
        began double precision NOT NULL, outside integer NOT NULL)
"""


@dataclass(frozen=True)
class Interrupted:
    """A step that was begun and did not end."""

    app: str
    revision: str
    outside: bool
    """Whether it had left its transaction."""


def left(engine: Engine, app: str) -> Interrupted | None:
    """Return the step of this app that did not end; with the fence held."""
    if not inspect(engine).has_table(TABLE):
        return None
    sql = text(f"SELECT app, revision, outside FROM {TABLE} WHERE app = :app")  # noqa: S608
    with engine.connect() as connection:
        row = connection.execute(sql, {"app": app}).first()
    return Interrupted(row[0], row[1], bool(row[2])) if row else None


def begin(engine: Engine, clock: Clock, app: str, revision: str) -> None:
    """Note that a step begins."""
    row = {"app": app, "revision": revision, "began": clock.unix_s()}
    with engine.begin() as connection:
        connection.execute(text(_MAKE))
        _remove(connection, app)
        connection.execute(
            text(f"INSERT INTO {TABLE} VALUES (:app, :revision, :began, 0)"),  # noqa: S608
            row,
        )


def leave(engine: Engine, app: str) -> None:
    """Note that the step leaves its transaction."""
    with engine.begin() as connection:
        connection.execute(
            text(f"UPDATE {TABLE} SET outside = 1 WHERE app = :app"),  # noqa: S608
            {"app": app},
        )


def end(connection: Connection, app: str) -> None:
    """Note, in the step's own transaction, that it ended."""
    _remove(connection, app)


def forget(engine: Engine, app: str) -> None:
    """Forget a step that was interrupted: a person has put things right."""
    if inspect(engine).has_table(TABLE):
        with engine.begin() as connection:
            _remove(connection, app)


def _remove(connection: Connection, app: str) -> None:
    connection.execute(text(f"DELETE FROM {TABLE} WHERE app = :app"), {"app": app})  # noqa: S608
