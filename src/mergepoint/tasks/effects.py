"""Marks of effects in the app's own database, so that an effect and its mark are one commit.

Place:  tasks.context -> [tasks.effects]
Rule:   never begins, commits or rolls back: the transaction is the handler's.
"""

from __future__ import annotations

from typing import Any

from mergepoint.bus.errors import NotCapable

TABLE = """CREATE TABLE IF NOT EXISTS mergepoint_once (
    task VARCHAR(64) NOT NULL, effect VARCHAR(200) NOT NULL, PRIMARY KEY (task, effect))"""
"""Made where it is missing; an app that has no right to that makes it in a migration."""
EFFECT_CHARACTERS_MAX = 200
_INSERT = "INSERT INTO mergepoint_once (task, effect) VALUES ({0}, {0}) ON CONFLICT DO NOTHING"


def mark_in(connection: Any, task: str, key: str) -> bool:
    """Mark the effect in the connection's transaction; False when it was marked before.

    Any: drivers share no type. Raises `NotCapable` for connections that are neither.
    """
    if len(key) > EFFECT_CHARACTERS_MAX:
        raise NotCapable(f"an effect of {len(key)} characters; {EFFECT_CHARACTERS_MAX} at most")
    module = type(connection).__module__.partition(".")[0]
    if module == "sqlalchemy" and hasattr(connection, "connection"):
        return _mark_through(connection, task, key)
    sign = {"sqlite3": "?", "psycopg": "%s", "psycopg2": "%s"}.get(module)
    if sign is None or type(connection).__name__.startswith("Async"):
        raise _unknown(f"{module}.{type(connection).__name__}")
    cursor = connection.cursor()
    try:
        cursor.execute(TABLE)
        cursor.execute(_INSERT.format(sign), (task, key))
        return bool(cursor.rowcount == 1)
    finally:
        cursor.close()


def _mark_through(connection: Any, task: str, key: str) -> bool:
    """Mark through SQLAlchemy: it commits only what it has seen beginning."""
    found = connection.connection
    # A Session has a method of that name, a Connection an attribute.
    own = found() if callable(found) else connection
    name = getattr(getattr(own, "dialect", None), "name", "this")
    sign = {"sqlite": "?", "postgresql": "%s"}.get(name)
    if sign is None or not hasattr(own, "exec_driver_sql"):
        raise _unknown(f"sqlalchemy for {name}")
    own.exec_driver_sql(TABLE)
    return bool(own.exec_driver_sql(_INSERT.format(sign), (task, key)).rowcount == 1)


def _unknown(what: str) -> NotCapable:
    return NotCapable(
        f"once() knows no connections of {what}",
        next="pass one of sqlite3, psycopg, or SQLAlchemy over these; of AsyncSession its"
        " sync_session, inside run_sync",
    )
